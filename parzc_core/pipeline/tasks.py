"""The DAG of the artifact: one doit task for each experiment, then the report. Only what changed is run again.

    for task in tasks("smoke", jobs=2, experiments=artifact.discover()):
        print(task["name"], task["targets"])

An experiment is a notebook; `parzc_core.artifact` has its contract. A task runs it in its own process and records how it went
in its status file. It is run again if the notebook, a module that it imports, a statistics manifest, the labels at hand or the
stored runs that it reads changed, or if a result is missing.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from doit.exceptions import TaskFailed
from doit.tools import config_changed

from parzc_core import paths
from parzc_core.artifact import Experiment
from parzc_core.errors import BadInput, LabelsMissing, ParzcError, UnknownName
from parzc_core.pipeline.dependencies import notebook_dependencies, stores_read
from parzc_core.pipeline.notebook import FOLLOW

REPORT_TASK = "report"
Failed = TypeVar("Failed", TaskFailed, TaskFailed | None)


class TaskSkipped(TaskFailed):  # so that doit takes it for not done, and tries again the next time
    """A notebook that was not run since labels it needs are not on this machine; the message is the reason."""


def tasks(profile: str, jobs: int, experiments: Sequence[Experiment], report: bool = True) -> list[dict[str, Any]]:
    """doit's task dictionaries: one for each experiment, and the report last.

    The report has no doit dependency on the notebooks: it must be built, and say so, when one of them failed.
    """
    manifests = sorted(paths.STATISTICS.rglob("manifest.json"))
    condition = {"profile": profile, "labels": _labels()}
    reached = {item: notebook_dependencies(item.path) for item in experiments}
    made: list[dict[str, Any]] = [
        {
            "name": item.name,
            "doc": item.title,
            "actions": [(execute, [item, profile, jobs])],
            "file_dep": [str(file) for file in (*reached[item], *manifests)],
            "targets": [
                str(x)
                for x in (item.output(profile), item.output(profile).with_suffix(".html"), *item.products(profile))
            ],
            "uptodate": [config_changed(condition), stored_as_before, (stores_as_left, [item, profile, reached[item]])],
            "io": {"capture": False},
            "verbosity": 2,
        }
        for item in experiments
    ]
    if report:
        made.append(
            {
                "name": REPORT_TASK,
                "doc": "The report, from all results of the profile",
                "actions": [(build_report, [profile])],
            }
        )
    return made


def stored_as_before(task: Any, values: Mapping[str, Any]) -> bool:
    """For doit: whether the task's last run was with --stored just as this one; what it left out has to be run later."""
    from parzc_core.storage.workers import stored_alone

    return bool(values.get("stored", False)) == stored_alone()


def stores_as_left(
    task: Any, values: Mapping[str, Any], experiment: Experiment, profile: str, reached: Sequence[Path]
) -> bool:
    """For doit: whether the stored runs that the notebook reads are what they were when it ended.

    It adds runs itself, so that they cannot be a file_dep, whose state before the run counts.
    """
    return values.get("stores", {}) == stores(experiment, profile, reached)


def _labels() -> list[str]:
    """Names of the label files at hand: with others, other results."""
    from parzc_core.files import fetch, registry

    return sorted(file.name for file in registry.FILES if fetch.found(file) is not None)


def build_report(profile: str) -> dict[str, str]:
    """Build the report of all results of the profile; its path is the task's value `path`."""
    from parzc_core.report import page

    return {"path": str(page.build(profile))}


def command(experiment: Experiment, profile: str, jobs: int) -> list[str]:
    """The process that runs one notebook; it gets `jobs` only if it has such a parameter."""
    values = {"profile": profile, "jobs": jobs}
    words = [f"{key}={json.dumps(value)}" for key, value in values.items() if key in experiment.parameters]
    return [sys.executable, "-m", "parzc_core.pipeline.notebook", str(experiment.path), str(experiment.output(profile)), *words]


def unmet(experiment: Experiment) -> str | None:
    """Why the notebook cannot be run on this machine: what `labels.judged` says of the labels it needs; None if it can.

    Raises BadInput where a need names a space or a data set that has no labels; CorruptDownload.
    """
    if not experiment.needs:
        return None
    from parzc_core import labels

    reasons = dict[str, None]()  # a set in order
    for need in experiment.needs:
        space, dataset = need.split("/")
        try:
            labels.judged(space, dataset)
        except LabelsMissing as missing:
            reasons[str(missing)] = None
        except UnknownName as error:
            raise BadInput(f"{experiment.path.name} needs labels {need!r}: {error}") from error
    return "; ".join(reasons) or None


def stores(experiment: Experiment, profile: str, reached: Sequence[Path] | None = None) -> dict[str, str]:
    """{file: sha256} of the stored runs that a notebook reads, as far as they are there. Megabytes take milliseconds."""
    return {_short(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in stores_read(experiment, profile, reached)}


def _short(file: Path) -> str:
    return file.relative_to(paths.ROOT).as_posix() if file.is_relative_to(paths.ROOT) else str(file)


def execute(experiment: Experiment, profile: str, jobs: int) -> TaskFailed | dict[str, Any]:
    """Run one notebook in its own process, and record how it went in its status file; what doit keeps for the next time.

    Where labels that it needs are missing nothing is run, and what an earlier run made stays as it is: TaskSkipped.
    """
    from parzc_core.storage.workers import stored_alone

    started = time.monotonic()
    try:
        reason = unmet(experiment)
    except ParzcError as wrong:
        return _record(experiment, profile, TaskFailed(str(wrong)), 0.0)
    if reason is not None:
        return _record(experiment, profile, TaskSkipped(reason), None)
    process = subprocess.Popen(
        command(experiment, profile, jobs),
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, FOLLOW: str(os.getpid())},
    )
    try:
        said = process.communicate()[0].strip()
    finally:
        if process.poll() is None:  # interrupted: the notebook ends with us, and its kernel with it
            process.terminate()
            process.wait()
    missing = [product.name for product in experiment.products(profile) if not product.is_file()]
    failed = None
    if process.returncode:
        failed = TaskFailed(said or f"the notebook's process ended with code {process.returncode}")
    elif missing:
        failed = TaskFailed(f"{experiment.path.name} declares results that it did not write: {', '.join(missing)}")
    _record(experiment, profile, failed, round((time.monotonic() - started) / 60, 3))
    return failed or {"stored": stored_alone(), "stores": stores(experiment, profile)}


def _record(
    experiment: Experiment, profile: str, failed: Failed, minutes: float | None
) -> Failed:
    """Write the status file; returns `failed`. minutes: None where nothing was run."""
    status = {
        "name": experiment.name,
        "title": experiment.title,
        "makes": experiment.makes,
        "order": experiment.order,
        "profile": profile,
        "status": "ok" if failed is None else "skipped" if isinstance(failed, TaskSkipped) else "failed",
        "minutes": minutes,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "error": None if failed is None else failed.message,
    }
    paths.write_whole(experiment.status_file(profile), json.dumps(status, indent=1))
    return failed
