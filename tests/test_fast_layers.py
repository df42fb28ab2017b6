"""The substituted layers against torch's own: values, gradients, second derivatives; and what is left alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parzc_core._fast_layers import restore, substitute
from parzc_core.errors import BadInput
from parzc_core.passes import Passes


def derivatives(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Value, gradient and Hessian-vector product of a function that is not quadratic in the layer's output."""
    generator = torch.Generator().manual_seed(1)
    y = layer(x)
    weight = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    direction = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    gradients = torch.autograd.grad((y.exp() * weight).sum(), inputs, create_graph=True)
    second = torch.autograd.grad((gradients[0] * direction).sum(), inputs, allow_unused=True)
    return [y.detach(), *(g.detach() for g in gradients), *(g for g in second if g is not None)]


def assert_same(layer: nn.Module, x: torch.Tensor) -> None:
    layer = layer.double()
    before, own = derivatives(layer, x), type(layer(x).grad_fn)
    substitute(layer)
    assert "forward" in layer.__dict__, "the layer was not substituted"
    assert type(layer(x).grad_fn) is not own, "the layer ran torch's own form"
    after = derivatives(layer, x)
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-10)
    restore(layer)
    assert "forward" not in layer.__dict__


sizes = st.integers(1, 6)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 4), channels=sizes, side=sizes, affine=st.booleans(), eps=st.sampled_from([1e-5, 0.1]))
def test_batch_norm(n, channels, side, affine, eps):
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(channels, eps=eps, affine=affine)
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    layer.requires_grad_(False)
    assert_same(layer.train(), torch.randn(n, channels, side, side, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("shape", [(3, 5), (1,), (2, 0), (3, 40_000)])  # the last is of more than one piece
def test_gelu(shape):
    x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert_same(nn.GELU(), x.requires_grad_(True))


def test_gelu_of_a_transposed_array():
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert_same(nn.Sequential(nn.GELU())[0], x.T.detach().requires_grad_(True))


@settings(max_examples=20, deadline=None)
@given(n=sizes, channels=sizes, out=sizes, height=sizes, width=sizes)
def test_pointwise_convolution(n, channels, out, height, width):
    torch.manual_seed(0)
    x = torch.randn(n, channels, height, width, dtype=torch.float64, requires_grad=True)
    assert_same(nn.Conv2d(channels, out, 1, bias=False), x)


@settings(max_examples=20, deadline=None)
@given(n=sizes, channels=sizes, height=sizes, width=sizes, kernel=st.sampled_from([1, 3, 5, (3, 1)]))
def test_average_pooling(n, channels, height, width, kernel):
    padding = tuple(k // 2 for k in kernel) if isinstance(kernel, tuple) else kernel // 2
    x = torch.randn(n, channels, height, width, dtype=torch.float64, requires_grad=True)
    assert_same(nn.AvgPool2d(kernel, stride=1, padding=padding, count_include_pad=False), x)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 1, bias=True),
        nn.Conv2d(4, 4, 1, stride=2, bias=False),
        nn.Conv2d(4, 4, 1, groups=2, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.AvgPool2d(3, stride=1, padding=1),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
        nn.GroupNorm(2, 4),
    ],
)
def test_layers_without_a_faster_form_are_left_alone(layer):
    substitute(layer)
    assert "forward" not in layer.__dict__


def test_layers_after_one_without_a_faster_form_have_theirs():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.GELU())
    substitute(network)
    assert ["forward" in layer.__dict__ for layer in network] == [False, True, False, True]


def test_eval_mode_and_unbatched_images_are_torchs_own():
    torch.manual_seed(0)
    norm, conv, pool = nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1, bias=False), nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    norm(torch.randn(4, 3, 5, 5))
    x = torch.randn(3, 5, 5)
    expected = (norm.eval()(x[None]), conv(x), pool(x))
    for layer in (norm, conv, pool):
        substitute(layer)
    for a, b in zip(expected, (norm(x[None]), conv(x), pool(x)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"momentum": 0.3}, {"track_running_stats": False}])
def test_running_statistics_of_a_batch_norm_follow_and_one_value_a_channel_is_refused(options):
    norm = nn.BatchNorm2d(3, **options)
    plain = copy.deepcopy(norm)
    substitute(norm)
    for seed in (0, 1):
        x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) + 5
        torch.testing.assert_close(norm(x), plain(x))
    for own, other in zip(norm.buffers(), plain.buffers(), strict=True):
        assert torch.equal(own, other)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(torch.randn(1, 3, 1, 1))


def test_passes_of_second_order_must_be_asked_for():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    passes = Passes(network, torch.randn(2, 3, 4, 4), torch.tensor([0, 1]))
    with pytest.raises(BadInput, match="second_order=True"):
        _ = passes.hessian_gradients


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(4, 4, 1, bias=False), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.BatchNorm2d(4), nn.GELU()]
)
@pytest.mark.parametrize("of", ["input", "weight", "neither"])
def test_the_memory_format_is_that_of_torch(layer: nn.Module, of: str) -> None:
    layer, x = copy.deepcopy(layer), torch.randn(2, 4, 5, 6)
    if of == "weight":
        layer = layer.to(memory_format=torch.channels_last)
    if of == "input":
        x = x.to(memory_format=torch.channels_last)
    before = layer(x)
    substitute(layer)
    after = layer(x)
    assert after.stride() == before.stride()
    torch.testing.assert_close(after, before)
