"""The picture beside Figures 2 and 5: what GraSP and Plain are at nodes that a BatchNorm follows, from stored statistics."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.collecting.labelled import Data
from parzc_core.drawing.style import BLUE, GREY, VERMILION, expect, new_figure
from parzc_core.experiments.fig02_05_importance import Importance
from parzc_core.runs.scale_free import node_values, scale_free_slots
from parzc_core.spaces import nb201

CELLS = 1000  # of the front of the sample
SHOWN = 4000  # nodes of a kind that are drawn
KINDS = {True: ("before a BatchNorm", BLUE), False: ("without one", VERMILION)}


def values_of(data: Data) -> pd.DataFrame:
    """`scale_free.node_values` of the first CELLS cells of NAS-Bench-201."""
    return node_values(data.statistics[:CELLS], scale_free_slots("nb201", data.collection.archs[:1]))


def share_outside(importance: Importance) -> float:
    """Percent of impurity importance at the nodes of NAS-Bench-201 that no BatchNorm follows."""
    scale_free = scale_free_slots("nb201", [nb201.arch(0)])
    return 100 * sum(share for slot, share in zip(importance.slots, importance.impurity, strict=True) if slot not in scale_free)


def identity_picture(values: pd.DataFrame) -> Figure:
    """Left, |GraSP| against GradNorm squared, node by node; right, how large |Plain| is beside SNIP. values: of `node_values`."""
    expect(len(values) > 0, "identity_picture got no node; give the statistics of at least one network")
    figure = new_figure(11, 4.4)
    left, right = figure.subplots(1, 2)
    positive = values[(values["grasp"] != 0) & (values["snip"] > 0)]
    ends = positive["grad_norm2"].min(), positive["grad_norm2"].max()
    left.plot(ends, ends, color=GREY, linewidth=1, zorder=1)
    bins = np.linspace(-10, 0, 61).tolist()
    for kind, (label, colour) in KINDS.items():
        part = positive[positive["scale_free"] == kind]
        drawn = part.sample(min(SHOWN, len(part)), random_state=0)
        left.scatter(drawn["grad_norm2"], drawn["grasp"].abs(), s=5, color=colour, linewidth=0, label=label, rasterized=True)
        share = np.log10((part["plain"].abs() / part["snip"]).clip(lower=1e-10, upper=1.0))
        weights = np.full(len(part), 100 / max(1, len(part)))
        right.hist(share, bins=bins, weights=weights, color=colour, alpha=0.8, label=f"{label} ({len(part):,} nodes)")
    left.set(xscale="log", yscale="log", xlabel="GradNorm²", ylabel="|GraSP|")
    left.set_title("Before a BatchNorm, GraSP = GradNorm²", pad=8)
    right.set(xlabel="log₁₀ (|Plain| / SNIP)", ylabel="nodes (%)")
    right.set_title("Before a BatchNorm, Plain is rounding", pad=8)
    left.legend(markerscale=3)
    right.legend()
    return figure
