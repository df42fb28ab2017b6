"""What tests of several files are given, and how property tests draw their examples."""

import os
import signal

import pytest
from hypothesis import settings

from parzc_core import paths

# fast: the same examples every time, so that a test passes or fails for good. slow: other examples in each run, more of them.
settings.register_profile("fast", derandomize=True, database=None, deadline=None)
settings.register_profile("slow", max_examples=1000, database=None, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


# A shell starts what it runs in the background with Ctrl-C ignored, and every process that a test starts would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def rankers_stay():
    """No test writes into the committed rankers, which lie in the checkout whatever PARZC_RESULTS says."""
    folder = paths.ROOT / "results" / "rankers"

    def found():
        return {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.glob("*")}

    before = found()
    yield
    assert found() == before, f"a test of this file wrote into {folder}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project: no notebook, no row, no figure."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for name in ("RESULTS", "FIGURES", "REPORT", "NOTEBOOKS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    return tmp_path
