"""The set of all NAS-Bench-101 cells: one representative for each class of isomorphic cells, and the benchmark's hash of it.

A cell is a matrix, entry (i, j) 1 where vertex i feeds vertex j > i, and a code for each vertex (NAMES); vertex 0 is the input,
the last one the output. The rules are those of Ying et al. (ICML 2019) and their published generator: 2 to 7 vertices, at most 9
edges, every vertex on a path from input to output. The generator counts upward through numbers whose bit x + y (y - 1) / 2 is the
entry (x, y) of the matrix, then through the labellings of the inner vertices (the first vertex is the most significant digit);
the first cell that it meets stands for its class. Two cells are isomorphic if renumbering the inner vertices makes them equal, so
the representative is the cell of smallest (number, labelling) over the permutations that keep its matrix upper triangular.
"""

import functools
import hashlib
import io
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from parzc_core import paths
from parzc_core.errors import BadInput, ParzcError

MAX_VERTICES, MAX_EDGES = 7, 9
COUNT = 423_624
INPUT, OUTPUT, NO_VERTEX = -1, -2, -3
NAMES = {INPUT: "input", OUTPUT: "output", 0: "conv3x3-bn-relu", 1: "conv1x1-bn-relu", 2: "maxpool3x3"}
KINDS = 3  # operations an inner vertex may have
CACHE_NAME = "nb101_cells.npz"
# Of the arrays in the cache file, see _digest. The same arrays made from the published keys and cells have it too (in the tests).
CACHE_SHA256 = "e62bbf81761094c896c1b7ebe11c62786666b39acd8f3e8ffa675750d2fc6290"

_NOT_TRIANGULAR = 1 << 32  # more than any number of a matrix
_TARGETS = [",".join(str(v) for v in range(MAX_VERTICES) if mask >> v & 1) for mask in range(2**MAX_VERTICES)]


@dataclass(frozen=True)
class Cells:
    """N cells in ascending order of their hash; the arrays are shared and read-only.

    hashes: U32[N]. matrices: uint8[N, 7, 7], upper triangular, zero beyond the cell's vertices. operations: int8[N, 7], codes
    (NO_VERTEX beyond the cell's vertices). vertices: int8[N], 2 to 7; the output is vertex `vertices - 1`.
    """

    hashes: np.ndarray
    matrices: np.ndarray
    operations: np.ndarray
    vertices: np.ndarray


def _pairs(vertices: int) -> list[tuple[int, int]]:
    """The entries of a matrix that the generator's bits stand for, lowest bit first; a larger matrix only adds to them."""
    return [(x, y) for y in range(vertices) for x in range(y)]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@functools.cache
def _first_hash(fed: int, feeding: int, code: int) -> str:
    return _md5(str((fed, feeding, code)))


def _hash(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], codes: Sequence[int]) -> str:
    """The benchmark's hash of a cell given by the vertices that feed each vertex and those that it feeds."""
    hashes = [_first_hash(len(t), len(s), code) for s, t, code in zip(sources, targets, codes, strict=True)]
    neighbours = list(zip(range(len(codes)), sources, targets, strict=True))
    for _ in codes:
        hashes = [
            _md5(f"{''.join(sorted([hashes[w] for w in s]))}|{''.join(sorted([hashes[w] for w in t]))}|{hashes[v]}")
            for v, s, t in neighbours
        ]
    return _md5(str(sorted(hashes)))


def _checked(matrix: np.ndarray, operations: Sequence[int] | np.ndarray) -> tuple[np.ndarray, list[int]]:
    """A cell as int64[V, V] and V codes. Raises BadInput."""
    try:
        matrix, codes = np.asarray(matrix), np.asarray(operations).tolist()
    except ValueError:  # rows of different lengths
        matrix, codes = np.empty(0), operations
    count = len(codes) if isinstance(codes, list) else 0
    if not 2 <= count <= MAX_VERTICES or matrix.shape != (count, count):
        raise BadInput(
            f"got a matrix of shape {matrix.shape} and operations {codes}; expected a square matrix and an operation "
            f"for each of its 2 to {MAX_VERTICES} vertices (leave out places without a vertex)"
        )
    if not np.isin(matrix, (0, 1)).all() or np.tril(matrix).any():
        raise BadInput(f"got the matrix {matrix.tolist()}; expected 0 and 1, with ones above the diagonal only")
    if codes[0] != INPUT or codes[-1] != OUTPUT or any(code not in range(KINDS) for code in codes[1:-1]):
        raise BadInput(f"got operations {codes}; expected {INPUT} first, {OUTPUT} last and 0 to {KINDS - 1} between")
    return matrix.astype(np.int64), [int(code) for code in codes]


def cell_hash(matrix: np.ndarray, operations: Sequence[int] | np.ndarray) -> str:
    """The benchmark's key of a cell, 32 hexadecimal digits, equal for isomorphic cells.

    A vertex begins with the md5 of (out-degree, in-degree, code); as often as there are vertices, each takes the md5 of its
    sources' sorted hashes, its targets' sorted hashes and its own; the key is the md5 of the sorted list of hashes.

    matrix: [V, V], upper triangular. operations: V codes. Vertices off the paths from input to output are not dropped.
    Raises BadInput.
    """
    matrix, codes = _checked(matrix, operations)
    sources, targets = ([np.flatnonzero(row).tolist() for row in rows] for rows in (matrix.T, matrix))
    return _hash(sources, targets, codes)


