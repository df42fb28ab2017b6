"""Describe your own networks: collect once, from one batch, what a ranker reads of each.

    described = describe(networks, images, labels)                  # a dict of networks, or a list
    described = collect_space(space, images, labels, "folder", 200, jobs=2)   # of a space: `sample` and `build`; resumes

Both are what `NetworkRanker.fit` and `NetworkRanker.rank` take.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from parzc_core._seeding import seeded
from parzc_core._watch import tensors
from parzc_core.collector import NodeStatistics, statistics_of
from parzc_core.errors import BadInput, is_whole, names_of, seed_of, whole
from parzc_core.passes import Batch, Loss, Passes, with_passes
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.graph_features import graph_features
from parzc_core.proxies import check_node_proxies, passes_read
from parzc_core.ranker import Inputs
from parzc_core.scores import score_of
from parzc_core.spaces import Graph
from parzc_core.spaces import space as space_named
from parzc_core.storage import workers
from parzc_core.storage.filling import Made, fill
from parzc_core.storage.statistics import Record, StatisticsStore, pack

PROXIES = ("fisher", "grad_norm", "l2_norm", "snip", "synflow")  # one backward pass and Synflow's; grasp and plain add noise
COUNTS = ("params", "flops")
MODULE = "module "  # how the counts of a kind of module begin among stored scores
SHARD = 20  # networks of a space that are written together
Name = str | int
Given = nn.Module | Callable[[], nn.Module]  # a network, or what builds one


class OwnSpace(Protocol):
    """A search space of one's own: an object, or a module, with these two functions. A name of `spaces.NAMES` is one too.

    With `graph` and `OPERATIONS` as in `spaces.Space`, ParZC+ reads features of the graph beside the statistics.
    """

    def sample(self, count: int, seed: int) -> Sequence[str]:
        """`count` different architectures, as text. A longer sample begins with the shorter one, so that collecting resumes."""

    def build(self, arch: str) -> nn.Module:
        """The network of an architecture, with its random initial weights."""


@dataclass(frozen=True, eq=False)
class Described:
    """What is known of n networks without training them.

    names: of the networks; positions where none were given. statistics: of each. counts: float64[n, 2], see COUNTS.
    modules: of each, how many leaf modules of each class it has. graphs: float64[n, G], features of the space's graphs, if any.
    batch: 16 hex digits that stand for the batch.
    """

    names: tuple[Name, ...]
    statistics: tuple[NodeStatistics, ...]
    counts: np.ndarray
    modules: tuple[Mapping[str, int], ...]
    graphs: np.ndarray | None
    batch: str

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> "Described":
        """The networks at these positions."""
        picked = [int(row) for row in rows]
        names, statistics = tuple(self.names[row] for row in picked), tuple(self.statistics[row] for row in picked)
        modules, graphs = tuple(self.modules[row] for row in picked), None if self.graphs is None else self.graphs[picked]
        return Described(names, statistics, self.counts[picked], modules, graphs, self.batch)

    @property
    def index(self) -> pd.Index:
        """Of a frame with a row for each network."""
        if self.names == tuple(range(len(self))):
            return pd.RangeIndex(len(self))
        return pd.Index(list(self.names), name="name")

    @property
    def not_finite(self) -> np.ndarray:
        """int64[n], how many statistics of each are NaN or infinite."""
        return np.array([one.not_finite for one in self.statistics])

    def frame(self) -> pd.DataFrame:
        """A row for each network: nodes, params, flops, each proxy's sum over nodes, not_finite."""
        counts = pd.DataFrame(self.counts, columns=list(COUNTS)).astype(int)
        sums = pd.DataFrame([one.sums() for one in self.statistics])
        frame = pd.concat([pd.DataFrame({"nodes": [len(one.nodes) for one in self.statistics]}), counts, sums], axis=1)
        return frame.assign(not_finite=self.not_finite).set_axis(self.index)


def describe(
    networks: Sequence[Given] | Mapping[str, Given],
    images: Batch,
    labels: Any,
    proxies: Sequence[str] = PROXIES,
    *,
    names: Sequence[str] | None = None,
    space: Any = None,
    loss: Loss | None = None,
    seed: int = 0,
) -> Described:
    """Collect what a ranker reads of networks: node statistics, parameters, FLOPs, kinds of module.

    networks: modules, or {name: module}; each is left as it is. In place of a module there may be a function without arguments
    that builds it; it is called with torch's random numbers set by `seed`, and what it builds is let go at once. names: of a
    list's. images, labels, loss: one batch, the same for all, see `collect_statistics`. space: where the names are architectures
    of a space, its name or the object (`OwnSpace`). Raises BadInput: no networks, names that are not unique, a network that does
    not take the batch (which one is said); UnknownName (proxies, space).
    """
    chosen = check_node_proxies(proxies)
    if not chosen:
        raise BadInput("got no proxies; expected at least one")
    known, modules = named(networks, names)
    parts = []
    for name, module in zip(known, tqdm(modules, unit="network", disable=None), strict=True):
        with said_of(name):
            parts.append(_one(built(module, seed), images, labels, chosen, loss))
    statistics, counts, kinds = zip(*parts, strict=True)
    graphs = None if space is None else _graphs(space, [str(name) for name in known])
    return Described(known, statistics, np.array(counts), kinds, graphs, batch_digest(images, labels))


