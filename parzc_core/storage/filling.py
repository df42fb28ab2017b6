"""Fill a statistics store: what is missing is computed shard by shard, and only one process writes.

    fill(store, {"config": config}, shards, compute, lambda number: (config, number, shards[number]), jobs=2)
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from parzc_core import __version__
from parzc_core.errors import CorruptShard, whole
from parzc_core.storage import workers
from parzc_core.storage.statistics import StatisticsStore

Shard = Sequence[tuple[int, str]]  # (position in the sample, architecture) of each that is written together
Made = tuple[int, bytes, float, float]  # number of a shard, its bytes, CPU-seconds, peak memory of the process in MB


def fill(
    store: StatisticsStore,
    description: Mapping[str, Any],
    shards: Sequence[Shard],
    compute: Callable[..., Made],
    arguments: Callable[[int], tuple[Any, ...]],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
    unit: str = "cell",
    mix_versions: bool = False,
) -> None:
    """Compute what the store lacks. Killed at any moment, the next call loses at most the shards in flight.

    description: what the manifest says, see `StatisticsStore.open`; versions and the kind of CPU are added here. shards: of the
    whole sample. compute(*arguments(number)): makes a shard in a worker process. jobs, scheduler: see `workers.run`. unit: of
    the progress bar. mix_versions: add shards also to those that another torch or parzc computed.
    A shard that is damaged, or that neither the manifest nor itself says to be of this collection, is named and computed anew;
    those were written before a kill, or before the manifest was removed. Raises
    BadInput where the folder holds another collection, its shards are of other versions or another process is collecting into it,
    WorkerDied where a process was killed.
    """
    whole("jobs", jobs, 1)
    archs = [arch for _, arch in sorted(member for shard in shards for member in shard)]
    here = versions()
    with store.lock():
        cpu = {"machine": platform.machine(), "capability": torch.backends.cpu.get_cpu_capability()}  # decides the last bits
        store.open({**description, "versions": here, "cpu": cpu}, archs, [shard[0][0] for shard in shards])
        with tqdm(total=len(archs), unit=unit, disable=None if progress else True) as bar:
            bad = store.damaged() | _take_up(store, shards)
            if bad or store.missing():
                store.check_versions(here, mix_versions)
            for number, what in bad.items():
                bar.write(f"{what.partition(';')[0]}; computing it anew")
                store.path(number).unlink()
            todo = store.missing()
            bar.update(len(archs) - sum(len(shards[number]) for number in todo))
            work = [arguments(number) for number in todo]
            for number, content, seconds, peak_mb in workers.run(compute, work, jobs, scheduler):
                store.add(number, store.stamped(content, here), seconds, peak_mb)
                bar.update(len(shards[number]))


def versions() -> dict[str, str]:
    """What a manifest says of the programs that compute here."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__, "parzc": __version__}


def _take_up(store: StatisticsStore, shards: Sequence[Shard]) -> dict[int, str]:
    """Note the shards that the manifest does not know and that are of this collection; {number: what is wrong} of other ones."""
    noted, wrong = store.manifest["shards"], {}
    for number, members in enumerate(shards):
        path = store.path(number)
        if not path.is_file() or path.name in noted:
            continue
        try:
            there = store.read_shard(number)
        except CorruptShard as error:
            wrong[number] = str(error)
            continue
        if [(one.position, one.arch) for one in there] == list(members):
            store.note(number, path.read_bytes())
        else:
            wrong[number] = f"{path} holds other architectures than the sample has there"
    return wrong
