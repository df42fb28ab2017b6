"""Figures of Table 11: predicted against measured accuracy, and what each method would pick at each size."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from parzc_core.mixed_precision.judging import front, picks, spearman_at
from parzc_core.plots_style import BACKDROP, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, expect, new_figure

_LOOKS = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"), (PURPLE, "v"), (SKY, "P"), (GREY, "X"))
MEGABIT = 1e6


def predicted_vs_measured(scores: Mapping[str, np.ndarray], accuracy: np.ndarray, title: str = "") -> Figure:
    """A panel a method: rank of its score (best on the right) against measured accuracy, float[n] each, with rho.

    Ranks, since the scores have no common unit. Raises BadInput without a method.
    """
    expect(len(scores) > 0, "predicted_vs_measured got no method; nothing to draw")
    columns = min(4, len(scores))
    rows = -(-len(scores) // columns)
    figure = new_figure(2.6 * columns, 0.5 + 2.4 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(scores) :]:
        ax.set_axis_off()
    for ax, (name, score) in zip(axes.flat, scores.items(), strict=False):
        ranks = np.argsort(np.argsort(score))
        ax.scatter(100 * ranks / (len(ranks) - 1), accuracy, s=7, color=BLUE, alpha=0.5, linewidths=0)
        rho = spearman_at(score, accuracy, 100)
        ax.text(0.04, 0.94, f"ρ = {rho:.0f} %", transform=ax.transAxes, va="top", fontsize=10, bbox=BACKDROP)
        ax.set_title(name)
    figure.supxlabel("rank by the method's score (%; 100: the best)")
    figure.supylabel("measured accuracy (%)")
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure


def fronts(
    scores: Mapping[str, np.ndarray], size: np.ndarray, accuracy: np.ndarray, title: str = "", steps: int = 40
) -> Figure:
    """Accuracy against size (bits) of all configurations, their Pareto front, and what each method picks.

    A method's line is the measured accuracy of the configuration with its highest score among those no larger than a size.
    Raises BadInput without a method.
    """
    expect(len(scores) > 0, "fronts got no method; nothing to draw")
    figure = new_figure(7.2, 4.4)
    ax = figure.subplots()
    ax.scatter(size / MEGABIT, accuracy, s=8, color="#BBBBBB", linewidths=0, label="configurations")
    best = front(size, accuracy)
    ax.step(size[best] / MEGABIT, accuracy[best], where="post", color="black", linewidth=1.4, label="Pareto front")
    budgets = np.linspace(size.min(), size.max(), steps)
    for (name, score), (colour, marker) in zip(scores.items(), _LOOKS, strict=False):
        chosen = picks(score, size, budgets.tolist())
        ax.plot(budgets / MEGABIT, accuracy[chosen], drawstyle="steps-post", color=colour, linewidth=1, alpha=0.6)
        first = np.unique(chosen, return_index=True)[1]
        ax.scatter(budgets[first] / MEGABIT, accuracy[chosen[first]], s=26, marker=marker, color=colour, label=name)
    ax.set(xlabel="largest size allowed: bits of the weights (millions)", ylabel="measured accuracy (%)", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
