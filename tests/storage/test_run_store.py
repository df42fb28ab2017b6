"""Runs on disk: nothing is lost when writers are killed or meet, and equal configurations are known again."""

import hashlib
import json
import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.errors import BadInput
from parzc_core.runs.protocol import run_all
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import lacking


def test_key_is_the_hash_of_canonical_json() -> None:
    text = '{"a":1,"b":[2,{"x":0.5,"y":null}]}'
    assert RunStore.key({"b": (2, {"y": None, "x": 0.5}), "a": 1}) == hashlib.sha256(text.encode()).hexdigest()
    assert RunStore.key({"a": np.int64(1), "b": np.array([2])}) == RunStore.key({"a": 1, "b": [2]})
    assert RunStore.key({"a": 1}) != RunStore.key({"a": 1.0})


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_key_does_not_depend_on_order(config: dict) -> None:
    assert RunStore.key(config) == RunStore.key(dict(reversed(config.items())))


@pytest.mark.parametrize(
    "config", [[1], {1: 2}, {"a": math.nan}, {"a": object()}, {"a": {("b",): 1}}, pytest.param({"a": 10**5000}, id="long")]
)
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


@pytest.mark.parametrize("lines", [1, 2, 3, 9])
def test_a_file_in_the_place_of_another_is_read_from_its_start(tmp_path: Path, lines: int) -> None:
    """Shorter, as long or longer: what was read of the one before counts no more."""
    store, other = RunStore(tmp_path / "runs.jsonl"), RunStore(tmp_path / "other.jsonl")
    for seed in range(2):
        store.put({"seed": seed}, {"tau": 0.1})
    for seed in range(lines):
        other.put({"other": seed}, {"tau": 0.2})
    assert len(store) == 2
    other.path.replace(store.path)
    assert [store.get({"other": seed}) for seed in range(lines)] == [{"tau": 0.2}] * lines
    assert (len(store), store.get({"seed": 0}), store.faults) == (lines, None, {})


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
    with pytest.warns(UserWarning, match=r"line 3: .*line 4: .*line 5: .* and 2 more$"):
        assert len(RunStore(path)) == 2
    path.write_text("".join(f"{line}\n" for line in ("null", "1", "[1]", '"a"')))
    with pytest.warns(UserWarning, match=r"line 1: .*line 2: .*line 3: .* and 1 more$"):
        assert len(RunStore(path)) == 0


def three_runs(path: Path, checksum: bool = True) -> list[str]:
    """Lines of a store with seeds 0 to 2, with a checksum or as earlier versions wrote them."""
    for seed in range(3):
        RunStore(path).put({"seed": seed}, {"tau": seed / 7, "seconds": 1.0, "loss": math.nan})
    lines = path.read_text().splitlines()
    if not checksum:
        lines = [json.dumps({key: value for key, value in json.loads(line).items() if key != "sha256"}) for line in lines]
    path.write_text("".join(f"{line}\n" for line in lines))
    return lines


@pytest.mark.parametrize("checksum", [True, False])
def test_lines_with_and_without_a_checksum_are_read(tmp_path: Path, checksum: bool) -> None:
    lines = three_runs(tmp_path / "runs.jsonl", checksum)
    assert all(("sha256" in json.loads(line)) is checksum for line in lines)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = RunStore(tmp_path / "runs.jsonl")
        assert [store.get({"seed": seed})["tau"] for seed in range(3)] == [0, 1 / 7, 2 / 7]  # type: ignore[index]
    assert store.faults == {}


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda line: line.replace('"config": {"seed": 1}', '"config": {"seed": 7}'), "its key is not that of its config"),
        (lambda line: line.replace("0.142857", "0.942857"), "its sha256 is not that of its result"),
        (lambda line: line.replace("NaN", "0.5"), "its sha256 is not that of its result"),
        (lambda line: line.replace("0.142857", "0.942857").partition(', "sha256"')[0] + "}", "it lacks the sha256"),
        (lambda line: line.replace("0.142857", "0.942857").partition('"sha256"')[0] + '"sha256": null}', "its sha256 is not"),
        (lambda line: line.replace('"tau"', '"tau": 0.9, "tau"'), "has a key more than once in an object: 'tau'"),
        (lambda line: line[:60], "is no JSON"),
        (lambda line: "[" * 100_000, "nested too deeply"),
        (lambda line: line.replace('"seconds": 1.0', '"seconds": ' + "[" * 900 + "]" * 900), "nested too deeply"),
        (lambda line: line.replace('"result": {', '"result": [{').replace("}, \"sha256\"", "}], \"sha256\""), "no JSON object"),
    ],
)
def test_an_edited_or_half_line_is_named_and_its_run_computed_anew(tmp_path: Path, edit: Callable, why: str) -> None:
    path = tmp_path / "runs.jsonl"
    lines = three_runs(path)
    assert edit(lines[1]) != lines[1]
    path.write_text("\n".join([lines[0], edit(lines[1]), lines[2], ""]))
    store = RunStore(path)
    with pytest.warns(UserWarning, match=rf"runs\.jsonl: not used, so that it is computed anew: line 2: .*{why}"):
        assert store.get({"seed": 1}) is None
    assert list(store.faults) == [2]
    assert all(store.get({"seed": seed}) for seed in (0, 2))
    store.put({"seed": 1}, {"tau": 3.0})
    assert store.get({"seed": 1}) == {"tau": 3.0}
    with pytest.warns(UserWarning, match="line 2"):
        assert RunStore(path).get({"seed": 1}) == {"tau": 3.0}


