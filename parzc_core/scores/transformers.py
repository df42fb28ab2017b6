"""TF-TAS's DSS indicator of Vision Transformers and its two terms (Zhou et al., Training-free Transformer Architecture Search,
CVPR 2022, §3).

All are NaN for a network without the blocks of `spaces.vit.blocks`. NWOT of networks with GELU is in `scores.counts.nwot`.
"""

import torch
from torch import nn

from parzc_core.passes import NODE_TYPES, Passes
from parzc_core.scores.registry import network_score
from parzc_core.spaces.vit.blocks import Attention, Mlp


@network_score
def synaptic_diversity(passes: Passes) -> float:
    """sum over the attention's qkv and proj weights of ||dR/dW||_* ||W||_*, the nuclear norms (sums of singular values).

    R as in Synflow, which TF-TAS linearises a network by: parameters made positive, one image of ones, R = the sum of the
    logits; float64. LayerNorm, softmax and GELU act as they do. In [0, inf).
    """
    names = _nodes(passes.model, Attention)
    return sum(_nuclear(passes, name) for name in names) if names else float("nan")


@network_score
def synaptic_saliency(passes: Passes) -> float:
    """sum over the MLPs' fc1 and fc2 weights of sum |dR/dW * W|, R as in `synaptic_diversity`. In [0, inf)."""
    names = _nodes(passes.model, Mlp)
    return sum(_saliency(passes, name) for name in names) if names else float("nan")


@network_score
def dss(passes: Passes) -> float:
    """DSS indicator of TF-TAS: synaptic diversity of attention plus synaptic saliency of MLPs, all layers; higher is better.

    Absolute products as in Synflow. Patch embedding, pooling and head are not in the paper's sums (released code adds the
    saliency of some of them).
    """
    return synaptic_diversity(passes) + synaptic_saliency(passes)


def _nodes(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    """Paths of the Conv2d and Linear layers inside all modules of that kind."""
    return [
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if isinstance(module, kind)
        for name, node in module.named_modules()
        if isinstance(node, NODE_TYPES)
    ]


def _nuclear(passes: Passes, name: str) -> float:
    gradient = passes.flow.gradients[name]
    if gradient is None:
        return 0.0
    return float(_nuclear_norm(gradient) * _nuclear_norm(passes.flow.weights[name]))


def _nuclear_norm(matrix: torch.Tensor) -> torch.Tensor:
    return torch.linalg.svdvals(matrix).sum()


def _saliency(passes: Passes, name: str) -> float:
    gradient = passes.flow.gradients[name]
    return 0.0 if gradient is None else float((gradient * passes.flow.weights[name]).abs().sum())
