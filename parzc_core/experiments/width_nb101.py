"""How well the statistics of narrower, cheaper networks stand in for those of the benchmark's own width."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core import metrics
from parzc_core.collecting.labelled import Data, judgeable, load
from parzc_core.drawing.style import new_figure
from parzc_core.encoding import slotted_logs
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.profiles import profile as profile_named
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs.predictions import Prediction
from parzc_core.runs.proxies import network_scores
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.rows import Row, row_of_runs

TABLE, WIDTH = "width_nb101", 32  # channels of the narrow networks
CELLS, SHARE, EPOCHS = 1000, 0.6, 150  # the paper's protocol
MOST_SPLITS = 5


def both_widths(profile: str, width: int = WIDTH) -> tuple[Data, Data]:
    """(narrow, wide): the same cells of NAS-Bench-101 at `width` channels and at the benchmark's own."""
    count = min(judgeable("nb101", "cifar10"), profile_named(profile).cells or CELLS)
    wide = load("nb101", "cifar10", count)
    return load("nb101", "cifar10", len(wide), width), wide


def planned(profile: str, width: int = WIDTH) -> dict[int | None, list[RankerRun]]:
    """{width: a run a split}: MABN on aligned statistics of either width, None standing for the benchmark's own."""
    sizes, (_, wide) = profile_named(profile), both_widths(profile, width)
    train = round(SHARE * len(wide))
    base = RankerRun(
        "nb101",
        cells=len(wide),
        train=train,
        parts=("Mixer", "BN"),
        encoding="aligned",
        size=sizes.model,
        epochs=sizes.epochs(EPOCHS, train),
    )
    splits = range(min(sizes.splits, MOST_SPLITS))
    return {one: [replace(base, split=split, width=one) for split in splits] for one in (width, None)}


def compare_proxies(narrow: Data, wide: Data, slots: Sequence[str], proxies: Sequence[str] = NODE_PROXIES) -> pd.DataFrame:
    """A row a node-wise proxy; percent. The cells of `wide` must be the front of `narrow`'s, else BadInput.

    narrow, wide: Kendall's tau of the sum over nodes with accuracy. agreement: tau between the two sums.
    nodes: median over the slots of Spearman's rho between the two values of a node over the cells that have it (log |value|).
    """
    n = len(wide)
    if narrow.collection.archs[:n] != wide.collection.archs:
        raise BadInput("the two collections hold other cells; expected the same sample (same space and --seed)")
    sums = [network_scores(data).iloc[:n] for data in (narrow, wide)]
    logs = [slotted_logs(data.collection.statistics[:n], proxies, slots) for data in (narrow, wide)]  # float64[n, K, L]
    lines = {}
    for k, proxy in enumerate(proxies):
        few, many = (table[proxy].to_numpy() for table in sums)
        nodes = [_rho(logs[0][:, k, slot], logs[1][:, k, slot]) for slot in range(len(slots))]
        taus = (metrics.kendall(few, wide.judged), metrics.kendall(many, wide.judged), metrics.kendall(few, many))
        lines[proxy] = (*taus, float(np.nanmedian(nodes)) if np.isfinite(nodes).any() else np.nan)
    return pd.DataFrame.from_dict(lines, orient="index", columns=["narrow", "wide", "agreement", "nodes"])


def _rho(few: np.ndarray, many: np.ndarray) -> float:
    """Spearman's rho over the cells in which both are there; NaN for fewer than ten of them."""
    both = np.isfinite(few) & np.isfinite(many)
    return metrics.spearman(few[both], many[both]) if both.sum() >= 10 else np.nan


def compare_rankers(narrow: Sequence[Prediction], wide: Sequence[Prediction]) -> pd.DataFrame:
    """A row a split; Kendall's tau, percent, of the ranker on narrow and on wide statistics, and between their scores.

    Raises BadInput where the two were not judged on the same cells.
    """
    lines = []
    for few, many in zip(narrow, wide, strict=True):
        if few.archs != many.archs:
            raise BadInput(
                f"the rankers of split {few.run.split} were judged on other cells; give both the same cells and split"
            )
        taus = (metrics.kendall(p.score, p.truth) for p in (few, many))
        lines.append((few.run.split, *taus, metrics.kendall(few.score, many.score)))
    return pd.DataFrame(lines, columns=["split", "narrow", "wide", "agreement"]).set_index("split")


def rows(proxies: pd.DataFrame, rankers: pd.DataFrame, data: Data, profile: str) -> list[Row]:
    """What `compare_proxies` and `compare_rankers` found, as rows; data: those that judge."""
    rest: dict[str, Any] = {"profile": profile, "origin": "ours", "note": data.note}
    made = [
        Row(TABLE, PROXY_LABELS[str(proxy)], what, "kendall", line[what], n=len(data), **rest)
        for proxy, line in proxies.to_dict("index").items()
        for what in ("narrow", "wide", "agreement")
    ]
    return made + [
        row_of_runs(TABLE, "MABN (aligned)", str(what), "kendall", rankers[what].tolist(), **rest) for what in rankers
    ]


def conclusions(proxies: pd.DataFrame, rankers: pd.DataFrame, width: int = WIDTH) -> list[str]:
    """What both comparisons say, a sentence each. proxies: of `compare_proxies`, rankers: of `compare_rankers`."""
    mean = rankers.mean()
    agreement = proxies["agreement"].rename(index=PROXY_LABELS).sort_values()
    moved = (proxies["narrow"] - proxies["wide"]).rename(index=PROXY_LABELS)
    most = str(moved.abs().idxmax())
    return [
        f"**Rankers.** MABN has a tau of {mean['narrow']:.1f} % on the statistics of {width} channels and {mean['wide']:.1f} % "
        f"on those of 128. Their two rankings of the other cells agree with a tau of {mean['agreement']:.0f} %.",
        f"**Proxies.** A proxy's rankings at both widths agree with a tau of {agreement.iloc[2]:.0f} % or more, except for "
        f"{agreement.index[0]} ({agreement.iloc[0]:.0f} %) and {agreement.index[1]} ({agreement.iloc[1]:.0f} %). Two widths "
        "are two initialisations, and these two proxies depend most on the initialisation (`stability`).",
        f"**Correlation with accuracy** changes most for {most}: {moved[most]:+.1f} points of tau at {width} channels.",
    ]


def tau_by_width(proxies: pd.DataFrame, width: int = WIDTH) -> Figure:
    """Two bars a proxy, tau at the own width and at `width` channels, and a mark for the tau between both."""
    figure = new_figure(7, 3.8)
    ax = figure.subplots()
    places = range(len(proxies))
    ax.barh([p + 0.2 for p in places], proxies["wide"], height=0.38, label="128 channels")
    ax.barh([p - 0.2 for p in places], proxies["narrow"], height=0.38, label=f"{width} channels")
    ax.plot(proxies["agreement"], places, "D", color="black", markersize=5, label="between the two")
    ax.set(yticks=places, yticklabels=[PROXY_LABELS[p] for p in proxies.index], xlabel="Kendall's τ (%)")
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
