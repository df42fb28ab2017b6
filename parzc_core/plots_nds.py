"""The figure of `nds_nb301`: node counts beside the paper's input lengths, and our proxies beside published ones."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.plots_style import BLUE, GREY, ORANGE, PROXY_LABELS, VERMILION, expect, new_figure

COUNTS = ("printed", "longest, least", "longest, greatest", "possible")


def nds_overview(counts: pd.DataFrame, agreement: pd.DataFrame | None, why: str = "") -> Figure:
    """Left, nodes by space; right, Kendall's tau of our value of a proxy and of the published one with accuracy.

    counts: a row a space, columns of COUNTS, as `nds_comparison.node_counts`. agreement: a row a proxy, percent, as
    `nds_comparison.of_published`; None where nothing was collected: `why` is then said in its place.
    """
    expect(set(COUNTS) <= set(counts), f"nds_overview got the columns {list(counts)}; expected {', '.join(COUNTS)}")
    figure = new_figure(12, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    places = np.arange(len(counts))[::-1]
    left.plot(counts["possible"], places, "|", color=GREY, markersize=16, markeredgewidth=2, label="longest there is")
    left.hlines(places, counts["longest, least"], counts["longest, greatest"], color=BLUE, linewidth=7, alpha=0.6)
    left.plot([], [], color=BLUE, linewidth=7, alpha=0.6, label="longest of a random sample, over samples")
    left.plot(counts["printed"], places, "D", color=VERMILION, markersize=8, label="room in the paper's input")
    left.set(yticks=places, yticklabels=list(counts.index), ylim=(-0.6, len(counts) - 0.4), xlabel="nodes of a network")
    left.set_title("Input lengths of the paper", pad=8)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=9)
    right.set_title("NAS-Bench-301: ours and published", pad=8)
    if agreement is None:
        right.set_axis_off()
        right.text(0.5, 0.5, fill(why, 60), ha="center", va="center", fontsize=9.5, transform=right.transAxes)
        return figure
    rows = np.arange(len(agreement))[::-1]
    right.barh(rows + 0.2, agreement["ours"], height=0.38, color=BLUE, label="our value with accuracy")
    right.barh(rows - 0.2, agreement["theirs"], height=0.38, color=ORANGE, label="published value with accuracy")
    right.errorbar(
        agreement["kendall"], rows, fmt="D", color="black", markersize=5, capsize=3, label="between the two (95 %)",
        xerr=np.abs(agreement[["ci_low", "ci_high"]].sub(agreement["kendall"], axis=0).T.to_numpy()),
    )  # fmt: skip
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set(yticks=rows, yticklabels=[PROXY_LABELS.get(str(name), str(name)) for name in agreement.index])
    right.set_xlabel("Kendall's τ (%)")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=9, columnspacing=1)
    return figure
