"""Table 1's second block: proxies published since the paper, and their aggregates, on the cells of the paper's protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import rankdata

from parzc_core import metrics
from parzc_core.collecting.labelled import Data, judgeable, load
from parzc_core.drawing.style import BLUE, GREEN, GREY, VERMILION, new_figure
from parzc_core.paper import PROXY_LABELS
from parzc_core.paper.since import ORDERED_AS, PRINTED, THEIRS, beside
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.proxies import ndcg, network_scores
from parzc_core.spaces import nb201
from parzc_core.storage.rows import Row, committed, read_rows

TABLE, CELLS = "table01_since", 1000
# {column: (space, data set, channels of the first stage or None for the benchmark's own)}
COLUMNS: dict[str, tuple[str, str, int | None]] = {
    "NB201-CF10": ("nb201", "cifar10", None),
    "NB201-CF100": ("nb201", "cifar100", None),
    "NB201-IMG16": ("nb201", "imagenet16-120", None),
    "NB101-CF10": ("nb101", "cifar10", 32),
}
# See noise of the images' size and no classifier: on CIFAR-100 they are those of CIFAR-10, and collected there.
NOISE = ("az_expressivity", "az_progressivity", "az_trainability", "meco", "trainable_layers")
EARLIER = ("params", "flops", "synflow", "nwot", "jacov")  # of Table 1, on the same cells
LABELS = {
    "swap": "SWAP",
    "meco": "MeCo",
    "az_expressivity": "AZ-NAS expressivity",
    "az_progressivity": "AZ-NAS progressivity",
    "az_trainability": "AZ-NAS trainability",
    "trainable_layers": "Trainable layers",
    "vkdnw": "VKDNW entropy",
    "vkdnw_single": "VKDNW",
}
# Name -> the scores whose ranks it multiplies.
AGGREGATES = {
    "AZ-NAS": ("az_expressivity", "az_progressivity", "az_trainability", "flops"),
    "VKDNW aggregate": ("vkdnw_single", "jacov", "az_expressivity", "az_trainability", "flops"),
}
STATISTICS = {"kendall": metrics.kendall, "spearman": metrics.spearman, "ndcg": ndcg}


def collected(profile: str) -> dict[str, Data]:
    """{column: the cells with every score of LABELS that was collected}, where statistics and labels are at hand.

    Raises UnknownName for a profile that is not there.
    """
    most = profile_named(profile).cells or CELLS
    found = {}
    for column, (space, dataset, width) in COLUMNS.items():
        if count := min(judgeable(space, dataset, width), most, CELLS):
            there = load(space, dataset, count, width).collection
            if "swap" in there.scores:
                count = min(there.scored.get(name, count) for name in LABELS if name in there.scores)
                found[column] = load(space, dataset, count, width)
    return found


def scores_of(data: Data, keep: np.ndarray | None = None, noise: pd.DataFrame | None = None) -> pd.DataFrame:
    """float64, index architectures, a column a score: those of EARLIER and LABELS that were collected, then the aggregates.

    keep: bool[n], the cells that are ranked; None: all. noise: other values of the scores that see noise.
    """
    earlier = network_scores(data)
    parts = _stored(data).assign(**{name: earlier[name] for name in EARLIER if name in earlier})
    if noise is not None:
        parts = parts.assign(**{name: noise[name] for name in (*NOISE, "vkdnw") if name in parts and name in noise})
    parts = parts if keep is None else parts[keep]
    if "vkdnw" in parts:
        parts["vkdnw_single"] = parts["trainable_layers"] + parts["vkdnw"]
    labels = {name: PROXY_LABELS[name] for name in EARLIER} | LABELS
    found = parts[[name for name in labels if name in parts]].rename(columns=labels)
    for label, names in AGGREGATES.items():
        if set(names) <= set(parts):
            found[label] = ranks_multiplied(parts[list(names)])
    return found


def _stored(data: Data) -> pd.DataFrame:
    """The collected network-level scores, with those of NOISE that CIFAR-100 shares with CIFAR-10."""
    there, config = data.collection.scores, data.collection.manifest["config"]
    if config["dataset"] != "cifar100" or NOISE[0] in there:
        return there
    shared = load(config["space"], "cifar10", len(data)).collection.scores
    return there.join(shared[[name for name in NOISE if name in shared]])


def ranks_multiplied(scores: pd.DataFrame) -> pd.Series:
    """Sum over columns of log(rank / n), the aggregate of AZ-NAS (eq. 9) and VKDNW: one bad rank weighs more than in a mean.

    A score that is not finite has the lowest rank. In (-inf, 0], higher is better.
    """
    ranks = [_ranks(column) for column in scores.to_numpy(dtype=float).T]
    return pd.Series(np.log(np.array(ranks) / len(scores)).sum(axis=0), index=scores.index)


def _ranks(score: np.ndarray) -> np.ndarray:
    """1 to n, higher for a higher score; equal ones share the mean of theirs, those that are not finite the lowest."""
    return rankdata(np.where(np.isfinite(score), score, -np.inf))


def correlations(data: Data, resamples: int = 200, keep: np.ndarray | None = None) -> pd.DataFrame:
    """A row a score and metric: score, metric, value, ci_low, ci_high (bootstrap over cells), n, not_finite; percent.

    keep: as of `scores_of`.
    """
    lines: list[tuple[Any, ...]] = []
    judged = data.judged if keep is None else data.judged[keep]
    for label, column in scores_of(data, keep).items():
        score = column.to_numpy()
        finite = int(np.isfinite(score).sum())
        for metric, statistic in STATISTICS.items():
            given = _ranks(score) if metric == "ndcg" else score
            low, high = metrics.bootstrap_interval(statistic, given, judged, resamples)
            lines.append((label, metric, statistic(given, judged), low, high, finite, len(score) - finite))
    return pd.DataFrame(lines, columns=["score", "metric", "value", "ci_low", "ci_high", "n", "not_finite"])


def _on_a_path(data: Data) -> np.ndarray:
    """bool[n]: cells of NAS-Bench-201 without an operation that leads nowhere, those that VKDNW's paper judges."""
    return np.array([not nb201.leads_nowhere(str(arch)) for arch in data.collection.scores.index])


