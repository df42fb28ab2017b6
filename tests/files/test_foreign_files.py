"""Fuzzing of the readers of foreign files: whatever a file holds, only our errors come out, each on one bounded line.

`FOREIGN_INPUTS=10000 pytest tests/files/test_foreign_files.py` reads so many inputs with each reader.
"""

import base64
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nds_genotypes import DARTS_V2
from tfrecord_files import field, frame

from parzc_core.errors import ParzcError
from parzc_core.files import pickles
from parzc_core.labels import nb101, nb101_runs, nb301, nds
from parzc_core.quantization import mq_bench

INPUTS = int(os.environ.get("FOREIGN_INPUTS", "500"))
LONGEST = 1000  # characters of a message
NAME = "0" * 32
CELL = str([[(0, 0), (0, 1)] * 4] * 2).replace("(", "[").replace(")", "]")
NDS = {
    "net": {"genotype": DARTS_V2, "width": 16, "depth": 4, "aux": False},
    **{"params": 1.0, "flops": 2.0, "test_ep_top1": [60.0, 8.0], "optim": {"base_lr": 0.1, "wd": 0.1}, "rng_seed": 1},
}
NB301 = {"cifar10": {CELL: {"val_accuracy": 90.0, **{name: {"score": 1.0} for name in nb301.SCORES}}}}
MQ = {number: {"bit_cfg": [4] * mq_bench.LENGTH, "acc": 60.0} for number in range(2)}
_EVALUATION = field(1, 108.0) + field(2, 9.0) + field(4, 0.9) + field(5, 0.8)
RUN = [NAME, nb101_runs.EPOCHS, "0", "", base64.b64encode(field(2, 7) + field(1, _EVALUATION)).decode()]
ODD = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    st.sampled_from([10**400, -1, "x" * 5000, "9" * 5000, [], {}, [[[[]]]], "[" * 3000, float("nan"), float("inf"), b"\xff"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(content: Any, path: tuple = ()) -> list[tuple]:
    """Where something stands in nested lists and dicts, the whole among it."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def altered(content: Any, path: tuple, value: Any) -> Any:
    """The content with another value at a place."""
    if not path:
        return value
    copied = content.copy()
    copied[path[0]] = altered(content[path[0]], path[1:], value)
    return copied


def spoilt(data: bytes, seed: int) -> bytes:
    """Bytes changed, left out, doubled or cut off."""
    draw = random.Random(seed)
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(found) + 1)
        match draw.randrange(4):
            case 0:
                found[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del found[at : at + draw.randrange(1, 9)]
            case 2:
                found[at:at] = found[at : at + draw.randrange(1, 9)]
            case 3:
                del found[at + draw.randrange(1, 40) :]
    return bytes(found)


def npz() -> bytes:
    buffer = BytesIO()
    arrays = {"adjacency": np.zeros((2, 7, 7), np.int8), "ops": np.zeros((2, 7), np.int8)}
    np.savez(buffer, **arrays, test_acc_108_mean=np.ones(2), params_M=np.ones(2))
    return buffer.getvalue()


READERS: dict[str, tuple[Any, Callable[[Any], bytes], Callable[[Path], object]]] = {
    "NDS": ([NDS, NDS], lambda content: json.dumps(content, default=repr).encode(), lambda path: nds.read(path, "nds_darts")),
    "NB301": (NB301, lambda content: json.dumps(content, default=repr).encode(), nb301.read),
    "MQ-Bench": (MQ, pickle.dumps, mq_bench.read),
    "pickle": ({"a": [1, "b"], "c": (2.5, 3)}, lambda content: pickle.dumps([content, np.arange(3.0)], 2), pickles.load),
    "TFRecord": (
        [RUN] * nb101_runs.RUNS,
        lambda content: b"".join(frame(json.dumps(run, default=repr).encode()) for run in content)
        if isinstance(content, list)
        else frame(json.dumps(content, default=repr).encode()),
        lambda path: nb101_runs.read(path, [NAME]),
    ),
    "npz": (
        "",
        lambda content: npz() if content == "" else repr(content).encode(),
        lambda path: nb101._compact.__wrapped__(path, ""),
    ),
}


def refused_on_one_line_or_read(path: Path, reader: str, data: bytes) -> None:
    path.write_bytes(data)
    said = ""
    try:
        READERS[reader][2](path)
    except ParzcError as error:
        said = str(error)
    assert "\n" not in said, said
    assert len(said) < LONGEST + len(str(path)), said


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign") / "file.pickle"


@pytest.mark.parametrize("reader", READERS)
def test_a_good_file_is_read(file: Path, reader: str) -> None:
    content, write, read = READERS[reader]
    file.write_bytes(write(content))
    read(file)


@pytest.mark.parametrize(("reader", "empty"), [("NDS", []), ("NB301", {"cifar10": {}}), ("MQ-Bench", {}), ("TFRecord", [])])
def test_a_table_without_rows_is_our_error(file: Path, reader: str, empty: Any) -> None:
    file.write_bytes(READERS[reader][1](empty))
    with pytest.raises(ParzcError):
        READERS[reader][2](file)


@pytest.mark.parametrize("reader", READERS)
def test_spoilt_bytes_are_our_error(file: Path, reader: str) -> None:
    content, write, _ = READERS[reader]
    whole = write(content)

    @settings(max_examples=INPUTS // 2)
    @given(st.integers(0, 2**32))
    def each(seed: int) -> None:
        refused_on_one_line_or_read(file, reader, spoilt(whole, seed))

    each()


@pytest.mark.parametrize("reader", READERS)
def test_an_odd_value_anywhere_is_our_error(file: Path, reader: str) -> None:
    content, write, _ = READERS[reader]
    where = places(content)

    @settings(max_examples=INPUTS - INPUTS // 2)
    @given(st.sampled_from(where), ODD)
    def each(place: tuple, value: Any) -> None:
        refused_on_one_line_or_read(file, reader, write(altered(content, place, value)))

    each()


@pytest.mark.parametrize("reader", ["NDS", "NB301"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '"' + "x" * 100_000 + '"', "9" * 100_000, ""])
def test_what_is_nested_or_long_without_end_is_refused(file: Path, reader: str, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ParzcError) as refused:
        READERS[reader][2](file)
    assert len(str(refused.value)) < LONGEST + len(str(file))


@pytest.mark.parametrize("function", [name for name, handed in pickles.ALLOWED.items() if callable(handed)], ids=".".join)
def test_what_a_pickle_is_handed_cannot_be_altered(function: tuple[str, str]) -> None:
    """BUILD with a state, or with slots, on the function itself: else __defaults__ would stay changed for every later file."""
    before = {name: getattr(handed, "__defaults__", None) for name, handed in pickles.ALLOWED.items()}
    for state in ({"mark": 1}, (None, {"__defaults__": (1, 2)})):
        named = pickle.dumps(function[0], 4)[:-1] + pickle.dumps(function[1], 4)[2:-1] + pickle.STACK_GLOBAL
        data = named + pickle.dumps(state, 4)[2:-1] + pickle.BUILD + pickle.STOP
        with pytest.raises(pickles.UnsafePickle):
            pickles.loads(data)
    assert {name: getattr(handed, "__defaults__", None) for name, handed in pickles.ALLOWED.items()} == before
    assert not hasattr(pickles.ALLOWED[function], "mark")


def test_a_zip_bomb_of_zeros_is_no_table(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("adjacency.npy", bytes(1 << 20))
    with pytest.raises(ParzcError, match="cannot be read"):
        READERS["npz"][2](file)
