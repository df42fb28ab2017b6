"""The figure of ParZC+: coverage of its intervals, and training sets that grow by its own choice."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.calibration import CHOICES, LEVELS
from parzc_core.plots_style import BLUE, GREEN, GREY, ORANGE, VERMILION, expect, new_figure

SPREADS = {
    "given": ("as given", "o", VERMILION),
    "widened": ("widened by out-of-fold errors", "s", BLUE),
    "constant": ("one for all", "^", GREY),
}
CHOICE_STYLES = dict(zip(CHOICES, ((GREY, "o"), (ORANGE, "s"), (GREEN, "^"), (BLUE, "D")), strict=True))


def calibration_and_selection(coverage: pd.DataFrame, grown: pd.DataFrame) -> Figure:
    """A row a ranker: nominal against measured coverage; tau and gap to the best cell by number of labels, a line a choice.

    coverage: columns row, "given 50", ... (`plus_tables.calibrated`, of one size). grown: as of `plus_tables.selected`. Marks
    are means over splits.
    """
    expect(len(coverage), "calibration_and_selection got no coverage; expected a line a ranker and split at least")
    rows = list(dict.fromkeys(coverage["row"]))
    figure = new_figure(12, 3.7 * len(rows))
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for (left, middle, right), row in zip(axes, rows, strict=True):
        means = coverage[coverage["row"] == row].mean(numeric_only=True)
        left.plot([40, 100], [40, 100], color=GREY, linewidth=0.8)
        for name, (label, marker, colour) in SPREADS.items():
            measured = [means[f"{name} {level}"] for level in LEVELS]
            left.plot(LEVELS, measured, marker=marker, color=colour, label=label)
        left.set(xlabel="level of the interval (%)", ylabel="unseen cells inside (%)", ylim=(0, 102), xticks=LEVELS)
        left.set_title(f"{row}: coverage")
        left.legend(loc="lower right", fontsize=9)
        own = grown[grown["row"] == row]
        for ax, column, label in (
            (middle, "kendall", "τ on test accuracy (%)"),
            (right, "gap", "points below the best"),
        ):
            for choice, (colour, marker) in CHOICE_STYLES.items():
                line = own[own["choice"] == choice].groupby("labels")[column].mean()
                if len(line):
                    ax.plot(np.asarray(line.index), line.to_numpy(), marker=marker, color=colour, label=choice)
            ax.set(xlabel="labels", ylabel=label)
            if not len(own):
                ax.text(0.5, 0.5, "not run in this profile", ha="center", va="center", transform=ax.transAxes)
        if len(own):
            middle.legend(fontsize=9)
        middle.set_title(f"{row}: ranking of other cells")
        right.set_title(f"{row}: best cell found")
    return figure
