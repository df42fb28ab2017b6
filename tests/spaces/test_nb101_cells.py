"""The set of NAS-Bench-101 cells: against a plain enumeration of the small spaces, and against the published keys.

The full enumeration (half a minute) is not run here: its cells are compared with the published table without the hashes, and the
checksum that `all_cells` demands of its result is compared with that of the published table.
To run it in full: `PARZC_CACHE=$(mktemp -d) python -c "from parzc_core.spaces.nb101_cells import all_cells; all_cells()"`.
"""

import functools
import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core import paths
from parzc_core.errors import BadInput
from parzc_core.spaces import nb101_cells
from parzc_core.spaces.nb101_cells import INPUT, NO_VERTEX, OUTPUT

TABLE = "nasbench101/nb101_all_423624.npz"
needs_labels = pytest.mark.skipif(
    paths.data_folder() is None or not (paths.data_folder() / TABLE).is_file(), reason="needs PARZC_DATA"
)
# vertices: (matrices, labelled graphs, cells)
COUNTS = {
    2: (1, 1, 1),
    3: (2, 6, 6),
    4: (10, 90, 84),
    5: (121, 3267, 2441),
    6: (1545, 125145, 62010),
    7: (4793, 1164699, 359082),
}
# A published key: 00005c142e6f48ac74fdcf73e3439874 is the first of them in their order.
KEY = "00005c142e6f48ac74fdcf73e3439874"
KEYS_EDGES = ((0, 1), (0, 4), (0, 5), (1, 2), (2, 3), (2, 6), (3, 5), (4, 5), (5, 6))
KEYS_CODES = (INPUT, 0, 2, 0, 0, 1, OUTPUT)

Graph = tuple[tuple[tuple[int, int], ...], tuple[int, ...]]  # edges in ascending order, codes


def as_matrix(edges, vertices: int) -> np.ndarray:
    matrix = np.zeros((vertices, vertices), dtype=np.uint8)
    for edge in edges:
        matrix[edge] = 1
    return matrix


def as_graph(matrix: np.ndarray, codes: np.ndarray) -> Graph:
    return tuple(sorted((int(x), int(y)) for x, y in np.argwhere(matrix))), tuple(int(code) for code in codes)


def renumbered(graph: Graph, order) -> Graph:
    """Vertex v of the graph becomes vertex order[v]."""
    edges, codes = graph
    new_codes = [0] * len(codes)
    for v, code in enumerate(codes):
        new_codes[order[v]] = code
    return tuple(sorted((order[x], order[y]) for x, y in edges)), tuple(new_codes)


def reached(edges, start: int) -> set[int]:
    found = {start}
    for _ in edges:
        found |= {y for x, y in edges if x in found}
    return found


