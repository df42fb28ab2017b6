"""Activation ranges by least squared error: where to cut a layer's input depends on how many bits it gets."""

import copy
from collections.abc import Iterable

import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.mixed_precision.bits import check_bits
from parzc_core.mixed_precision.quantizer import FRACTIONS, Range, quantize_activation
from parzc_core.passes import nodes_of

KEPT = 20_000  # values of a batch that are looked at, evenly spread; the error of a grid needs no more


def least_error_ranges(
    network: nn.Module, batches: Iterable[torch.Tensor], bits: Iterable[int]
) -> dict[str, dict[int, Range]]:
    """{layer: {bits: range}}: of the ranges FRACTIONS x (smallest, largest input) that with the least squared error.

    batches: float32[N, ...] each. bits: the numbers of bits that the activations may get. A layer that is never run has no
    range. Raises BadInput for no image at all, bits outside 2 to 8, or values that are not finite.
    """
    choices = sorted({check_bits(one) for one in bits})
    model = copy.deepcopy(network).eval()
    seen: dict[str, list[torch.Tensor]] = {}
    ends: dict[str, list[torch.Tensor]] = {}

    def watch(name: str, node: nn.Module) -> None:
        def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            values = inputs[0].detach().flatten()
            seen.setdefault(name, []).append(values[:: max(1, len(values) // KEPT)])
            ends.setdefault(name, []).append(torch.stack(values.aminmax()))

        node.register_forward_pre_hook(look)

    for name, node in nodes_of(model).items():
        watch(name, node)
    images = 0
    with torch.no_grad():
        for batch in batches:
            if len(batch):
                images += len(batch)
                model(batch)
    if images == 0:
        raise BadInput("got a calibration set of zero images; expected at least one, better a few hundred")
    found = {}
    for name, parts in seen.items():
        low, high = float(torch.cat(ends[name]).min()), float(torch.cat(ends[name]).max())
        if not low - high <= 0 or abs(low) == float("inf") or abs(high) == float("inf"):
            raise BadInput(
                f"the input of {name} ranges from {low} to {high} over the calibration images; expected finite"
            )
        values = torch.cat(parts)
        found[name] = {one: _least(values, low, high, one) for one in choices}
    return found


def _least(values: torch.Tensor, low: float, high: float, bits: int) -> Range:
    tried = [Range(low * fraction, high * fraction) for fraction in FRACTIONS]
    errors = [float((quantize_activation(values, one, bits) - values).double().square().sum()) for one in tried]
    return tried[errors.index(min(errors))]
