"""NAS-Bench-101's failed trainings in its published means, and what they do to each loss."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.labels_nb101_failed import failed_runs
from parzc_core.plots_style import BLUE, GREY, ORANGE, VERMILION, expect, new_figure

_NAMES = {0: "all three trained", 1: "one of three failed", 2: "two failed", 3: "all failed"}
_COLOURS = {0: GREY, 1: BLUE, 2: ORANGE, 3: VERMILION}
_MARKS = ("|", "o", "D")


def failed_trainings(mean: pd.Series, taus: pd.DataFrame) -> Figure:
    """Left, a histogram of the cells' mean accuracies by how many of their trainings failed; right, tau by loss and labels.

    mean: percent, a row a cell, as published. taus: percent, a row a loss, a column a kind of label. Raises BadInput for more
    than three kinds.
    """
    expect(0 < taus.shape[1] <= len(_MARKS), f"failed_trainings got {taus.shape[1]} kinds of label; expected 1 to 3")
    counts = failed_runs(mean)
    fig = new_figure(10.5, 3.9)
    left, right = fig.subplots(1, 2, width_ratios=(1.15, 1))
    bins = np.arange(8, 97, 1.0).tolist()
    for failed, name in _NAMES.items():
        chosen = mean[counts == failed]
        left.hist(chosen, bins=bins, color=_COLOURS[failed], label=f"{name}: {len(chosen):,} cells")
    left.set(yscale="log", xlabel="mean test accuracy of three trainings (%)", ylabel="cells a percent")
    left.set_title(f"{len(mean):,} cells of NAS-Bench-101")
    left.legend(loc="upper left", fontsize=9)
    places = np.arange(len(taus))
    for mark, column in zip(_MARKS, taus, strict=False):
        right.plot(taus[column], places, mark, markersize=9, markeredgewidth=2, label=column)
    right.set(yticks=places, yticklabels=taus.index, ylim=(len(taus) - 0.5, -0.5))
    right.set(xlabel="Kendall's τ (%), mean over splits", title="Table 7 on two kinds of labels")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=9)
    return fig
