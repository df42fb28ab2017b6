"""Sentences computed from a comparison frame."""

import math

import pandas as pd
import pytest

from parzc_core.errors import UnknownName
from parzc_core.report import told

NONE = math.nan
FRAME = pd.DataFrame(
    [
        ("GATES", "a", "kendall", 60.0, 73.64, 70.0, 75.0),
        ("GATES", "b", "kendall", NONE, 80.0, NONE, NONE),
        ("GATES", "a", "spearman", 1.0, 2.0, NONE, NONE),
    ],
    columns=["row", "column", "metric", "paper", "ours", "ci_low", "ci_high"],
)


def test_values_are_those_of_the_cell_and_nan_where_there_is_none():
    assert told.ours(FRAME, "GATES", ["b", "a"]) == [80.0, 73.64]
    assert told.printed(FRAME, "GATES", ["a"], "spearman") == [1.0]
    assert math.isnan(told.printed(FRAME, "GATES", ["b"])[0])
    assert math.isnan(told.ours(FRAME, "NP", ["a"])[0])


def test_numbers_read_as_a_sentence():
    assert told.numbers([1, 2.04, math.nan]) == "1.0, 2.0 and –"
    assert told.numbers([2]) == "2.0"
    assert told.numbers([]) == ""
    assert told.numbers([2.5, -1], 0, plus=True) == "+2 and -1"


def test_an_interval_stands_behind_its_value():
    assert told.interval(FRAME, "GATES", "a") == "73.6 [70.0, 75.0]"
    assert told.interval(FRAME, "GATES", "b") == "80.0"
    assert told.interval(FRAME, "NP", "a") == "–"


def test_whose_numbers_they_are():
    assert "same run" in told.whose("full").data
    assert "committed results" in told.whose("smoke").data
    with pytest.raises(UnknownName):
        told.whose("huge")


def test_bullets():
    assert told.bullets(["a", "b"]).data == "* a\n* b"
    assert "Not run" in told.bullets([]).data
