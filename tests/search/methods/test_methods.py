"""Each search method: oracles with known answers, and what must always hold."""

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from search_toys import BEST, SIX, separable, six, tiny_pool
from sklearn.exceptions import ConvergenceWarning

from parzc_core.errors import BadInput
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.search import METHODS
from parzc_core.search import method as make
from parzc_core.search.benchmark import FULL, Budget, TabularBenchmark
from parzc_core.search.method import SearchMethod
from parzc_core.search.methods import bohb
from parzc_core.search.methods.evolution import RegularisedEvolution
from parzc_core.search.methods.nasbot import expected_improvement
from parzc_core.search.methods.parzc import ParZC
from parzc_core.search.methods.random_search import RandomSearch
from parzc_core.search.methods.reinforce import Reinforce
from parzc_core.spaces import nb201

QUICK = {
    "npenas": {"epochs": 5, "children": 20},
    "nasbot": {"pool": 40},
    "parzc": {"train": 10, "size": "tiny", "epochs": 3},
}
needs_optuna = pytest.mark.skipif(not bohb.installed(), reason="optuna is not installed")
NAMES = [pytest.param(name, marks=needs_optuna) if name == "bohb" else name for name in METHODS]


@pytest.fixture(scope="module")
def cells() -> TabularBenchmark:
    return separable(low=True)


def quick(name: str, benchmark: TabularBenchmark) -> SearchMethod:
    """The method with settings that make it fast."""
    given_pool = {"given": tiny_pool(benchmark)} if name == "parzc" else {}
    return make(name, **QUICK.get(name, {}), **given_pool)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_is_reproducible_and_keeps_to_its_budget(name: str, cells: TabularBenchmark) -> None:
    budget = Budget(seconds=400_000)
    one, again, other = (quick(name, cells).run(cells, budget, seed) for seed in (0, 0, 1))
    assert one.steps == again.steps
    assert one.steps != other.steps
    seconds = [cells.table.fidelities[s.epochs].seconds[cells.position(s.arch)] for s in one.steps]
    np.testing.assert_allclose([step.cost for step in one.steps], np.cumsum(seconds))
    assert one.cost <= 400_000
    assert one.cost + max(cells.table.fidelities[FULL].seconds) > 400_000  # it stops only where money is short
    assert len({(step.arch, step.epochs) for step in one.steps}) == len(one.steps)
    assert set(one.seconds) >= {"search"}
    assert min(one.seconds.values()) >= 0


