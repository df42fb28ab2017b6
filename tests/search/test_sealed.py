"""No search reads test accuracy: not from what it is given, not from the files, and no decision depends on it."""

import gc
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from search_toys import separable, tiny_plus_pool, tiny_pool

from parzc_core import errors, labels
from parzc_core.collecting import labelled
from parzc_core.errors import BadInput
from parzc_core.labels import nb201
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.search import METHODS
from parzc_core.search import method as make
from parzc_core.search.benchmark import FULL, Budget, Session, TabularBenchmark, published
from parzc_core.search.judge import Judge
from parzc_core.search.method import SearchMethod
from parzc_core.search.methods import bohb
from parzc_core.search.methods.parzc import pool
from parzc_core.search.runs import SearchRun, run_searches

QUICK: dict[str, dict[str, Any]] = {
    "npenas": {"epochs": 3, "children": 20},
    "nasbot": {"pool": 40},
    "parzc": {"train": 10, "size": "tiny", "epochs": 3},
    "parzc_plus": {"start": 15},
    "robot": {"candidates": 50},
}
BUDGET = Budget(evaluations=25)


class TestLabelsRead(AssertionError):
    """Raised where test accuracy is read while a search runs."""

    __test__ = False


def runnable(names: Iterator[str] | Any) -> list[str]:
    return [name for name in names if name != "bohb" or bohb.installed()]


def searches(benchmark: TabularBenchmark) -> dict[str, tuple[Any, ...]]:
    """The steps of every method."""
    found = {}
    for name in runnable(METHODS):
        pools = {"parzc": tiny_pool, "parzc_plus": tiny_plus_pool}
        given = {"given": pools[name](benchmark)} if name in pools else {}
        found[name] = make(name, **QUICK.get(name, {}), **given).run(benchmark, BUDGET, 0).steps
    return found


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From here on, reading test accuracy of any space, in any way that `labels` has, raises and is noted."""
    noted: list[str] = []

    def refuse(name: str, dataset: str, split: str, source: str | None, seeds: str) -> pd.DataFrame:
        if split == "test":
            noted.append(dataset)
            raise TestLabelsRead(f"test accuracy of {name} {dataset} was read")
        return read(name, dataset, split, source, seeds)

    read = labels._table
    monkeypatch.setattr(labels, "_table", refuse)
    for source in ("v1.0", "nats"):
        monkeypatch.setitem(nb201.SOURCES["test"], source, lambda *_: pytest.fail("test accuracy was read"))
    return noted


def published_like(values: np.ndarray | None = None) -> TabularBenchmark:
    """A benchmark over NAS-Bench-201 with a cheap training, as on a machine with all files."""
    return separable(low=True)


def test_no_method_reads_test_labels(forbidden: list[str]) -> None:
    found = searches(published_like())
    assert set(found) == set(runnable(METHODS))
    assert forbidden == []
    with pytest.raises(TestLabelsRead):  # the guard does work
        labels.accuracy("nb201", "cifar10", "test")
    with pytest.raises(TestLabelsRead):
        Judge()


def test_the_published_benchmark_and_the_pool_are_made_without_test_labels(forbidden: list[str]) -> None:
    table = published("nb201", "cifar10")
    read = pool("nb201", "cifar10", 30)
    assert len(table.archs) == 15625
    assert len(read.archs) == 30
    assert not any(isinstance(value, labelled.Data) for value in vars(read).values())
    found = make("evolution").run(TabularBenchmark("nb201", "cifar10"), BUDGET, 0)
    assert len(found.steps) == 25
    assert forbidden == []


def test_decisions_are_the_same_whatever_test_accuracy_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Steps with test accuracy as published, as NaN, and upside down."""
    before = searches(published_like())
    read = labels._table

    def changed(kind: str) -> None:
        def other(name: str, dataset: str, split: str, source: str | None, seeds: str) -> pd.DataFrame:
            if split == "val":
                return read(name, dataset, split, source, seeds)
            archs = read(name, dataset, "val", None, seeds).index
            values = np.full(len(archs), np.nan) if kind == "nan" else np.arange(len(archs), dtype=float)
            table = pd.DataFrame({"test": values}, index=archs)
            table.attrs["provenance"] = {"source": kind, "version": "made up"}
            return table

        monkeypatch.setattr(labels, "_table", other)

    for kind in ("nan", "upside down"):
        changed(kind)
        assert searches(published_like()) == before
    changed("nan")
    runs = [SearchRun("evolution", evaluations=12, seed=seed) for seed in range(2)]
    with_nan = run_searches(runs, tmp_path / "nan.jsonl")
    monkeypatch.setattr(labels, "_table", read)
    as_published = run_searches(runs, tmp_path / "published.jsonl")
    columns = ["arch", "val", "cost", "trainings", "incumbents"]
    pd.testing.assert_frame_equal(with_nan[columns], as_published[columns])


