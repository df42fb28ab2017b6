"""Plain and GraSP before a BatchNorm, in float64 by autograd alone, and in what the collector stores."""

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core.collector import NodeStatistics, collect_statistics
from parzc_core.proxies import NODE_REGISTRY, NodeTensors
from parzc_core.runs.scale_free import (
    identity_sentence,
    identity_table,
    node_values,
    range_outside,
    scale_free_nodes,
    scale_free_slots,
)
from parzc_core.spaces import nb101, nb201


def small(eps: float = 1e-14) -> nn.Sequential:
    """Two convolutions behind which a BatchNorm stands, one without, a classifier; float64."""
    torch.manual_seed(3)
    layers: list[nn.Module] = [
        *(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4, eps=eps), nn.ReLU()),
        *(nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5, eps=eps), nn.ReLU()),
        *(nn.Conv2d(5, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)),
    ]
    return nn.Sequential(*layers).double()


def derivatives(network: nn.Module) -> dict[str, NodeTensors]:
    """W, g and H g of every node, by autograd."""
    generator = torch.Generator().manual_seed(0)
    images, classes = torch.randn(8, 3, 6, 6, generator=generator).double(), torch.arange(8) % 3
    nodes = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    weights = [module.weight for module in nodes.values()]
    loss = nn.functional.cross_entropy(network(images), classes)
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    products = torch.autograd.grad(sum((g * g.detach()).sum() for g in gradients), weights)
    parts = zip(nodes, weights, gradients, products, strict=True)
    return {name: NodeTensors(w.detach(), g.detach(), hessian_gradient=h) for name, w, g, h in parts}


def test_behind_a_batchnorm_plain_is_zero_and_grasp_is_the_squared_gradient_norm():
    found = derivatives(small())
    plain, grasp, norm, snip = (NODE_REGISTRY[name].formula for name in ("plain", "grasp", "grad_norm", "snip"))
    for name in ("0", "3"):
        node = found[name]
        assert abs(plain(node)) < 1e-12 * snip(node)
        assert grasp(node) == pytest.approx(norm(node) ** 2, rel=1e-9)
    for name in ("6", "10"):  # where no BatchNorm follows neither holds
        node = found[name]
        assert abs(plain(node)) > 1e-3 * snip(node)
        assert grasp(node) != pytest.approx(norm(node) ** 2, rel=0.05)


def test_the_scale_of_a_weight_times_the_hessian_is_minus_the_gradient():
    network = small()
    generator = torch.Generator().manual_seed(0)
    images, classes = torch.randn(8, 3, 6, 6, generator=generator).double(), torch.arange(8) % 3
    first, second = network[0].weight, network[3].weight
    loss = nn.functional.cross_entropy(network(images), classes)
    g_first, g_second = torch.autograd.grad(loss, [first, second], create_graph=True)
    own, other = torch.autograd.grad((g_first * first.detach()).sum(), [first, second])  # H_WW W, and H_VW W of the other node
    assert torch.allclose(own, -g_first, rtol=1e-9, atol=1e-14)
    assert float(other.norm()) < 1e-12 * float(g_second.detach().norm())


def test_the_eps_of_the_batchnorm_is_all_that_is_left():
    off = []
    for eps in (1e-1, 1e-3):
        node = derivatives(small(eps))["0"]
        off.append(abs(NODE_REGISTRY["grasp"].formula(node) / NODE_REGISTRY["grad_norm"].formula(node) ** 2 - 1))
    assert off[0] > 10 * off[1] > 0


def test_nodes_in_front_of_a_batchnorm_are_found():
    assert scale_free_nodes(small()) == {"0", "3"}
    network = nb201.build(nb201.to_string(["nor_conv_3x3"] * 6), channels=2)
    outside = {"cells.5.downsample.1", "cells.11.downsample.1", "classifier"}
    assert set(nb201.SLOTS) - scale_free_nodes(network) == outside
    assert set(nb201.SLOTS) - scale_free_slots("nb201", [nb201.arch(0)]) == outside
    cells = nb101.sample(2, 0)
    assert set(nb101.SLOTS) - scale_free_slots("nb101", cells) == {"classifier"}


def test_where_the_greatest_and_the_least_value_lie():
    values = [np.array([[1.0, 5.0, 2.0]]), np.array([[-1.0, 3.0, 7.0]]), np.zeros((1, 3))]
    cells = [NodeStatistics(("a", "b", "c"), ("grasp",), v, np.ones(3, np.int64), (0, 1, 2)) for v in values]
    assert range_outside(cells, "grasp", {"a", "c"}) == (50, 0)
    assert all(np.isnan(range_outside(cells[2:], "grasp", {"a"})))


def test_the_collector_stores_what_the_identity_says():
    torch.manual_seed(0)
    network = nb201.build(nb201.arch(6111), channels=4, cells=1)
    images, classes = torch.randn(8, 3, 16, 16), torch.arange(8)
    table = identity_table(node_values([collect_statistics(network, images, classes)], scale_free_nodes(network)))
    assert table.index.tolist() == ["before a BatchNorm", "others"]
    assert table.loc["before a BatchNorm", "GraSP / GradNorm², median"] == pytest.approx(1, abs=0.02)
    assert table.loc["before a BatchNorm", "|Plain| / SNIP, median"] < 1e-4 < table.loc["others", "|Plain| / SNIP, median"]


def test_nodes_without_gradient_are_left_out_and_the_sentence_counts_the_others():
    values = np.array([[4.0, 9.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.5, 0.0], [1.0, 1.0, 0.0]])
    one = NodeStatistics(("a", "b", "c"), ("grasp", "grad_norm", "plain", "snip"), values, np.ones(3, np.int64), (0, 1, 2))
    table = identity_table(node_values([one], {"a"}))
    assert table["nodes"].tolist() == [1, 1]
    assert table.loc["before a BatchNorm"].tolist() == [1, 1, 100, 0]
    assert table.loc["others", "GraSP / GradNorm², median"] == pytest.approx(9 / 4)
    assert "1 nodes before a BatchNorm: GraSP is 1.000 times" in identity_sentence(table)
    assert "1 nodes without one: GraSP is 2.250" in identity_sentence(table)
