"""Training-free proxies of a bit configuration: BParams, HAWQ, HAWQ-V2, OMPQ, QE, SNIP, Synflow. Higher means better.

EMQ's evolved formula is not here: it could not be read off the paper's text, and a guess would bear its name.
What is the same for every configuration of a network is computed once, in `Sensitivities`; a score is then a short sum.
The sums over layers take the bits of the weights, unless a docstring says otherwise.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from parzc_core.collector import NodeStatistics, collect_statistics
from parzc_core.errors import UnknownName
from parzc_core.mixed_precision.bits import BitConfiguration, check_layers, size_in_bits
from parzc_core.mixed_precision.hessian import Curvature, average_traces, top_eigenvalues
from parzc_core.mixed_precision.orthogonality import orthogonality
from parzc_core.mixed_precision.quantizer import Range, calibrate, quantize_activation, quantize_weight
from parzc_core.passes import nodes_of


class Sensitivities:
    """What the proxies read of one trained network and one batch: each made once, when it is first asked for.

    network: maps images to logits, never touched. images: float32[N, channels, height, width], N >= 2. labels: int64[N].
    seed: of power iteration and Hutchinson's signs; iterations, draws: at most so many products for each of them.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        seed: int = 0,
        iterations: int = 100,
        draws: int = 50,
    ) -> None:
        self.network, self.images, self.labels, self.seed = network, images, labels, seed
        self.iterations, self.draws = iterations, draws
        self.nodes = nodes_of(network)
        self._errors: dict[tuple[str, int], float] = {}
        self._entropies: dict[tuple[str, int, int], float] = {}

    @functools.cached_property
    def curvature(self) -> Curvature:
        """Products with the Hessian; its graph is shared by both Hessian proxies."""
        return Curvature(self.network, self.images, self.labels)

    @functools.cached_property
    def eigenvalues(self) -> dict[str, float]:
        """Top eigenvalue of each layer's block of the Hessian."""
        return top_eigenvalues(self.curvature, iterations=self.iterations, seed=self.seed)

    @functools.cached_property
    def traces(self) -> dict[str, float]:
        """Average trace of each layer's block of the Hessian."""
        return average_traces(self.curvature, draws=self.draws, seed=self.seed)

    @functools.cached_property
    def statistics(self) -> NodeStatistics:
        """Node-wise SNIP and Synflow."""
        return collect_statistics(self.network, self.images, self.labels, ("snip", "synflow"))

    @functools.cached_property
    def orthogonalities(self) -> torch.Tensor:
        """float64[L, L] of `orthogonality`, in module order."""
        return orthogonality(self.network, self.images)

    @functools.cached_property
    def ranges(self) -> dict[str, Range]:
        """Range of each layer's input over the batch."""
        return calibrate(self.network, [self.images])

    def of_statistic(self, proxy: str) -> dict[str, float]:
        """{layer: node-wise statistic}."""
        return dict(zip(self.statistics.nodes, self.statistics.of(proxy).tolist(), strict=True))

    def weight_error(self, layer: str, bits: int) -> float:
        """||Q(W) - W||^2 of a layer."""
        if (layer, bits) not in self._errors:
            weight = self.nodes[layer].weight.detach()
            self._errors[layer, bits] = float((quantize_weight(weight, bits) - weight).double().square().sum())
        return self._errors[layer, bits]

    def output_entropy(self, layer: str, bits: tuple[int, int]) -> float:
        """Nats: entropy of a Gaussian with the variance that a layer's quantized weights and inputs give its outputs."""
        key = (layer, *bits)
        if key not in self._entropies:
            weight = quantize_weight(self.nodes[layer].weight.detach(), bits[0]).double()
            fan_in = weight.numel() // len(weight)
            variance = fan_in * float(weight.square().mean()) * self._input_power(layer, bits[1])
            self._entropies[key] = 0.5 * math.log(2 * math.pi * math.e * max(variance, 1e-300))
        return self._entropies[key]

    def _input_power(self, layer: str, bits: int) -> float:
        """Mean square of standard normal values, as a signed or (for an input without negatives) halved one, quantized."""
        # Quantiles of the normal at equal steps of probability: no draw, no seed. Clipped at 3 standard deviations.
        at = torch.erfinv(torch.linspace(-1, 1, 2003, dtype=torch.float64)[1:-1]) * math.sqrt(2)
        seen = self.ranges.get(layer)
        low = 0.0 if seen is not None and seen.low >= 0 else -3.0
        values = at.clamp(min=low)
        return float(quantize_activation(values, Range(low, 3.0), bits).square().mean())


