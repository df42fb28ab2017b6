"""Network Design Spaces: node counts beside the paper's input lengths, and our proxies beside NAS-Bench-301's published ones."""

from functools import partial
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.drawing.style import BLUE, GREY, ORANGE, VERMILION, expect, new_figure
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.runs.proxies import NDS_PROXIES, network_scores
from parzc_core.spaces import nds
from parzc_core.spaces.nds import slots
from parzc_core.storage.rows import Row

# Lengths of their input for all four proxies (supplement, "Details for NDS").
PRINTED_INPUTS = {"nds_darts": 2000, "nds_enas": 2752, "nds_nasnet": 2520, "nds_amoeba": 2832, "nds_pnas": 2912}

COUNTS = ("printed", "longest, least", "longest, greatest", "possible")  # columns of `node_counts` that are drawn


def beside_published(data: Data, published: pd.DataFrame, resamples: int = 200) -> pd.DataFrame:
    """A row a proxy that both have; percent.

    published: index architectures, a column a proxy, as `labels.nb301.published`. Raises BadInput where it lacks architectures.
    spearman, kendall: between our values and the published ones; ci_low, ci_high: 95 % of kendall, bootstrap over architectures.
    ours, theirs: Kendall's tau of either with accuracy. n: architectures where both are finite.
    """
    archs = data.collection.archs
    if absent := [arch for arch in archs if arch not in published.index]:
        raise BadInput(
            f"got published scores without {len(absent)} of {len(archs)} collected architectures, such as {absent[0]}"
        )
    mine, others = network_scores(data), published.loc[archs]
    lines = {}
    for name in (name for name in mine if name in others):
        pair = mine[name].to_numpy(), others[name].to_numpy(dtype=float)
        between = metrics.correlations(*pair)
        interval = metrics.bootstrap_interval(metrics.kendall, *pair, resamples)
        taus = [metrics.kendall(score, data.judged) for score in pair]
        lines[name] = (between.spearman, between.kendall, *interval, *taus, between.n)
    columns = ["spearman", "kendall", "ci_low", "ci_high", "ours", "theirs", "n"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def rows_of_published(table: str, agreement: pd.DataFrame, profile: str, note: str) -> list[Row]:
    """`beside_published` as rows of that table."""
    row = partial(Row, table, metric="kendall", profile=profile, origin="reproduced")
    rows = []
    for name, line in agreement.iterrows():
        label, n = PROXY_LABELS[str(name)], int(line["n"])
        tau, low, high = line[["kendall", "ci_low", "ci_high"]]
        said = f"between our values and the published ones; interval over cells; {note}"
        rows.append(row(label, "ours and published", value=tau, n=n, ci_low=low, ci_high=high, note=said))
        for column, what in (("ours", "ours and accuracy"), ("theirs", "published and accuracy")):
            rows.append(row(label, what, value=line[column], n=n, note=note))
    return rows


def node_counts(samples: int = 1000, seeds: int = 3) -> pd.DataFrame:
    """A row a space: the nodes that fit into the paper's input, and those of random networks of every width and depth.

    printed: input length over four proxies. longest: of `samples` networks, least and greatest over `seeds` samples.
    median: of all of them. at 20 cells: median of those of the greatest depth. longer: percent that do not fit into what is
    printed. possible: of the longest network that there is.
    """
    lines = {}
    for name, length in PRINTED_INPUTS.items():
        space, printed = nds.SPACES[name], length // len(NDS_PROXIES)
        drawn = [[space.parse(arch) for arch in space.sample(samples, seed)] for seed in range(seeds)]
        nodes = np.array([[len(slots.node_paths(arch)) for arch in each] for each in drawn])  # (seeds, samples)
        deepest = np.array([[arch.depth == max(space.depths) for arch in each] for each in drawn])
        longest = nodes.max(axis=1)
        lines[space.family.title] = (
            *(printed, longest.min(), longest.max(), np.median(nodes), np.median(nodes[deepest])),
            *(100 * float((nodes > printed).mean()), space.MAX_NODES),
        )
    columns = ["printed", "longest, least", "longest, greatest", "median", "at 20 cells", "longer (%)", "possible"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def rows_of_counts(table: str, counts: pd.DataFrame, profile: str) -> list[Row]:
    """`node_counts` as rows of that table: the longest of each sample, mean of the least and the greatest."""
    note = (
        "longest of a random sample: the middle between the least and the greatest of several samples; printed: {:.0f}"
    )
    return [
        Row(
            table, str(space), "longest of a sample", "nodes", float(line.filter(like="longest, ").mean()),
            unit="nodes", profile=profile, origin="reproduced", note=note.format(line["printed"]),
        )
        for space, line in counts.iterrows()
    ]  # fmt: skip


def nds_overview(counts: pd.DataFrame, agreement: pd.DataFrame | None, why: str = "") -> Figure:
    """Left, nodes by space; right, Kendall's tau of our value of a proxy and of the published one with accuracy.

    counts: a row a space, columns of COUNTS, as `node_counts` gives it. agreement: a row a proxy, percent, as
    `beside_published` gives it; None where nothing was collected: `why` is then said in its place.
    """
    expect(set(COUNTS) <= set(counts), f"nds_overview got the columns {list(counts)}; expected {', '.join(COUNTS)}")
    figure = new_figure(12, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    places = np.arange(len(counts))[::-1]
    left.plot(counts["possible"], places, "|", color=GREY, markersize=16, markeredgewidth=2, label="longest there is")
    left.hlines(places, counts["longest, least"], counts["longest, greatest"], color=BLUE, linewidth=7, alpha=0.6)
    left.plot([], [], color=BLUE, linewidth=7, alpha=0.6, label="longest of a random sample, over samples")
    left.plot(counts["printed"], places, "D", color=VERMILION, markersize=8, label="input length printed")
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
