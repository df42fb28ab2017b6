"""AZ-NAS (Lee & Ham, CVPR 2024): three network-level scores of the feature maps between a network's blocks.

The fourth part, complexity, is `flops`; their aggregate ranks a whole set of networks (`experiments/table01_since`). As in the
authors' code weights are Kaiming normal and the images standard normal; a block is a member of the network's longest ModuleList
(a cell, or a Transformer's block), and the first map is what the first block gets. The batch is that of the passes (there: 64).
"""

from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core._nested import mapped
from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.scores.registry import network_score

_FOUND: WeakKeyDictionary[Passes, tuple[np.ndarray, np.ndarray]] = WeakKeyDictionary()


@network_score
def az_expressivity(passes: Passes) -> float:
    """Sum over maps of the entropy of the channels' covariance spectrum, higher is better. NaN where a map is constant."""
    return float(_of_blocks(passes)[0].sum())


@network_score
def az_progressivity(passes: Passes) -> float:
    """Least growth of that entropy from one map to the next, higher is better. NaN where a map is constant."""
    return float(np.diff(_of_blocks(passes)[0]).min())


@network_score
def az_trainability(passes: Passes) -> float:
    """Mean over blocks of 2 - s - 1/s, at most 0: how near the spectral norm s of a block's Jacobian is to 1.

    The Jacobian is estimated by one random vector of signs on the block's output. -inf where a block is the identity.
    """
    return float(_of_blocks(passes)[1].mean())


def _of_blocks(passes: Passes) -> tuple[np.ndarray, np.ndarray]:
    """Entropies of the B + 1 maps, and trainability of the B blocks."""
    if passes not in _FOUND:
        with passes.changeable() as network:
            kaiming(network)
            maps = _maps(passes, network)
            entropies = [_entropy(one.detach()) for one in maps]
            _FOUND[passes] = np.array(entropies), np.array([_trainable(*pair) for pair in pairwise(maps)])
    return _FOUND[passes]


def kaiming(network: nn.Module) -> None:
    """Kaiming normal weights by the number of inputs, biases 0, BatchNorms the identity; every parameter has a gradient."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm) and module.weight is not None:
            nn.init.ones_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    network.requires_grad_(True)


def noise(passes: Passes) -> Any:
    """Inputs as those of the passes, standard normal, by which can be derived; integers as they are."""
    return mapped(passes.inputs, lambda x: torch.randn_like(x).requires_grad_(True) if x.is_floating_point() else x)


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The members of the network's longest ModuleList, lists in it taken apart; without one, of its longest Sequential.

    Raises BadInput where there is neither.
    """
    children = [network, *network.children()]
    found = [[_members(child) for child in children if isinstance(child, kind)] for kind in (nn.ModuleList, nn.Sequential)]
    longest = max(found[0] or found[1], key=len, default=[])
    if len(longest) < 2:
        raise BadInput(
            f"got {type(network).__name__}, which holds no list of blocks; AZ-NAS's scores expect a ModuleList or Sequential "
            "with two or more members among the network's own modules"
        )
    return longest


def _members(module: nn.Module) -> list[nn.Module]:
    parts = list(module.children())
    return [one for part in parts for one in (_members(part) if isinstance(part, nn.ModuleList) else [part])]


def _maps(passes: Passes, network: nn.Module) -> list[torch.Tensor]:
    """What the first block gets and what each block gives, in order of execution: [N, C, ...] or tokens [N, L, C]."""
    maps: list[torch.Tensor] = []

    def before(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if not maps:
            maps.append(inputs[-1])  # a cell of two inputs gets the nearer one last

    def after(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        maps.append(output)
        return output.clone()  # what comes next may overwrite its input

    for block in blocks_of(network):
        block.register_forward_pre_hook(before)
        block.register_forward_hook(after)
    passes.run(noise(passes), network)
    if len(maps) < 2 or any(not isinstance(one, torch.Tensor) or one.ndim not in (3, 4) for one in maps):
        raise BadInput("AZ-NAS's scores expect blocks that give maps [N, C, H, W] or tokens [N, L, C], two or more")
    return maps


def _rows(features: torch.Tensor) -> torch.Tensor:
    """float64[positions, C] of a map [N, C, H, W] or of tokens [N, L, C]."""
    last = features.movedim(1, -1) if features.ndim == 4 else features
    return last.reshape(-1, last.shape[-1]).double()


def _entropy(features: torch.Tensor) -> float:
    rows = _rows(features)
    rows = rows - rows.mean(dim=0)
    spectrum = torch.linalg.eigvalsh(rows.T @ rows / len(rows))
    share = spectrum / spectrum.sum()
    return float(-(share * (share + 1e-8).log()).sum())


def _trainable(given: torch.Tensor, made: torch.Tensor) -> float:
    signs = torch.randint_like(made, 0, 2) * 2 - 1
    reached = given.requires_grad and made.requires_grad
    back = torch.autograd.grad(made, given, signs, allow_unused=True)[0] if reached else None
    back = torch.zeros_like(given) if back is None else back
    if back.shape == signs.shape and bool((back == signs).all()):
        return float("-inf")
    if back.ndim == 4 and back.shape[2:] != signs.shape[2:]:
        factor = back.shape[2] // signs.shape[2]
        if (factor * signs.shape[2], factor * signs.shape[3]) != tuple(back.shape[2:]):
            raise BadInput(f"got maps of {tuple(back.shape[2:])} and {tuple(signs.shape[2:])}; expected sides that divide")
        back = F.pixel_unshuffle(back, factor)
    if len(_rows(back)) != len(_rows(signs)):
        raise BadInput("AZ-NAS's trainability expects blocks that keep the number of tokens")
    s = float(torch.linalg.matrix_norm(_rows(back).T @ _rows(signs) / len(_rows(signs)), ord=2))
    return 2 - s - 1 / (s + 1e-6)
