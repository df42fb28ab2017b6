"""A copy of the project, as a clone would be, in which commands may write; and a process that runs them there."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm import Warm, warm

from parzc_core.paths import ROOT


@pytest.fixture(scope="session", name="tree")
def tree_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("no git here")
    copied = tmp_path_factory.mktemp("tree")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copied / name)
    return copied


def without_network(tree: Path) -> dict[str, str]:
    """Variables with which the copy's code runs on its own files, in one thread, and nothing is fetched from elsewhere."""
    elsewhere = ("PARZC_HOME", "PARZC_RESULTS", "PARZC_FIGURES", "PARZC_REPORT")
    own = {name: value for name, value in os.environ.items() if name not in elsewhere}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return own | nowhere | threads | {"PYTHONPATH": str(tree)}


@pytest.fixture(scope="session", name="warmed")
def warmed_fixture(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """A process in the copy that runs commands and programs."""
    with warm(tree, without_network(tree), tmp_path_factory.mktemp("warm")) as found:
        yield found
