"""Statistics that a test collected, judged by an accuracy that it made up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from parzc_core import labels, paths
from parzc_core.collecting.labelled import _labelled


@contextmanager
def judged_by(truth: pd.Series, statistics: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, `load` reads these statistics; rankers learn from `truth` (percent, by architecture) and are judged on it."""
    monkeypatch.setattr(paths, "STATISTICS", statistics)
    monkeypatch.setattr(labels, "judged", lambda *_: (truth, "test", {"note": "judged on made-up accuracy"}))
    monkeypatch.setattr(labels, "learned", lambda *_: (truth, "test", {"note": "learns from made-up accuracy"}))
    _labelled.cache_clear()
    yield
    _labelled.cache_clear()
