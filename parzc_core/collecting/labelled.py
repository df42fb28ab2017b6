"""Collected statistics joined with published accuracies: what every ranker and predictor learns from and is judged on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from parzc_core import labels, paths
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, LabelsMissing, whole
from parzc_core.spaces import stacked_graphs
from parzc_core.storage.statistics import Collection, StatisticsStore, gc_paused


class Unlabelled(Protocol):
    """What a ranker reads of n architectures: node statistics, and their graphs stacked (see `stacked_graphs`)."""

    @property
    def statistics(self) -> Sequence[NodeStatistics]: ...
    @property
    def adjacency(self) -> np.ndarray: ...
    @property
    def operations(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Cells:
    """A collection with its graphs stacked, positions in the same order, and no label."""

    collection: Collection
    adjacency: np.ndarray
    operations: np.ndarray

    def __len__(self) -> int:
        return len(self.collection.archs)

    @property
    def statistics(self) -> Sequence[NodeStatistics]:
        """Of the collection."""
        return self.collection.statistics


@dataclass(frozen=True, eq=False)
class Data:
    """A collection with its labels, positions in the same order.

    learn: float64[n], what rankers learn from; `learned_from` says which: validation accuracy ("val") where it is at hand.
    judged: float64[n], what they are judged on: test accuracy where it is at hand, else validation accuracy; `judged_on` says
    which, `note` is the text for every row. origin: "recreated" where the labels are inferred (seeds="trained" from means).
    """

    collection: Collection
    learn: np.ndarray
    judged: np.ndarray
    judged_on: str
    note: str
    adjacency: np.ndarray
    operations: np.ndarray
    learned_from: str = "val"
    origin: str = "reproduced"

    def __len__(self) -> int:
        return len(self.learn)

    @property
    def statistics(self) -> Sequence[NodeStatistics]:
        """Of the collection."""
        return self.collection.statistics


def load(
    space: str = "nb201",
    dataset: str = "cifar10",
    cells: int | None = None,
    width: int | None = None,
    seeds: Literal["mean", "trained"] = "mean",
) -> Data:
    """Committed statistics of `cells` architectures with their labels. Raises BadInput, LabelsMissing, CorruptShard.

    width, seeds: as in RankerRun. The statistics are those of `unlabelled`. The arrays are shared and
    read-only: copy one to change it.
    """
    for name, got in (("space", space), ("dataset", dataset), ("seeds", seeds)):
        if not isinstance(got, str):
            raise BadInput(f"got {name}={got!r:.80}; expected a name")
    for name, count in (("cells", cells), ("width", width)):
        if count is not None:
            whole(name, count, 1)
    return _labelled(space, dataset, cells, width, seeds)


@lru_cache(maxsize=8)
@gc_paused()
def _labelled(
    space: str, dataset: str, cells: int | None, width: int | None, seeds: Literal["mean", "trained"]
) -> Data:
    there = unlabelled(space, dataset, cells, width)
    collection = there.collection
    truth, judged_on, provenance = labels.judged(space, dataset, seeds)
    known, learned_from, source = labels.learned(space, dataset, seeds)
    return Data(
        collection,
        _shared(known.loc[collection.archs].to_numpy()),
        _shared(truth.loc[collection.archs].to_numpy()),
        judged_on,
        provenance["note"] if learned_from == "val" else f"{source['note']}; {provenance['note']}",
        there.adjacency,
        there.operations,
        learned_from,
        "recreated" if provenance.get("inferred") else "reproduced",
    )


def unlabelled(space: str = "nb201", dataset: str = "cifar10", cells: int | None = None, width: int | None = None) -> Cells:
    """Committed statistics of `cells` architectures (None: all) without their labels. Raises BadInput, CorruptShard.

    They are read from the checkout (see `paths`): results/statistics/SPACE/DATASET. Scores that cost more are collected for a
    part of the sample, in scores/DATASET/ beside the statistics.
    """
    name = folder_name(dataset, width)
    if not (paths.STATISTICS / space / name).is_dir():
        paths.checkout(f"the committed statistics of {space} {name}")
    return _cells(paths.STATISTICS, space, name, cells)


@lru_cache(maxsize=8)
def _cells(statistics: Path, space: str, name: str, cells: int | None) -> Cells:
    collection = StatisticsStore(statistics / space / name).read(cells)
    for manifest in sorted((statistics / space / "scores" / name).glob("*/manifest.json")):
        collection = collection.with_scores(StatisticsStore(manifest.parent).read())
    adjacency, operations = stacked_graphs(space, collection.archs)
    return Cells(collection, _shared(adjacency), _shared(operations))


def _shared(array: np.ndarray) -> np.ndarray:
    """The array, read-only: the next caller is given the same."""
    array.setflags(write=False)
    return array


def folder_name(dataset: str, width: int | None = None) -> str:
    """Where statistics are kept, below the space's folder."""
    return dataset if width is None else f"{dataset}-width{width}"


def training_cells(count: int, train: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training cells and of the judged ones, drawn by `split`. Raises BadInput if none would be left."""
    if not 2 <= train < count:
        raise BadInput(f"got {train} training cells of {count}; expected at least 2 and fewer than there are")
    order = np.random.default_rng(split).permutation(count)
    return np.sort(order[:train]), np.sort(order[train:])


@lru_cache(maxsize=64)
def columns_read(collection: Collection, proxies: tuple[str, ...] = (), scores: tuple[str, ...] = ()) -> str:
    """16 hex digits that stand for the architectures of a collection and for those of its columns that a run reads.

    proxies: node-wise ones; scores: network-level ones. Other columns do not count: a new proxy beside them changes nothing.
    Raises BadInput for a column that was not collected.
    """
    digest = hashlib.sha256("\n".join(collection.archs).encode())
    for name in (*proxies, *scores):
        digest.update(f"\n{name}".encode())
    if proxies:
        for one in collection.statistics:
            digest.update("\n".join(one.nodes).encode())
            digest.update(np.stack([one.of(proxy) for proxy in proxies]).astype("<f8").tobytes())
    for name in scores:
        if name not in collection.scores:
            raise BadInput(f"the score {name!r} was not collected; there are {', '.join(map(str, collection.scores))}")
        digest.update(collection.scores[name].to_numpy(dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def read_of(data: Data, proxies: tuple[str, ...] = (), scores: tuple[str, ...] = ()) -> dict[str, str]:
    """What a run reads of a collection, as part of its key: the columns (see `columns_read`) and which labels."""
    columns = columns_read(data.collection, proxies, scores)
    return {"statistics": columns, "learned_from": data.learned_from, "judged_on": data.judged_on}


def judgeable(space: str, dataset: str, width: int | None = None) -> int:
    """Number of architectures with statistics, complete from the front; 0 where nothing was collected, or labels are missing."""
    try:
        labels.judged(space, dataset)
    except LabelsMissing:
        return 0
    return StatisticsStore(paths.STATISTICS / space / folder_name(dataset, width)).complete()