@functools.cache
def labelled_graphs(vertices: int, max_edges: int) -> list[Graph]:
    """Every labelled graph, in the generator's order: bit x + y (y - 1) / 2 of a counter is the entry (x, y)."""
    bit_of = {x + y * (y - 1) // 2: (x, y) for y in range(vertices) for x in range(y)}
    graphs = []
    for counter in range(2 ** len(bit_of)):
        edges = tuple(sorted(pair for bit, pair in bit_of.items() if counter >> bit & 1))
        backwards = [(y, x) for x, y in edges]
        on_a_path = reached(edges, 0) & reached(backwards, vertices - 1)
        if len(edges) <= max_edges and on_a_path == set(range(vertices)):
            graphs += [(edges, (INPUT, *codes, OUTPUT)) for codes in itertools.product(range(3), repeat=vertices - 2)]
    return graphs


@functools.cache
def first_of_class(vertices: int, max_edges: int) -> dict[Graph, Graph]:
    """{labelled graph: the first in the generator's order that some renumbering of the inner vertices makes equal to it}."""
    orders = [(0, *inner, vertices - 1) for inner in itertools.permutations(range(1, vertices - 1))]
    first: dict[Graph, Graph] = {}
    for graph in labelled_graphs(vertices, max_edges):
        for order in orders if graph not in first else ():
            first.setdefault(renumbered(graph, order), graph)
    return {graph: first[graph] for graph in labelled_graphs(vertices, max_edges)}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    """The published table in the codes of this project."""
    with np.load(paths.data_folder() / TABLE) as file:
        ops = file["ops"]
        assert file["ops_legend"].tolist()[:3] == ["0=conv3x3-bn-relu", "1=conv1x1-bn-relu", "2=maxpool3x3"]
        codes = np.array([0, 1, 2, INPUT, OUTPUT, NO_VERTEX], dtype=np.int8)[ops]  # the last is -1
        return {"hashes": file["hash"], "matrices": file["adjacency"], "codes": codes, "vertices": file["n_vertices"]}


def stored(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The table in the form of the cache file."""
    numbers = sum(
        table["matrices"][:, x, y].astype(np.uint32) << (x + y * (y - 1) // 2) for y in range(7) for x in range(y)
    )
    labellings = np.zeros(len(numbers), dtype=np.uint8)
    for place in range(1, 6):
        inner = place < table["vertices"] - 1
        labellings[inner] = labellings[inner] * 3 + table["codes"][inner, place].astype(np.uint8)
    vertices = table["vertices"].astype(np.uint8)
    return {"hashes": table["hashes"], "vertices": vertices, "numbers": numbers, "labellings": labellings}


@pytest.mark.parametrize(("vertices", "max_edges"), [(2, 9), (3, 9), (4, 9), (4, 4), (5, 9), (5, 5)])
def test_small_spaces_equal_a_plain_enumeration(vertices, max_edges):
    expected = {g for v in range(2, vertices + 1) for g in first_of_class(v, max_edges).values()}
    cells = nb101_cells.enumerate_cells(vertices, max_edges)
    got = []
    for matrix, codes, count in zip(cells.matrices, cells.operations, cells.vertices, strict=True):
        assert not matrix[count:].any()
        assert not matrix[:, count:].any()
        assert (codes[count:] == NO_VERTEX).all()
        got.append(as_graph(matrix, codes[:count]))
    assert len(got) == len(set(got))
    assert set(got) == expected
    assert (cells.hashes[1:] > cells.hashes[:-1]).all()
    assert cells.hashes.tolist() == [nb101_cells.cell_hash(as_matrix(edges, len(codes)), codes) for edges, codes in got]
    assert (cells.matrices.dtype, cells.operations.dtype, cells.vertices.dtype) == (np.uint8, np.int8, np.int8)


@pytest.mark.parametrize("vertices", [2, 3, 4, 5])
def test_canonical_is_the_first_of_the_class_and_the_hash_tells_classes_apart(vertices):
    class_of_hash: dict[str, Graph] = {}
    hash_of_class: dict[Graph, str] = {}
    for graph, first in first_of_class(vertices, 9).items():
        matrix = as_matrix(graph[0], vertices)
        assert as_graph(*nb101_cells.canonical(matrix, graph[1])) == first
        key = nb101_cells.cell_hash(matrix, graph[1])
        assert class_of_hash.setdefault(key, first) == first
        assert hash_of_class.setdefault(first, key) == key


@pytest.mark.parametrize("vertices", COUNTS)
def test_counts_by_number_of_vertices(vertices):
    matrices, graphs, cells = COUNTS[vertices]
    assert len(nb101_cells.valid_numbers(vertices, 9)) == matrices
    assert matrices * 3 ** (vertices - 2) == graphs
    assert sum(len(labellings) for _, labellings in nb101_cells.representatives(vertices, 9)) == cells


def test_counts_add_up_to_the_published_one():
    assert sum(cells for _, _, cells in COUNTS.values()) == nb101_cells.COUNT == 423_624


def test_hash_of_the_smallest_cell_by_hand():
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    first, last = md5("(1, 0, -1)"), md5("(0, 1, -2)")
    for _ in range(2):
        first, last = md5(f"|{last}|{first}"), md5(f"{first}||{last}")
    expected = md5(str(sorted([first, last])))
    assert nb101_cells.cell_hash(np.array([[0, 1], [0, 0]]), [INPUT, OUTPUT]) == expected


def test_hash_of_a_published_cell():
    matrix = as_matrix(KEYS_EDGES, 7)
    assert nb101_cells.cell_hash(matrix, KEYS_CODES) == KEY
    assert nb101_cells.cell_hash(matrix.tolist(), np.array(KEYS_CODES)) == KEY
    assert as_graph(*nb101_cells.canonical(matrix, KEYS_CODES)) == (KEYS_EDGES, KEYS_CODES)


@needs_labels
def test_hashes_equal_the_published_keys(table):
    for row in np.random.default_rng(0).permutation(len(table["hashes"]))[:3000]:
        count = table["vertices"][row]
        matrix, codes = table["matrices"][row, :count, :count], table["codes"][row, :count]
        assert nb101_cells.cell_hash(matrix, codes) == table["hashes"][row].decode()


@needs_labels
def test_representatives_are_the_published_cells(table):
    published = stored(table)
    for vertices in COUNTS:
        rows = published["vertices"] == vertices
        expected = set(zip(published["numbers"][rows].tolist(), published["labellings"][rows].tolist(), strict=True))
        got = [(n, label) for n, labels in nb101_cells.representatives(vertices, 9) for label in labels.tolist()]
        assert got == sorted(expected)  # each once, in the generator's order


@needs_labels
def test_all_cells_are_the_published_table(table, tmp_path, monkeypatch):
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path))
    monkeypatch.setattr(
        nb101_cells, "_enumerated", lambda *_: stored(table)
    )  # all_cells refuses it if the checksum differs
    cells = nb101_cells.all_cells.__wrapped__(progress=False)
    assert cells.hashes.dtype == "U32"
    assert np.array_equal(cells.hashes, table["hashes"].astype("U32"))
    assert np.array_equal(cells.matrices, table["matrices"])
    assert np.array_equal(cells.operations, table["codes"])
    assert np.array_equal(cells.vertices, table["vertices"])
    texts = nb101_cells.arch_strings(cells.matrices, cells.operations)
    assert len(set(texts)) == len(texts) == nb101_cells.COUNT
    for row in range(0, len(texts), 997):
        words = []
        for vertex in range(cells.vertices[row]):
            targets = ",".join(str(v) for v in range(7) if cells.matrices[row, vertex, v])
            words.append(nb101_cells.NAMES[cells.operations[row, vertex]] + (f">{targets}" if targets else ""))
        assert texts[row] == "|".join(words)


@st.composite
def renumberings(draw) -> tuple[Graph, Graph]:
    """A graph of up to seven vertices and the same with its inner vertices renumbered, in another topological order."""
    vertices = draw(st.integers(3, 7))
    number = int(draw(st.sampled_from(_numbers(vertices))))
    edges = tuple(sorted((x, y) for y in range(vertices) for x in range(y) if number >> (x + y * (y - 1) // 2) & 1))
    codes = (INPUT, *draw(st.tuples(*[st.integers(0, 2)] * (vertices - 2))), OUTPUT)
    wish = draw(st.permutations(range(vertices)))
    order: list[int] = []
    while len(order) < vertices:  # of the vertices whose sources all have a place, the one that is wished first
        ready = [v for v in range(vertices) if v not in order and all(x in order for x, y in edges if y == v)]
        order.append(min(ready, key=wish.index))
    places = [order.index(v) for v in range(vertices)]
    return (edges, codes), renumbered((edges, codes), places)


@functools.cache
def _numbers(vertices: int) -> list[int]:
    return nb101_cells.valid_numbers(vertices, 9).tolist()


@given(renumberings())
@settings(max_examples=300, deadline=None)
def test_renumbering_changes_neither_hash_nor_representative(pair):
    first, second = [(as_matrix(edges, len(codes)), codes) for edges, codes in pair]
    assert nb101_cells.cell_hash(*first) == nb101_cells.cell_hash(*second)
    canonical = nb101_cells.canonical(*first)
    assert as_graph(*canonical) == as_graph(*nb101_cells.canonical(*second))
    assert as_graph(*nb101_cells.canonical(*canonical)) == as_graph(*canonical)
    assert nb101_cells.cell_hash(*canonical) == nb101_cells.cell_hash(*first)


def test_arch_strings():
    matrices = np.stack([as_matrix([(0, 1), (0, 2), (1, 3), (2, 3)], 4), as_matrix([(0, 1)], 4)])
    operations = np.array([[INPUT, 0, 2, OUTPUT], [INPUT, OUTPUT, NO_VERTEX, NO_VERTEX]])
    assert nb101_cells.arch_strings(matrices, operations) == [
        "input>1,2|conv3x3-bn-relu>3|maxpool3x3>3|output",
        "input>1|output",
    ]


def test_samples_nest_and_do_not_repeat():
    long, short = nb101_cells.sample_rows(5000, 7), nb101_cells.sample_rows(50, 7)
    assert long.dtype == np.int64
    assert np.array_equal(long[:50], short)
    assert len(set(long.tolist())) == 5000
    assert not np.array_equal(nb101_cells.sample_rows(50, 8), short)
    assert abs(long.mean() / nb101_cells.COUNT - 0.5) < 0.02  # standard error .004
    assert sorted(nb101_cells.sample_rows(nb101_cells.COUNT, 1).tolist()) == list(range(nb101_cells.COUNT))


@pytest.mark.parametrize("count", [0, -1, 423_625])
def test_impossible_samples_are_refused(count):
    with pytest.raises(BadInput, match=f"{count} cells; expected 1 to 423624"):
        nb101_cells.sample_rows(count, 0)


@pytest.mark.parametrize(
    ("matrix", "codes", "message"),
    [
        ([[0, 1], [0, 0]], [INPUT, 0, OUTPUT], "expected a square matrix"),
        ([[0, 1], [0]], [INPUT, OUTPUT], "expected a square matrix"),
        ([[0]], [INPUT], "2 to 7 vertices"),
        (np.zeros((8, 8)), [INPUT, *[0] * 6, OUTPUT], "2 to 7 vertices"),
        ([[0, 1], [1, 0]], [INPUT, OUTPUT], "above the diagonal"),
        ([[0, 2], [0, 0]], [INPUT, OUTPUT], "0 and 1"),
        ([[0, 1], [0, 0]], [OUTPUT, INPUT], "expected -1 first, -2 last"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [INPUT, 3, OUTPUT], "0 to 2 between"),
        ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], [INPUT, OUTPUT, NO_VERTEX], "expected -1 first, -2 last"),
    ],
)
@pytest.mark.parametrize("function", [nb101_cells.cell_hash, nb101_cells.canonical])
def test_what_is_not_a_cell_is_refused(function, matrix, codes, message):
    with pytest.raises(BadInput, match=message):
        function(matrix, codes)


@pytest.mark.parametrize(
    ("matrices", "operations", "message"),
    [
        (np.zeros((2, 3, 3)), np.zeros((2, 4)), "shape"),
        (np.zeros((3, 3)), np.zeros(3), "shape"),
        (np.zeros((1, 8, 8)), np.zeros((1, 8)), "V from 2 to 7"),
        (np.zeros((1, 2, 2)), np.array([[INPUT, 5]]), "codes"),
        (np.full((1, 2, 2), 2), np.array([[INPUT, OUTPUT]]), "entries 0 and 1"),
    ],
)
def test_arch_strings_refuses_what_are_not_cells(matrices, operations, message):
    with pytest.raises(BadInput, match=message):
        nb101_cells.arch_strings(matrices, operations)
