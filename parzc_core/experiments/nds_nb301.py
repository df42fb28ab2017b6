"""NAS-Bench-301's cells: our values of proxies beside published ones; and node counts beside the paper's input lengths."""

from functools import partial

import numpy as np
import pandas as pd

from parzc_core import metrics
from parzc_core.errors import BadInput
from parzc_core.experiments import Data
from parzc_core.paper import PROXY_LABELS
from parzc_core.proxy_table import NDS_PROXIES, network_scores, proxy_correlations
from parzc_core.results import Row
from parzc_core.spaces import nds, nds_slots

# Lengths of their input for all four proxies (supplement, "Details for NDS").
PRINTED_INPUTS = {"nds_darts": 2000, "nds_enas": 2752, "nds_nasnet": 2520, "nds_amoeba": 2832, "nds_pnas": 2912}


def of_published(data: Data, published: pd.DataFrame, resamples: int = 200) -> pd.DataFrame:
    """A row a proxy that both have; percent.

    published: index architectures, a column a proxy, as `labels_nb301.published`. Raises BadInput where it lacks architectures.
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
    """`of_published` as rows of that table."""
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


def rows_of_proxies(table: str, column: str, data: Data, profile: str, note: str, origin: str) -> list[Row]:
    """Correlation of each proxy with accuracy as rows of that table."""
    row = partial(Row, table, profile=profile, origin=origin, note=f"n cells, interval over cells; {note}")
    return [
        row(
            PROXY_LABELS[c["proxy"]], column, c["metric"], c["value"],
            n=c["n"], ci_low=c["ci_low"], ci_high=c["ci_high"],
        )
        for c in proxy_correlations(data).to_dict("records")
    ]  # fmt: skip


def node_counts(samples: int = 1000, seeds: int = 3) -> pd.DataFrame:
    """A row a space: the nodes that the paper's input has room for, and those of random networks of every width and depth.

    printed: input length over four proxies. longest: of `samples` networks, least and greatest over `seeds` samples.
    median: of all of them. at 20 cells: median of those of the greatest depth. longer: percent that do not fit into what is
    printed. possible: of the longest network that there is.
    """
    lines = {}
    for name, length in PRINTED_INPUTS.items():
        space, printed = nds.SPACES[name], length // len(NDS_PROXIES)
        drawn = [[space.parse(arch) for arch in space.sample(samples, seed)] for seed in range(seeds)]
        nodes = np.array([[len(nds_slots.node_paths(arch)) for arch in each] for each in drawn])  # (seeds, samples)
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
