"""The trained network on disk: float16 parameters in one npz file, half the size of float32; nothing is unpickled."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.paths import write_whole


def save(network: nn.Module, path: Path) -> Path:
    """Writes the state of a network, floats as float16, whole or not at all. Raises BadInput where float16 overflows."""
    arrays = {}
    for name, value in network.state_dict().items():
        stored = value.half() if value.is_floating_point() else value
        if not torch.isfinite(stored).all():
            raise BadInput(f"{name} has values that float16 cannot hold (largest {float(value.abs().max()):g})")
        arrays[name] = stored.cpu().numpy()
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
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"the checkpoint {path} cannot be read ({error}); delete it and train again") from None
    wrong = [name for name in {**expected, **state} if not _alike(expected.get(name), state.get(name))]
    if wrong:
        raise BadInput(
            f"the checkpoint {path} is not of this {type(network).__name__}: {wrong[0]} is missing, not known or of "
            "another shape; delete it and train again"
        )
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()})
    return network


def _alike(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape
