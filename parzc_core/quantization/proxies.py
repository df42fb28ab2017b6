"""Training-free proxies of a bit configuration: BParams, HAWQ, HAWQ-V2, OMPQ, QE, EMQ, SNIP, Synflow. Higher means better.

What is the same for every configuration of a network is computed once, in `Sensitivities`; a score is then a short sum.
The sums over layers take the bits of the weights, unless a docstring says otherwise.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch

from parzc_core.errors import UnknownName
from parzc_core.quantization.bits import BitConfiguration, check_bits, check_layers, size_in_bits
from parzc_core.quantization.sensitivities import Sensitivities


def grid_deviation(deviation: float, bits: int) -> float:
    """Standard deviation of a centred Gaussian of that deviation, rounded to whole numbers from -2^(bits-1) to 2^(bits-1).

    The table of the authors of QE (lightweight-neural-architecture-search, Apache-2.0) holds these numbers, which this
    reproduces; one value more than a grid of 2^bits has, as there.
    """
    largest = 2 ** (check_bits(bits) - 1)
    up_to = [0.5 * (1 + math.erf((k + 0.5) / deviation / math.sqrt(2))) for k in range(-largest, largest)] + [1.0]
    shares = [after - before for before, after in zip([0.0, *up_to], up_to, strict=False)]
    return math.sqrt(sum(share * k * k for share, k in zip(shares, range(-largest, largest + 1), strict=True)))


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


@_named("HAWQ (times bits)")
def hawq_times_bits(network: Sensitivities, bits: BitConfiguration) -> float:
    """sum_l b_l lambda_l: how the code of EMQ's authors, whose MQ-Bench-101 Table 11 uses, turns HAWQ into a score."""
    return _times_bits(network.eigenvalues, bits)


@_named("HAWQ-V2 (times bits)")
def hawq_v2_times_bits(network: Sensitivities, bits: BitConfiguration) -> float:
    """sum_l b_l trace(H_l), likewise; the trace, not its mean over the layer's weights."""
    size = {name: node.weight.numel() for name, node in network.nodes.items()}
    return _times_bits({name: mean * size[name] for name, mean in network.traces.items()}, bits)


@_named("OMPQ")
def ompq(network: Sensitivities, bits: BitConfiguration, beta: float = 1.0) -> float:
    """sum_l b_l / (L - l + 1) sum_(m >= l) theta_m, theta_m = exp(-beta gamma_m) (OMPQ, Ma et al., AAAI 2023).

    gamma_m = sum_(n != m) ORM(m, n): how much a layer's features resemble the other layers'; the sum is the objective of
    the paper's linear program, and that of the authors' code, whose beta is 1. EMQ's authors take sum_l b_l theta_l.
    """
    gamma = network.orthogonalities.sum(dim=1) - 1
    theta = torch.exp(-beta * gamma)
    # Mean of theta over a layer and those after it.
    later = theta.flip(0).cumsum(0).flip(0) / torch.arange(len(theta), 0, -1, dtype=theta.dtype)
    by_name = dict(zip(network.nodes, later.tolist(), strict=True))
    return sum(by_name[name] * w for name, (w, _) in bits.items())


@_named("QE")
def qe(network: Sensitivities, bits: BitConfiguration, weight: float = 4.0, activation: float = 5.0) -> float:
    """Quantization entropy, up to a constant, in nats (Sun et al., NeurIPS 2022, "Entropy-Driven Mixed-Precision Quantization").

    sum_l log(sqrt(fan-in_l) s(5, a_l) s(4, w_l) / 5), s of `grid_deviation`: the log deviation of a layer's outputs where weights
    and inputs are Gaussian on the grid of whole numbers, with the deviations of the authors' configuration (`weight`,
    `activation`). Nothing of the trained network enters, and weight and activation bits both count. The authors also weight
    the stages of their networks (1, 1, 6 for the last three); here every layer counts once, for any network.
    """
    total = 0.0
    for name, (w, a) in bits.items():
        fan_in = network.nodes[name].weight[0].numel()
        total += 0.5 * math.log(fan_in) + math.log(
            grid_deviation(activation, a) * grid_deviation(weight, w) / activation
        )
    return total


@_named("EMQ")
def emq(network: Sensitivities, bits: BitConfiguration) -> float:
    """sum_l b_l s_l, s_l of `Sensitivities.emq_layers` (EMQ, Dong et al., ICCV 2023), as its formula was read here.

    Its authors' code gives the formula as numbers of operators: [[1, 11], [6, 14], 2] on Synflow's gradients ("virtual_grad") and
    weights, without the list that they count in. By operator lists that its first author published later they are: abslog and
    softmax of the gradients, ReLU and square root of the weights, and their product. The softmax over all of a layer's entries,
    their sum and the product with the bits are the reading chosen here.
    """
    return _times_bits(network.emq_layers, bits)


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
