"""One process at a time, also after a kill; and the package is importable where Unix's own modules are not."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from parzc_core.storage.lock import Locked, beside, locked

HOLDER = """
import sys, time
from pathlib import Path
from parzc_core.storage.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_refused_or_waits_and_a_kill_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / ".lock"
    with holder(path) as process:
        with pytest.raises(Locked, match="another process holds"), locked(path, wait=False):
            pass
        inside = threading.Event()

        def wait() -> None:
            with locked(path):
                inside.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not inside.wait(0.2)
        process.kill()
        assert inside.wait(60)
        waiting.join()
    with locked(path, wait=False):  # the file is still there, and locks nothing
        assert path.is_file()


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / ".lock"):
        raise ZeroDivisionError
    with locked(tmp_path / ".lock", wait=False):
        pass


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / ".lock"):
        pass


def test_a_file_and_its_lock_lie_side_by_side(tmp_path: Path) -> None:
    assert beside(tmp_path / "runs.jsonl") == tmp_path / ".runs.jsonl.lock"


@pytest.mark.parametrize(
    "module", ["storage.statistics", "storage.run_store", "storage.workers", "tuning.study", "cli"]
)
def test_imports_without_the_modules_of_unix(module: str) -> None:
    # psutil has a file for each system; that of Linux needs Unix's modules.
    code = f"import sys, psutil; sys.modules.update(fcntl=None, resource=None); import parzc_core.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
