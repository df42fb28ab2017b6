"""Rank bit configurations of any torch classifier: a network, a calibration loader and bit choices in, a ranking out."""

from collections.abc import Iterable, Sequence

import pandas as pd
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.quantization.bits import CHOICES, sample
from parzc_core.quantization.proxies import scores
from parzc_core.quantization.sensitivities import Sensitivities

PROXIES = ("HAWQ-V2", "BParams", "QE")


def rank_configurations(
    network: nn.Module,
    loader: Iterable[tuple[torch.Tensor, torch.Tensor]],
    choices: Sequence[int] = CHOICES,
    count: int = 50,
    by: str = PROXIES[0],
    proxies: Sequence[str] = PROXIES,
    seed: int = 0,
) -> pd.DataFrame:
    """`count` seeded configurations, the best by `by` first: a column a proxy, and "bits", what `quantize` takes.

    network: maps float32[N, ...] to logits; Conv2d and Linear layers are quantized, the first and the last at 8 bits. loader:
    batches (images, labels int64[N]); the first one is read. choices: bits of weights and activations alike. proxies: of
    REGISTRY. The network is never touched. Raises BadInput (no image, bits outside 2 to 8), UnknownName.
    """
    batch = next(iter(loader), None)
    if batch is None or len(batch[0]) == 0:
        raise BadInput("got a calibration set of zero images; expected batches of images and labels, one or more")
    sensitivities = Sensitivities(network, *batch, seed=seed)
    drawn = sample(network, count, seed, choices)
    table = pd.DataFrame([scores(sensitivities, bits, dict.fromkeys((by, *proxies))) for bits in drawn])
    table["bits"] = pd.Series(drawn, dtype=object)
    return table.sort_values(by, ascending=False, kind="stable", ignore_index=True)
