"""NAS-Bench-101: cells, their limits and errors, the network against the published parameter counts, graphs and slots."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.spaces import nb101, space

CONV3, CONV1, POOL = nb101.OPERATIONS
CHAIN = "input>1|conv3x3-bn-relu>2|maxpool3x3>3|output"
# Two vertices into the output, one that feeds only another vertex, the input projected twice and into the output.
MIXED = "input>1,2,4|conv3x3-bn-relu>2,3|conv1x1-bn-relu>4|maxpool3x3>4|output"
PUBLISHED = Path(os.environ.get("PARZC_DATA", "")) / "nasbench101" / "nb101_all_423624.npz"
needs_labels = pytest.mark.skipif(not PUBLISHED.is_file(), reason="PARZC_DATA has no table of NAS-Bench-101")


@st.composite
def cells(draw: st.DrawFn) -> nb101.Cell:
    """Any cell within the limits: a path from input to output, and further edges."""
    n = draw(st.integers(2, nb101.MAX_VERTICES))
    matrix = np.zeros((n, n), dtype=int)
    between = draw(st.sets(st.sampled_from(range(1, n - 1)))) if n > 2 else set()
    path = [0, *sorted(between), n - 1]
    matrix[path[:-1], path[1:]] = 1
    free = [(i, j) for i in range(n) for j in range(i + 1, n) if not matrix[i, j]]
    room = int(nb101.MAX_EDGES - matrix.sum())
    more = draw(st.lists(st.sampled_from(free), max_size=room, unique=True)) if free else []
    for i, j in more:
        matrix[i, j] = 1
    inner = draw(st.lists(st.sampled_from(nb101.OPERATIONS), min_size=n - 2, max_size=n - 2))
    return nb101.Cell(matrix, ("input", *inner, "output"))


@given(cells())
def test_a_string_and_its_cell_are_the_same(cell: nb101.Cell) -> None:
    again = nb101.parse(str(cell))
    assert (again.matrix == cell.matrix).all()
    assert again.ops == cell.ops


@given(cells())
def test_every_vertex_of_a_cell_lies_between_input_and_output(cell: nb101.Cell) -> None:
    assert cell.matrix[:, 1:].any(axis=0).all()
    assert cell.matrix[:-1].any(axis=1).all()


def test_vertices_off_the_path_are_dropped_before_the_limits_are_checked() -> None:
    matrix = np.zeros((9, 9), dtype=int)
    matrix[0, 1:8] = 1  # seven vertices fed by the input; only the first and the last go on
    matrix[1, 8] = matrix[7, 8] = 1
    cell = nb101.Cell(matrix, ("input", CONV3, *[POOL] * 5, CONV1, "output"))
    assert str(cell) == "input>1,2|conv3x3-bn-relu>3|conv1x1-bn-relu>3|output"


def full(n: int) -> np.ndarray:
    return np.triu(np.ones((n, n), dtype=int), 1)


@pytest.mark.parametrize(
    ("matrix", "ops", "said"),
    [
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], ("input", CONV3, "output"), "vertex 2 feeds vertex 0"),
        ([[0, 1, 0], [0, 1, 1], [0, 0, 0]], ("input", CONV3, "output"), "vertex 1 feeds vertex 1"),
        ([[0, 1], [0, 0]], ("input", CONV3, "output"), "got a matrix of shape (2, 2) with 3 operations"),
        ([[0, 1], [0]], ("input", "output"), "expected a square matrix"),
        ([[0, 2], [0, 0]], ("input", "output"), "got the matrix entries [0, 2]"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ("input", "conv5x5", "output"), "unknown operation 'conv5x5'"),
        ([[0, 1], [0, 0]], ("output", "input"), "got 'output' first and 'input' last"),
        ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], ("input", CONV3, "output"), "disconnected"),
        (full(5), ("input", CONV3, CONV3, CONV3, "output"), "got 5 vertices and 10 edges"),
        (np.eye(8, k=1, dtype=int), ("input", *[CONV1] * 6, "output"), "got 8 vertices and 7 edges"),
    ],
)
def test_a_cell_outside_the_space_gets_one_clear_error(matrix: list, ops: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadInput) as error:
        nb101.Cell(matrix, ops)  # type: ignore[arg-type]
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "input", "input>1|", "input>1|conv3x3-bn-relu>9|output", "input>x|output", None, 3]
)
def test_what_is_no_architecture_string_is_refused(text: object) -> None:
    with pytest.raises(BadInput):
        nb101.parse(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arch", "channels"),
    [
        (CHAIN, [128, 256, 256, 256]),  # one way into the output: the full width, all along
        (MIXED, [128, 128, 128, 128, 256]),
        # Three share 256: the first gets the odd one; the vertex that feeds the second and third takes the wider.
        (
            "input>1,4|conv1x1-bn-relu>2,3|conv1x1-bn-relu>5|maxpool3x3>5|maxpool3x3>5|output",
            [128, 86, 86, 85, 85, 256],
        ),
        ("input>1|output", [128, 256]),
    ],
)
def test_channels_are_shared_among_the_edges_into_the_output(arch: str, channels: list[int]) -> None:
    assert nb101.vertex_channels(nb101.parse(arch).matrix, 128, 256) == channels


def parameters(arch: str, stem: int = 128) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in nb101.build(arch, stem=stem).parameters())


def test_parameters_of_a_chain_by_hand() -> None:
    """Stem 3x3 convolution, nine cells of a projection and a 3x3 convolution, classifier; a BatchNorm has two a channel."""
    expected, before = 27 * 128 + 2 * 128, 128
    for after in (128, 128, 128, 256, 256, 256, 512, 512, 512):
        expected += before * after + 2 * after + 9 * after * after + 2 * after
        before = after
    assert parameters(CHAIN) == expected + 512 * 10 + 10


@needs_labels
@pytest.mark.parametrize("part", [slice(0, 100), pytest.param(slice(100, 1000), marks=pytest.mark.slow)])
def test_parameters_equal_the_published_count_of_a_thousand_cells(part: slice) -> None:
    table = np.load(PUBLISHED)
    names = {3: "input", 4: "output", **dict(enumerate(nb101.OPERATIONS))}
    for row in np.random.default_rng(0).permutation(len(table["hash"]))[part]:
        n = table["n_vertices"][row]
        cell = nb101.Cell(table["adjacency"][row][:n, :n], tuple(names[int(k)] for k in table["ops"][row][:n]))
        assert parameters(str(cell)) == round(1e6 * table["params_M"][row]), cell


def test_a_network_computes_what_its_cell_says() -> None:
    """MIXED, written out: truncation, projections of the input, concatenation, and the input added to it."""
    torch.manual_seed(0)
    network = nb101.build(MIXED, stem=8).eval()
    cell, x = network.cells[0], torch.randn(2, 8, 6, 6)
    v1 = cell.vertices["1"](cell.projections["1"](x))
    v2 = cell.vertices["2"](v1[:, : cell.channels[2]] + cell.projections["2"](x))
    v3 = torch.nn.functional.max_pool2d(v1, 3, stride=1, padding=1)
    expected = torch.cat([v2, v3], dim=1) + cell.projections["4"](x)
    torch.testing.assert_close(cell(x), expected)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_resolution_is_halved_twice_and_channels_doubled() -> None:
    network, shapes = nb101.build(CHAIN, stem=8, classes=7), []
    for cell in network.cells:
        cell.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    network(torch.randn(2, 3, 32, 32))
    assert shapes == [(8, 32, 32)] * 3 + [(16, 16, 16)] * 3 + [(32, 8, 8)] * 3


@given(cells())
@settings(max_examples=25, deadline=None)
def test_every_node_has_a_slot_and_no_cell_has_more_than_the_papers_83(cell: nb101.Cell) -> None:
    with torch.device("meta"):
        network = nb101.build(cell)
    nodes = [name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert set(nodes) <= set(nb101.SLOTS)
    assert len(nodes) <= 83
    assert len(set(nb101.SLOTS)) == len(nb101.SLOTS) == 2 + 9 * 11


def test_some_cell_has_the_papers_83_nodes() -> None:
    """249 inputs of the paper are three proxies of 83 nodes (A.2)."""
    widest = "input>1,2,3,4|" + "|".join([f"{CONV3}>5"] * 4) + f"|{CONV3}>6|output"
    statistics = collect_statistics(nb101.build(widest, stem=8), torch.randn(2, 3, 8, 8), torch.tensor([0, 1]))
    assert len(statistics.nodes) == 83
    assert statistics.nodes[0] == "classifier"
    assert statistics.nodes[-1] == "stem.conv"


def test_the_graph_has_seven_places() -> None:
    graph = space("nb101").graph(MIXED)
    assert graph.operations.tolist() == [3, 0, 1, 2, 4, 5, 5]
    assert graph.adjacency.shape == (7, 7)
    assert graph.adjacency.sum() == 7
    assert (graph.adjacency[:5, :5] == nb101.parse(MIXED).matrix).all()
    assert graph.operations.max() < nb101.GRAPH_KINDS


@pytest.mark.parametrize(("argument", "value"), [("stem", 3), ("stem", 128.0), ("classes", 1)])
def test_impossible_sizes_are_refused(argument: str, value: float) -> None:
    with pytest.raises(BadInput, match=f"got {argument}="):
        nb101.build(CHAIN, **{argument: value})  # type: ignore[arg-type]
