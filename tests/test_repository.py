"""What surrounds the code: citation, changelog, set-up, continuous integration, container and hooks say what is there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from parzc_core import __version__
from parzc_core.paths import ROOT

TITLE = "ParZC: Parametric Zero-Cost Proxies for Efficient NAS"
AUTHORS = ("Peijie Dong", "Lujun Li", "Xinglin Pan", "Zimian Wei", "Xiang Liu", "Qiang Wang", "Xiaowen Chu")
# What the Citation File Format 1.2.0 asks of the parts that are used here.
PERSON = {"type": "object", "required": ["family-names", "given-names"], "additionalProperties": {"type": "string"}}
ENTITY = {"type": "object", "required": ["name"], "additionalProperties": {"type": "string"}}
AUTHORED = {"type": "array", "minItems": 1, "items": {"anyOf": [PERSON, ENTITY]}}
REFERENCE = {
    "type": "object",
    "required": ["authors", "title", "type"],
    "properties": {"authors": AUTHORED, "title": {"type": "string"}},
}
CFF = {
    "type": "object",
    "required": ["cff-version", "message", "title", "authors"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": {"type": "string"},
        "type": {"enum": ["software", "dataset"]},
        "title": {"type": "string"},
        "abstract": {"type": "string"},
        "authors": AUTHORED,
        "version": {"type": "string"},
        "license": {"type": "string"},
        "keywords": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "references": {"type": "array", "items": REFERENCE},
    },
    "additionalProperties": False,
}


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def makes(command: str) -> set[str]:
    """Targets of a shell line that calls make; variables left out."""
    return {word for word in command.removeprefix("make ").split() if "=" not in word} if command.startswith("make ") else set()


def test_the_citation_is_valid_and_names_this_version_and_the_paper() -> None:
    citation = loaded("CITATION.cff")
    jsonschema.validate(citation, CFF)
    assert citation["version"] == __version__
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert citation["authors"] == [{"name": "the parzc authors"}]
    (paper,) = citation["references"]
    assert paper["title"] == TITLE
    assert tuple(f"{one['given-names']} {one['family-names']}" for one in paper["authors"]) == AUTHORS


def test_the_changelog_has_this_version_first_and_known_kinds_of_change() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert versions[0] == __version__
    assert len(versions) == len(re.findall(r"^## ", text, re.MULTILINE))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


def test_continuous_integration_tests_every_python_and_makes_everything_once() -> None:
    workflow = loaded(".github/workflows/ci.yml")
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in workflow["jobs"].items()}
    assert runs == {"test": ["make test PYTHON=python"], "reproduce": ["make reproduce PROFILE=smoke PYTHON=python"]}
    assert all(makes(line) <= targets() for lines in runs.values() for line in lines)
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert {"push", "pull_request"} == set(workflow[True])  # YAML 1.1 reads the key `on` as a truth value
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_the_container_is_set_up_by_make() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert makes(container["postCreateCommand"]) <= targets()
    assert container["image"].endswith("python:3.11")
    assert container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"] == ".venv/bin/python"


class TestHooks:
    @pytest.fixture
    def hooks(self) -> dict[str, dict[str, Any]]:
        (repository,) = loaded(".pre-commit-config.yaml")["repos"]
        assert repository["repo"] == "local"
        return {hook["id"]: hook for hook in repository["hooks"]}

    def test_ruff_is_that_of_the_lock(self, hooks: dict[str, dict[str, Any]]) -> None:
        pins = (ROOT / "requirements.lock").read_text().splitlines()
        assert set(hooks) == {"ruff", "nbstripout"}
        assert set(hooks["ruff"]["additional_dependencies"]) <= set(pins)

    def test_outputs_are_stripped_of_notebooks_that_are_read_but_not_of_executed_ones(
        self, hooks: dict[str, dict[str, Any]]
    ) -> None:
        hook = hooks["nbstripout"]
        assert re.search(hook["files"], "notebooks/explore.ipynb")
        assert not re.search(hook["files"], "results/full/notebooks/explore.ipynb")
        assert "--keep-id" in hook["entry"]  # ids are names here, see test_project.py
        assert re.fullmatch(r"nbstripout==[\d.]+", hook["additional_dependencies"][0])


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The Makefile and the lock, in a folder of their own."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """make as a user calls it: nothing of a conda environment or of a make around the tests, but the given variables."""
    around = ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTHON", "CONTAINER")
    own = {name: value for name, value in os.environ.items() if name not in around}
    return subprocess.run(["make", *words], cwd=folder, env=own | {"LC_ALL": "C"} | variables, capture_output=True, text=True)


def interpreter(folder: Path, version: tuple[int, int], name: str = "python") -> Path:
    """What answers as that Python does when it is asked for its version, and notes what else it is told to do."""
    file = folder / "bin" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    log = folder.parent / "told.txt"
    file.write_text(
        f"""#!{sys.executable}