def collect_space(
    space: Any,
    images: Batch,
    labels: Any,
    folder: Path | str,
    count: int,
    *,
    proxies: Sequence[str] = PROXIES,
    seed: int = 0,
    jobs: int = 1,
    loss: Loss | None = None,
    shard_size: int = SHARD,
    about: Mapping[str, Any] | None = None,
    mix_versions: bool = False,
) -> Described:
    """`describe` a sample of a space, on several processes and kept in a folder: what was killed goes on, what is there stays.

    space: an `OwnSpace`, or a name of `spaces.NAMES`. count: of architectures. seed: of the sample and of all initial weights.
    folder: keeps the statistics (a `StatisticsStore`), `shard_size` networks written together. about: what the folder's
    manifest is to say besides, such as {"dataset": "digits"}. A loss is known there by its name and settings. mix_versions: add
    also to what another torch or parzc computed.
    A damaged shard is named and computed anew. Raises as `describe`; BadInput where the folder holds another collection, or one
    of other versions; WorkerDied where a process was killed.
    """
    chosen, found = check_node_proxies(proxies), _found(space)
    count, seed = whole("count", count, 1), seed_of(seed)
    archs = [str(arch) for arch in found.sample(count, seed)]
    if len(archs) < count or len(set(archs)) < len(archs):
        raise BadInput(f"got {len(set(archs))} different architectures from sample({count}, {seed}); expected {count}")
    size = whole("shard_size", shard_size, 1)
    shards = [list(enumerate(archs))[start : start + size] for start in range(0, count, size)]
    digest = batch_digest(images, labels)
    origin = space if isinstance(space, str) else f"{type(space).__module__}.{type(space).__qualname__}"
    config = {"space": origin, "cells": count, "seed": seed, "proxies": list(chosen), "batch": digest}
    config |= {} if loss is None else {"loss": _said(loss)}
    config |= dict(about or {})
    fill(
        StatisticsStore(folder),
        {"config": config},
        shards,
        _shard,
        lambda number: (found, number, shards[number], images, labels, chosen, seed, loss),
        jobs=jobs,
        unit="network",
        mix_versions=mix_versions,
    )
    kept = stored(folder)
    graphs = _graphs(space, archs) if isinstance(space, str) or hasattr(space, "graph") else None
    return replace(kept, graphs=graphs)


def stored(folder: Path | str) -> Described:
    """What `collect_space` has kept in a folder, without graphs. Raises CorruptShard, BadInput where something is missing."""
    store = StatisticsStore(folder)
    read = store.read()
    scores = read.scores.fillna(0.0)
    kinds = [str(name) for name in scores if str(name).startswith(MODULE)]
    rows = scores[kinds].to_numpy(dtype=int).tolist()
    modules = [{k.removeprefix(MODULE): n for k, n in zip(kinds, row, strict=True) if n} for row in rows]
    counts = scores[list(COUNTS)].to_numpy(dtype=np.float64)
    digest = str(store.manifest["config"]["batch"])
    return Described(tuple(read.archs), tuple(read.statistics), counts, tuple(modules), None, digest)


def batch_digest(images: Batch, labels: Any) -> str:
    """16 hex digits that stand for a batch."""
    digest = hashlib.sha256()
    for tensor in (*tensors(images), *tensors(labels)):
        digest.update(json.dumps([list(tensor.shape), str(tensor.dtype)]).encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else b"")
    return digest.hexdigest()[:16]


def built(network: Given, seed: int) -> nn.Module:
    """The network itself, or what its function builds with torch's random numbers set by `seed`. Raises BadInput for neither."""
    if not isinstance(network, nn.Module) and callable(network):
        with seeded(seed):
            network = network()
    if not isinstance(network, nn.Module):
        raise BadInput(f"got {type(network).__name__}; expected an nn.Module, or a function without arguments that builds one")
    return network


