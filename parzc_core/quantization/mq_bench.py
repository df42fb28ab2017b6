"""The published file of MQ-Bench-101, where a user has it: 425 bit configurations of ResNet-18 and their ImageNet accuracy.

No address is known for it (the repository of EMQ's authors has the tag v0.1 only, without accuracies), so it is looked for in
PARZC_DATA. The other proxies of Table 11 would need the ImageNet network and images; the size of the weights needs neither.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from parzc_core.errors import BadInput, real, whole
from parzc_core.files import fetch, pickles, registry
from parzc_core.files.json_files import shown
from parzc_core.quantization.bits import LEAST_BITS, MOST_BITS, quantizable_layers
from parzc_core.quantization.network import ResNet18

LENGTH = 18  # bits of the stem, the sixteen 3x3 convolutions and the classifier


class Published(NamedTuple):
    """bits: int64[n, 18], of the weights. accuracy: float64[n], ImageNet top-1, percent. Activations have 8 bits."""

    bits: np.ndarray
    accuracy: np.ndarray


def read(path: Path | None = None) -> Published | None:
    """The file at `path`, or the one in PARZC_DATA; None where neither is. Nothing in it is run.

    A pickled dict: {number: {"bit_cfg": 18 whole numbers, as text or a list, "acc": percent}}. Raises BadInput for anything else,
    UnsafePickle for a file that asks for more than plain data.
    """
    path = fetch.locate(registry.MQ_BENCH_101) if path is None else Path(path)
    if path is None or not path.is_file():
        return None
    content = pickles.load(path)
    if not isinstance(content, dict) or not content:
        raise BadInput(f"{path.name} holds a {type(content).__name__}; expected a dict of configurations, one or more")
    bits, accuracy = [], []
    for number, entry in content.items():
        try:
            found = entry["bit_cfg"]
            if not isinstance(found, str | list | tuple | np.ndarray):
                raise BadInput(f"got bit_cfg={shown(found)}; expected text or a list")
            given = found.strip("[]() ").split(",") if isinstance(found, str) else [whole("a bit", one) for one in found]
            row = [int(one) for one in given]
            accuracy.append(real("acc", entry["acc"]))
        except (TypeError, KeyError, ValueError, IndexError, OverflowError):
            raise BadInput(
                f"{path.name}: entry {shown(number)} is {shown(entry)}; expected {{'bit_cfg': {LENGTH} whole numbers, "
                "'acc': percent}"
            ) from None
        if len(row) != LENGTH or not all(LEAST_BITS <= one <= MOST_BITS for one in row) or not 0 <= accuracy[-1] <= 100:
            raise BadInput(
                f"{path.name}: entry {shown(number)} has {len(row)} bits {shown(row)} and accuracy {accuracy[-1]}; "
                f"expected {LENGTH} from {LEAST_BITS} to {MOST_BITS}, and a percentage"
            )
        bits.append(row)
    if max(accuracy) <= 1:
        raise BadInput(f"{path.name} has no accuracy above {max(accuracy)}; expected percent, these look like fractions")
    return Published(np.array(bits, dtype=np.int64), np.array(accuracy))


def sizes(bits: np.ndarray) -> np.ndarray:
    """float64[n]: bits of the weights of ResNet-18 for ImageNet; a 1x1 convolution beside a block has those of its second layer.

    bits: int64[n, 18]. Raises BadInput for another length.
    """
    if bits.ndim != 2 or bits.shape[1] != LENGTH:
        raise BadInput(f"got bits of shape {bits.shape}; expected [n, {LENGTH}]")
    network = ResNet18(classes=1000, channels=3)
    weights = np.zeros(LENGTH)
    places: dict[str, int] = {}
    for name in quantizable_layers(network):
        if "downsample" not in name:
            places[name] = len(places)
    for name in quantizable_layers(network):
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        at = places[name if name in places else f"{name.partition('.downsample')[0]}.conv2"]
        weights[at] += layer.weight.numel()
    return bits @ weights
