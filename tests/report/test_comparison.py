"""Verdicts: the rule by hand, the join with the printed tables, and mistakes in rows that must not pass for results."""

import math
from pathlib import Path

import pytest

from parzc_core import paper
from parzc_core.errors import BadInput, UnknownName
from parzc_core.report import comparison
from parzc_core.report.comparison import compare, reasons, summary
from parzc_core.storage.rows import ORIGINS, Row, write_rows

COLUMN = "NB201-CF10 78"  # of Table 6


def a_row(row: str, value: float | None, low: float | None = None, high: float | None = None, **rest) -> Row:
    cell = {"table": "table06", "column": COLUMN, "metric": "kendall", "profile": "full", "origin": "reproduced"}
    return Row(row=row, value=value, ci_low=low, ci_high=high, **({**cell, "n": 5, "runs": 5} | rest))


def written(folder: Path, *rows: Row, table: str = "table06", **manifest: object) -> Path:
    write_rows(table, rows, "full", manifest, folder)
    return folder


def line(frame, row: str, metric: str = "kendall"):
    found = frame[(frame["row"] == row) & (frame["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("table", paper.table_names())
def test_a_table_that_was_not_run_shows_what_is_printed(tmp_path: Path, table: str) -> None:
    frame, printed = compare(table, "full", tmp_path), paper.printed(table)
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
    frame = compare("table06", "full", folder)
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
        compare("table02", "full", written(tmp_path, row, table="table02")).query("column == 'NB101 S_100'"), "SPOS"
    )
    assert (cell["verdict"], cell["ours"]) == ("new", 12.0)
    assert math.isnan(cell["delta"])


def test_the_aggregated_row_counts(tmp_path: Path) -> None:
    rows = [a_row("NP", value, seed=seed, n=1) for seed, value in enumerate((30.0, 40.0))]
    cell = line(compare("table06", "full", written(tmp_path, *rows, a_row("NP", 35.0, 30.0, 40.0, n=2))), "NP")
    assert (cell["ours"], cell["n"], cell["verdict"]) == (35.0, 2, "matches")
    single = line(compare("table06", "full", written(tmp_path, a_row("NP", 35.0, seed=7))), "NP")
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
        compare("table06", "full", written(tmp_path, *rows))


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="table"):
        compare("table6", "full", tmp_path)
    with pytest.raises(UnknownName, match="profile"):
        compare("table06", "smok", tmp_path)


def test_summary(tmp_path: Path) -> None:
    rows = [a_row("NP+Mixer+BN", 70.0, 69.0, 71.0), a_row("NP", 60.0, origin="recreated"), a_row("mine", 1.0)]
    written(tmp_path, *rows, minutes=12.5)
    written(tmp_path, a_row("MSE", 65.0, table="table07", column="NB101-CF10 178"), table="table07")
    frame = summary("full", tmp_path).set_index("table")
    assert tuple(frame.index) == paper.table_names()
    six = frame.loc["table06"]
    assert (six["run"], six["minutes"], six["cells"]) == (True, 12.5, 17)
    assert (six["printed"], six["covered"]) == (16, 2)
    assert [six[verdict] for verdict in comparison.VERDICTS] == [1, 1, 0, 0, 1, 14, 0]
    assert [six[f"origin_{name}"] for name in ORIGINS] == [1, 1, 14, 0, 1]
    assert frame.loc["table07", "run"]
    assert math.isnan(frame.loc["table07", "minutes"])  # its manifest does not tell
    assert (frame.loc["table02", "run"], frame.loc["table02", "cells"]) == (False, 71)  # 85 less the 14 dashes
    assert frame.loc["table10", "quoted"] == 8  # text counts


def searches(folder: Path, **accuracy: float) -> Path:
    """Rows of Table 3's CIFAR-10 column beside our random search and the optimum."""
    cells = {"RS (w/o sharing)": 93.71, "Optimal": 94.37} | accuracy
    about = {"table": "table03", "column": "CIFAR-10", "metric": "test_accuracy", "runs": 20}
    rows = [a_row(name, value, value - 0.05, value + 0.05, **about) for name, value in cells.items()]
    return written(folder, *rows, table="table03")


def test_93_1_does_not_match_94_36_on_cifar_10(tmp_path: Path) -> None:
    found = line(
        compare("table03", "full", searches(tmp_path, ParZC=93.1)).query("column == 'CIFAR-10'"),
        "ParZC",
        "test_accuracy",
    )
    assert (found["paper"], found["ours"], found["verdict"]) == (94.36, 93.1, "lower")


def test_what_a_search_finds_is_judged_between_random_search_and_the_optimum(tmp_path: Path) -> None:
    frame = compare("table03", "full", searches(tmp_path, ParZC=94.27, REA=94.0)).query("column == 'CIFAR-10'")
    # 94.36 is 0.985 of the way, 94.32 (the end of the interval) 0.924: nearer than 0.1.
    assert line(frame, "ParZC", "test_accuracy")["verdict"] == "matches"
    assert line(frame, "REA", "test_accuracy")["verdict"] == "matches"  # printed 93.92: 0.32 beside [0.36, 0.52]
    for name, reason in (("RS (w/o sharing)", "random search"), ("Optimal", "a test holds it")):
        cell = line(frame, name, "test_accuracy")
        assert cell["verdict"] == "not judged"
        assert reason in cell["reason"]


def test_reasons_are_counted_and_a_smaller_profile_gets_no_verdict(tmp_path: Path) -> None:
    rows = [a_row("NP", 60.0, 59.0, 61.0, runs=3), a_row("MLP", 50.0, 40.0, 60.0), a_row("BN", 50.0, runs=1)]
    written(tmp_path, *rows)
    assert reasons("full", tmp_path).to_dict() == {"fewer than 5 runs": 2, "an interval wider than 10 points": 1}
    write_rows("table06", [a_row("NP", 34.29, profile="standard")], "standard", {}, tmp_path)
    assert line(compare("table06", "standard", tmp_path), "NP")["reason"] == "a profile below full"
