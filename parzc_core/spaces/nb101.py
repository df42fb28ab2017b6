"""NAS-Bench-101: 423,624 cells, graphs of at most seven vertices and nine edges (Ying et al., ICML 2019).

An architecture is a string of its vertices with what each of them feeds, `input>1,2|conv3x3-bn-relu>2|output`. Isomorphic
cells have several such strings; the benchmark's samples and labels use that of the representative, `Cell.canonical`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput, names_of, seed_of, whole
from parzc_core.spaces import Graph, Isomorphism, nb101_cells

INPUT, OUTPUT = "input", "output"
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
GRAPH_KINDS = len(OPERATIONS) + 3  # and input, output, and a place where there is no vertex
DEAD_OPERATIONS = False  # a cell is pruned to what lies between its input and its output
WIDTH = "stem"
ARCH_COUNT, MAX_VERTICES, MAX_EDGES = nb101_cells.COUNT, nb101_cells.MAX_VERTICES, nb101_cells.MAX_EDGES
STACKS, CELLS_PER_STACK = 3, 3

_CODES = {name: code for code, name in nb101_cells.NAMES.items()}


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell: `matrix` uint8[V, V], entry (i, j) is 1 where vertex i feeds vertex j > i; `ops` the V operations.

    Vertex 0 is the "input", the last one the "output". Vertices that are not on a path between the two are dropped, as the
    benchmark does, before the cell is held against its limits. Raises BadInput.
    """

    matrix: np.ndarray
    ops: tuple[str, ...]

    def __post_init__(self) -> None:
        ops = names_of("the operations", self.ops)
        try:
            matrix = np.asarray(self.matrix)
        except ValueError:  # rows of different lengths
            matrix = np.empty(0)
        if matrix.ndim != 2 or matrix.shape != (len(ops), len(ops)) or len(ops) < 2:
            raise BadInput(
                f"got a matrix of shape {matrix.shape} with {len(ops)} operations; "
                "expected a square matrix of 0 and 1 with an operation for each of at least two vertices"
            )
        if not np.isin(matrix, (0, 1)).all():
            raise BadInput(f"got the matrix entries {sorted(set(matrix.ravel().tolist()))}; expected 0 and 1")
        if np.tril(matrix).any():
            i, j = np.argwhere(np.tril(matrix))[0].tolist()
            raise BadInput(
                f"not a directed acyclic graph in order: vertex {i} feeds vertex {j}; expected a matrix with ones above "
                "the diagonal only, so that every vertex feeds later ones (reorder the vertices)"
            )
        if ops[0] != INPUT or ops[-1] != OUTPUT:
            raise BadInput(f"got {ops[0]!r} first and {ops[-1]!r} last; expected {INPUT!r} and {OUTPUT!r}")
        for name in ops[1:-1]:
            if name not in OPERATIONS:
                raise BadInput(f"unknown operation {name!r} inside a cell; expected one of {', '.join(OPERATIONS)}")
        kept = _on_a_path(matrix)
        if not kept:
            raise BadInput(
                "the cell is disconnected: no path leads from its input to its output; add the missing edges"
            )
        matrix = matrix[np.ix_(kept, kept)].astype(np.uint8)
        if len(kept) > MAX_VERTICES or matrix.sum() > MAX_EDGES:
            raise BadInput(
                f"got {len(kept)} vertices and {matrix.sum()} edges between input and output; "
                f"expected at most {MAX_VERTICES} and {MAX_EDGES}"
            )
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "ops", tuple(ops[i] for i in kept))

    @property
    def codes(self) -> np.ndarray:
        """int8[V], the operations as the benchmark's hash labels them, see nb101_cells.NAMES."""
        return np.array([_CODES[name] for name in self.ops], dtype=np.int8)

    @property
    def hash(self) -> str:
        """The benchmark's key: equal for isomorphic cells."""
        return nb101_cells.cell_hash(self.matrix, self.codes)

    def canonical(self) -> "Cell":
        """The isomorphic cell that the benchmark's enumeration meets first."""
        matrix, codes = nb101_cells.canonical(self.matrix, self.codes)
        return Cell(matrix, tuple(nb101_cells.NAMES[int(code)] for code in codes))

    def __str__(self) -> str:
        targets = [",".join(map(str, np.flatnonzero(row))) for row in self.matrix]
        return "|".join(f"{name}>{to}" if to else name for name, to in zip(self.ops, targets, strict=True))


