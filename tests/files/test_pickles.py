"""The restricted unpickler gives plain data back unchanged, and runs nothing that a pickle asks for."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.files.pickles import UnsafePickle, load, loads

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@settings(deadline=None)  # no clock decides on a loaded machine
@given(PLAIN, st.sampled_from([3, 4, 5]))
def test_builtin_data_comes_back(data, protocol):
    assert loads(pickle.dumps(data, protocol=protocol)) == data


@pytest.mark.parametrize("protocol", [2, 3, 4])  # 5 goes through another helper of numpy's; no file we read uses it
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4", "<f8", "?", "S5", "U7"])
def test_numpy_arrays_come_back(dtype, protocol):
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    for sent in (array, np.asfortranarray(array)):
        got = loads(pickle.dumps(sent, protocol=protocol))
        np.testing.assert_array_equal(got, array)
        assert got.dtype == array.dtype.newbyteorder("=")  # as numpy itself reads it


def test_numpy_scalars_come_back():
    assert loads(pickle.dumps([np.float64(91.5), np.int64(-3)], protocol=4)) == [91.5, -3]


class Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(0, 6))
def test_a_malicious_pickle_runs_nothing(tmp_path, protocol):
    path = tmp_path / "labels.pickle"
    path.write_bytes(pickle.dumps({"a": [Calls(os.mkdir, str(tmp_path / "owned"))]}, protocol=protocol))
    with pytest.raises(UnsafePickle, match=r"labels\.pickle is refused.*mkdir"):
        load(path)
    assert not (tmp_path / "owned").exists()
    pickle.loads(path.read_bytes())  # the same bytes do their work when nothing stops them
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "data",
    [
        Calls(eval, "1"),
        Calls(getattr, "text", "upper"),
        OrderedDict(a=1),
        np.array([{"an": "object"}], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.dtype("datetime64[s]"),
        Calls(np.ndarray, (10,)),
    ],
    ids=["eval", "getattr", "class", "object array", "record array", "date type", "ndarray called"],
)
def test_anything_else_is_refused(data):
    with pytest.raises(UnsafePickle):
        loads(pickle.dumps(data, protocol=4))


def test_object_flags_cannot_be_smuggled_into_a_number_type():
    state = (3, "<", None, None, None, -1, -1, 63)  # 63: all of numpy's flags, "entries are object pointers" included

    class Smuggled:
        def __reduce__(self):
            return np.dtype, ("f8", False, True), state

    with pytest.raises(UnsafePickle, match="flags"):
        loads(pickle.dumps(Smuggled(), protocol=4))


@pytest.mark.parametrize("cut", [0, 1, 10, 200])
def test_a_truncated_pickle_is_one_clear_error(tmp_path, cut):
    path = tmp_path / "labels.pickle"
    path.write_bytes(pickle.dumps(list(range(100)), protocol=4)[:cut])
    with pytest.raises(UnsafePickle, match=r"labels\.pickle is no readable pickle.*get it again"):
        load(path)


def test_an_array_shorter_than_its_shape_is_refused():
    whole = pickle.dumps(np.arange(64, dtype="u1").reshape(8, 8).T, protocol=4)
    assert b"K\x08K\x08" in whole
    with pytest.raises(UnsafePickle):
        loads(whole.replace(b"K\x08K\x08", b"K\x08K\x09"))
