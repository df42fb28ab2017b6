"""Verdicts: the rule by hand, the join with the printed tables, and mistakes in rows that must not pass for results."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parzc_core import paper
from parzc_core.errors import BadInput, UnknownName
from parzc_core.report import comparison
from parzc_core.report.comparison import compare, judge, summary
from parzc_core.storage.rows import Row, write_rows

COLUMN = "NB201-CF10 78"  # of Table 6


def a_row(row: str, value: float | None, low: float | None = None, high: float | None = None, **rest) -> Row:
    cell = {"table": "table06", "column": COLUMN, "metric": "kendall", "profile": "smoke", "origin": "reproduced"}
    return Row(row=row, value=value, ci_low=low, ci_high=high, **({**cell, "n": 5} | rest))


def written(folder: Path, *rows: Row, table: str = "table06", **manifest: object) -> Path:
    write_rows(table, rows, "smoke", manifest, folder)
    return folder


def line(frame, row: str, metric: str = "kendall"):
    found = frame[(frame["row"] == row) & (frame["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("printed", "ours", "low", "high", "unit", "verdict"),
    [
        (68.89, 70.0, 69.0, 71.0, "%", "matches"),
        (67.0, 70.0, 69.0, 71.0, "%", "matches"),  # on the edge: 69 - 2
        (66.99, 70.0, 69.0, 71.0, "%", "higher"),
        (73.0, 70.0, 69.0, 71.0, "%", "matches"),  # 71 + 2
        (73.01, 70.0, 69.0, 71.0, "%", "lower"),
        (68.0, 70.0, math.nan, math.nan, "%", "matches"),  # no interval
        (67.9, 70.0, math.nan, math.nan, "%", "higher"),
        (-63.0, 62.0, 61.0, 63.0, "%", "higher"),  # signed
        (68.0, 69.0, math.nan, math.nan, "s", "higher"),  # no points in seconds
        (68.0, 69.0, 67.0, 70.0, "s", "matches"),
        (0.3, 0.1 + 0.2, math.nan, math.nan, "s", "matches"),  # a rounding error is no verdict
    ],
)
def test_rule(printed: float, ours: float, low: float, high: float, unit: str, verdict: str) -> None:
    assert judge(printed, ours, low, high, unit) == verdict


@given(*[st.floats(-100, 100)] * 4)
def test_rule_is_symmetric_and_complete(printed: float, ours: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    verdict = judge(printed, ours, low, high)
    mirrored = {"matches": "matches", "higher": "lower", "lower": "higher"}[verdict]
    assert judge(-printed, -ours, -high, -low) == mirrored
    if low <= printed <= high:
        assert verdict == "matches"


@pytest.mark.parametrize("table", paper.table_names())
def test_a_table_that_was_not_run_shows_what_is_printed(tmp_path: Path, table: str) -> None:
    frame, printed = compare(table, "smoke", tmp_path), paper.printed(table)
    assert tuple(frame.columns) == comparison.COLUMNS
    assert list(frame["row"]) == list(printed["row"])
    assert frame["paper"].equals(printed["value"])
    assert frame["paper_spread"].equals(printed["spread"])
    assert (frame["verdict"] == "quoted").all()
    assert (frame["origin"] == "quoted").all()
    assert frame[["ours", "ci_low", "ci_high", "std", "delta"]].isna().all(axis=None)
    assert (frame["n"] == 0).all()


def test_every_verdict(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        a_row("NP+Mixer+BN", 70.0, 69.0, 71.0, std=1.5),  # printed 68.89
        a_row("NP", 60.0, 58.0, 62.0, note="5 splits"),  # 34.29
        a_row("MLP", 50.0, 49.0, 51.0, origin="recreated"),  # 54.64
        a_row("BN", None, origin="unavailable", note="needs a GPU"),
        a_row("Mixer", math.nan, note="all predictions equal"),
        a_row("NP+BN", 54.81, origin="quoted"),
        a_row("ParZC (aligned)", 72.5),
        a_row("NP+Mixer+BN", 3.0, metric="pearson"),
    )
    frame = compare("table06", "smoke", folder)
    found = {row: line(frame, row)["verdict"] for row in frame["row"]}
    assert found == {
        "NP": "higher",
        "Mixer": "unavailable",
        "MLP": "lower",
        "BN": "unavailable",
        "NP+Mixer": "quoted",
        "NP+BN": "quoted",
        "Mixer+BN": "quoted",
        "NP+Mixer+BN": "matches",
        "ParZC (aligned)": "new",
    }
    full = line(frame, "NP+Mixer+BN")
    assert (full["paper"], full["paper_spread"], full["paper_spread_kind"]) == (68.89, 1.40, "variance")
    assert (full["ours"], full["ci_low"], full["ci_high"], full["n"], full["unit"]) == (70.0, 69.0, 71.0, 5, "%")
    assert full["delta"] == pytest.approx(1.11)
    assert full["std"] == 1.5
    assert math.isnan(line(frame, "NP")["std"])
    assert line(frame, "NP")["note"] == "5 splits; paper: the caption calls the spread a standard deviation"
    assert line(frame, "MLP")["origin"] == "recreated"
    assert (line(frame, "BN")["origin"], line(frame, "Mixer")["origin"]) == ("unavailable", "reproduced")
    assert math.isnan(line(frame, "NP+BN")["ours"])  # a quoted number never looks like a measured one
    assert line(frame, "NP+Mixer+BN", "pearson")["verdict"] == "new"
    assert line(frame, "NP+Mixer+BN", "spearman")["verdict"] == "quoted"
    assert list(frame["row"][-2:]) == ["ParZC (aligned)", "NP+Mixer+BN"]  # ours alone come last


def test_a_cell_the_paper_leaves_open_is_new(tmp_path: Path) -> None:
    row = a_row("SPOS", 12.0, table="table02", column="NB101 S_100")
    cell = line(
        compare("table02", "smoke", written(tmp_path, row, table="table02")).query("column == 'NB101 S_100'"), "SPOS"
    )
    assert (cell["verdict"], cell["ours"]) == ("new", 12.0)
    assert math.isnan(cell["delta"])


def test_the_aggregated_row_counts(tmp_path: Path) -> None:
    rows = [a_row("NP", value, seed=seed, n=1) for seed, value in enumerate((30.0, 40.0))]
    cell = line(compare("table06", "smoke", written(tmp_path, *rows, a_row("NP", 35.0, 30.0, 40.0, n=2))), "NP")
    assert (cell["ours"], cell["n"], cell["verdict"]) == (35.0, 2, "matches")
    single = line(compare("table06", "smoke", written(tmp_path, a_row("NP", 35.0, seed=7))), "NP")
    assert single["ours"] == 35.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([a_row("NP", 1.0, seed=0), a_row("NP", 2.0, seed=1)], "seeds 0, 1; add the one aggregated"),
        ([a_row("NP", 0.34, unit="")], "our unit is '', the paper's '%'"),
        ([a_row("NP", 34.3, origin="quoted")], "quoted as 34.3, the paper prints 34.29"),
        ([a_row("NP+MLP", 34.29, origin="quoted")], "quoted as 34.29, the paper prints no such cell"),
    ],
)
def test_rows_that_cannot_be_compared(tmp_path: Path, rows: list[Row], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        compare("table06", "smoke", written(tmp_path, *rows))


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="table"):
        compare("table6", "smoke", tmp_path)
    with pytest.raises(UnknownName, match="profile"):
        compare("table06", "smok", tmp_path)


def test_summary(tmp_path: Path) -> None:
    rows = [a_row("NP+Mixer+BN", 70.0, 69.0, 71.0), a_row("NP", 60.0, origin="recreated"), a_row("mine", 1.0)]
    written(tmp_path, *rows, minutes=12.5)
    written(tmp_path, a_row("MSE", 65.0, table="table07", column="NB101-CF10 178"), table="table07")
    frame = summary("smoke", tmp_path).set_index("table")
    assert tuple(frame.index) == paper.table_names()
    six = frame.loc["table06"]
    assert (six["run"], six["minutes"], six["cells"]) == (True, 12.5, 17)
    assert [six[verdict] for verdict in comparison.VERDICTS] == [1, 1, 0, 1, 14, 0]
    assert [six[f"origin_{name}"] for name in ("reproduced", "recreated", "quoted", "unavailable")] == [2, 1, 14, 0]
    assert frame.loc["table07", "run"]
    assert math.isnan(frame.loc["table07", "minutes"])  # its manifest does not tell
    assert (frame.loc["table02", "run"], frame.loc["table02", "cells"]) == (False, 71)  # 85 less the 14 dashes
    assert frame.loc["table10", "quoted"] == 8  # text counts
