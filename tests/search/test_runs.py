"""Stored searches: what is run, what a key holds, and the budgets."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from search_toys import separable

from parzc_core.errors import BadInput
from parzc_core.search import method, runs
from parzc_core.search.benchmark import FULL, Budget
from parzc_core.search.runs import SearchRun, run_searches, runs_in, seconds_for
from parzc_core.storage.run_store import RunStore

RUNS = [SearchRun("random", evaluations=9, seed=seed) for seed in range(3)]


def test_only_what_is_missing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "runs.jsonl"
    first = run_searches(RUNS[:2], store)
    ran: list[SearchRun] = []
    evaluate = SearchRun.evaluate
    monkeypatch.setattr(SearchRun, "evaluate", lambda run: (ran.append(run), evaluate(run))[1])
    both = run_searches([*RUNS, RUNS[0]], store)
    assert ran == [RUNS[2]]
    pd.testing.assert_frame_equal(both.iloc[:2], first)
    assert both["arch"][3] == both["arch"][0]
    assert len(RunStore(store)) == 3


def test_a_stored_search_is_the_search(tmp_path: Path) -> None:
    row = run_searches([SearchRun("evolution", evaluations=30, seed=4)], tmp_path / "runs.jsonl").iloc[0]
    benchmark = runs.benchmark("nb201", "cifar10", FULL)
    found = method("evolution").run(benchmark, Budget(evaluations=30), 4)
    assert (row["arch"], row["val"]) == (found.chosen, benchmark.full_accuracy(found.chosen))
    assert row["cost"] == pytest.approx(found.cost, abs=0.1)
    assert (row["trainings"], row["repeats"], row["ended"]) == (30, found.repeats, "all evaluations spent")
    assert [step.arch for step in found.incumbents()] == [benchmark.table.archs[p] for p, _, _ in row["incumbents"]]


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"evaluations": 8}, {"seconds": 1e5}, {"dataset": "cifar100"}, {"settings": (("sample", 4),)}],
)
def test_another_configuration_has_another_key(other: dict[str, Any]) -> None:
    usual = {"method": "evolution", "evaluations": 9}
    assert SearchRun(**usual).key() != SearchRun(**{**usual, **other}).key()
    assert SearchRun(**usual, settings=(("sample", 3),)).key() == SearchRun(**usual).key()


def test_a_setting_that_came_later_is_in_the_key_only_where_it_says_something() -> None:
    """Else all searches that were stored before it would be run again."""
    keys = [SearchRun("parzc_plus", settings=settings).key()["settings"] for settings in ((), (("ordered", 3),))]
    assert ["ordered" in each for each in keys] == [False, True]
    assert keys[0] | {"ordered": 3} == keys[1]


def test_other_labels_have_another_key() -> None:
    one, other = separable(), separable(dataset="cifar10")
    assert one.fingerprint() == other.fingerprint()
    other.table.fidelities[FULL].accuracy[7] += 1e-6
    assert one.fingerprint() != other.fingerprint()


def test_budgets_and_runs() -> None:
    assert seconds_for("cifar10", 12) == 12_000  # Table 3
    assert seconds_for("cifar10", 200) == 200_000
    for dataset in runs.SECONDS:
        benchmark = runs.benchmark("nb201", dataset, FULL)
        pays_for = seconds_for(dataset, FULL) / benchmark.table.fidelities[FULL].seconds.mean()
        assert pays_for == pytest.approx(109.4, rel=0.01)
    with pytest.raises(BadInput, match="svhn"):
        seconds_for("svhn", 200)
    assert min(runs_in("standard", name) for name in ("random", "evolution", "reinforce")) >= 100
    assert runs_in("smoke", "parzc") == 1
