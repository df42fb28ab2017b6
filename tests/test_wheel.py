"""The package is whole: built as a wheel, installed, and used in an empty folder, with and without a checkout at hand."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from parzc_core.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that nothing is left behind in the checkout, and no old build gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    shutil.copytree(ROOT / "parzc_core", sources / "parzc_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    options = [
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "--disable-pip-version-check",
        "--wheel-dir",
        str(folder),
    ]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(sources)], check=True)
    (built,) = folder.glob("parzc-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The interpreter of an environment with the wheel, which finds the packages of this one after its own."""
    environment = wheel.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    found = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    ask = [str(found), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return found


class Used:
    """The installed wheel, run in a folder that is empty at first."""

    def __init__(self, python: Path, folder: Path):
        self.python, self.folder = python, folder

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        hidden = ("PYTHONPATH", "PARZC_HOME", "PARZC_RESULTS", "PARZC_FIGURES", "PARZC_REPORT")
        environment = {name: value for name, value in os.environ.items() if name not in hidden} | variables
        command = [str(self.python), *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def code(self, text: str, **variables: str) -> str:
        """What the program prints."""
        done = self.run("-c", text, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def parzc(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "parzc_core", *words, **variables)


@pytest.fixture
def used(python: Path, tmp_path: Path) -> Used:
    return Used(python, tmp_path)


def test_a_wheel_has_all_files_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        there = {name for name in file.namelist() if name.startswith("parzc_core/")}
    ignored = ("__pycache__", ".pyc")
    files = (path for path in (ROOT / "parzc_core").rglob("*") if path.is_file())
    wanted = {path.relative_to(ROOT).as_posix() for path in files if not any(word in str(path) for word in ignored)}
    assert there == wanted


FACADE = """
import sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
import parzc_core
assert Path(parzc_core.__file__).is_relative_to(sys.prefix), parzc_core.__file__
from parzc_core.collector import NODE_PROXIES, collect_statistics
from parzc_core.encoding import encode
from parzc_core.losses import diff_kendall
from parzc_core.mabn import MABN, MABNConfig
from parzc_core.scores import network_proxies
from parzc_core.training import TrainingConfig, fit

torch.manual_seed(0)
images, labels = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
network = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
statistics = [collect_statistics(network(), images, labels) for _ in range(3)]
assert statistics[0].proxies == NODE_PROXIES
inputs = encode(statistics, "paper")
assert inputs.shape[0] == 3
assert MABN(MABNConfig(inputs.shape[1]))(torch.from_numpy(inputs)).shape == (3,)
ranker = fit(inputs, np.array([90.0, 91.0, 92.0]), TrainingConfig(epochs=1))
assert ranker.predict(inputs).shape == (3,)
assert network_proxies(network(), images, labels, ["params"])["params"] == 692
target = torch.tensor([1.0, 2.0, 3.0])
assert diff_kendall(target, target, alpha=100.0) > 0.99
print("works")
"""


def test_the_facade_works_in_an_empty_folder(used: Used) -> None:
    assert used.code(FACADE) == "works\n"
    assert list(used.folder.iterdir()) == []


def test_paper_and_templates_are_read(used: Used) -> None:
    code = "from parzc_core import paper; from parzc_core.report import page; print(len(paper.table_names()))"
    assert used.code(code) == "11\n"


LOAD = "from parzc_core.collecting.labelled import load; print(len(load('nb201', cells=100)))"


def test_load_says_where_statistics_come_from_and_reads_them_from_a_checkout(used: Used) -> None:
    alone = used.run("-c", LOAD)
    assert alone.returncode == 1
    error = alone.stderr.splitlines()[-1]
    assert "BadInput: the committed statistics of nb201 cifar10 lie in a checkout" in error
    assert "git clone" in error
    assert "PARZC_HOME" in error
    assert used.code(LOAD, PARZC_HOME=str(ROOT)) == "100\n"
    assert list(used.folder.iterdir()) == []


@pytest.mark.parametrize("words", [("run",), ("run", "table06", "--dry-run"), ("status",), ("report",)], ids=" ".join)
def test_commands_say_what_they_need(used: Used, words: tuple[str, ...]) -> None:
    done = used.parzc(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "lie in a checkout of the project, and the package is installed without one" in done.stderr
    assert "git clone" in done.stderr
    assert "PARZC_HOME" in done.stderr
    assert list(used.folder.iterdir()) == []


def test_a_folder_that_is_no_checkout_is_named(used: Used) -> None:
    done = used.parzc("status", PARZC_HOME=str(used.folder))
    assert done.returncode == 2
    assert f"PARZC_HOME is set to {used.folder}, which is no checkout" in done.stderr


def test_commands_find_the_notebooks_of_a_checkout(used: Used) -> None:
    done = used.parzc("run", "paper", "--dry-run", "--profile", "smoke", PARZC_HOME=os.path.relpath(ROOT, used.folder))
    assert (done.returncode, done.stdout.split()[0]) == (0, "paper_audit"), done.stderr


def test_what_needs_no_checkout_works_without_one(used: Used) -> None:
    for words in (("--version",), ("data", "status")):
        done = used.parzc(*words)
        assert done.returncode == 0, done.stderr
