"""Regret curves: how far the best so far of every search method is from the optimum, against what it cost."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from parzc_core.drawing.style import BLUE, GREEN, GREY, VERMILION, expect, new_figure

Curves = dict[str, tuple[np.ndarray, np.ndarray]]  # method -> (grid float64[points], regrets float64[runs, points])

# Dashes, in widths of the line: of curves that run together, all differ.
LONG, SHORT, DOTS = (0, (6, 2)), (0, (2.5, 1.5)), (0, (1, 1.3))
DASH_DOT, DASH_DOT_DOT = (0, (7, 1.8, 1, 1.8)), (0, (7, 1.8, 1, 1.8, 1, 1.8))
# Group -> method -> line and marker. A group has one colour, so that curves which coincide are read as a bundle; a method is told
# apart by dashes and marker, in print as well: no two have the same marker. Those without a model have hollow ones.
GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "without a model of accuracy": {
        "Random search": {"color": GREY, "linestyle": "-", "marker": "o", "markerfacecolor": "white"},
        "REA": {"color": GREY, "linestyle": LONG, "marker": "s", "markerfacecolor": "white"},
        "REINFORCE": {"color": GREY, "linestyle": DOTS, "marker": "^", "markerfacecolor": "white"},
    },
    "with a model of accuracy": {
        "NASBOT": {"color": GREEN, "linestyle": "-", "marker": "v"},
        "BOHB": {"color": GREEN, "linestyle": LONG, "marker": "D"},
        "BOHB (two fidelities)": {"color": GREEN, "linestyle": DOTS, "marker": "d"},
        "NPENAS": {"color": GREEN, "linestyle": DASH_DOT, "marker": "P"},
        "RoBoT": {"color": GREEN, "linestyle": DASH_DOT_DOT, "marker": "<"},
        "RoBoT (logarithms)": {"color": GREEN, "linestyle": SHORT, "marker": ">"},
    },
    "ParZC": {
        "ParZC": {"color": VERMILION, "linestyle": DASH_DOT, "marker": "X"},
        "ParZC (aligned)": {"color": VERMILION, "linestyle": LONG, "marker": "*", "markersize": 9},
        "ParZC+": {"color": VERMILION, "linestyle": "-", "marker": "o", "linewidth": 3.2, "markersize": 8},
        "ParZC+ (ordered start)": {"color": VERMILION, "linestyle": SHORT, "marker": "s", "linewidth": 3.2, "markersize": 7},
        "ParZC with its CPU-seconds": {"color": VERMILION, "linestyle": DOTS, "marker": "X", "markerfacecolor": "white"},
    },
}
LINES = {name: style for group in GROUPS.values() for name, style in group.items()}
OTHERS = "other methods"  # the group of those that were registered without a look of their own
PLACES: tuple[Literal["outside lower left", "outside lower center", "outside lower right", "outside upper right"], ...] = (
    *("outside lower left", "outside lower center", "outside lower right"),
    "outside upper right",
)  # of the groups' legends
FLOOR = 0.01  # points: a mean regret of so much or less, zero included, is drawn here, and the tick says so
MARKS_APART = 0.13  # of the panel's diagonal, along a curve
LINE = {"linewidth": 1.5, "markersize": 6}  # where a method's look has nothing else
RESAMPLES = 200


def grouped(names: Iterable[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """GROUPS cut down to these methods; those without a look come last, as OTHERS, told apart by line and marker."""
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in LINES]
    looks = itertools.product("ovs^D", ("-", "--", ":", "-."))
    others = {name: {"color": BLUE, "linestyle": line, "marker": marker}
              for name, (marker, line) in zip(unknown, itertools.cycle(looks), strict=False)}  # fmt: skip
    found = {group: {name: style for name, style in styles.items() if name in wanted} for group, styles in GROUPS.items()}
    return {group: styles for group, styles in (found | {OTHERS: others}).items() if styles}


def regret_curves(
    panels: Mapping[tuple[str, str], Curves],
    cost: str = "simulated seconds of training",
    seen: str = "validation",
) -> Figure:
    """Mean regret of the best so far against simulated cost, logarithmic both; band: 95 % bootstrap interval of the mean.

    panels: (row, column) -> method -> (grid, regrets): seconds float64[points] and points of accuracy
    float64[runs, points], NaN where a run has found nothing yet; the mean is drawn from where every run has. cost: what the
    grid counts. seen: the accuracy that searches see. Raises BadInput.
    """
    expect(panels, "regret_curves got no panel; nothing to draw")
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    shown = grouped(names)
    looks = {name: style for styles in shown.values() for name, style in styles.items()}
    rows, columns = (list(dict.fromkeys(key[i] for key in panels)) for i in (0, 1))
    figure = new_figure(max(9.0, 0.8 + 4.2 * len(columns)), 1.3 + 3.3 * len(rows))  # three legends side by side
    axes = figure.subplots(len(rows), len(columns), squeeze=False, sharey=True)
    handles: dict[str, Any] = {}
    for (row, column), panel in panels.items():
        ax = axes[rows.index(row), columns.index(column)]
        ax.set(xscale="log", yscale="log", title=f"{column}\n{row}", xlabel=cost)
        for name, (grid, regrets) in panel.items():
            look = looks[name] | {"markevery": along(list(looks).index(name), len(looks))}
            handles.setdefault(name, _curve(ax, name, look, grid, regrets))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value > FLOOR else f"≤ {FLOOR:g}"))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_formatter(NullFormatter())
        ax.grid(visible=True, which="minor", linewidth=0.3)
    for ax in axes[:, 0]:
        ax.set_ylabel(f"{seen} regret (points)")
    if axes[0, 0].get_ylim()[0] < FLOOR:  # nothing is drawn below; the panels share this axis
        axes[0, 0].set_ylim(bottom=FLOOR)
    for ax in axes.flat:
        if not ax.has_data():
            ax.set_axis_off()
    columns_of = 2 if len(columns) > 1 else 1
    for (group, own), place in zip(shown.items(), PLACES, strict=False):
        figure.legend([handles[name] for name in own], list(own), loc=place, ncols=columns_of, title=group, handlelength=3.2)
    return figure


def along(place: int, count: int) -> tuple[float, float]:
    """matplotlib's `markevery` of one of several curves: marks along all of it, at other places than on the other curves."""
    return 0.01 + MARKS_APART * place / max(count, 1), MARKS_APART


def _curve(ax: Axes, name: str, look: Mapping[str, Any], grid: np.ndarray, regrets: np.ndarray) -> Any:
    expect(
        regrets.ndim == 2 and regrets.shape[1:] == grid.shape,
        f"regret_curves, {name}: got grid {grid.shape} and regrets {regrets.shape}; expected [points] and [runs, points]",
    )
    there = np.isfinite(regrets).all(axis=0)
    grid, regrets = grid[there], regrets[:, there]
    mean = regrets.mean(axis=0)
    (line,) = ax.plot(grid, np.maximum(mean, FLOOR), **LINE | dict(look), clip_on=False, zorder=2.6)  # over the axis, at FLOOR
    if len(regrets) > 1:
        drawn = np.random.default_rng(0).integers(len(regrets), size=(RESAMPLES, len(regrets)))
        low, high = np.quantile([regrets[rows].mean(axis=0) for rows in drawn], (0.025, 0.975), axis=0)
        ax.fill_between(
            grid, np.maximum(low, FLOOR), np.maximum(high, FLOOR), color=look["color"], alpha=0.12, linewidth=0
        )
    return line
