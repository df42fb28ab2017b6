"""Reading other people's pickles without running their code: containers, numbers, text and plain numpy arrays only.

A pickle is a program: it names functions and calls them. Here it may name five things of numpy's, and each is answered
with a stand-in of our own that builds plain data from plain arguments, so nothing of the file's choosing is ever run.
`pickled_tables` knows a few names more, of pandas, in the same way.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from parzc_core.errors import ParzcError


class UnsafePickle(ParzcError, ValueError):
    """A pickle that asks for more than plain data, or that is no readable pickle at all."""


class PlainType:
    """Stands in for numpy.dtype while a pickle is read: numbers, booleans and text, never objects or records.

    A real dtype takes flags from the pickle, among them "entries are object pointers"; this one refuses them.
    """

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.real = np.dtype(code)
        if self.real.kind not in "biufcSU":
            raise UnsafePickle(f"a numpy array of type {self.real} is not plain data; expected numbers or text")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, byte_order, *record, _, _, flags = state
        if any(part is not None for part in record) or flags not in (0, 8):  # 8: text, wants zeroed memory
            raise UnsafePickle("a numpy type with fields or object flags is not plain data")
        self.real = self.real.newbyteorder(byte_order)


class PlainArray(np.ndarray):
    """Stands in for numpy.ndarray; its type is a PlainType."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        version, shape, kind, fortran_order, data = state
        super().__setstate__((version, shape, kind.real, fortran_order, _as_bytes(data)))


def _as_bytes(data: bytes | str) -> bytes:
    """Python 2 wrote bytes as text; with encoding="latin1" they arrive as such."""
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _array(*_: Any) -> PlainArray:
    """An empty array; the pickle then sets its type, shape and data."""
    return PlainArray((0,), dtype=np.uint8)


def _scalar(kind: PlainType, data: bytes | str) -> Any:
    return np.frombuffer(_as_bytes(data), dtype=kind.real, count=1)[0]


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes in the old protocols 0 to 2: as text, encoded as latin1 on reading."""
    if encoding != "latin1":
        raise UnsafePickle(f"text encoded as {encoding!r} is not expected in plain data")
    return text.encode("latin1")


# Every name a pickle may use, whether numpy 1 (core) or numpy 2 (_core) wrote it. Containers, numbers, text and bytes
# are opcodes of the format itself and need no name.
ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): PlainType,
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever handed to _array, which ignores it: text cannot be called
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}


class PlainUnpickler(pickle.Unpickler):
    """Reads a pickle that names nothing but what is `allowed`."""

    allowed: Mapping[tuple[str, str], Any] = ALLOWED

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise UnsafePickle(f"it asks for {module}.{name}; only containers, numbers, text and numpy arrays are read")
        return self.allowed[module, name]


def loads(data: bytes, encoding: str = "ASCII", what: str = "pickle") -> Any:
    """The plain data in a pickle's bytes; `what` names it in errors. Otherwise as `load`."""
    return read(io.BytesIO(data), encoding, what)


def load(path: Path, encoding: str = "ASCII") -> Any:
    """The plain data in a pickle file: dict, list, tuple, set, str, bytes, numbers, numpy scalars and arrays.

    encoding: how text written by Python 2 is read ("bytes" leaves it as bytes, which the CIFAR files need).
    Raises UnsafePickle, naming the file, if it asks for any other class or function (nothing of it is run), or if it is
    truncated or no pickle.
    """
    with open(path, "rb") as file:
        return read(file, encoding, Path(path).name)


def read(file: BinaryIO, encoding: str, what: str, reader: type[PlainUnpickler] = PlainUnpickler) -> Any:
    """What `reader` makes of the file that `what` names. Raises UnsafePickle."""
    try:
        return reader(file, encoding=encoding).load()
    except UnsafePickle as error:
        raise UnsafePickle(f"{what} is refused: {error}") from None
    except Exception as error:  # a damaged pickle raises nearly anything: EOFError, KeyError, UnicodeDecodeError, ...
        raise UnsafePickle(
            f"{what} is no readable pickle ({type(error).__name__}: {error}); it is truncated or damaged, get it again"
        ) from error
