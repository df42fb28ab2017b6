"""Votes and features of hand-made networks."""

import numpy as np
import pytest

from parzc_core.collector import NodeStatistics
from parzc_core.experiments import label_free_inputs as inputs
from parzc_core.proxies import NODE_PROXIES


def network(norms: list[float], numel: list[int], backwards: bool = False) -> NodeStatistics:
    """Every proxy has the values of the gradient norms; the nodes run in the order given, or the other way round."""
    count = len(norms)
    values = np.tile(np.array(norms, dtype=float), (len(NODE_PROXIES), 1))
    order = tuple(range(count))
    return NodeStatistics(tuple(map(str, order)), NODE_PROXIES, values, np.array(numel), order[::-1] if backwards else order)


def test_a_layer_without_a_gradient_counts_for_nothing():
    table = inputs.node_table([network([1, 0, 1], [10, 99, 20]), network([2], [7])])
    assert table["layers"].tolist() == [2, 1]
    assert np.expm1(table["weights"]).tolist() == pytest.approx([30, 7])
    assert table["log weights"].tolist() == pytest.approx([np.log(200), np.log(7)])


def test_summaries_by_hand():
    e = np.e
    table = inputs.node_table([network([1, e, e**2], [1, 1, 1]), network([1, e, e**2], [1, 1, 1], backwards=True)])
    first = table.iloc[0]
    assert first["snip, mean"] == pytest.approx(1)
    assert first["snip, spread"] == pytest.approx(np.sqrt(2 / 3))
    assert first["snip, least"] == pytest.approx(0)
    assert first["snip, total"] == pytest.approx(np.log(1 + e + e**2))
    assert table["snip, slope"].tolist() == pytest.approx([2, -2])  # along relative depth, from 0 to 1
    assert table["snip, jumps"].tolist() == pytest.approx([1, 1])
    assert table[["snip, third 1", "snip, third 3"]].to_numpy() == pytest.approx(np.array([[0, 2], [2, 0]]))
    shares = np.array([1, e, e**2]) / (1 + e + e**2)
    assert first["snip, nodes"] == pytest.approx(-(shares * np.log(shares)).sum())


def test_committed_networks_are_read_without_a_label(monkeypatch):
    for name in ("judged", "learned", "accuracy"):
        monkeypatch.setattr(f"parzc_core.labels.{name}", lambda *_: pytest.fail("a label was read"))
    found = inputs.inputs(inputs.PLACES["ENAS, made here"], 7)
    assert (len(found), found.features.shape) == (7, (7, len(found.names)))
    assert {"layers", "params", "nwot", "snip, nodes"} <= set(found.votes)
    assert found.front(3, ["params"]).votes.shape == (3, 1)


def test_places_of_a_family_share_their_networks():
    families = {}
    for place in inputs.PLACES.values():
        families.setdefault(place.space, set()).add(place.family)
    assert all(len(each) == 1 for each in families.values())