@functools.cache
def _permutations(vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """(P renumberings int64[P, V] with the ends fixed, the number that each bit becomes under each int64[P, V (V - 1) / 2])."""
    inner = itertools.permutations(range(1, vertices - 1))
    permutations = np.array([(0, *order, vertices - 1) for order in inner], dtype=np.int64)
    value = np.full((vertices, vertices), _NOT_TRIANGULAR, dtype=np.int64)
    for bit, pair in enumerate(_pairs(vertices)):
        value[pair] = 1 << bit
    x, y = np.array(_pairs(vertices)).T
    return permutations, value[permutations[:, x], permutations[:, y]]


@functools.cache
def _labellings(vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """(all L labellings of the inner vertices int64[L, V - 2], the number of each under each renumbering int64[P, L])."""
    labels = np.array(list(itertools.product(range(KINDS), repeat=vertices - 2)), dtype=np.int64)
    value = KINDS ** (vertices - 2 - _permutations(vertices)[0][:, 1:-1])  # P, V - 2
    return labels, value @ labels.T


def canonical(matrix: np.ndarray, operations: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The representative of a cell: (uint8[V, V], int8[V] codes), the isomorphic cell that the generator meets first.

    matrix: [V, V], upper triangular. operations: V codes. Raises BadInput.
    """
    matrix, codes = _checked(matrix, operations)
    count = len(codes)
    permutations, value = _permutations(count)
    numbers = value @ np.array([matrix[pair] for pair in _pairs(count)])
    labels = (KINDS ** (count - 2 - permutations[:, 1:-1])) @ np.array(codes[1:-1], dtype=np.int64)
    chosen = permutations[np.lexsort((labels, numbers))[0]]
    result, new_codes = np.zeros((count, count), dtype=np.uint8), np.empty(count, dtype=np.int8)
    result[np.ix_(chosen, chosen)] = matrix
    new_codes[chosen] = codes
    return result, new_codes


def valid_numbers(vertices: int, max_edges: int) -> np.ndarray:
    """int64[M]: ascending numbers of the matrices of at most `max_edges` edges with every vertex on a path between the ends."""
    pairs = _pairs(vertices)
    numbers = np.arange(2 ** len(pairs), dtype=np.int64)
    for vertex in range(vertices):  # every vertex but the output feeds one, every vertex but the input is fed by one
        for end in (0, 1):
            mask = sum(1 << bit for bit, pair in enumerate(pairs) if pair[end] == vertex)
            if mask:
                numbers = numbers[(numbers & mask) != 0]
    edges = sum((numbers >> bit) & 1 for bit in range(len(pairs)))
    return numbers[edges <= max_edges]


def representatives(vertices: int, max_edges: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of a matrix, int64[K] numbers of its labellings) of every representative, in the generator's order.

    The matrix has the smallest number of all its renumberings, the labelling of all those that leave the matrix as it is.
    """
    numbers = valid_numbers(vertices, max_edges)
    bits = (numbers[:, None] >> np.arange(vertices * (vertices - 1) // 2)) & 1
    images = bits @ _permutations(vertices)[1].T  # M, P
    of_labels = _labellings(vertices)[1]
    own = np.arange(of_labels.shape[1])
    for row in np.flatnonzero(images.min(axis=1) == numbers):
        automorphisms = images[row] == numbers[row]
        yield int(numbers[row]), np.flatnonzero(of_labels[automorphisms].min(axis=0) == own)


def _expand(hashes: np.ndarray, vertices: np.ndarray, numbers: np.ndarray, labellings: np.ndarray) -> Cells:
    matrices = np.zeros((len(numbers), MAX_VERTICES, MAX_VERTICES), dtype=np.uint8)
    for bit, (x, y) in enumerate(_pairs(MAX_VERTICES)):
        matrices[:, x, y] = (numbers >> bit) & 1
    operations = np.full((len(numbers), MAX_VERTICES), NO_VERTEX, dtype=np.int8)
    operations[:, 0] = INPUT
    for count in range(2, MAX_VERTICES + 1):
        rows = np.flatnonzero(vertices == count)
        operations[rows, 1 : count - 1] = _labellings(count)[0][labellings[rows]]
        operations[rows, count - 1] = OUTPUT
    cells = Cells(hashes.astype("U32"), matrices, operations, vertices.astype(np.int8))
    for array in (cells.hashes, cells.matrices, cells.operations, cells.vertices):
        array.flags.writeable = False
    return cells


def _enumerated(max_vertices: int, max_edges: int, progress: bool) -> dict[str, np.ndarray]:
    """The cells in ascending order of their hash: hashes S32, vertices uint8, numbers uint32 and labellings uint8."""
    matrices = [
        (vertices, number, labellings)
        for vertices in range(2, max_vertices + 1)
        for number, labellings in representatives(vertices, max_edges)
    ]
    found = []
    total = sum(len(labellings) for _, _, labellings in matrices)
    with tqdm(total=total, desc="NAS-Bench-101", unit="cell", disable=None if progress else True) as bar:
        for vertices, number, labellings in matrices:
            pairs = [pair for bit, pair in enumerate(_pairs(vertices)) if number >> bit & 1]
            sources = [[x for x, y in pairs if y == v] for v in range(vertices)]
            targets = [[y for x, y in pairs if x == v] for v in range(vertices)]
            labels = _labellings(vertices)[0][labellings].tolist()
            for labelling, codes in zip(labellings.tolist(), labels, strict=True):
                found.append((_hash(sources, targets, (INPUT, *codes, OUTPUT)), vertices, number, labelling))
            bar.update(len(labellings))
    found.sort()
    hashes, counts, numbers, numbers_of_labels = zip(*found, strict=True)
    return {
        "hashes": np.array(hashes, dtype="S32"),
        "vertices": np.array(counts, dtype=np.uint8),
        "numbers": np.array(numbers, dtype=np.uint32),
        "labellings": np.array(numbers_of_labels, dtype=np.uint8),
    }


def enumerate_cells(max_vertices: int = MAX_VERTICES, max_edges: int = MAX_EDGES, progress: bool = False) -> Cells:
    """Every cell of 2 to `max_vertices` <= 7 vertices and at most `max_edges` edges, computed anew."""
    return _expand(**_enumerated(max_vertices, max_edges, progress))


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _cached() -> dict[str, np.ndarray] | None:
    """What the cache file holds, or None if it is missing or not what was written."""
    try:
        with np.load(paths.cache_folder() / CACHE_NAME, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception:  # whatever is wrong with the file, it is written anew
        return None
    return arrays if _digest(arrays) == CACHE_SHA256 else None


@functools.lru_cache(maxsize=1)
def all_cells(progress: bool = True) -> Cells:
    """The benchmark's 423,624 cells.

    The first call on a machine enumerates them (about half a minute) and keeps them in the cache folder; a damaged file there is
    replaced. progress: show a bar meanwhile, on a terminal. Raises ParzcError if the result is not the benchmark's set.
    """
    arrays = _cached()
    if arrays is None:
        arrays = _enumerated(MAX_VERTICES, MAX_EDGES, progress)
        if (got := len(arrays["hashes"])) != COUNT or _digest(arrays) != CACHE_SHA256:
            raise ParzcError(
                f"enumerating NAS-Bench-101 gave {got} cells that are not the benchmark's {COUNT}; reinstall parzc and numpy"
            )
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        try:
            paths.write_whole(paths.cache_folder() / CACHE_NAME, content.getvalue())
        except OSError as error:
            warnings.warn(f"the NAS-Bench-101 cells cannot be kept for the next run: {error}", stacklevel=2)
    return _expand(**arrays)


def arch_strings(matrices: np.ndarray, operations: np.ndarray) -> list[str]:
    """One string a cell, `input>1,2|conv3x3-bn-relu>2|output`: each vertex with the vertices that it feeds, ascending.

    matrices: [N, V, V] with V <= 7. operations: [N, V], codes; NO_VERTEX after the last vertex of a smaller cell.
    Raises BadInput.
    """
    matrices, operations = np.asarray(matrices), np.asarray(operations)
    width = operations.shape[-1] if operations.ndim == 2 else 0
    if not 2 <= width <= MAX_VERTICES or matrices.shape != (*operations.shape, width):
        raise BadInput(
            f"got matrices of shape {matrices.shape} and operations of shape {operations.shape}; "
            f"expected [N, V, V] and [N, V] with V from 2 to {MAX_VERTICES}"
        )
    if not (np.isin(operations, (NO_VERTEX, *NAMES)).all() and np.isin(matrices, (0, 1)).all()):
        raise BadInput(
            f"got the codes {np.unique(operations).tolist()} and the matrix entries {np.unique(matrices).tolist()}; "
            f"expected codes from {NO_VERTEX} to {KINDS - 1}, entries 0 and 1"
        )
    masks = matrices.astype(np.int64) @ (1 << np.arange(width))
    texts = np.empty((KINDS - NO_VERTEX, len(_TARGETS)), dtype=object)
    for code, name in NAMES.items():
        texts[code - NO_VERTEX] = [f"{name}>{targets}" if targets else name for targets in _TARGETS]
    words = texts[operations.astype(np.int64) - NO_VERTEX, masks].tolist()
    counts = (operations != NO_VERTEX).sum(axis=1).tolist()
    return ["|".join(row[:count]) for row, count in zip(words, counts, strict=True)]


def sample_rows(count: int, seed: int) -> np.ndarray:
    """int64[count]: rows of `all_cells`, uniform without replacement; a longer sample of the same seed begins with this one.

    Raises BadInput.
    """
    if not 0 < count <= COUNT:
        raise BadInput(f"got a sample of {count} cells; expected 1 to {COUNT}")
    return np.random.default_rng(seed).permutation(COUNT)[:count]
