"""Regret curves show the mean over searches."""

import numpy as np
import pytest

from parzc_core.drawing.searches import FLOOR, OTHERS, grouped, regret_curves
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
    with pytest.raises(BadInput, match=r"\[runs, points\]"):
        regret_curves({("a", "b"): {"REA": (grid, regrets[:, :2])}})


def test_a_method_without_a_look_is_drawn_too_in_a_group_of_its_own() -> None:
    curve = np.array([1.0, 10]), np.array([[4.0, 1.0]])
    made_up = [f"method {i}" for i in range(12)]
    figure = regret_curves({("a", "b"): {name: curve for name in (*made_up, "REA", "NPENAS", "ParZC")}})
    titles = [legend.get_title().get_text() for legend in figure.legends]
    assert titles == ["without a model of accuracy", "with a model of accuracy", "ParZC", OTHERS]
    assert [text.get_text() for text in figure.legends[-1].get_texts()] == made_up
    looks = [(style["color"], style["linestyle"], style["marker"]) for style in grouped(made_up)[OTHERS].values()]
    assert len(set(looks)) == 12
    assert list(grouped(["REA", "mine"])) == ["without a model of accuracy", OTHERS]
