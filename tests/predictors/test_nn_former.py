"""NN-Former: its masks, its blocks node by node, its batches, its schedule and its averaged weights."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.nn_former import (
    SCHEDULE,
    Attention,
    BothWays,
    NNFormerConfig,
    NNFormerNetwork,
    WarmSchedule,
    averaged,
    compact,
    live_nodes,
)
from parzc_core.predictors.registry import configuration, predictor
from parzc_core.ranker import Inputs
from parzc_core.spaces import nb101, nb201

KINDS = Kinds.of("nb201")
SMALL = {"width": 16, "depth": 2, "hidden": 32, "dropout": 0.0}


def tensors(space, archs):
    cells = [space.graph(arch) for arch in archs]
    return torch.from_numpy(np.stack([c.adjacency for c in cells])), torch.from_numpy(np.stack([c.operations for c in cells]))


def test_its_sizes_are_those_published():
    config = configuration("NN-Former", "nb201")
    assert (config.width, config.depth, config.heads, config.hidden, config.dropout) == (160, 12, 4, 640, 0.1)
    assert (config.rank, config.consistency) == (0.2, 1.0)
    assert WarmSchedule(3000, 128, 1e-4, weight_decay=0.01, cosine=True, warm_up=0.1, floor=0.1, average=0.99) == SCHEDULE
    weights = sum(parameter.numel() for parameter in NNFormerNetwork(8, config).parameters())
    assert weights == 12 * (4 * 160**2 + 3 * 160 * 640 + 4 * 160) + (7 + 9 + 1) * 160 + 4 * 160 + 161


def test_nodes_live_where_a_path_to_the_output_passes_them():
    archs = nb201.sample(200, seed=4)
    adjacency, operations = tensors(nb201, archs)
    live = live_nodes(KINDS, adjacency, operations)
    from_input = [nb201.parse(arch) for arch in archs]
    for arch, ops, found in zip(archs, from_input, live[:, 1:-1].tolist(), strict=True):
        reached = {0}
        for op, (start, end) in zip(ops, nb201.EDGES, strict=True):
            if op != "none" and start in reached:
                reached.add(end)
        to_output = nb201.live_edges(arch)
        assert found == [on and start in reached for on, (start, _) in zip(to_output, nb201.EDGES, strict=True)]
    assert live[:, 0].all()
    assert live[:, -1].all()
    places = tensors(nb101, nb101.sample(50, seed=0))
    assert torch.equal(live_nodes(Kinds.of("nb101"), *places), places[1] != 5)


def test_compact_keeps_the_graph_of_live_nodes():
    adjacency, operations = tensors(nb201, nb201.sample(60, seed=5))
    live = live_nodes(KINDS, adjacency, operations)
    a, kinds, there = compact(KINDS, adjacency, operations)
    assert a.shape[1] == int(live.sum(dim=1).max())
    for row in range(60):
        kept, count = live[row], int(live[row].sum())
        assert torch.equal(a[row, :count, :count], adjacency[row][kept][:, kept])
        assert torch.equal(kinds[row, :count], operations[row][kept])
        assert there[row].tolist() == [True] * count + [False] * (a.shape[1] - count)
        assert not a[row, count:].any()
        assert not a[row, :, count:].any()


@pytest.mark.parametrize("open_siblings", [True, False])
def test_a_head_attends_along_edges_or_to_siblings(open_siblings):
    network = NNFormerNetwork(5, NNFormerConfig(KINDS, heads=8, open_siblings=open_siblings))
    a = torch.zeros(1, 5, 5)
    for start, end in ((0, 1), (0, 2), (1, 3), (2, 3)):  # 1 and 2 share their parent and their child; place 4 is empty
        a[0, start, end] = 1
    live = torch.tensor([[True] * 4 + [False]])
    found = network.masks(a, live)[0]
    assert found.shape == (8, 7, 7)
    feeds, fed, parent, child = ({(i, j) for i, j in np.argwhere(mask.numpy()).tolist()} for mask in found[:4])
    assert torch.equal(found[4:], found[:4])  # more heads: the same four kinds again
    tokens = {(i, j) for i in range(7) for j in (0, 6)} | {(i, j) for i in (0, 6) for j in range(5)}
    itself = {(i, i) for i in range(7)}
    assert feeds == tokens | itself | {(1, 2), (1, 3), (2, 4), (3, 4)}
    assert fed == tokens | itself | {(2, 1), (3, 1), (4, 2), (4, 3)}
    everything = {(i, j) for i in range(7) for j in (0, 1, 2, 3, 4, 6)} | itself
    assert parent == child == (everything if open_siblings else tokens | itself | {(2, 3), (3, 2)})


def test_attention_is_torchs_under_a_mask():
    torch.manual_seed(0)
    layer, h = Attention(NNFormerConfig(KINDS, width=8, dropout=0.0)), torch.randn(3, 5, 8)
    allowed = (torch.rand(3, 4, 5, 5) < 0.5) | torch.eye(5, dtype=torch.bool)
    q, k, v = (part.view(3, 5, 4, 2).transpose(1, 2) for part in layer.queries_keys_values(h).chunk(3, dim=-1))
    expected = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).reshape(3, 5, 8)
    torch.testing.assert_close(layer(h, allowed), layer.merge(expected))


def test_the_feed_forward_network_gathers_both_ways_node_by_node():
    torch.manual_seed(0)
    layer = BothWays(NNFormerConfig(KINDS, width=4, hidden=6, dropout=0.0))
    h, a = torch.randn(2, 5, 4), torch.triu(torch.randint(0, 2, (2, 5, 5)), 1).float()
    own, forwards, backwards = layer.own_and_gathered.weight.split((6, 3, 3))
    expected = torch.zeros(2, 5, 4)
    for n in range(2):
        for i in range(5):
            feeds = sum((forwards @ h[n, j] for j in range(5) if a[n, i, j]), torch.zeros(3))
            fed = sum((backwards @ h[n, j] for j in range(5) if a[n, j, i]), torch.zeros(3))
            expected[n, i] = layer.back.weight @ torch.relu(own @ h[n, i] + torch.cat([feeds, fed]))
    torch.testing.assert_close(layer(h, a), expected)


def test_dead_and_empty_places_change_nothing():
    torch.manual_seed(0)
    network = NNFormerNetwork(8, NNFormerConfig(KINDS, **SMALL)).eval()
    rest = "none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"  # nothing leaves node 1, which the first operation enters
    archs = [f"|{a}~0|+|{b}~0|{rest}" for a in ("nor_conv_3x3", "avg_pool_3x3") for b in ("skip_connect", "nor_conv_3x3")]
    scores = network(*tensors(nb201, archs))
    torch.testing.assert_close(scores[:2], scores[2:])
    assert not torch.allclose(scores[0], scores[1], rtol=0, atol=1e-6)
    alone = torch.cat([network(*(part[row : row + 1] for part in tensors(nb201, archs))) for row in range(4)])
    torch.testing.assert_close(alone, scores)


def test_a_batch_has_graphs_of_one_size():
    sizes = torch.tensor([3] * 5 + [4] * 300 + [7])
    found = replace(SCHEDULE, epochs=1).batches_by_size(sizes)
    assert sorted(torch.cat(found).tolist()) == list(range(306))
    assert sorted(map(len, found)) == [1, 5, 44, 128, 128]
    assert all(len(sizes[batch].unique()) == 1 for batch in found)


def test_the_rate_rises_for_a_tenth_of_the_steps_and_falls_to_a_tenth():
    rates = [SCHEDULE.rate(step, 1000) for step in range(1001)]
    assert rates[:101] == pytest.approx([step / 100 for step in range(101)])
    assert rates[550] == pytest.approx(0.1 + 0.9 / 2)
    assert rates[1000] == pytest.approx(0.1)
    assert (np.diff(rates[100:]) <= 0).all()
    assert SCHEDULE.shortened(78, 1200).epochs == 200
    assert SCHEDULE.shortened(78, 10**9) == SCHEDULE
    with pytest.raises(BadInput, match="below 1"):
        replace(SCHEDULE, average=1.0)
    with pytest.raises(BadInput, match="heads in fours"):
        NNFormerConfig(KINDS, heads=6)


def test_weights_are_averaged_over_steps_and_biases_do_not_decay():
    torch.manual_seed(0)
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.fill_(1.0)
        network.bias.fill_(1.0)
    schedule = WarmSchedule(3, 2, 0.5, weight_decay=0.1, warm_up=0.0, floor=0.0, average=0.75)
    nothing = lambda rows: 0 * (network.weight.sum() + network.bias.sum())  # noqa: E731
    found = averaged(network, nothing, torch.tensor([3, 3, 4]), schedule)  # two batches an epoch
    weight = average = 1.0
    for step in range(6):
        weight *= 1 - 0.5 * (1 + math.cos(math.pi * step / 6)) / 2 * 0.1
        average = 0.75 * average + 0.25 * weight
    assert network.weight.tolist() == [[pytest.approx(weight, rel=1e-6)] * 2]
    assert found.weight.tolist() == [[pytest.approx(average, rel=1e-6)] * 2]
    assert network.bias.tolist() == [1.0]
    assert not found.training


def test_the_loss_has_its_three_parts():
    fitted = predictor("NN-Former", "nb201", **SMALL, rank=0.5, consistency=3.0)
    scores = torch.tensor([0.9, 0.5, 0.8, 0.7])  # two graphs, read twice
    target = torch.tensor([0.6, 0.9])
    torch.manual_seed(1)
    other = torch.randperm(4)
    torch.manual_seed(1)
    got = fitted.loss(lambda a, o: scores, torch.zeros(2, 3, 3), torch.zeros(2, 3), target)
    both = target.repeat(2)
    square = float(((scores - both) ** 2).mean())
    pairs = float(((scores - scores[other]) - (both - both[other])).abs().mean())
    assert float(got) == pytest.approx(square + 0.5 * pairs + 3.0 * (0.1 + 0.2) / 2)


def test_it_learns_accuracy_as_a_fraction():
    archs = nb201.sample(40, seed=0)
    cells = [nb201.graph(arch) for arch in archs]
    inputs = Inputs(None, np.stack([c.adjacency for c in cells]), np.stack([c.operations for c in cells]))
    accuracy = np.array([85.0 + 2 * arch.count("conv_3x3") for arch in archs])
    fitted = predictor("NN-Former", "nb201", **SMALL, schedule=WarmSchedule(150, 20, 3e-3)).fit(inputs, accuracy, seed=0)
    assert np.abs(100 * np.asarray(fitted.predict(inputs)) - accuracy).mean() < 1.5
