"""What an order without labels reads of untrained networks: votes, of which more is expected to be better, and features by node.

    found = inputs(PLACES["NB201-CF10"], 300)       # a `Networks`: no accuracy is read

votes       the layers and the weights that get a gradient, every committed network-level score that nine tenths of the networks
            have, and how many nodes a proxy is spread over (the exponential of the entropy of the nodes' shares).
features    of each node-wise proxy, as logarithms of a node's value and of its mean over weights: mean, spread, least, total,
            entropy of the shares, slope along depth, thirds of the depth, jumps between neighbours. A column is a rank.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from parzc_core import labels, paths
from parzc_core.collecting.labelled import folder_name, unlabelled
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs import vit_data
from parzc_core.spaces import nb201
from parzc_core.storage.statistics import Collection, StatisticsStore

COMMON = 0.9  # share of the networks that must have a score for it to vote
SPREADS = ("fisher", "grad_norm", "l2_norm", "snip", "synflow")  # GraSP and Plain are noise of the seed to a large part
PIECE = 1000  # networks whose nodes are read at once
VIT_TRUTHS = (("cifar100", "distilled"), ("imagenet", "supernet"))
COUNTS = ("layers", "weights", "log weights")


@dataclass(frozen=True)
class Place:
    """A space with a data set. family: places of one family share architectures, so that none is chosen on another."""

    family: str
    space: str
    dataset: str
    width: int | None = None
    truth: vit_data.Truth | None = None


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks of one place, without labels.

    votes: float64[n, V], index architectures, a column a vote. features: float32[n, F], ranks as shares in (0, 1]; 0.5 where the
    space lacks the statistic. names: of the F columns, the same in every place.
    """

    family: str
    votes: pd.DataFrame
    features: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.votes)

    def front(self, count: int, votes: Sequence[str]) -> "Networks":
        """The first `count` of them, and these votes."""
        return Networks(self.family, self.votes.iloc[:count][list(votes)], self.features[:count], self.names)


def _places() -> dict[str, Place]:
    found = {
        "NB201-CF10": Place("NB201", "nb201", "cifar10"),
        "NB201-CF100": Place("NB201", "nb201", "cifar100"),
        "NB201-IMG16": Place("NB201", "nb201", "imagenet16-120"),
        "NB101-CF10": Place("NB101", "nb101", "cifar10"),
        "NB301-CF10": Place("NB301", "nb301", "cifar10", 12),
        "DARTS, made here": Place("NDS", "nds_darts", "fashion-mnist"),
        "ENAS, made here": Place("NDS", "nds_enas", "fashion-mnist"),
        "NASNet, made here": Place("NDS", "nds_nasnet", "fashion-mnist"),
    }
    kept = (truth for truth in vit_data.truths() if (truth.dataset, truth.source) in VIT_TRUTHS)
    return found | {truth.column: Place(truth.space, truth.space, truth.dataset, None, truth) for truth in kept}


PLACES = _places()


@lru_cache(maxsize=32)
def inputs(place: Place, cells: int | None = None) -> Networks:
    """The first `cells` networks of a place (None: all). No label is read, but of ViT which networks have one."""
    collection = _collection(place, cells)
    parts = [
        node_table(collection.statistics[i : i + PIECE]) for i in range(0, len(collection.statistics), PIECE)
    ]
    table = pd.concat(parts, ignore_index=True)
    votes = table[[*COUNTS, *(f"{proxy}, nodes" for proxy in SPREADS)]].set_axis(collection.archs)
    scores = collection.scores.astype(float).set_axis(collection.archs)
    if "flops" in scores and place.space == "nb201":
        scores["flops"] = [float(nb201.flops(arch)) for arch in collection.archs]  # pooling counts, as in the benchmark
    there = [str(name) for name in scores if np.isfinite(scores[name]).mean() >= COMMON]
    ranks = rank_shares(table.drop(columns=[name for name in votes if name not in COUNTS]))
    return Networks(place.family, pd.concat([votes, scores[there]], axis=1), ranks.to_numpy(np.float32), tuple(map(str, ranks)))


def accuracy(place: Place, archs: Sequence[str], judged: bool) -> tuple[np.ndarray, str]:
    """float64[n] percent, and where it is from: what `judged` networks are judged on, else what a choice may learn from."""
    if place.truth is not None:
        known = labels.accuracy(place.space, place.dataset, "test", place.truth.source)
        return known.loc[list(archs)].to_numpy(), vit_data.note(place.truth, len(archs))
    if judged:
        known, _, provenance = labels.judged(place.space, place.dataset)
    else:
        known, _, provenance = labels.learned(place.space, place.dataset)
    return known.loc[list(archs)].to_numpy(), str(provenance["note"])


