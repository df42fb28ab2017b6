"""The DAG for doit's own commands: `doit list`, `doit table06_ablation profile=smoke`, `doit --continue jobs=2`.

`parzc run` runs the same tasks with the same record of what is up to date; parzc_core/pipeline/tasks.py explains them.
"""

from collections.abc import Iterator
from typing import Any

from doit import get_var

from parzc_core import artifact
from parzc_core.pipeline import run, tasks

_PROFILE, _JOBS = get_var("profile", "standard"), int(get_var("jobs", 1))

DOIT_CONFIG = {"dep_file": str(run.state_file(_PROFILE)), "backend": "json", "verbosity": 2}


def task_parzc() -> Iterator[dict[str, Any]]:
    """One task for each notebook, then the report."""
    for task in tasks.tasks(_PROFILE, _JOBS, artifact.discover()):
        yield {"basename": task.pop("name"), **task}
