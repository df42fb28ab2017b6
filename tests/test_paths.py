"""Files appear whole, and with the permissions that the user wants of new files."""

import os

import pytest

from parzc_core import paths


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
