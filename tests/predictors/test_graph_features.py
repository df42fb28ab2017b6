"""Features of graphs on cells worked by hand, and against every path listed by networkx."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.graph_features import graph_features
from parzc_core.predictors.trees import one_hot
from parzc_core.ranker import Inputs
from parzc_core.spaces import nb201

KINDS = Kinds.of("nb201")
NONE, SKIP, CONV1, CONV3, POOL = range(5)


def cells(*archs):
    found = [nb201.graph(arch) for arch in archs]
    return Inputs(None, np.stack([g.adjacency for g in found]), np.stack([g.operations for g in found]))


def test_a_cell_of_two_branches_by_hand():
    # 3x3 then 1x1 beside a skip connection; node 2 gets nothing
    arch = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
    row = graph_features(cells(arch), KINDS).iloc[0]
    expected = {
        "count, 0": 3, "count, 1": 1, "count, 2": 1, "count, 3": 1, "count, 4": 0,
        "live count, 0": 0, "live count, 1": 1, "live count, 2": 1, "live count, 3": 1,
        "live edges": 5,
        "paths of length 0": 0, "paths of length 1": 1, "paths of length 2": 1, "paths of length 3": 0,
        "shortest path, 1": 1, "shortest path, 3": 8, "shortest path, 2 3": 2, "shortest path, 1 2 3": 1,
        "shortest path, 0": 2, "shortest path, 4": 8,
        "most on a path, 2": 1, "most on a path, 2 3": 2, "most on a path, 1 2 3": 2, "most on a path, 0": 0,
        "fed by input, 3": 1, "fed by input, 1 3": 2, "fed by input, 0": 1, "fed by input, 2": 0,
        "feed output, 1": 1, "feed output, 1 2": 2, "feed output, 3": 0,
        "edges from, 3": 2, "edges to, 2": 1, "edges from, 1": 1, "edges to, 3": 1,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_cells_of_nothing_but_one_operation_by_hand():
    full, empty, idle = (
        f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|" for op in ("nor_conv_3x3", "none", "skip_connect")
    )
    table = graph_features(cells(full, empty, idle, full), KINDS)
    assert [table[f"paths of length {k}"][0] for k in range(5)] == [0, 1, 2, 1, 0]
    assert table["live edges"].tolist() == [10, 0, 10, 10]
    assert table["live count, 3"].tolist() == [6, 0, 0, 6]
    assert table["most on a path, 3"].tolist() == [3, -1, 0, 3]
    assert table["most on a path, 1"].tolist() == [0, -1, 3, 0]
    assert table["shortest path, 0"].tolist() == [8, 1, 8, 8]
    assert table["shortest path, 1 3"].tolist() == [1, 8, 1, 1]


def test_there_is_a_column_for_every_set_of_operations():
    columns = graph_features(cells(nb201.arch(0)), KINDS).columns
    assert len(columns) == len(set(columns)) == 2 * 5 + 1 + 7 + 31 * 6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 7))
def test_paths_are_those_that_networkx_lists(seed, nodes):
    rng = np.random.default_rng(seed)
    kinds = Kinds(3, 6, none=0)  # none, two operations, input, output, and an empty place
    adjacency = np.triu(rng.random((nodes, nodes)) < 0.6, 1)
    operations = np.array([kinds.input, *rng.integers(0, 3, nodes - 2), kinds.output])
    order = rng.permutation(nodes)  # the features do not need nodes in topological order
    shuffled = Inputs(None, adjacency[None][:, order][:, :, order].astype(np.float32), operations[None][:, order])
    row = graph_features(shuffled, kinds).iloc[0]
    graph = nx.from_numpy_array(adjacency, create_using=nx.DiGraph)
    paths = [operations[path[1:-1]] for path in nx.all_simple_paths(graph, 0, nodes - 1)]
    passing = [path for path in paths if (path != 0).all()]
    for length in range(nodes - 1):
        assert row[f"paths of length {length}"] == sum(len(path) == length for path in passing)
    for size in (1, 2, 3):
        for chosen in itertools.combinations(range(3), size):
            name = " ".join(map(str, chosen))
            only = [len(path) for path in paths if np.isin(path, chosen).all()]
            assert row[f"shortest path, {name}"] == min(only, default=nodes)
            assert row[f"most on a path, {name}"] == max((np.isin(p, chosen).sum() for p in passing), default=-1)
    on_a_path = {
        node for path in nx.all_simple_paths(graph, 0, nodes - 1) if (operations[path] != 0).all() for node in path
    }
    for kind in range(3):
        assert row[f"live count, {kind}"] == sum(operations[node] == kind for node in on_a_path)


def test_one_hot_by_hand():
    table = one_hot(cells("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"), KINDS)
    row = table.iloc[0]
    ones = {name for name in table.columns if row[name] == 1}
    kinds = ["node 0 is 5", "node 1 is 3", "node 2 is 0", "node 3 is 0", "node 4 is 1", "node 5 is 2", "node 6 is 0"]
    edges = ["0 feeds 1", "0 feeds 2", "0 feeds 4", "1 feeds 3", "1 feeds 5", "2 feeds 6", "3 feeds 6"]
    assert ones == {*kinds, "node 7 is 6", *edges, "4 feeds 7", "5 feeds 7", "6 feeds 7"}


def test_graphs_are_checked():
    with pytest.raises(BadInput, match="without a graph"):
        graph_features(Inputs(), KINDS)
