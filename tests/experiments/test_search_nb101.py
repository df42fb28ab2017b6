"""Searches on NAS-Bench-101: the benchmark, the table, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from parzc_core import errors, labels
from parzc_core.errors import BadInput
from parzc_core.experiments import search_nb101
from parzc_core.search import method
from parzc_core.search import runs as running
from parzc_core.search.benchmark import Budget, TabularBenchmark
from parzc_core.search.runs import SearchRun, run_searches
from parzc_core.spaces import nb101

try:
    labels.learned("nb101", "cifar10")
    LABELLED = True
except errors.LabelsMissing:
    LABELLED = False
needs_labels = pytest.mark.skipif(not LABELLED, reason="no labels of NAS-Bench-101 on this machine")


@pytest.fixture(scope="module")
def benchmark() -> TabularBenchmark:
    return running.benchmark("nb101", "cifar10", 108)


@needs_labels
def test_the_benchmark_has_every_cell_once_and_says_what_it_shows(benchmark: TabularBenchmark) -> None:
    known, split, _ = labels.learned("nb101", "cifar10")
    assert len(set(benchmark.table.archs)) == nb101.ARCH_COUNT
    assert (benchmark.epochs, benchmark.table.full, set(benchmark.table.fidelities)) == (108, 108, {108})
    np.testing.assert_array_equal(benchmark.table.fidelities[108].accuracy, known.to_numpy())
    assert {"val": "validation accuracy", "test": "test accuracy of its training cells"}[split] in benchmark.table.note
    session = benchmark.open(Budget(evaluations=3))
    assert session.query(benchmark.table.archs[7]) == known.iloc[7]
    assert session.cost == 1
    with pytest.raises(BadInput, match="trainings of 108 epochs"):
        TabularBenchmark("nb101", "cifar10", 200, benchmark.table)


@needs_labels
def test_evolution_finds_better_cells_than_random_search(benchmark: TabularBenchmark) -> None:
    found = {
        name: [
            benchmark.full_accuracy(method(name, **of).run(benchmark, Budget(evaluations=150), seed).chosen)
            for seed in range(10)
        ]
        for name, of in {"random": {}, "evolution": {"population": 50, "sample": 10}}.items()
    }
    assert np.mean(found["evolution"]) > np.mean(found["random"]) + 0.05
    # The best of 150 draws from the space, of the labels themselves.
    values = np.sort(benchmark.table.fidelities[108].accuracy)
    expected = np.mean([values[np.random.default_rng(i).integers(len(values), size=150)].max() for i in range(300)])
    assert np.mean(found["random"]) == pytest.approx(expected, abs=0.25)


@needs_labels
def test_reinforce_is_refused_before_anything_is_trained(benchmark: TabularBenchmark) -> None:
    with pytest.raises(BadInput, match="take random, evolution, npenas, nasbot or parzc"):
        method("reinforce").run(benchmark, Budget(evaluations=3), 0)


@needs_labels
def test_rows_are_what_the_stored_searches_found(tmp_path: Path) -> None:
    plan = [run for run in search_nb101.planned("smoke") if run.method in ("random", "evolution")]
    assert {(run.evaluations, run.epochs, run.space) for run in plan} == {(30, 108, "nb101")}
    results = run_searches(plan, tmp_path / "runs.jsonl")
    made = {(row.row, row.metric): row for row in search_nb101.rows(results, "smoke")}
    truth, _, _ = labels.judged("nb101", "cifar10")
    best = made["Optimal", "accuracy"].value
    assert best == pytest.approx(94.3176, abs=1e-3)
    for name, kind in (("Random search", "random"), ("REA", "evolution")):
        found = truth.loc[results[results["method"] == kind]["arch"]].mean()
        accuracy, regret = made[name, "accuracy"], made[name, "regret"]
        assert accuracy.value == pytest.approx(found)
        assert regret.value == pytest.approx(best - found)
        assert "30 trainings" in accuracy.note
        assert "NAS-Bench-101" in accuracy.note
    floor = made[search_nb101.FLOOR, "regret"]
    assert 0 <= floor.value == pytest.approx(best - made[search_nb101.FLOOR, "accuracy"].value)
    assert "of the 300 cells with statistics" in floor.note
    lines = search_nb101.curves(results, "smoke")["trainings of 108 epochs", "NAS-Bench-101"]
    assert set(lines) == {"Random search", "REA"}
    grid, regrets = lines["REA"]
    assert (grid[0], grid[-1]) == (1, 30)
    assert (np.diff(regrets, axis=1) <= 0).all()
    np.testing.assert_allclose(regrets[:, -1].mean(), made["REA", "regret"].value)


def test_cost_of_statistics_is_not_charged_to_a_search() -> None:
    runs = pd.DataFrame({"seconds": [{"collecting": 7000.0, "training": 3.0, "search": 1.0}] * 2})
    shared: dict[str, Any] = {"profile": "smoke", "origin": "reproduced"}
    (row,) = search_nb101._spent("ParZC", runs, shared)
    assert row.value == 4
    assert "7,000 more, once" in row.note


def test_every_profile_plans_all_methods() -> None:
    for profile, seeds in (("standard", {100, 2}), ("full", {100, 10})):
        plan = pd.DataFrame(search_nb101.planned(profile))
        counts = plan.groupby(["method", "settings"]).size()
        assert len(counts) == 8
        assert set(counts) == seeds
    assert SearchRun("evolution", evaluations=150, space="nb101").space == "nb101"
