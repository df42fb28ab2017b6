"""Predicted rank against true accuracy: the panel that figures 4 and 8 and the first notebook are made of."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from parzc_core import metrics
from parzc_core.drawing.style import BACKDROP, BLUE, GREY, VERMILION, expect, new_figure

FEW = 0.05  # of the cells, which may lie below the axis


def rank_scatter(
    predicted: ArrayLike,
    truth: ArrayLike,
    best: ArrayLike | int = 10,
    title: str = "",
    tau: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One panel of figures 4 and 8: predicted rank (1 = predicted best, at the right) against true accuracy (%).

    predicted, truth: float[n]; best: bool[n] mask, or how many of the truly best cells get a star; tau: Kendall's tau
    in percent, computed if not given. Draws into `ax` if given, else into a figure of its own. NaN predictions are left out.
    Where a few failed cells would take most of the axis, it is cut; they are counted and drawn as triangles on its lower edge.
    """
    scores, accuracy = np.asarray(predicted, dtype=float), np.asarray(truth, dtype=float)
    expect(scores.ndim == 1 and scores.shape == accuracy.shape, f"shapes {scores.shape} and {accuracy.shape} differ")
    if np.ndim(best) == 0:
        stars = pd.Series(accuracy).rank(ascending=False, method="first").to_numpy() <= np.asarray(best)
    else:
        stars = np.asarray(best, dtype=bool)
    expect(stars.shape == scores.shape, f"mask of the best has shape {stars.shape}, expected {scores.shape}")
    finite = np.isfinite(scores) & np.isfinite(accuracy)
    scores, accuracy, stars = scores[finite], accuracy[finite], stars[finite]
    expect(len(scores) > 1, f"rank_scatter needs two cells with a finite prediction and accuracy, got {len(scores)}")
    if tau is None:
        tau = metrics.kendall(scores, accuracy)
    ax = new_figure(5.6, 4.4).subplots() if ax is None else ax
    rank = pd.Series(scores).rank(ascending=False).to_numpy()
    size = float(np.clip(4000 / len(rank), 4, 24))
    floor = _floor(accuracy)
    low = accuracy < floor
    ax.scatter(rank[~stars & ~low], accuracy[~stars & ~low], s=size, color=BLUE, alpha=0.35, linewidth=0, rasterized=True,
               label=f"{len(rank):,} cells, Kendall's τ = {tau:.1f} %")  # fmt: skip
    if low.any():
        ax.scatter(rank[low], np.full(low.sum(), floor), s=18, marker="v", color=GREY, alpha=0.5, linewidth=0, rasterized=True)
        said = f"▼ {int(low.sum()):,} cells below {floor:.0f} %"
        ax.text(0.98, 0.05, said, transform=ax.transAxes, ha="right", fontsize=9, bbox=BACKDROP)
    # Above the frame, so that the best in its corner are whole.
    ax.scatter(rank[stars], accuracy[stars], s=60, marker="*", color=VERMILION, edgecolor="white", linewidth=0.4,
               zorder=5, alpha=0.9, clip_on=False, label=f"{int(stars.sum())} truly best")  # fmt: skip
    ax.invert_xaxis()
    ax.margins(0.05)
    ax.set(xlabel="predicted rank (1 = best)", ylabel="true accuracy (%)")
    ax.set_title(title, pad=24)
    legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, handletextpad=0.2, columnspacing=1)
    for handle, area in zip(legend.legend_handles, (30, 70), strict=True):
        handle.set_alpha(1)  # type: ignore[union-attr]
        handle.set_sizes([area])  # type: ignore[union-attr]
    return ax.get_figure(root=True)  # type: ignore[return-value]


def _floor(accuracy: np.ndarray) -> float:
    """Where the accuracy axis is cut: below all but a few cells, if those few would take more than half of it; else -inf."""
    most = [float(np.quantile(accuracy, FEW)), float(accuracy.max())]
    floor = most[0] - (most[1] - most[0]) / 10
    return floor if floor - accuracy.min() > most[1] - floor else -np.inf
