"""Describe your own networks: collect once, from one batch, what a ranker reads of each.

    described = describe(networks, images, labels)                  # a dict of networks, or a list
    described = collect_space(space, images, labels, "folder", 200, jobs=2)   # of a space: `sample` and `build`; resumes

Both are what `NetworkRanker.fit` and `NetworkRanker.rank` take.
"""

import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from pathlib import Path
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from parzc_core._seeding import seeded
from parzc_core._state import told_apart
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
_OF_MODULES = ("_parameters", "_buffers", "_modules")
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
    batch: 16 hex digits that stand for the batch, and the loss where one was given.
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

    def usable(self, others: str = "") -> np.ndarray:
        """int64[m], positions of the networks whose statistics are finite. others: what the rest do, for a warning with names."""
        finite = self.not_finite == 0
        if others and not finite.all():
            left = [self.names[i] for i in np.flatnonzero(~finite)]
            warnings.warn(f"networks {left} have statistics that are not finite, so they {others}", stacklevel=4)
        return np.flatnonzero(finite)

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
    chosen, seed = check_node_proxies(proxies), seed_of(seed)
    if not chosen:
        raise BadInput("got no proxies; expected at least one")
    known, modules = named(networks, names)
    parts = []
    for name, module in zip(known, tqdm(modules, unit="network", disable=None), strict=True):
        with said_of(name):
            parts.append(_one(built(module, seed), images, labels, chosen, loss))
    statistics, counts, kinds = zip(*parts, strict=True)
    graphs = None if space is None else _graphs(space, [str(name) for name in known])
    digest = _of_loss(batch_digest(images, labels), None if loss is None else _said(loss))
    return Described(known, statistics, np.array(counts), kinds, graphs, digest)


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
    manifest is to say besides, such as {"dataset": "digits"}. A space is known there by its name and its settings (attributes
    that are numbers or text), a loss by its name and what it holds. mix_versions: add also to what another torch or parzc
    computed.
    A damaged shard is named and computed anew. Raises as `describe`; BadInput where the folder holds another collection, or one
    of other versions; WorkerDied where a process was killed.
    """
    chosen, found = check_node_proxies(proxies), _found(space)
    count, seed, known = whole("count", count, 1), seed_of(seed), _known_by(space)
    archs = [str(arch) for arch in found.sample(count, seed)]
    if len(archs) < count or len(set(archs)) < len(archs):
        raise BadInput(f"got {len(set(archs))} different architectures from sample({count}, {seed}); expected {count}")
    size = whole("shard_size", shard_size, 1)
    shards = [list(enumerate(archs))[start : start + size] for start in range(0, count, size)]
    digest = batch_digest(images, labels)
    config = {**known, "cells": count, "seed": seed, "proxies": list(chosen), "batch": digest}
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
    digest = _of_loss(str(store.manifest["config"]["batch"]), store.manifest["config"].get("loss"))
    return Described(tuple(read.archs), tuple(read.statistics), counts, tuple(modules), None, digest)


def batch_digest(images: Batch, labels: Any) -> str:
    """16 hex digits that stand for a batch."""
    digest = hashlib.sha256()
    for part in (*_bytes_of(images), *_bytes_of(labels)):
        digest.update(part)
    return digest.hexdigest()[:16]


def _of_loss(digest: str, loss: str | None) -> str:
    return digest if loss is None else hashlib.sha256(f"{digest} {loss}".encode()).hexdigest()[:16]


def _bytes_of(values: Any) -> Iterator[bytes]:
    """What tells inputs and labels from others: of tensors and arrays their shapes, types and entries; names and numbers."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biufc":
        values = torch.from_numpy(np.array(values, dtype=values.dtype.newbyteorder("=")))
    if isinstance(values, torch.Tensor):
        yield json.dumps([list(values.shape), str(values.dtype)]).encode()
        dense = values if values.layout == torch.strided else values.to_dense()
        yield dense.detach().cpu().resolve_conj().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
    elif isinstance(values, Mapping):
        for name, value in values.items():
            yield repr(name).encode()
            yield from _bytes_of(value)
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _bytes_of(value)
    elif is_dataclass(values):
        yield from _bytes_of({name: getattr(values, name) for name in values.__dataclass_fields__})
    elif isinstance(values, np.ndarray | str | int | float | complex | None):
        yield repr(values.tolist() if isinstance(values, np.ndarray) else values).encode()


