"""Features of a cell that can be read off its graph, after GRAF (Kadlecova et al., ICML 2024): counts, paths and degrees.

For every set of operations: the shortest path from input to output that uses no other, the most of them on one path, and how
many edges go from or to one of them. Own are the counts of operations that lie on a path from input to output, and the number
of such paths of each length. Operations are nodes here, also for NAS-Bench-201, whose cell GRAF reads with operations on its
edges: degrees there are of the cell's nodes, here of the operations.

    features = graph_features(Inputs(None, adjacency, operations), Kinds.of("nb201"))
    features["shortest path, 1 3"]  # over skip connections and 3x3 convolutions alone
"""

from itertools import combinations

import numpy as np
import pandas as pd

from parzc_core.predictors.base import Kinds
from parzc_core.ranker import Inputs


def graph_features(inputs: Inputs, kinds: Kinds) -> pd.DataFrame:
    """A row for each architecture, float64 columns named by the feature and the numbers of the operations in its set.

    Of N nodes: counts from 0; "shortest path" and "most on a path" count operations, the former N where there is no path, the
    latter -1 where no path leads from input to output. Operations that let nothing pass count as operations but are on no
    path, except for a shortest path of a set that holds them. Raises BadInput.
    """
    adjacency, operations = kinds.check(inputs)
    # Cells are few among architectures that differ in a part the graph does not show; each is computed once.
    first, place = distinct(adjacency, operations)
    table = _features(adjacency[first], operations[first], kinds)
    return table.iloc[place].reset_index(drop=True)


def distinct(*parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position of the first of each kind of equal rows, and int64[n], the kind of every row. parts: arrays [n, ...]."""
    rows = [np.ascontiguousarray(part).reshape(len(part), -1).view(np.uint8) for part in parts]
    flat = np.ascontiguousarray(np.concatenate(rows, axis=1))
    whole = flat.view(np.dtype((np.void, flat.shape[1]))).ravel()
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    return first, place.ravel()


def _features(adjacency: np.ndarray, operations: np.ndarray, kinds: Kinds) -> pd.DataFrame:
    edges = adjacency > 0
    nodes = operations.shape[1]
    columns: dict[str, np.ndarray] = {}
    is_input, is_output = operations == kinds.input, operations == kinds.output
    passes = np.ones_like(is_input) if kinds.none is None else operations != kinds.none
    open_edges = edges & passes[:, :, None] & passes[:, None, :]
    forward = reachable(open_edges, is_input)
    backward = reachable(open_edges.transpose(0, 2, 1), is_output)
    live = forward & backward
    live_edges = open_edges & live[:, :, None] & live[:, None, :]
    connected = (live & is_output).any(axis=1)

    for kind in range(kinds.choices):
        columns[f"count, {kind}"] = (operations == kind).sum(axis=1)
        columns[f"live count, {kind}"] = (live & (operations == kind)).sum(axis=1)
    columns["live edges"] = live_edges.sum(axis=(1, 2))
    paths = is_input & live
    for length in range(nodes - 1):  # operations on the path
        paths = np.einsum("ni,nij->nj", paths.astype(np.float64), live_edges)
        columns[f"paths of length {length}"] = (paths * is_output).sum(axis=1)

    # Operations that an edge leaves or enters, counted once: of all edges, of those from the input, of those to the output.
    ends = {
        "fed by input": (edges & is_input[:, :, None]).sum(axis=1),
        "feed output": (edges & is_output[:, None, :]).sum(axis=2),
        "edges from": edges.sum(axis=2),
        "edges to": edges.sum(axis=1),
    }
    outside = is_input | is_output
    for size in range(1, kinds.choices + 1):
        for chosen in combinations(range(kinds.choices), size):
            name = " ".join(map(str, chosen))
            inside = np.isin(operations, chosen)
            allowed = inside | outside
            among = edges & allowed[:, :, None] & allowed[:, None, :]
            shortest = extreme_path(among, inside, is_input, is_output, longest=False)
            columns[f"shortest path, {name}"] = np.where(np.isfinite(shortest), shortest, nodes)
            most = extreme_path(live_edges, inside, is_input, is_output, longest=True)
            columns[f"most on a path, {name}"] = np.where(connected, most, -1)
            for what, count in ends.items():
                columns[f"{what}, {name}"] = (count * inside).sum(axis=1)
    return pd.DataFrame(columns).astype(np.float64)


def reachable(edges: np.ndarray, start: np.ndarray) -> np.ndarray:
    """bool[n, N], nodes that can be reached along edges bool[n, N, N] from the nodes of start bool[n, N], these included."""
    reached = start
    for _ in range(start.shape[1] - 1):
        reached = reached | (edges & reached[:, :, None]).any(axis=1)
    return reached


def extreme_path(
    edges: np.ndarray, counts: np.ndarray, start: np.ndarray, end: np.ndarray, longest: bool
) -> np.ndarray:
    """float64[n]: least (or most) nodes of counts bool[n, N] on a path along acyclic edges bool[n, N, N] from start to end.

    Infinite, or minus infinite for the most, where there is no path.
    """
    nodes = start.shape[1]
    none = np.int8(2 * nodes)  # stands for infinite: more than any path has, and its sums fit in a byte (N < 32)
    sign = np.int8(-1 if longest else 1)
    # Architectures go last, so that numpy's loops run over them.
    begins, ends, counted = (np.ascontiguousarray(flags.T) for flags in (start, end, counts))
    closed = np.ascontiguousarray(~edges.transpose(1, 2, 0)) * none  # int8[from, to, n]
    cost = np.where(begins, np.int8(0), none)  # int8[N, n]
    for _ in range(nodes - 1):
        arriving = (cost[:, None] + closed).min(axis=0)
        cost = np.where(arriving < nodes, np.minimum(cost, arriving + sign * counted), cost)
    least = np.where(ends, cost, none).min(axis=0)
    return np.where(least < none, sign * least.astype(np.float64), sign * np.inf)
