"""Processes of this machine: results as they come or in order, and none outlives the process that started it."""

import os
import resource
import subprocess
import sys
import threading

import psutil
import pytest

from parzc_core import proxies
from parzc_core.scores import registry
from parzc_core.storage import workers

ORPHANS = """
import sys, time
from parzc_core.storage import workers

def work(seconds):
    if seconds:
        print("busy", flush=True)
        time.sleep(seconds)
    return seconds

list(workers.run(work, [(0,)] * 4, 2))
print("idle", flush=True)
list(workers.run(work, [(600,)] * int(sys.argv[1]), 2))
sys.stdin.readline()
"""


def test_results_come_in_order_if_asked():
    work = [(number, 2) for number in range(6)]
    assert list(workers.run(pow, work, 2, in_order=True)) == [0, 1, 4, 9, 16, 25]
    assert sorted(workers.run(pow, work, 2)) == [0, 1, 4, 9, 16, 25]


def test_a_worker_gets_own_proxies_and_own_scores_each_in_their_table(monkeypatch):
    own = {"of_nodes": object()}, {"of_networks": object()}
    monkeypatch.setattr(proxies, "NODE_REGISTRY", {})
    monkeypatch.setattr(registry, "REGISTRY", {})
    assert workers._with_proxies(own, lambda: (proxies.NODE_REGISTRY, registry.REGISTRY)) == own


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process sees the end of its parent")
@pytest.mark.parametrize("busy", [0, 2])
def test_after_kill_9_idle_and_busy_workers_end_by_themselves(busy):
    """Within a few seconds where processors are free; the limit is below loky's own of 300 for idle ones."""
    command = [sys.executable, "-c", ORPHANS, str(busy)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert [run.stdout.readline() for _ in range(1 + busy)] == ["idle\n", *["busy\n"] * busy]
        children = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=200)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process sees the end of its parent")
def test_after_kill_9_workers_that_are_still_starting_end_by_themselves():
    with subprocess.Popen([sys.executable, "-c", ORPHANS, "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        children: list[psutil.Process] = []
        while run.poll() is None and sum("loky" in " ".join(one.cmdline()) for one in children) < 2:
            children = [one for one in psutil.Process(run.pid).children() if one.status() != psutil.STATUS_ZOMBIE]
        run.kill()
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=200)[1] == []


def test_peak_memory_is_in_megabytes():
    """Without /proc too: what getrusage counts in is another unit on each system."""
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    assert 20 < workers.peak_memory_mb() <= pages + 1


@pytest.mark.parametrize(("platform", "unit"), [("darwin", 2**20), ("linux", 2**10)])
def test_peak_memory_without_proc(monkeypatch, platform, unit):
    monkeypatch.setattr(workers.Path, "is_file", lambda path: False)
    monkeypatch.setattr(workers.sys, "platform", platform)
    assert workers.peak_memory_mb() == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, rel=0.2)


def test_one_job_runs_in_this_process_which_follows_nobody():
    (pid,) = workers.run(os.getpid, [()], 1)
    assert pid == os.getpid()
    assert workers._WATCH not in {thread.name for thread in threading.enumerate()}
