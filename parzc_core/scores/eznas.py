"""EZNAS's best evolved program as a network-level score."""

import re
from contextlib import ExitStack

import torch
from torch import nn

from parzc_core._nested import mapped, total
from parzc_core._watch import forward_with_calls
from parzc_core.passes import Passes
from parzc_core.scores.registry import network_score

_KINDS = {nn.ReLU: "r", nn.Conv2d: "c", nn.BatchNorm2d: "b"}


@network_score
def eznas(passes: Passes) -> float:
    """EZNAS-A (Akhauri et al., NeurIPS 2022, [2]): mean over ReLU-Conv-BatchNorm layers of ||sigmoid(log det sign(G))||_F.

    Higher is better. G [N, C, H, H] is the gradient of the sum of all logits by the input of the layer's ReLU, through that
    ReLU alone; the determinant is of each channel's H x H matrix. The program, its terminal, the choice of layers and the
    mean are those of the authors' released code (program "darts"), which evaluates a batch of 16 images.
    log det is taken as 0 where the determinant is negative and -inf where it is 0, so a matrix adds (about) 1, 1/4 or 0 to the
    square of a layer's norm. A layer that the output does not depend on counts 0; one whose maps are not square is left out.
    NaN where no layer is left, or a gradient is NaN. Not as in that code: the network keeps its own initial weights (there:
    Kaiming normal), and singular matrices are told exactly.
    """
    modules = [module for module in passes.model.modules() if type(module) in _KINDS]
    order = "".join(_KINDS[type(module)] for module in modules)
    relus = [modules[match.start()] for match in re.finditer("rc+b", order)]
    inputs: dict[nn.Module, list[torch.Tensor]] = {relu: [] for relu in relus}

    def record(relu: nn.Module, args: tuple[torch.Tensor, ...]) -> torch.Tensor:
        branch = args[0].view_as(args[0])  # its gradient is what comes back through this ReLU, not through its siblings
        inputs[relu].append(branch)
        return branch

    with ExitStack() as hooks:
        for relu in relus:
            hooks.callback(relu.register_forward_pre_hook(record).remove)
            hooks.callback(setattr, relu, "inplace", relu.inplace)
            relu.inplace = False  # type: ignore[assignment]  # it would overwrite the branch
        inputs_of_all = mapped(passes.inputs, lambda x: x.detach().requires_grad_(True) if x.is_floating_point() else x)
        outputs, _ = forward_with_calls(passes.model, {}, inputs_of_all, classes=False)
    live = [branch for branches in inputs.values() for branch in branches if branch.requires_grad]
    gradients = iter(torch.autograd.grad(total(outputs), live, allow_unused=True) if live else ())
    layers: list[float] = []
    for branches in inputs.values():
        if not branches:  # the forward pass never came here
            layers.append(0.0)
        for branch in branches:
            gradient = next(gradients) if branch.requires_grad else None
            if branch.ndim == 4 and branch.shape[2] == branch.shape[3]:
                layers.append(0.0 if gradient is None else _program(gradient))
    return sum(layers) / len(layers) if layers else float("nan")


def _program(gradient: torch.Tensor) -> float:
    """||sigmoid(log det sign(gradient))||_F over the square matrices of the last two axes."""
    if bool(gradient.isnan().any()):  # its sign would be 0
        return float("nan")
    lu, pivots, _ = torch.linalg.lu_factor_ex(torch.sign(gradient).double())
    diagonal = lu.diagonal(dim1=-2, dim2=-1)
    swaps = (pivots != torch.arange(1, pivots.shape[-1] + 1)).sum(dim=-1)
    negative = (swaps + (diagonal < 0).sum(dim=-1)) % 2 == 1
    log_det = diagonal.abs().log().sum(dim=-1)
    log_det[negative] = 0.0
    # Elimination leaves rounding errors where a pivot is zero; one of integers that is not is far above them.
    log_det[diagonal.abs().amin(dim=-1) < 1e-9] = -torch.inf
    return float(torch.sigmoid(log_det).norm())
