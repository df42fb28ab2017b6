"""Rows and runs on disk: full precision, whole or not at all, and nothing lost when writers are killed or meet."""

import hashlib
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core import results
from parzc_core.errors import BadInput, ParzcError, UnknownName
from parzc_core.results import Row, RunStore, read_manifest, read_rows, row_of_runs, summarise, write_rows


def a_row(**changes) -> Row:
    cell = {"table": "table06", "row": "NP", "column": "NB201-CF10 78", "metric": "kendall", "value": 34.5}
    return Row(**({**cell, "profile": "smoke", "origin": "reproduced"} | changes))


def test_fields_in_the_order_of_the_file() -> None:
    names = "table,row,column,metric,value,unit,seed,n,ci_low,ci_high,profile,origin,note"
    assert ",".join(results.COLUMNS) == names


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"origin": "measured"}, UnknownName, "origin 'measured'.*reproduced, recreated, quoted, unavailable"),
        ({"profile": "huge"}, UnknownName, "profile 'huge'"),
        ({"table": "../06"}, BadInput, "name is lower-case"),
        ({"column": ""}, BadInput, "must all be named"),
        ({"value": None}, BadInput, "say in the note why"),
        ({"value": math.nan}, BadInput, "say in the note why"),
        ({"value": None, "origin": "unavailable"}, BadInput, "say in the note why"),
        ({"value": 3.0, "origin": "unavailable"}, BadInput, "say in the note why"),
        ({"ci_low": 3.0}, BadInput, "both ends or neither"),
        ({"ci_low": 4.0, "ci_high": 3.0}, BadInput, "upside down"),
        ({"seed": -2}, BadInput, "seed >= -1"),
        ({"n": -1}, BadInput, "n >= 0"),
    ],
)
def test_bad_rows(changes: dict, error: type[ParzcError], message: str) -> None:
    with pytest.raises(error, match=message):
        a_row(**changes)


def test_rows_without_a_value_that_say_why() -> None:
    a_row(value=math.nan, note="every prediction is the same")
    a_row(value=None, origin="unavailable", note="needs ImageNet")


NUMBERS = st.floats(allow_nan=False)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


@settings(max_examples=60, deadline=None)
@given(value=NUMBERS, low=NUMBERS, high=NUMBERS, name=TEXT, note=TEXT, seed=st.integers(-1, 2**40))
def test_rows_come_back_to_the_last_bit(tmp_path_factory, value, low, high, name, note, seed) -> None:
    low, high = sorted((low, high))
    row = a_row(value=value, ci_low=low, ci_high=high, row=name, note=note, seed=seed, n=7)
    folder = tmp_path_factory.mktemp("rows")
    write_rows("table06", [row, a_row(row="nan", value=None, note="NA")], "smoke", {}, folder)
    back = read_rows("table06", "smoke", folder)
    assert tuple(back.columns) == results.COLUMNS
    first, second = back.to_dict("records")
    assert first == {field: getattr(row, field) for field in results.COLUMNS}
    assert (second["row"], second["note"]) == ("nan", "NA")
    assert math.isnan(second["value"])
    assert math.isnan(second["ci_low"])


def test_numpy_numbers_are_written_as_numbers(tmp_path: Path) -> None:
    row = a_row(value=np.float64(0.1), ci_low=np.float32(0.0), ci_high=np.float64(0.2), n=np.int64(3))
    write_rows("table06", [row], "smoke", {"seeds": np.arange(3), "folder": Path("a")}, tmp_path)
    assert read_rows("table06", "smoke", tmp_path)["value"][0] == 0.1
    assert read_manifest("table06", "smoke", tmp_path)["seeds"] == [0, 1, 2]


def test_manifest(tmp_path: Path) -> None:
    rows = [
        a_row(),
        a_row(row="MLP", value=math.nan, note="constant"),
        a_row(row="BN", value=None, origin="unavailable", note="why"),
    ]
    folder = write_rows("table06", rows, "smoke", {"minutes": 1.5}, tmp_path)
    assert folder == tmp_path / "smoke" / "table06"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["minutes"] == 1.5
    assert (manifest["profile"], manifest["table"]) == ("smoke", "table06")
    assert manifest["rows"] == {"reproduced": 2, "recreated": 0, "quoted": 0, "unavailable": 1}
    assert manifest["without_value"] == 2
    assert set(manifest["versions"]) == {"python", "torch", "numpy", "scikit-learn", "pandas", "scipy", "parzc"}
    assert manifest["sha256"] == hashlib.sha256((folder / "rows.csv").read_bytes()).hexdigest()
    assert manifest["utc"].endswith("+00:00")


