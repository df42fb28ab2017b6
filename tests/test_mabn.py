"""MABN: shapes, the Bayesian layer against its equation, and what mixes with what."""

import pytest
import torch

from parzc_core import mabn
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import MABN, SIZES, BayesianLinear, MABNConfig, SegmentMixer, sampling


@pytest.mark.parametrize("mixing", ["segment", "channel"])
@pytest.mark.parametrize("bayesian", [True, False])
def test_mabn_shapes_and_determinism_in_eval(mixing, bayesian):
    torch.manual_seed(0)
    model = MABN(MABNConfig(20, projection=32, segment=8, width=6, depth=2, mixing=mixing, bayesian=bayesian))
    x = torch.randn(5, 20)
    model.eval()
    assert model(x).shape == (5,)
    assert torch.equal(model(x), model(x))
    assert sum(isinstance(m, BayesianLinear) for m in model.modules()) == (2 if bayesian else 0)
    with sampling(model):
        assert torch.equal(model(x), model(x)) is not bayesian
    with pytest.raises(BadInput, match=r"expected \[n, 20\]"):
        model(torch.randn(5, 19))


def test_mabn_without_spread_is_deterministic_even_when_sampling():
    model = MABN(MABNConfig(20, projection=32, segment=8, width=6, depth=1, dropout=0.0))
    x = torch.randn(3, 20)
    for layer in model.modules():
        if isinstance(layer, BayesianLinear):
            layer.rho.data.fill_(-200.0)
    assert torch.equal(model.train()(x), model.eval()(x))


def test_bayesian_linear_is_the_equation():
    layer = BayesianLinear(3, 2)
    layer.rho.data.normal_()
    x = torch.randn(4, 3)
    torch.manual_seed(7)
    got = layer.train()(x)
    torch.manual_seed(7)
    weight = layer.mu + torch.log(1 + torch.exp(layer.rho)) * torch.randn(2, 3)
    assert torch.allclose(got, x @ weight.T, atol=1e-6)
    draws = torch.stack([layer(torch.eye(3)) for _ in range(4000)])  # rows of W_b^T
    assert torch.allclose(draws.std(0).T, layer.sigma, rtol=0.1)
    assert torch.allclose(draws.mean(0).T, layer.mu, atol=float(4 * layer.sigma.max() / 4000**0.5))


def test_segments_meet_only_in_the_mean_when_channels_mix():
    """Swapping two segments changes nothing with mixing="channel" and something with mixing="segment"."""
    for mixing, same in (("channel", True), ("segment", False)):
        torch.manual_seed(0)
        model = MABN(MABNConfig(32, projection=32, segment=8, width=6, depth=2, mixing=mixing)).eval()
        model.project = torch.nn.Identity()
        x = torch.randn(4, 32)
        swapped = x.reshape(4, 4, 8)[:, [1, 0, 2, 3]].reshape(4, 32)
        assert torch.allclose(model(x), model(swapped), atol=1e-6) is same


def test_bad_sizes_are_refused():
    with pytest.raises(BadInput, match="multiple"):
        MABNConfig(10, projection=30, segment=16)
    with pytest.raises(UnknownName, match="segment, channel"):
        MABNConfig(10, mixing="tokens")
    with pytest.raises(BadInput, match="dropout"):
        MABNConfig(10, dropout=1.0)
    assert SIZES["printed"]["projection"] // SIZES["printed"]["segment"] == 47


def test_a_mixer_block_is_the_equation_with_both_residuals():
    """Across: X' + FFN(X') on normed transposed segments; within: h + FFN(norm(h))."""
    torch.manual_seed(0)
    config = MABNConfig(32, projection=32, segment=8, width=6, depth=1)
    block = SegmentMixer(4, config).eval()
    x = torch.randn(3, 4, 6)
    normed = block.norm(x.transpose(1, 2))
    across = (normed + block.mix(normed)).transpose(1, 2)
    torch.testing.assert_close(block(x), across + block.within(block.norm_within(across)))
    for feed_forward in (block.within, block.mix):  # without what they add, what they are added to is left
        for parameter in feed_forward.parameters():
            parameter.data.zero_()
        torch.testing.assert_close(block(x), across if feed_forward is block.within else normed.transpose(1, 2))


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_cut_into_whole_segments(size):
    config = MABNConfig(10, **SIZES[size])
    assert MABN(config).eval()(torch.randn(2, 10)).shape == (2,) if size != "printed" else config.projection % config.segment == 0


