"""`run_all`: each missing run is computed once, alone or in its group, with one thread; what it says of stored runs."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from parzc_core import checkpoints
from parzc_core.errors import BadInput, NotStored
from parzc_core.runs import protocol
from parzc_core.runs.protocol import run_all, run_frame
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import STORED

COMPUTED: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_computed() -> None:
    COMPUTED.clear()


@dataclasses.dataclass(frozen=True)
class Alone:
    """A run that goes on from the work of a killed process of 10 seconds."""

    seed: int
    timed: bool = True

    def key(self) -> dict[str, Any]:
        return {"kind": "Alone", "seed": self.seed}

    def evaluate(self) -> dict[str, Any]:
        COMPUTED.append(self.seed)
        kept = checkpoints._KEPT.get()
        assert kept is not None
        kept.earlier += 10.0
        return {"value": self.seed + 1, "threads": torch.get_num_threads()} | ({"seconds": 1.0} if self.timed else {})


@dataclasses.dataclass(frozen=True)
class Split(Alone):
    """One of three that are computed together."""

    def key(self) -> dict[str, Any]:
        return {"kind": "Split", "seed": self.seed}

    def group(self) -> tuple["Split", ...]:
        first = self.seed // 3 * 3
        return tuple(Split(first + i) for i in range(3))

    def evaluate_group(self) -> list[dict[str, Any]]:
        kept = checkpoints._KEPT.get()
        assert kept is not None
        kept.earlier += 30.0
        COMPUTED.append([run.seed for run in self.group()])
        return [{"value": run.seed + 1, "threads": torch.get_num_threads(), "seconds": 2.0} for run in self.group()]


def test_runs_have_one_thread_and_the_seconds_of_killed_processes(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = run_all([Alone(3), Alone(1), Alone(2, timed=False)], tmp_path / "runs.jsonl")
    finally:
        torch.set_num_threads(threads)
    assert found == {
        Alone(3): {"value": 4, "threads": 1, "seconds": 11.0},
        Alone(1): {"value": 2, "threads": 1, "seconds": 11.0},
        Alone(2, timed=False): {"value": 3, "threads": 1},
    }
    assert list(found) == [Alone(3), Alone(1), Alone(2, timed=False)]
    assert run_all([Alone(1)], tmp_path / "runs.jsonl") == {Alone(1): found[Alone(1)]}
    assert COMPUTED == [3, 1, 2]


def test_a_group_is_computed_once_and_shares_its_seconds(tmp_path: Path) -> None:
    found = run_all([Split(4), Split(0), Split(5)], tmp_path / "runs.jsonl")
    assert COMPUTED == [[3, 4, 5], [0, 1, 2]]
    assert [(run.seed, result["value"], result["seconds"]) for run, result in found.items()] == [
        (4, 5, 12.0), (0, 1, 12.0), (5, 6, 12.0)
    ]  # fmt: skip
    assert len(RunStore(tmp_path / "runs.jsonl")) == 6  # the others of both groups too
    run_all([Split(i) for i in range(6)], tmp_path / "runs.jsonl")
    assert len(COMPUTED) == 2


@pytest.mark.parametrize("chunk", [0, 1, 2, 99])
def test_every_run_is_computed_once_however_many_are_saved_at_once(tmp_path: Path, chunk: int) -> None:
    runs = [Alone(seed) for seed in range(5)]
    found = run_all(runs, tmp_path / "runs.jsonl", chunk=lambda run: chunk)
    assert [result["value"] for result in found.values()] == [1, 2, 3, 4, 5]
    assert COMPUTED == [0, 1, 2, 3, 4]


def test_with_stored_alone_a_result_that_lacks_a_column_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RunStore(tmp_path / "runs.jsonl")
    store.put(Alone(0).key(), {"value": 1})
    store.put(Alone(1).key(), {"value": 2, "spread": 0.1, "seconds": 7200.0})
    monkeypatch.setenv(STORED, "1")
    runs = [Alone(0), Alone(1)]
    assert [result["value"] for result in run_all(runs, store, reads=lambda run: ["value"]).values()] == [1, 2]
    with pytest.raises(NotStored, match=r"1 of 2 runs of .* are not stored \(about 2\.0 CPU-hours"):
        run_all(runs, store, reads=lambda run: ["spread"])
    with pytest.raises(NotStored, match=r"1 of 2 runs of [^(]* are not stored; "):
        run_all([Alone(0), Alone(2)], store)
    assert COMPUTED == []


def test_a_frame_has_the_fields_of_a_run_and_then_its_result(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs.jsonl")
    store.put(Alone(0).key(), {"value": 1, "seed": 40})  # the result has the last word
    store.put(Alone(1).key(), {"value": 2, "extra": 0.5})
    frame = run_frame([Alone(1), Alone(0)], store.path)
    assert list(frame) == ["seed", "timed", "value", "extra"]
    assert frame["seed"].tolist() == [1, 40]
    assert frame["extra"].isna().tolist() == [False, True]


def test_a_worker_whose_run_has_another_key_is_refused() -> None:
    """Its machine has other labels, statistics or code."""
    here = RunStore.key(Alone(0).key())
    with pytest.raises(BadInput, match="would be another run there"):
        protocol._evaluate_away(((Alone(1), here),))
    with pytest.raises(BadInput, match="would be another run there"):
        protocol._evaluate_away(((Alone(0), here), (Alone(1), here)))
    assert COMPUTED == []
