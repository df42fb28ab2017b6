"""Files appear whole, and with the permissions that the user wants of new files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parzc_core import paths
from parzc_core.errors import BadInput


@pytest.mark.skipif(os.name != "posix", reason="permissions")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_new_files_respect_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        file = paths.write_whole(tmp_path / "rows.csv", "a,b\n")
        assert os.umask(mask) == mask  # looking changed nothing
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == mode
    assert file.read_text() == "a,b\n"


def test_what_cannot_be_written_is_said_before(tmp_path):
    assert paths.check_writable(tmp_path / "new" / "file") == tmp_path / "new" / "file"
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        paths.check_writable(tmp_path / "file" / "below" / "x")
    with pytest.raises(OSError, match="too long"):
        paths.check_writable(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("there", [True, False])
def test_through_a_link_its_file_is_written_and_the_link_stays(tmp_path: Path, there: bool) -> None:
    link, target = tmp_path / "link.csv", tmp_path / "elsewhere" / "rows.csv"
    link.symlink_to(target)
    if there:
        target.parent.mkdir()
        target.write_text("old")
    assert paths.check_writable(link) == link
    assert paths.write_whole(link, "new") == link
    assert link.is_symlink()
    assert (target.read_text(), target.is_symlink()) == ("new", False)
    assert [file.name for file in target.parent.iterdir()] == ["rows.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        for write in (paths.check_writable, lambda path: paths.write_whole(path, "a")):
            with pytest.raises(BadInput, match="a device or a pipe; expected a regular file"):
                write(path)
    assert pipe.is_fifo()


@pytest.mark.parametrize("how", ["itself", "link", "hard link", "another spelling"])
def test_an_output_that_is_an_input_is_refused(tmp_path: Path, how: str) -> None:
    file, out = tmp_path / "labels.csv", tmp_path / "out.csv"
    file.write_text("name,accuracy\n")
    if how == "link":
        out.symlink_to(file)
    elif how == "hard link":
        os.link(file, out)
    else:
        out = file if how == "itself" else tmp_path / "." / "x" / ".." / "labels.csv"
    with pytest.raises(BadInput, match=r"which is the input .*labels\.csv; expected a file of its own"):
        paths.check_writable(out, None, file)
    assert paths.check_writable(tmp_path / "free.csv", None, file, tmp_path / "not there")


def test_a_tilde_in_an_environment_variable_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labels").mkdir()
    for name in ("DATA", "CACHE", "RESULTS", "FIGURES", "REPORT"):
        monkeypatch.setenv(f"PARZC_{name}", "~/labels")
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "from parzc_core.paths import *; print(RESULTS, FIGURES, REPORT, data_folder(), cache_folder())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(tmp_path / "labels")] * 5


def test_a_user_without_a_home_is_asked_for_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARZC_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does where there is none
    with pytest.raises(BadInput, match=r"no home folder is known.*set PARZC_CACHE"):
        paths.cache_folder()


def test_files_are_read_and_written_as_utf_8_whatever_the_locale() -> None:
    unsaid = re.compile(r"\.(read_text\(\)|write_text\((?!.*encoding)|open\(\)|open\(\"[rwa]\"\))")
    system = ("/proc/", "status.", "info.")  # what Linux says in plain letters
    for file in paths.PACKAGE.rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not unsaid.search(line) or any(name in line for name in system), f"{file}: {line}"
