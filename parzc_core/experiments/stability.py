"""How far statistics move with initial weights, mini-batch and kind of image (limitation 3).

`runs.variants` reads the same cells, collected in several ways. Proxies are compared by `taus_between` and `shares`, single
nodes by `node_spread`; rankers by `stability_rankers`.
"""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.drawing.style import BLUE, GREEN, GREY, ORANGE, VERMILION, draw_stages, expect, new_figure
from parzc_core.encoding import log_magnitude, slotted_logs
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs.variants import Variant, comparisons, groups, scores
from parzc_core.spaces import space as space_named
from parzc_core.storage.rows import Row

ROUNDING = 1e-6  # decades; stored values are rounded to less (storage.statistics.KEPT_BITS)
# What differs -> marker and colour.
MARKS = {
    "real, init": ("o", BLUE),
    "real, batch": ("s", GREEN),
    "noise, init": ("^", VERMILION),
    "noise, batch": ("v", ORANGE),
}


def _group(data: Mapping[Variant, Data], name: str) -> list[Variant]:
    found = groups(list(data))
    if name not in found:
        raise BadInput(f"got the group {name!r}; there are {', '.join(found) or 'none'}: run what `commands_to_collect` gives")
    return found[name]


def shared_images(data: Mapping[Variant, Data]) -> list[int]:
    """How many images two mini-batches of real images have in common, for every pair of those that are there."""
    members = groups(list(data)).get("real, batch", [])
    files = [set(data[v].collection.manifest["image_batch"]["files"]) for v in members]
    return [len(a & b) for a, b in itertools.combinations(files, 2)]


def taus_between(data: Mapping[Variant, Data]) -> pd.DataFrame:
    """Mean Kendall's tau, percent, between a proxy's scores in two variants: a row a proxy, a column a comparison."""
    pairs = comparisons(list(data))
    pairs.pop("noise to real", None)  # tau is symmetric
    return pd.DataFrame(
        {
            proxy: {
                name: np.mean([metrics.kendall(s[a.name].to_numpy(), s[b.name].to_numpy()) for a, b in both])
                for name, both in pairs.items()
            }
            for proxy, s in scores(data).items()
        }
    ).T


def summary(taus: pd.DataFrame, groups: Mapping[str, list[str]]) -> pd.DataFrame:
    """Mean and range of tau over the variants of each group: a row a proxy. taus: of `taus`; groups: {name: variants}."""
    return pd.DataFrame(
        {
            f"{name}: {what}": taus[members].agg(how, axis=1)
            for name, members in groups.items()
            for what, how in (("mean", "mean"), ("range", np.ptp))
        }
    )


def variance_shares(values: np.ndarray) -> tuple[float, float, float, int]:
    """Where the variance of values float[n cells, k seeds] lies, percent: (between cells, seeds, rest), and cells used.

    "between cells" is the intraclass correlation ICC(2,1) of Shrout & Fleiss (1979), from the mean squares of the two-way
    table; "seeds" moves all cells alike, so no ranking sees it; "rest" is what moves cells against each other. A component
    estimated below 0 counts as 0. Cells with a value that is not finite are left out; NaN for fewer than two of either.
    """
    table = values[np.isfinite(values).all(axis=1)]
    n, k = table.shape
    if n < 2 or k < 2:
        return np.nan, np.nan, np.nan, n
    mean, of_cell, of_seed = table.mean(), table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    rest = float(((table - of_cell - of_seed + mean) ** 2).sum() / ((n - 1) * (k - 1)))
    cells = max(0.0, (k * float(of_cell.var(ddof=1)) - rest) / k)
    seeds = max(0.0, (n * float(of_seed.var(ddof=1)) - rest) / n)
    whole = cells + seeds + rest
    return (100 * cells / whole, 100 * seeds / whole, 100 * rest / whole, n) if whole else (np.nan, np.nan, np.nan, n)


