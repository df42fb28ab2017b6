"""VKDNW (Tybl & Neumann, CVPR 2025): how evenly Fisher information spreads over weights."""

from typing import Any

import torch
from torch import nn

from parzc_core import _fast_layers
from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.scores.blocks import kaiming, noise
from parzc_core.scores.registry import network_score

_TENSORS = 128  # the first so many parameter tensors, one entry of each
_SMOOTHED = 0.05  # share of the uniform distribution in the predicted one
_MOST_EXACT = 16  # classes; of more, so many random directions are taken


@network_score
def trainable_layers(passes: Passes) -> float:
    """VKDNW's number of trainable layers: parameter tensors of the network, higher is better."""
    return float(len(list(passes.model.parameters())))


@network_score
def vkdnw(passes: Passes) -> float:
    """Entropy of the nine deciles of the Fisher information's eigenvalues, in [0, log 9], higher is better.

    F = mean over images of J^T (diag p - p p^T) J, with J the derivative of the logits by the first entry of each of the first
    128 parameter tensors, p the smoothed prediction; eval mode, Kaiming normal weights, standard normal images, as in the
    authors' code (there: 64 images). Their single score is this plus `trainable_layers`. More than 16 classes: J's rows are
    combined by 16 random vectors of that covariance, whose expectation is F. An entry that no logit depends on has eigenvalue 0.
    Raises BadInput for a layer with weights that is none of Conv2d, Linear and BatchNorm, and for no logits [N, classes].
    """
    with passes.changeable() as network:
        for layer, form in _fast_layers.restore(network):
            for buffer, given in zip(layer.buffers(), form.keywords.get("given", ()), strict=True):
                buffer.copy_(given)  # earlier passes changed running statistics
        kaiming(network)
        network.eval()
        rows = _weighted_jacobian(passes, network)
        network.train()
    fisher = (rows.T @ rows) / len(passes.images)
    eigenvalues = torch.linalg.eigvalsh(fisher).clamp(min=0)
    deciles = torch.quantile(eigenvalues, torch.arange(1, 10, dtype=torch.float64) / 10)
    share = deciles / (deciles.sum() + 1e-10)
    return float(-(share * (share + 1e-10).log()).sum())


def _weighted_jacobian(passes: Passes, network: nn.Module) -> torch.Tensor:
    """float64[images * directions, tensors]: A^T J of each image, with A A^T the covariance of its predicted class."""
    order = {id(parameter): place for place, parameter in enumerate(list(network.parameters())[:_TENSORS])}
    seen: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        seen.append((module, inputs[0].detach(), output))
        return output.clone()  # what comes next may overwrite its input

    for module in network.modules():
        if any(id(parameter) in order for parameter in module.parameters(recurse=False)):
            if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                raise BadInput(f"got {type(module).__name__}; vkdnw expects weights in Conv2d, Linear and BatchNorm2d alone")
            module.register_forward_hook(record)
    logits = passes.run(noise(passes), network)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise BadInput("vkdnw expects a network that gives logits [N, classes]")
    live = [one for one in seen if one[2].requires_grad]
    found = []
    for direction in _directions(logits.detach()):
        gradients = torch.autograd.grad(logits, [one[2] for one in live], direction, retain_graph=True, allow_unused=True)
        row = torch.zeros(len(logits), len(order), dtype=torch.float64)
        for (module, x, _), gradient in zip(live, gradients, strict=True):
            if gradient is not None:
                for parameter, value in _first_entries(module, x, gradient):
                    if id(parameter) in order:
                        row[:, order[id(parameter)]] += value.double().cpu()
        found.append(row)
    return torch.cat(found)


def _directions(logits: torch.Tensor) -> torch.Tensor:
    """[directions, N, classes]: the columns of a root of diag p - p p^T, or random vectors of that covariance."""
    classes = logits.shape[1]
    p = logits.softmax(dim=1) * (1 - _SMOOTHED) + _SMOOTHED / classes
    # (diag p - p p^T) = B B^T for B = diag sqrt p - p sqrt p^T, since p sums to one.
    root = torch.diag_embed(p.sqrt()) - p[:, :, None] * p.sqrt()[:, None, :]  # (N, classes, classes)
    if classes <= _MOST_EXACT:
        return root.movedim(2, 0)
    mixed = root @ torch.randn(len(logits), classes, _MOST_EXACT).to(root) / _MOST_EXACT**0.5
    return mixed.movedim(2, 0)


def _first_entries(module: Any, x: torch.Tensor, gradient: torch.Tensor) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """(parameter, [N]: each image's derivative by its first entry), of the layer's weight and bias."""
    if isinstance(module, nn.Linear):
        by_output = gradient[..., 0].flatten(1) if gradient.ndim > 2 else gradient[:, :1]
        by_weight = (by_output * (x[..., 0].flatten(1) if x.ndim > 2 else x[:, :1])).sum(dim=1)
        by_bias = by_output.sum(dim=1)
    else:
        channel = gradient[:, 0]  # (N, H, W)
        by_bias = channel.sum(dim=(1, 2))
        if isinstance(module, nn.Conv2d):
            by_weight = (channel * _under_first_tap(module, x, channel)).sum(dim=(1, 2))
        else:
            scale = (module.running_var[0] + module.eps).rsqrt()
            by_weight = (channel * (x[:, 0] - module.running_mean[0]) * scale).sum(dim=(1, 2))
    given = [(module.weight, by_weight), (module.bias, by_bias)]
    return [(parameter, value) for parameter, value in given if parameter is not None]


def _under_first_tap(conv: nn.Conv2d, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """[N, H, W]: the entries of the padded input that the kernel's first weight of the first channel multiplies."""
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    padded = nn.functional.pad(x[:, :1], conv._reversed_padding_repeated_twice, mode=mode)[:, 0]
    down, right = conv.stride
    return padded[:, : like.shape[1] * down : down, : like.shape[2] * right : right]
