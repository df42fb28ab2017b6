"""Table 2 from stored runs alone: complete cells are made, the others keep their earlier row and are counted."""

import math

import pandas as pd
import pytest

from parzc_core.experiments import table02_rankers as table02
from parzc_core.experiments import table02_stored as stored
from parzc_core.experiments.table02_rankers import Plan, planned
from parzc_core.runs.predictors import PredictorRun
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.rows import Row, write_rows
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import STORED

COUNT = {"nb201": 15625, "nb101": 11000}


def key(run):
    config = {name: value for name, value in vars(run).items() if name != "changes"}
    return {"kind": type(run).__name__, **config}


@pytest.fixture(autouse=True)
def _stored(monkeypatch):
    monkeypatch.setattr(table02, "judgeable", lambda space, dataset, width: COUNT[space])
    for kind in (PredictorRun, RankerRun):
        monkeypatch.setattr(kind, "key", key)
    monkeypatch.setenv(STORED, "1")


@pytest.fixture
def plan() -> Plan:
    found = planned("nb201", "full")
    assert found is not None
    return found


def keep(store, runs, seconds=36.0):
    for run in runs:
        RunStore(store).put(run.key(), {"kendall": 70.0, "seconds": seconds})


def some(plan, row, train):
    return [run for run in (*plan.rankers, *plan.predictors) if (stored.row_of(run), run.train) == (row, train)]


def test_only_cells_with_all_their_runs_are_made(plan, tmp_path):
    store = tmp_path / "runs.jsonl"
    keep(store, [*some(plan, "ReNAS", 78), *some(plan, "ReNAS", 156)[:4], *some(plan, "ParZC", 156)])
    part = stored.complete(plan, store)
    assert [*part.plan.predictors, *part.plan.rankers] == [*some(plan, "ReNAS", 78), *some(plan, "ParZC", 156)]
    left = part.left_out.set_index(["row", "training cells"])
    assert left.loc[("ReNAS", 156), ["runs missing", "of"]].tolist() == [1, 5]
    assert left.loc[("ReNAS", 156), "CPU-hours"] == pytest.approx(0.01)
    assert left.loc[("ReNAS", 469), "CPU-hours"] == pytest.approx(5 * 0.01 * 469 / 156)  # as the nearest number of cells
    assert left.loc[("ParZC", 78), "CPU-hours"] == pytest.approx(5 * 0.01 / 2)
    assert math.isnan(left.loc[("NAO", 78), "CPU-hours"])  # none is stored
    assert len(left) == len({(stored.row_of(run), run.train) for run in (*plan.rankers, *plan.predictors)}) - 2
    lines = stored.by_row(part)
    assert lines.loc["ReNAS", ["training cells", "runs missing"]].tolist() == ["156, 469, 781, 1,563", 16]
    assert lines.loc["ReNAS", "CPU-hours"] == pytest.approx(left.loc["ReNAS", "CPU-hours"].sum())
    assert math.isnan(lines.loc["NAO", "CPU-hours"])
    assert lines["runs missing"].sum() == left["runs missing"].sum()
    assert ("ReNAS", "NB201 S'_156") in part.cells_left_out
    other = planned("nb101", "full")
    cells = stored.complete(other, store).cells_left_out
    assert {("ReNAS", "NB101 S_424 (100 cells)"), ("ReNAS", "NB101 S_424 (all)")} < cells
    costs = stored.complete(other, store).left_out.set_index(["row", "training cells"])["CPU-hours"]
    assert costs["ReNAS", 172] == pytest.approx(5 * 0.01 * 172 / 156)  # of another space, for want of this one's


def test_without_the_option_everything_planned_is_run(plan, tmp_path, monkeypatch):
    monkeypatch.delenv(STORED)
    part = stored.complete(plan, tmp_path / "runs.jsonl")
    assert part.plan is plan
    assert part.left_out.empty
    assert stored.earlier([part], "full", tmp_path) == []
    assert stored.manifest([part], "full", {"nb201": 3}, 2.0) == {
        "command": "parzc run table02 --profile full",
        "cells": {"nb201": 3},
        "minutes": 2.0,
    }


def test_what_is_left_out_is_in_the_manifest(plan, tmp_path):
    store = tmp_path / "runs.jsonl"
    keep(store, [run for run in (*plan.rankers, *plan.predictors) if stored.row_of(run) not in ("ReNAS", "NAO")])
    keep(store, [run for run in plan.predictors if run.predictor == "ReNAS" and run.split])
    found = stored.manifest([stored.complete(plan, store)], "full", {}, 1.0)
    assert found["command"] == "parzc run table02 --profile full --stored"
    assert found["left_out"] == {"cells": 10, "runs": 30, "cpu_hours": 0.1, "runs_of_unknown_cost": 25}


def test_a_cell_left_out_keeps_its_earlier_row_if_that_is_not_judged(plan, tmp_path):
    about = {"profile": "full", "origin": "ours", "n": 5, "runs": 5, "std": 1.0, "ci_low": 60.0, "ci_high": 62.0}
    short = Row("table02", "ReNAS", "NB201 S'_78", "kendall", 61.0, **about, epochs=9, published_epochs=200, note="short")
    whole = Row("table02", "ReNAS", "NB201 S'_156", "kendall", 61.0, **about, epochs=200, published_epochs=200)
    made_now = Row("table02", "TNASP", "NB201 S'_78", "kendall", 61.0, **about, epochs=9, published_epochs=300)
    gone = Row("table02", "an old name", "NB201 S'_78", "kendall", 61.0, **about)
    bare = {"profile": "full", "origin": "ours", "note": "one split"}
    one = Row("table02", "ReNAS", "NB201 S'_469", "kendall", 61.0, **bare, epochs=200, published_epochs=200)
    quoted = [row for row in table02.quoted("full")]
    write_rows("table02", [short, whole, made_now, gone, one, *quoted], "full", {}, folder=tmp_path)
    store = tmp_path / "runs.jsonl"
    keep(store, some(plan, "TNASP", 78))
    assert stored.earlier([stored.complete(plan, store)], "full", tmp_path) == [short, one]
    assert stored.earlier([stored.complete(plan, store)], "standard", tmp_path) == []


def test_rows_stand_in_the_order_of_the_table():
    about = {"profile": "full", "origin": "ours"}
    names = ["ParZC", "NN-Former (all cells)", "NN-Former", "CTNAS (best checkpoint)", "NP"]
    rows = [Row("table02", name, "NB201 S'_78", "kendall", 60.0, **about) for name in names]
    order = ["NP", "CTNAS (best checkpoint)", "NN-Former (all cells)", "NN-Former", "ParZC"]
    assert [row.row for row in stored.in_order(rows)] == order
    assert pd.Series(order).is_unique
