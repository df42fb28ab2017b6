"""ParZC+ and RoBoT as searches: what they pick, that they find what they can, and bad settings."""

import dataclasses

import numpy as np
import pytest
from search_toys import separable, tiny_plus_pool

from parzc_core.errors import BadInput, UnknownName
from parzc_core.search import Budget, TabularBenchmark, method
from parzc_core.search.methods import robot
from parzc_core.search.methods.parzc_plus import ParZCPlusSearch, pool_order
from parzc_core.spaces import nb201


@pytest.fixture(scope="module")
def benchmark() -> TabularBenchmark:
    return separable()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_it_finds_the_best_of_its_pool_long_before_all_are_trained(benchmark: TabularBenchmark, seed: int) -> None:
    pool = tiny_plus_pool(benchmark)
    best = max(pool.archs, key=benchmark.full_accuracy)
    found = method("parzc_plus", given=pool).run(benchmark, Budget(evaluations=60), seed)
    assert found.chosen == best
    assert found.seconds["collecting"] == 7.0
    assert {"collecting", "ranking"} <= set(found.seconds)


def test_a_step_trains_no_two_isomorphic_cells_and_nothing_twice(benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark, 400)
    kind = dict(zip(pool.archs, pool.inputs.classes.tolist(), strict=True))
    steps = [step.arch for step in method("parzc_plus", given=pool).run(benchmark, Budget(evaluations=60), 1).steps]
    assert len(set(steps)) == len(steps) == 60
    for start in range(20, 60, 5):
        assert len({kind[arch] for arch in steps[start : start + 5]}) == 5


def test_the_weight_of_the_spread_decides_how_much_it_explores(benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark)
    mean = {}
    for weight in (0.0, 50.0):
        found = method("parzc_plus", given=pool, weights=(weight,) * 5).run(benchmark, Budget(evaluations=40), 0)
        mean[weight] = np.mean([step.accuracy for step in found.steps[20:]])
    assert mean[0.0] > mean[50.0] + 1


def test_it_begins_with_the_first_of_an_order_no_two_of_a_class_and_goes_on_with_any(benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark, 1000)
    kind = dict(zip(pool.archs, pool.inputs.classes.tolist(), strict=True))
    ordered = dataclasses.replace(pool, order=np.arange(1000.0))
    firsts = []
    for seed in range(3):
        search = method("parzc_plus", given=ordered, start=12, ordered=8)
        firsts.append([step.arch for step in search.run(benchmark, Budget(evaluations=12), seed).steps])
        assert set(firsts[-1][:8]) <= set(pool.archs[-20:])  # two in a hundred
        assert len({kind[arch] for arch in firsts[-1][:8]}) == 8
        assert len(set(firsts[-1])) == 12
        assert len(set(firsts[-1][8:]) & set(pool.archs[-20:])) <= 2
    assert firsts[0] != firsts[1] != firsts[2]


def test_without_an_order_nothing_changes_and_a_pool_needs_its_own(benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark, 300)
    ordered = dataclasses.replace(pool, order=np.arange(300.0))
    steps = [method("parzc_plus", given=each).run(benchmark, Budget(evaluations=25), 4).steps for each in (pool, ordered)]
    assert steps[0] == steps[1]
    with pytest.raises(BadInput, match="got a pool without an order, and ordered=3"):
        method("parzc_plus", given=pool, ordered=3).run(benchmark, Budget(evaluations=25), 4)


def test_the_order_of_the_committed_cells_reads_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("judged", "learned", "accuracy"):
        monkeypatch.setattr(f"parzc_core.labels.{name}", lambda *_: pytest.fail("a label was read"))
    order = pool_order("nb201", "cifar10", 150)
    assert (order.shape, np.isfinite(order).all()) == ((150,), True)
    keys = {method("parzc_plus", ordered=ordered, cells=150).reads("nb201", "cifar10") for ordered in (0, 3, 5)}
    assert len(keys) == 2  # the committee is part of the key where there is one


