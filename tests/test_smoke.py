"""Every notebook, end to end, in the smallest profile, each alone in its own process; the project is left as it was.

The first notebook runs with the quick tests, the others with the slow ones.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parzc_core import artifact
from parzc_core.paths import ROOT
from parzc_core.pipeline import tasks
from parzc_core.storage import rows

EXPERIMENTS = artifact.discover()
QUICK = "00_start_here"


def state_of_the_project() -> str:
    """What git sees changed, or "" where there is no git."""
    command = ["git", "status", "--porcelain", "--", "results", "figures", "notebooks"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(one, id=one.name, marks=() if one.name == QUICK else pytest.mark.slow) for one in EXPERIMENTS],
)
def test_notebook_runs_and_makes_what_it_declares(
    experiment: artifact.Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name.lower() for name in ("RESULTS", "FIGURES", "REPORT")}
    for name, folder in folders.items():
        monkeypatch.setenv(f"PARZC_{name}", str(folder))  # for the notebook's process
        monkeypatch.setattr(f"parzc_core.paths.{name}", folder)  # for what this process expects of it
    if (reason := tasks.unmet(experiment)) is not None:
        pytest.skip(reason)
    command = tasks.command(experiment, "smoke", jobs=1)
    before = state_of_the_project()
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert state_of_the_project() == before

    assert [path for path in experiment.products("smoke") if not path.is_file()] == []
    for table in (made for made in experiment.makes if made.startswith("table")):
        assert len(rows.read_rows(table, "smoke", folder=folders["RESULTS"])) > 0
    output = experiment.output("smoke")
    cells = [cell for cell in json.loads(output.read_text())["cells"] if cell["cell_type"] == "code"]
    assert any(cell["outputs"] for cell in cells)
    assert "<script" not in output.with_suffix(".html").read_text()


def test_the_command_is_this_python() -> None:
    """A notebook is run by the interpreter that runs the tests, not by one that happens to be first on the path."""
    assert all(tasks.command(item, "smoke", 1)[0] == sys.executable for item in EXPERIMENTS)
