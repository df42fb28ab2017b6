"""Notebooks that run at once: they share the processes, the report comes last, and a killed run leaves nothing running."""

import signal
import subprocess
import sys

import psutil
import pytest
from tiny_notebooks import texts, wait_for
from tiny_project import Project, project_fixture, quick_fixture  # noqa: F401

from parzc_core import artifact
from parzc_core.pipeline import run as running
from parzc_core.pipeline import tasks

MEET = """
import time
from pathlib import Path
here = Path({folder!r})
(here / {own!r}).touch()
for _ in range(600):
    if (here / {other!r}).exists():
        break
    time.sleep(0.1)
else:
    raise SystemExit("alone")
print(jobs)
"""
SLOW = """
import os, time
from pathlib import Path
Path({note!r}).write_text(str(os.getpid()))
time.sleep(300)
"""


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 2])
def test_what_a_killed_run_finished_is_not_run_again(project: Project, together: int) -> None:
    """SIGTERM in the middle of one or two notebooks: no kernel remains, and the first one stays up to date."""
    notes = [project.root / f"pid{number}" for number in range(together)]
    project.notebook("first", order=1)
    for note in notes:
        project.notebook(f"slow_{note.name}", SLOW.format(note=str(note)), order=2)
    run = subprocess.Popen([sys.executable, "-c", project.program(together, together)], stderr=subprocess.DEVNULL)
    wait_for(lambda: all(note.exists() and note.read_text() for note in notes))
    wait_for(lambda: project.plan()["first"] is None)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=900) == 128 + signal.SIGTERM
    for note in notes:
        wait_for(lambda note=note: not psutil.pid_exists(int(note.read_text())))  # type: ignore[misc]
    again = "not run yet, or failed or skipped the last time"
    assert project.plan() == {"first": None, **{f"slow_{note.name}": again for note in notes}}


@pytest.mark.slow
def test_notebooks_run_together_share_the_processes_and_the_report_comes_last(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits until the other has begun, so that one after the other they would never end."""
    for order, (own, other) in enumerate((("one", "two"), ("two", "one")), start=1):
        project.notebook(own, MEET.format(folder=str(project.root), own=own, other=other), order=order)
    project.notebook("bad", "1 / 0", order=3)
    built: list[list[str]] = []

    def build(profile: str) -> dict[str, str]:
        built.append(sorted(path.stem for path in (project.root / "report" / "notebooks" / profile).glob("*.ipynb")))
        return {"path": "report"}

    monkeypatch.setattr(tasks, "build_report", build)
    outcome = running.run("smoke", 6, artifact.discover(), together=2)
    assert sorted(outcome.minutes) == ["bad", "one", "report", "two"]
    assert list(outcome.failed) == ["bad"]
    assert built == [["bad.failed", "one", "two"]]
    for name in ("one", "two"):
        assert texts(project.root / "report" / "notebooks" / "smoke" / f"{name}.ipynb") == "3\n"
    assert project.plan() == {"one": None, "two": None, "bad": "not run yet, or failed or skipped the last time"}
    assert running.run("smoke", 6, artifact.discover(), together=2).current == ["one", "two"]


@pytest.mark.parametrize(("jobs", "together", "expected"), [(1, 2, "1"), (2, 2, "1"), (5, 2, "2"), (4, 9, "2")])
@pytest.mark.usefixtures("quick")
def test_no_more_notebooks_at_once_than_processes_and_notebooks(
    project: Project, jobs: int, together: int, expected: str
) -> None:
    project.notebook("a", order=1)
    project.notebook("b", order=2)
    running.run("smoke", jobs, artifact.discover(), together=together)
    given = (project.root / "report" / "notebooks" / "smoke" / "a.ipynb").read_text()
    assert f"jobs={expected}" in given