def built(network: Given, seed: int) -> nn.Module:
    """The network itself, or what its function builds with torch's random numbers set by `seed`. Raises BadInput for neither."""
    if not isinstance(network, nn.Module) and callable(network):
        try:
            with seeded(seed):
                network = network()
        except MemoryError:
            raise
        except Exception as error:
            raise BadInput(f"the function that builds it failed: {type(error).__name__}: {error}") from error
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
    return statistics, counts, kinds_of(network)


def kinds_of(network: nn.Module) -> dict[str, int]:
    """How many leaf modules of each class it has."""
    with told_apart(network):
        return dict(Counter(type(module).__name__ for module in network.modules() if next(module.children(), None) is None))


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
        with said_of(arch):
            made.append(_one(built(partial(space.build, arch), seed), images, labels, proxies, loss))
    kinds = sorted({kind for _, _, modules in made for kind in modules})
    records = []
    for (position, arch), (statistics, counts, modules) in zip(archs, made, strict=True):
        scores = dict(zip(COUNTS, counts, strict=True)) | {MODULE + kind: float(modules.get(kind, 0)) for kind in kinds}
        records.append(Record(arch, statistics, scores, position))
    return number, pack(records), time.process_time() - started, workers.peak_memory_mb()


def _known_by(space: Any) -> dict[str, Any]:
    """What tells a space from others: its name, and its settings if it has any."""
    if isinstance(space, str):
        return {"space": space}
    if isinstance(space, ModuleType):
        name = space.__name__
    else:
        kind = space if isinstance(space, type) else type(space)
        name = f"{kind.__module__}.{kind.__qualname__}"
    held = {of: value for of, value in getattr(space, "__dict__", {}).items() if not of.startswith("_")}
    held |= {of: getattr(space, of) for of in getattr(space, "__dataclass_fields__", {}) if hasattr(space, of)}  # with slots too
    settings = {of: value for of, value in held.items() if isinstance(value, str | int | float)}
    return {"space": name} | ({"settings": settings} if settings else {})


def _said(loss: Loss) -> str:
    """What tells a loss from others: its name, and 8 hex digits that stand for what it holds, if anything."""
    inner: Any = loss
    while isinstance(inner, partial):
        inner = inner.func
    inner = inner if hasattr(inner, "__qualname__") else type(inner)
    held = _held(loss)
    digest = hashlib.sha256(b"".join(_bytes_of(held))).hexdigest()[:8]
    return f"{inner.__module__}.{inner.__qualname__}" + ("" if isinstance(held, str) else f", {digest}")


def _held(thing: Any, depth: int = 0) -> Any:
    """What a loss is made of, as values: settings, weights, variables that a function closes over, the code of one without a
    name of its own. Attributes that begin with _ are passed over."""
    if depth > 8 or isinstance(thing, str | int | float | complex | None | torch.Tensor | np.ndarray):
        return thing
    if isinstance(thing, Mapping):
        return {name: _held(value, depth + 1) for name, value in thing.items()}
    if isinstance(thing, tuple | list):
        return [_held(value, depth + 1) for value in thing]
    if isinstance(thing, partial):
        return _held([thing.func, thing.args, thing.keywords], depth)
    if isinstance(thing, MethodType):
        return _held([thing.__self__, thing.__func__.__qualname__], depth)
    name = f"{thing.__module__}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else type(thing).__qualname__
    if isinstance(thing, FunctionType):
        known = "<" not in name and thing.__module__ != "__main__"
        code = [] if known else [thing.__code__.co_code.hex(), thing.__code__.co_names, thing.__code__.co_consts]
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell != CellType()]
        parts = (code, thing.__defaults__, thing.__kwdefaults__, cells)
        return name if known and not cells else [name, *(_held(part, depth + 1) for part in parts)]
    if isinstance(thing, type) or not hasattr(thing, "__dict__"):
        return name
    public = {of: value for of, value in vars(thing).items() if not of.startswith("_") or of in _OF_MODULES}
    return [name, _held(public, depth + 1)]


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
