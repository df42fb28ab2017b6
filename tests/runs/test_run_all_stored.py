"""With `parzc run --stored` runs are read and none is computed."""

import dataclasses
import sys

import pytest

from parzc_core import paths
from parzc_core.artifact import Experiment
from parzc_core.errors import NotStored
from parzc_core.pipeline import tasks
from parzc_core.runs.protocol import run_all
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import STORED


@dataclasses.dataclass(frozen=True)
class Sum:
    a: int

    def key(self):
        return {"kind": "Sum", "a": self.a}

    def evaluate(self):
        return {"value": self.a + 1, "seconds": 1800.0}


RUNS = [Sum(1), Sum(2), Sum(3)]


def test_what_is_stored_is_read(tmp_path, monkeypatch):
    expected = run_all(RUNS, tmp_path / "runs.jsonl")
    monkeypatch.setenv(STORED, "1")
    monkeypatch.setattr(Sum, "evaluate", lambda run: pytest.fail("computed"))
    assert run_all(RUNS, tmp_path / "runs.jsonl") == expected
    assert run_all([], tmp_path / "none.jsonl") == {}


def test_a_missing_run_is_refused_with_what_it_would_take(tmp_path, monkeypatch):
    run_all(RUNS[:1], tmp_path / "runs.jsonl")
    monkeypatch.setenv(STORED, "1")
    with pytest.raises(NotStored, match=r"2 of 3 runs of .* are not stored \(about 1.0 CPU-hours .*without --stored"):
        run_all(RUNS, tmp_path / "runs.jsonl")
    with pytest.raises(NotStored, match=r"3 of 3 runs of .* are not stored; "):
        run_all(RUNS, tmp_path / "none.jsonl")
    assert len(RunStore(tmp_path / "runs.jsonl")) == 1


def test_a_notebook_made_from_stored_runs_is_not_up_to_date_for_one_that_trains(tmp_path, monkeypatch):
    book = tmp_path / "book.ipynb"
    book.write_text('{"cells": []}')
    item = Experiment("book", book, "Book", (), 1, ())
    (made,) = tasks.tasks("smoke", 1, [item], report=False)
    assert tasks.stored_as_before in made["uptodate"]
    monkeypatch.setattr(tasks, "command", lambda *given: [sys.executable, "-c", ""])
    monkeypatch.setattr(paths, "REPORT", tmp_path / "report")
    seen: dict[str, object] = {}  # what doit keeps of the task
    answers = []
    for stored in (False, True, True, False):
        monkeypatch.setenv(STORED, "1" if stored else "")
        answers.append(tasks.stored_as_before(None, seen))
        seen = tasks.execute(item, "smoke", 1)
    assert answers == [True, False, True, False]
