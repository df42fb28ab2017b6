"""Faster forward methods for four kinds of layer on a CPU, used on a copy of the network.

They give the same numbers up to rounding and can be differentiated twice. On one core, BatchNorm's second derivative takes two
passes over the data instead of about thirty. A 1x1 convolution is one matrix product, 2 to 4 times faster. Average pooling is
two products with a band matrix, 5 to 10 times faster. GELU's second derivative is computed in pieces that fit in the cache.
"""

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable


class _Faster(functools.partial):
    """A forward method of this file, so that it is told from one that a user set. Inside vmap and jvp, torch's own."""

    def __call__(self, input: torch.Tensor) -> Any:  # a layer may be called with input=
        if torch._C._functorch.peek_interpreter_stack() is not None:  # they take no function of ours
            return type(self.args[0]).forward(self.args[0], input)
        return super().__call__(input)


def substitute(model: nn.Module) -> None:
    """Give each BatchNorm, 1x1 Conv2d, same-size AvgPool2d and exact GELU its faster form; leave other layers alone.

    Subclasses are other layers, and so is a layer whose forward or hooks someone set.
    """
    for module in model.modules():
        kind = type(module)
        if kind not in _FASTER or not _is_torchs_own(module):
            continue
        if kind is nn.GELU and module.approximate == "none":
            module.__dict__["forward"] = _Faster(lambda _, x: _Gelu.apply(x), module)
        elif isinstance(module, nn.Conv2d) and _is_pointwise(module):
            module.__dict__["forward"] = _Faster(_pointwise, module)
        elif isinstance(module, nn.AvgPool2d) and _is_same_size(module):
            module.__dict__["forward"] = _Faster(_average, module)
        elif issubclass(kind, nn.modules.batchnorm._BatchNorm):
            module.__dict__["forward"] = _Faster(_batch_norm, module, given=[buffer.clone() for buffer in module.buffers()])


def restore(model: nn.Module, kind: type[nn.Module] = nn.Module) -> list[tuple[nn.Module, Any]]:
    """Undo `substitute`, for layers of that kind. Gives them, and the forms that they had."""
    found = [each for each in model.modules() if isinstance(each, kind) and isinstance(each.__dict__.get("forward"), _Faster)]
    return [(each, each.__dict__.pop("forward")) for each in found]


@contextmanager
def without_faster_forms(model: nn.Module, kind: type[nn.Module] = nn.Module) -> Iterator[list[tuple[nn.Module, Any]]]:
    """Inside, the layers are as `restore` leaves them."""
    found = restore(model, kind)
    try:
        yield found
    finally:
        for each, forward in found:
            each.__dict__["forward"] = forward


@contextmanager
def without_batch_norm(model: nn.Module) -> Iterator[None]:
    """Inside, the BatchNorms that have a faster form give what they get."""
    with without_faster_forms(model, nn.modules.batchnorm._BatchNorm) as norms:
        for norm, _ in norms:
            norm.__dict__["forward"] = _identity
        yield


def _identity(input: torch.Tensor) -> torch.Tensor:
    return input.clone()  # what comes next may overwrite it


_FASTER: dict[type[nn.Module], Any] = {
    kind: kind.forward for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Conv2d, nn.AvgPool2d, nn.GELU)
}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _is_torchs_own(module: nn.Module) -> bool:
    """Whether the layer runs what torch wrote, on a CPU, and nobody listens: the faster forms are for that."""
    forward = module.__dict__.get("forward")
    if type(module).forward is not _FASTER[type(module)] or not (forward is None or isinstance(forward, _Faster)):
        return False
    if any(module.__dict__.get(hooks) for hooks in _HOOKS):
        return False
    tensors = (*module._parameters.values(), *module._buffers.values())
    return all(tensor is None or tensor.is_cpu for tensor in tensors)


def _is_pointwise(conv: nn.Conv2d) -> bool:
    one = conv.kernel_size == conv.stride == (1, 1)
    return one and conv.groups == 1 and conv.bias is None and conv.padding in (0, (0, 0))


