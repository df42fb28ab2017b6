"""Networks that nobody has trained, in order."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from parzc_core import describe, order_networks
from parzc_core.errors import BadInput
from parzc_core.own.ordering import order_of, ranks
from parzc_core.predictors.label_free import committees, together, votes

IMAGES, LABELS = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4


def network(depth: int, width: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [layer for _ in range(depth) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
    return nn.Sequential(nn.Conv2d(3, width, 3), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


NETWORKS = {f"{depth} x {width}": network(depth, width) for depth in (1, 2, 4) for width in (4, 8, 16)}


def test_larger_networks_come_first_and_the_order_is_that_of_the_votes() -> None:
    found = order_networks(NETWORKS, IMAGES, LABELS)
    assert list(found.index) == list(NETWORKS)
    assert found["rank"].idxmin() == "4 x 16"
    assert found["rank"].idxmax() == "1 x 4"
    described = describe(NETWORKS, IMAGES, LABELS)
    table = votes(described.statistics).join(pd.DataFrame(described.counts, columns=["params", "flops"]))
    assert np.array_equal(found["score"], together(table, committees())[0])
    assert order_networks(described)["score"].tolist() == found["score"].tolist()
    weights = order_of(described)[1]
    assert weights
    assert all(weight > 0 for weight in weights.values())


def test_the_order_does_not_depend_on_the_order_given_and_twins_share_a_rank() -> None:
    found = order_networks(NETWORKS | {"twin": network(2, 8)}, IMAGES, LABELS)
    turned = order_networks(dict(reversed((NETWORKS | {"twin": network(2, 8)}).items())), IMAGES, LABELS)
    assert turned.loc[found.index, "score"].to_numpy() == pytest.approx(found["score"].to_numpy())
    assert found["rank"]["twin"] == found["rank"]["2 x 8"]


def test_networks_that_cannot_be_told_apart_share_a_rank_wherever_they_stand() -> None:
    """The sums of their votes may differ by rounding."""
    sizes = [(1, 8), (1, 16), (2, 8), (3, 32), (1, 16), (2, 4), (1, 16)]
    described = describe([network(*size) for size in sizes], IMAGES, LABELS)
    for seed in range(20):
        places = np.random.default_rng(seed).permutation(len(sizes))
        found = order_networks(described[places])["rank"].to_numpy()[np.argsort(places)]
        assert len({found[i] for i in (1, 4, 6)}) == 1
    assert ranks(np.array([1.0, 0.1 + 0.2, 0.3])).tolist() == [1, 2, 2]


def test_what_describe_gave_is_not_described_again() -> None:
    described = describe(NETWORKS, IMAGES, LABELS)
    for more in ({"images": IMAGES}, {"names": list(NETWORKS)}, {"loss": nn.functional.cross_entropy}):
        with pytest.raises(BadInput, match="expected either"):
            order_networks(described, **more)
    with pytest.raises(BadInput, match="seed"):
        order_networks(NETWORKS, IMAGES, LABELS, seed=-1)


def test_votes_that_are_missing_are_told() -> None:
    with pytest.warns(UserWarning, match="fisher, grad_norm, l2_norm, synflow cast no vote"):
        order_networks(describe(NETWORKS, IMAGES, LABELS, ["snip"]))


def test_a_single_network_and_a_list() -> None:
    assert order_networks([network(1, 4)], IMAGES, LABELS)[["score", "rank"]].to_numpy().tolist() == [[0.0, 1.0]]
    assert list(order_networks(list(NETWORKS.values()), IMAGES, LABELS).index) == list(range(len(NETWORKS)))


def test_a_network_whose_statistics_are_not_finite_has_no_rank() -> None:
    broken = network(2, 8)
    with torch.no_grad():
        broken[0].weight[0] = torch.inf
    with pytest.warns(UserWarning, match="'broken'.* not finite, so they get no score"):
        found = order_networks({"broken": broken, **NETWORKS}, IMAGES, LABELS)
    assert found["rank"].isna().tolist() == [True] + [False] * len(NETWORKS)
    assert found["score"].iloc[1:].to_numpy() == pytest.approx(order_networks(NETWORKS, IMAGES, LABELS)["score"].to_numpy())


def test_networks_without_a_batch_are_refused() -> None:
    with pytest.raises(BadInput, match="got networks without a batch"):
        order_networks(NETWORKS)
    with pytest.raises(BadInput, match="got no networks"):
        order_networks({}, IMAGES, LABELS)