def _collection(place: Place, cells: int | None) -> Collection:
    if place.truth is None:
        store = StatisticsStore(paths.STATISTICS / place.space / folder_name(place.dataset, place.width))
        some = None if cells is None else min(cells, store.complete())
        return unlabelled(place.space, place.dataset, some, place.width).collection
    found = vit_data.read(place.truth, vit_data.SEEDS[:1], cells)
    if not found:
        raise BadInput(f"too few networks of {place.truth.column} are collected; see `parzc status`")
    return found[vit_data.SEEDS[0]].collection


def rank_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Each column as ranks in (0, 1], ties shared, a missing value the least; 0.5 where a column has no value."""
    finite = table.where(np.isfinite(table))
    ranks = finite.rank(pct=True).fillna(0.0)
    ranks.loc[:, ~finite.notna().any()] = 0.5
    return ranks


def node_table(statistics: Sequence[NodeStatistics]) -> pd.DataFrame:
    """float64[n, ...]: the columns of `votes` and `features` that are made of node statistics; NaN where a proxy lacks."""
    values, numel = _padded(statistics)
    norm = values[:, NODE_PROXIES.index("grad_norm")]
    live = np.isfinite(norm) & (norm > 0)
    count = live.sum(axis=1)
    depth = (np.cumsum(live, axis=1) - 1) / np.maximum(count - 1, 1)[:, None]
    size = np.where(live, np.log(np.where(live, numel, 1.0)), np.nan)
    with warnings.catch_warnings(action="ignore"):  # a network without a live node, a space without the proxy
        columns = {"layers": count.astype(float), "weights": np.log1p(np.where(live, numel, 0).sum(axis=1))}
        columns["log weights"] = np.nansum(size, axis=1)
        for k, proxy in enumerate(NODE_PROXIES):
            magnitude = np.abs(values[:, k])
            there = live & np.isfinite(magnitude) & (magnitude > 0)
            logs = np.where(there, np.log(np.where(there, magnitude, 1.0)), np.nan)
            for name, each in ((proxy, logs), (f"{proxy} a weight", logs - size)):
                columns |= {f"{name}, {what}": column for what, column in _summaries(each, depth).items()}
    return pd.DataFrame(columns)


def _summaries(logs: np.ndarray, depth: np.ndarray) -> dict[str, np.ndarray]:
    """Of natural logarithms [n, L] along the execution, NaN where a node is missing, at relative depths [n, L]."""
    high = np.nanmax(logs, axis=1)
    shares = np.nan_to_num(np.exp(logs - high[:, None]))
    total = shares.sum(axis=1)
    shares /= np.maximum(total, 1e-300)[:, None]
    mean = np.nanmean(logs, axis=1)
    centred = np.where(np.isfinite(logs), depth, np.nan)
    centred = centred - np.nanmean(centred, axis=1)[:, None]
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    found = {
        "mean": mean,
        "spread": np.nanstd(logs, axis=1),
        "least": np.nanmin(logs, axis=1),
        "total": high + np.log(total),
        "sum of logs": np.where(np.isfinite(mean), np.nansum(logs, axis=1), np.nan),
        "nodes": np.where(np.isfinite(mean), entropy, np.nan),
        "slope": np.nansum(centred * (logs - mean[:, None]), axis=1) / np.nansum(centred**2, axis=1),
        "jumps": np.nanmean(np.abs(np.diff(_last_known(logs), axis=1)), axis=1),
    }
    for third in range(3):
        inside = (depth >= third / 3) & ((depth < (third + 1) / 3) | (third == 2))
        found[f"third {third + 1}"] = np.nanmean(np.where(inside, logs, np.nan), axis=1)
    return found


def _last_known(logs: np.ndarray) -> np.ndarray:
    """Each missing value replaced by the one before it."""
    place = np.maximum.accumulate(np.where(np.isfinite(logs), np.arange(logs.shape[1]), 0), axis=1)
    return np.take_along_axis(logs, place, axis=1)


def _padded(statistics: Sequence[NodeStatistics]) -> tuple[np.ndarray, np.ndarray]:
    """float64[n, K, L] of NODE_PROXIES and [n, L] weight entries in execution order; NaN beyond a network's nodes."""
    longest = max(len(one.nodes) for one in statistics)
    values = np.full((len(statistics), len(NODE_PROXIES), longest), np.nan)
    numel = np.full((len(statistics), longest), np.nan)
    for i, one in enumerate(statistics):
        order = np.array(one.execution_order)
        rows = [NODE_PROXIES.index(proxy) for proxy in one.proxies if proxy in NODE_PROXIES]
        values[i, rows, : len(order)] = np.stack([one.of(NODE_PROXIES[k]) for k in rows])[:, order]
        numel[i, : len(order)] = one.numel[order]
    return values, numel
