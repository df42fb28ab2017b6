"""Figures of hyper-parameter studies: the values of their trials in order, and how much each setting matters."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parzc_core.plots_style import BACKDROP, BLUE, GREY, ORANGE, VERMILION, expect, new_figure
from parzc_core.tuning_results import Found


def tuning_history(panels: Mapping[str, Found]) -> Figure:
    """Value of every trial in order, the best so far, and the default settings on the same cells; a panel a study."""
    expect(panels, "tuning_history got no study; nothing to draw")
    figure = new_figure(1 + 4.6 * len(panels), 4)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        expect(len(found.complete) > 0, f"{title}: no trial was trained to its end; nothing to draw")
        pruned = found.trials[found.trials["state"] == "PRUNED"]
        ax.plot(
            found.complete["number"], found.complete["value"], "o", color=BLUE, markersize=5, label="trained to its end"
        )
        ax.plot(pruned["number"], pruned["value"], "x", color=ORANGE, markersize=5, label="ended early (its last τ)")
        best = found.complete.sort_values("number")
        ax.step(best["number"], best["value"].cummax(), where="post", color="black", linewidth=1.6, label="best so far")
        ax.axhline(found.default, color=VERMILION, linestyle="--", linewidth=1.2, label="default settings")
        ax.set(title=title, xlabel="trial")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        low = np.nanquantile(found.trials["value"], 0.1)
        ax.set_ylim(bottom=min(low, found.default) - 4)
        below = int((found.trials["value"] < ax.get_ylim()[0]).sum())
        if below:
            ax.annotate(
                f"{below} {'trial lies' if below == 1 else 'trials lie'} below",
                (0.99, 0.02),
                xycoords="axes fraction",
                ha="right",
                fontsize=9,
                bbox=BACKDROP,
            )
    axes[0].set_ylabel("Kendall's τ on validation parts (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def tuning_importance(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of the variance that each setting explains, with its range over forests, beside what chance gives; a panel a study.

    panels: title -> `tuning_results.importances`.
    """
    expect(panels, "tuning_importance got no study; nothing to draw")
    figure = new_figure(1 + 4.6 * len(panels), 3.8)
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    for ax, (title, table) in zip(axes, panels.items(), strict=True):
        shown = table.sort_values("importance")
        places = np.arange(len(shown))
        spread = [shown["importance"] - shown["least"], shown["most"] - shown["importance"]]
        ax.barh(places, shown["importance"].fillna(0), color=BLUE, height=0.6, label="importance, with its range over 5 forests",
                xerr=np.nan_to_num(spread), ecolor="black", capsize=3)  # fmt: skip
        ax.plot(
            shown["chance"],
            places,
            "|",
            color=VERMILION,
            markersize=17,
            markeredgewidth=2.2,
            label="95 % of shuffled values",
        )
        ax.set_yticks(places, list(shown.index))
        ax.set(title=title, xlabel="variance of τ explained (%)")
        ax.grid(visible=False, axis="y")
        if table["importance"].isna().all():
            ax.text(0.5, 0.5, "too few trials", transform=ax.transAxes, ha="center", color=GREY)
    # The panels share their axis, which is set once for all: one without bars would shrink it.
    ends = [float(table[["most", "chance"]].max().max()) for table in panels.values() if table.notna().any(axis=None)]
    axes[0].set_xlim(0, 1.05 * max(ends, default=1.0))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
