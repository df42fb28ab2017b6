"""Reading other people's pickles without running their code: plain data, and pandas tables as plain arrays.

    cells = load(folder / "nb201_cifar100_val_test_v1_0.pickle")
    columns = loads_table(data)  # {"index": int64[n], "params": float64[n]}

A pickle is a program: it names functions and calls them. Own code, because a reader with an allow-list builds no foreign class:
the few names of numpy and pandas that a file may use are answered with stand-ins of ours, which make plain data from plain
arguments. Nothing of the file's choosing is ever run.
"""

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any, BinaryIO

import numpy as np

from parzc_core.errors import ParzcError
from parzc_core.files.json_files import LARGEST, brief, shown


class UnsafePickle(ParzcError, ValueError):
    """A pickle that asks for more than plain data, or that is no readable pickle at all."""


class Handed:
    """A function as a pickle is handed it: it can be called, and nothing of it can be set, as a pickle may ask (BUILD)."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise UnsafePickle("it alters a function that it was handed")

    def __setstate__(self, state: Any) -> None:
        raise UnsafePickle("it alters a function that it was handed")


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
        handed = self.allowed[module, name]
        return Handed(handed) if isinstance(handed, FunctionType) else handed


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
        if (size := file.seek(0, io.SEEK_END)) > LARGEST:
            raise UnsafePickle(f"{Path(path).name} has {size:,} bytes; expected at most {LARGEST:,}")
        file.seek(0)
        return read(file, encoding, Path(path).name)


def read(file: BinaryIO, encoding: str, what: str, reader: type[PlainUnpickler] = PlainUnpickler) -> Any:
    """What `reader` makes of the file that `what` names. Raises UnsafePickle."""
    try:
        return reader(file, encoding=encoding).load()
    except UnsafePickle as error:
        raise UnsafePickle(f"{what} is refused: {brief(error, 300)}") from None
    except Exception as error:  # a damaged pickle raises nearly anything: EOFError, KeyError, UnicodeDecodeError, ...
        raise UnsafePickle(
            f"{what} is no readable pickle ({type(error).__name__}: {brief(error)}); it is truncated or damaged, get it again"
        ) from error


class _Names(PlainType):
    """A type that may also be "object": a table's column names are kept so. Only text is taken for such objects."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if code in ("O", "O8"):
            self.real = np.dtype(np.str_)
        else:
            super().__init__(code, align, copy)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self.real != np.dtype(np.str_):
            super().__setstate__(state)


class _TableArray(PlainArray):
    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        version, shape, kind, fortran_order, data = state
        if isinstance(data, list):
            if kind.real != np.dtype(np.str_) or not all(isinstance(name, str) for name in data):
                raise UnsafePickle("an array of objects other than text is not plain data")
            text = np.array(data, dtype=np.str_)
            kind = _Names(text.dtype.str)
            data = text.tobytes()
        super().__setstate__((version, shape, kind, fortran_order, data))


def _table_array(*_: Any) -> _TableArray:
    return _TableArray((0,), dtype=np.uint8)


class _BlockMaker:
    """Stands in for partial(new_block): called with values [columns, rows] and their place among the columns, a slice."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __call__(self, values: np.ndarray, place: slice) -> tuple[np.ndarray, slice]:
        return values, place


def _index(_: Any, parts: dict[str, Any]) -> Any:
    """Column names as an array; of the numbering of rows, how many there are."""
    return parts["data"] if "data" in parts else len(range(parts["start"], parts["stop"], parts["step"]))


def _columns(blocks: tuple[tuple[np.ndarray, slice], ...], axes: list[Any]) -> dict[str, np.ndarray]:
    names, rows = axes[0].tolist(), axes[1]
    columns: dict[str, np.ndarray] = {}
    for values, place in blocks:
        for name, column in zip(names[place], values, strict=True):
            columns[name] = np.asarray(column)
    if sorted(columns) != sorted(names) or any(column.shape != (rows,) for column in columns.values()):
        raise UnsafePickle(f"a table with columns {shown(names)} of {rows} rows has other columns: {shown(sorted(columns))}")
    return {name: columns[name] for name in names}


class _Blocks:
    """Stands in for the manager of a table's blocks: pandas 1 makes it of blocks and axes, pandas 0 sets its state."""

    def __init__(self, *parts: Any) -> None:
        if parts:
            self.columns = _columns(*parts)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        named = state[3]["0.14.1"]
        self.columns = _columns(tuple((block["values"], block["mgr_locs"]) for block in named["blocks"]), named["axes"])


class _Table:
    """Stands in for DataFrame."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.columns = (state["_mgr"] if "_mgr" in state else state["_data"]).columns


def _from_buffer(data: bytes, kind: PlainType, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(bytes(data), dtype=kind.real).reshape(shape, order="F" if order == "F" else "C")


ALLOWED_IN_TABLES: dict[tuple[str, str], Any] = {
    **ALLOWED,
    ("numpy", "dtype"): _Names,
    ("numpy.core.multiarray", "_reconstruct"): _table_array,
    ("numpy._core.multiarray", "_reconstruct"): _table_array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("builtins", "slice"): slice,
    ("functools", "partial"): _BlockMaker,
    ("pandas.core.internals.blocks", "new_block"): "new_block",  # only ever handed to _BlockMaker
    ("pandas.core.internals.managers", "BlockManager"): _Blocks,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.base", "Index"): "Index",  # only ever handed to _index, which ignores it, as the next one
    ("pandas.core.indexes.range", "RangeIndex"): "RangeIndex",
    ("pandas.core.frame", "DataFrame"): _Table,
}


class _TableUnpickler(PlainUnpickler):
    """Reads a pickled table of pandas without making any of its classes: plain arrays are put together here."""

    allowed = ALLOWED_IN_TABLES


def loads_table(data: bytes, what: str = "pickle") -> dict[str, np.ndarray]:
    """The columns of a pickled pandas table (numbers, rows numbered from 0), by name: arrays of one entry a row.

    For tables as pandas 0 and 1 write them. Raises UnsafePickle as `load` does, and if it is no such table.
    """
    table = read(io.BytesIO(data), "ASCII", what, _TableUnpickler)
    if not isinstance(table, _Table) or not isinstance(getattr(table, "columns", None), dict):
        raise UnsafePickle(f"{what} is refused: got a {type(table).__name__}; expected a pandas table")
    return table.columns
