"""Post-training quantization, simulated in float: symmetric weights per output channel, calibrated activations.

A quantized layer computes with values of a grid of 2^bits points, as integer hardware would up to float rounding. With
clipping "max" the grid reaches the largest value; with "mse" it is cut where the squared error is least.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from parzc_core.errors import BadInput, UnknownName
from parzc_core.passes import nodes_of
from parzc_core.quantization.bits import BitConfiguration, check_bits, check_layers

TINY = torch.finfo(torch.float32).eps
CLIPPINGS = ("max", "mse")
FRACTIONS = tuple(i / 20 for i in range(20, 3, -1))  # of the largest value, tried for the cut: 1, 0.95, ... 0.2


@dataclass(frozen=True)
class Range:
    """Smallest and largest value of a layer's input over the calibration images."""

    low: float
    high: float


Ranges = Mapping[str, Range | Mapping[int, Range]]  # of a layer, or of a layer for each number of bits


def weight_scale(weight: torch.Tensor, bits: int, clipping: str = "max") -> torch.Tensor:
    """float[out channels]: the cut over 2^(bits-1) - 1; eps for a channel of zeros.

    The cut is the channel's max |w|, or with clipping "mse" that one of FRACTIONS of it with the least squared error. Raises
    UnknownName, BadInput.
    """
    largest = 2 ** (check_bits(bits) - 1) - 1
    if clipping not in CLIPPINGS:
        raise UnknownName.of("clipping", clipping, CLIPPINGS)
    rows = weight.detach().flatten(1)
    whole = (rows.abs().amax(dim=1) / largest).clamp(min=TINY)
    if clipping == "max":
        return whole
    best, least = whole, torch.full_like(whole, torch.inf)
    for fraction in FRACTIONS:
        scale = (whole * fraction)[:, None]
        error = (rows / scale).round_().clamp_(-largest, largest).mul_(scale).sub_(rows).square_().sum(dim=1)
        best = torch.where(error < least, scale[:, 0], best)
        least = torch.minimum(error, least)
    return best


def quantize_weight(weight: torch.Tensor, bits: int, clipping: str = "max") -> torch.Tensor:
    """Fake-quantized weight [out, ...]: round(w / s) s per output channel, integers in [-2^(b-1)+1, 2^(b-1)-1].

    Symmetric and restricted: the integer -2^(b-1) is left out, so two bits give -1, 0 and 1. Krishnamoorthi, "Quantizing
    deep convolutional networks for efficient inference" (2018), §2.2 and §3.1.1. Raises BadInput for bits outside 2 to 8.
    """
    largest = 2 ** (check_bits(bits) - 1) - 1
    scale = weight_scale(weight, bits, clipping).view(-1, *[1] * (weight.ndim - 1))
    return (weight / scale).round().clamp(-largest, largest) * scale


def activation_grid(seen: Range, bits: int) -> tuple[float, int]:
    """(scale, zero point) of the affine grid 0 ... 2^bits - 1 over the range, widened to hold 0 (padding, ReLU) exactly."""
    steps = 2 ** check_bits(bits) - 1
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    scale = max((high - low) / steps, TINY)
    return scale, min(max(round(-low / scale), 0), steps)


def quantize_activation(x: torch.Tensor, seen: Range, bits: int) -> torch.Tensor:
    """Fake-quantized x, any shape: (clamp(round(x / s) + z, 0, 2^bits - 1) - z) s; values outside the range are clipped.

    Affine quantization, Krishnamoorthi (2018), §2.1. Raises BadInput for bits outside 2 to 8.
    """
    scale, zero = activation_grid(seen, bits)
    return ((x / scale).round() + zero).clamp(0, 2**bits - 1).sub(zero) * scale


def calibrate(network: nn.Module, batches: Iterable[torch.Tensor], clip: float = 0.999) -> dict[str, Range]:
    """Range of every layer's input in eval mode: means over batches of the quantiles 1 - clip and clip of each batch.

    batches: float32[N, ...] each. clip: in (0.5, 1]; 1 gives the averaged minimum and maximum. Quantiles are those of the
    smallest and largest values by rank, without interpolation. A layer that is never run has no range. Raises BadInput for
    no image at all, a clip outside its range, or values that are not finite.
    """
    if not 0.5 < clip <= 1:
        raise BadInput(f"got clip={clip!r}; expected a number above 0.5, at most 1")
    seen: dict[str, list[tuple[float, float]]] = {}

    def look(layer: str, values: torch.Tensor) -> None:
        drop = int((1 - clip) * values.numel())
        low = values.kthvalue(drop + 1).values
        high = values.kthvalue(values.numel() - drop).values
        seen.setdefault(layer, []).append((float(low), float(high)))

    watch_inputs(network, batches, look)
    ranges = {}
    for name, pairs in seen.items():
        low, high = torch.tensor(pairs, dtype=torch.float64).mean(dim=0).tolist()
        check_ends(name, low, high)
        ranges[name] = Range(low, high)
    return ranges