@pytest.mark.parametrize(
    ("rows", "manifest", "message"),
    [
        ([], {}, "no rows"),
        ([a_row(), a_row(value=1.0)], {}, "2 rows for.*'NP'"),
        ([a_row(table="table07")], {}, "'table07', profile 'smoke' among"),
        ([a_row(profile="full")], {}, "profile 'full' among"),
        ([a_row()], {"sha256": "0", "versions": {}}, "sha256, versions are set"),
        ([a_row()], {"model": object()}, "what JSON can hold"),
    ],
)
def test_refused_rows_leave_nothing_behind(tmp_path: Path, rows: list[Row], manifest: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        write_rows("table06", rows, "smoke", manifest, tmp_path)
    assert not list(tmp_path.rglob("*"))


def test_the_same_cell_for_several_seeds_is_no_duplicate(tmp_path: Path) -> None:
    write_rows("table06", [a_row(seed=0), a_row(seed=1), a_row()], "smoke", {}, tmp_path)
    assert list(read_rows("table06", "smoke", tmp_path)["seed"]) == [0, 1, -1]


def test_a_table_that_was_not_run(tmp_path: Path) -> None:
    assert not results.has_rows("table06", "smoke", tmp_path)
    with pytest.raises(BadInput, match="parzc run table06 --profile smoke"):
        read_rows("table06", "smoke", tmp_path)
    with pytest.raises(UnknownName, match="profile"):
        read_rows("table06", "medium", tmp_path)


def test_edited_rows_are_noticed(tmp_path: Path) -> None:
    path = write_rows("table06", [a_row()], "smoke", {}, tmp_path) / "rows.csv"
    path.write_text(path.read_text().replace("34.5", "64.5"))
    with pytest.raises(BadInput, match="edited"):
        read_rows("table06", "smoke", tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from parzc_core.results import Row, write_rows
renames, real = 0, os.replace
def replace(*names):  # the process dies at the rename, or just after the first one
    global renames
    renames += 1
    if renames == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(*names)
os.replace = replace
row = Row("table06", "NP", "NB201-CF10 78", "kendall", 99.0, profile="smoke", origin="reproduced")
write_rows("table06", [row], "smoke", {}, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("rename", [1, 2])
def test_kill_9_while_writing_leaves_whole_files(tmp_path: Path, rename: int) -> None:
    folder = write_rows("table06", [a_row()], "smoke", {}, tmp_path)
    old = {name: (folder / name).read_bytes() for name in ("rows.csv", "manifest.json")}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(rename)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "manifest.json").read_bytes() == old["manifest.json"]
    if rename == 1:  # before anything was renamed
        assert (folder / "rows.csv").read_bytes() == old["rows.csv"]
        assert read_rows("table06", "smoke", tmp_path)["value"][0] == 34.5
    else:  # between the two files: whole, and known not to belong together
        assert b",99.0," in (folder / "rows.csv").read_bytes()
        with pytest.raises(BadInput, match="cut off"):
            read_rows("table06", "smoke", tmp_path)
    write_rows("table06", [a_row(value=1.0)], "smoke", {}, tmp_path)
    assert read_rows("table06", "smoke", tmp_path)["value"][0] == 1.0


# --- summaries ---


def test_interval_by_hand() -> None:
    """Of 27 equally likely resamples of 1, 2, 3, one has mean 1 and one has mean 3: 3.7 % each, more than 2.5 %."""
    assert summarise([1, 2, 3]) == (2.0, 1.0, 1.0, 3.0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
def test_interval_properties(values: list[float], shift: float) -> None:
    one = summarise(values, resamples=500)
    assert min(values) - 1e-9 <= one.ci_low <= one.ci_high <= max(values) + 1e-9
    assert one == summarise(values, resamples=500)  # seeded
    moved = summarise([value + shift for value in values], resamples=500)
    np.testing.assert_allclose(moved, np.add(one, [shift, 0, shift, shift]), atol=1e-9)


def test_interval_of_many_runs_is_the_normal_one() -> None:
    """Of 400 values with standard deviation 1: mean -+ 1.96 / 20, within the noise of the resampling."""
    values = np.random.default_rng(3).normal(size=400)
    values = (values - values.mean()) / values.std()
    _, _, low, high = summarise(values)
    assert low == pytest.approx(-0.098, abs=0.008)
    assert high == pytest.approx(0.098, abs=0.008)


def test_one_run_and_nan() -> None:
    mean, *rest = summarise([70.0])
    assert mean == 70.0
    assert np.isnan(rest).all()
    assert np.isnan(summarise([70.0, math.nan])).all()
    for values in ([], [[1.0, 2.0]]):
        with pytest.raises(BadInput, match="at least one number"):
            summarise(values)


def test_row_of_runs() -> None:
    where = {"profile": "smoke", "origin": "reproduced"}
    row = row_of_runs("table06", "NP", "c", "kendall", [1, 2, 3], note="test split", **where)
    assert (row.value, row.ci_low, row.ci_high, row.n, row.seed) == (2.0, 1.0, 3.0, 3, -1)
    assert row.note == "std 1 over 3 runs; test split"
    assert row_of_runs("table06", "NP", "c", "kendall", [5.0], **where).note == "one run"


# --- the store of runs ---


def test_key_is_the_hash_of_canonical_json() -> None:
    text = '{"a":1,"b":[2,{"x":0.5,"y":null}]}'
    assert RunStore.key({"b": (2, {"y": None, "x": 0.5}), "a": 1}) == hashlib.sha256(text.encode()).hexdigest()
    assert RunStore.key({"a": np.int64(1), "b": np.array([2])}) == RunStore.key({"a": 1, "b": [2]})
    assert RunStore.key({"a": 1}) != RunStore.key({"a": 1.0})


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_key_does_not_depend_on_order(config: dict) -> None:
    assert RunStore.key(config) == RunStore.key(dict(reversed(config.items())))


@pytest.mark.parametrize("config", [[1], {1: 2}, {"a": math.nan}, {"a": object()}, {"a": {("b",): 1}}])
def test_configurations_without_a_key(tmp_path: Path, config) -> None:
    store = RunStore(tmp_path / "runs.jsonl")
    with pytest.raises(BadInput):
        store.get(config)
    with pytest.raises(BadInput):
        store.put(config, {})
    assert not store.path.exists()


def test_put_and_get(tmp_path: Path) -> None:
    store, other = RunStore(tmp_path / "deep" / "runs.jsonl"), RunStore(tmp_path / "deep" / "runs.jsonl")
    assert store.get({"seed": 0}) is None
    result = store.put({"seed": 0}, {"tau": np.float64(0.1) + 0.2, "curve": np.array([1.0, math.inf])})
    assert result == {"tau": 0.1 + 0.2, "curve": [1.0, math.inf]}
    assert other.get({"seed": 0}) == result  # of another process too
    other.put({"seed": 1}, {"tau": math.nan})
    assert math.isnan(store.get({"seed": 1})["tau"])  # type: ignore[index]
    store.put({"seed": 0}, {"tau": 9.0})
    assert other.get({"seed": 0}) == {"tau": 9.0}  # the last one counts
    assert (len(other), [line["config"] for line in other]) == (2, [{"seed": 0}, {"seed": 1}])
    store.path.unlink()
    assert (len(store), store.get({"seed": 0})) == (0, None)


def test_torn_last_line_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for seed in range(3):
        RunStore(path).put({"seed": seed, "é": "\n"}, {"tau": seed / 7})
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        store = RunStore(path)
        assert store.get({"seed": 2, "é": "\n"}) is None
        store.put({"seed": 3}, {"tau": 1.0})
        assert path.read_bytes().startswith(whole[:cut])  # nothing that was there is touched
        for again in (store, RunStore(path)):
            assert [again.get({"seed": seed, "é": "\n"}) for seed in range(2)] == [{"tau": 0.0}, {"tau": 1 / 7}]
            assert again.get({"seed": 3}) == {"tau": 1.0}


def test_lines_that_are_no_runs_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    RunStore(path).put({"seed": 0}, {"tau": 1.0})
    with open(path, "ab") as file:
        file.write(b'\n[1]\nnull\n{"key": "x"}\n\xff\xfe\n{"key": [], "config": {}, "result": {}}\n')
    RunStore(path).put({"seed": 1}, {"tau": 2.0})
    assert len(RunStore(path)) == 2


WRITER = """
import sys
from pathlib import Path
from parzc_core.run_store import RunStore
store = RunStore(Path(sys.argv[1]))
for seed in range(int(sys.argv[3])):
    store.put({"writer": sys.argv[2], "seed": seed}, {"text": sys.argv[2] * (seed * 997 % 20_000)})
    print(seed, flush=True)
"""


def writer(path: Path, name: str, runs: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for process in [writer(path, name, 50) for name in "ab"]:
        process.communicate()
        assert process.returncode == 0
    store = RunStore(path)
    for name in "ab":
        for seed in range(50):
            assert store.get({"writer": name, "seed": seed}) == {"text": name * (seed * 997 % 20_000)}
    assert len(path.read_bytes().splitlines()) == len(store) == 100


def test_kill_9_of_a_writer_loses_no_run_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    process = writer(path, "a", 100_000)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.kill()
    said = 20 + len(process.communicate()[0].split())
    store = RunStore(path)
    assert all(store.get({"writer": "a", "seed": seed}) is not None for seed in range(said))
    store.put({"writer": "b"}, {})  # the lock went with the process
    assert RunStore(path).get({"writer": "b"}) == {}


def test_paired_differences_are_taken_split_by_split() -> None:
    scores = pd.DataFrame({"a": [1.0, 5.0, 9.0, 2.0], "b": [0.0, 4.0, 8.5, 2.5]})
    line = results.paired_differences(scores, {"a over b": ("a", "b")}).loc["a over b"]
    mean, std, low, high = summarise([1.0, 1.0, 0.5, -0.5])
    assert line.tolist() == [mean, low, high, std, 75.0]
    assert low < mean < high