def test_a_pool_that_is_all_trained_ends_the_search(benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark, 30)
    found = method("parzc_plus", given=pool).run(benchmark, Budget(evaluations=100), 0)
    assert sorted(step.arch for step in found.steps) == sorted(pool.archs)
    assert found.ended == "has nothing more to ask"


def test_mutants_reach_cells_outside_the_pool(benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark, 30)
    found = method("parzc_plus", given=pool, mutants=40).run(benchmark, Budget(evaluations=60), 0)
    outside = [step for step in found.steps if step.arch not in pool.archs]
    assert len(outside) >= 20
    assert benchmark.full_accuracy(found.chosen) > max(map(benchmark.full_accuracy, pool.archs))


def test_equal_accuracies_are_no_error(monkeypatch: pytest.MonkeyPatch, benchmark: TabularBenchmark) -> None:
    pool = tiny_plus_pool(benchmark, 60)
    monkeypatch.setattr("parzc_core.search.benchmark.Session.query", same(benchmark))
    found = method("parzc_plus", given=pool).run(benchmark, Budget(evaluations=35), 0)
    assert len(found.steps) == 35


def same(benchmark: TabularBenchmark):  # type: ignore[no-untyped-def]
    from parzc_core.search.benchmark import Session

    query = Session.query
    return lambda self, arch, epochs=None: query(self, arch, epochs) * 0 + 50.0


@pytest.mark.parametrize(
    "wrong",
    [{"start": 1}, {"weights": ()}, {"weights": (-1.0,)}, {"mutants": -1}, {"parents": 0}, {"ordered": 21}, {"ordered": -1}],
    ids=str,
)
def test_bad_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="expected at least 2 to start with"):
        ParZCPlusSearch(**wrong)  # type: ignore[arg-type]


def scores(monkeypatch: pytest.MonkeyPatch, benchmark: TabularBenchmark) -> None:
    """Six made-up scores, of which the second alone tells accuracy."""
    archs = benchmark.table.archs
    values = np.random.default_rng(0).random((len(archs), 6))
    accuracy = benchmark.table.fidelities[200].accuracy
    values[:, 1] = (accuracy - accuracy.min()) / np.ptp(accuracy)
    monkeypatch.setattr(robot, "scaled_scores", lambda *a: (archs, values))


def test_robot_learns_which_score_tells_accuracy(monkeypatch: pytest.MonkeyPatch, benchmark: TabularBenchmark) -> None:
    scores(monkeypatch, benchmark)
    best = benchmark.table.fidelities[200].accuracy.max()
    regret = {
        name: np.mean([best - benchmark.full_accuracy(method(name, **of).run(benchmark, Budget(evaluations=30), seed).chosen)
                       for seed in range(5)])
        for name, of in {"random": {}, "robot": {"candidates": 500}}.items()
    }  # fmt: skip
    assert regret["robot"] < 0.5 * regret["random"]


def test_robots_weights_after_its_iterations_rank_the_rest(
    monkeypatch: pytest.MonkeyPatch, benchmark: TabularBenchmark
) -> None:
    scores(monkeypatch, benchmark)
    found = method("robot", iterations=1, candidates=3).run(benchmark, Budget(evaluations=6), 0)
    archs, values = robot.scaled_scores("nb201", "cifar10", "raw")
    weights = np.random.default_rng(0).uniform(-1, 1, (3, 6))[0]
    order = [archs[i] for i in np.argsort(-(values @ weights), kind="stable")[:6]]
    assert [step.arch for step in found.steps] == order


def test_scaled_scores_are_of_the_whole_space_and_between_0_and_1() -> None:
    archs, values = robot.scaled_scores("nb201", "cifar10", "log")
    assert len(archs) == nb201.ARCH_COUNT
    assert values.shape == (nb201.ARCH_COUNT, 6)
    np.testing.assert_allclose([values.min(axis=0), values.max(axis=0)], [[0.0] * 6, [1.0] * 6], atol=1e-12)
    with pytest.raises(UnknownName, match="transform of RoBoT"):
        method("robot", transform="square")
    with pytest.raises(BadInput, match="at least one iteration"):
        method("robot", iterations=0)