import sys
if sys.argv[1] == "-c":
    sys.version_info = ({version[0]}, {version[1]}, 0)
    exec(sys.argv[2])
elif sys.argv[1:3] == ["-m", "venv"]:
    import pathlib, shutil
    made = pathlib.Path(sys.argv[3]) / "bin"
    made.mkdir(parents=True)
    shutil.copy(__file__, made / "python")
print(__file__, *sys.argv[1:], file=open({str(log)!r}, "a"))
"""
    )
    file.chmod(0o755)
    return file


class TestMake:
    @pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
    def test_sets_up_an_environment_of_its_own(self, bare: Path, version: tuple[int, int]) -> None:
        python = interpreter(bare / "system", version)
        done = make(bare, "setup", f"PYTHON={python}")
        assert done.returncode == 0, done.stderr
        told = (bare / "told.txt").read_text()
        assert f"{python} -m venv .venv" in told
        assert "-m pip --disable-pip-version-check install -r requirements.lock" in told
        assert "--quiet" not in told
        assert (bare / ".venv" / ".from-lock").is_file()
        assert make(bare, "setup", f"PYTHON={python}").stdout == "make: Nothing to be done for 'setup'.\n"

    @pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 14)])
    def test_names_the_python_that_it_needs(self, bare: Path, version: tuple[int, int]) -> None:
        python = interpreter(bare / "system", version)
        done = make(bare, "setup", f"PYTHON={python}")
        assert done.returncode != 0
        assert f"Python 3.11 to 3.13 is needed (got: {python})" in done.stderr
        assert not (bare / ".venv").exists()

    def test_installs_into_an_active_conda_environment(self, bare: Path) -> None:
        system, conda = interpreter(bare / "system", (3, 12)), interpreter(bare / "conda", (3, 12))
        active = {"CONDA_PREFIX": str(bare / "conda"), "CONDA_DEFAULT_ENV": "mine"}
        done = make(bare, "setup", f"PYTHON={system}", **active)
        assert done.returncode == 0, done.stderr
        told = (bare / "told.txt").read_text()
        assert f"{conda} -m pip --disable-pip-version-check install -r requirements.lock" in told
        assert "venv" not in told
        assert not (bare / ".venv").exists()
        assert f"{bare}/conda/bin/jupyter lab" in make(bare, "lab", "--dry-run", **active).stdout

    def test_refuses_a_conda_environment_of_another_python(self, bare: Path) -> None:
        interpreter(bare / "conda", (3, 9))
        done = make(bare, "setup", CONDA_PREFIX=str(bare / "conda"), CONDA_DEFAULT_ENV="mine")
        assert done.returncode != 0
        assert "has no Python 3.11 to 3.13" in done.stderr

    def test_leaves_conda_s_own_environment_alone(self, bare: Path) -> None:
        python = interpreter(bare / "system", (3, 11))
        active = {"CONDA_PREFIX": str(bare / "conda"), "CONDA_DEFAULT_ENV": "base"}
        assert make(bare, "setup", f"PYTHON={python}", **active).returncode == 0
        assert (bare / ".venv" / ".from-lock").is_file()

    @pytest.mark.parametrize("container", ["", "/.dockerenv"])
    def test_lab_can_be_reached_in_a_container(self, bare: Path, container: str) -> None:
        said = make(bare, "lab", "--dry-run", "--old-file=setup", f"CONTAINER={container}").stdout
        (line,) = [line for line in said.splitlines() if "jupyter lab" in line]
        assert ("--ip=0.0.0.0 --no-browser" in line) == bool(container)
        user = subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip()
        assert ("--allow-root" in line) == (user == "0")
