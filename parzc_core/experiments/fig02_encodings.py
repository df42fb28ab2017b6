"""Figures 2 and 5 by encoding, space and seed: is importance larger in deeper nodes?

    found = run_all(planned("full"), folder / "runs.jsonl", jobs)
    print(*sentences(table(found)), sep="\\n")

The paper's encoding puts the nodes of an architecture into the input in depth-first order and pads the end (§3.2). The search
starts at the classifier, so the first places hold the deepest nodes, the same layers in every architecture; later ones hold
another layer in each, or nothing. Depth is therefore measured (`depth_of_places`). In the encoding "slots" a place is one layer.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split

from parzc_core import metrics
from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data, judgeable, read_of
from parzc_core.drawing.style import BACKDROP, BLUE, expect, new_figure
from parzc_core.encoding import encode
from parzc_core.errors import UnknownName
from parzc_core.experiments.fig02_05_importance import FIGURES, PROXIES, GBDTConfig, settings, slotted
from parzc_core.paper import PROXY_LABELS
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.proxies import column_of
from parzc_core.spaces import space as space_named
from parzc_core.storage.rows import Row, row_of_runs, summarise

VERSION = 1  # of the stored runs
SPACES = {"nb201": "NAS-Bench-201", "nb101": "NAS-Bench-101"}
WIDTHS = {"nb201": None, "nb101": 32}  # space -> width of the networks whose statistics are read
# Cells of each space; trees on all 15,625 of NAS-Bench-201 take three times as long.
CELLS = {"nb201": 5000, "nb101": 2000}
SEEDS = {"smoke": 2, "standard": 2, "full": 3, "paper": 3}
ROWS = {"paper": "GBDT", "slots": "GBDT (own slots)"}  # encoding -> row
WORDS = {"paper": "in the paper's encoding", "slots": "with a place of its own for every layer"}
# What is taken from the importance of L places.
MEASURES = {
    "depth_trend": "Spearman's rho of a place's importance with the mean depth of the nodes there",
    "place_trend": "Spearman's rho of a place's importance with its number in the input",
    "deep_third_share": "share of importance in the deepest third of the places",
    "shallow_third_share": "share of importance in the shallowest third of the places",
}


@dataclass(frozen=True)
class ImportanceRun:
    """The boosted trees of A.2 on one proxy's node-wise values, whose impurity importance is kept.

    cells: from the front of the sample; None takes all. encoding: "paper" or "slots". seed: of the 80/20 split and of the trees.
    Raises UnknownName.
    """

    proxy: str
    space: str = "nb201"
    encoding: str = "paper"
    cells: int | None = None
    seed: int = 42
    trees: int = 500

    def __post_init__(self) -> None:
        if self.encoding not in ROWS:
            raise UnknownName.of("encoding", self.encoding, ROWS)

    @property
    def data(self) -> Data:
        """The collection that the run reads, with its labels."""
        return labelled.load(self.space, "cifar10", self.cells, WIDTHS[self.space])

    def key(self) -> dict[str, Any]:
        """The settings, the proxy's values and the labels that are learned."""
        return {"kind": type(self).__name__, "version": VERSION, **asdict(self), **read_of(self.data, (self.proxy,))}

    def values(self) -> np.ndarray:
        """float[n, L]: the proxy's values in the encoding, scaled to [0, 1] within each architecture."""
        statistics, space = self.data.collection.statistics, space_named(self.space)
        if self.encoding == "slots":
            return slotted(statistics, self.proxy, space.SLOTS)
        return encode(statistics, "paper", [self.proxy], slots=space.SLOTS, max_nodes=space.MAX_NODES)

    def evaluate(self) -> dict[str, Any]:
        """importance: L shares, along the input, sum 1; n: architectures; seconds: CPU."""
        started, config = time.process_time(), GBDTConfig(estimators=self.trees, seed=self.seed)
        values, learn = self.values(), self.data.learn
        train, _ = train_test_split(np.arange(len(values)), test_size=config.test_share, random_state=self.seed)
        trees = GradientBoostingRegressor(
            n_estimators=self.trees, learning_rate=config.learning_rate, max_depth=config.depth, random_state=self.seed
        ).fit(values[train], learn[train])
        seconds = round(time.process_time() - started, 1)
        return {"importance": trees.feature_importances_.round(8), "n": len(values), "seconds": seconds}


