"""Proxies of a bit configuration against exact values on a small network."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from quantization.test_quantizer import small
from torch import nn

from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.passes import Passes
from parzc_core.quantization import bits as bits_
from parzc_core.quantization.hessian import Curvature, average_traces, top_eigenvalues
from parzc_core.quantization.proxies import REGISTRY, grid_deviation, qe, scores
from parzc_core.quantization.quantizer import quantize_weight
from parzc_core.quantization.rankers import features
from parzc_core.quantization.sensitivities import Sensitivities, orthogonality


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 1, 6, 6, generator=generator), torch.arange(12) % 3


@pytest.fixture(scope="module")
def exact(batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each layer's own block of the Hessian, from torch.func."""
    network, (images, labels) = small().eval(), batch
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    blocks = {}
    for layer in bits_.quantizable_layers(network):
        name = f"{layer}.weight"

        def loss(flat: torch.Tensor, name: str = name) -> torch.Tensor:
            weights = {**state, name: flat.view_as(state[name])}
            return F.cross_entropy(torch.func.functional_call(network, weights, (images,)), labels)

        blocks[layer] = torch.func.hessian(loss)(state[name].detach().flatten()).detach().double()
    return blocks


@pytest.fixture(scope="module")
def sensitivities(batch: tuple[torch.Tensor, torch.Tensor]) -> Sensitivities:
    return Sensitivities(small(), *batch)


def test_top_eigenvalue_is_exact(batch: tuple[torch.Tensor, torch.Tensor], exact: dict[str, torch.Tensor]) -> None:
    found = top_eigenvalues(Curvature(small(), *batch), iterations=500, tolerance=1e-6)
    for layer, block in exact.items():
        values = torch.linalg.eigvalsh(block)
        assert found[layer] == pytest.approx(float(values[values.abs().argmax()]), rel=2e-2), layer


def test_average_trace_is_exact_in_the_mean(
    batch: tuple[torch.Tensor, torch.Tensor], exact: dict[str, torch.Tensor]
) -> None:
    curvature, draws = Curvature(small(), *batch), 800
    found = average_traces(curvature, draws=draws)
    one = [average_traces(curvature, draws=1, seed=seed) for seed in range(100)]
    for layer, block in exact.items():
        error = float(np.std([value[layer] for value in one])) / math.sqrt(draws)
        assert found[layer] == pytest.approx(float(block.trace()) / len(block), abs=4 * error + 1e-7), layer


def test_product_is_the_exact_block(batch: tuple[torch.Tensor, torch.Tensor], exact: dict[str, torch.Tensor]) -> None:
    curvature = Curvature(small(), *batch)
    for i, layer in enumerate(curvature.layers):
        v = torch.randn_like(curvature.weights[i])
        (h,) = curvature.product([i], [v])
        expected = exact[layer] @ v.flatten().double()
        torch.testing.assert_close(h.flatten().double(), expected, rtol=1e-3, atol=1e-6)


def test_a_layer_that_is_never_run_has_no_curvature(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.idle = small(), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)

    curvature = Curvature(Idle(), *batch)
    assert top_eigenvalues(curvature, iterations=2)["idle"] == 0
    assert average_traces(curvature, draws=2)["idle"] == 0


def test_hawq_v2_follows_its_formula(sensitivities: Sensitivities) -> None:
    network = sensitivities.network
    bits = bits_.configuration(network, {"2": (2, 4), "7": (3, 2)})
    by_hand = {"HAWQ": 0.0, "HAWQ-V2": 0.0}
    for name, (w, _) in bits.items():
        weight = network.get_submodule(name).weight.detach()
        error = float((weight - quantize_weight(weight, w)).square().sum())
        by_hand["HAWQ"] -= sensitivities.eigenvalues[name] * error
        by_hand["HAWQ-V2"] -= sensitivities.traces[name] * error
    assert scores(sensitivities, bits, by_hand) == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("centred", [True, False])
