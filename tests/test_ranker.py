"""The components of Table 6, alone and put together."""

import numpy as np
import pytest
import torch
from ranker_toys import PINAT, small, toy

from parzc_core import metrics
from parzc_core import ranker as inputs_module
from parzc_core._seeding import seeded
from parzc_core.errors import BadInput
from parzc_core.mabn import BayesianLinear, MABNConfig, sampling
from parzc_core.ranker import Inputs, Model, ModelConfig
from parzc_core.training import fit

COMBINATIONS = [
    ("NP",),
    ("Mixer",),
    ("MLP",),
    ("BN",),
    ("NP", "Mixer"),
    ("NP", "BN"),
    ("Mixer", "BN"),
    ("NP", "Mixer", "BN"),
]


@pytest.mark.parametrize("parts", [*COMBINATIONS, ("PINAT", "Mixer", "BN")])
def test_every_combination_of_table_6_overfits_ten_cells(parts):
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(parts, epochs=150), seed=0)
    assert metrics.kendall(ranker.predict(inputs), accuracy) > 90
    bayesian = any(isinstance(m, BayesianLinear) for m in ranker.model.modules())
    assert bayesian == ("BN" in parts)


def test_scores_in_chunks_are_those_of_all_at_once(monkeypatch):
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(("NP", "Mixer", "BN"), epochs=3))
    whole = ranker.predict(inputs)
    monkeypatch.setattr(inputs_module, "CHUNK", 4)
    np.testing.assert_allclose(ranker.predict(inputs), whole, rtol=1e-5, atol=1e-6)
    drawn = ranker.predict(inputs, samples=3)
    monkeypatch.undo()
    for part, expected in zip(drawn, ranker.predict(inputs, samples=3), strict=True):
        np.testing.assert_array_equal(part, expected)  # one draw of the weights is for all architectures
    alone = fit(inputs.statistics, accuracy, small(("Mixer",), epochs=2))
    assert alone.predict(inputs.statistics).shape == (10,)


@pytest.mark.parametrize("graph", ["NP", "PINAT"])
def test_fusion_adds_the_two_embeddings(graph):
    torch.manual_seed(0)
    sizes = MABNConfig(30, projection=64)
    model = Model(ModelConfig((graph, "Mixer", "BN"), sizes, embedding=16, graph=PINAT if graph == "PINAT" else None)).eval()
    inputs, _ = toy(4)
    x, a, o = (torch.as_tensor(part) for part in (inputs.statistics, inputs.adjacency, inputs.operations))
    expected = model.regressor(model.statistics(x) + model.graph(a, o)).squeeze(1)
    assert torch.equal(model(x, a, o), expected)


@pytest.mark.parametrize("shape", [(12,), (12, 0), (12, 2, 2)])
def test_encoded_inputs_are_a_row_an_architecture(shape):
    with pytest.raises(BadInput, match=r"expected float32\[n, D\]"):
        fit(np.ones(shape, dtype=np.float32), np.arange(12.0), small(("Mixer", "BN"), epochs=1))


def test_a_part_that_a_component_reads_must_be_there():
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(("NP", "Mixer", "BN"), epochs=1))
    with pytest.raises(BadInput, match="without a graph"):
        ranker.predict(inputs.statistics)
    with pytest.raises(BadInput, match="without statistics"):
        ranker.predict(Inputs(None, inputs.adjacency, inputs.operations))
    with pytest.raises(BadInput, match="samples=-1"):
        ranker.predict(inputs, samples=-1)


@pytest.mark.parametrize("kind", [-1, 7, 99])
def test_an_operation_that_the_space_does_not_have_is_refused(kind):
    inputs, accuracy = toy()
    inputs.operations[2, 1] = kind
    config = small(("NP",), epochs=1)
    assert config.model.operations == 7
    with pytest.raises(BadInput, match=r"got operations from -?\d+ to \d+; expected 0 to 6"):
        fit(inputs, accuracy, config)


@pytest.mark.parametrize("part", ["statistics", "adjacency"])
def test_the_architecture_that_is_not_finite_is_named(part):
    inputs, accuracy = toy()
    getattr(inputs, part)[3] = np.nan
    with pytest.raises(BadInput, match=f"the {part} of architecture 3 are not finite"):
        fit(inputs, accuracy, small(("NP", "Mixer"), epochs=1))