def on_their_cells(data: Mapping[str, Data], resamples: int = 200) -> dict[str, pd.DataFrame]:
    """`correlations` of NAS-Bench-201's columns on the cells that VKDNW's paper judges: no operation leads nowhere."""
    found = {}
    for column, one in data.items():
        if COLUMNS[column][0] == "nb201":
            found[column] = correlations(one, resamples, _on_a_path(one))
    return found


def by_size_of_noise(data: Mapping[str, Data]) -> pd.DataFrame:
    """Tau of the aggregates for ImageNet16-120 on VKDNW's cells, a row each: by noise of 16 and of 32 pixels, and as printed.

    Its networks are CIFAR-10's but for the classifier, so that 32 pixels are CIFAR-10's scores. Empty without both columns.
    """
    ten, sixteen = (data.get(column) for column in ("NB201-CF10", "NB201-IMG16"))
    if ten is None or sixteen is None:
        return pd.DataFrame()
    keep = _on_a_path(sixteen)
    tables = {"16 pixels": scores_of(sixteen, keep), "32 pixels": scores_of(sixteen, keep, _stored(ten))}
    taus = {
        size: {name: metrics.kendall(table[name].to_numpy(), sixteen.judged[keep]) for name in AGGREGATES if name in table}
        for size, table in tables.items()
    }
    return pd.DataFrame(taus).assign(printed=pd.Series({name: PRINTED[name][2] for name in AGGREGATES}))