def named(networks: Any, names: Sequence[str] | None = None) -> tuple[tuple[Name, ...], list[Given]]:
    """(names, networks); positions are names where there are none. Raises BadInput."""
    if isinstance(networks, Mapping):
        if names is not None:
            raise BadInput("got a dict of networks and names as well; the keys of the dict are the names")
        names, networks = names_of("names of networks", networks), list(networks.values())
    if isinstance(networks, nn.Module) or not isinstance(networks, Sequence) or isinstance(networks, str):
        raise BadInput(f"got {type(networks).__name__} as networks; expected a list of modules, or a dict of them by name")
    if not len(networks):
        raise BadInput("got no networks; expected at least one")
    if names is None:
        return tuple(range(len(networks))), list(networks)
    known = names_of("names of networks", names)
    twice = [name for name, times in Counter(known).items() if times > 1]
    if len(known) != len(networks) or twice:
        what = f"{twice[0]!r} more than once" if twice else f"{len(known)} names for {len(networks)} networks"
        raise BadInput(f"got {what}; expected one name of its own for each network")
    return known, list(networks)


@contextmanager
def said_of(name: Name) -> Iterator[None]:
    """What is wrong with a network is said with its name, or its place in the list."""
    try:
        yield
    except BadInput as error:
        whose = f"network {name} of the list" if is_whole(name) else f"network {name!r}"
        raise BadInput(f"{whose}: {error}") from error


def _one(
    network: nn.Module, images: Batch, labels: Any, proxies: tuple[str, ...], loss: Loss | None
) -> tuple[NodeStatistics, list[float], dict[str, int]]:
    """Statistics, COUNTS and kinds of module of one network."""

    def work(passes: Passes) -> tuple[NodeStatistics, list[float]]:
        return statistics_of(passes, proxies), [score_of(name, passes) for name in COUNTS]

    second_order = "hessian" in passes_read(proxies)
    statistics, counts = with_passes(network, images, labels, work, second_order=second_order, loss=loss)
    leaves = (module for module in network.modules() if next(module.children(), None) is None)
    return statistics, counts, dict(Counter(type(module).__name__ for module in leaves))


def _shard(
    space: OwnSpace,
    number: int,
    archs: list[tuple[int, str]],
    images: Batch,
    labels: Any,
    proxies: tuple[str, ...],
    seed: int,
    loss: Loss | None,
) -> Made:
    """Run in a worker process."""
    torch.set_num_threads(1)
    started = time.process_time()
    made = []
    for _, arch in archs:
        with seeded(seed):
            network = space.build(arch)
        with said_of(arch):
            made.append(_one(network, images, labels, proxies, loss))
    kinds = sorted({kind for _, _, modules in made for kind in modules})
    records = []
    for (position, arch), (statistics, counts, modules) in zip(archs, made, strict=True):
        scores = dict(zip(COUNTS, counts, strict=True)) | {MODULE + kind: float(modules.get(kind, 0)) for kind in kinds}
        records.append(Record(arch, statistics, scores, position))
    return number, pack(records), time.process_time() - started, workers.peak_memory_mb()


def _said(loss: Loss) -> str:
    """What tells a loss from others: its name; of an object that of its class, and what it holds."""
    if isinstance(loss, partial):
        return f"{_said(loss.func)}, {[*loss.args, *sorted(loss.keywords.items())]}"
    named = loss if hasattr(loss, "__qualname__") else type(loss)
    held = {} if named is loss else {name: value for name, value in vars(loss).items() if not name.startswith("_")}
    plain = {name: value for name, value in held.items() if isinstance(value, str | int | float | None)}
    return f"{named.__module__}.{named.__qualname__}" + (f", {plain}" if plain else "")


def _found(space: Any) -> OwnSpace:
    """The space. Raises BadInput, UnknownName."""
    found: Any = space_named(space) if isinstance(space, str) else space
    missing = [name for name in ("sample", "build") if not callable(getattr(found, name, None))]
    if missing:
        raise BadInput(
            f"got {space!r} as space, which has no {' and no '.join(missing)}; expected sample(count, seed) and build(arch)"
        )
    return found


def _graphs(space: Any, archs: Sequence[str]) -> np.ndarray:
    """float64[n, G], features of the graphs of architectures. Raises BadInput for a space without graphs."""
    found = space_named(space) if isinstance(space, str) else space
    if not callable(getattr(found, "graph", None)) or not getattr(found, "OPERATIONS", ()):
        raise BadInput(f"got {space!r} as space, which has no graph; expected graph(arch) and OPERATIONS, or leave space out")
    graphs: list[Graph] = [found.graph(arch) for arch in archs]
    stacked = Inputs(None, np.stack([g.adjacency for g in graphs]), np.stack([g.operations for g in graphs]))
    return graph_features(stacked, Kinds.of(found)).to_numpy()
