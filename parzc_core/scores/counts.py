"""Network-level scores of Table 1: one number for a whole untrained network, higher meaning better.

A new score is one decorated function of a `Passes` (a network, a batch, and the passes of the one on the other, each made once
and shared by all that read it). A score that changes weights takes `passes.changeable()`.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from parzc_core import _fast_layers
from parzc_core._graph import gradients_of
from parzc_core._nested import mapped, tensors
from parzc_core._state import same_start, switch
from parzc_core._watch import CallsTheOriginal
from parzc_core.errors import BadInput
from parzc_core.passes import Passes, weight_nodes
from parzc_core.scores.codes import ACTIVATIONS, each_code
from parzc_core.scores.registry import network_score


@network_score
def params(passes: Passes) -> float:
    """Number of parameters."""
    return float(sum(parameter.numel() for parameter in passes.model.parameters()))


@network_score
def flops(passes: Passes) -> float:
    """Floating-point operations of one image, a multiply-add counted as two (PyTorch's own counter), for any network.

    Convolutions and linear layers alone are counted. The numbers published for NAS-Bench-201 count pooling, BatchNorm and ReLU
    as well; they are `spaces.nb201.flops`, and stand in Table 1.
    """
    with _fast_layers.without_faster_forms(passes.model):
        switch(passes.model, "eval")
        try:
            return _flops(passes, 1)
        except CallsTheOriginal:
            raise
        except BadInput:  # a network that takes whole batches only
            return _flops(passes, len(passes.images)) / len(passes.images)
        finally:
            switch(passes.model, "train")


def _flops(passes: Passes, count: int) -> float:
    """Of the first so many images. Recurrent layers are taken apart, as the counter does not know the fused ones."""
    counter = FlopCounterMode(display=False)
    fused = torch._C._get_mkldnn_enabled()
    try:
        torch._C._set_mkldnn_enabled(False)
        with counter, torch.no_grad():
            passes.run(passes.part(slice(0, count)))
    finally:
        torch._C._set_mkldnn_enabled(fused)
    return float(counter.get_total_flops())


@network_score
def jacov(passes: Passes) -> float:
    """Jacobian covariance (Mellor et al., 2020, first version; as in [1]): -sum_i log(v_i + k) + 1/(v_i + k), k = 1e-5.

    v are the eigenvalues of the correlation matrix of the rows J_n = d(sum of logits)/d(image n). NaN where a row is constant
    or not finite.
    """
    jacobian = passes.image_gradients
    rows = np.zeros((len(passes.images), 1)) if jacobian is None else jacobian.flatten(1).double().cpu().numpy()
    if not np.isfinite(rows).all() or np.any(rows.std(axis=1) == 0):
        return float("nan")
    k = 1e-5
    v = np.linalg.eigvalsh(np.corrcoef(rows))
    return float(-np.sum(np.log(v + k) + 1.0 / (v + k)))


@network_score
def nwot(passes: Passes) -> float:
    """NWOT (Mellor et al., ICML 2021, [36]): log det K, K_nm = sum over ReLUs of the units on which images n and m agree.

    A unit is on where its output is positive. GELU(x) = x Phi(x) is positive exactly where x is, so GELUs have the code that
    ReLUs in their place would have had on the same inputs; a unit of a Transformer is a hidden unit at one token.
    NaN for a network without ReLU and GELU modules, where one gives NaN, and where it cannot be told which axis of its output
    counts the images; -inf where two images switch the same units. Raises BadInput for outputs that are not of all images.
    """
    n = len(passes.images)
    kernel = torch.zeros(n, n, dtype=torch.float64, device=passes.device)

    def add(on: torch.Tensor) -> None:
        code = on.float()  # (N, units); counts stay below 2^24, so float32 is exact
        both, on_in = (code @ code.T).double(), code.sum(dim=1).double()
        kernel.add_(code.shape[1] - on_in[:, None] - on_in[None, :] + 2 * both)  # on in both, or off in both

    known = each_code(passes, passes.inputs, add) and any(isinstance(module, ACTIVATIONS) for module in passes.model.modules())
    return float(torch.linalg.slogdet(kernel).logabsdet) if known else float("nan")


@network_score
def zen(passes: Passes, repeats: int = 1, step: float = 0.01) -> float:
    """Zen-score (Lin et al., ICCV 2021, [30]): log E |f(x) - f(x + step e)| + sum over BatchNorms of log sqrt(mean variance).

    Weights, x and e are standard normal; f is the feature map that the last global pooling (or else the last Linear) reads.
    The images give only their shape. Mean over `repeats` draws. What is random in the network is alike in both passes. Raises
    BadInput for inputs without floats, such as tokens, which no e can be added to.
    """
    if not any(part.is_floating_point() and part.ndim for part in tensors(passes.inputs)):
        raise BadInput("got inputs without floats; zen expects images, which it adds noise to")
    with passes.changeable() as network:
        return _zen(passes, network, repeats, step)


def _zen(passes: Passes, network: nn.Module, repeats: int, step: float) -> float:
    for node in weight_nodes(network).values():
        nn.init.normal_(node.weight)
        bias = node.module.bias if node.parameter == "weight" else node.module._parameters.get("in_proj_bias")
        if isinstance(bias, torch.Tensor):
            nn.init.zeros_(bias)
    last = [m for m in network.modules() if isinstance(m, nn.AdaptiveAvgPool2d | nn.Linear)]
    pooled = next((m for m in reversed(last) if isinstance(m, nn.AdaptiveAvgPool2d)), last[-1] if last else None)
    found: dict[str, torch.Tensor] = {}
    log_scale: list[torch.Tensor] = []

    def variance(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        per_channel = inputs[0].var(dim=(0, *range(2, inputs[0].ndim)), unbiased=False)
        log_scale.append(0.5 * torch.log(per_channel.double().mean() + 1e-12))

    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.register_forward_pre_hook(variance)
    if pooled is not None:
        pooled.register_forward_pre_hook(lambda module, inputs: found.update(features=inputs[0].clone()))
    scores = []
    with torch.no_grad():
        for _ in range(repeats):
            x = mapped(passes.inputs, lambda part: torch.randn_like(part) if part.is_floating_point() else part)
            features = []
            for batch in (x, mapped(x, lambda part: part + step * torch.randn_like(part) if part.is_floating_point() else part)):
                log_scale.clear()
                with same_start():
                    outputs = passes.run(batch, network)
                features.append(found.get("features", tensors(outputs)[0]).clone())
                if len(features) == 1:
                    scale = sum(float(term) for term in log_scale)
            difference = (features[0] - features[1]).abs().flatten(1).sum(dim=1).mean().double()
            scores.append(float(torch.log(difference)) + scale)
    return float(np.mean(scores))


@network_score
def zico(passes: Passes) -> float:
    """ZiCo (Li et al., ICLR 2023, [29]): sum over nodes of log sum over weights of mean |g| / std g, over mini-batches.

    The two mini-batches are the halves of the batch. Weights whose gradients do not vary are left out of the inner sum, nodes
    without any varying weight out of the outer one.
    """
    gradients: list[tuple[torch.Tensor | None, ...]] = []
    half = len(passes.images) // 2
    for part in (slice(0, half), slice(half, 2 * half)):
        loss = passes.loss_of(passes.run(passes.part(part)), _rows_of(passes.labels, part, len(passes.images)))
        gradients.append(tuple(gradients_of(loss, passes.weights)))
    total = 0.0
    for first, second in zip(*gradients, strict=True):
        if first is None or second is None:
            continue
        pair = torch.stack([first, second]).double()
        spread, size = pair.std(dim=0, unbiased=False), pair.abs().mean(dim=0)
        varying = spread != 0  # NaN is kept
        if bool(varying.any()):
            total += float(torch.log((size[varying] / spread[varying]).sum()))
    return total


def _rows_of(labels: Any, rows: slice, count: int) -> Any:
    """The labels of some of so many images: a tensor, a list with one entry an image, or tuples and dicts of tensors."""
    if isinstance(labels, list | tuple) and len(labels) == count and not isinstance(labels[0], torch.Tensor):
        return labels[rows]
    return mapped(labels, lambda tensor: tensor[rows] if tensor.ndim and len(tensor) == count else tensor)