def rows(
    found: Mapping[str, pd.DataFrame], data: Mapping[str, Data], profile: str, theirs: Mapping[str, pd.DataFrame] | None = None
) -> list[Row]:
    """Each of `correlations` as a row of the table; found, data, theirs (`on_their_cells`): by column."""
    made = []
    parts = [(column, "", lines) for column, lines in found.items()]
    parts += [(column, THEIRS, lines) for column, lines in (theirs or {}).items()]
    for column, behind, lines in parts:
        width, which = COLUMNS[column][2], " without an operation that leads nowhere" if behind else ""
        about = f"n cells{which}, interval over cells" + (f"; networks of {width} channels" if width else "")
        for line in lines.to_dict("records"):
            note = f"{about}; {data[column].note}"
            if line["not_finite"]:
                note += f"; {line['not_finite']} cells without a finite score " + (
                    "stand last" if line["metric"] == "ndcg" else "left out"
                )
            made.append(
                Row(
                    TABLE, line["score"], column + behind, line["metric"], line["value"], n=line["n"], ci_low=line["ci_low"],
                    ci_high=line["ci_high"], profile=profile, origin="ours", note=note,
                )
            )  # fmt: skip
    return made


def with_intervals(found: Mapping[str, pd.DataFrame], printed: bool = False) -> pd.DataFrame:
    """A row a score, a column a benchmark: "70.1 [68.8, 71.5] (71.2)", our tau, its interval and, if asked, the printed tau."""
    known = {row: dict(zip(COLUMNS, values, strict=False)) for row, values in PRINTED.items()} if printed else {}
    cells: dict[str, dict[str, str]] = {}
    for column, lines in found.items():
        for line in lines[lines["metric"] == "kendall"].to_dict("records"):
            said = beside(line["value"], line["ci_low"], line["ci_high"], known.get(line["score"], {}).get(column, np.nan))
            cells.setdefault(line["score"], {})[column] = said
    return pd.DataFrame.from_dict(cells, orient="index").reindex(columns=list(found)).fillna("–")


