"""Bad calls of the API: each is one named error, never a raw one, and is not taken silently; numpy's integers are integers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core import (
    MABN,
    MABNConfig,
    collect_statistics,
    diff_kendall,
    encode,
    fit,
    load_ranker,
    losses,
    metrics,
    rank_networks,
)
from parzc_core.collecting.one import CollectionConfig
from parzc_core.encoding import Encoder
from parzc_core.errors import MOST_SEED, BadInput, ParzcError, UnknownName, floats, is_whole, real, seed_of, whole
from parzc_core.gcn import NP, NPConfig
from parzc_core.predictors import registry
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.trees import Trees, TreesConfig
from parzc_core.ranker import Inputs, ModelConfig
from parzc_core.spaces import nb101, nb201, space
from parzc_core.training import TrainingConfig, fit_many

torch.manual_seed(0)
NET = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 3))
X, Y = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0])
STATISTICS = [collect_statistics(NET, X, Y, ["snip"]) for _ in range(3)]
ROWS = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
ACCURACY = np.arange(6.0) + 50
QUICK = TrainingConfig(ModelConfig(("Mixer", "BN"), MABNConfig(12, 32, 16, 8, 1)), epochs=1)
GRAPHS = TrainingConfig(ModelConfig(("NP",), MABNConfig(12)), epochs=1)
A, O = np.zeros((6, 5, 5), np.float32), np.zeros((6, 5), np.int64)  # noqa: E741
RANKER = fit(ROWS, ACCURACY, QUICK)
HOLED = np.where(ROWS > 1, np.nan, ROWS)
NOT_WHOLE: list[Any] = [True, 1.0, 1.5, "1", None, [1], np.float64(1), np.bool_(True), -1]


def rank(**changes: Any) -> Any:
    given: dict[str, Any] = {"networks": [NET] * 3, "accuracies": [1.0, 2.0], "config": QUICK}
    given |= changes
    return rank_networks(given.pop("networks"), X, Y, given.pop("accuracies"), **given)


CALLS: dict[str, list[Callable[[], Any]]] = {
    "whole numbers": [
        call
        for got in NOT_WHOLE
        for call in (
            lambda got=got: nb201.arch(got),
            lambda got=got: nb101.arch(got),
            lambda got=got: nb201.sample(got, 0),
            lambda got=got: space("nds_darts").sample(got, 0),
            lambda got=got: space("autoformer").sample(got, 0),
            lambda got=got: nb201.build(nb201.arch(1), channels=got),
            lambda got=got: nb201.build(nb201.arch(1), cells=got),
            lambda got=got: nb101.build("input>1|output", stem=got),
            lambda got=got: MABNConfig(got),
            lambda got=got: MABNConfig(12, depth=got),
            lambda got=got: NPConfig(got),
            lambda got=got: TrainingConfig(epochs=got),
            lambda got=got: CollectionConfig(cells=got),
            lambda got=got: RANKER.predict(ROWS, samples=got),
            lambda got=got: rank(samples=got),
            lambda got=got: metrics.top_k_precision(ROWS[0], ROWS[1], got),
            lambda got=got: metrics.bootstrap_interval(metrics.kendall, ROWS[0], ROWS[1], got),
            lambda got=got: (
                encode(STATISTICS, "paper", ["snip"], max_nodes=got) if got is not None else whole("n", got)
            ),
        )
    ],
    "seeds": [
        call
        for got in (-1, 1.5, "a", None, 2**70)
        for call in (
            lambda got=got: fit(ROWS, ACCURACY, QUICK, seed=got),
            lambda got=got: rank(seed=got) if got != 2**70 else whole("n", None),
            lambda got=got: nb201.sample(2, got),
            lambda got=got: space("pit").sample(2, got),
            lambda got=got: metrics.bootstrap_interval(metrics.kendall, ROWS[0], ROWS[1], 5, got),
        )
    ],
    "numbers": [
        call
        for got in ("a", float("nan"), float("inf"), -1, True)
        for call in (
            lambda got=got: TrainingConfig(learning_rate=got),
            lambda got=got: TrainingConfig(weight_decay=got),
            lambda got=got: TrainingConfig(alpha=got),
            lambda got=got: TrainingConfig(losses={"mse": got}),
            lambda got=got: MABNConfig(12, dropout=got) if got is not True else whole("n", got),
            lambda got=got: NPConfig(7, dropout=got),
            lambda got=got: diff_kendall(torch.arange(3.0), torch.arange(3.0), got),
        )
    ],
    "what a ranker reads": [
        call
        for got in (
            HOLED,
            HOLED * np.inf,
            [["a"]] * 6,
            ["a"] * 6,
            ROWS[:, 0],
            ROWS[None],
            None,
            ROWS[:, :0],
            {},
            3,
            "abc",
            STATISTICS,
        )
        for call in (lambda got=got: fit(got, ACCURACY, QUICK),)
    ]
    + [lambda got=got: RANKER.predict(got) for got in (["a"], ROWS[:, 0], None, {}, 3, ROWS[:, :5], [[1], [1, 2]])],
    "accuracies": [
        lambda got=got: fit(ROWS, got, QUICK)
        for got in (HOLED[:, 0] * np.nan, ["50%"] * 6, [True] * 6, None, ACCURACY[:3], ACCURACY[:, None], ACCURACY + 1j)
    ],
    "graphs": [
        lambda: fit(ROWS, ACCURACY, GRAPHS),
        lambda: fit(Inputs(ROWS), ACCURACY, GRAPHS),
        lambda: fit(Inputs(), ACCURACY, QUICK),
        lambda: fit(Inputs("abc"), ACCURACY, QUICK),  # type: ignore[arg-type]
        lambda: fit(Inputs(ROWS, A, O + 99), ACCURACY, GRAPHS),
        lambda: fit(Inputs(ROWS, A, O - 1), ACCURACY, GRAPHS),
        lambda: fit(Inputs(ROWS, A, O.astype(float)), ACCURACY, GRAPHS),
        lambda: fit(Inputs(ROWS, A[:, :3], O), ACCURACY, GRAPHS),
        lambda: fit(Inputs(ROWS, A[:3], O[:3]), ACCURACY, GRAPHS),
        lambda: fit(Inputs(ROWS, A * np.nan, O), ACCURACY, GRAPHS),
        lambda: NP(NPConfig(7))(A, O),
        lambda: NP(NPConfig(7))(torch.from_numpy(A), torch.from_numpy(O + 9)),
        lambda: nb101.Cell([[0, 1], [0, 0]], None),  # type: ignore[arg-type]
        lambda: nb101.build(None),  # type: ignore[arg-type]
    ],
    "other objects": [
        lambda: fit(ROWS, ACCURACY, {"epochs": 1}),  # type: ignore[arg-type]
        lambda: fit(ROWS, ACCURACY, QUICK, encoder="paper"),  # type: ignore[arg-type]
        lambda: fit(STATISTICS, ACCURACY[:3], QUICK, encoder=Encoder()),
        lambda: fit(ROWS, ACCURACY, QUICK, device="abacus"),
        lambda: fit(ROWS, ACCURACY, QUICK, device="meta"),
        lambda: fit_many([], [], QUICK, []),
        lambda: TrainingConfig(model=3),  # type: ignore[arg-type]
        lambda: TrainingConfig(losses=["mse"]),  # type: ignore[arg-type]
        lambda: ModelConfig("Mixer", MABNConfig(12)),  # type: ignore[arg-type]
        lambda: ModelConfig(("NP", "NP"), MABNConfig(12)),
        lambda: ModelConfig(("Mixer",), None),  # type: ignore[arg-type]
        lambda: ModelConfig(("NP", "Mixer"), MABNConfig(12), embedding=1),
        lambda: MABN(MABNConfig(12))(ROWS),
        lambda: load_ranker(None),  # type: ignore[arg-type]
        lambda: RANKER.save("/proc/nowhere/ranker.npz"),
        lambda: losses.loss(torch.arange(3.0), torch.arange(2.0), {"mse": 1.0}),
        lambda: losses.loss([1, 2], [1, 2], {"mse": 1.0}),  # type: ignore[arg-type]
        lambda: metrics.kendall(["1%", "2%"], [1, 2]),  # type: ignore[arg-type]
        lambda: metrics.correlations({}, {}),  # type: ignore[arg-type]
        lambda: collect_statistics(NET, X, Y, 3),  # type: ignore[arg-type]
        lambda: encode(STATISTICS[0], "paper", ["snip"]),  # type: ignore[arg-type]
        lambda: encode("abc", "paper", ["snip"]),
        lambda: encode([1, 2], "aligned", ["snip"]),  # type: ignore[list-item]
        lambda: encode(STATISTICS, "paper", []),
        lambda: encode(STATISTICS, "aligned", ["snip"], train=[99]),
        lambda: encode(STATISTICS, "aligned", ["snip"], train=[-1]),
        lambda: CollectionConfig(seed=-1),
        lambda: CollectionConfig(width=0),
        lambda: CollectionConfig(proxies=None),  # type: ignore[arg-type]
        lambda: rank(networks=NET),
        lambda: rank(networks=None),
        lambda: rank(networks=[NET, None, NET]),
        lambda: rank(accuracies=["50%", "60%"]),
        lambda: rank(accuracies=None),
        lambda: rank(accuracies=[True, False]),
        lambda: rank(proxies=[]),
        lambda: rank(config=3),
    ],
}


@pytest.mark.parametrize("method", ["NP", "TNASP", "extra-trees", "CTNAS"])
def test_predictors_refuse_what_is_no_graph_and_negative_samples(method: str) -> None:
    made = registry.predictor(method, "nb201") if method != "extra-trees" else Trees(TreesConfig(Kinds.of("nb201")))
    with pytest.raises(BadInput, match="expected Inputs"):
        made.fit(ROWS, ACCURACY, seed=0)  # type: ignore[arg-type]
    graphs = [nb201.graph(nb201.arch(i)) for i in range(0, 60, 10)]
    inputs = Inputs(None, np.stack([g.adjacency for g in graphs]), np.stack([g.operations for g in graphs]))
    if method == "extra-trees":
        made.fit(inputs, ACCURACY, seed=0)
        for samples in (-1, 1.5, True):
            with pytest.raises(BadInput, match="samples"):
                made.predict(inputs, samples)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CALLS)
def test_a_bad_call_is_one_named_error(kind: str) -> None:
    for number, call in enumerate(CALLS[kind]):
        with pytest.raises(ParzcError) as error:
            call()
        assert len(str(error.value)) > 15, (kind, number)


def test_the_place_of_a_network_in_the_list_is_said() -> None:
    with pytest.raises(BadInput, match=r"network 2 of the list: got str; expected an nn.Module"):
        rank(networks=[NET, NET, "resnet"])


def test_integers_of_numpy_are_integers() -> None:
    one = np.int64(1)
    assert nb201.arch(one) == nb201.arch(1)
    assert nb201.build(nb201.arch(1), channels=np.int32(4), cells=one, classes=np.uint8(3)).classifier.out_features == 3
    assert nb201.sample(np.int16(2), one) == nb201.sample(2, 1)
    assert TrainingConfig(epochs=one).epochs == 1
    assert MABNConfig(np.int64(12)).input_dim == 12
    assert RANKER.predict(ROWS, np.int64(2))[0].shape == (6,)


def test_checks_of_values() -> None:
    assert [is_whole(got) for got in (3, np.int8(3), np.uint64(3), True, np.bool_(True), 3.0, "3", None)] == [
        True
    ] * 3 + [False] * 5
    assert whole("n", np.int8(3), 1, 5) == 3
    assert type(whole("n", np.int8(3))) is int
    assert real("x", np.float32(0.5), 0, 1) == 0.5
    assert floats("x", [1, 2.5]).tolist() == [1.0, 2.5]
    for none in (np.array(["2026-01-01"], dtype="datetime64[D]"), np.array([True]), np.array(["1"]), np.array([1j])):
        with pytest.raises(BadInput, match="expected numbers"):
            floats("x", none)
    with pytest.raises(BadInput, match=r"got n=6; expected a whole number from 1 to 5"):
        whole("n", 6, 1, 5)
    with pytest.raises(BadInput, match=r"got x=0; expected a number above 0"):
        real("x", 0, 0, above=True)


def test_numbers_beyond_float64_and_seeds_beyond_the_bound_are_refused() -> None:
    for got in (10**400, -(10**400), 10**5000):
        with pytest.raises(BadInput, match="got x="):
            real("x", got)
        with pytest.raises(BadInput, match=r"got x .*expected numbers"):
            floats("x", [got])
        with pytest.raises(BadInput, match="got n="):
            whole("n", got, 0, 5)
    assert seed_of(MOST_SEED) == MOST_SEED == 2**32 - 1
    for seed in (MOST_SEED + 1, 2**70, -1, True):
        with pytest.raises(BadInput, match=r"got seed=.*expected a whole number from 0 to 4294967295"):
            seed_of(seed)


def test_a_name_where_there_is_none_says_so() -> None:
    assert str(UnknownName.of("variant", "x", [])) == "unknown variant 'x'; there is none; leave it out"


def test_node_statistics_that_are_not_finite_are_no_score() -> None:
    good = [collect_statistics(NET, X, Y, ["snip", "synflow", "grad_norm"]) for _ in range(4)]
    broken = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        broken[1].weight[0, 0] = float("nan")
    bad = collect_statistics(broken, X, Y, ["snip", "synflow", "grad_norm"])
    encoder = Encoder("paper").fit(good)
    config = TrainingConfig(ModelConfig(("Mixer", "BN"), MABNConfig(6, 32, 16, 8, 1)), epochs=1)
    ranker = fit(good, ACCURACY[:4], config, encoder=encoder)
    assert np.isnan(ranker.predict([good[0], bad])).tolist() == [False, True]
    assert [np.isnan(part).tolist() for part in ranker.predict([good[0], bad], samples=3)] == [[False, True]] * 2
    with pytest.raises(BadInput, match=r"architectures \[1\] are not finite"):
        fit([good[0], bad, good[1]], ACCURACY[:3], config, encoder=encoder)


def test_a_named_device_trains_the_same_ranker() -> None:
    again = fit(ROWS, ACCURACY, QUICK, device="cpu")
    np.testing.assert_array_equal(again.predict(ROWS), RANKER.predict(ROWS))
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="device='cuda', which cannot be used here"):
            fit(ROWS, ACCURACY, QUICK, device="cuda")