def shares(data: Mapping[Variant, Data], group: str) -> pd.DataFrame:
    """`variance_shares` of log10 |score| over the variants of a group, a row a proxy; columns cells, seeds, rest, n.

    Raises BadInput for a group of which fewer than two variants are there.
    """
    members = [v.name for v in _group(data, group)]
    rows = {proxy: variance_shares(log_magnitude(s[members].to_numpy())) for proxy, s in scores(data).items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["cells", "seeds", "rest", "n"])


def node_spread(
    data: Mapping[Variant, Data], group: str = "real, init", proxies: Sequence[str] = NODE_PROXIES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(spread, relative): each a row a slot, a column a proxy; NaN where no cell has a value in every variant of the group.

    spread: std (ddof 1) over the group's variants of log10 |value|, in decades, averaged over the cells that have the node.
    relative: spread over the std between those cells of their means, so 1 where seeds move a node as much as cells differ;
    NaN too where the cells do not differ by more than values are rounded in the store. Raises BadInput as `shares`.
    """
    slots = list(space_named("nb201").SLOTS)
    collections = [data[variant].collection for variant in _group(data, group)]
    logs = np.stack([slotted_logs(one.statistics, proxies, slots) for one in collections])  # [k, n, K, L]
    with warnings.catch_warnings(action="ignore"):  # slots that no cell fills
        spread = np.nanmean(logs.std(axis=0, ddof=1), axis=0)
        between = np.nanstd(logs.mean(axis=0), axis=0, ddof=1)
    relative = np.divide(spread, between, out=np.full_like(spread, np.nan), where=between > ROUNDING)
    return pd.DataFrame(spread.T, slots, list(proxies)), pd.DataFrame(relative.T, slots, list(proxies))


def rows(taus: pd.DataFrame, cells: int, note: str, profile: str) -> list[Row]:
    """Tau of every proxy in every variant as rows. taus: of `taus`, over so many cells."""
    about: dict[str, Any] = {"n": cells, "profile": profile, "origin": "ours", "note": f"n cells; {note}"}
    return [
        Row("stability", PROXY_LABELS[str(proxy)], str(variant), "kendall", tau, **about)
        for proxy, line in taus.to_dict("index").items()
        for variant, tau in line.items()
    ]


def rows_of_draws(moved: Mapping[str, pd.DataFrame], notes: Mapping[str, str], profile: str) -> list[Row]:
    """How far each proxy's tau moves with other weights and images: range and std over draws, points, as rows.

    moved: {column of Table 1: of `draws.over_draws`}. notes: {column: what judges}.
    """
    rows = []
    for column, table in moved.items():
        taus = table.reset_index()
        for m in taus[taus["metric"] == "kendall"].to_dict("records"):
            note = f"over n draws of {m['cells']} cells that differ in {m['source']}; {notes[column]}"
            about: dict[str, Any] = {"n": int(m["draws"]), "runs": int(m["draws"]), "note": note, "origin": "ours"}
            numbers = {"range of kendall": m["greatest"] - m["least"], "std of kendall": m["std"]}
            for what, number in numbers.items():
                rows.append(Row("stability", PROXY_LABELS[m["proxy"]], column, what, number, profile=profile, **about))
    return rows


def draws_table(rows: Sequence[Row]) -> pd.DataFrame:
    """`rows_of_draws` as a table: a row a proxy, in the order of Table 1; columns (column, "range" or "std")."""
    values = [(one.row, one.column, one.metric.split()[0], one.value) for one in rows]
    found = pd.DataFrame(values, columns=["row", "column", "what", "value"])
    table = found.pivot(index="row", columns=["column", "what"], values="value")
    return table.reindex([label for label in PROXY_LABELS.values() if label in table.index])


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
    left.set_title("Each mark is one collection of the same cells", pad=8)
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
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("")
    right.set_ylabel("std over initialisations of log₁₀ |value|")
    right.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=7, fontsize=9, columnspacing=1, handletextpad=0.2
    )
    return figure
