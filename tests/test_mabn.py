"""MABN: shapes, the Bayesian layer against its equation, and what mixes with what."""

import pytest
import torch

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
