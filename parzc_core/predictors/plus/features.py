"""What `ParZC+` reads of the cells of a collection: blocks of features of the graph and of the node statistics.

graph       GRAF-like counts and paths (`graph_features`).
paths       how many paths from input to output pass each sequence of operations; a skip connection counts as none.
scores      those of the network-level SCORES that nine tenths of the cells have, as signed logarithms.
PROXY       for each node-wise proxy of NODE_PROXIES, log10 |v| of nodes, in sum, mean, spread and least: over all nodes, over the
            thirds of the network's depth, and of single nodes outside the cells.
places      for each proxy and place in the cell (edge or vertex) sum and mean over the network's cells.

No accuracy is read. Isomorphic cells compute the same function, so what tells them apart (dead operations, the order of
edges) is noise to a ranker: in `shared` every cell has the mean over the isomorphic ones of the collection.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from parzc_core.collecting.labelled import Cells, Data
from parzc_core.collector import NodeStatistics
from parzc_core.encoding import slotted_logs
from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.graph_features import distinct, graph_features
from parzc_core.proxies import NODE_PROXIES
from parzc_core.ranker import Inputs
from parzc_core.spaces import representatives, stacked_graphs
from parzc_core.spaces import space as space_named

SCORES = ("params", "flops", "jacov", "nwot")  # named, so that a score that is collected later changes no result
PIECE = 500  # architectures whose node statistics are read at once
COMMON = 0.9  # share of the cells that must have a network-level score for it to be read
IDENTITIES = ("skip_connect",)  # operations that pass on what they get
Blocks = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class PlusInputs:
    """Of n architectures: blocks {name: float32[n, D_b]} without missing values, and int64[n] classes of isomorphic ones.

    blocks: of each architecture itself; shared: the mean over its class.
    """

    blocks: Blocks
    shared: Blocks
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, rows: np.ndarray) -> "PlusInputs":
        """The given architectures."""
        own, shared = ({name: block[rows] for name, block in blocks.items()} for blocks in (self.blocks, self.shared))
        return PlusInputs(own, shared, self.classes[rows])


def plus_inputs(data: Data, train: np.ndarray | None = None) -> PlusInputs:
    """Of all cells of a collection; `train`, the positions of training cells, is not used: features need no training set."""
    return plus_features(data)


@lru_cache(maxsize=4)
def plus_features(data: Cells | Data) -> PlusInputs:
    """Of all cells of a collection, with labels or without."""
    name = str(data.collection.manifest["config"]["space"])
    classes = np.unique(representatives(name, data.collection.archs), return_inverse=True)[1].ravel()
    blocks = {key: filled(block) for key, block in raw_blocks(data, name).items()}
    return PlusInputs(blocks, {key: class_means(block, classes) for key, block in blocks.items()}, classes)


def graph_inputs(space: str, archs: Sequence[str]) -> PlusInputs:
    """The blocks "graph" and "paths" of architectures, which need no statistics.

    `paths` has a column for each sequence that is found in them: features of two calls do not belong together.
    """
    module, kinds = space_named(space), Kinds.of(space)
    graphs = Inputs(None, *stacked_graphs(space, archs))
    identity = [i for i, operation in enumerate(module.OPERATIONS) if operation in IDENTITIES]
    classes = np.unique(representatives(space, archs), return_inverse=True)[1].ravel()
    found = {"graph": graph_features(graphs, kinds).to_numpy(), "paths": path_counts(graphs, kinds, identity)}
    blocks = {key: filled(block) for key, block in found.items()}
    return PlusInputs(blocks, {key: class_means(block, classes) for key, block in blocks.items()}, classes)


def columns(data: Cells | Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of a collection that features are made of: (node-wise proxies, network-level scores), in its order."""
    proxies = tuple(proxy for proxy in data.statistics[0].proxies if proxy in NODE_PROXIES)
    finite = np.isfinite(data.collection.scores.to_numpy(dtype=np.float64)).mean(axis=0)
    scores = zip(data.collection.scores, finite, strict=True)
    return proxies, tuple(str(name) for name, share in scores if name in SCORES and share >= COMMON)


