"""The quantizer against torch.ao's fake-quantize, bit configurations, and one clear error for each bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parzc_core.errors import BadInput, UnknownName
from parzc_core.quantization import bits as bits_
from parzc_core.quantization.quantizer import (
    FRACTIONS,
    Range,
    activation_grid,
    calibrate,
    quantize,
    quantize_activation,
    quantize_weight,
    weight_scale,
)
from parzc_core.quantization.ranges import least_error_ranges, renormalize


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_equal_torch_ao_per_channel(bits: int) -> None:
    weight = torch.randn(7, 3, 3, 3, generator=torch.Generator().manual_seed(bits))
    largest = 2 ** (bits - 1) - 1
    fake = torch.ao.quantization.FakeQuantize(
        observer=torch.ao.quantization.MovingAveragePerChannelMinMaxObserver,
        quant_min=-largest,
        quant_max=largest,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )
    expected = fake(weight)
    # torch's own scale is over (quant_max - quant_min) / 2, which is `largest`.
    torch.testing.assert_close(weight_scale(weight, bits), fake.scale, rtol=1e-6, atol=0)
    torch.testing.assert_close(quantize_weight(weight, bits), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bits", range(2, 9))
def test_activations_equal_torch(bits: int) -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(bits))
    seen = Range(-1.3, 2.1)
    scale, zero = activation_grid(seen, bits)
    expected = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 2**bits - 1)
    torch.testing.assert_close(quantize_activation(x, seen, bits), expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.floats(-5, 5), st.floats(0.01, 5), st.integers(0, 1000))
def test_properties_of_the_grid(bits: int, low: float, width: float, seed: int) -> None:
    x = torch.randn(64, generator=torch.Generator().manual_seed(seed))
    seen = Range(low, low + width)
    once = quantize_activation(x, seen, bits)
    assert len(once.unique()) <= 2**bits
    torch.testing.assert_close(quantize_activation(once, seen, bits), once)  # idempotent
    assert float(quantize_activation(torch.zeros(1), seen, bits)) == 0
    weight = x.view(4, 16)
    q = quantize_weight(weight, bits)
    assert all(len(row.unique()) <= 2**bits - 1 for row in q)
    assert ((q - weight).abs() <= weight_scale(weight, bits)[:, None] / 2 * 1.0001).all()
    torch.testing.assert_close(quantize_weight(-weight, bits), -q)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_mse_clipping_is_the_best_of_the_fractions(bits: int) -> None:
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(bits)) ** 3
    largest = 2 ** (bits - 1) - 1
    found = weight_scale(weight, bits, "mse")
    for row, scale in zip(weight, found, strict=True):
        tried = [float(row.abs().max()) / largest * fraction for fraction in FRACTIONS]
        errors = [float(((row / s).round().clamp(-largest, largest) * s - row).square().sum()) for s in tried]
        assert float(scale) == pytest.approx(tried[errors.index(min(errors))], rel=1e-5)
    loss = [(quantize_weight(weight, bits, clipping) - weight).square().sum() for clipping in ("mse", "max")]
    assert loss[0] <= loss[1]
    with pytest.raises(UnknownName, match="clipping"):
        weight_scale(weight, bits, "median")


def test_least_error_ranges() -> None:
    """Few bits cut far out, many keep the outlier; the range is the best of those tried."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(200, 2), nn.Linear(2, 2))
    x = torch.cat([torch.linspace(0, 1, 199), torch.tensor([4.0])]).view(1, 200)
    found = least_error_ranges(network, [x], (2, 4, 8))["1"]
    assert found[2].high < found[8].high == 4.0
    for bits, seen in found.items():
        errors = [(quantize_activation(x, Range(0, 4 * f), bits) - x).square().sum() for f in FRACTIONS]
        assert (quantize_activation(x, seen, bits) - x).square().sum() <= min(errors) * 1.0001
    with pytest.raises(BadInput, match="calibration set of zero images"):
        least_error_ranges(network, [], (2,))
    with pytest.raises(BadInput, match="no range of 1 for 3 bits"):
        quantize(network, bits_.configuration(network, {}, rest=3), {"1": found})