def test_the_defaults_are_the_sizes_for_a_cpu_with_the_papers_rates():
    assert MABNConfig(10) == MABNConfig(10, **SIZES["cpu"])
    assert (MABNConfig(10).dropout, MABNConfig(10).expansion, MABNConfig(10).expansion_token) == (0.18, 4, 0.5)  # A.3


def parameters_of(config: MABNConfig) -> int:
    """By hand: weights and biases of projection, Bayesian or plain layers without bias, norms and feed-forwards."""
    d, p, w = config.input_dim, config.projection, config.width
    s = p // config.segment

    def two_layers(features: int, expansion: float) -> int:
        hidden = max(1, round(features * expansion))
        return 2 * features * hidden + hidden + features

    mixed, across = (s, config.expansion) if config.mixing == "segment" else (w, config.expansion_token)
    block = 2 * mixed + two_layers(mixed, across) + 2 * w + two_layers(w, config.expansion_token)
    ends = config.segment * w + mixed * config.outputs
    return d * p + p + config.depth * block + (2 if config.bayesian else 1) * ends


@pytest.mark.parametrize("mixing", ["segment", "channel"])
@pytest.mark.parametrize("bayesian", [True, False])
@pytest.mark.parametrize("width", [1, 7])
def test_a_mabn_has_the_parameters_of_its_parts(mixing, bayesian, width):
    config = MABNConfig(20, projection=32, segment=8, width=width, depth=3, mixing=mixing, bayesian=bayesian, outputs=2)
    assert sum(parameter.numel() for parameter in MABN(config).parameters()) == parameters_of(config)


@pytest.mark.parametrize("mixing", ["segment", "channel"])
def test_a_mabn_is_its_equations(mixing):
    """Segments are contiguous; the mean is over channels, or over segments where these do not mix."""
    torch.manual_seed(0)
    model = MABN(MABNConfig(20, projection=32, segment=8, width=6, depth=2, mixing=mixing)).eval()
    x = torch.randn(5, 20)
    h = model.project(x).reshape(5, 4, 8) @ model.before.mu.T
    for block in model.blocks:
        h = block(h)
    expected = h.mean(dim=2 if mixing == "segment" else 1) @ model.after.mu[0]
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(model(x[:1]), expected[:1])
    assert model(x[:1]).shape == (1,)


def test_feed_forward_drops_out_after_both_layers():
    layers = mabn.feed_forward(6, 1.5, 0.3)
    assert [(type(m).__name__, getattr(m, "p", None)) for m in layers] == [
        ("Linear", None), ("ReLU", None), ("Dropout", 0.3), ("Linear", None), ("Dropout", 0.3)
    ]  # fmt: skip


def test_weights_are_drawn_inside_sampling_alone_and_begin_as_a_linear_layers():
    torch.manual_seed(0)
    layer = BayesianLinear(400, 50).eval()
    assert (layer.rho == -5).all()
    assert float(layer.sigma[0, 0]) == pytest.approx(0.0067, abs=5e-5)
    assert float(layer.mu.abs().max()) == pytest.approx(400**-0.5, rel=1e-3)  # uniform, as nn.Linear's
    x = torch.randn(3, 400)
    with pytest.raises(KeyError), sampling(layer):
        raise KeyError(torch.equal(layer(x), layer(x)))
    assert torch.equal(layer(x), layer(x))


SIZED = ("input_dim", "projection", "segment", "width", "depth", "outputs", "expansion", "expansion_token")


@pytest.mark.parametrize("name", SIZED)
def test_a_size_of_zero_is_refused(name):
    with pytest.raises(BadInput, match=f"{name}=0; expected"):
        MABNConfig(**{"input_dim": 10, name: 0})
