"""Network-level scores made of weight gradients: LogSynflow, NASI, KNAS, GradSign and TE-NAS's condition number.

All see the weights of Conv2d and Linear layers, no biases and no BatchNorm parameters; a weight without gradient counts as zero.
A weight that two layers share counts once, but for LogSynflow, which sums over layers.
"""

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_weight

from parzc_core import _fast_layers
from parzc_core._graph import gradients_of
from parzc_core._watch import Watch, forward_with_calls, ordered_calls, run_watched
from parzc_core.errors import BadInput
from parzc_core.passes import Gradients, Passes, weight_nodes
from parzc_core.scores.registry import network_score


@network_score
def logsynflow(passes: Passes) -> float:
    """LogSynflow (Cavagnero et al., FreeREA, WACV 2023, [5]): sum |w| log(|dR/dw| + 1), higher is better.

    R is Synflow's: parameters made positive, BatchNorm bypassed as in `synflow`, one image of ones, float64. 0 without gradient.
    """
    flow, total = passes.flow, 0.0
    for name, gradient in flow.gradients.items():
        if gradient is not None:
            total += float((flow.weights[name].abs() * gradient.abs().log1p()).sum())
    return total


@network_score
def nasi(passes: Passes) -> float:
    """NASI (Shu et al., ICLR 2022, [46]), trace norm of the NTK: ||dL/dw||^2 over all weights, higher is better.

    §3.2: L is the mean cross-entropy of the mini-batch; the factor m / gamma of eq. (12) is the same for every architecture.
    Left out: the search's penalty above a constant nu (eq. 13), which the paper tunes. 0 where no weight has a gradient.
    """
    return _square_sum(passes, passes.loss_gradients)


@network_score
def knas(passes: Passes) -> float:
    """KNAS (Xu et al., ICML 2021, [60]), mean of the Gram matrix of gradients: 1/N^2 sum_nm <g_n, g_m>, higher is better.

    g_n = d(sum of image n's logits)/dw, so the mean is ||sum_n g_n||^2 / N^2 and costs one backward pass. All weights are
    used; the authors' released code approximates: the first 50 entries of each of the first tensors, gradients of the loss of
    50 mini-batches, centred, one half of them against the other. 0 where no weight has a gradient.
    """
    return _square_sum(passes, passes.logit_gradients) / len(passes.images) ** 2


@network_score
def gradsign(passes: Passes) -> float:
    """GradSign (Zhang & Jia, ICLR 2022, [65]): sum_w |sum_n sign(dL_n/dw)|, higher is better. An integer, 0 without gradient.

    L_n is the cross-entropy of image n alone in train mode, as in the authors' code: BatchNorm sees a batch of that one image.
    Here all images go through one forward and backward, with BatchNorm over each image alone, and the convolution of each
    image's gradient has the image as its group: 1.4 times faster than image by image. Gradients that are zero but for
    rounding have a random sign (about 0.1 % of the score). NaN where a gradient is not finite. Raises BadInput where BatchNorm
    has one value a channel and image, a layer does not see the images along its first axis, a weight is used in another way than
    by a plain layer's call, or something else than BatchNorm makes an image's logits depend on the others.
    """
    with passes.changeable() as model:
        return _gradsign(passes, model)


def _gradsign(passes: Passes, model: nn.Module) -> float:
    images, nodes = passes.images, weight_nodes(model)
    if odd := [name for name, node in nodes.items() if not isinstance(node.module, nn.Conv2d | nn.Linear)]:
        raise BadInput(f"got {type(nodes[odd[0]].module).__name__} {odd[0]!r}; gradsign expects Conv2d and Linear layers alone")
    _fast_layers.restore(model, nn.modules.batchnorm._BatchNorm)
    logits, calls = forward_with_calls(
        model, nodes, passes.inputs, watch=lambda copies: _EachAlone(nodes, copies, passes.foreign)
    )
    if any(told is not call for told, call in zip(ordered_calls(calls, model, len(images)), calls, strict=True)):
        raise BadInput("got a layer that may see sequences along the first axis; gradsign expects the images in the first axis")
    _check_alone(passes, model, logits)
    loss = F.cross_entropy(logits, passes.labels, reduction="sum")
    weights = {id(node.weight): node.weight for node in nodes.values()}  # of layers that share one, once
    found = gradients_of(loss, [*weights.values(), *(call.output for call in calls)], retain_graph=None)
    sums = {weight: gradient for weight, gradient in zip(weights, found, strict=False) if gradient is not None}
    if not all(bool(gradient.isfinite().all()) for gradient in sums.values()):
        return float("nan")

    of_each: dict[int, torch.Tensor] = {}  # only of weights with calls yet to come: their signs are those of the sum
    left = Counter(id(nodes[call.name].weight) for call in calls)
    total = 0.0
    for call, gradient in zip(calls, found[len(weights) :], strict=True):
        weight = id(nodes[call.name].weight)
        left[weight] -= 1
        if gradient is not None:
            g = _weight_gradient_of_each(nodes[call.name].module, call.read, gradient, len(images))
            of_each[weight] = of_each[weight] + g if weight in of_each else g
        if left[weight] == 0 and weight in of_each:
            g = of_each.pop(weight)
            if not _is_sum(sums.pop(weight, None), g):
                raise BadInput(f"{call.name!r} uses its weight in a way of its own; gradsign expects plain layers")
            total += float(g.sign().sum(dim=0).abs().sum(dtype=torch.float64))
    if used := [name for name, node in nodes.items() if id(node.weight) in sums and bool(sums[id(node.weight)].any())]:
        raise BadInput(f"the weight of {used[0]!r} is used by another function; gradsign expects plain layers")
    return total