class Quantizer:
    """Quantized copies of one network: what depends on a layer and its bits alone is computed once for all of them.

    ranges: of `calibrate` or `ranges.least_error_ranges`. clipping: of the weights, "max" or "mse". The network is never touched.
    """

    def __init__(self, network: nn.Module, ranges: Ranges, clipping: str = "max") -> None:
        self.network, self.ranges, self.clipping = network, ranges, clipping
        self._nodes = nodes_of(network)
        self._weights: dict[tuple[str, int], torch.Tensor] = {}

    def weight(self, layer: str, bits: int) -> torch.Tensor:
        """The fake-quantized weight of a layer."""
        if (layer, bits) not in self._weights:
            weight = self._nodes[layer].weight.detach()
            self._weights[layer, bits] = quantize_weight(weight, bits, self.clipping)
        return self._weights[layer, bits]

    def __call__(self, bits: BitConfiguration) -> nn.Module:
        """A quantized copy in eval mode: every layer's weight and input on the grids of its bits; biases stay in float.

        Raises UnknownName; BadInput for a layer without bits, or ranges that were not measured for its bits. A layer that
        calibration did not see is quantized in its weights only, for it does not run.
        """
        check_layers(self.network, bits)
        model = copy.deepcopy(self.network).eval()
        for name, node in nodes_of(model).items():
            weight_bits, activation_bits = bits[name]
            with torch.no_grad():
                node.weight.copy_(self.weight(name, weight_bits))
            if name in self.ranges:
                seen = self.ranges[name]
                if not isinstance(seen, Range):
                    if activation_bits not in seen:
                        raise BadInput(f"no range of {name} for {activation_bits} bits; expected one of {list(seen)}")
                    seen = seen[activation_bits]
                node.register_forward_pre_hook(_InputQuantizer(seen, activation_bits))
        return model


def quantize(network: nn.Module, bits: BitConfiguration, ranges: Ranges, clipping: str = "max") -> nn.Module:
    """One quantized copy of a network, as `Quantizer` makes it; the caller's network is left as it was."""
    return Quantizer(network, ranges, clipping)(bits)


class _InputQuantizer:
    """A forward pre-hook; a class, so that a quantized network can be copied and pickled."""

    def __init__(self, seen: Range, bits: int) -> None:
        self.seen, self.bits = seen, check_bits(bits)

    def __call__(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return quantize_activation(inputs[0], self.seen, self.bits), *inputs[1:]


def run_over(model: nn.Module, batches: Iterable[torch.Tensor], expected: str) -> None:
    """A forward pass of every batch that is not empty, without gradients. Raises BadInput where there is no image at all.

    expected: of the images, for the error.
    """
    images = 0
    with torch.no_grad():
        for batch in batches:
            if len(batch):
                images += len(batch)
                model(batch)
    if images == 0:
        raise BadInput(f"got a calibration set of zero images; expected {expected}")


def watch_inputs(
    network: nn.Module, batches: Iterable[torch.Tensor], look: Callable[[str, torch.Tensor], None]
) -> None:
    """look(layer, its input of a batch, flattened) for every layer that runs, in a copy of the network in eval mode."""
    model = copy.deepcopy(network).eval()

    def watch(name: str, node: nn.Module) -> None:
        node.register_forward_pre_hook(lambda module, inputs: look(name, inputs[0].detach().flatten()))

    for name, node in nodes_of(model).items():
        watch(name, node)
    run_over(model, batches, "at least one, better a few hundred")


def check_ends(layer: str, low: float, high: float) -> None:
    """Raises BadInput unless the ends of a layer's inputs are finite and in order."""
    if not low - high <= 0 or abs(low) == float("inf") or abs(high) == float("inf"):
        raise BadInput(f"the input of {layer} ranges from {low} to {high} over the calibration images; expected finite")