def raw_blocks(data: Cells | Data, name: str) -> dict[str, np.ndarray]:
    """Blocks of a collection of the space of that name, float64[n, D_b], NaN where a value is missing."""
    space, kinds = space_named(name), Kinds.of(name)
    graphs = Inputs(None, data.adjacency, data.operations)
    identity = [i for i, operation in enumerate(space.OPERATIONS) if operation in IDENTITIES]
    proxies, named = columns(data)
    scores = data.collection.scores[list(named)].to_numpy(dtype=np.float64)
    blocks = {
        "graph": graph_features(graphs, kinds).to_numpy(),
        "paths": path_counts(graphs, kinds, identity),
        "scores": np.sign(scores) * np.log10(1 + np.abs(scores)),
    }
    # Some architectures at a time: what is made on the way stays in the cache.
    count = len(data.statistics)
    edges = np.linspace(0, count, 1 + max(1, count // PIECE), dtype=int).tolist()
    parts = [node_blocks(data.statistics[i:j], proxies, space.SLOTS) for i, j in pairwise(edges)]
    blocks |= {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {key: block for key, block in blocks.items() if block.shape[1]}


def node_blocks(
    statistics: Sequence[NodeStatistics], proxies: Sequence[str], slots: Sequence[str]
) -> dict[str, np.ndarray]:
    """The blocks of node statistics, float64[n, D_b]: one for each proxy, and "places"."""
    logs = slotted_logs(statistics, proxies, slots)
    regions, places = slot_groups(slots)
    blocks = {proxy: np.hstack([summary(logs[:, k, r]) for r in regions]) for k, proxy in enumerate(proxies)}
    blocks["places"] = np.hstack([summary(logs[:, k, p], 2) for p in places for k in range(len(proxies))])
    return blocks


def slot_groups(slots: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Positions of the slots (regions, places): all in cells, thirds of the depth, single nodes outside; places in a cell.

    Raises BadInput for slots none of which is in a cell.
    """
    cell = {i: match for i, slot in enumerate(slots) if (match := re.match(r"cells\.(\d+)\.(.+)", slot))}
    if not cell:
        raise BadInput(f"got slots such as {slots[0]!r}; expected some of the form cells.NUMBER.PLACE")
    count = 1 + max(int(match[1]) for match in cell.values())
    thirds: list[list[int]] = [[], [], []]
    places: dict[str, list[int]] = {}
    for i, match in cell.items():
        thirds[3 * int(match[1]) // count].append(i)
        places.setdefault(match[2], []).append(i)
    outside = [[i] for i in range(len(slots)) if i not in cell]
    return [list(cell), *(third for third in thirds if third), *outside], list(places.values())


def summary(logs: np.ndarray, columns: int = 4) -> np.ndarray:
    """float64[n, 4] of log10 values [n, L], NaN where a node is missing: log of the sum, mean, standard deviation, least.

    columns: 2 for the first two alone. Rows without nodes are NaN; a single node has the first alone, [n, 1].
    """
    if logs.shape[1] == 1:
        return logs
    there = np.isfinite(logs)
    count = there.sum(axis=1)
    some = np.where(count > 0, 1.0, np.nan)
    n = np.maximum(count, 1)
    high = np.where(there, logs, -np.inf).max(axis=1)
    high = np.where(count > 0, high, 0.0)
    powers = np.power(10.0, logs - high[:, None], out=np.zeros_like(logs), where=there)
    total = high + np.log10(np.maximum(powers.sum(axis=1), 1e-300))
    mean = np.where(there, logs, 0).sum(axis=1) / n
    if columns == 2:
        return np.stack([total, mean], axis=1) * some[:, None]
    std = np.sqrt(np.where(there, (logs - mean[:, None]) ** 2, 0).sum(axis=1) / n)
    least = np.where(count > 0, np.where(there, logs, np.inf).min(axis=1), 0.0)
    return np.stack([total, mean, std, least], axis=1) * some[:, None]


def path_counts(graphs: Inputs, kinds: Kinds, identity: Sequence[int]) -> np.ndarray:
    """float64[n, P]: paths from input to output by the sequence of operations they pass; those of `identity` are left out.

    A column for each sequence found, in order of length, then of its operations. Equal for isomorphic cells.
    """
    adjacency, operations = kinds.check(graphs)
    is_input, is_output = operations == kinds.input, operations == kinds.output
    first, shape = distinct(adjacency > 0, is_input, is_output)
    # A sequence as a number, a digit from 1 for each operation, so that shorter ones come first.
    base = kinds.total + 1
    number = np.int64 if base ** operations.shape[1] < 2**63 else object
    digit = np.where(np.isin(operations, list(identity)), 0, operations + 1).astype(number)
    found = [(np.empty(0, np.int64), np.empty(0, number))]  # (architectures, sequence of each), a pair a path
    for place, one in enumerate(first):
        rows = np.flatnonzero(shape == place)
        for path in node_paths(adjacency[one] > 0, int(is_input[one].argmax()), is_output[one]):
            there = rows[(operations[rows][:, path] != kinds.none).all(axis=1)]
            sequence = np.zeros(len(there), dtype=number)
            for node in path:
                passed = digit[there, node]
                sequence = np.where(passed > 0, sequence * base + passed, sequence)
            found.append((there, sequence))
    sequences, column = np.unique(np.concatenate([s for _, s in found]), return_inverse=True)
    counts = np.zeros((len(operations), len(sequences)))
    np.add.at(counts, (np.concatenate([rows for rows, _ in found]), column.ravel()), 1)
    return counts


def node_paths(edges: np.ndarray, start: int, end: np.ndarray) -> list[list[int]]:
    """The nodes inside each path along acyclic edges bool[N, N] from a node to one of `end`, bool[N]."""
    feeds = [np.flatnonzero(row).tolist() for row in edges]
    found: list[list[int]] = []
    stack: list[tuple[int, list[int]]] = [(start, [])]
    while stack:
        node, passed = stack.pop()
        for after in feeds[node]:
            if end[after]:
                found.append(passed)
            else:
                stack.append((after, [*passed, after]))
    return found


def filled(block: np.ndarray) -> np.ndarray:
    """float32, a missing value a quarter of the column's range below its least: being absent is told from being small."""
    finite = np.isfinite(block)
    low = np.where(finite, block, np.inf).min(axis=0)
    high = np.where(finite, block, -np.inf).max(axis=0)
    low, high = (np.where(finite.any(axis=0), edge, 0.0) for edge in (low, high))
    return np.where(finite, block, low - 0.25 * (high - low) - 1e-3).astype(np.float32)


def class_means(block: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """float32[n, D], every row the mean over its class."""
    order = np.argsort(classes, kind="stable")
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    means = np.add.reduceat(block[order].astype(np.float64), starts, axis=0) / counts[:, None]
    return means[np.unique(classes, return_inverse=True)[1].ravel()].astype(np.float32)