@network_score
def ntk_condition(passes: Passes, images: int = 8) -> float:
    """TE-NAS (Chen et al., ICLR 2021, [7]): minus the condition number of the NTK, -lambda_max / lambda_min, higher is better.

    NTK_nm = <g_n, g_m>, g_n = d(sum of image n's logits)/dw, train mode: BatchNorm couples the images of the batch, as in the
    authors' code. In (-inf, -1]; -inf for a singular kernel, the zero one included; NaN where it is not finite.
    images: the first so many of the batch are the whole batch here; 8 cost a quarter of 16, one backward pass each.
    Raises BadInput for a network that gives no logits [N, classes].
    """
    logits = passes.run(passes.part(slice(0, images)))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise BadInput("ntk_condition expects a network that gives logits [N, classes]")
    weights = list({id(weight): weight for weight in passes.weights}.values())
    rows = [gradients_of(row.sum(), weights) for row in logits.unbind()]
    kernel = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for of_weight in zip(*rows, strict=True):
        live = [gradient for gradient in of_weight if gradient is not None]
        if live:  # a weight reaches the logits of all images or of none
            g = torch.stack(live).flatten(1).double()
            kernel += g @ g.T
    if not bool(kernel.isfinite().all()):
        return float("nan")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    # Errors of the gradients, squared in the kernel, and of the kernel.
    rounding = max((len(rows) * torch.finfo(logits.dtype).eps) ** 2, len(rows) * torch.finfo(kernel.dtype).eps)
    return -largest / smallest if smallest > rounding * largest else float("-inf")


def _square_sum(passes: Passes, gradients: Gradients) -> float:
    of_weights = {id(node.weight): gradients[name] for name, node in passes.nodes.items()}
    return sum(float(gradient.double().square().sum()) for gradient in of_weights.values() if gradient is not None)


def _check_alone(passes: Passes, model: nn.Module, logits: torch.Tensor) -> None:
    """Raises BadInput where the first image alone has other logits; not where the network draws or takes no single image."""
    state = torch.get_rng_state()
    try:
        with torch.no_grad():
            alone = run_watched(_EachAlone({}, foreign=passes.foreign), model, passes.part(slice(0, 1)))
    except BadInput:
        return
    first, drawn = logits.detach()[:1], not torch.equal(state, torch.get_rng_state())
    if not drawn and alone.shape == first.shape and float((alone - first).norm()) > 0.01 * float(logits.detach().norm()):
        raise BadInput("an image alone has other logits; gradsign expects that images and passes do not depend on others")


def _is_sum(gradient: torch.Tensor | None, of_each: torch.Tensor) -> bool:
    """Whether a weight's gradient is the sum of those of the images, up to rounding."""
    difference = of_each.sum(dim=0) if gradient is None else of_each.sum(dim=0) - gradient.flatten()
    return not float(difference.norm()) > 10 * torch.finfo(of_each.dtype).eps ** 0.5 * float(of_each.norm())


class _EachAlone(Watch):
    """A forward pass in which BatchNorm in train mode sees each image as a batch of one."""

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        return (_batch_norm_of_each if func is F.batch_norm else func)(*args, **kwargs)


def _batch_norm_of_each(
    x: torch.Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """F.batch_norm of each image as a batch of one: (N, C, ...) seen as one image of N C channels."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    n, channels = x.shape[:2]
    scale, shift = (None if p is None else p.repeat(n) for p in (weight, bias))
    return F.batch_norm(
        x.reshape(1, n * channels, *x.shape[2:]), None, None, scale, shift, True, 0.0, eps
    ).view_as(x)


def _weight_gradient_of_each(
    node: Any, x: torch.Tensor | None, gradient: torch.Tensor, n: int
) -> torch.Tensor:
    """[N, entries of the weight]: each image's gradient, from a call's input and the gradient of its output."""
    if x is None:
        raise BadInput("got a layer that is called by keyword; gradsign expects its input by place")
    x = x.detach()
    if len(x) != n:
        raise BadInput(
            f"got a layer that sees {len(x)} samples of a batch of {n}; gradsign expects the images in the first axis"
        )
    if isinstance(node, nn.Linear):
        of_each = torch.einsum(
            "nto,nti->noi", gradient.reshape(n, -1, node.out_features), x.reshape(n, -1, node.in_features)
        )
        return of_each.flatten(1)
    mode = "constant" if node.padding_mode == "zeros" else node.padding_mode
    padded = F.pad(x, node._reversed_padding_repeated_twice, mode=mode)
    shape = (n * node.out_channels, *node.weight.shape[1:])
    as_groups = [t.reshape(1, -1, *t.shape[2:]) for t in (padded, gradient)]
    return conv2d_weight(as_groups[0], shape, as_groups[1], node.stride, 0, node.dilation, n * node.groups).view(n, -1)
