"""Sentences about Table 2 against the committed rows."""

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