def _pointwise(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    if x.ndim != 4 or x.shape[1] != conv.in_channels or not x.is_contiguous() or conv.weight.stride(3) != 1:  # channels last
        return nn.Conv2d.forward(conv, x)
    n, _, height, width = x.shape
    return torch.matmul(conv.weight.flatten(1), x.flatten(2)).view(n, -1, height, width)


def _is_same_size(pool: nn.AvgPool2d) -> bool:
    kernel, stride, padding = (_pair(value) for value in (pool.kernel_size, pool.stride, pool.padding))
    odd = all(k % 2 == 1 and p == k // 2 for k, p in zip(kernel, padding, strict=True))
    return odd and stride == (1, 1) and not (pool.count_include_pad or pool.ceil_mode or pool.divisor_override)


def _average(pool: nn.AvgPool2d, x: torch.Tensor) -> torch.Tensor:
    if x.ndim != 4 or x.device.type != "cpu" or not x.is_contiguous():
        return nn.AvgPool2d.forward(pool, x)
    rows, columns = (_band(size, kernel, x.dtype) for size, kernel in zip(x.shape[2:], _pair(pool.kernel_size), strict=True))
    return torch.matmul(rows, x @ columns.T)


@functools.cache
def _band(size: int, kernel: int, dtype: torch.dtype) -> torch.Tensor:
    """[size, size]: row i averages the entries within kernel // 2 of i that there are."""
    band = torch.ones(size, size, dtype=dtype).tril(kernel // 2).triu(-(kernel // 2))
    return band / band.sum(dim=1, keepdim=True)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _batch_norm(norm: Any, x: torch.Tensor, given: Any = None) -> torch.Tensor:
    """BatchNorm by the statistics of the batch; running ones follow (given: as they were). With made weights it is torch's."""
    made = any(part is not None and not part.is_leaf for part in (norm.weight, norm.bias))
    if made or not norm.training or x.numel() == x.shape[1]:
        return type(norm).forward(norm, x)  # the latter raises torch's own error: one value a channel has no variance
    running, momentum = (norm.running_mean, norm.running_var) if norm.track_running_stats else (None, None), norm.momentum
    if norm.track_running_stats and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        momentum = 1 / float(norm.num_batches_tracked) if momentum is None else momentum
    return _BatchNorm.apply(x, norm, *running, momentum or 0.0)


class _BatchNorm(torch.autograd.Function):
    """y = weight * (x - mean) * r + bias, r = 1 / sqrt(variance + eps). Gradients for x alone: no statistic needs the others."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, norm: Any, *running: Any) -> torch.Tensor:
        y, mean, r = torch.native_batch_norm(x, norm.weight, norm.bias, running[0], running[1], True, running[2], norm.eps)
        ctx.save_for_backward(x, norm.weight, mean, r)
        ctx.eps = norm.eps
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return _BatchNormBackward.apply(*gradients, *ctx.saved_tensors, ctx.eps), None, None, None, None


class _BatchNormBackward(torch.autograd.Function):
    """dx = weight r (g - mean(g) - z mean(g z)), z = (x - mean) r, a symmetric linear map of g; and its own derivative."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, x: torch.Tensor, weight: Any, mean: Any, r: Any, eps: float) -> torch.Tensor:
        dx, sum_gz, sum_g = batch_norm_backward(g, x, weight, mean, r, eps)
        ctx.save_for_backward(g, x, weight, mean, r, sum_gz, sum_g)
        ctx.eps = eps
        return dx

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        g, x, weight, mean, r, *sums = ctx.saved_tensors
        dg, *sums_v = batch_norm_backward(gradients[0], x, weight, mean, r, ctx.eps)
        second = batch_norm_second(g, gradients[0], x, weight, mean, r, sums, sums_v, channel_sums(g, gradients[0]))
        return dg, second, None, None, None, None


def channel_sums(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """sum(a b) of each channel."""
    return (a * b).sum(dim=[axis for axis in range(a.ndim) if axis != 1])


def batch_norm_second(g: Any, v: Any, x: torch.Tensor, weight: Any, mean: Any, r: Any, of_g: Any, of_v: Any, sum_vg: Any) -> Any:
    """With S = <v, dx>, means over the m values of a channel and a = mean(v z), b = mean(g z), dS/dx =

    -weight r^2 ((mean(v g) - mean(v) mean(g) - 3 a b) z + b (v - mean(v)) + a (g - mean(g))).

    of_g, of_v: sum(g z) and sum(g) of each channel, and v's. sum_vg: sum(v g). dS/dg is `batch_norm_backward` of v.
    """
    m = x.numel() // x.shape[1]
    shape = [1, -1] + [1] * (x.ndim - 2)
    (b, mean_g), (a, mean_v) = ([each / m for each in sums] for sums in (of_g, of_v))
    scale = -r.square() if weight is None else -weight * r.square()
    of_x = scale * (sum_vg / m - mean_v * mean_g - 3 * a * b) * r
    constant = -of_x * mean - scale * (b * mean_v + a * mean_g)
    dx = (x * of_x.view(shape)).add_(constant.view(shape))
    return dx.addcmul_(v, (scale * b).view(shape)).addcmul_(g, (scale * a).view(shape))


def batch_norm_backward(g: torch.Tensor, x: torch.Tensor, weight: Any, mean: Any, r: Any, eps: float) -> tuple[torch.Tensor, ...]:
    """dx, sum(g z) and sum(g) of each channel."""
    return torch.ops.aten.native_batch_norm_backward(g, x, weight, None, None, mean, r, True, eps, [True, True, True])


class _Gelu(torch.autograd.Function):
    """y = x Phi(x), Phi the standard normal distribution function."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return torch.nn.functional.gelu(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return _GeluBackward.apply(*gradients, *ctx.saved_tensors)


class _GeluBackward(torch.autograd.Function):
    """dx = g (Phi(x) + x phi(x)), and its own derivative."""

    PIECE = 2**16  # entries: a few arrays of them fit in a core's cache

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(g, x)
        return torch.ops.aten.gelu_backward(g, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        """With v the gradient of dx: v (Phi(x) + x phi(x)) for g, and v g (2 - x^2) phi(x) for x."""
        (v,) = gradients
        g, x = ctx.saved_tensors
        dx = torch.empty_like(x, memory_format=torch.contiguous_format)
        pieces = (tensor.reshape(-1).split(_GeluBackward.PIECE) for tensor in (dx, x, v, g))
        for out, x_piece, v_piece, g_piece in zip(*pieces, strict=True):
            square = x_piece.square()
            torch.mul(square, -0.5, out=out).exp_().mul_(square.neg_().add_(2)).mul_(v_piece).mul_(g_piece)
            out.mul_(1 / math.sqrt(2 * math.pi))
        return torch.ops.aten.gelu_backward(v, x), dx
