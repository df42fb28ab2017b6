"""Parts of the predictors against formulas of their papers, worked by hand or by another library."""

import numpy as np
import pytest
import scipy.sparse.csgraph
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.predictors.arch2vec import Arch2VecConfig, Autoencoder, pretrained
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.gates import Flow, GATESConfig, GATESNetwork
from parzc_core.predictors.nao import NAOConfig, NAONetwork
from parzc_core.predictors.neural_predictor import NeuralPredictorConfig, PublicNPNetwork
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.pinat import PIM, InvariantConvolution, PINATNetwork
from parzc_core.predictors.registry import configuration, predictor
from parzc_core.predictors.renas import LeNet, ReNASConfig, logistic_rank_loss
from parzc_core.predictors.transformer import SelfAttention, laplacian
from parzc_core.ranker import Inputs
from parzc_core.spaces import nb101, nb201

KINDS = Kinds.of("nb201")
seeds = st.integers(0, 2**32 - 1)


def cells(*archs):
    found = [nb201.graph(arch) for arch in archs]
    return Inputs(None, np.stack([g.adjacency for g in found]), np.stack([g.operations for g in found]))


def tensors(inputs):
    return torch.from_numpy(inputs.adjacency), torch.from_numpy(inputs.operations)


@settings(deadline=None)
@given(seeds)
def test_laplacian_is_scipys(seed):
    adjacency = np.triu(np.random.default_rng(seed).integers(0, 2, (3, 6, 6)), 1).astype(np.float64)
    got = laplacian(torch.from_numpy(adjacency)).numpy()
    for one, of_scipy in zip(got, adjacency, strict=True):
        np.testing.assert_array_equal(one, scipy.sparse.csgraph.laplacian(of_scipy, use_out_degree=True))


def test_attention_is_torchs():
    torch.manual_seed(0)
    layer, h = SelfAttention(12, heads=3, size=5, dropout=0.0), torch.randn(2, 7, 12)
    q, k, v = (part.view(2, 7, 3, 5).transpose(1, 2) for part in layer.queries_keys_values(h).chunk(3, dim=-1))
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 7, 15)
    torch.testing.assert_close(layer(h), expected)


@pytest.mark.parametrize("concatenate", [True, False])
def test_an_invariant_convolution_node_by_node(concatenate):
    torch.manual_seed(0)
    layer = InvariantConvolution(4, 3, heads=2, concatenate=concatenate)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    h, adjacency = torch.randn(5, 4), torch.triu(torch.ones(5, 5), 1)
    adjacency[0, 3] = 0
    a = layer.a.view(3, 2, 4)
    expected = torch.zeros(5, 3, 2)
    for node in range(5):
        neighbours = [node, *(i for i in range(5) if adjacency[i, node])]
        for c in range(3):
            summed = torch.zeros(2)
            for i in neighbours:
                summed += F.leaky_relu(a[c] @ h[i] * layer.scale[c] + layer.shift[c], 0.2)
            expected[node, c] = F.leaky_relu(summed @ layer.mix[c] + layer.bias[c], 0.2) * layer.out[c]
    got = layer(h[None], (adjacency.T + torch.eye(5))[None])[0]
    torch.testing.assert_close(got, expected.flatten(1) if concatenate else expected.sum(-1), rtol=1e-4, atol=1e-5)


def test_an_invariant_convolution_starts_in_the_published_ranges():
    """The public code's tensors end in the axes (C_in, C_out * heads), (1, 1), (1, heads) and (C_out, heads): Glorot's fans."""
    torch.manual_seed(0)
    layer = InvariantConvolution(50, 400, heads=2)
    for parameter, fans in ((layer.a, 850), (layer.scale, 2), (layer.mix, 3), (layer.out, 402)):
        bound = (6 / fans) ** 0.5
        assert 0.98 * bound < float(parameter.detach().abs().max()) <= bound
        assert float(parameter.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)  # uniform
    assert not layer.shift.any()
    assert not layer.bias.any()


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_pim_moves_with_its_nodes(seed):
    generator = torch.Generator().manual_seed(seed)
    module = PIM(4, hidden=3, heads=2, features_out=5, last_heads=2)
    h, feeding = torch.randn(2, 6, 4, generator=generator), torch.randint(0, 2, (2, 6, 6), generator=generator).float()
    order = torch.randperm(6, generator=generator)
    torch.testing.assert_close(
        module(h[:, order], feeding[:, order][:, :, order]), module(h, feeding)[:, order], rtol=1e-4, atol=1e-5
    )