def planned(profile: str) -> list[ImportanceRun]:
    """Every space at hand, both encodings, by seed; proxies of Figure 5, on NAS-Bench-101 and in small profiles of Figure 2."""
    small, seed = profile in ("smoke", "standard"), GBDTConfig().seed
    sizes, trees = profile_named(profile), settings(profile).estimators
    few = FIGURES["fig02_importance"]
    spaces = {"nb201": min(sizes.cells or CELLS["nb201"], CELLS["nb201"])}
    if not small and judgeable("nb101", "cifar10", WIDTHS["nb101"]) >= CELLS["nb101"]:
        spaces["nb101"] = CELLS["nb101"]
    return [
        ImportanceRun(proxy, space, encoding, cells, seed + place, trees)
        for space, cells in spaces.items()
        for encoding in ROWS
        for place in range(SEEDS[profile])
        for proxy in (few if small or space == "nb101" else PROXIES)
    ]


@lru_cache(maxsize=8)
def depth_of_places(space: str, encoding: str, cells: int | None) -> np.ndarray:
    """float64[L]: how deep the nodes lie that stand at each place of the input, from 0 (run first) to 1 (run last).

    Mean over the architectures that have a node there; NaN for a place that none fills. In the encoding "slots" it is the order
    of the space's layers.
    """
    found = space_named(space)
    if encoding == "slots":
        return np.linspace(0, 1, len(found.SLOTS))
    total, count = np.zeros(found.MAX_NODES), np.zeros(found.MAX_NODES)
    for one in labelled.load(space, "cifar10", cells, WIDTHS[space]).statistics:
        ranks = np.argsort(one.execution_order) / max(1, len(one.nodes) - 1)
        total[: len(ranks)] += ranks
        count[: len(ranks)] += 1
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def measures(importance: Sequence[float], depth: np.ndarray) -> dict[str, float]:
    """MEASURES of the importance of L places, percent. depth: of each, see `depth_of_places`; a rho of equal values is NaN."""
    filled = np.isfinite(depth)
    shares, order = np.asarray(importance, dtype=float)[filled], np.argsort(depth[filled], kind="stable")
    along, third = shares[order], int(filled.sum()) // 3
    places = np.flatnonzero(filled)
    values = (
        metrics.correlations(depth[filled], shares).spearman,
        metrics.correlations(places, shares).spearman,
        100 * along[len(along) - third :].sum(),
        100 * along[:third].sum(),
    )
    return dict(zip(MEASURES, map(float, values), strict=True))


def table(found: Mapping[ImportanceRun, Mapping[str, Any]]) -> pd.DataFrame:
    """A row a run: space, encoding, proxy, seed, n, and MEASURES. found: of `run_all`."""
    return pd.DataFrame(
        [
            {"space": run.space, "encoding": run.encoding, "proxy": run.proxy, "seed": run.seed, "n": result["n"]}
            | measures(result["importance"], depth_of_places(run.space, run.encoding, run.cells))
            for run, result in found.items()
        ]
    )


