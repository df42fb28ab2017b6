"""The one table of notebooks: what it shows of a comparison and of any other frame."""

import math

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from parzc_core.errors import BadInput
from parzc_core.paths import ROOT
from parzc_core.report.comparison import compare, own
from parzc_core.report.shown import Shown, show

NONE = math.nan


def cells(shown: Shown) -> list[list[str]]:
    """The texts of the first table, its header first."""
    table = BeautifulSoup(shown._repr_html_(), "html.parser").find("table")
    assert table is not None
    return [[cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]


def test_numbers_are_rounded_and_what_is_not_there_is_empty() -> None:
    frame = pd.DataFrame({"tau": [61.26, NONE], "n": [15547, 2], "gap": [-0.001, -0.5], "none": [NONE, None]}, ["a", "b"])
    assert cells(show(frame)) == [["", "tau", "n", "gap"], ["a", "61.3", "15,547", "0.00"], ["b", "", "2", "−0.50"]]
    assert "nan" not in repr(show(frame)).lower()


def test_a_series_a_default_index_and_texts() -> None:
    assert cells(show(pd.Series({"a": 1.25}, name="tau"), digits=2)) == [["", "tau"], ["a", "1.25"]]
    frame = pd.DataFrame({"cell": ["<script>x</script>" + "y" * 20], "good": [np.True_]})
    shown = show(frame)
    assert "<script" not in shown._repr_html_()
    assert cells(shown)[1] == ["", "<script>x</script>" + "y" * 20, "yes"]


def test_both_headers_of_a_pivoted_frame_are_kept() -> None:
    frame = pd.DataFrame([[1.5, 2.5]], ["a"], pd.MultiIndex.from_tuples([("paper", "x"), ("ours", "x")]))
    assert cells(show(frame)) == [["", "paper", "ours"], ["", "x", "x"], ["a", "1.5", "2.5"]]


def test_a_long_table_is_folded() -> None:
    shown = show(pd.Series(range(30), [f"row {i}" for i in range(30)]), most=5)
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    assert len(cells(shown)) == 1 + 5
    assert page.summary is not None
    assert page.summary.get_text() == "all 30 rows"
    assert len(page.select("details tbody tr")) == 30


def test_a_comparison_is_pivoted_with_intervals_and_signs() -> None:
    frame = compare("table07", "full", ROOT / "results")
    losses = frame[frame["column"] == "NB101-CF10 178"]
    shown = show(losses)
    table = cells(shown)
    one = losses[(losses["row"] == "DiffKendall") & (losses["metric"] == "kendall")].iloc[0]
    line = next(line for line in table if line[0] == "DiffKendall")
    assert f"{one['paper']:.2f} → {one['ours']:.2f} ▲ [{one['ci_low']:.2f}, {one['ci_high']:.2f}]" in line
    assert "▲ ours is higher" in repr(shown)
    assert len({line[0] for line in table}) == len(table)  # a row each
    assert "nan" not in shown._repr_html_().lower()


def test_a_result_of_ours_has_no_printed_values() -> None:
    shown = show(own("width_nb101", "full", ROOT / "results"))
    assert "→" not in repr(shown)
    assert "[95 % interval]" in repr(shown)


def test_nothing_and_no_table() -> None:
    assert "Nothing to show" in repr(show(pd.DataFrame()))
    assert cells(show(pd.DataFrame({"tau": [NONE]}, ["a"]))) == [[""], ["a"]]
    with pytest.raises(BadInput, match="expected a DataFrame or a Series"):
        show([1, 2])  # type: ignore[arg-type]
