"""Node-wise values of 60 random small networks of every kind of layer agree with plain autograd, for all seven proxies."""

import pytest
import torch
from plain_autograd import reference
from random_networks import random_pair

from parzc_core.collector import collect_statistics
from parzc_core.proxies import NODE_PROXIES

NETWORKS = 60


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_values_agree_with_plain_autograd(seed: int) -> None:
    network, plain, x, y = random_pair(seed)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    statistics = collect_statistics(network, x, y)
    packed = [name for name in statistics.nodes if name.endswith("in_proj")]
    expected = reference(plain, x, y, outside_z=packed)
    assert statistics.left_out == ()
    assert set(statistics.nodes) == set(expected["snip"])
    for proxy in NODE_PROXIES:
        for node, value in zip(statistics.nodes, statistics.of(proxy), strict=True):
            assert value == pytest.approx(expected[proxy][node], rel=1e-7, abs=1e-12), (proxy, node)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
