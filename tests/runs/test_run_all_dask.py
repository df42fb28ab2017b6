"""The missing runs of a table on a real Dask cluster of two worker processes; one is killed at work, and nothing is lost."""

import os
import signal
import sys
import time
from dataclasses import asdict, dataclass

import cloudpickle
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from parzc_core.errors import BadInput, WorkerDied
from parzc_core.runs import protocol
from parzc_core.storage import workers
from parzc_core.storage.run_store import RunStore

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers cannot import a test


@dataclass(frozen=True)
class Draw:
    """A run that depends on torch's shared random state, as trainings do."""

    seed: int
    here: str = ""  # a folder that only this process looks into

    def key(self):
        return {"kind": "Draw", "other": os.environ.get("PARZC_TEST_OTHER", ""), **asdict(self)}

    def evaluate(self):
        torch.manual_seed(self.seed)
        time.sleep(0.05)  # so that another thread of the process would draw in between
        return {"values": torch.randn(3).double().numpy(), "pid": os.getpid()}


@dataclass(frozen=True)
class Pair:
    """Two that are computed together."""

    number: int

    def key(self):
        return {"kind": "Pair", "number": self.number}

    def group(self):
        first = self.number // 2 * 2
        return Pair(first), Pair(first + 1)

    def evaluate_group(self):
        return [{"value": one.number, "pid": os.getpid()} for one in self.group()]


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def cluster(request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = {"processes": True, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=request.param, **options) as local:
        yield local


def pids(cluster):
    with Client(cluster, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


@pytest.mark.slow
def test_results_are_those_of_this_machine_though_a_worker_is_killed(cluster, tmp_path, monkeypatch):
    runs = [Draw(seed) for seed in range(8)]
    here = protocol.run_all(runs, tmp_path / "here" / "runs.jsonl")
    monkeypatch.setenv(workers.SCHEDULER, cluster.scheduler_address)
    killed, put = pids(cluster)[0], RunStore.put
    stored = []

    def then_kill(self, config, result):
        stored.append(config["seed"])
        if len(stored) == 2:
            os.kill(killed, signal.SIGKILL)
        return put(self, config, result)

    monkeypatch.setattr(RunStore, "put", then_kill)
    there = protocol.run_all(runs, tmp_path / "there" / "runs.jsonl")
    assert sorted(stored) == list(range(8)), "a run was lost, or stored twice"
    assert os.getpid() not in {result["pid"] for result in there.values()}
    for run in runs:
        np.testing.assert_array_equal(there[run]["values"], here[run]["values"])
    assert not (tmp_path / "there" / "checkpoints").exists()
    monkeypatch.setattr(protocol, "in_parallel", lambda *a: pytest.fail("computed again"))
    assert protocol.run_all(runs, tmp_path / "there" / "runs.jsonl") == there


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_runs_that_belong_together_go_to_one_worker(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(workers.SCHEDULER, cluster.scheduler_address)
    found = protocol.run_all([Pair(0), Pair(3)], tmp_path / "runs.jsonl")
    assert [result["value"] for result in found.values()] == [0, 3]
    assert len(RunStore(tmp_path / "runs.jsonl")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_a_worker_with_other_data_or_another_version_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(workers.SCHEDULER, cluster.scheduler_address)
    monkeypatch.setenv("PARZC_TEST_OTHER", "statistics of this machine")
    with pytest.raises(BadInput, match="other statistics, labels or code than this process"):
        protocol.run_all([Draw(0)], tmp_path / "runs.jsonl")
    monkeypatch.setenv("PARZC_TEST_OTHER", "")
    monkeypatch.setattr(workers, "__version__", "9.9")
    with pytest.raises(BadInput, match=r"a Dask worker has .*'parzc': '0.*this process .*9\.9.*install the same versions"):
        protocol.run_all([Draw(0)], tmp_path / "runs.jsonl")
    assert len(RunStore(tmp_path / "runs.jsonl")) == 0


@pytest.mark.slow
def test_a_lost_scheduler_is_one_line_and_keeps_what_was_finished(tmp_path, monkeypatch):
    options = {"processes": True, "dashboard_address": None, "silence_logs": 50}
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, **options)
    monkeypatch.setenv(workers.SCHEDULER, cluster.scheduler_address)
    put = RunStore.put

    def then_close(self, config, result):
        found = put(self, config, result)
        cluster.close()
        return found

    monkeypatch.setattr(RunStore, "put", then_close)
    with pytest.raises(WorkerDied, match=r"the Dask scheduler at tcp://.* was lost; what was finished is kept"):
        protocol.run_all([Draw(seed) for seed in range(8)], tmp_path / "runs.jsonl")
    assert 1 <= len(RunStore(tmp_path / "runs.jsonl")) < 8


def test_the_command_asks_the_scheduler_first_and_the_notebooks_inherit_its_address(monkeypatch, capsys):
    from parzc_core.cli import main
    from parzc_core.pipeline import run

    seen = []
    monkeypatch.setattr(workers, "ask", lambda address: 3)
    monkeypatch.setattr(run, "run", lambda *a: seen.append(workers.scheduler()) or run.Outcome())
    monkeypatch.setenv(workers.SCHEDULER, "")  # undone after the test
    assert main(["run", "paper_audit", "--profile", "smoke", "--scheduler", "tcp://a:1"]) == 0
    assert seen == ["tcp://a:1"]
    assert "by the 3 workers of the Dask scheduler at tcp://a:1" in capsys.readouterr().out
