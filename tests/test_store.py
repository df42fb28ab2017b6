"""The store and the driver: whole shards or none, resumption, damage that is named, encodings that do not leak."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parzc_core import collection
from parzc_core.collection import CollectionConfig, collect
from parzc_core.collector import NodeStatistics
from parzc_core.encoding import PAPER_PROXIES, Encoder, encode, log_magnitude
from parzc_core.errors import BadInput, CorruptShard, UnknownName
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import nb201
from parzc_core.statistics_store import Record, StatisticsStore, round_mantissa


def fake(seed: int, nodes: tuple[str, ...] = ("c", "b", "a")) -> NodeStatistics:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(NODE_PROXIES), len(nodes))) * 10.0 ** rng.integers(-8, 46, size=(7, len(nodes)))
    order = tuple(reversed(range(len(nodes))))
    return NodeStatistics(nodes, NODE_PROXIES, values, rng.integers(1, 1000, len(nodes)), order)


def filled(folder: Path, count: int = 5, shard_size: int = 2) -> tuple[StatisticsStore, list[Record]]:
    store = StatisticsStore(folder)
    records = [Record(f"arch{i}", fake(i, ("c", "b", "a")[: 1 + i % 3]), {"zen": float(i)}) for i in range(count)]
    store.open({"config": {"seed": 0}}, [r.arch for r in records], shard_size)
    for number in store.missing():
        part = records[number * shard_size : (number + 1) * shard_size]
        store.register(number, store.write_shard(number, part), 1.0)
    return store, records


def test_what_is_written_is_read_to_the_kept_precision(tmp_path):
    store, records = filled(tmp_path)
    got = store.read()
    assert got.archs == [r.arch for r in records]
    assert got.scores["zen"].tolist() == [0, 1, 2, 3, 4]
    for one, record in zip(got.statistics, records, strict=True):
        expected = record.statistics
        assert (one.nodes, one.proxies, one.execution_order) == (
            expected.nodes,
            expected.proxies,
            expected.execution_order,
        )
        np.testing.assert_allclose(one.values, expected.values, rtol=2**-20, atol=0)
        assert one.numel.tolist() == expected.numel.tolist()
    assert store.read(3).archs == ["arch0", "arch1", "arch2"]
    with pytest.raises(BadInput, match="holds 5 architectures, 6"):
        store.read(6)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_rounding_keeps_the_relative_error_and_what_is_not_finite(value):
    got = float(round_mantissa(np.array([value]))[0])
    if not np.isfinite(value) or value == 0:
        assert got == value or (np.isnan(got) and np.isnan(value))
    elif abs(value) > 1e-300:
        assert abs(got - value) <= abs(value) * 2**-20


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    store, _ = filled(tmp_path)
    path = store.path(1)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes({"truncate": data[:-40], "flip": data, "empty": b""}[damage])
    with pytest.raises(CorruptShard, match=r"shard-00001\.npz.*parzc collect"):
        store.read()
    if damage != "flip":  # the archive itself tells where the checksum was not yet noted; a flip may hit padding
        store._write_manifest({**store.manifest, "shards": {}})
        with pytest.raises(CorruptShard, match=r"shard-00001\.npz"):
            store.read()


def test_a_store_is_not_opened_as_another_collection(tmp_path):
    store, _ = filled(tmp_path)
    with pytest.raises(BadInput, match="holds another collection"):
        store.open({"config": {"seed": 1}}, [f"arch{i}" for i in range(5)], 2)
    with pytest.raises(BadInput, match="parzc collect"):
        StatisticsStore(tmp_path / "nothing").read()


def test_a_second_collector_on_the_same_store_is_refused(tmp_path):
    store = StatisticsStore(tmp_path)
    with store.lock(), pytest.raises(BadInput, match="another process"), StatisticsStore(tmp_path).lock():
        pass


@pytest.fixture
def tiny(monkeypatch):
    """Small networks and shards, so that collecting takes a moment."""
    monkeypatch.setattr(collection, "SHARD_SIZE", 2)
    build = nb201.build
    monkeypatch.setattr(nb201, "build", lambda arch, **rest: build(arch, channels=4, cells=1, **rest))


CONFIG = CollectionConfig(cells=5, batch=4, scores=("params", "nwot"))


def test_collecting_resumes_and_gives_the_same_values(tiny, tmp_path, monkeypatch):
    whole = collect(CONFIG, tmp_path / "whole").read()
    assert len(whole.archs) == 5
    assert whole.manifest["image_batch"]["source"] == "foolbox"
    assert whole.manifest["config"]["seed"] == 0

    write, written = StatisticsStore.write_shard, []

    def dies(self, number, records):
        if written:
            raise KeyboardInterrupt
        written.append(number)
        return write(self, number, records)

    monkeypatch.setattr(StatisticsStore, "write_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        collect(CONFIG, tmp_path / "cut")
    assert StatisticsStore(tmp_path / "cut").missing() == [1, 2]
    monkeypatch.setattr(StatisticsStore, "write_shard", write)
    before = StatisticsStore(tmp_path / "cut").path(0).stat().st_mtime_ns
    resumed = collect(CONFIG, tmp_path / "cut").read()
    assert StatisticsStore(tmp_path / "cut").path(0).stat().st_mtime_ns == before
    assert resumed.manifest["shards"] == whole.manifest["shards"]
    for a, b in zip(whole.statistics, resumed.statistics, strict=True):
        assert np.array_equal(a.values, b.values)


def test_a_shard_written_but_not_noted_is_taken_up(tiny, tmp_path):
    store = collect(CONFIG, tmp_path)
    shards = store.manifest["shards"]
    store._write_manifest({**store.manifest, "shards": {}})
    assert collect(CONFIG, tmp_path).manifest["shards"] == shards


def test_kill_9_loses_at_most_the_shard_in_flight(tmp_path):
    program = (
        "from parzc_core import collection as c\nfrom parzc_core.spaces import nb201\nbuild = nb201.build\n"
        "nb201.build = lambda arch, **rest: build(arch, channels=4, cells=1, **rest)\nc.SHARD_SIZE = 2\n"
        "import sys\nc.collect(c.CollectionConfig(cells=400, batch=4, scores=()), sys.argv[1])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("shard-*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store = StatisticsStore(tmp_path)
    there = [int(path.stem[-5:]) for path in tmp_path.glob("shard-*.npz")]
    assert len(there) >= 3
    for number in there:
        assert len(store.read_shard(number)) == 2
    assert json.loads((tmp_path / "manifest.json").read_text())["architectures"] == 400
    with store.lock():  # a dead collector holds no lock
        pass


def test_bad_collections_are_refused(tmp_path):
    with pytest.raises(UnknownName, match="unknown space"):
        CollectionConfig(space="nb999")
    with pytest.raises(UnknownName, match="unknown node-wise proxy"):
        CollectionConfig(proxies=("snap",))
    with pytest.raises(BadInput, match="2 images"):
        CollectionConfig(batch=1)


def test_paper_encoding_by_hand():
    one = NodeStatistics(
        ("x", "y", "z"), ("snip", "plain"), np.array([[2.0, 4.0, 6.0], [5.0, 5.0, 5.0]]), np.ones(3, int), (2, 1, 0)
    )
    two = NodeStatistics(("x", "y"), ("snip", "plain"), np.array([[1.0, 3.0], [-1.0, 1.0]]), np.ones(2, int), (1, 0))
    got = encode([one, two], "paper", ("snip", "plain"))
    assert got.dtype == np.float32
    assert got.tolist() == [[0, 0.5, 1, 0, 0, 0], [0, 1, 0, 0, 1, 0]]  # 0/0 is 0; padded at the end of each proxy


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
    dead = NodeStatistics(full.nodes, full.proxies, full.values * np.array([1.0, 0.0]), full.numel, full.execution_order)
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