def test_a_gate_lets_through_a_share_of_what_arrives():
    layer = Flow(1, 1, embedding=1)
    with torch.no_grad():
        layer.weight.weight.fill_(2.0)
        layer.gate.weight.fill_(1.0)
        layer.gate.bias.fill_(0.0)
        layer.bias.fill_(0.25)
    h, operation = torch.tensor([[[1.0], [3.0], [5.0]]]), torch.tensor([[[0.0], [-1.0], [2.0]]])
    feeding = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]])  # 0 feeds 1 and 2, 1 feeds 2
    got = layer(h, feeding, operation, torch.tensor([[[1.0], [0], [0]]]))
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    expected = [2.0 + 0.25, sigmoid(-1) * 2 + 0.25, sigmoid(2) * (2 + 6) + 0.25]
    np.testing.assert_allclose(got.detach().numpy().ravel(), expected, rtol=1e-6)


def test_gates_does_not_see_operations_whose_result_is_thrown_away():
    torch.manual_seed(0)
    network = GATESNetwork(GATESConfig(KINDS)).eval()
    rest = "none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"  # nothing leaves node 1, which the first operation enters
    first, second, live = (
        network(*tensors(cells(f"|{a}~0|+|{b}~0|{rest}")))
        for a, b in (
            ("nor_conv_3x3", "skip_connect"),
            ("avg_pool_3x3", "skip_connect"),
            ("nor_conv_3x3", "nor_conv_3x3"),
        )
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, live)


def test_the_probability_to_win_is_antisymmetric_and_the_score_its_mean():
    archs = nb201.sample(30, seed=0)
    training, others = cells(*archs[:12]), cells(*archs[12:])
    fitted = predictor("CTNAS", "nb201", schedule=Schedule(20, 256, 1e-3)).fit(training, np.arange(12.0), seed=0)
    ahead, behind = fitted.win_probability(others, training), fitted.win_probability(training, others)
    np.testing.assert_allclose(ahead + behind.T, 1.0, atol=1e-12)
    np.testing.assert_allclose(np.diag(fitted.win_probability(others, others)), 0.5, atol=1e-12)
    np.testing.assert_allclose(fitted.predict(others), ahead.mean(axis=1), rtol=1e-9)
    assert ahead.std() > 1e-3


def test_renas_tensor_and_loss():
    network = LeNet(8, ReNASConfig(KINDS))
    adjacency, operations = tensors(cells("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|avg_pool_3x3~1|none~2|"))
    tensor = network.tensor(adjacency, operations)[0]
    assert tensor.shape == (8, 8, 8)
    torch.testing.assert_close(tensor[0], adjacency[0])
    for kind in range(7):
        for i, j in np.ndindex(8, 8):
            assert tensor[1 + kind, i, j] == adjacency[0, i, j] * (operations[0, j] == kind)
    scores, target = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([5.0, 4.0, 4.0])
    expected = (np.log1p(np.exp(1)) + np.log1p(np.exp(3)) + np.log(2)) / 3
    assert float(logistic_rank_loss(scores, target)) == pytest.approx(expected, rel=1e-6)


