"""The trained network on disk: 8 bits a weight in one npz file, so that it fits a repository; nothing is unpickled.

Weights of Conv2d and Linear layers are whole numbers from -127 to 127 and a scale for each output channel, the finest grid
of the quantizer; all else is float32. What a file gives back is the network whose configurations are measured: the
rounding comes before every measurement, and the layers that keep 8 bits lose nothing more.
"""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.mixed_precision.quantizer import weight_scale
from parzc_core.passes import nodes_of
from parzc_core.paths import write_whole

BITS = 8
_SCALE = "/scale"  # "layer.weight" is int8, "layer.weight/scale" float32[out channels]


def save(network: nn.Module, path: Path) -> Path:
    """Writes the state of a network, whole or not at all. Raises BadInput for values that are not finite."""
    weights = {f"{name}.weight" for name in nodes_of(network)}
    arrays = {}
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise BadInput(f"{name} has values that are not finite; expected a trained network")
        if name in weights:
            scale = weight_scale(value, BITS)
            arrays[name + _SCALE] = scale.float().cpu().numpy()
            value = (value / _wide(scale, value)).round().to(torch.int8)
        arrays[name] = value.cpu().numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return write_whole(path, buffer.getvalue())


def load(network: nn.Module, path: Path) -> nn.Module:
    """Fills a network with a saved state; a file that is corrupt leaves it as it was. Returns the network.

    Raises BadInput, one message whatever is wrong: not there, cut short, altered, of another network.
    """
    expected = network.state_dict()
    try:
        with np.load(path, allow_pickle=False) as file:  # zip: the members' checksums are verified as they are read
            state = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"the checkpoint {path} cannot be read ({error}); delete it and train again") from None
    scales = {name: state.pop(name + _SCALE) for name in list(state) if name + _SCALE in state}
    wrong = [name for name in {**expected, **state} if not _alike(expected.get(name), state.get(name))]
    wrong += [name for name, scale in scales.items() if name in expected and scale.shape != expected[name].shape[:1]]
    if wrong:
        raise BadInput(
            f"the checkpoint {path} is not of this {type(network).__name__}: {wrong[0]} is missing, not known or of "
            "another shape; delete it and train again"
        )
    for name, scale in scales.items():
        state[name] = state[name].float() * _wide(scale, state[name])
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()})
    return network


def _wide(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[out channels] -> [out channels, 1, ...], as many axes as the weight has."""
    return scale.view(-1, *[1] * (weight.ndim - 1))


def _alike(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape
