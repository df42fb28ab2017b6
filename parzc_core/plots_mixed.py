"""Figures of Table 11: predicted against measured accuracy, and what each method would pick at each size."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parzc_core.mixed_precision.judging import front, picks, spearman_at
from parzc_core.plots_style import BACKDROP, BLUE, VERMILION, expect, new_figure

MEGABIT = 1e6


def predicted_vs_measured(scores: Mapping[str, np.ndarray], accuracy: np.ndarray, title: str = "") -> Figure:
    """A panel a method: rank of its score (best on the right) against measured accuracy, float[n] each, with rho.

    Ranks, since the scores have no common unit. Raises BadInput without a method.
    """
    figure, panels = _panels(scores, title)
    for ax, name in panels:
        ranks = np.argsort(np.argsort(scores[name]))
        ax.scatter(100 * ranks / (len(ranks) - 1), accuracy, s=7, color=BLUE, alpha=0.5, linewidths=0)
        rho = spearman_at(scores[name], accuracy, 100)
        ax.text(0.04, 0.95, f"ρ = {rho:.0f} %", transform=ax.transAxes, va="top", fontsize=10, bbox=BACKDROP)
    figure.supxlabel("rank by the method's score (%; 100: the best)")
    figure.supylabel("measured accuracy (%)")
    return figure


def fronts(
    scores: Mapping[str, np.ndarray], size: np.ndarray, accuracy: np.ndarray, title: str = "", steps: int = 200
) -> Figure:
    """A panel a method: accuracy against size (bits) of all configurations, their Pareto front, and what the method picks.

    Its line is the measured accuracy of the configuration with its highest score among those no larger than a size. Raises
    BadInput without a method.
    """
    figure, panels = _panels(scores, title)
    best, budgets = front(size, accuracy), np.linspace(size.min(), size.max(), steps)
    for ax, name in panels:
        ax.scatter(size / MEGABIT, accuracy, s=6, color="#BBBBBB", linewidths=0, label="configurations")
        ends = np.append(size[best], size.max()), np.append(accuracy[best], accuracy[best[-1]])
        ax.step(ends[0] / MEGABIT, ends[1], where="post", color="black", linewidth=1.2, label="Pareto front")
        chosen = picks(scores[name], size, budgets.tolist())
        ax.step(budgets / MEGABIT, accuracy[chosen], where="post", color=VERMILION, linewidth=1.6, label="picked")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper")
    figure.supxlabel("largest size allowed: bits of the weights (millions)")
    figure.supylabel("measured accuracy (%)")
    return figure


def _panels(scores: Mapping[str, np.ndarray], title: str) -> tuple[Figure, list[tuple[Axes, str]]]:
    expect(len(scores) > 0, "got no method; nothing to draw")
    columns = min(3, len(scores))
    rows = -(-len(scores) // columns)
    figure = new_figure(3.0 * columns, 0.8 + 2.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(scores) :]:
        ax.set_axis_off()
    panels = list(zip(axes.flat, scores, strict=False))
    for ax, name in panels:
        ax.set_title(name)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure, panels
