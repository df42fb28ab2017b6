"""NAS-Bench-101 as a space to search in: its cells are graphs, so places cannot be chosen one by one."""

from collections.abc import Sequence

import numpy as np

from parzc_core.errors import BadInput
from parzc_core.spaces import nb101

_TRIES = 1000  # for a valid mutant; some forty are enough nearly always


class CellsOfNB101:
    """The 423,624 cells, each as the string of its representative (`nb101.Cell.canonical`)."""

    name = "nb101"

    def __len__(self) -> int:
        return nb101.ARCH_COUNT

    def sample(self, generator: np.random.Generator) -> str:
        """A cell, uniform, drawn with replacement."""
        return nb101.arch(int(generator.integers(len(self))))

    def mutate(self, arch: str, generator: np.random.Generator) -> str:
        """Another cell near that one, mutated as the benchmark's authors did it for evolution (google-research/nasbench).

        The cell is seen on all seven vertices; each possible edge flips with a chance of 1/7, each of the five operations
        becomes one of the other two with a chance of 1/5, and that is drawn again until it is a cell, and another one. The
        vertices that a smaller cell lacks are unconnected ones before its output, with random operations. Raises BadInput.
        """
        parent = nb101.parse(arch)
        matrix, operations = _on_seven_vertices(parent, generator)
        edges = np.triu_indices(nb101.MAX_VERTICES, 1)
        for _ in range(_TRIES):
            flipped = matrix.copy()
            flipped[edges] ^= (generator.random(len(edges[0])) < 1 / nb101.MAX_VERTICES).astype(np.uint8)
            names = [
                _another(name, generator) if generator.random() < 1 / len(operations) else name for name in operations
            ]
            try:
                child = nb101.Cell(flipped, (nb101.INPUT, *names, nb101.OUTPUT))
            except BadInput:  # too many edges, or no way through
                continue
            if child.hash != parent.hash:
                return str(child.canonical())
        raise BadInput(f"got no other cell from {arch!r} in {_TRIES} mutations")

    def one_hot(self, archs: Sequence[str]) -> np.ndarray:
        """float64[n, 2 * 21 + 7 * 6]: edges and operations of each cell on seven places, see `nb101.graph`.

        A squared distance is twice the number of edges and operations that differ.
        """
        edges = np.triu_indices(nb101.MAX_VERTICES, 1)
        rows = []
        for arch in archs:
            graph = nb101.graph(arch)
            there = graph.adjacency[edges]
            rows.append(np.concatenate([there, 1 - there, np.eye(nb101.GRAPH_KINDS)[graph.operations].ravel()]))
        return np.array(rows, dtype=float)


def _on_seven_vertices(cell: nb101.Cell, generator: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """uint8[7, 7] and the five operations between input and output."""
    inside, last = len(cell.ops) - 1, nb101.MAX_VERTICES - 1
    matrix = np.zeros((nb101.MAX_VERTICES, nb101.MAX_VERTICES), dtype=np.uint8)
    matrix[:inside, :inside] = cell.matrix[:-1, :-1]
    matrix[:inside, last] = cell.matrix[:-1, -1]
    added = [nb101.OPERATIONS[int(i)] for i in generator.integers(len(nb101.OPERATIONS), size=last - inside)]
    return matrix, [*cell.ops[1:-1], *added]


def _another(name: str, generator: np.random.Generator) -> str:
    others = [other for other in nb101.OPERATIONS if other != name]
    return others[int(generator.integers(len(others)))]
