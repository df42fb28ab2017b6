"""Collect a sample of a space into a statistics store.

    store = collect(CollectionConfig(space="nb201", cells=200), "my_statistics", jobs=2)
"""

import time
from pathlib import Path
from typing import Any

import torch

from parzc_core import paths
from parzc_core.collecting.labelled import folder_name
from parzc_core.collecting.one import CollectionConfig, architectures, batch_of, records
from parzc_core.errors import BadInput, whole
from parzc_core.spaces import space as space_named
from parzc_core.storage import workers
from parzc_core.storage.filling import Made, fill
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
    A shard that is damaged, or that neither the manifest nor itself says to be of this collection, is named and computed anew.
    Raises as `filling.fill`.
    """
    store = StatisticsStore(folder)
    groups = grouped(config, architectures(config))
    size = SHARD_SIZE if shard_size is None else whole("shard_size", shard_size, 1)
    computed = [groups[start : start + size] for start in range(0, len(groups), size)]
    batch = batch_of(config).manifest
    description = {"config": config.plain(), "command": command(config), "image_batch": batch, "computed": len(groups)}
    fill(
        store,
        description,
        [[member for _, members in shard for member in members] for shard in computed],
        compute_shard,
        lambda number: (config, number, computed[number], batch),
        jobs=jobs,
        scheduler=scheduler,
        progress=progress,
        mix_versions=mix_versions,
    )
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


def compute_shard(config: CollectionConfig, number: int, groups: list[Group], images: dict[str, Any]) -> Made:
    """Run in a worker process.

    images: what the manifest says of the mini-batch. Raises BadInput where this machine has other ones.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    batch = batch_of(config)
    if batch.manifest != images:
        raise BadInput(f"this worker has other images than the process that collects; copy {config.images} to its machine")
    content = pack([one for arch, members in groups for one in records(config, arch, members, batch)])
    return number, content, time.process_time() - started, workers.peak_memory_mb()


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
