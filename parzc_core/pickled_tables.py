"""Tables that pandas pickled, read as `safe_pickle` does: none of its classes is made, plain arrays are put together here."""

import io
from typing import Any

import numpy as np

from parzc_core.safe_pickle import ALLOWED, PlainArray, PlainType, PlainUnpickler, UnsafePickle, read


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
        raise UnsafePickle(f"a table with columns {names} of {rows} rows has other columns: {sorted(columns)}")
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


_ALLOWED: dict[tuple[str, str], Any] = {
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


class _Reader(PlainUnpickler):
    allowed = _ALLOWED


def loads_table(data: bytes, what: str = "pickle") -> dict[str, np.ndarray]:
    """The columns of a pickled pandas table (numbers, rows numbered from 0), by name: arrays of one entry a row.

    For tables as pandas 0 and 1 write them. Raises UnsafePickle as `safe_pickle.load`, and if it is no such table.
    """
    table = read(io.BytesIO(data), "ASCII", what, _Reader)
    if not isinstance(table, _Table) or not isinstance(getattr(table, "columns", None), dict):
        raise UnsafePickle(f"{what} is refused: got a {type(table).__name__}; expected a pandas table")
    return table.columns
