"""The seven node-wise values by plain autograd, written from the formulas; it uses nothing of the package."""

import copy
import math
from collections.abc import Callable, Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def reference(
    network: nn.Module,
    x: torch.Tensor,
    y: Any,
    outside_z: Collection[str] = (),
    loss: Callable[[Any, Any], torch.Tensor] = F.cross_entropy,
) -> dict[str, dict[str, float]]:
    """{proxy: {node: value}} of a network all of whose nodes are layers that are called.

    outside_z: nodes whose gradients are no part of GraSP's sum (the packed projections of attention).
    """
    network = copy.deepcopy(network).train()
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    nodes = {name: m for name, m in network.named_modules() if isinstance(m, (*CONVOLUTIONS, nn.Linear))}
    outputs: list[tuple[str, torch.Tensor]] = []
    for name, module in nodes.items():
        module.register_forward_hook(lambda m, i, o, name=name: outputs.append((name, o)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        value = loss(network(x), y)
    weights = {name: module.weight for name, module in nodes.items()}
    live = [o for _, o in outputs if o.requires_grad]
    found = torch.autograd.grad(value, [*weights.values(), *live], create_graph=True, allow_unused=True)
    g = dict(zip(weights, found, strict=False))
    d = {id(o): gradient for o, gradient in zip(live, found[len(weights) :], strict=True)}
    z = sum((g[name].detach() * g[name]).sum() for name in g if g[name] is not None and name not in outside_z)
    hg = dict(zip(weights, torch.autograd.grad(z, list(weights.values()), allow_unused=True), strict=True))

    saliency: dict[str, torch.Tensor] = {}
    for name, o in outputs:
        if d.get(id(o)) is not None:
            last = not isinstance(nodes[name], CONVOLUTIONS)
            product = (o * d[id(o)]).detach()
            product = product.movedim(-1, 1) if last else product
            s = product.flatten(2).sum(2) if product.ndim > 2 else product
            saliency[name] = saliency[name] + s if name in saliency else s
    values: dict[str, dict[str, float]] = {k: {} for k in ("fisher", "grad_norm", "grasp", "l2_norm", "plain", "snip")}
    for name, w in weights.items():
        gradient = torch.zeros_like(w) if g[name] is None else g[name].detach()
        values["grad_norm"][name] = math.sqrt(float(gradient.square().sum()))
        values["snip"][name] = float((gradient * w.detach()).abs().sum())
        values["plain"][name] = float((gradient * w.detach()).sum())
        values["l2_norm"][name] = math.sqrt(float(w.detach().square().sum()))
        values["grasp"][name] = 0.0 if hg[name] is None else -float((w.detach() * hg[name]).sum())
        out = saliency[name].shape[1] if name in saliency else 1
        per_channel = 0.5 * saliency[name].square().mean(0).sum() if name in saliency else 0.0
        values["fisher"][name] = float(per_channel) * w.numel() / out
    values["synflow"] = synflow(network, nodes, x)
    return values


def synflow(network: nn.Module, nodes: dict[str, nn.Module], x: torch.Tensor) -> dict[str, float]:
    """|W| dR/d|W|, R the sum of what one input of ones gives; BatchNorm gives what it gets."""
    linear = copy.deepcopy(network).double().eval()
    for module in linear.modules():
        module._forward_hooks.clear()
        if isinstance(module, NORMS):
            module.forward = lambda v: v
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    linear(torch.ones_like(x[:1], dtype=torch.float64)).sum().backward()
    found = dict(linear.named_modules())
    return {
        name: 0.0
        if found[name].weight.grad is None
        else float((found[name].weight * found[name].weight.grad).abs().sum())
        for name in nodes
    }
