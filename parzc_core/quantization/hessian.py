"""Hessian of the loss by the weight of each layer, never formed: top eigenvalue and average trace from products H v."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.errors import BadInput, is_whole
from parzc_core.passes import check_batch, nodes_of


class Curvature:
    """One network in eval mode and one batch: products with the Hessian of the mean cross-entropy.

    network: maps images to logits; it is copied, never touched. images: float[N, ...], N >= 2. labels: int64[N].
    Layers are the Conv2d and Linear ones in module order; biases and BatchNorm are held fixed. Raises BadInput.
    """

    def __init__(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
        check_batch(images, labels)
        model = copy.deepcopy(network).eval().requires_grad_(False)
        nodes = nodes_of(model)
        self.layers = tuple(nodes)
        self.weights = [node.weight.requires_grad_(True) for node in nodes.values()]
        with torch.enable_grad():
            loss = F.cross_entropy(model(images), labels)
            found = torch.autograd.grad(loss, self.weights, create_graph=True, allow_unused=True)
        # A layer that does not reach the loss has a Hessian of zeros.
        self._gradients = {i: gradient for i, gradient in enumerate(found) if gradient is not None}

    def product(self, layers: list[int], vectors: list[torch.Tensor]) -> list[torch.Tensor]:
        """[(H v)_i for i in layers], with v zero outside of them. layers: positions; vectors: shaped as the weights."""
        live = [(i, v) for i, v in zip(layers, vectors, strict=True) if self._reaches(i)]
        wanted = [self.weights[i] for i in layers]
        if not live:
            return [torch.zeros_like(weight) for weight in wanted]
        found = torch.autograd.grad(
            [self._gradients[i] for i, _ in live],
            wanted,
            grad_outputs=[v for _, v in live],
            retain_graph=True,
            allow_unused=True,
        )
        return [torch.zeros_like(w) if h is None else h.detach() for w, h in zip(wanted, found, strict=True)]

    def _reaches(self, layer: int) -> bool:
        """Whether the gradient of this layer depends on anything (it does not where the loss is linear in it)."""
        return layer in self._gradients and self._gradients[layer].requires_grad


def top_eigenvalues(
    curvature: Curvature, iterations: int = 100, tolerance: float = 1e-3, seed: int = 0
) -> dict[str, float]:
    """{layer: eigenvalue of largest magnitude of the layer's own block of the Hessian}, signed; 0 for a block of zeros.

    Power iteration from a random start, ended when the Rayleigh quotient changes by less than `tolerance` of itself, or
    after `iterations`. HAWQ (Dong et al., ICCV 2019). Raises BadInput for iterations below 1.
    """
    _at_least_one("iterations", iterations)
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, float] = {}
    for i, name in enumerate(curvature.layers):
        v = torch.randn(curvature.weights[i].shape, generator=generator).to(curvature.weights[i])
        v, eigenvalue = v / v.norm(), 0.0
        for _ in range(iterations):
            (h,) = curvature.product([i], [v])
            before, eigenvalue = eigenvalue, float((v.double() * h.double()).sum())
            norm = h.norm()
            if norm == 0:
                break
            v = h / norm
            if abs(eigenvalue - before) <= tolerance * abs(eigenvalue):
                break
        found[name] = eigenvalue
    return found


def average_traces(curvature: Curvature, draws: int = 50, seed: int = 0) -> dict[str, float]:
    """{layer: trace of the layer's block of the Hessian over its number of weights}, an unbiased estimate.

    Hutchinson: the mean of z_i (H z)_i over `draws` vectors of random signs. HAWQ-V2 (Dong et al., NeurIPS 2020). One product
    serves all layers here: what the other layers' signs add has mean zero. Raises BadInput for draws below 1.
    """
    _at_least_one("draws", draws)
    generator = torch.Generator().manual_seed(seed)
    every = list(range(len(curvature.layers)))
    total = [0.0] * len(every)
    for _ in range(draws):
        z = [torch.randint(0, 2, w.shape, generator=generator).mul(2).sub(1).to(w) for w in curvature.weights]
        for i, h in zip(every, curvature.product(every, z), strict=True):
            total[i] += float((z[i].double() * h.double()).sum())
    return {
        name: total[i] / draws / curvature.weights[i].numel() for i, name in zip(every, curvature.layers, strict=True)
    }


def _at_least_one(what: str, got: int) -> None:
    if not is_whole(got) or got < 1:
        raise BadInput(f"got {what}={got!r}; expected a whole number of at least 1")
