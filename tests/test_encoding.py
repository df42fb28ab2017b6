"""Encodings against hand-computed values; the aligned one does not leak, and says what it cannot read."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.collector import NodeStatistics
from parzc_core.encoding import PAPER_PROXIES, Encoder, encode, log_magnitude, slotted_logs
from parzc_core.errors import BadInput, UnknownName
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import nb201


def fake(seed: int, nodes: tuple[str, ...] = ("c", "b", "a")) -> NodeStatistics:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(NODE_PROXIES), len(nodes))) * 10.0 ** rng.integers(-8, 46, size=(7, len(nodes)))
    return NodeStatistics(
        nodes, NODE_PROXIES, values, rng.integers(1, 1000, len(nodes)), tuple(reversed(range(len(nodes))))
    )


def test_paper_encoding_by_hand():
    one = NodeStatistics(
        ("x", "y", "z"), ("snip", "plain"), np.array([[2.0, 4.0, 6.0], [5.0, 5.0, 5.0]]), np.ones(3, int), (2, 1, 0)
    )
    two = NodeStatistics(("x", "y"), ("snip", "plain"), np.array([[1.0, 3.0], [-1.0, 1.0]]), np.ones(2, int), (1, 0))
    got = encode([one, two], "paper", ("snip", "plain"))
    assert got.dtype == np.float32
    assert got.tolist() == [[0, 0.5, 1, 0, 0, 0], [0, 1, 0, 0, 1, 0]]  # 0/0 is 0; padded at the end of each proxy
    alone = NodeStatistics(("x",), ("snip",), np.array([[2.0]]), np.ones(1, int), (0,))
    assert encode([alone], "paper", ("snip",), max_nodes=1).tolist() == [[0]]


def alike(nodes: tuple[str, ...], values: list[list[float]], proxies: tuple[str, ...] = ("snip",)) -> NodeStatistics:
    """Statistics that run from the last node to the first."""
    return NodeStatistics(nodes, proxies, np.array(values), np.ones(len(nodes), int), tuple(reversed(range(len(nodes)))))


@pytest.mark.parametrize("scheme", ["paper", "aligned", "raw", "log"])
def test_values_that_are_equal_zero_or_nan_are_encoded_without_a_warning(scheme):
    rows = [[5.0, 5.0, 5.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 2.0]]
    statistics = [alike(("c", "b", "a"), [row]) for row in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = encode(statistics, scheme, ("snip",))
    assert (got[1] == (-3 if scheme == "aligned" else 0)).all()
    if scheme == "paper":
        assert got[:2].tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("scheme", ["paper", "aligned", "raw", "log"])
@pytest.mark.parametrize(
    "odd", [[np.inf, 1.0, 2.0], [-np.inf, 1.0, np.inf], [np.inf] * 3, [1e308, -1e308, 0.0], [np.nan, np.inf, 0.0]]
)
def test_infinite_values_are_encoded_without_a_warning(scheme, odd):
    statistics = [alike(("c", "b", "a"), [row]) for row in (odd, [1.0, 2.0, 3.0])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = encode(statistics, scheme, ("snip",))
    if scheme == "paper":  # the range is infinite, or unknown
        assert got.tolist() == [[0, 0, 0], [0, 0.5, 1]]


def test_raw_and_log_values_are_in_the_order_of_the_paper_and_not_scaled():
    values = np.array([[2.0, -4e50, 0.0], [1e-3, 5.0, np.nan]])
    one = NodeStatistics(("x", "y", "z"), ("snip", "plain"), values, np.ones(3, int), (2, 1, 0))
    raw, log = (encode([one], scheme, ("snip", "plain"), max_nodes=4)[0] for scheme in ("raw", "log"))
    assert raw.dtype == log.dtype == np.float32
    assert raw.tolist() == pytest.approx([2, -np.inf, 0, 0, 1e-3, 5, np.nan, 0], nan_ok=True)  # float32 ends at 3e38
    assert log.tolist() == pytest.approx([0.30103, 50.60206, 0, 0, -3, 0.69897, 0, 0])
    with pytest.raises(BadInput, match="3 nodes; the encoder was fitted for 2"):
        encode([one], "raw", ("snip",), max_nodes=2)


def test_aligned_encoding_keeps_slots_and_standardises_on_the_training_cells_alone():
    statistics = [fake(i, nodes) for i, nodes in enumerate([("a", "b"), ("b", "c"), ("a", "c"), ("a", "b", "c")])]
    slots = ("a", "b", "c")
    got = encode(statistics, "aligned", ("snip",), train=[0, 1], slots=slots)
    logs = {slot: {} for slot in slots}
    for i, one in enumerate(statistics):
        for node, value in zip(one.nodes, one.of("snip"), strict=True):
            logs[node][i] = np.log10(abs(value))
    for column, slot in enumerate(slots):
        seen = [logs[slot][i] for i in (0, 1) if i in logs[slot]]
        scale = np.std(seen) or 1.0
        for i in range(4):
            expected = np.clip((logs[slot][i] - np.mean(seen)) / scale, -4, 4) if i in logs[slot] else -3.0
            assert got[i, column] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    changed = [*statistics[:2], fake(99, ("a", "c")), fake(98, ("b",))]
    assert np.array_equal(got[:2], encode(changed, "aligned", ("snip",), train=[0, 1], slots=slots)[:2])
    assert not np.array_equal(got[:2], encode(statistics, "aligned", ("snip",), slots=slots)[:2])


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_log_magnitude_is_nan_exactly_where_there_is_no_logarithm(value):
    got = float(log_magnitude(np.array(value)))
    assert np.isnan(got) == (not np.isfinite(value) or value == 0)
    if not np.isnan(got):
        assert got == pytest.approx(np.log10(abs(value)))


def test_a_dead_node_is_encoded_like_an_absent_one():
    full, part = fake(0, ("a", "b")), fake(0, ("a", "b"))
    dead = NodeStatistics(
        full.nodes, full.proxies, full.values * np.array([1.0, 0.0]), full.numel, full.execution_order
    )
    absent = NodeStatistics(("a",), part.proxies, part.values[:, :1], part.numel[:1], (0,))
    got = encode([full, dead, absent], "aligned", ("snip", "plain"), slots=("a", "b"))
    assert np.array_equal(got[1], got[2])
    assert not np.array_equal(got[0], got[1])


def test_encodings_refuse_what_they_cannot_read():
    with pytest.raises(UnknownName, match="paper, aligned"):
        encode([fake(0)], "onehot")
    with pytest.raises(BadInput, match="no statistics"):
        encode([], "paper")
    with pytest.raises(BadInput, match="was not collected"):
        encode([fake(0)], "paper", ("zen",))
    with pytest.raises(BadInput, match="fitted for 2"):
        Encoder("paper").fit([fake(0, ("a", "b"))]).transform([fake(1)])
    with pytest.raises(BadInput, match="no slot"):
        Encoder("aligned").fit([fake(0, ("a", "b"))]).transform([fake(1)])


def test_nb201_paper_encoding_has_the_papers_294_inputs():
    nodes = nb201.SLOTS
    full = NodeStatistics(
        nodes, NODE_PROXIES, np.random.default_rng(0).random((7, 98)), np.ones(98, int), tuple(range(98))
    )
    assert encode([full, fake(1)], "paper").shape == (2, 294)
    assert len(PAPER_PROXIES) == 3


def test_slots_that_are_not_given_are_the_nodes_of_all_architectures_as_they_run():
    statistics = [alike(("b", "a"), [[10.0, 100.0]]), alike(("b", "a"), [[1000.0, 100.0]]), alike(("c", "a"), [[0.1, 1.0]])]
    got = encode(statistics, "aligned", ("snip",), train=[0, 1])  # slots a, b, c
    assert got.tolist() == [[0, -1, -3], [0, 1, -3], [-2, -3, -1]]
    assert Encoder("aligned", ("snip",)).fit(statistics).slots_ == ("a", "b", "c")


def test_values_are_found_by_proxy_and_node_in_whatever_order_they_are_stored():
    one = alike(("b", "a"), [[10.0, 100.0], [1e3, 1e4]], ("snip", "plain"))
    other = alike(("a", "b"), [[1e4, 1e3], [100.0, 10.0]], ("plain", "snip"))
    logs = slotted_logs([one, other], ("snip", "plain"), ("a", "b"))
    assert logs.tolist() == [[[2, 1], [4, 3]]] * 2
    assert np.array_equal(*encode([one, other], "aligned", ("snip", "plain"), slots=("a", "b")))


def test_the_papers_proxies_are_synflow_snip_and_the_gradients_norm_in_that_order():
    """A.3; the order of the inputs of every stored ranker."""
    one = fake(0)
    assert np.array_equal(encode([one]), encode([one], "paper", ("synflow", "snip", "grad_norm")))


def test_the_length_of_an_encoding_is_that_of_its_slots_of_max_nodes_or_of_the_longest():
    part, full = alike(("a", "b"), [[1.0, 2.0]]), alike(("c", "b", "a"), [[1.0, 2.0, 3.0]])
    slots = ("a", "b", "c", "d")
    for scheme in ("paper", "raw", "log"):
        found = [Encoder(scheme, "snip", s, m).fit([part, full]).length_ for s, m in ((None, None), (slots, None), (slots, 7))]
        assert found == [3, 4, 7]
    aligned = Encoder("aligned", "snip", slots, max_nodes=7).fit([part, full])
    assert aligned.length_ == aligned.transform([part]).shape[1] == 4
    with pytest.raises(BadInput, match="no proxies"):
        Encoder("paper", ())


@pytest.mark.parametrize("scheme", ["paper", "aligned"])
@pytest.mark.parametrize("max_nodes", [None, 7])
def test_an_encoder_comes_back_from_its_state(scheme, max_nodes):
    encoder = Encoder(scheme, ("snip", "plain"), ("a", "b", "c", "d"), max_nodes).fit([fake(0), fake(1)])
    plain, arrays = encoder.state()
    again = Encoder.from_state(json.loads(json.dumps(plain)), arrays)
    for name in ("scheme", "proxies", "slots", "max_nodes", "slots_", "length_"):
        assert np.array_equal(getattr(again, name), getattr(encoder, name)), name
    assert np.array_equal(again.transform([fake(2)]), encoder.transform([fake(2)]))
    assert np.array_equal(again.fit([fake(3)]).transform([fake(2)]), encoder.fit([fake(3)]).transform([fake(2)]))
