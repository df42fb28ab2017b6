"""Collecting under faults: kill -9, a full disk, a second collector, a damaged shard, a dead worker; nothing lost or repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from parzc_core import paths
from parzc_core.collecting import sample
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect, compute_shard, grouped
from parzc_core.errors import BadInput, CorruptShard, UnknownName, WorkerDied
from parzc_core.spaces import nb201
from parzc_core.storage.filling import versions
from parzc_core.storage.statistics import StatisticsStore, pack

CONFIG = CollectionConfig(cells=5, batch=4, scores=("params", "nwot"))
# Small networks and shards, for a process of its own; {} is the rest of the program.
PROGRAM = """
import sys
from parzc_core.collecting import sample as collecting
from parzc_core.collecting.one import CollectionConfig
from parzc_core.spaces import nb201
build = nb201.build
nb201.build = lambda arch, **rest: build(arch, channels=4, cells=1, **rest)
collecting.SHARD_SIZE = 2
config = CollectionConfig(cells=int(sys.argv[2]), batch=4, scores=())
"""


@pytest.fixture
def tiny(monkeypatch):
    """Small networks and shards, so that collecting takes a moment."""
    monkeypatch.setattr(sample, "SHARD_SIZE", 2)
    build = nb201.build
    monkeypatch.setattr(nb201, "build", lambda arch, **rest: build(arch, channels=4, cells=1, **rest))


def start(folder: Path, cells: int, rest: str = "collecting.collect(config, sys.argv[1])") -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + rest, str(folder), str(cells)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def wait_for_shards(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 900
    while len(list(folder.glob("shard-*.npz"))) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(list(folder.glob("shard-*.npz"))) >= count


def test_collecting_resumes_without_computing_anything_twice(tiny, tmp_path, monkeypatch):
    whole = collect(CONFIG, tmp_path / "whole").read()
    assert len(whole.archs) == 5
    assert whole.manifest["image_batch"]["source"] == "foolbox"
    assert whole.manifest["computed"] == 5
    assert whole.manifest["command"].startswith("parzc collect --space nb201 --dataset cifar10")

    computed = []

    def counted(config, number, *rest):
        if len(computed) == 1 and number not in computed:
            computed.append(None)
            raise KeyboardInterrupt
        computed.append(number)
        return compute_shard(config, number, *rest)

    monkeypatch.setattr(sample, "compute_shard", counted)
    with pytest.raises(KeyboardInterrupt):
        collect(CONFIG, tmp_path / "cut")
    assert StatisticsStore(tmp_path / "cut").missing() == [1, 2]
    before = StatisticsStore(tmp_path / "cut").path(0).stat().st_mtime_ns
    resumed = collect(CONFIG, tmp_path / "cut").read()
    assert computed == [0, None, 1, 2]
    assert StatisticsStore(tmp_path / "cut").path(0).stat().st_mtime_ns == before
    assert resumed.manifest["shards"] == whole.manifest["shards"]
    for a, b in zip(whole.statistics, resumed.statistics, strict=True):
        assert np.array_equal(a.values, b.values)
    collect(CONFIG, tmp_path / "cut")
    assert computed == [0, None, 1, 2]


def test_the_size_of_shards_changes_no_value(tiny, tmp_path):
    two, four = (collect(CONFIG, tmp_path / str(size), shard_size=size) for size in (2, 4))
    assert (two.manifest["starts"], four.manifest["starts"]) == ([0, 2, 4], [0, 4])
    for a, b in zip(two.read().statistics, four.read().statistics, strict=True):
        assert np.array_equal(a.values, b.values)
    with pytest.raises(BadInput, match="holds another collection"):
        collect(CONFIG, tmp_path / "2", shard_size=4)


def test_a_shard_written_but_not_noted_is_taken_up(tiny, tmp_path, monkeypatch):
    store = collect(CONFIG, tmp_path)
    shards = store.manifest["shards"]
    store._write_manifest({**store.manifest, "shards": {}})
    monkeypatch.setattr(sample, "compute_shard", None)  # calling it would fail
    assert collect(CONFIG, tmp_path).manifest["shards"] == shards


def test_a_damaged_shard_is_named_and_computed_anew_alone(tiny, tmp_path, capsys):
    store = collect(CONFIG, tmp_path, progress=False)
    shards = store.manifest["shards"]
    untouched = store.path(0).stat().st_mtime_ns
    store.path(1).write_bytes(b"\0" * 100)
    again = collect(CONFIG, tmp_path, progress=False)
    said = "".join(capsys.readouterr())
    assert "shard-00001.npz is damaged" in said
    assert "computing it anew" in said
    assert again.manifest["shards"] == shards
    assert again.damaged() == {}
    assert again.path(0).stat().st_mtime_ns == untouched


def altered(store: StatisticsStore, **entries) -> None:
    """The last shard is missing, and the manifest says something else."""
    store.path(len(store.manifest["starts"]) - 1).unlink()
    store._write_manifest(store.manifest | entries)


def photographs(folder: Path, first: int) -> str:
    """A folder of images, two classes of four."""
    for i in range(8):
        file = folder / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), first + i, dtype=np.uint8)).save(file)
    return str(folder)


def test_other_photographs_another_precision_or_configuration_is_refused_by_the_one_entry_that_differs(tiny, tmp_path):
    config = replace(CONFIG, images=photographs(tmp_path / "photographs", 0))
    altered(collect(config, tmp_path / "store", progress=False))
    photographs(tmp_path / "photographs", 100)
    with pytest.raises(BadInput, match=r"its image_batch\.sha256 is .{60}…, got") as refused:
        collect(config, tmp_path / "store", progress=False)
    assert len(str(refused.value)) < 300 + len(str(tmp_path))
    (tmp_path / "photographs" / "a" / "0.png").rename(tmp_path / "photographs" / "b" / "0.png")  # the label alone differs
    photographs(tmp_path / "photographs", 0)
    with pytest.raises(BadInput, match=r"its image_batch\."):
        collect(config, tmp_path / "store", progress=False)
    altered(collect(CONFIG, tmp_path / "bits", progress=False), kept_mantissa_bits=12)
    with pytest.raises(BadInput, match="its kept_mantissa_bits is 12, got 20; choose another folder"):
        collect(CONFIG, tmp_path / "bits", progress=False)
    with pytest.raises(BadInput, match=r"its config\.width is None, got 8;"):
        collect(replace(CONFIG, width=8), tmp_path / "bits", progress=False)


@pytest.mark.parametrize("library", ["torch", "parzc"])
def test_shards_of_other_versions_are_read_and_added_to_only_if_asked(tiny, tmp_path, library, monkeypatch):
    older = versions() | {library: "0.0.1", "python": "3.9.0"}
    with monkeypatch.context() as there:
        there.setattr("parzc_core.storage.filling.versions", lambda: older)
        store = collect(CONFIG, tmp_path, progress=False)
    assert collect(CONFIG, tmp_path, progress=False).read().archs  # complete: nothing is added
    altered(store)
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(BadInput, match=rf"computed with {library} 0\.0\.1, here is .*--out FOLDER.*--mix-versions"):
        collect(CONFIG, tmp_path, progress=False)
    assert store.read().archs == store.read(4).archs
    assert (tmp_path / "manifest.json").read_bytes() == before
    for _ in range(2):  # once mixed, these versions are known
        mixed = collect(CONFIG, tmp_path, progress=False, mix_versions=True)
        assert mixed.complete() == 5
        assert mixed.manifest["versions"] == older
        assert mixed.manifest["other_versions"] == [versions()]
        altered(store)
    assert collect(CONFIG, tmp_path, progress=False).complete() == 5


def test_another_python_goes_on_and_a_complete_store_is_not_rewritten(tiny, tmp_path):
    store = collect(CONFIG, tmp_path, progress=False)
    assert set(store.manifest["cpu"]) == {"machine", "capability"}
    kept = (tmp_path / "manifest.json").stat().st_mtime_ns
    collect(CONFIG, tmp_path, progress=False)
    assert (tmp_path / "manifest.json").stat().st_mtime_ns == kept
    altered(store, versions=store.manifest["versions"] | {"python": "3.9.0", "numpy": "1.0"})
    assert collect(CONFIG, tmp_path, progress=False).complete() == 5


@pytest.mark.parametrize("other", [{"seed": 5}, {"scores": ()}, {"batch_seed": 5}, {"init_seed": 9}])
def test_an_unknown_shard_of_another_collection_is_computed_anew(tiny, tmp_path, capsys, other):
    store = collect(CONFIG, tmp_path / "store", progress=False)
    expected = store.manifest["shards"]
    stranger = collect(replace(CONFIG, **other), tmp_path / "other", progress=False)
    store._write_manifest(store.manifest | {"shards": {n: h for n, h in expected.items() if "00001" not in n}})
    store.path(1).write_bytes(stranger.path(1).read_bytes())
    assert collect(CONFIG, tmp_path / "store", progress=False).manifest["shards"] == expected
    assert "shard-00001.npz is of another collection" in "".join(capsys.readouterr())
    store._write_manifest(store.manifest | {"shards": {}})
    store.path(1).write_bytes(stranger.path(1).read_bytes())
    with pytest.raises(CorruptShard, match=r"shard-00001\.npz is of another collection or version than the manifest says"):
        store.read()


def test_without_its_manifest_a_folder_keeps_the_shards_of_the_same_collection_alone(tiny, tmp_path, capsys):
    store = collect(CONFIG, tmp_path, progress=False)
    shards = store.manifest["shards"]
    older = store.path(2)  # as it was written before shards said what they were computed from
    plain = pack(store.read_shard(2))
    older.write_bytes(plain)
    (tmp_path / "manifest.json").unlink()
    kept = store.path(0).stat().st_mtime_ns
    assert collect(CONFIG, tmp_path, progress=False).manifest["shards"] == shards
    assert "shard-00002.npz does not say what it was computed from" in "".join(capsys.readouterr())
    assert store.path(0).stat().st_mtime_ns == kept
    (tmp_path / "manifest.json").unlink()
    other = replace(CONFIG, batch_seed=5, init_seed=9)
    assert collect(other, tmp_path, progress=False).manifest["shards"] == collect(other, tmp_path / "b").manifest["shards"]


def test_shards_of_other_versions_that_the_manifest_does_not_know_are_not_taken_up(tiny, tmp_path):
    store = collect(CONFIG, tmp_path, progress=False)
    store._write_manifest(store.manifest | {"versions": versions() | {"torch": "0.0.1"}, "shards": {}})
    with pytest.raises(BadInput, match=r"computed with torch 0\.0\.1, here is"):
        collect(CONFIG, tmp_path, progress=False)


def test_a_first_collection_that_fails_leaves_nothing_that_refuses_the_right_one(tiny, tmp_path, monkeypatch):
    def fails(*_):
        raise BadInput("no such network")

    monkeypatch.setattr(sample, "compute_shard", fails)
    with pytest.raises(BadInput, match="no such network"):
        collect(replace(CONFIG, cells=7), tmp_path, progress=False)
    monkeypatch.setattr(sample, "compute_shard", compute_shard)
    assert collect(CONFIG, tmp_path, progress=False).complete() == 5


def test_a_worker_with_other_images_is_refused(tiny):
    with pytest.raises(BadInput, match="other images"):
        compute_shard(CONFIG, 0, [], {"sha256": "0"})


def test_without_a_folder_a_collection_lies_beside_the_committed_one(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "STATISTICS", tmp_path / "statistics")
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    folder = sample.default_folder(CONFIG)
    assert folder == tmp_path / "statistics" / "nb201" / "cifar10"
    collect(CONFIG, folder, progress=False)
    assert sample.default_folder(CONFIG) == folder
    other = sample.default_folder(replace(CONFIG, cells=6))
    assert other.parent == tmp_path / "collected" / "nb201"
    assert other.name.startswith("cifar10-")
    assert other != sample.default_folder(replace(CONFIG, cells=7))


@pytest.mark.slow
def test_kill_9_loses_at_most_the_shard_in_flight(tmp_path):
    process = start(tmp_path, 400)
    wait_for_shards(tmp_path, 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store = StatisticsStore(tmp_path)
    there = [int(path.stem[-5:]) for path in tmp_path.glob("shard-*.npz")]
    assert len(there) >= 3
    for number in there:
        assert len(store.read_shard(number)) == 2
    assert store.manifest["architectures"] == 400
    with store.lock():  # a dead collector holds no lock
        pass


@pytest.mark.slow
def test_a_full_disk_leaves_whole_shards_only_and_collecting_goes_on_later(tiny, tmp_path):
    """Beyond 6 kB no file may grow: the manifest, rewritten at each shard, meets that limit as it would a full disk."""
    limited = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))\n"
        "collecting.collect(config, sys.argv[1])"
    )
    process = start(tmp_path, 300, limited)
    _, said = process.communicate(timeout=900)
    assert process.returncode != 0
    assert "File too large" in said
    assert not list(tmp_path.glob(".*npz*")), "a temporary file was left behind"
    store = StatisticsStore(tmp_path)
    there = 150 - len(store.missing())
    assert 0 < there < 150
    assert store.damaged() == {}
    json.loads((tmp_path / "manifest.json").read_text())
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("shard-*.npz")}
    config = CollectionConfig(cells=300, batch=4, scores=())
    assert collect(config, tmp_path).complete() == 300
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.slow
def test_of_two_collectors_on_one_store_the_second_says_so_and_changes_nothing(tmp_path):
    first = start(tmp_path, 400)
    wait_for_shards(tmp_path, 1)
    second = start(tmp_path, 400)
    _, said = second.communicate(timeout=900)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert second.returncode != 0
    assert "another process is collecting into" in said
    assert StatisticsStore(tmp_path).damaged() == {}


@pytest.mark.slow
def test_a_killed_worker_process_is_reported_and_nothing_finished_is_lost(tmp_path):
    """The first worker to reach shard 3 kills itself, once."""
    program = """