def _on_a_path(matrix: np.ndarray) -> list[int]:
    """Vertices from which the output can be reached and that the input reaches; empty if the two are not connected."""
    last = len(matrix) - 1
    from_input, to_output = {0}, {last}
    for vertex in range(1, last + 1):
        if any(matrix[source, vertex] for source in from_input):
            from_input.add(vertex)
    for vertex in range(last - 1, -1, -1):
        if any(matrix[vertex, target] for target in to_output):
            to_output.add(vertex)
    return sorted(from_input & to_output) if 0 in to_output else []


def parse(arch_str: str) -> Cell:
    """The cell of an architecture string. Raises BadInput."""
    vertices = arch_str.split("|") if isinstance(arch_str, str) else []
    matrix = np.zeros((len(vertices), len(vertices)), dtype=np.uint8)
    ops = []
    for i, vertex in enumerate(vertices):
        name, _, targets = vertex.partition(">")
        ops.append(name)
        for target in targets.split(",") if targets else ():
            if not (target.isdecimal() and int(target) < len(vertices)):
                raise BadInput(f"got the target {target!r} in {arch_str!r}; expected the number of a vertex")
            matrix[i, int(target)] = 1
    if len(vertices) < 2:
        raise BadInput(
            f"not a NAS-Bench-101 architecture: {arch_str!r}; expected the form input>1|{OPERATIONS[0]}>2|output"
        )
    return Cell(matrix, tuple(ops))


def arch(index: int) -> str:
    """The architecture at a place in [0, ARCH_COUNT) of the benchmark's cells sorted by their hash. Raises BadInput."""
    index = whole("index", index)
    if not 0 <= index < ARCH_COUNT:
        raise BadInput(f"got index {index}; expected 0 to {ARCH_COUNT - 1}")
    cells = nb101_cells.all_cells()
    return nb101_cells.arch_strings(cells.matrices[index : index + 1], cells.operations[index : index + 1])[0]


def sample(count: int, seed: int) -> list[str]:
    """`count` different cells, uniform; a longer sample of the same seed begins with the shorter one. Raises BadInput."""
    count, seed = whole("count", count), seed_of(seed)
    if not 0 < count <= ARCH_COUNT:
        raise BadInput(f"got a sample of {count} cells; expected 1 to {ARCH_COUNT}")
    cells, rows = nb101_cells.all_cells(), nb101_cells.sample_rows(count, seed)
    return nb101_cells.arch_strings(cells.matrices[rows], cells.operations[rows])


def graph(arch_str: str) -> Graph:
    """The cell on MAX_VERTICES places: its vertices first, isolated empty places after them.

    `operations` indexes OPERATIONS, with 3 for the input, 4 for the output and 5 for an empty place.
    """
    cell = parse(arch_str)
    adjacency = np.zeros((MAX_VERTICES, MAX_VERTICES), dtype=np.float32)
    adjacency[: len(cell.ops), : len(cell.ops)] = cell.matrix
    kinds = (*OPERATIONS, INPUT, OUTPUT)
    codes = [kinds.index(name) for name in cell.ops] + [len(kinds)] * (MAX_VERTICES - len(cell.ops))
    return Graph(adjacency, np.array(codes, dtype=np.int64))


def isomorphism(arch_str: str) -> Isomorphism:
    """Samples hold no isomorphic cells: each stands for itself."""
    return Isomorphism(arch_str, {name: name for name in node_slots()})


def vertex_channels(matrix: np.ndarray, channels_in: int, channels_out: int) -> list[int]:
    """Channels of every vertex of a cell (the benchmark's rule).

    The vertices that feed the output share its channels out, the first ones taking what is left over; any other vertex has as
    many as the widest one that it feeds. What flows from a wider vertex to a narrower one is cut off.
    """
    last = len(matrix) - 1
    into_output = [v for v in range(1, last) if matrix[v, last]]
    channels = [channels_in, *([0] * (last - 1)), channels_out]
    for place, vertex in enumerate(into_output):
        channels[vertex] = channels_out // len(into_output) + (place < channels_out % len(into_output))
    for vertex in range(last - 1, 0, -1):
        if not matrix[vertex, last]:
            channels[vertex] = max(channels[target] for target in range(vertex + 1, last) if matrix[vertex, target])
    return channels


