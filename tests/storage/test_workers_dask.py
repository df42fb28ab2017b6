"""The same shards on a real Dask cluster of two worker processes; one of them is killed at work, and nothing is lost."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

from parzc_core.collecting import sample
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.errors import BadInput
from parzc_core.storage.statistics import StatisticsStore

CONFIG = CollectionConfig(dataset="imagenet16-120", cells=8, batch=2, proxies=("snip", "synflow"), scores=("params",))


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(sample, "SHARD_SIZE", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as local:
        yield local


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(cluster, tmp_path, monkeypatch):
    local = collect(CONFIG, tmp_path / "here").read()
    with Client(cluster, set_as_default=False) as client:
        workers = client.run(os.getpid)
    assert len(set(workers.values())) == 2
    added: list[int] = []
    add = StatisticsStore.add

    def then_kill(self, number, *rest):
        add(self, number, *rest)
        added.append(number)
        if len(added) == 2:
            os.kill(next(iter(workers.values())), signal.SIGKILL)

    monkeypatch.setattr(StatisticsStore, "add", then_kill)
    there = collect(CONFIG, tmp_path / "cluster", scheduler=cluster.scheduler_address).read()
    assert sorted(added) == list(range(8)), "a shard was lost, or written twice"
    assert there.archs == local.archs
    for a, b in zip(local.statistics, there.statistics, strict=True):
        assert a.nodes == b.nodes
        np.testing.assert_allclose(b.values, a.values, rtol=1e-5)
    assert Path(tmp_path / "cluster" / "manifest.json").is_file()


def test_a_scheduler_that_does_not_answer_is_one_clear_error(tmp_path, monkeypatch):
    from distributed import client

    original = client.Client.__init__
    monkeypatch.setattr(client.Client, "__init__", lambda self, *a, **k: original(self, *a, **{**k, "timeout": "1s"}))
    with pytest.raises(BadInput, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        collect(CONFIG, tmp_path, scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.glob("shard-*"))