Proxy = Callable[[Sensitivities, BitConfiguration], float]
REGISTRY: dict[str, Proxy] = {}


def _named(name: str) -> Callable[[Proxy], Proxy]:
    def register(proxy: Proxy) -> Proxy:
        REGISTRY[name] = proxy
        return proxy

    return register


@_named("BParams")
def bparams(network: Sensitivities, bits: BitConfiguration) -> float:
    """Parameters times their bits, summed over layers: the size of the quantized weights in bits (EMQ, ICCV 2023)."""
    return float(size_in_bits(network.network, bits))


@_named("HAWQ")
def hawq(network: Sensitivities, bits: BitConfiguration) -> float:
    """-sum_l lambda_l ||Q(W_l) - W_l||^2, lambda_l the layer's top Hessian eigenvalue (HAWQ, Dong et al., ICCV 2019).

    HAWQ ranks layers by lambda_l, not configurations; the product with the perturbation is its Omega_l, which orders fine
    tuning, and its sum over layers is the reading chosen here.
    """
    return -sum(network.eigenvalues[name] * network.weight_error(name, w) for name, (w, _) in bits.items())


@_named("HAWQ-V2")
def hawq_v2(network: Sensitivities, bits: BitConfiguration) -> float:
    """-sum_l mean-trace(H_l) ||Q(W_l) - W_l||^2, the total perturbation Omega of HAWQ-V2 (Dong et al., NeurIPS 2020)."""
    return -sum(network.traces[name] * network.weight_error(name, w) for name, (w, _) in bits.items())


@_named("OMPQ")
def ompq(network: Sensitivities, bits: BitConfiguration, beta: float = 10.0) -> float:
    """sum_l b_l / (L - l + 1) sum_(m >= l) theta_m, theta_m = exp(-beta gamma_m) (OMPQ, Ma et al., AAAI 2023).

    gamma_m = sum_(n != m) ORM(m, n): how much a layer's features resemble the other layers'; the sum is the objective of
    the paper's linear program. beta: positive; of the scale on which gamma is turned into importance, chosen here.
    """
    gamma = network.orthogonalities.sum(dim=1) - 1
    theta = torch.exp(-beta * gamma)
    # Mean of theta over a layer and those after it.
    later = theta.flip(0).cumsum(0).flip(0) / torch.arange(len(theta), 0, -1, dtype=theta.dtype)
    by_name = dict(zip(network.nodes, later.tolist(), strict=True))
    return sum(by_name[name] * w for name, (w, _) in bits.items())


@_named("QE")
def qe(network: Sensitivities, bits: BitConfiguration) -> float:
    """Quantization entropy: the sum over layers of the Gaussian entropy of the outputs (Sun et al., NeurIPS 2022), in nats.

    After "Entropy-Driven Mixed-Precision Quantization for Deep Network Design": features are taken for Gaussian and their
    entropy follows from the variances of quantized weights and inputs. Reading chosen here, which is not the paper's integer
    grid: the trained weights, and inputs that are standard normal, without their negative half where calibration saw none.
    Weight and activation bits both count.
    """
    return sum(network.output_entropy(name, pair) for name, pair in bits.items())


@_named("SNIP")
def snip(network: Sensitivities, bits: BitConfiguration) -> float:
    """sum_l b_l sum |dL/dW W| (SNIP, Lee et al., ICLR 2019), the layer's statistic times its bits, the reading chosen here."""
    return _times_bits(network.of_statistic("snip"), bits)


@_named("Synflow")
def synflow(network: Sensitivities, bits: BitConfiguration) -> float:
    """sum_l b_l sum |dR/dW W| (Synflow, Tanaka et al., NeurIPS 2020), times bits as `snip`."""
    return _times_bits(network.of_statistic("synflow"), bits)


def _times_bits(statistic: Mapping[str, float], bits: BitConfiguration) -> float:
    return sum(statistic[name] * w for name, (w, _) in bits.items())


def scores(network: Sensitivities, bits: BitConfiguration, names: Iterable[str] | None = None) -> dict[str, float]:
    """{proxy: score} of one configuration, all of REGISTRY or those named. NaN and inf are kept.

    Raises UnknownName for a proxy or layer that is not there, BadInput for a layer without bits.
    """
    wanted = tuple(REGISTRY) if names is None else tuple(names)
    for name in wanted:
        if name not in REGISTRY:
            raise UnknownName.of("proxy of a bit configuration", name, REGISTRY)
    check_layers(network.network, bits)
    return {name: REGISTRY[name](network, bits) for name in wanted}
