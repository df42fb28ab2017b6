"""Arrays in one .npz file, with a JSON text ("about") that says what they are; without pickle, whole or not there.

    write_arrays("ranker.npz", joined(FORMAT, {"seed": 0}, {"weights": weights}))
    about, arrays = read_arrays("ranker.npz", FORMAT)
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parzc_core.errors import BadInput
from parzc_core.paths import write_whole

# What numpy raises for an .npz that is damaged or was never one.
DAMAGED_NPZ = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, EOFError, RuntimeError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class Format:
    """A kind of file. what: it holds, such as "saved ranker". remedy: for a file that is none, such as what writes it."""

    name: str
    version: int
    what: str
    remedy: str


def joined(form: Format, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, and before them what they are: plain JSON, with format, version and a checksum of it all."""
    said = json.loads(json.dumps({"format": form.name, "version": form.version, **about}))  # as it will be read
    return {"about": np.array(json.dumps({**said, "sha256": _checksum(said, arrays)})), **arrays}


def _checksum(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 (hex) of what arrays are, and of their names, dtypes, shapes and values."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode() + array.tobytes())
    return digest.hexdigest()


def parted(arrays: Mapping[str, np.ndarray], where: str | Path, *forms: Format) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(about, arrays) of what `joined` gave in one of these formats. where: they were read, for errors. Raises BadInput."""
    rest, known = dict(arrays), {form.name: form for form in forms}
    try:
        about = json.loads(str(rest.pop("about", "null")))
    except (ValueError, RecursionError):  # the second where it is nested without end
        about = None
    form = known.get(str(about.get("format"))) if isinstance(about, dict) else None
    if about is None or form is None:
        raise BadInput(f"{where} holds no {forms[0].what}; {forms[0].remedy}")
    if about.get("version") != form.version:
        got = about.get("version")
        raise BadInput(f"{where} has version {got!r} of the format; this parzc reads version {form.version}; {form.remedy}")
    if (kept := about.pop("sha256", None)) != (got := _checksum(about, rest)):
        said = "it has none" if kept is None else f"it says {str(kept)[:12]}…"
        raise BadInput(f"{where} is damaged: its sha256 is {got[:12]}…, {said}; {form.remedy}")
    if odd := [name for name, array in rest.items() if array.dtype.kind not in "biufU"]:
        raise BadInput(f"{where} is damaged: {odd[0]} has the dtype {rest[odd[0]].dtype}; expected numbers; {form.remedy}")
    return about, rest


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], compressed: bool = True) -> Path:
    """Write what `joined` gave; returns the path. Raises BadInput where that cannot be written."""
    content = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(content, **arrays)  # type: ignore[arg-type]
    try:
        return write_whole(Path(path), content.getvalue())
    except (TypeError, OSError) as error:
        raise BadInput(f"cannot write {path}: {error}") from error


def read_arrays(path: str | Path, *forms: Format) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(about, arrays) of a file in one of these formats, all checksums verified. Nothing in it is run.

    Raises BadInput: no path, no such file, a damaged file, one of another kind or version.
    """
    if not isinstance(path, str | Path):
        raise BadInput(f"got {path!r} as a file; expected a path")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    if not content.startswith(b"PK"):  # an .npz is a zip file
        raise BadInput(f"{path} holds no {forms[0].what}; {forms[0].remedy}")
    try:
        if (broken := zipfile.ZipFile(io.BytesIO(content)).testzip()) is not None:
            raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except DAMAGED_NPZ as error:
        raise BadInput(f"{path} is damaged: {error}") from error
    return parted(arrays, path, *forms)


def below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin with the prefix, without it in their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


@contextmanager
def making_sense(where: str | Path) -> Iterator[None]:
    """Inside, what does not fit together in what was read there raises BadInput: the file is damaged."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise BadInput(f"{where} is damaged: {error}") from error