def test_sample_with_activation_choices_of_their_own() -> None:
    drawn = bits_.sample(small(), 9, choices=(2, 3, 4), activations=(8,))
    assert {one.activations for one in drawn} == {(8, 8, 8, 8)}
    assert len({one.weights for one in drawn}) == 9
    with pytest.raises(BadInput, match="expected 1 to 9"):
        bits_.sample(small(), 10, activations=(8,))


def test_quantize_leaves_the_network_and_applies_both_grids() -> None:
    network, x = small(), torch.randn(8, 1, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ranges = calibrate(network, [x], clip=1.0)
    assert ranges["0"] == Range(float(x.min()), float(x.max()))
    fine, coarse = (quantize(network, bits_.configuration(network, {}, rest=b), ranges) for b in (8, 2))
    network.eval()
    with torch.no_grad():
        exact = network(x)
        by_hand = quantize_activation(x, ranges["0"], 2)
        by_hand = nn.functional.conv2d(by_hand, quantize_weight(network[0].weight, 2), network[0].bias, padding=1)
        torch.testing.assert_close(coarse[:1](x), by_hand)
        assert (fine(x) - exact).norm() < 0.1 * (coarse(x) - exact).norm()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network[0]._forward_pre_hooks


def test_calibration_clips_by_rank_and_averages_batches() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(100, 2))
    a = torch.arange(100.0).view(1, 100)
    assert calibrate(network, [a], clip=0.99)["1"] == Range(1.0, 98.0)
    assert calibrate(network, [a, a + 10], clip=1.0)["1"] == Range(5.0, 104.0)


def test_sample_is_seeded_different_and_8_bit_at_the_ends() -> None:
    network = small()
    drawn = bits_.sample(network, 60, seed=3)
    assert drawn[:20] == bits_.sample(network, 20, seed=3) != bits_.sample(network, 20, seed=4)
    assert len(set(drawn)) == 60
    inner = {b for c in drawn for b in (*c.weights[1:-1], *c.activations[1:-1])}
    assert inner == {2, 3, 4}
    assert all(c["0"] == c["9"] == (8, 8) for c in drawn)
    assert len(bits_.sample(network, 81, seed=0)) == 81  # every one there is: 3 choices, 2 layers, 2 tensors
    assert bits_.configuration(network, drawn[0].plain()) == drawn[0]


def test_size_in_bits() -> None:
    network = small()
    assert bits_.size_in_bits(network, bits_.configuration(network, {"2": 2})) == 36 * 8 + 216 * 2 + 30 * 8 + 15 * 8


def test_bad_input() -> None:
    network = small()
    with pytest.raises(BadInput, match="got 1 bits; expected a whole number from 2 to 8"):
        bits_.configuration(network, {"2": 1})
    with pytest.raises(BadInput, match="got 1 bits"):
        bits_.sample(network, 3, choices=(1, 2))
    with pytest.raises(UnknownName, match="unknown layer 'conv9'; expected one of: 0, 2, 7, 9"):
        bits_.configuration(network, {"conv9": 4})
    for nothing in ([], [torch.zeros(0, 1, 8, 8)]):
        with pytest.raises(BadInput, match="calibration set of zero images"):
            calibrate(network, nothing)
    with pytest.raises(BadInput, match="expected finite"):
        calibrate(network, [torch.full((2, 1, 8, 8), torch.inf)])
    with pytest.raises(BadInput, match="expected 1 to 81"):
        bits_.sample(network, 82)
    with pytest.raises(BadInput, match="no bits for 2"):
        quantize(network, bits_.BitConfiguration(("0", "7", "9"), (8,) * 3, (8,) * 3), {})


def test_renormalize_measures_the_quantized_network() -> None:
    network, x = small(), torch.randn(8, 1, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    quantized = quantize(network, bits_.configuration(network, {}, rest=2), calibrate(network, [x]))
    again = renormalize(quantized, [x[:4], x[4:]])
    with torch.no_grad():
        means = torch.stack([again[:3](part).mean(dim=(0, 2, 3)) for part in (x[:4], x[4:])])
    torch.testing.assert_close(again[3].running_mean, means.mean(dim=0))
    assert torch.equal(again[2].weight, quantized[2].weight)
    assert not again.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with pytest.raises(BadInput, match="zero images"):
        renormalize(quantized, [])
