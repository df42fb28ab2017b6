"""Fill a statistics store: what is missing is computed shard by shard, and only one process writes."""

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from parzc_core import __version__, paths
from parzc_core.collecting.labelled import folder_name
from parzc_core.collecting.one import CollectionConfig, architectures, batch_of, records
from parzc_core.errors import BadInput, CorruptShard
from parzc_core.spaces import space as space_named
from parzc_core.storage import workers
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.statistics import StatisticsStore, pack

SHARD_SIZE = 50  # half a minute of work on NAS-Bench-201: what a kill can cost
# The architecture that is computed, and (position in the sample, architecture) of each that gets its values.
Group = tuple[str, list[tuple[int, str]]]


def collect(
    config: CollectionConfig,
    folder: Path | str,
    jobs: int = 1,
    progress: bool = True,
    scheduler: str | None = None,
    shard_size: int | None = None,
    mix_versions: bool = False,
) -> StatisticsStore:
    """Fill the store with what it lacks. Killed at any moment, the next call loses at most the shards in flight.

    jobs: processes. scheduler: address of a Dask scheduler whose workers compute instead; only this process writes.
    shard_size: architectures, or classes of isomorphic ones, that are computed and written together (None: SHARD_SIZE).
    mix_versions: add shards also to those that another torch or parzc computed.
    A shard that is damaged, or that the manifest does not know and holds something else, is named and computed anew. Raises
    BadInput where the folder holds another collection (`StatisticsStore.open`), its shards are of other versions or another
    process is collecting into it, WorkerDied where a process was killed.
    """
    store = StatisticsStore(folder)
    archs = architectures(config)
    groups = grouped(config, archs)
    size = shard_size or SHARD_SIZE
    shards = [groups[start : start + size] for start in range(0, len(groups), size)]
    batch = batch_of(config)
    with store.lock():
        description = {**_description(config, batch.manifest), "computed": len(groups)}
        store.open(description, archs, [shard[0][1][0][0] for shard in shards])
        with tqdm(total=len(archs), unit="cell", disable=None if progress else True) as bar:
            bad = store.damaged() | _take_up(store, config, shards)
            if bad or store.missing():
                store.check_versions(description["versions"], mix_versions)
            for number, what in bad.items():
                bar.write(f"{what.partition(';')[0]}; computing it anew")
                store.path(number).unlink()
            todo = store.missing()
            bar.update(len(archs) - sum(len(members) for n in todo for _, members in shards[n]))
            work = [(config, n, shards[n], batch.manifest) for n in todo]
            for number, content, seconds, peak_mb in workers.run(compute_shard, work, jobs, scheduler):
                store.add(number, content, seconds, peak_mb)
                bar.update(sum(len(members) for _, members in shards[number]))
    return store


def default_folder(config: CollectionConfig) -> Path:
    """Where a collection goes if no folder is named: among the committed ones, or beside them where that one is another."""
    name = folder_name(config.dataset, config.width)
    committed = StatisticsStore(paths.STATISTICS / config.space / name)
    if not (committed.folder / "manifest.json").is_file() or committed.manifest["config"] == config.plain():
        return committed.folder
    return paths.RESULTS / "collected" / config.space / f"{name}-{RunStore.key(config.plain())[:8]}"


def grouped(config: CollectionConfig, archs: list[str]) -> list[Group]:
    """The sample as groups that are computed together, in the order in which the sample first meets them."""
    if not config.share_isomorphic:
        return [(arch, [(position, arch)]) for position, arch in enumerate(archs)]
    groups: dict[str, list[tuple[int, str]]] = {}
    for position, arch in enumerate(archs):
        representative = space_named(config.space).isomorphism(arch).representative
        groups.setdefault(representative, []).append((position, arch))
    return list(groups.items())


def compute_shard(
    config: CollectionConfig, number: int, groups: list[Group], images: dict[str, Any]
) -> tuple[int, bytes, float, float]:
    """Run in a worker process: (number, bytes of the shard, CPU-seconds, peak memory of the process in MB).

    images: what the manifest says of the mini-batch. Raises BadInput where this machine has other ones.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    batch = batch_of(config)
    if batch.manifest != images:
        raise BadInput(f"this worker has other images than the process that collects; copy {config.images} to its machine")
    content = pack([one for arch, members in groups for one in records(config, arch, members, batch)])
    return number, content, time.process_time() - started, workers.peak_memory_mb()


def _take_up(store: StatisticsStore, config: CollectionConfig, shards: list[list[Group]]) -> dict[int, str]:
    """Note the shards that were written when the process that wrote them was killed; {number: what is wrong} of other ones."""
    proxies, scores = ((), (*config.proxies, *config.scores)) if config.sums else (config.proxies, config.scores)
    noted, wrong = store.manifest["shards"], {}
    for number, groups in enumerate(shards):
        path = store.path(number)
        if not path.is_file() or path.name in noted:
            continue
        try:
            there = store.read_shard(number)
        except CorruptShard as error:
            wrong[number] = str(error)
            continue
        expected = [member for _, members in groups for member in members]
        if [(one.position, one.arch) for one in there] != expected:
            wrong[number] = f"{path} holds other architectures than the sample has there"
        elif any(one.statistics.proxies != tuple(proxies) or set(one.scores) != set(scores) for one in there):
            wrong[number] = f"{path} holds other proxies or scores than the collection"
        else:
            store.note(number, path.read_bytes())
    return wrong


def _description(config: CollectionConfig, batch: dict[str, Any]) -> dict[str, Any]:
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "parzc": __version__,
    }
    cpu = {"machine": platform.machine(), "capability": torch.backends.cpu.get_cpu_capability()}  # decides the last bits
    return {"config": config.plain(), "command": command(config), "image_batch": batch, "versions": versions, "cpu": cpu}


def command(config: CollectionConfig) -> str:
    """The command line that collects this."""
    parts = ["parzc collect"]
    for key, value in config.plain().items():
        option = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            parts += [option] if value else []
        else:
            parts += [option, *(map(str, value) if isinstance(value, list) else [str(value)])]
    return " ".join(parts)