class ConvBnRelu(nn.Module):
    """Convolution without bias, batch normalisation, ReLU: (N, C_in, H, W) -> (N, C_out, H, W)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-5, momentum=0.003)
        self.relu = nn.ReLU(inplace=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x)))


def _operation(name: str, channels: int) -> nn.Module:
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    return ConvBnRelu(channels, channels, 3 if name == "conv3x3-bn-relu" else 1)


class SearchedCell(nn.Module):
    """One cell: a vertex is its operation on the sum of what feeds it, the output a concatenation: (N, C, H, W) -> (N, C', H, W).

    What comes from the cell's input is first projected to the vertex's channels; into the output it is added.
    """

    def __init__(self, cell: Cell, channels_in: int, channels_out: int):
        super().__init__()
        self.matrix = cell.matrix.tolist()
        self.last = len(cell.ops) - 1
        self.channels = vertex_channels(cell.matrix, channels_in, channels_out)
        self.projections = nn.ModuleDict(
            {str(v): ConvBnRelu(channels_in, self.channels[v], 1) for v in range(1, self.last + 1) if self.matrix[0][v]}
        )
        self.vertices = nn.ModuleDict({str(v): _operation(cell.ops[v], self.channels[v]) for v in range(1, self.last)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values: dict[int, torch.Tensor] = {}
        for vertex in range(1, self.last):
            fed = [values[v][:, : self.channels[vertex]] for v in range(1, vertex) if self.matrix[v][vertex]]
            if self.matrix[0][vertex]:
                fed.append(self.projections[str(vertex)](x))
            total = fed[0]
            for value in fed[1:]:
                total = total + value
            values[vertex] = self.vertices[str(vertex)](total)
        into_output = [values[v] for v in range(1, self.last) if self.matrix[v][self.last]]
        if not into_output:
            return self.projections[str(self.last)](x)
        output = torch.cat(into_output, dim=1)
        return output + self.projections[str(self.last)](x) if self.matrix[0][self.last] else output


class Network(nn.Module):
    """Stem, three stacks of three cells, head: (N, 3, H, W) -> (N, classes).

    Before the second and the third stack the resolution is halved; their cells have twice the channels.
    """

    def __init__(self, cell: Cell, stem: int, classes: int):
        super().__init__()
        self.stem = ConvBnRelu(3, stem, 3)
        widths = [stem, *(stem * 2**stack for stack in range(STACKS) for _ in range(CELLS_PER_STACK))]
        self.cells = nn.ModuleList(SearchedCell(cell, a, b) for a, b in pairwise(widths))
        self.downsample = nn.MaxPool2d(2, stride=2)
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)  # (N, stem, H, W)
        for place, cell in enumerate(self.cells):
            x = cell(self.downsample(x) if place in (CELLS_PER_STACK, 2 * CELLS_PER_STACK) else x)
        return self.classifier(x.mean(dim=(2, 3)))  # (N, 4 stem, H / 4, W / 4) -> (N, classes)


def build(cell: Cell | str, stem: int = 128, classes: int = 10, skip_dead: bool = True) -> Network:
    """The benchmark's network of a cell, with the framework's own random initialisation.

    stem: channels of the first stack (the benchmark: 128). skip_dead: nothing is dead in a pruned cell. Raises BadInput.
    """
    stem, classes = whole("stem", stem, MAX_VERTICES), whole("classes", classes, 2)
    return Network(cell if isinstance(cell, Cell) else parse(cell), stem, classes)


def node_slots() -> tuple[str, ...]:
    """Module path of every Conv2d/Linear node that a network of this space can have, from the stem to the classifier."""
    in_a_cell = [f"{kind}.{v}" for v in range(1, MAX_VERTICES) for kind in ("projections", "vertices")]
    in_a_cell.remove(f"vertices.{MAX_VERTICES - 1}")  # the output has no operation
    cells = [f"cells.{place}.{node}.conv" for place in range(STACKS * CELLS_PER_STACK) for node in in_a_cell]
    return ("stem.conv", *cells, "classifier")


SLOTS = node_slots()
MAX_NODES = (
    2 + STACKS * CELLS_PER_STACK * MAX_EDGES
)  # a cell has as many as edges: 4 vertices fed by the input, 5 in all
