"""Tables of pandas are put together from plain arrays, and a pickle that asks for anything else is refused."""

import io
import pickle

import numpy as np
import pytest

from parzc_core.files.pickles import UnsafePickle, loads, loads_table


class Name:
    """Pickled as the name of something in a module, whether it is there or not."""

    def __init__(self, module, name):
        self.words = (module, name)

    def __call__(self):
        raise AssertionError("only pickled, never called")


class Made(Name):
    """Pickled as the call of a function, with what is then set on the result."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Writer(pickle._Pickler):
    def save(self, obj, save_persistent_id=True):
        if type(obj) is not Name:
            return super().save(obj, save_persistent_id)
        for word in obj.words:
            super().save(word)
        self.write(pickle.STACK_GLOBAL)


def written(data) -> bytes:
    buffer = io.BytesIO()
    Writer(buffer, protocol=4).dump(data)
    return buffer.getvalue()


FRAME = Name("pandas.core.frame", "DataFrame")
MANAGER = Name("pandas.core.internals.managers", "BlockManager")
NEW_BLOCK = Name("pandas.core.internals.blocks", "new_block")
PARTIAL = Name("functools", "partial")
NEW_INDEX = Name("pandas.core.indexes.base", "_new_Index")
INDEX = Name("pandas.core.indexes.base", "Index")
RANGE = Name("pandas.core.indexes.range", "RangeIndex")
MKDIR = Name("os", "mkdir")
MAKER = Made(PARTIAL, (NEW_BLOCK,), (NEW_BLOCK, (), {"ndim": 2}, None))


def table(names=("index", "params"), rows=3, blocks=None, maker=MAKER, manager=MANAGER, data=None) -> bytes:
    """A pickle of the form that pandas 1 gives a table of a column of integers and columns of reals."""
    reals = np.arange(rows * (len(names) - 1), dtype=float).reshape(-1, rows) / 4
    blocks = blocks or ((np.arange(rows)[None], slice(0, 1, 1)), (reals, slice(1, len(names), 1)))
    columns = Made(NEW_INDEX, (INDEX, {"data": np.array(names, dtype=object) if data is None else data, "name": None}))
    numbering = Made(NEW_INDEX, (RANGE, {"name": None, "start": 0, "stop": rows, "step": 1}))
    made = tuple(Made(maker, block) for block in blocks)
    state = {"_mgr": Made(manager, (made, [columns, numbering])), "_typ": "dataframe", "attrs": {}}
    return written(Made(FRAME, (), state))


def test_columns_come_back_by_name():
    got = loads_table(table(("index", "params", "time=[s]")))
    assert list(got) == ["index", "params", "time=[s]"]
    np.testing.assert_array_equal(got["index"], [0, 1, 2])
    np.testing.assert_array_equal(got["params"], [0, 0.25, 0.5])
    np.testing.assert_array_equal(got["time=[s]"], [0.75, 1, 1.25])
    assert (got["index"].dtype.kind, got["params"].dtype.kind) == ("i", "f")


def test_a_table_is_no_plain_data_elsewhere():
    with pytest.raises(UnsafePickle, match=r"asks for pandas\.core"):
        loads(table())


@pytest.mark.parametrize(
    "data",
    [
        table(maker=MKDIR),
        table(manager=MKDIR),
        table(maker=Made(PARTIAL, (MKDIR,))),
        table(maker=Made(Name("builtins", "getattr"), ("text", "upper"))),
        table(data=np.array([Made(MKDIR, ("owned",)), "params"], dtype=object)),
        written(Made(Name("builtins", "eval"), ("1",))),
    ],
    ids=["block", "manager", "partial", "getattr", "object", "eval"],
)
def test_a_malicious_table_runs_nothing(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePickle, match=r"params\.pkl is refused: it asks for"):
        loads_table(data, "params.pkl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        table(data=np.array([b"index", {"a": 1}], dtype=object)),
        table(data=np.array(["index", "other", "params"], dtype=object)),
        table(blocks=((np.arange(3)[None], slice(0, 1, 1)),)),
        table(blocks=((np.arange(4)[None], slice(0, 1, 1)), (np.ones((1, 4)), slice(1, 2, 1)))),
        table(blocks=((np.arange(3)[None], slice(0, 1, 1)), (np.ones((2, 3)), slice(1, 2, 1)))),
        table(blocks=((np.arange(3), slice(0, 1, 1)), (np.ones((1, 3)), slice(1, 2, 1)))),
        written({"index": [0, 1]}),
        written(Made(FRAME, ())),
        written(Made(FRAME, (), {"_mgr": [1]})),
    ],
    ids=["names", "a name more", "no block", "rows", "columns", "shape", "dict", "empty", "no manager"],
)
def test_what_is_no_table_is_refused(data):
    with pytest.raises(UnsafePickle, match=r"params\.pkl is"):
        loads_table(data, "params.pkl")


def test_a_table_cut_off_is_one_clear_error():
    whole = table()
    for cut in range(len(whole)):
        with pytest.raises(UnsafePickle, match=r"params\.pkl is no readable pickle.*get it again"):
            loads_table(whole[:cut], "params.pkl")
