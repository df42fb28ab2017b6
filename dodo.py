"""The DAG for doit's own commands: `doit list`, `doit table06_ablation profile=smoke`, `doit --continue jobs=2`.

`parzc run` runs the same tasks with the same record of what is up to date; parzc_core/dag.py explains them.
"""

from collections.abc import Iterator
from typing import Any

from doit import get_var

from parzc_core import dag, running

_PROFILE, _JOBS = get_var("profile", "standard"), int(get_var("jobs", 1))

DOIT_CONFIG = {"dep_file": str(running.state_file(_PROFILE)), "backend": "json", "verbosity": 2}


def task_parzc() -> Iterator[dict[str, Any]]:
    """One task for each notebook, then the report."""
    for task in dag.tasks(_PROFILE, _JOBS, dag.discover()):
        yield {"basename": task.pop("name"), **task}
