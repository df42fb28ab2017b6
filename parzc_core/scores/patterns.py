"""Network-level scores of one forward pass: what feature maps tell images, or channels, apart by (SWAP, MeCo)."""

import numpy as np
import torch
from torch import nn

from parzc_core._nested import tensors
from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.scores.codes import each_code, forward_hooked
from parzc_core.scores.registry import network_score

_IMAGE_SIDE = 64  # of MeCo's random image, whatever the network was built for


@network_score
def swap(passes: Passes) -> float:
    """SWAP-Score (Peng et al., ICLR 2024): number of different patterns that units have over the images, higher is better.

    A unit's pattern says for each image whether its ReLU is on (for GELU see `nwot`). There are 2^N patterns over N images, and
    with the paper's 16 nearly all occur (65,400 of 65,536), which tells no networks apart; so up to 32 images [N, C, H, W]
    stand beside their mirror images. Left out: the regularised score, whose mean and width are chosen for each space.
    NaN for a network without ReLU and GELU modules, where one gives NaN, and where it cannot be told which axis of its output
    counts the images. Raises BadInput for more than 64 images, and for outputs that are not of all images.
    """
    inputs = passes.inputs
    if isinstance(inputs, torch.Tensor) and inputs.ndim == 4 and len(inputs) <= 32:
        inputs = torch.cat([inputs, inputs.flip(-1)])
    n = len(tensors(inputs)[0])
    if n > 64:
        raise BadInput(f"got {n} images; swap expects at most 64, as a unit's pattern is one 64-bit number")
    width = next(bits for bits in (8, 16, 32, 64) if n <= bits)
    patterns: list[np.ndarray] = []

    def add(on: torch.Tensor) -> None:
        padded = np.pad(np.packbits(on.cpu().numpy(), axis=0), ((0, (width - n) // 8), (0, 0)))  # of (N, units)
        patterns.append(np.unique(np.ascontiguousarray(padded.T).view(f"u{width // 8}")))

    known = each_code(passes, inputs, add)
    return float(len(np.unique(np.concatenate(patterns)))) if known and patterns else float("nan")


@network_score
def meco(passes: Passes) -> float:
    """MeCo (Jiang et al., NeurIPS 2023): sum over feature maps of the least eigenvalue of the channels' correlation matrix.

    Higher is better. The input is one standard normal image of 64 x 64 pixels, whatever the batch, so that neither images nor
    their number matter. As in the authors' code every module with a map [1, C, ...] counts, blocks beside their layers; a
    constant channel has correlation 0, with itself too. NaN where a map is not finite.
    Raises BadInput for inputs other than images [N, C, H, W], and for a network that does not take 64 x 64 pixels.
    """
    if not isinstance(passes.inputs, torch.Tensor) or passes.inputs.ndim != 4:
        raise BadInput("meco expects images [N, C, H, W]")
    image = torch.randn(1, passes.images.shape[1], _IMAGE_SIDE, _IMAGE_SIDE).to(passes.images)
    least: list[float] = []

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            channels = output[0].detach().flatten(1).double()
            correlation = _correlation(channels)
            finite = bool(correlation.isfinite().all())
            least.append(float(torch.linalg.eigvalsh(correlation)[0]) if finite else float("nan"))

    forward_hooked(passes, image, (nn.Module,), add)
    return sum(least)


def _correlation(rows: torch.Tensor) -> torch.Tensor:
    """[C, C] of the rows [C, n]; 0 where a row is constant."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    norm = centred.norm(dim=1, keepdim=True)
    norms = norm * norm.T
    return (centred @ centred.T / norms).masked_fill(norms == 0, 0.0)
