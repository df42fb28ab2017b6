"""OMPQ's orthogonality of layers: how alike the features of two layers are over one batch."""

import copy

import torch
from torch import nn

from parzc_core.passes import nodes_of


def orthogonality(network: nn.Module, images: torch.Tensor, centred: bool = True) -> torch.Tensor:
    """float64[L, L], ORM(i, j) = ||F_j^T F_i||_F^2 / (||F_i^T F_i||_F ||F_j^T F_j||_F), in [0, 1], ones on the diagonal.

    F_i: outputs of layer i in eval mode, [N, all features of an image]. 1: alike, 0: orthogonal. OMPQ (Ma et al., AAAI 2023).
    centred: each feature's mean over the images is taken off, as the authors' code does; the printed formula does not.
    Computed from the N x N matrices F F^T, for ||F_j^T F_i||^2 = <F_i F_i^T, F_j F_j^T>, so no feature is dropped. A layer of
    zeros, or that is never run, is orthogonal to every other. images: float32[N, ...].
    """
    model = copy.deepcopy(network).eval()
    nodes = nodes_of(model)
    grams = {name: torch.zeros(len(images), len(images), dtype=torch.float64) for name in nodes}

    def watch(name: str, node: nn.Module) -> None:
        def look(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            features = output.detach().reshape(len(images), -1).double()
            if centred:
                features = features - features.mean(dim=0)
            grams[name] += features @ features.T

        node.register_forward_hook(look)

    for name, node in nodes.items():
        watch(name, node)
    with torch.no_grad():
        model(images)
    flat = torch.stack([gram.flatten() for gram in grams.values()])
    flat = flat / flat.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    return (flat @ flat.T).fill_diagonal_(1.0)
