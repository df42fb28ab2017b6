"""Predicted rank against true accuracy: the panel that figures 4 and 8 and the first notebook are made of."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from parzc_core import metrics
from parzc_core.drawing.style import BLUE, VERMILION, expect, new_figure


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
    ax.scatter(rank[~stars], accuracy[~stars], s=size, color=BLUE, alpha=0.35, linewidth=0, rasterized=True,
               label=f"{len(rank):,} cells, Kendall's τ = {tau:.1f} %")  # fmt: skip
    ax.scatter(rank[stars], accuracy[stars], s=95, marker="*", color=VERMILION, edgecolor="white", linewidth=0.5,
               zorder=3, label=f"{int(stars.sum())} truly best")  # fmt: skip
    ax.invert_xaxis()
    ax.margins(0.04)
    ax.set(xlabel="predicted rank (1 = best)", ylabel="true accuracy (%)")
    ax.set_title(title, pad=24)
    legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, handletextpad=0.2, columnspacing=1)
    for handle in legend.legend_handles:
        handle.set_alpha(1)  # type: ignore[union-attr]
    return ax.get_figure(root=True)  # type: ignore[return-value]