@pytest.mark.parametrize("name", ["random", "evolution", "reinforce"])
def test_the_global_random_state_is_left_alone(name: str, cells: TabularBenchmark) -> None:
    import torch

    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    make(name).run(cells, Budget(evaluations=20), 0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002


def test_random_search_finds_what_the_hypergeometric_says() -> None:
    """The largest of n draws without replacement from 6: P(max = k-th) = C(k-1, n-1) / C(6, n)."""
    for n in (1, 2, 4):
        chances = [math.comb(k - 1, n - 1) / math.comb(6, n) for k in range(1, 7)]
        mean = sum(p * (49 + k) for k, p in enumerate(chances, 1))
        spread = math.sqrt(sum(p * (49 + k - mean) ** 2 for k, p in enumerate(chances, 1)))
        benchmark = six()
        found = [
            benchmark.full_accuracy(RandomSearch().run(benchmark, Budget(evaluations=n), s).chosen) for s in range(600)
        ]
        assert np.mean(found) == pytest.approx(mean, abs=4 * spread / math.sqrt(600))
    assert RandomSearch().run(six(), Budget(evaluations=6), 0).chosen == "c-y"


def test_evolution_keeps_its_population_and_the_oldest_dies(cells: TabularBenchmark) -> None:
    session = cells.open(Budget(evaluations=40))
    evolution = RegularisedEvolution(population=10, sample=3)
    before = None
    for generation, population in zip(
        range(25), evolution.generations(session, np.random.default_rng(0)), strict=False
    ):
        assert len(population) == 10
        assert [member.born for member in population] == list(range(generation, generation + 10))
        if before is not None:
            assert population[:-1] == before[1:]
            child = nb201.parse(population[-1].arch)
            distances = [sum(a != b for a, b in zip(child, nb201.parse(m.arch), strict=True)) for m in before]
            assert 1 in distances
        before = population


def test_evolution_without_selection_breeds_from_anyone_and_with_all_from_the_best(cells: TabularBenchmark) -> None:
    """With a sample far larger than the population, the parent is the best that lives."""
    session = cells.open(Budget(evaluations=60))
    evolution = RegularisedEvolution(population=5, sample=5)
    found = []
    before: Sequence[object] | None = None
    for _, population in zip(range(50), evolution.generations(session, np.random.default_rng(1)), strict=False):
        if before is not None:
            best = max(before, key=lambda m: m.accuracy)  # type: ignore[attr-defined]
            child = nb201.parse(population[-1].arch)
            found.append(sum(a != b for a, b in zip(child, nb201.parse(best.arch), strict=True)) == 1)
        before = population
    assert np.mean(found) > 0.5  # a sample of 5 of 5, with replacement, holds the best in 67 % of draws


def test_reinforce_learns_the_best_option_of_every_place(cells: TabularBenchmark) -> None:
    found = Reinforce(learning_rate=0.05).run(cells, Budget(evaluations=1500), 0)
    late = [step.accuracy for step in found.steps[-50:]]
    early = [step.accuracy for step in found.steps[:50]]
    assert np.mean(late) > np.mean(early) + 10
    assert found.chosen == BEST
    assert found.ended.startswith("nothing new")  # the policy has converged
    still = Reinforce(learning_rate=1e-9).run(cells, Budget(evaluations=300), 0)
    assert np.mean([step.accuracy for step in still.steps[-50:]]) < np.mean(early) + 8


@pytest.mark.parametrize("name", ["evolution", "nasbot"])
def test_a_guided_search_beats_random_search(name: str, cells: TabularBenchmark) -> None:
    budget = Budget(evaluations=60)
    guided, random = (
        np.mean([cells.full_accuracy(quick(kind, cells).run(cells, budget, s).chosen) for s in range(3)])
        for kind in (name, "random")
    )
    assert guided > random + 2


def test_npenas_beats_random_search(cells: TabularBenchmark) -> None:
    found = make("npenas", epochs=60, children=40).run(cells, Budget(evaluations=50), 0)
    random = RandomSearch().run(cells, Budget(evaluations=50), 0)
    assert cells.full_accuracy(found.chosen) > cells.full_accuracy(random.chosen)
    assert len(found.steps) == 50


@needs_optuna
def test_bohb_trains_fully_only_what_was_among_the_best_of_the_cheap(cells: TabularBenchmark) -> None:
    found = make("bohb").run(cells, Budget(seconds=1_000_000), 0)
    low = [step for step in found.steps if step.epochs == EPOCHS]
    full = [step for step in found.steps if step.epochs == FULL]
    assert {step.arch for step in full} <= {step.arch for step in low}
    assert 3 * len(full) < len(low)
    best = max(full, key=lambda step: step.accuracy)
    assert best.accuracy - 10 >= np.quantile([step.accuracy for step in low], 0.95)
    assert found.incumbents()[-1].epochs == FULL


@needs_optuna
def test_bohb_of_one_fidelity_trains_each_once() -> None:
    benchmark = separable()
    budget = Budget(evaluations=60)
    found, random = make("bohb", two=False).run(benchmark, budget, 0), RandomSearch().run(benchmark, budget, 0)
    assert {step.epochs for step in found.steps} == {FULL}
    assert found.incumbents()[-1].accuracy > random.incumbents()[-1].accuracy


@needs_optuna
def test_bohb_without_a_cheap_training_or_its_library(monkeypatch: pytest.MonkeyPatch, cells: TabularBenchmark) -> None:
    with pytest.raises(BadInput, match="BOHB needs a cheaper training"):
        make("bohb").run(six(), Budget(evaluations=2), 0)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert not bohb.installed()
    with pytest.raises(BadInput, match=r"pip install 'parzc\[search\]'"):
        make("bohb").run(cells, Budget(seconds=50_000), 0)


def test_expected_improvement_against_sampling() -> None:
    draws = np.random.default_rng(0).normal(1.0, 2.0, 400_000)
    assert expected_improvement(np.array([1.0]), np.array([2.0]), 1.5)[0] == pytest.approx(
        np.maximum(draws - 1.5, 0).mean(), abs=0.01
    )
    assert expected_improvement(np.array([1.0, 3.0]), np.zeros(2), 1.5).tolist() == [0.0, 1.5]


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_bayesian_optimisation_searches_a_whole_small_space() -> None:
    assert issubclass(ConvergenceWarning, UserWarning)
    found = make("nasbot", start=2).run(six(), Budget(evaluations=6), 0)
    assert {step.arch for step in found.steps} == set(SIX.archs())


def test_parzc_trains_random_ones_then_those_that_rank_highest(cells: TabularBenchmark) -> None:
    pool = tiny_pool(cells)
    ranker = ParZC(train=20, size="tiny", epochs=60, encoding="aligned", parts=("Mixer", "BN"), given=pool)
    found = ranker.run(cells, Budget(evaluations=35), 0)
    assert {step.arch for step in found.steps} <= set(pool.archs)
    first, then = found.steps[:20], found.steps[20:]
    left = [a for a in pool.archs if a not in {step.arch for step in first}]
    assert np.mean([step.accuracy for step in then]) > np.mean([cells.full_accuracy(arch) for arch in left])
    assert found.seconds["collecting"] == 7.0
    assert found.seconds["training"] > 0
    assert found.seconds["ranking"] > 0
    few = ranker.run(cells, Budget(evaluations=5), 0)  # less than it wants to learn from
    assert few.steps == found.steps[:5]
    assert "training" not in few.seconds
    every = ranker.run(cells, Budget(evaluations=100), 0)
    assert (len(every.steps), every.ended) == (60, "has nothing more to ask")
