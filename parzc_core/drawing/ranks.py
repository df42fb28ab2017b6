"""The paper's figures: a drawing function per figure that takes plain arrays and returns a matplotlib Figure.

All drawing is reached from here: `plots_style` holds the style and `save_figure`, `plots_cells` draws single cells,
`plots_figures` the weights of neurons, `plots_tables` a table as dots.
"""

from collections.abc import Mapping

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


def rank_scatter_grid(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]], top_fraction: float = 0.1, best: int = 10
) -> Figure:
    """Figures 4 and 8: per data set one panel over all the cells given and one over its truly best `top_fraction`.

    panels: title -> (predicted float[n], truth float[n] in percent). Ranks and tau of a lower panel are among its own
    cells; the same cells carry the stars in both. One data set is drawn side by side, several in two rows.
    """
    expect(len(panels) > 0, "rank_scatter_grid got no panel; give at least one")
    expect(0 < top_fraction < 1, f"top_fraction should lie between 0 and 1, got {top_fraction}")
    count = len(panels)
    fig = new_figure(10.4, 4.3) if count == 1 else new_figure(4.4 * count, 8)
    axes = fig.subplots(1, 2, squeeze=False).T if count == 1 else fig.subplots(2, count, squeeze=False)
    for (whole, top), (title, (predicted, truth)) in zip(axes.T, panels.items(), strict=True):
        scores, accuracy = np.asarray(predicted, dtype=float), np.asarray(truth, dtype=float)
        rank_scatter(scores, accuracy, best, f"{title}: all judged cells", ax=whole)
        upper = accuracy >= np.nanquantile(accuracy, 1 - top_fraction)
        rank_scatter(scores[upper], accuracy[upper], best, f"{title}: top {top_fraction:.0%}", ax=top)
    return fig
