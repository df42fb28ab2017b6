"""The figure of `stability`: proxies over seeds, batches and noise, and where in a network the uncertain nodes are."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.plots_style import BLUE, GREEN, GREY, ORANGE, PROXY_LABELS, VERMILION, draw_stages, expect, new_figure

MARKS = {
    "real, init": ("o", BLUE),
    "real, batch": ("s", GREEN),
    "noise, init": ("^", VERMILION),
    "noise, batch": ("v", ORANGE),
}


def stability_overview(taus: pd.DataFrame, groups: Mapping[str, list[str]], spread: pd.DataFrame) -> Figure:
    """Left, Kendall's tau of every proxy in every variant; right, how far each node's value moves with the initial weights.

    taus: percent, a row a proxy, a column a variant. groups: {what differs: variants}, of MARKS.
    spread: decades, a row a slot of the space along depth, a column a proxy; NaN where no cell has the node.
    """
    expect(set(groups) <= set(MARKS), f"stability_overview got the groups {list(groups)}; expected of {list(MARKS)}")
    figure = new_figure(12, 5)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    rows = np.arange(len(taus))[::-1]
    for place, (name, variants) in enumerate(groups.items()):
        marker, colour = MARKS[name]
        shift = 0.27 - 0.18 * place
        for number, variant in enumerate(variants):
            left.plot(
                taus[variant], rows + shift, marker, color=colour, markersize=5, alpha=0.8, markeredgewidth=0,
                label=f"{name} ({len(variants)})" if number == 0 else None,
            )  # fmt: skip
    left.axvline(0, color=GREY, linewidth=0.8)
    left.set(yticks=rows, yticklabels=[PROXY_LABELS.get(str(name), str(name)) for name in taus.index])
    left.set_xlabel("Kendall's τ with accuracy (%)")
    left.set_title("One mark a variant: kind of image, what differs", pad=8)
    left.legend(
        loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=4, fontsize=9, columnspacing=1, handletextpad=0.2
    )
    draw_stages(right, list(spread.index), labelled=True)
    markers = ("o", "s", "^", "v", "D", "P", "X", "*")
    for number, (proxy, values) in enumerate(spread.items()):
        right.plot(
            np.arange(len(spread)), values, markers[number % len(markers)], markersize=4, alpha=0.85, markeredgewidth=0,
            label=PROXY_LABELS.get(str(proxy), str(proxy)),
        )  # fmt: skip
    right.set(yscale="log", xlabel="node along depth (execution order)")
    right.set_ylabel("std over initialisations of log₁₀ |value|")
    right.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=7, fontsize=9, columnspacing=1, handletextpad=0.2
    )
    return figure
