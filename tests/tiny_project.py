"""A tiny project of notebooks, for the tests of what runs them."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_notebooks import write_notebook

from parzc_core import artifact, paths
from parzc_core.pipeline import run as running
from parzc_core.pipeline import tasks


def meta(order: int = 1, *makes: str, title: str = "A title") -> dict[str, object]:
    return {"title": title, "makes": list(makes), "order": order}


@dataclass
class Project:
    root: Path

    def notebook(
        self, name: str, *cells: str, order: int = 1, makes: tuple[str, ...] = (), needs: object = None,
        optional: object = None,
    ) -> Path:  # fmt: skip
        more = {"needs": needs, "optional": optional}
        about = meta(order, *makes) | {key: value for key, value in more.items() if value is not None}
        return write_notebook(self.root / "notebooks" / f"{name}.ipynb", *cells, parzc=about)

    def run(self, *names: str, force: bool = False) -> running.Outcome:
        return running.run("smoke", 1, artifact.select(names, artifact.discover()), force)

    def program(self, jobs: int, together: int) -> str:
        """Python that runs all of it in another process."""
        names = {name.upper(): str(self.root / name) for name in ("notebooks", "results", "figures", "report")}
        names["STATISTICS"] = str(self.root / "results" / "statistics")
        return (
            "from pathlib import Path\nfrom parzc_core import artifact, paths\nfrom parzc_core.pipeline import run\n"
            f"for name, folder in {names!r}.items(): setattr(paths, name, Path(folder))\n"
            f"run.run('smoke', {jobs}, artifact.discover(), together={together})"
        )

    def plan(self) -> dict[str, str | None]:
        return running.plan("smoke", artifact.discover())

    def status(self, name: str) -> dict[str, object]:
        return json.loads((self.root / "report" / "notebooks" / "smoke" / f"{name}.status.json").read_text())


@pytest.fixture(name="project")
def project_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("notebooks", "results", "figures", "report"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(paths, name.upper(), tmp_path / name)
    monkeypatch.setattr(paths, "STATISTICS", tmp_path / "results" / "statistics")
    monkeypatch.setenv("PARZC_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PARZC_DATA", str(tmp_path / "labels"))
    monkeypatch.setattr(tasks, "build_report", lambda profile: {"path": f"report of {profile}"})
    return Project(tmp_path)


@pytest.fixture(name="quick")
def quick_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a kernel, a process that writes the notebook's parameters and its outputs; but "bad" really runs."""
    script = (
        "import sys; from pathlib import Path; out = Path(sys.argv[1]); out.parent.mkdir(parents=True, exist_ok=True)\n"
    )
    script += "[path.write_text(' '.join(sys.argv[2:])) for path in (out, out.with_suffix('.html'))]"
    real = tasks.command

    def stand_in(experiment: artifact.Experiment, profile: str, jobs: int) -> list[str]:
        if experiment.name == "bad":
            return real(experiment, profile, jobs)
        return [sys.executable, "-I", "-S", "-c", script, *real(experiment, profile, jobs)[4:]]

    monkeypatch.setattr(tasks, "command", stand_in)