# An algorithm that tries.


@dataclass(frozen=True)
class Cheat(SearchMethod):
    """Looks for anything that is called test, or a judge, in what it is given, and asks for it."""

    name = "cheat"

    def search(self, session: Session, generator: np.random.Generator) -> None:
        for holder in (session, session.choices, session._table, session.budget):
            for word in ("test", "judge", "judged", "test_accuracy", "truth"):
                assert not hasattr(holder, word)
        with pytest.raises(TypeError):
            session.query(session.archs[0], split="test")  # type: ignore[call-arg]
        for epochs in (0, -1, 201, 10**6):
            with pytest.raises(BadInput):
                session.query(session.archs[0], epochs)
        session.query(session.archs[0])


def test_an_algorithm_that_asks_for_test_accuracy_fails() -> None:
    found = Cheat().run(published_like(), BUDGET, 0)
    assert len(found.steps) == 1


def reachable(start: object) -> list[object]:
    """Everything that can be reached by following references, but for modules, classes and the code's own globals."""
    seen: dict[int, object] = {}
    todo = [start]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, types.ModuleType | type | types.BuiltinFunctionType | types.CodeType):
            continue
        seen[id(item)] = item
        if isinstance(item, types.FunctionType):
            todo += [cell.cell_contents for cell in item.__closure__ or ()]
        elif isinstance(item, types.MethodType):
            todo.append(item.__self__)
        else:
            todo += gc.get_referents(item)
    return list(seen.values())


def test_no_test_accuracy_can_be_reached_from_a_session() -> None:
    """The published benchmark: its arrays are the validation accuracies and the times, and there is no other table."""
    try:
        test = labels.accuracy("nb201", "cifar10", "test", "best").to_numpy()
    except errors.LabelsMissing:
        pytest.skip("no test labels on this machine, so there is nothing to find")
    benchmark = TabularBenchmark("nb201", "cifar10")
    session = benchmark.open(BUDGET)
    everything = reachable(session)
    arrays = [item for item in everything if isinstance(item, np.ndarray) and item.size >= 1000]
    assert len(arrays) == 2 * len(benchmark.table.fidelities)
    for array in arrays:
        assert not np.isclose(array, test, atol=0.02).mean() > 0.1
    assert not any(isinstance(item, pd.DataFrame | pd.Series | Judge | labelled.Data) for item in everything)
    floats = {item for item in everything if isinstance(item, float)}
    assert not floats & set(test.tolist())
    judge = reachable(Judge())  # the walk does find it where it is
    assert any(
        isinstance(item, np.ndarray) and item.shape == test.shape and np.array_equal(item, test) for item in judge
    )


def test_the_judge_reads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, str]] = []
    table = labels._table

    def noted(name: str, dataset: str, split: str, source: str | None, seeds: str) -> pd.DataFrame:
        read.append((dataset, split))
        return table(name, dataset, split, source, seeds)

    monkeypatch.setattr(labels, "_table", noted)
    judge = Judge()
    archs = ["|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"]
    for _ in range(3):
        judge.accuracy(archs, "cifar10", "val")
        judge.best("cifar100", "val")
    assert sorted(read) == sorted({(d, s) for d in nb201.DATASETS for s in ("val", "test")})
    assert (EPOCHS, FULL) == (12, 200)