@pytest.mark.parametrize("checksum", [True, False])
def test_a_duplicate_with_another_result_is_never_taken(tmp_path: Path, checksum: bool) -> None:
    path = tmp_path / "runs.jsonl"
    line = three_runs(path, checksum)[1]
    without = {key: value for key, value in json.loads(line).items() if key != "sha256"}
    slower = json.dumps(without | {"result": without["result"] | {"seconds": 9.0}})  # computed twice: seconds may differ
    path.write_text(path.read_text() + slower + "\n")
    turned = json.dumps(without | {"result": dict(reversed(without["result"].items()))})  # the same in another order
    path.write_text(path.read_text() + turned + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RunStore(path).get({"seed": 1})["tau"] == 1 / 7  # type: ignore[index]
    other = json.dumps(without | {"result": {"tau": 9.0}})
    path.write_text(path.read_text() + other + "\n")
    store = RunStore(path)
    with pytest.warns(UserWarning, match="line 6: its run is stored before with another result"):
        got = store.get({"seed": 1})
    assert (got is None) is not checksum  # without one none of them is known to be right
    store.put({"seed": 1}, {"tau": 2.0})
    assert store.get({"seed": 1}) == {"tau": 2.0}


def test_a_checksum_outranks_a_line_without(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    line = json.loads(three_runs(path)[1])
    path.write_text(path.read_text() + json.dumps({"key": line["key"], "config": line["config"], "result": {"tau": 9.0}}) + "\n")
    store = RunStore(path)
    with pytest.warns(UserWarning, match="line 4"):
        assert store.get({"seed": 1})["tau"] == 1 / 7  # type: ignore[index]


def test_what_is_nested_too_deeply_is_not_stored(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs.jsonl")
    for levels in (40, 100_000):
        deep: list = []
        for _ in range(levels):
            deep = [deep]
        with pytest.raises(BadInput):
            store.put({"seed": 0}, {"deep": deep})
    assert not store.path.exists()


@dataclass(frozen=True)
class Seed:
    seed: int

    def key(self) -> dict[str, int]:
        return {"seed": self.seed}

    def evaluate(self) -> dict[str, float]:
        return {"tau": 2.0, "added later": 1.0}


def test_a_run_stored_before_a_column_was_recorded_is_named_and_computed_anew_where_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    RunStore(path).put({"seed": 0}, {"tau": 1.0})
    assert run_all([Seed(0)], path) == {Seed(0): {"tau": 1.0}}
    with pytest.warns(UserWarning, match=r"runs\.jsonl: 1 runs, stored before added later was recorded, are computed anew"):
        found = run_all([Seed(0), Seed(1)], path, reads=lambda run: {"added later"})
    assert found == {Seed(0): {"tau": 2.0, "added later": 1.0}, Seed(1): {"tau": 2.0, "added later": 1.0}}
    assert len(path.read_text().splitlines()) == 3


WRITER = """
import sys
from pathlib import Path
from parzc_core.storage.run_store import RunStore
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


HOLDER = """
import sys, time
from pathlib import Path
from parzc_core.storage.run_store import RunStore
store = RunStore(Path(sys.argv[1]))
with store.alone():
    print("inside", flush=True)
    sys.stdin.readline()
    store.put({"seed": 0}, {"tau": 1.0})
"""


def test_a_run_that_another_process_computes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "inside\n"
        asked: list[int] = []

        @dataclass(frozen=True)
        class Asked:
            seed: int

            def key(self) -> dict[str, int]:
                return {"seed": self.seed}

            def evaluate(self) -> dict[str, float]:
                asked.append(self.seed)
                return {"tau": 2.0}

        found: list[dict[Asked, dict[str, float]]] = []
        waiting = threading.Thread(target=lambda: found.append(run_all([Asked(0), Asked(1)], path)))
        waiting.start()
        waiting.join(timeout=1)
        assert waiting.is_alive()  # seed 0 may be at work there
        holder.communicate("go on\n")
        waiting.join(timeout=900)
    assert found == [{Asked(0): {"tau": 1.0}, Asked(1): {"tau": 2.0}}]
    assert asked == [1]


def test_what_is_stored_is_read_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    store = RunStore(path)
    run = RankerRun(train=12)
    store.put({"seed": 0}, {"tau": 1.0})
    with store.alone(), lacking(store, {run: {"seed": 0}}) as missing:
        assert missing == []


@pytest.mark.parametrize(
    "result", [None, [1], {"v": {1}}, {"v": {("b",): 1}}, {1: 2, "1": 3}, pytest.param({"v": 10**5000}, id="long")]
)
def test_what_is_no_result_is_refused_and_nothing_is_written(tmp_path: Path, result) -> None:
    store = RunStore(tmp_path / "runs.jsonl")
    with pytest.raises(BadInput, match=r"expected|cannot be stored"):
        store.put({"a": 1}, result)
    assert not store.path.exists()


def test_a_file_as_long_as_the_one_before_it_is_read_from_its_start(tmp_path: Path) -> None:
    store, other = RunStore(tmp_path / "runs.jsonl"), RunStore(tmp_path / "other.jsonl")
    for seed in range(2):
        store.put({"seed": seed}, {"tau": 0.1})
        other.put({"seed": seed}, {"tau": 0.2})
    assert [store.get({"seed": seed}) for seed in range(2)] == [{"tau": 0.1}] * 2
    assert other.path.stat().st_size == store.path.stat().st_size
    other.path.replace(store.path)
    assert [store.get({"seed": seed}) for seed in range(2)] == [{"tau": 0.2}] * 2


def test_faults_and_checksums_of_a_file_that_was_replaced_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    older = three_runs(path, checksum=False)
    three_runs(path)
    with open(path, "ab") as file:
        file.write(b"null\n")
    store = RunStore(path)
    with pytest.warns(UserWarning, match="line 7"):
        assert len(store) == 3
    assert list(store.faults) == [7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):  # a line is named once
            assert len(store) == 3
        path.write_text("".join(f"{line}\n" for line in older))  # of an earlier version: no line has a checksum
        assert store.get({"seed": 1})["tau"] == 1 / 7  # type: ignore[index]
    assert (len(store), store.faults) == (3, {})


def test_a_result_moved_to_another_configuration_is_noticed(tmp_path: Path) -> None:
    """The configuration and its key fit together, and the result is whole; only the checksum tells."""
    path = tmp_path / "runs.jsonl"
    lines = three_runs(path)
    moved = json.loads(lines[1]) | {"config": {"seed": 7}, "key": RunStore.key({"seed": 7})}
    path.write_text("\n".join([lines[0], json.dumps(moved), lines[2], ""]))
    with pytest.warns(UserWarning, match="line 2: its sha256 is not that of its result"):
        assert RunStore(path).get({"seed": 7}) is None


def test_a_line_is_on_the_disk_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "runs.jsonl", []
    monkeypatch.setattr("os.fsync", lambda number: synced.append(path.read_bytes()))
    for seed in range(2):
        RunStore(path).put({"seed": seed}, {"tau": 1.0})
    assert synced[-1] == path.read_bytes()
    assert len(synced) == 2


def test_paths_and_dataclasses_are_plain() -> None:
    found = {"folder": Path("a") / "b", "run": Seed(3), "values": [np.float32(0.5)]}
    assert RunStore.key(found) == RunStore.key({"folder": "a/b", "run": {"seed": 3}, "values": [0.5]})