import os, signal, pathlib
from joblib.externals.loky import set_loky_pickler
mark = pathlib.Path(sys.argv[1]) / "killed"

def compute(config, number, *rest, compute=collecting.compute_shard):
    from parzc_core.spaces import nb201
    nb201.build = lambda arch, **rest: build(arch, channels=4, cells=1, **rest)
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(config, number, *rest)

collecting.compute_shard = compute
collecting.collect(config, sys.argv[1], jobs=2)
"""
    tmp_path.joinpath("store").mkdir()
    folder = tmp_path / "store"
    process = start(folder, 16, program)
    _, said = process.communicate(timeout=900)
    assert process.returncode != 0
    assert "WorkerDied" in said
    assert "run the same command again" in said
    store = StatisticsStore(folder)
    assert store.damaged() == {}
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("shard-*.npz")}
    again = start(folder, 16, program)
    _, said = again.communicate(timeout=900)
    assert again.returncode == 0, said
    assert store.complete() == 16
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert issubclass(WorkerDied, RuntimeError)


def test_groups_are_in_the_order_in_which_the_sample_meets_them():
    archs = nb201.sample(300, 0)
    alone = grouped(CollectionConfig(cells=300), archs)
    assert [members for _, members in alone] == [[(i, arch)] for i, arch in enumerate(archs)]
    shared = grouped(CollectionConfig(cells=300, share_isomorphic=True), archs)
    first = [members[0][0] for _, members in shared]
    assert first == sorted(first)
    assert sorted(position for _, members in shared for position, _ in members) == list(range(300))
    assert len(shared) == len({nb201.isomorphism(arch).representative for arch in archs}) < 300


def test_bad_collections_are_refused():
    with pytest.raises(UnknownName, match="unknown space"):
        CollectionConfig(space="nb999")
    with pytest.raises(UnknownName, match="unknown node-wise proxy"):
        CollectionConfig(proxies=("snap",))
    with pytest.raises(UnknownName, match="unknown network-level proxy 'zon'"):
        CollectionConfig(scores=("zon",))
    with pytest.raises(BadInput, match="2 images"):
        CollectionConfig(batch=1)


def test_sums_are_those_of_the_nodes_and_no_node_is_kept(tiny, tmp_path):
    shared = replace(CONFIG, cells=12, share_isomorphic=True)
    nodes = collect(shared, tmp_path / "nodes", progress=False).read()
    sums = collect(replace(shared, sums=True), tmp_path / "sums", progress=False).read()
    assert sums.archs == nodes.archs
    assert all(one.nodes == () and one.values.size == 0 for one in sums.statistics)
    assert list(sums.scores) == [*shared.proxies, *shared.scores]
    for proxy in shared.proxies:  # signed nodes can cancel: what they are rounded to is relative to their magnitudes
        values = [one.of(proxy) for one in nodes.statistics]
        off = sums.scores[proxy] - [v.sum() for v in values]
        assert (off.abs() <= [2e-6 * np.abs(v).sum() for v in values]).all()
    pd.testing.assert_frame_equal(sums.scores[list(shared.scores)], nodes.scores)


@pytest.mark.parametrize("given", [{"shard_size": 0}, {"shard_size": -1}, {"shard_size": 1.5}, {"jobs": 0}, {"jobs": "2"}])
def test_a_number_of_processes_or_a_size_that_is_none_is_refused_before_anything_is_made(tiny, tmp_path, given):
    with pytest.raises(BadInput, match="expected a whole number of at least 1"):
        collect(CONFIG, tmp_path / "store", progress=False, **given)
    assert not (tmp_path / "store").exists()
