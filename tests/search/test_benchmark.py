"""Benchmarks of search, architectures as choices, and what a search leaves behind; bad input."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_toys import SIX, six, table

from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName
from parzc_core.labels import nb201_12_epochs
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.search import method as make
from parzc_core.search.benchmark import FULL, PATIENCE, Budget, BudgetSpent, Fidelity, Step, Table, TabularBenchmark
from parzc_core.search.choices import NB201
from parzc_core.search.method import Trajectory
from parzc_core.search.methods.random_search import RandomSearch
from parzc_core.spaces import nb201

# The benchmark.


def test_a_query_gives_the_table_and_counts_its_seconds() -> None:
    session = six().open(Budget(evaluations=6))
    assert session.query("c-y") == 55
    assert session.query("a-x") == 50
    assert session.cost == 15 + 10
    assert [(step.arch, step.accuracy, step.cost) for step in session.steps] == [("c-y", 55, 15), ("a-x", 50, 25)]


def test_the_cheaper_training_costs_its_share() -> None:
    session = six(low=True).open(Budget(seconds=50))
    assert session.fidelities == (EPOCHS, FULL)
    assert session.query("c-y", EPOCHS) == 45
    assert session.cost == pytest.approx(15 * 12 / 200)
    assert not session.known("c-y")
    session.query("c-y")
    assert session.cost == pytest.approx(15 * 212 / 200)


def test_what_is_known_costs_nothing_and_for_how_long() -> None:
    session = six().open(Budget(evaluations=1))
    session.query("a-x")
    for _ in range(PATIENCE - 1):
        assert session.query("a-x") == 50
    assert (session.cost, session.repeats, len(session.steps)) == (10, PATIENCE - 1, 1)
    with pytest.raises(BudgetSpent, match="nothing new"):
        session.query("a-x")


def test_the_budget_ends_before_it_is_exceeded() -> None:
    session = six().open(Budget(seconds=20.9))
    session.query("a-x")
    with pytest.raises(BudgetSpent, match="seconds"):
        session.query("a-y")  # 10 + 11 > 20.9
    assert session.cost == 10
    session = six().open(Budget(seconds=21))
    session.query("a-x")
    session.query("a-y")
    assert session.cost == 21


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({}, "without seconds and evaluations"),
        ({"seconds": 0}, "0 seconds; expected more than 0"),
        ({"evaluations": 0}, "0 evaluations; expected more than 0"),
        ({"seconds": -1.0}, "more than 0"),
        ({"seconds": math.nan}, "more than 0"),
        ({"seconds": math.inf}, "more than 0"),
        ({"evaluations": 7}, r"7 evaluations; the space has 6 architectures"),
        ({"seconds": 75.5}, r"training every architecture .* takes 75"),
        ({"seconds": 9.9}, "pays for no training"),
    ],
)
def test_bad_budgets(budget: dict[str, float], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        RandomSearch().run(six(), Budget(**budget), 0)  # type: ignore[arg-type]


def test_unknown_names_and_missing_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="cifar11"):
        TabularBenchmark("nb201", "cifar11")
    with pytest.raises(UnknownName, match="nb301"):
        TabularBenchmark("nb301", "cifar10")
    with pytest.raises(UnknownName, match="hill"):
        make("hill climbing")
    with pytest.raises(BadInput, match="evolution was given"):
        make("evolution", size=3)
    with pytest.raises(BadInput, match="sample <= population"):
        make("evolution", population=2)
    session = six().open(Budget(evaluations=1))
    with pytest.raises(BadInput, match="d-x"):
        session.query("d-x")
    with pytest.raises(BadInput, match="epochs=12; expected one of 200"):
        session.query("a-x", 12)
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path))
    with pytest.raises(LabelsMissing, match=r"12-epoch accuracy.*parzc data fetch"):
        TabularBenchmark("nb201", "cifar10", epochs=12)
    with pytest.raises(BadInput, match="epochs=100; nb201 cifar10 has trainings of 200 epochs"):
        TabularBenchmark("nb201", "cifar10", epochs=100)
    damaged = tmp_path / "nasbench201" / "hp12_accuracies.csv.gz"
    damaged.parent.mkdir()
    damaged.write_bytes(b"other")
    with pytest.raises(CorruptDownload, match="hp12_accuracies"):
        TabularBenchmark("nb201", "cifar10", epochs=12)


def test_an_architecture_without_accuracy_is_refused() -> None:
    known = table(SIX, lambda _: 50.0)
    values = known.fidelities[FULL].accuracy.copy()
    values[2] = np.nan
    holed = Table(known.choices, known.archs, {FULL: Fidelity(values, known.fidelities[FULL].seconds)})
    with pytest.raises(BadInput, match="no accuracy or no training time"):
        TabularBenchmark("toy", "made-up", table=holed)


def test_published_times_and_the_low_fidelity() -> None:
    benchmark = TabularBenchmark("nb201", "CIFAR10")
    assert len(benchmark.table.archs) == 15625
    assert benchmark.table.fidelities[FULL].accuracy.max() == pytest.approx(91.6067, abs=1e-4)
    assert benchmark.table.fidelities[FULL].seconds.mean() == pytest.approx(1828, abs=1)
    if not nb201_12_epochs.at_hand():
        pytest.skip("no 12-epoch labels")
    low = benchmark.table.fidelities[EPOCHS]
    assert low.accuracy[:2] == pytest.approx([63.364, 82.834])  # of the published table, architectures 0 and 1
    np.testing.assert_allclose(low.seconds / benchmark.table.fidelities[FULL].seconds, 0.06)
    assert benchmark.table.archs[0] == nb201.arch(0)


# Choices.


@given(st.integers(0, 15624), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_mutant_differs_at_one_place(index: int, seed: int) -> None:
    space = NB201
    arch = nb201.arch(index)
    mutant = space.mutate(arch, np.random.default_rng(seed))
    assert sum(a != b for a, b in zip(nb201.parse(arch), nb201.parse(mutant), strict=True)) == 1
    one, other = space.one_hot([arch, mutant])
    assert ((one - other) ** 2).sum() == 2
    assert one.sum() == 6


def test_mutants_and_samples_reach_everything() -> None:
    generator = np.random.default_rng(0)
    assert len(SIX) == 6
    assert {SIX.mutate("a-x", generator) for _ in range(200)} == {"b-x", "c-x", "a-y"}
    assert {SIX.sample(generator) for _ in range(300)} == set(SIX.archs())


# What a search leaves behind.


def steps(*values: tuple[int, float]) -> Trajectory:
    made = tuple(Step(str(i), epochs, value, float(i)) for i, (epochs, value) in enumerate(values))
    return Trajectory("m", "s", "d", FULL, Budget(evaluations=9), 0, made, 0, {}, "")


def test_the_best_so_far_is_of_the_longest_training() -> None:
    found = steps((12, 60), (12, 70), (200, 65), (12, 80), (200, 64), (200, 66))
    assert [step.arch for step in found.incumbents()] == ["0", "1", "2", "5"]
    assert found.chosen == "5"
    assert found.table()["best"].tolist() == [60, 70, 65, 65, 65, 66]
    assert [step.arch for step in steps((200, 60), (200, 60), (200, 59)).incumbents()] == ["0"]  # the first of equals
