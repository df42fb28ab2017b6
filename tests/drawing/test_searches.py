"""Regret curves show the mean over searches."""

import numpy as np
import pytest

from parzc_core.drawing.searches import FLOOR, GROUPS, LINES, MARKS_APART, OTHERS, grouped, regret_curves
from parzc_core.errors import BadInput


def test_what_is_drawn_is_the_mean() -> None:
    grid = np.array([1.0, 10, 100])
    regrets = np.array([[np.nan, 4, 0], [8, 2, 0]])
    ax = regret_curves({("a", "b"): {"REA": (grid, regrets)}}).axes[0]
    (line,) = ax.lines
    assert np.asarray(line.get_xdata()).tolist() == [10, 100]
    assert np.asarray(line.get_ydata()).tolist() == [3, FLOOR]
    assert ax.get_ylim()[0] == FLOOR
    assert ax.yaxis.get_major_formatter()(FLOOR, None) == "≤ 0.01"  # a regret of zero is no regret of a hundredth
    assert ax.yaxis.get_major_formatter()(0.1, None) == "0.1"
    with pytest.raises(BadInput, match="no panel"):
        regret_curves({})
    with pytest.raises(BadInput, match=r"\[runs, points\]"):
        regret_curves({("a", "b"): {"REA": (grid, regrets[:, :2])}})


def test_every_curve_is_told_apart_along_the_whole_of_it() -> None:
    grid = np.arange(1.0, 101)
    figure = regret_curves({("a", "b"): {name: (grid, 10 / grid[None, :] ** 0.5) for name in LINES}})
    lines = figure.axes[0].lines
    assert len({str(line.get_marker()) + str(line.get_markerfacecolor()) for line in lines}) == len(LINES)
    for styles in GROUPS.values():
        assert len({(str(style["linestyle"]), style.get("linewidth")) for style in styles.values()}) == len(styles)
    every = [line.get_markevery() for line in lines]
    assert len(set(every)) == len(LINES)  # at other places than the marks of others
    assert all(0 < start < MARKS_APART + 0.01 and apart == MARKS_APART for start, apart in every)


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
