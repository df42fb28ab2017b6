"""What tests of several files are given."""

import pytest

from parzc_core import paths


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project: no notebook, no row, no figure."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    for name in ("RESULTS", "FIGURES", "REPORT", "NOTEBOOKS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    return tmp_path
