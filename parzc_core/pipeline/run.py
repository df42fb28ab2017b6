"""Run the DAG, one notebook after the other or several at once: a progress bar on a terminal, a line for each otherwise."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from doit.control import TaskControl
from doit.dependency import Dependency, DependencyStatus, JsonDB
from doit.exceptions import BaseFail
from doit.reporter import ZeroReporter
from doit.runner import MThreadRunner, Runner
from doit.task import Task, dict_to_task
from tqdm import tqdm

from parzc_core import artifact, paths
from parzc_core.files import json_files
from parzc_core.pipeline import tasks
from parzc_core.pipeline.dependencies import makers_first


@dataclass
class Outcome:
    """How a run went: minutes of what ran, what failed and why, what was up to date, where the report is.

    skipped: notebooks that were not run since labels are missing, and the reason; they are no failures.
    """

    minutes: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    current: list[str] = field(default_factory=list)
    report: str | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    def overview(self) -> str:
        """The run in a few words."""
        ran = ", ".join(f"{name} {spent:.1f} min" for name, spent in self.minutes.items() if name != tasks.REPORT_TASK)
        parts = [f"ran: {ran or 'nothing'}"]
        if self.current:
            parts.append(f"up to date: {', '.join(self.current)}")
        if self.skipped:
            parts.append(f"skipped: {', '.join(self.skipped)}")
        if self.failed:
            parts.append(f"FAILED: {', '.join(self.failed)}")
        parts.append(f"report: {self.report or 'not built'}")
        return "; ".join(parts)


def run(
    profile: str, jobs: int, experiments: Sequence[artifact.Experiment], force: bool = False, together: int = 1
) -> Outcome:
    """Run what is not up to date of the experiments, then the report; one that fails does not stop the others.

    jobs: worker processes in all. together: notebooks that run at the same time, no more than `jobs`, which are shared out among
    them: what a notebook does in one process alone then leaves no core idle. Where few take most of the time, 1 is better.
    force: run also what is up to date.
    """
    together = min(together, jobs, max(1, len(experiments)))
    experiments = makers_first(experiments) if together > 1 else experiments
    *notebooks, report = [dict_to_task(task) for task in tasks.tasks(profile, jobs // together, experiments)]
    progress = _Progress(f"parzc {profile}", len(experiments) + 1)
    with _terminated_as_exit():
        for group, at_once in ((notebooks, together), ([report], 1)):
            control = TaskControl(group)
            control.process(None)
            options = {"continue_": True, "always_execute": force}
            if at_once > 1:
                runner: Runner = _SavingThreads(state(profile), progress, num_process=at_once, **options)
            else:
                runner = _SavingRunner(state(profile), progress, **options)
            runner.run_all(control.task_dispatcher())
    progress.close()
    progress.outcome.report = report.values.get("path")
    return progress.outcome


def plan(profile: str, experiments: Sequence[artifact.Experiment]) -> dict[str, str | None]:
    """For each experiment why it would be run now, or None if it is up to date."""
    record = state(profile)
    made = [dict_to_task(task) for task in tasks.tasks(profile, 1, experiments, report=False)]
    return {task.name: _reason(task, record.get_status(task, None, get_log=True), record) for task in made}


def minutes(experiment: artifact.Experiment, profile: str) -> float | None:
    """What it took in this profile the last time, here or where its results were made; None if nobody says."""
    files = [experiment.status_file(profile), *(paths.RESULTS / profile / made / "manifest.json" for made in experiment.makes)]
    known = (json_files.load(file).get("minutes") for file in files if file.is_file())
    return next((float(spent) for spent in known if isinstance(spent, int | float)), None)


def left_out(made: str, profile: str) -> dict[str, Any]:
    """What the run with --stored that made a table left out: cells, runs and CPU-hours; empty where it left out nothing."""
    file = paths.RESULTS / profile / made / "manifest.json"
    return json_files.load(file).get("left_out", {}) if file.is_file() else {}


def outlook(profile: str, experiments: Sequence[artifact.Experiment], force: bool = False) -> str:
    """One line: which experiments would be run now, and for about how long, by what they took before.

    Where nothing is known of the profile, the minutes of the committed results stand for it: those of "full", the longest.
    """
    reasons = plan(profile, experiments)
    todo = [item for item in experiments if force or reasons[item.name] is not None]
    if not todo:
        return f"profile {profile}: all {len(experiments)} notebooks are up to date; only the report is built"
    spent = {item.name: minutes(item, profile) for item in todo}
    known = [each for each in spent.values() if each is not None]
    parts = [f"{name} ({'unknown' if each is None else f'{each:.1f} min'})" for name, each in spent.items()]
    said = f"profile {profile}: {len(todo)} of {len(experiments)} notebooks are run: {', '.join(parts)}"
    if known:
        return f"{said}; about {sum(known):.0f} minutes by earlier runs, less where runs are stored"
    full = [each for item in todo if (each := minutes(item, "full")) is not None]
    return f"{said}; the committed results of the profile full took {sum(full):.0f} minutes" if full else said


def _reason(task: Task, status: DependencyStatus, record: Any) -> str | None:
    if status.status == "up-to-date":
        return None
    if not record._in(task.name):
        return "not run yet, or failed or skipped the last time"
    reasons = status.reasons
    files = [file for key in ("changed", "added", "removed") for file in reasons.get(f"{key}_file_dep", ())]
    said = []
    if files:
        said.append("changed: " + ", ".join(sorted({file.removeprefix(f"{paths.ROOT}/") for file in files})))
    if missing := reasons.get("missing_target"):
        said.append("missing: " + ", ".join(file.removeprefix(f"{paths.ROOT}/") for file in missing))
    changed = [check for check, _, _ in reasons.get("uptodate_false", ())]
    if tasks.stored_as_before in changed:
        said.append("it was run with --stored and is not now, or the other way round")
    if tasks.stores_as_left in changed:
        said.append("its stored runs changed")
    if any(check not in (tasks.stored_as_before, tasks.stores_as_left) for check in changed):
        said.append("other label files are at hand")
    return "; ".join(said) or "its dependencies changed"


class _Saving:
    """A runner of doit that saves its record after every task instead of only at the end."""

    def process_task_result(self, node: Any, base_fail: BaseFail | None) -> None:
        super().process_task_result(node, base_fail)  # type: ignore[misc]
        self.dep_manager.backend.dump()  # type: ignore[attr-defined]


class _SavingRunner(_Saving, Runner):
    """One task after the other."""


class _SavingThreads(_Saving, MThreadRunner):
    """Several at once; a thread each, which waits for its notebook's process."""


