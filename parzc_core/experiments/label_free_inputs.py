"""What an order without labels reads of untrained networks: votes, of which more is expected to be better, and features by node.

    found = inputs(PLACES["NB201-CF10"], 300)       # a `Networks`: no accuracy is read

votes       of `predictors.label_free`.
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
from parzc_core.predictors.label_free import SPREADS, Nodes, entropy, rank_shares, shares, votes_of_cells
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs import vit_data
from parzc_core.storage.statistics import Collection, StatisticsStore

PIECE = 1000  # networks whose nodes are read at once
VIT_TRUTHS = (("cifar100", "distilled"), ("imagenet", "supernet"))


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
    parts = [node_table(collection.statistics[i : i + PIECE]) for i in range(0, len(collection.statistics), PIECE)]
    table = pd.concat(parts, ignore_index=True)
    ranks = rank_shares(table.drop(columns=[f"{proxy}, nodes" for proxy in SPREADS]))
    return Networks(
        place.family, votes_of_cells(collection, place.space), ranks.to_numpy(np.float32), tuple(map(str, ranks))
    )


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


def node_table(statistics: Sequence[NodeStatistics]) -> pd.DataFrame:
    """float64[n, ...]: COUNTS, and the columns of `features` that are made of node statistics; NaN where a proxy lacks."""
    nodes = Nodes.of(statistics)
    depth = (np.cumsum(nodes.live, axis=1) - 1) / np.maximum(nodes.live.sum(axis=1) - 1, 1)[:, None]
    columns = nodes.counts()
    with warnings.catch_warnings(action="ignore"):  # a network without a live node, a space without the proxy
        for proxy in NODE_PROXIES:
            logs = nodes.logs(proxy)
            for name, each in ((proxy, logs), (f"{proxy} a weight", logs - nodes.log_numel)):
                columns |= {f"{name}, {what}": column for what, column in _summaries(each, depth).items()}
    return pd.DataFrame(columns)


def _summaries(logs: np.ndarray, depth: np.ndarray) -> dict[str, np.ndarray]:
    """Of natural logarithms [n, L] along the execution, NaN where a node is missing, at relative depths [n, L]."""
    mean = np.nanmean(logs, axis=1)
    centred = np.where(np.isfinite(logs), depth, np.nan)
    centred = centred - np.nanmean(centred, axis=1)[:, None]
    found = {
        "mean": mean,
        "spread": np.nanstd(logs, axis=1),
        "least": np.nanmin(logs, axis=1),
        "total": shares(logs)[1],
        "sum of logs": np.where(np.isfinite(mean), np.nansum(logs, axis=1), np.nan),
        "nodes": entropy(logs),
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