def test_samples_are_draws_of_the_weights_with_their_mean_and_standard_deviation():
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(("Mixer", "BN"), epochs=1), seed=5)
    with seeded(5), torch.no_grad(), sampling(ranker.model):
        draws = np.stack([ranker.model(torch.as_tensor(inputs.statistics), None, None).double().numpy() for _ in range(4)])
    mean, spread = ranker.predict(inputs, samples=4)
    np.testing.assert_allclose(mean, draws.mean(0))
    np.testing.assert_allclose(spread, draws.std(0))


@pytest.mark.parametrize("chunk", [3, 9, 10, 99])
def test_chunks_are_all_architectures_in_their_order(monkeypatch, chunk):
    inputs, _ = toy()
    monkeypatch.setattr(inputs_module, "CHUNK", chunk)
    parts = list(inputs.chunks())
    assert [len(part) for part in parts] == [chunk] * (10 // chunk) + ([10 % chunk] if 10 % chunk else [])
    for name in ("statistics", "adjacency", "operations"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(inputs, name))
    assert len(Inputs(operations=inputs.operations)) == len(Inputs(inputs.statistics)) == 10


@pytest.mark.parametrize(
    "parts", [(), ("BN", "BN"), ("Mixer", "NP", "Mixer"), ("MLP", "BN"), ("MLP", "Mixer"), ("MLP", "Mixer", "BN"), ("GNN",), "BN"]
)
def test_components_that_do_not_fit_together_are_refused(parts):
    with pytest.raises(BadInput, match="MLP not beside Mixer or BN"):
        ModelConfig(parts, MABNConfig(30))


@pytest.mark.parametrize("part", ["MLP", "BN"])
def test_a_perceptron_is_three_layers_with_relu_and_dropout_between(part):
    torch.manual_seed(0)
    model = Model(ModelConfig((part,), MABNConfig(30, projection=64, dropout=0.3))).eval()
    matrices = [p for name, p in model.statistics.named_parameters() if not name.endswith("rho")]
    assert [tuple(matrix.shape) for matrix in matrices] == [(64, 30), (64, 64), (1, 64)]
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.3, 0.3]
    assert sum(isinstance(m, BayesianLinear) for m in model.modules()) == (3 if part == "BN" else 0)
    x = torch.randn(5, 30)
    expected = torch.relu(torch.relu(x @ matrices[0].T) @ matrices[1].T) @ matrices[2][0]
    torch.testing.assert_close(model(x, None, None), expected)
    torch.testing.assert_close(model(x[:1], None, None), expected[:1])


def test_two_fully_connected_layers_score_the_sum_of_embeddings():
    torch.manual_seed(0)
    model = Model(ModelConfig(("NP", "Mixer"), MABNConfig(30), embedding=10, graph_dropout=0.4)).eval()
    weights = [tuple(p.shape) for p in model.regressor.parameters()]
    assert weights == [(5, 10), (5,), (1, 5), (1,)]
    first, _, last = model.regressor
    h = torch.randn(7, 10)
    expected = torch.relu(h @ first.weight.T + first.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(model.regressor(h), expected)
    assert [m.p for m in model.graph.modules() if isinstance(m, torch.nn.Dropout)] == [0.4]
    assert Model(ModelConfig(("Mixer",), MABNConfig(30), embedding=10)).statistics.config.outputs == 1  # alone, it scores
    with pytest.raises(BadInput, match="embedding=1"):
        ModelConfig(("NP", "Mixer"), MABNConfig(30), embedding=1)


@pytest.mark.parametrize("graph", ["NP", "PINAT"])
def test_graphs_of_other_shapes_or_types_are_refused(graph):
    inputs, accuracy = toy()
    a, o, config = inputs.adjacency, inputs.operations, small((graph,), epochs=1)
    with pytest.raises(BadInput, match="got operations of float64; expected int64"):
        fit(Inputs(None, a, o.astype(float)), accuracy, config)
    fewer_axes, more_axes = (np.zeros((10, 10)), o[:, 0]), (np.zeros((10, 6, 6, 6)), a.astype(int))
    for adjacency, operations in ((a[:, :, :5], o), (a[:, 0], o[:, 0]), fewer_axes, more_axes):
        with pytest.raises(BadInput, match=r"expected \[n, N, N\] and \[n, N\]"):
            fit(Inputs(None, adjacency, operations), accuracy, config)
    with pytest.raises(BadInput, match="got parts of 9 and 10 architectures"):
        fit(Inputs(inputs.statistics, a[:9], o[:9]), accuracy, config)