class _Progress(ZeroReporter):
    """What doit tells during a run, as a bar or as lines, and as an Outcome."""

    def __init__(self, title: str, total: int) -> None:
        super().__init__(sys.stderr, {})
        self.outcome, self.total, self.done = Outcome(), total, 0
        self.started: dict[str, float] = {}  # what is running
        self.bar = tqdm(total=total, desc=title, unit="step", disable=not sys.stderr.isatty(), file=sys.stderr)

    def execute_task(self, task: Task) -> None:
        self.started[task.name] = time.monotonic()
        self.bar.set_postfix_str(", ".join(self.started))
        self._say(f"{task.name} ...")

    def add_success(self, task: Task) -> None:
        spent = self._spent(task)
        self._step(f"{task.name}: done in {spent:.1f} min")

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        if isinstance(fail, tasks.TaskSkipped):
            self.started.pop(task.name, None)
            self.outcome.skipped[task.name] = fail.message
            self._step(f"{task.name}: skipped: {' '.join(fail.message.split())}")
            return
        self._spent(task)
        self.outcome.failed[task.name] = reason = fail.get_msg().strip()
        self._step(f"{task.name}: FAILED\n{reason}")

    def skip_uptodate(self, task: Task) -> None:
        self.outcome.current.append(task.name)
        self._step(f"{task.name}: up to date")

    def close(self) -> None:
        """All is done."""
        self.bar.close()

    def complete_run(self) -> None:
        """One of the runs that make up the whole has ended."""

    def _spent(self, task: Task) -> float:
        """Minutes that the task took."""
        minutes = self.outcome.minutes[task.name] = (time.monotonic() - self.started.pop(task.name)) / 60
        return minutes

    def _step(self, text: str) -> None:
        self.done += 1
        self._say(text)
        self.bar.update()

    def _say(self, text: str) -> None:
        tqdm.write(f"[{min(self.done + text.endswith('...'), self.total)}/{self.total}] {text}", file=sys.stderr)


class StateFile(JsonDB):
    """doit's record of what was run on what, in JSON, saved whole after each task: a killed run forgets nothing."""

    def dump(self) -> None:
        paths.write_whole(Path(self.name), self.codec.encode(self._db))


def state_file(profile: str) -> Path:
    """Where the record of the profile is kept: beside the report's folder."""
    return paths.REPORT.parent / f".doit.db.{profile}"


def state(profile: str) -> Dependency:
    """The record of the profile."""
    return Dependency(StateFile, str(state_file(profile)))


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """While a notebook runs, SIGTERM unwinds the stack like an exit, so that the notebook's process is ended too."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
