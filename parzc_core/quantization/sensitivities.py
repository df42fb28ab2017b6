"""What the proxies read of one trained network and one batch; a score of a bit configuration is then a short sum."""

import copy
import functools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from parzc_core.collector import NodeStatistics, collect_statistics
from parzc_core.errors import BadInput
from parzc_core.passes import Passes, nodes_of
from parzc_core.quantization.hessian import Curvature, average_traces, top_eigenvalues
from parzc_core.quantization.quantizer import quantize_weight


class Sensitivities:
    """What the proxies read of one trained network and one batch: each made once, when it is first asked for.

    network: maps images to logits, never touched. images: float32[N, channels, height, width], N >= 2. labels: int64[N].
    seed: of power iteration and Hutchinson's signs; iterations, draws: at most so many products for each of them. clipping: of
    the weights whose error counts, as they are quantized.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        seed: int = 0,
        iterations: int = 100,
        draws: int = 50,
        clipping: str = "max",
    ) -> None:
        self.network, self.images, self.labels, self.seed = network, images, labels, seed
        self.iterations, self.draws, self.clipping = iterations, draws, clipping
        self.nodes = nodes_of(network)
        self.seconds: dict[str, float] = {}  # CPU-seconds of what has been made
        self.shape: tuple[int, ...] | None = None  # of an image, where there is none
        self._errors: dict[tuple[str, int], float] = {}

    @functools.cached_property
    def curvature(self) -> Curvature:
        """Products with the Hessian; its graph is shared by both Hessian proxies."""
        return Curvature(self.network, self.images, self.labels)

    @functools.cached_property
    def eigenvalues(self) -> dict[str, float]:
        """Top eigenvalue of each layer's block of the Hessian."""
        with self._timed("eigenvalues"):
            return top_eigenvalues(self.curvature, iterations=self.iterations, seed=self.seed)

    @functools.cached_property
    def traces(self) -> dict[str, float]:
        """Average trace of each layer's block of the Hessian."""
        with self._timed("traces"):
            return average_traces(self.curvature, draws=self.draws, seed=self.seed)

    @functools.cached_property
    def statistics(self) -> NodeStatistics:
        """All seven node-wise statistics."""
        with self._timed("statistics"):
            return collect_statistics(self.network, self.images, self.labels)

    @functools.cached_property
    def orthogonalities(self) -> torch.Tensor:
        """float64[L, L] of `orthogonality`, in module order."""
        with self._timed("orthogonalities"):
            return orthogonality(self.network, self.images)

    @functools.cached_property
    def emq_layers(self) -> dict[str, float]:
        """EMQ's formula of each layer: sum_i softmax(log |v|)_i sqrt(max(W_i, 0)), the mean of sqrt(max(W, 0)) weighted by |v|.

        v: the layer's gradients in Synflow's pass, of which only the shape of the images is read. 0 for a layer without any.
        """
        with self._timed("emq"):
            batch = torch.zeros(2, *(self.images.shape[1:] if self.shape is None else self.shape))
            flow = Passes(self.network, batch, torch.zeros(2, dtype=torch.int64)).flow
            found = {}
            for name, node in self.nodes.items():
                v, weight = flow.gradients[name], node.weight.detach().double()
                whole = 0.0 if v is None else float(v.abs().sum())
                found[name] = float((v.abs() * weight.clamp(min=0).sqrt()).sum()) / whole if v is not None and whole else 0.0
        return found

    def of_statistic(self, proxy: str) -> dict[str, float]:
        """{layer: node-wise statistic}."""
        return dict(zip(self.statistics.nodes, self.statistics.of(proxy).tolist(), strict=True))

    def weight_error(self, layer: str, bits: int) -> float:
        """||Q(W) - W||^2 of a layer."""
        if (layer, bits) not in self._errors:
            weight = self.nodes[layer].weight.detach()
            self._errors[layer, bits] = float(
                (quantize_weight(weight, bits, self.clipping) - weight).double().square().sum()
            )
        return self._errors[layer, bits]

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[what] = time.process_time() - start

    def plain(self) -> dict[str, Any]:
        """All of it for JSON, made if it is not yet; `restored` reads it back."""
        return {
            "eigenvalues": self.eigenvalues,
            "traces": self.traces,
            "statistics": {proxy: self.statistics.of(proxy).tolist() for proxy in self.statistics.proxies},
            "nodes": list(self.statistics.nodes),
            "execution_order": list(self.statistics.execution_order),
            "orthogonalities": self.orthogonalities.tolist(),
            "seconds": dict(self.seconds),
        }

    @classmethod
    def restored(
        cls, network: nn.Module, plain: Mapping[str, Any], clipping: str = "max", shape: tuple[int, ...] | None = None
    ) -> "Sensitivities":
        """What `plain` gave, with the network it was made of; no images are needed, only the shape of one for `emq_layers`.

        Raises BadInput for other layers.
        """
        found = cls(network, torch.zeros(0), torch.zeros(0, dtype=torch.int64), clipping=clipping)
        if set(plain["nodes"]) != set(found.nodes) or set(plain["eigenvalues"]) != set(found.nodes):
            raise BadInput(
                f"got sensitivities of the layers {', '.join(plain['nodes'])}; "
                f"expected those of the network: {', '.join(found.nodes)}"
            )
        found.shape = shape
        numel = np.array([found.nodes[name].weight.numel() for name in plain["nodes"]], dtype=np.int64)
        values = np.array(list(plain["statistics"].values()), dtype=np.float64)
        order = tuple(plain["execution_order"])
        statistics = NodeStatistics(tuple(plain["nodes"]), tuple(plain["statistics"]), values, numel, order)
        # In the place where a cached property looks first.
        found.__dict__.update(
            eigenvalues=dict(plain["eigenvalues"]), traces=dict(plain["traces"]), statistics=statistics
        )
        found.__dict__["orthogonalities"] = torch.tensor(plain["orthogonalities"], dtype=torch.float64)
        found.seconds.update(plain["seconds"])
        return found


def orthogonality(network: nn.Module, images: torch.Tensor, centred: bool = True) -> torch.Tensor:
    """float64[L, L], ORM(i, j) = ||F_j^T F_i||_F^2 / (||F_i^T F_i||_F ||F_j^T F_j||_F), in [0, 1], ones on the diagonal.

    How alike the features of two layers are over one batch: 1 alike, 0 orthogonal. OMPQ (Ma et al., AAAI 2023). F_i: outputs
    of layer i in eval mode, [N, all features of an image].
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
