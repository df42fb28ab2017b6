"""What is measured on the calibration images: where to cut each layer's input, and BatchNorm's statistics anew."""

import copy
from collections.abc import Iterable

import torch
from torch import nn

from parzc_core.quantization.bits import check_bits
from parzc_core.quantization.quantizer import FRACTIONS, Range, check_ends, quantize_activation, run_over, watch_inputs

KEPT = 20_000  # values of a batch that are looked at, evenly spread; the error of a grid needs no more


def least_error_ranges(
    network: nn.Module, batches: Iterable[torch.Tensor], bits: Iterable[int]
) -> dict[str, dict[int, Range]]:
    """{layer: {bits: range}}: of the ranges FRACTIONS x (smallest, largest input) that with the least squared error.

    Where to cut a layer's input depends on how many bits it gets.
    batches: float32[N, ...] each. bits: the numbers of bits that the activations may get. A layer that is never run has no
    range. Raises BadInput for no image at all, bits outside 2 to 8, or values that are not finite.
    """
    choices = sorted({check_bits(one) for one in bits})
    seen: dict[str, list[torch.Tensor]] = {}
    ends: dict[str, list[torch.Tensor]] = {}

    def look(layer: str, values: torch.Tensor) -> None:
        seen.setdefault(layer, []).append(values[:: max(1, len(values) // KEPT)])
        ends.setdefault(layer, []).append(torch.stack(values.aminmax()))

    watch_inputs(network, batches, look)
    found = {}
    for name, parts in seen.items():
        low, high = float(torch.cat(ends[name]).min()), float(torch.cat(ends[name]).max())
        check_ends(name, low, high)
        values = torch.cat(parts)
        found[name] = {one: _least(values, low, high, one) for one in choices}
    return found


def _least(values: torch.Tensor, low: float, high: float, bits: int) -> Range:
    tried = [Range(low * fraction, high * fraction) for fraction in FRACTIONS]
    errors = [float((quantize_activation(values, one, bits) - values).double().square().sum()) for one in tried]
    return tried[errors.index(min(errors))]


def renormalize(network: nn.Module, batches: Iterable[torch.Tensor]) -> nn.Module:
    """A copy in eval mode whose BatchNorm running statistics are the means over the batches; weights stay.

    Few bits shift the means that BatchNorm had learned.
    batches: float32[N, ...] each, N >= 2, the calibration images. The caller's network is left as it was. Raises BadInput for
    zero images.
    """
    model = copy.deepcopy(network).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the plain mean over batches
        norm.train()
    run_over(model, batches, "at least one batch of two or more")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()
