"""Regret curves show the mean over searches."""

import numpy as np
import pytest

from parzc_core.drawing.searches import FLOOR, regret_curves
from parzc_core.errors import BadInput


def test_what_is_drawn_is_the_mean() -> None:
    grid = np.array([1.0, 10, 100])
    regrets = np.array([[np.nan, 4, 0], [8, 2, 0]])
    ax = regret_curves({("a", "b"): {"REA": (grid, regrets)}}).axes[0]
    (line,) = ax.lines
    assert np.asarray(line.get_xdata()).tolist() == [10, 100]
    assert np.asarray(line.get_ydata()).tolist() == [3, FLOOR]
    with pytest.raises(BadInput, match="no panel"):
        regret_curves({})
    with pytest.raises(BadInput, match="expected of"):
        regret_curves({("a", "b"): {"Hill climbing": (grid, regrets)}})
    with pytest.raises(BadInput, match=r"\[runs, points\]"):
        regret_curves({("a", "b"): {"REA": (grid, regrets[:, :2])}})