def test_nao_reads_connections_and_operations_in_order():
    network = NAONetwork(NAOConfig(Kinds(2, 4, none=0)))  # none, conv, input, output
    adjacency = torch.tensor([[[0.0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]])
    live = network.sequence(adjacency, torch.tensor([[2, 1, 1, 3]]))
    assert live.tolist() == [[2, 4, 2, 2, 4, 1, 2, 2, 6]]
    closed = network.sequence(adjacency, torch.tensor([[2, 1, 0, 3]]))  # nothing passes the second operation
    assert closed.tolist() == [[2, 4, 1, 1, 3, 1, 2, 1, 6]]


def test_nao_has_two_tokens_an_edge_where_operations_are_on_edges():
    network = NAONetwork(configuration("NAO", "nb201"))
    found = network.sequence(*tensors(cells("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|avg_pool_3x3~1|none~2|")))
    codes = [nb201.OPERATIONS.index(name) for name in ("nor_conv_3x3", "none", "skip_connect", "none", "avg_pool_3x3", "none")]
    passes = [2, 1, 2, 1, 2, 1]
    assert found.tolist() == [[token for passing, code in zip(passes, codes, strict=True) for token in (passing, code + 3)]]
    assert configuration("NAO", "nb101").edges == ()


def test_np_as_published_cell_by_cell():
    torch.manual_seed(0)
    network = PublicNPNetwork(NeuralPredictorConfig(Kinds.of("nb101"), width=3, depth=2, hidden=4)).eval()
    for arch in nb101.sample(8, seed=3):
        cell = nb101.graph(arch)
        real = int((cell.operations < 5).sum())  # what follows are empty places
        a = torch.from_numpy(cell.adjacency[:real, :real]) + torch.eye(real)
        a = a / a.sum(dim=1, keepdim=True)
        b = a.T / a.T.sum(dim=1, keepdim=True)
        h = F.one_hot(torch.from_numpy(cell.operations[:real]), 5).float()
        for layer in network.layers:
            h = (torch.relu(a @ h @ layer.weights[0]) + torch.relu(b @ h @ layer.weights[1])) / 2
        expected = network.head[2].weight @ (network.head[0].weight @ h.mean(dim=0))
        got = network(torch.from_numpy(cell.adjacency)[None], torch.from_numpy(cell.operations)[None])
        torch.testing.assert_close(got, expected)


def test_gates_of_nas_bench_101_averages_all_places_but_the_input():
    torch.manual_seed(0)
    config = configuration("GATES", "nb101")
    assert (config.layers, config.head, config.schedule.epochs, config.every_node) == ((128,) * 4, (200,), 80, True)
    assert configuration("GATES", "nb201").schedule.epochs == 200
    network = GATESNetwork(config).eval()
    for arch in nb101.sample(5, seed=1):
        cell = nb101.graph(arch)
        operations, feeding = torch.from_numpy(cell.operations), torch.from_numpy(cell.adjacency).T
        h = network.node((operations == 3).long())
        for place, flow in enumerate(network.flows, start=1):
            support = flow.weight(h)
            h = torch.sigmoid(flow.gate(network.operation(operations))) * (feeding @ support) + support + flow.bias
            h = torch.relu(h) if place < 4 else h
        counted = [row for row, kind in enumerate(cell.operations) if kind not in (3, 5)]
        got = network.embed(torch.from_numpy(cell.adjacency)[None], operations[None])[0]
        torch.testing.assert_close(got, h[counted].sum(dim=0) / 6)


def test_pinat_reads_six_tokens_beside_the_graph_of_four_vertices():
    network = PINATNetwork(8, configuration("PINAT", "nb201"))
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    live, tokens, one_hot = network.layout(*tensors(cells(arch, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")))
    names = [operation for operation in nb201.parse(arch)]
    assert [nb201.OPERATIONS[token] for token in tokens[0]] == names
    assert one_hot.shape == (2, 6, 5)
    assert torch.equal(one_hot.argmax(dim=2), tokens)
    expected = torch.zeros(4, 4)
    for (start, end), name in zip(nb201.EDGES, names, strict=True):
        expected[start, end] = name != "none"
    assert torch.equal(live[0], expected)
    assert torch.equal(live[1], torch.triu(torch.ones(4, 4), 1))  # a cell without any edge has them all
    assert network(*tensors(cells(arch, arch))).shape == (2,)
    assert network.position.in_features == 4
    assert (network.columns.in_features, network.columns.out_features) == (4, 6)


def test_pinat_sees_no_operation_in_an_empty_place_of_nas_bench_101():
    network = PINATNetwork(7, configuration("PINAT", "nb101"))
    arch = next(arch for arch in nb101.sample(50, seed=0) if len(nb101.parse(arch).ops) == 6)
    cell = nb101.graph(arch)
    live, tokens, one_hot = network.layout(torch.from_numpy(cell.adjacency)[None], torch.from_numpy(cell.operations)[None])
    assert torch.equal(live[0], torch.from_numpy(cell.adjacency))
    assert tokens[0].tolist() == [*cell.operations[:6].tolist(), 4]
    assert one_hot.shape == (1, 7, 5)
    assert one_hot[0, 6].sum() == 0
    assert one_hot[0, :6].sum(dim=1).tolist() == [1.0] * 6


def test_naos_decoder_cannot_look_ahead():
    torch.manual_seed(0)
    network = NAONetwork(NAOConfig(KINDS)).eval()
    tokens = network.sequence(*tensors(cells(*nb201.sample(2, seed=0))))
    states, embedding, _ = network.encoder(tokens)
    changed = tokens.clone()
    changed[:, 20:] = 5
    a, b = (network.decoder(item, states, embedding) for item in (tokens, changed))
    torch.testing.assert_close(a[:, :20], b[:, :20])
    assert not torch.allclose(a[:, 20:], b[:, 20:])


def test_arch2vecs_loss_from_torchs_distributions():
    config = Arch2VecConfig(KINDS, dropout=0.0)
    torch.manual_seed(0)
    model = Autoencoder(config).eval()
    a, o = tensors(cells(*nb201.sample(6, seed=0)))
    torch.manual_seed(5)
    got = model.loss(a, o)
    torch.manual_seed(5)
    mean, log_std = model(a, o)
    normal = torch.distributions.Normal(mean, log_std.exp())
    z = mean + log_std.exp() * torch.randn_like(mean)
    probability = torch.sigmoid(z @ z.transpose(1, 2)).triu(1)  # as published: the triangle, over all N x N entries
    edges = F.binary_cross_entropy(probability, a)
    ops = F.binary_cross_entropy(torch.softmax(model.operation(z), -1), F.one_hot(o, 7).float())
    divergence = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(2).mean() / (6 * 8)
    torch.testing.assert_close(got, ops + edges + divergence, rtol=1e-4, atol=1e-5)


def test_arch2vec_learns_to_give_graphs_back_and_is_trained_once():
    config = Arch2VecConfig(KINDS, pretraining=Schedule(90, 32, 2e-3))
    inputs = cells(*nb201.sample(256, seed=0))
    a, o = tensors(inputs)
    model = pretrained(config, a, o)
    assert pretrained(config, a.clone(), o.clone()) is model
    with torch.no_grad():
        mean, _ = model(a, o)
        right = (model.operation(mean).argmax(-1) == o)[:, 1:7].float().mean()
        edges = ((mean @ mean.transpose(1, 2)).triu(1) > 0) == (a > 0)
    off_diagonal = torch.triu(torch.ones(8, 8), 1).bool()
    assert float(right) > 0.9
    assert float(edges[:, off_diagonal].float().mean()) > 0.9


def test_arch2vec_learns_from_unlabelled_cells():
    archs = nb201.sample(60, seed=0)
    few, many = cells(*archs[:20]), cells(*archs)
    quick = Schedule(3, 32, 1e-3)
    alone, together = (
        predictor("Arch2Vec", "nb201", pretraining=quick)
        .fit(few, np.arange(20.0), seed=0, unlabelled=more)
        .predict(many)
        for more in (None, many)
    )
    assert np.abs(alone - together).max() > 1e-3