def test_orthogonality_is_the_definition(batch: tuple[torch.Tensor, torch.Tensor], centred: bool) -> None:
    network, images = small().eval(), batch[0]
    outputs, x = [], images
    for module in network:
        x = module(x)
        if isinstance(module, nn.Conv2d | nn.Linear):
            y = x.detach().flatten(1).double()
            outputs.append(y - y.mean(dim=0) if centred else y)
    found = orthogonality(network, images, centred)
    for i, a in enumerate(outputs):
        for j, b in enumerate(outputs):
            expected = (b.T @ a).square().sum() / (a.T @ a).norm() / (b.T @ b).norm()
            torch.testing.assert_close(found[i, j], expected, rtol=1e-4, atol=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-9


def test_ompq_on_a_closed_form() -> None:
    class Known(Sensitivities):
        orthogonalities = torch.tensor(  # type: ignore[assignment]
            [[1, 0.2, 0, 0], [0.2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64
        )

    network = Known(small(), torch.zeros(2, 1, 6, 6), torch.zeros(2, dtype=torch.int64))
    bits = bits_.configuration(network.network, {"2": 2, "7": 4})
    low = math.exp(-0.2)
    expected = 8 * (2 * low + 2) / 4 + 2 * (low + 2) / 3 + 4 * 1 + 8 * 1
    assert scores(network, bits, ["OMPQ"])["OMPQ"] == pytest.approx(expected)


def test_snip_synflow_and_bparams_are_statistics_times_bits(sensitivities: Sensitivities) -> None:
    network = sensitivities.network
    bits = bits_.configuration(network, {"2": (3, 2)})
    stats = collect_statistics(network, sensitivities.images, sensitivities.labels, ("snip", "synflow"))
    found = scores(sensitivities, bits)
    for row, name in enumerate(("SNIP", "Synflow")):
        expected = sum(value * bits[layer][0] for layer, value in zip(stats.nodes, stats.values[row], strict=True))
        assert found[name] == pytest.approx(expected)
    assert found["BParams"] == bits_.size_in_bits(network, bits)


def test_emq_is_its_formula_as_read(sensitivities: Sensitivities) -> None:
    network = sensitivities.network
    bits, expected = bits_.configuration(network, {"2": (3, 2)}), 0.0
    passes = Passes(network, sensitivities.images, sensitivities.labels)
    for name, v in passes.flow.gradients.items():
        assert v is not None
        first = torch.softmax(v.abs().log().flatten(), dim=0)
        second = F.relu(network.get_submodule(name).weight.detach().double()).sqrt().flatten()
        expected += bits[name][0] * float((first * second).sum())
    assert scores(sensitivities, bits, ["EMQ"])["EMQ"] == pytest.approx(expected, rel=1e-9)
    restored = Sensitivities.restored(network, sensitivities.plain(), shape=(1, 6, 6))
    assert scores(restored, bits, ["EMQ"])["EMQ"] == pytest.approx(expected, rel=1e-9)  # it needs no images


@pytest.mark.parametrize(
    ("deviation", "bits", "expected"), [(1, 2, 1.00891936), (2, 3, 1.94413924), (4, 4, 3.85047126), (16, 4, 6.88869532)]
)
def test_grid_deviation_is_the_published_table(deviation: float, bits: int, expected: float) -> None:
    """Against four entries of the table of QE's authors."""
    assert grid_deviation(deviation, bits) == pytest.approx(expected, abs=1e-7)


def test_quantization_entropy(sensitivities: Sensitivities) -> None:
    network = sensitivities.network
    bits = bits_.configuration(network, {"2": (2, 3)})
    expected = 0.0
    for name, (w, a) in bits.items():
        fan_in = network.get_submodule(name).weight[0].numel()
        expected += math.log(math.sqrt(fan_in) * grid_deviation(4, w) * grid_deviation(5, a) / 5)
    assert scores(sensitivities, bits, ["QE"])["QE"] == pytest.approx(expected)
    other = bits_.configuration(network, {"2": (2, 4)})
    assert qe(sensitivities, other) > qe(sensitivities, bits)  # activations count


def test_hessian_times_bits(sensitivities: Sensitivities, exact: dict[str, torch.Tensor]) -> None:
    """Two bits more for one layer add twice its top eigenvalue, or twice its trace."""
    network = sensitivities.network
    low, high = (scores(sensitivities, bits_.configuration(network, {"7": (b, 8)})) for b in (2, 4))
    gained = high["HAWQ (times bits)"] - low["HAWQ (times bits)"]
    assert gained == pytest.approx(2 * float(torch.linalg.eigvalsh(exact["7"])[-1]), rel=2e-2)
    gained = high["HAWQ-V2 (times bits)"] - low["HAWQ-V2 (times bits)"]
    assert gained == pytest.approx(2 * sensitivities.traces["7"] * network.get_submodule("7").weight.numel(), rel=1e-6)


def test_bad_input_and_an_untouched_network(sensitivities: Sensitivities) -> None:
    network = sensitivities.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert set(scores(sensitivities, bits_.configuration(network, {"2": 2}))) == set(REGISTRY)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training
    with pytest.raises(UnknownName, match="unknown proxy of a bit configuration 'EMQ9'"):
        scores(sensitivities, bits_.configuration(network, {}), ["EMQ9"])
    with pytest.raises(UnknownName, match="unknown layer 'other'"):
        scores(sensitivities, bits_.BitConfiguration(("other",), (4,), (4,)))
    with pytest.raises(BadInput, match="draws=0"):
        average_traces(sensitivities.curvature, draws=0)


def test_features_are_statistics_times_bits(sensitivities: Sensitivities) -> None:
    network, stats = sensitivities.network, sensitivities.statistics
    drawn = bits_.sample(network, 5)
    both = features(stats, drawn)
    assert both.shape == (5, 2 * 7 * 4)
    assert both.dtype == np.float32
    ones = features(stats, [bits_.BitConfiguration(drawn[0].layers, (2,) * 4, (2,) * 4)], "weights")[0] / 2
    assert np.linalg.norm(ones.reshape(7, 4), axis=1) == pytest.approx(np.ones(7), rel=1e-6)
    for row, bits in zip(both, drawn, strict=True):
        for kind in (0, 1):
            times = np.tile([bits[name][kind] for name in stats.nodes], 7)
            np.testing.assert_allclose(row[28 * kind : 28 * kind + 28], ones * times, rtol=1e-5)
    with pytest.raises(BadInput, match="expected those of the statistics"):
        features(stats, [bits_.BitConfiguration(("x",), (2,), (2,))])
    with pytest.raises(UnknownName, match="kind of bits"):
        features(stats, drawn, "biases")