def rows(figure: str, runs: pd.DataFrame, notes: Mapping[str, str], profile: str) -> list[Row]:
    """Rows of a figure of FIGURES: each proxy and, as row "GBDT" or "GBDT (own slots)", their mean; an interval over seeds.

    runs: of `table`. notes: {space: which accuracy}. Column: "NB201-CF10" of the mean, "NB201-CF10, paper encoding" of a proxy.
    """
    made = []
    there = runs[runs["proxy"].isin(FIGURES[figure])]
    for (space, encoding), group in there.groupby(["space", "encoding"], sort=False):
        if set(group["proxy"]) != set(FIGURES[figure]):
            continue  # not run for all of the figure's proxies
        space, encoding = str(space), str(encoding)
        column, about = column_of(space, "cifar10"), {"profile": profile, "origin": "ours"}
        for measure, words in MEASURES.items():
            said = f"{words}, {WORDS[encoding]}; {{}}interval over seeds; {group['n'].iloc[0]} cells; {notes[space]}"
            seeds = group.groupby("seed")[measure].mean().tolist()
            whole = said.format(f"mean of {group['proxy'].nunique()} proxies; ")
            made.append(row_of_runs(figure, ROWS[encoding], column, measure, seeds, note=whole, **about))
            for proxy, one in group.groupby("proxy", sort=False):
                where = f"{column}, {'paper encoding' if encoding == 'paper' else 'own slots'}"
                values, label = one[measure].tolist(), PROXY_LABELS[str(proxy)]
                made.append(row_of_runs(figure, label, where, measure, values, note=said.format(""), **about))
    return made


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean depth trend over seeds: a row a proxy, a column a space and encoding."""
    wide = runs.pivot_table(index="proxy", columns=["space", "encoding"], values="depth_trend", sort=False)
    return wide.rename(index=PROXY_LABELS)


def sentences(runs: pd.DataFrame) -> list[str]:
    """What the depth trend says, a sentence a space and encoding."""
    said = []
    for (space, encoding), group in runs.groupby(["space", "encoding"], sort=False):
        mean, _, low, high = summarise(group.groupby("seed")["depth_trend"].mean().tolist())
        by_proxy = group.groupby("proxy")["depth_trend"].mean()
        shares = group[["shallow_third_share", "deep_third_share"]].mean()
        if low > 0:
            verdict = "Deeper nodes matter more"
        else:
            verdict = "Deeper nodes matter less" if high < 0 else "Depth makes no clear difference"
        said.append(
            f"{column_of(str(space), 'cifar10')}, {WORDS[str(encoding)]}: {verdict}. Importance and depth correlate at "
            f"{mean:.0f} % [{low:.0f}, {high:.0f}] (mean of {len(by_proxy)} proxies, interval over seeds), positively for "
            f"{(by_proxy > 0).sum()} of {len(by_proxy)} proxies. The shallowest third of the places holds "
            f"{shares.iloc[0]:.0f} % of all importance, the deepest {shares.iloc[1]:.0f} %."
        )
    return said


def sentences_of_places(cells_of: Mapping[str, int | None]) -> list[str]:
    """How far a later place of the paper's encoding is a deeper node, a sentence a space. cells_of: {space: cells}."""
    said = []
    for space, cells in cells_of.items():
        depth = depth_of_places(space, "paper", cells)
        filled = np.isfinite(depth)
        rho = metrics.correlations(np.flatnonzero(filled), depth[filled]).spearman
        said.append(
            f"{column_of(space, 'cifar10')}: place in the input and mean depth of the nodes there correlate at {rho:.0f} %."
        )
    return said


def importance_by_encoding(found: Mapping[ImportanceRun, Mapping[str, Any]], space: str = "nb201") -> Figure:
    """Importance along the input, a row of panels a proxy, the paper's encoding at the left; grey marks span the seeds."""
    runs = [run for run in found if run.space == space]
    expect(len(runs) > 0, f"importance_by_encoding got no run of {space}; give at least one")
    proxies = list(dict.fromkeys(run.proxy for run in runs))
    encodings = [name for name in ROWS if any(run.encoding == name for run in runs)]
    figure = new_figure(6.5 * len(encodings), 0.9 + 1.5 * len(proxies))
    panels = figure.subplots(len(proxies), len(encodings), squeeze=False, sharex="col")
    for line, proxy in zip(panels, proxies, strict=True):
        for ax, encoding in zip(line, encodings, strict=True):
            seeds = np.array([found[run]["importance"] for run in runs if (run.proxy, run.encoding) == (proxy, encoding)])
            places, mean = np.arange(seeds.shape[1]), seeds.mean(axis=0)
            ax.bar(places, mean, width=0.85, color=BLUE)
            ax.vlines(places, seeds.min(axis=0), seeds.max(axis=0), color="#444444", linewidth=0.8)
            where = {"transform": ax.transAxes, "va": "top", "ha": "center"}
            ax.text(0.5, 0.93, PROXY_LABELS[proxy], fontweight="bold", bbox=BACKDROP, **where)
            ax.set_ylim(0, max(float(seeds.max()) * 1.12, 1e-12))
    for ax, encoding in zip(panels[0], encodings, strict=True):
        ax.set_title(WORDS[encoding].capitalize(), pad=8)
    labels = {
        "paper": "place in the input (0: the classifier, the deepest; later ones padded)",
        "slots": "layer along depth (0: the stem; the last: the classifier, the deepest)",
    }
    for ax, encoding in zip(panels[-1], encodings, strict=True):
        ax.set_xlabel(labels[encoding])
    figure.supylabel("GBDT impurity importance", fontsize=11)
    figure.suptitle(SPACES[space], fontsize=13, fontweight="bold")
    return figure