def by_metric(found: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """The metric of each score (rows) in each column, percent."""
    return pd.DataFrame({column: lines[lines["metric"] == metric].set_index("score")["value"] for column, lines in found.items()})


def best(found: Mapping[str, pd.DataFrame], metric: str, among: Sequence[str] | None = None) -> dict[str, tuple[str, float]]:
    """{column: (score with the highest value of the metric, that value)}; among: the scores looked at (None: all)."""
    chosen = {}
    for column, lines in found.items():
        values = lines[lines["metric"] == metric].set_index("score")["value"].dropna()
        values = values if among is None else values[values.index.isin(among)]
        if len(values):
            chosen[column] = (str(values.idxmax()), float(values.max()))
    return chosen


def far_from_print(theirs: Mapping[str, pd.DataFrame]) -> str:
    """A sentence: how far our tau on VKDNW's cells is from the printed one. Printed FLOPs leave pooling out: beside Params."""
    columns, gaps = list(COLUMNS), {}
    for column, lines in theirs.items():
        ours = lines[lines["metric"] == "kendall"].set_index("score")["value"]
        for name, values in PRINTED.items():
            here = ORDERED_AS.get(name, name)
            if here in ours:
                gaps[column, name] = (float(ours[here]), values[columns.index(column)])
    if not gaps:
        return ""
    far = {key: ours - printed for key, (ours, printed) in gaps.items()}
    column, name = max(far, key=lambda key: abs(far[key]))
    mine, theirs_tau = gaps[column, name]
    return (
        f"**As printed?** On VKDNW's cells our tau is {np.mean(list(far.values())):+.1f} points from the printed one on average "
        f"of {len(far)} values; the farthest is {name} on {column}, {mine:.1f} where {theirs_tau:.1f} is printed."
    )


def conclusions(found: Mapping[str, pd.DataFrame], theirs: Mapping[str, pd.DataFrame] | None = None) -> list[str]:
    """What the block says, a sentence each; theirs: of `on_their_cells`."""
    earlier, since = [PROXY_LABELS[name] for name in EARLIER], [*LABELS.values()]
    said = []
    for what, among in (("since the paper", since), ("aggregated", list(AGGREGATES)), ("of Table 1, on these cells", earlier)):
        tau, top = best(found, "kendall", among), best(found, "ndcg", among)
        parts = [
            f"{column} {name} {value:.1f} (nDCG {top[column][0]} {top[column][1]:.0f})" for column, (name, value) in tau.items()
        ]
        if parts:
            said.append(f"**Best {what}**: tau {'; '.join(parts)}.")
    trained = _parzc(found)
    if trained:
        parts = [f"{column} {value:.1f}" for column, value in trained.items()]
        said.append(f"**ParZC** of Table 1, which learns from 600 labels: {', '.join(parts)} (committed, profile `full`).")
    return [*said, *filter(None, [far_from_print(theirs or {})])]


def _parzc(found: Mapping[str, Any]) -> dict[str, float]:
    """ParZC's tau of Table 1 in each column, from the committed rows."""
    known = read_rows("table01", "full", committed())
    part = known[(known["row"] == "ParZC") & (known["metric"] == "kendall")].set_index("column")["value"]
    return {column: float(part[column]) for column in found if column in part}


def taus(found: Mapping[str, pd.DataFrame], theirs: Mapping[str, pd.DataFrame] | None = None) -> Figure:
    """Kendall's tau with its interval, a panel a benchmark: of Table 1, since then, aggregated; printed values, and ParZC.

    theirs: of `on_their_cells`, drawn beside the printed values.
    """
    names = [*(PROXY_LABELS[name] for name in EARLIER), *LABELS.values(), *AGGREGATES]
    colours = {**dict.fromkeys(AGGREGATES, GREEN), **dict.fromkeys(LABELS.values(), BLUE)}
    figure = new_figure(2.4 + 2.5 * max(1, len(found)), 1.8 + 0.3 * len(names))
    axes = figure.subplots(1, max(1, len(found)), squeeze=False, sharey=True)[0]
    trained = _parzc(found)
    for at, (ax, (column, lines)) in enumerate(zip(axes, found.items(), strict=False)):
        part = lines[lines["metric"] == "kendall"].set_index("score")
        for place, name in enumerate(names):
            if name in part.index:
                line, colour = part.loc[name], colours.get(name, GREY)
                ax.plot([line["ci_low"], line["ci_high"]], [place, place], color=colour, linewidth=3, alpha=0.5)
                ax.plot(line["value"], place, "o", color=colour, markersize=6)
            if name in PRINTED and at < len(PRINTED[name]) and column.startswith("NB201"):
                ax.plot(PRINTED[name][at], place, "D", markerfacecolor="none", markeredgecolor="black", markersize=6)
        if theirs and column in theirs:
            here = theirs[column][theirs[column]["metric"] == "kendall"].set_index("score")["value"]
            there = [(here[name], place) for place, name in enumerate(names) if name in here]
            ax.plot(*zip(*there, strict=True), "x", color="black", markersize=5)
        if column in trained:
            ax.axvline(trained[column], color=VERMILION, linestyle="--", linewidth=1.2)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set(title=column, xlabel="Kendall's τ (%)")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    marks = [
        Line2D([], [], marker="o", color=GREY, label="in Table 1"),
        Line2D([], [], marker="o", color=BLUE, label="since then"),
        Line2D([], [], marker="o", color=GREEN, label="aggregate of ranks"),
        Line2D([], [], marker="D", color="black", linestyle="", markerfacecolor="none", label="printed by VKDNW"),
        Line2D([], [], marker="x", color="black", linestyle="", label="ours on VKDNW's cells"),
        Line2D([], [], color=VERMILION, linestyle="--", label="ParZC, 600 labels"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure
