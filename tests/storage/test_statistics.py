"""The store: what is written is read, whole shards or none, damage is named, two collectors do not meet."""

import gc
import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, CorruptShard
from parzc_core.proxies import NODE_PROXIES
from parzc_core.storage.statistics import Record, StatisticsStore, archs_sha256, pack, round_mantissa


def fake(seed: int, nodes: tuple[str, ...] = ("c", "b", "a")) -> NodeStatistics:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(NODE_PROXIES), len(nodes))) * 10.0 ** rng.integers(-8, 46, size=(7, len(nodes)))
    order = tuple(reversed(range(len(nodes))))
    return NodeStatistics(nodes, NODE_PROXIES, values, rng.integers(1, 1000, len(nodes)), order)


def filled(folder: Path, count: int = 5, shard_size: int = 2) -> tuple[StatisticsStore, list[Record]]:
    store = StatisticsStore(folder)
    records = [Record(f"arch{i}", fake(i, ("c", "b", "a")[: 1 + i % 3]), {"zen": float(i)}, i) for i in range(count)]
    store.open({"config": {"seed": 0}}, [r.arch for r in records], range(0, count, shard_size))
    for number in store.missing():
        part = records[number * shard_size : (number + 1) * shard_size]
        store.add(number, pack(part), 1.0, 100.0 + number)
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


def test_sums_are_those_of_the_nodes_in_the_order_of_the_sample(tmp_path):
    store, records = filled(tmp_path)
    got = store.sums()
    assert got.index.tolist() == [r.arch for r in records]
    assert got["zen"].tolist() == [0, 1, 2, 3, 4]
    for record in records:
        row = got.loc[record.arch]
        expected = record.statistics.values
        scale = np.abs(expected).sum(axis=1)  # terms of both signs may cancel
        assert (np.abs(row[list(NODE_PROXIES)].to_numpy(dtype=float) - expected.sum(axis=1)) <= 2**-19 * scale).all()
        assert record.arch in {one.arch for one in store.read_shard(int(row["shard"]))}
    store.path(2).unlink()
    assert len(store.sums()) == 4
    store.path(1).write_bytes(b"")
    with pytest.raises(CorruptShard, match="shard-00001"):
        store.sums()


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_rounding_keeps_the_relative_error_and_what_is_not_finite(value):
    got = float(round_mantissa(np.array([value]))[0])
    if not np.isfinite(value) or value == 0:
        assert got == value or (np.isnan(got) and np.isnan(value))
    elif abs(value) > 1e-300:
        assert abs(got - value) <= abs(value) * 2**-20


def test_rounding_does_not_change_how_sums_over_nodes_rank():
    values = np.random.default_rng(0).lognormal(sigma=3, size=(2000, 40))
    tau = scipy.stats.kendalltau(values.sum(axis=1), round_mantissa(values).sum(axis=1)).statistic
    assert tau > 1 - 1e-4
    assert scipy.stats.kendalltau(values.sum(axis=1), round_mantissa(values, 4).sum(axis=1)).statistic < 1 - 1e-4


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
        with pytest.raises(CorruptShard, match=r"shard-00001\.npz is damaged"):
            store.read_shard(1)


def test_damaged_shards_are_all_found_and_whole_ones_are_not(tmp_path):
    store, _ = filled(tmp_path, count=8)
    assert store.damaged() == {}
    store.path(1).write_bytes(store.path(1).read_bytes()[:-1])
    store.path(3).write_bytes(store.path(0).read_bytes())  # a whole archive, but another shard's
    store.path(2).unlink()
    assert sorted(store.damaged()) == [1, 3]
    assert store.complete() == 4


def test_the_manifest_adds_up_time_and_keeps_the_largest_memory(tmp_path):
    store, _ = filled(tmp_path, count=5)
    assert (store.manifest["cpu_seconds"], store.manifest["peak_memory_mb"]) == (3.0, 102)


def test_grouped_shards_are_read_in_the_order_of_the_sample(tmp_path):
    """Isomorphic architectures stand together in a shard, wherever they are in the sample."""
    store = StatisticsStore(tmp_path)
    groups = [[0, 3, 5], [1], [2, 4]]  # positions; a shard each
    store.open({"config": {}}, [f"arch{i}" for i in range(6)], [group[0] for group in groups])
    for number, group in enumerate(groups):
        store.add(number, pack([Record(f"arch{i}", fake(number), {"zen": float(i)}, i) for i in group]))
    assert store.read().archs == [f"arch{i}" for i in range(6)]
    assert store.read().scores["zen"].tolist() == [0, 1, 2, 3, 4, 5]
    assert store.read(2).archs == ["arch0", "arch1"]
    store.path(2).unlink()
    assert store.complete() == 2
    with pytest.raises(BadInput, match="holds 2 architectures"):
        store.read(3)


def test_a_nodes_values_that_architectures_share_are_kept_once(tmp_path):
    def shard(seeds: list[int]) -> bytes:
        nodes = tuple(f"n{i}" for i in range(40))
        return pack([Record(f"arch{i}", fake(seed, nodes), {}, i) for i, seed in enumerate(seeds)])

    same, different = shard([7] * 20), shard(list(range(20)))
    assert len(same) < 0.3 * len(different)
    store = StatisticsStore(tmp_path)
    store.open({"config": {}}, [f"arch{i}" for i in range(20)], [0])
    store.add(0, same)
    for i, one in enumerate(store.read_shard(0)):
        assert np.array_equal(one.statistics.values, round_mantissa(fake(7, one.statistics.nodes).values)), i


def test_a_store_is_not_opened_as_another_collection(tmp_path):
    store, _ = filled(tmp_path)
    with pytest.raises(BadInput, match="holds another collection"):
        store.open({"config": {"seed": 1}}, [f"arch{i}" for i in range(5)], [0, 2, 4])
    with pytest.raises(BadInput, match="parzc collect"):
        StatisticsStore(tmp_path / "nothing").read()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, '{"config": 1}', "\xff"])
def test_a_broken_manifest_is_one_line_that_says_the_way_out(tmp_path, text):
    store, _ = filled(tmp_path)
    (tmp_path / "manifest.json").write_bytes(text.encode("latin1"))
    with pytest.raises(BadInput, match=r"manifest\.json .*remove it: then `parzc collect` writes it anew") as refused:
        store.read()
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 450 + len(str(tmp_path))


WRONG = {
    "versions": ([1], "x", None, {"torch": 1}),
    "other_versions": (5, [5], {}),
    "cpu_seconds": ("x", None, float("nan"), -1, True),
    "peak_memory_mb": ("x", None, float("inf")),
    "shards": ({"shard-00000.npz": 5}, []),
    "starts": (["x"], [2, 0], [True], None),
    "architectures": (-1, True, "5", 1.5),
    "image_batch": (5,),
    "computed": ("x", None),
    "config": (5, None),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_each_field_of_a_manifest_is_checked_when_it_is_read(tmp_path, key, value):
    store, _ = filled(tmp_path)
    store._write_manifest(store.manifest | {key: value})
    with pytest.raises(BadInput, match=rf"manifest\.json is damaged: got .* as {key}; expected .*remove it: then") as refused:
        store.manifest  # noqa: B018 - reading it is the test
    assert "\n" not in str(refused.value)


def test_a_second_collector_on_the_same_store_is_refused(tmp_path):
    store = StatisticsStore(tmp_path)
    with store.lock(), pytest.raises(BadInput, match="another process"), StatisticsStore(tmp_path).lock():
        pass


def twice(folder: Path, manifest: dict) -> None:
    """The first shard's content in place of the second."""
    (folder / "shard-00001.npz").write_bytes((folder / "shard-00000.npz").read_bytes())
    manifest["shards"]["shard-00001.npz"] = manifest["shards"]["shard-00000.npz"]


@pytest.mark.parametrize(
    "edit",
    [twice, lambda _, m: m.update(architectures=50), lambda _, m: m.update(starts=[0, 2]), lambda _, m: m.update(starts=[])],
    ids=["a shard twice", "more architectures", "fewer shards", "no shards"],
)
def test_shards_that_do_not_make_up_what_the_manifest_tells_of_are_not_read(tmp_path, edit):
    store, _ = filled(tmp_path)
    manifest = store.manifest
    edit(tmp_path, manifest)
    store._write_manifest(manifest)
    with pytest.raises(BadInput, match=r"holds \d of the first \d+ architectures .*, or other ones; its shards .* were replaced"):
        store.read()
    if edit is twice:
        with pytest.raises(BadInput, match="holds an architecture of the sample twice"):
            store.sums()


def test_a_store_is_opened_for_as_many_architectures_as_it_tells_of(tmp_path):
    store, _ = filled(tmp_path)
    store._write_manifest(store.manifest | {"architectures": 3})
    with pytest.raises(BadInput, match="its architectures is 3, got 5"):
        store.open({"config": {"seed": 0}}, [f"arch{i}" for i in range(5)], [0, 2, 4])


def test_a_shard_that_says_it_is_of_another_collection_is_refused_though_the_manifest_knows_it(tmp_path):
    store, records = filled(tmp_path)
    versions = {"torch": "2", "parzc": "0.1.0"}
    store._write_manifest(store.manifest | {"versions": versions})
    store.add(2, store.stamped(pack(records[4:]), versions))
    assert len(store.read().archs) == 5
    for edit in ({"config": {"seed": 1}}, {"versions": {"torch": "1", "parzc": "0.1.0"}}, {"kept_mantissa_bits": 10}):
        manifest = store.manifest
        store._write_manifest(manifest | edit)
        with pytest.raises(CorruptShard, match=r"shard-00002\.npz is of another collection or version than the manifest says"):
            store.read()
        assert list(store.damaged()) == [2]
        store._write_manifest(manifest)
    store._write_manifest({key: value for key, value in store.manifest.items() if key != "versions"})
    assert len(store.read().archs) == 5


@pytest.mark.parametrize("count", [-1, 1.5, True, "3", float("nan")])
def test_a_count_that_is_none_is_refused(tmp_path, count):
    store, _ = filled(tmp_path)
    with pytest.raises(BadInput, match="expected a whole number"):
        store.read(count)


def test_scores_of_another_collection_are_taken_by_architecture_and_counted(tmp_path):
    store, records = filled(tmp_path / "one")
    other = StatisticsStore(tmp_path / "other")
    other.open({"config": {}}, ["arch0", "arch1", "arch2"], [0])
    other.add(0, pack([Record(r.arch, r.statistics, {"zen": -1.0, "nwot": 10.0 * r.position}, r.position) for r in records[:3]]))
    found = store.read().with_scores(other.read())
    assert found.scores["zen"].tolist() == [0, 1, 2, 3, 4]  # its own
    assert found.scores["nwot"].tolist() == pytest.approx([0, 10, 20, np.nan, np.nan], nan_ok=True)
    assert (found.scored, found.archs) == ({"nwot": 3}, [f"arch{i}" for i in range(5)])
    stranger = StatisticsStore(tmp_path / "stranger")
    stranger.open({"config": {}}, ["arch1", "arch0"], [0])
    stranger.add(0, pack([Record(f"arch{1 - i}", fake(i), {"nwot": 1.0}, i) for i in range(2)]))
    with pytest.raises(BadInput, match="another sample"):
        store.read().with_scores(stranger.read())


def test_a_sample_is_told_by_its_order():
    assert archs_sha256(["a", "b"]) == hashlib.sha256(b"a\nb").hexdigest() != archs_sha256(["b", "a"])


@pytest.mark.parametrize("enabled", [True, False])
def test_reading_leaves_the_collector_of_cycles_as_it_was(tmp_path, enabled):
    store, _ = filled(tmp_path)
    try:
        (gc.enable if enabled else gc.disable)()
        store.read()
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_the_memory_kept_is_the_largest_and_not_the_last(tmp_path):
    store, records = filled(tmp_path)
    store.add(2, pack(records[4:]), 0.26, 50.0)
    assert (store.manifest["cpu_seconds"], store.manifest["peak_memory_mb"]) == (3.3, 102)


def test_only_the_shards_that_are_asked_for_are_read(tmp_path):
    store, _ = filled(tmp_path)
    store.path(1).write_bytes(b"damaged")
    assert store.read(2).archs == ["arch0", "arch1"]
    with pytest.raises(CorruptShard):
        store.read(3)


def test_an_unknown_shard_that_does_not_say_what_it_is_of_is_refused(tmp_path):
    store, _ = filled(tmp_path)
    store._write_manifest({**store.manifest, "shards": {}})
    with pytest.raises(CorruptShard, match="does not say what it was computed from"):
        store.read()


def test_versions_that_were_mixed_before_may_be_added_to(tmp_path):
    store, _ = filled(tmp_path)
    here, older = {"torch": "2", "parzc": "0.1.0"}, {"torch": "1", "parzc": "0.1.0"}
    store._write_manifest({**store.manifest, "versions": older})
    with pytest.raises(BadInput, match="computed with torch 1, here is 2"):
        store.check_versions(here)
    store.check_versions(here, mix=True)
    for versions in (here, older, here | {"numpy": "9"}):  # numpy decides no value
        store.check_versions(versions)
    assert store.manifest["other_versions"] == [here]


def test_sums_are_in_the_order_of_the_sample_where_shards_are_not(tmp_path):
    store = StatisticsStore(tmp_path)
    groups = [[0, 3, 5], [1], [2, 4]]
    store.open({"config": {}}, [f"arch{i}" for i in range(6)], [group[0] for group in groups])
    for number, group in enumerate(groups):
        store.add(number, pack([Record(f"arch{i}", fake(i), {"zen": float(i)}, i) for i in group]))
    got = store.sums()
    assert got.index.tolist() == [f"arch{i}" for i in range(6)]
    assert got["shard"].tolist() == [0, 1, 2, 0, 2, 0]


def test_rounding_is_to_the_nearest_of_20_bits_and_the_largest_number_stays_finite():
    one = 1 + 2.0**-19
    assert round_mantissa(np.array([one, 1 + 2.0**-21, 1 + 1.5 * 2.0**-19, -one])).tolist() == [one, 1, 1 + 2 * 2.0**-19, -one]
    values = np.random.default_rng(0).lognormal(sigma=20, size=1000)
    errors = np.abs(round_mantissa(values) / values - 1)
    assert errors.max() <= 2.0**-20
    largest = np.finfo(np.float64).max
    assert round_mantissa(np.array([largest, -largest])).tolist() == [largest, -largest]
