"""The paper's figures: a drawing function per figure that takes plain arrays and returns a matplotlib Figure.

All drawing is reached from here: `plots_style` holds the style and `save_figure`, `plots_cells` draws single cells,
`plots_figures` the weights of neurons, `plots_tables` a table as dots.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from parzc_core import metrics
from parzc_core.plots_cells import cell_graph, node_statistics_bars
from parzc_core.plots_figures import neuron_weights
from parzc_core.plots_style import (
    BACKDROP,
    BLUE,
    PROXY_LABELS,
    VERMILION,
    draw_stages,
    expect,
    new_figure,
    save_figure,
    style,
)
from parzc_core.plots_tables import paper_vs_ours

__all__ = [
    "cell_graph",
    "importance_along_depth",
    "neuron_weights",
    "node_statistics_bars",
    "paper_vs_ours",
    "rank_scatter",
    "rank_scatter_grid",
    "save_figure",
    "style",
    "tsne_panels",
]


def importance_along_depth(importances: Mapping[str, tuple[Sequence[str], ArrayLike]]) -> Figure:
    """Figures 2 and 5: impurity importance of every node, drawn along depth, a panel a proxy.

    importances: proxy -> (node names in execution order, importance float[L]); stages are marked by light bands.
    """
    expect(len(importances) > 0, "importance_along_depth got no proxy; give at least one")
    columns = 1 if len(importances) <= 3 else 2
    rows = -(-len(importances) // columns)
    fig = new_figure(9 if columns == 1 else 13, 0.9 + 1.9 * rows)
    axes = fig.subplots(rows, columns, squeeze=False)
    for place, ax in enumerate(axes.flat):
        if place >= len(importances):
            ax.set_axis_off()
            continue
        proxy, (nodes, values) = list(importances.items())[place]
        height = np.asarray(values, dtype=float)
        expect(height.shape == (len(nodes),), f"{proxy}: importance of shape {height.shape} for {len(nodes)} nodes")
        draw_stages(ax, nodes, labelled=place < columns)
        ax.bar(np.arange(len(nodes)), height, width=0.85, color=BLUE)
        ax.set_ylim(0, max(float(np.nanmax(height)) * 1.12, 1e-12))
        title = PROXY_LABELS.get(proxy, proxy)
        ax.text(0.012, 0.93, title, transform=ax.transAxes, va="top", fontsize=12, fontweight="bold", bbox=BACKDROP)
        if place + columns >= len(importances):
            ax.set_xlabel("node along depth (execution order)")
    fig.supylabel("GBDT impurity importance", fontsize=11)
    return fig


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


def tsne_panels(embeddings: Mapping[str, ArrayLike], colour: ArrayLike, label: str = "accuracy (%)") -> Figure:
    """Figure 6: the t-SNE embedding of each proxy's node-wise statistics, coloured by accuracy.

    embeddings: proxy -> float[n, 2]; colour: float[n]. The colour scale starts at the 20 % quantile, so that the few
    cells that do not learn leave the rest of the range to the others.
    """
    expect(len(embeddings) > 0, "tsne_panels got no embedding; give at least one")
    values = np.asarray(colour, dtype=float)
    columns = min(4, len(embeddings)) if len(embeddings) != 6 else 3
    rows = -(-len(embeddings) // columns)
    fig = new_figure(0.9 + 2.9 * columns, 0.5 + 2.7 * rows)
    axes = fig.subplots(rows, columns, squeeze=False)
    low, high = np.nanquantile(values, 0.2), np.nanmax(values)
    order = np.argsort(values, kind="stable")  # the best on top
    for place, ax in enumerate(axes.flat):
        if place >= len(embeddings):
            ax.set_axis_off()
            continue
        proxy, points = list(embeddings.items())[place]
        xy = np.asarray(points, dtype=float)
        expect(xy.shape == (len(values), 2), f"{proxy}: shape {xy.shape}, expected ({len(values)}, 2)")
        size = float(np.clip(8000 / len(xy), 2, 20))
        dots = ax.scatter(*xy[order].T, c=values[order], s=size, cmap="viridis", vmin=low, vmax=high, linewidth=0,
                          rasterized=True)  # fmt: skip
        ax.set(title=PROXY_LABELS.get(proxy, proxy), xticks=[], yticks=[])
        ax.set_box_aspect(1)
    fig.supxlabel("t-SNE dimension 1 (no unit)", fontsize=11)
    fig.supylabel("t-SNE dimension 2 (no unit)", fontsize=11)
    fig.colorbar(dots, ax=axes, label=label, extend="min", aspect=30, pad=0.015)
    return fig
