"""Verdicts: the rule of each kind of number by hand, and a case for each reason not to judge."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parzc_core import paper
from parzc_core.errors import BadInput
from parzc_core.paper.kinds import KINDS, kind, origin_of, prints
from parzc_core.report.verdicts import UNJUDGED, Ours, Scale, judge

CIFAR = Scale(93.71, 94.37)


@pytest.mark.parametrize(
    ("printed", "ours", "low", "high", "verdict"),
    [
        (68.89, 70.0, 69.0, 71.0, "matches"),
        (67.0, 70.0, 69.0, 71.0, "matches"),  # on the edge: 69 - 2
        (66.99, 70.0, 69.0, 71.0, "higher"),
        (73.0, 70.0, 69.0, 71.0, "matches"),  # 71 + 2
        (73.01, 70.0, 69.0, 71.0, "lower"),
        (68.0, 70.0, math.nan, math.nan, "matches"),  # no interval
        (67.9, 70.0, math.nan, math.nan, "higher"),
        (-63.0, 62.0, 61.0, 63.0, "higher"),  # signed
        (2.3, 0.1 + 0.2, math.nan, math.nan, "matches"),  # a rounding error is no verdict
    ],
)
def test_correlations(printed: float, ours: float, low: float, high: float, verdict: str) -> None:
    assert judge(printed, Ours(ours, low, high), "correlation") == (verdict, "")
    assert judge(printed, Ours(ours, low, high, runs=5), "trained correlation") == (verdict, "")


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 4), st.floats(0, 4))
def test_the_rule_is_symmetric_and_complete(printed: float, ours: float, below: float, above: float) -> None:
    verdict = judge(printed, Ours(ours, ours - below, ours + above), "correlation").name
    mirrored = {"matches": "matches", "higher": "lower", "lower": "higher"}[verdict]
    assert judge(-printed, Ours(-ours, -ours - above, -ours + below), "correlation").name == mirrored
    if ours - below <= printed <= ours + above:
        assert verdict == "matches"


@pytest.mark.parametrize(
    ("printed", "ours", "verdict"),
    [
        (94.36, 93.1, "lower"),
        (94.36, 94.30, "matches"),
        (94.36, 94.29, "lower"),
        (93.61, 94.2, "higher"),
        (93.7, 93.71, "matches"),
    ],
)
def test_what_a_search_finds(printed: float, ours: float, verdict: str) -> None:
    assert judge(printed, Ours(ours, ours, ours, runs=20), "searched accuracy", CIFAR).name == verdict


@pytest.mark.parametrize(("ours", "verdict"), [(5.7, "matches"), (5.81, "matches"), (5.83, "higher"), (5.58, "lower")])
def test_sizes_agree_to_two_percent(ours: float, verdict: str) -> None:
    assert judge(5.7, Ours(ours, ours - 1, ours + 1), "size").name == verdict


@pytest.mark.parametrize(
    ("ours", "kind", "scale", "reason"),
    [
        (Ours(70.0, 69.0, 71.0, runs=4), "trained correlation", None, "fewer than 5 runs"),
        (Ours(94.0, 93.9, 94.1, runs=4), "searched accuracy", CIFAR, "fewer than 5 runs"),
        (Ours(70.0, 69.0, 71.0, 5, 30, 150), "trained correlation", None, "fewer epochs than published"),
        (Ours(70.0, 64.0, 74.1), "correlation", None, "an interval wider than 10 points"),
        (Ours(70.0, 64.0, 74.1, 5), "trained correlation", None, "an interval wider than 10 points"),
        (Ours(70.0, 69.0, 71.0, profile="standard"), "correlation", None, "a profile below full"),
        (Ours(5.7, profile="smoke"), "size", None, "a profile below full"),
        (Ours(94.0, runs=20), "searched accuracy", None, "no random search or optimum of ours in this column"),
        (Ours(12000.0), "cost", None, "a cost"),
        (Ours(93.97), "constant", None, "read from the labels; a test holds it"),
        (Ours(94.37), "optimum", CIFAR, "read from the labels; a test holds it"),
        (Ours(93.71, runs=100), "random search", CIFAR, "random search is the zero of the scale"),
        (Ours(75.5), "accuracy of one training", None, "the accuracy of one training"),
        (Ours(6.2), "size of a found network", None, "the size of another network than the paper's"),
    ],
)
def test_not_judged_says_why(ours: Ours, kind: str, scale: Scale | None, reason: str) -> None:
    assert judge(ours.value, ours, kind, scale) == ("not judged", reason)


def test_more_epochs_than_published_are_no_cut() -> None:
    assert judge(70.0, Ours(70.0, 69.0, 71.0, 5, 600, 150), "trained correlation").name == "matches"


def test_every_printed_cell_has_a_kind() -> None:
    found = {
        kind(table, cell["row"], cell["column"], cell["metric"])
        for table in paper.table_names()
        for cell in paper.printed(table).to_dict("records")
    }
    assert found == set(KINDS)
    assert set(UNJUDGED) < set(KINDS)
    assert kind("table09", "Random Sample", "CIFAR-10 test", "accuracy") == "random search"
    assert kind("table01", "ParZC", "NB101-CF10", "kendall") == "trained correlation"
    with pytest.raises(BadInput, match="no line of kinds"):
        kind("fig04", "ParZC", "x", "kendall")


def test_what_is_printed_and_what_is_ours() -> None:
    assert prints("table06", "NP", "NB201-CF10 78", "kendall")
    assert prints("table10", "Depth", "Value", "text")
    assert not prints("table02", "SPOS", "NB101 S_100", "kendall")  # a dash
    assert not prints("stability", "NP", "c", "kendall")
    assert origin_of("table02", "SPOS", "NB101 S_100", "kendall", "reproduced") == "ours"
    assert origin_of("fig04_rank_correlation", "ParZC", "c", "kendall", "reproduced") == "reproduced"
    assert origin_of("table06", "mine", "c", "kendall", "quoted") == "quoted"  # `compare` refuses it


def test_the_paper_prints_550_numbers() -> None:
    assert sum(int(paper.printed(table)["value"].notna().sum()) for table in paper.table_names()) == 550
