"""Sentences about Table 2 against the committed rows."""

import pandas as pd
import pytest

from parzc_core.experiments import table02_told
from parzc_core.report import told
from parzc_core.report.comparison import compare


@pytest.fixture(scope="module")
def compared():
    return compare("table02", "full")


def test_trees_are_counted_against_the_best_printed_rival_of_each_column(compared):
    on201, on101 = table02_told.trees_beside_print(compared)
    columns = table02_told.columns_run(compared, "nb201")
    assert columns == [f"NB201 S'_{n}" for n in (78, 156, 469, 781, 1563)]
    trees = told.ours(compared, "graph extra-trees", columns)
    assert trees[0] > 54.9  # PINAT, the best printed rival
    assert told.numbers(trees) in on201
    assert "above every printed rival in 5 of 5 columns" in on201
    higher = 0
    for column in table02_told.columns_run(compared, "nb101"):
        part = compared[(compared["column"] == column) & (compared["row"] != "ParZC")]
        higher += told.ours(compared, "graph extra-trees", [column])[0] > part["paper"].max()
    assert f"above every printed rival in {higher} of 5 columns" in on101
    assert higher < 5  # on NAS-Bench-101 it is not so


def test_differences_are_means_of_deltas(compared):
    said = table02_told.differences(compared)
    columns = table02_told.columns_run(compared, "nb201")
    arch2vec = compared[(compared["row"] == "Arch2Vec") & compared["column"].isin(columns)]["delta"].mean()
    assert f"Arch2Vec {arch2vec:+.1f}" in said[0]
    assert any(line.startswith("**GATES is missing") for line in said)
    assert any(line.startswith("**Failed trainings.**") for line in said)


def test_without_rows_nothing_is_said(compared):
    assert table02_told.differences(compared.assign(ours=float("nan"), delta=float("nan"))) == []


def test_cells_far_from_print_are_shown_with_what_bears_on_them(compared):
    cells = [
        ("NP", "NB101 S_100", 39.1, 52.0, "higher"),
        ("NP (ours)", "NB101 S_100", None, 66.0, "new"),
        ("NP", "NB101 without failed runs, S_100", None, 41.0, "new"),
        ("CTNAS", "NB101 S_424 (100 cells)", 75.1, 66.0, "lower"),
        ("CTNAS (best checkpoint)", "NB101 S_424 (100 cells)", None, 68.0, "new"),
        ("TNASP", "NB101 S_100", 60.0, 50.0, "not judged"),  # trained too short
        ("Arch2Vec", "NB201 S'_78", 54.2, 61.2, "higher"),
        ("PINAT", "NB201 S'_78", 54.9, 58.0, "higher"),  # near print
        ("ParZC", "NB201 S'_78", 64.6, 74.0, "higher"),  # no rival
    ]
    frame = pd.DataFrame(cells, columns=["row", "column", "paper", "ours", "verdict"]).assign(metric="kendall")
    frame["delta"] = frame["ours"] - frame["paper"]
    far = table02_told.far_from_print(frame)
    assert far.index.tolist() == [("NP", "NB101 S_100"), ("CTNAS", "NB101 S_424 (100 cells)"), ("Arch2Vec", "NB201 S'_78")]
    assert far["difference"].tolist() == pytest.approx([12.9, -9.1, 7.0])
    assert far[table02_told.LABELS].isna().tolist() == [False, True, True]  # not run; no failed runs are known there
    assert far[table02_told.LABELS].iloc[0] == pytest.approx(1.9)
    assert far["our structure of NP"].iloc[0] == pytest.approx(26.9)
    assert far["the best checkpoint taken on the judged cells"].iloc[1] == pytest.approx(-7.1)
    assert far["left"].tolist() == pytest.approx([1.9, -7.1, 7.0])
    assert "DiffKendall, our structure of NP" not in far  # not run
    said = table02_told.explanations(frame)
    assert "3 cells of rivals, trained whole on five splits, 2 above it" in said[0]
    assert said[1] == "**With labels without failed runs** 1 of 1 such cells are within 5 points (NP NB101 S_100)."
    assert "0 of 1 such cells" in said[2]
    assert said[-1].endswith("2 cells (CTNAS NB101 S_424 (100 cells), Arch2Vec NB201 S'_78).")
    assert table02_told.explanations(frame[frame["row"] == "PINAT"]) == []
    table02_told.explanations(compared)


def test_nn_former_stands_beside_its_own_paper(compared):
    rows = [("NN-Former", 75.0), ("NN-Former (all cells)", 76.5), ("ParZC+", 80.0)]
    lines = [(row, "NB101 S_100", "kendall", value, float("nan")) for row, value in rows]
    frame = pd.DataFrame(lines, columns=["row", "column", "metric", "ours", "paper"])
    (line,) = table02_told.beside_nn_former(frame).to_dict("records")
    assert line == {"its paper": 70.9, "ours, all cells": 76.5, "ours, unseen": 75.0, "ParZC+": 80.0}
    assert table02_told.beside_nn_former(frame[frame["row"] == "ParZC+"]).empty
