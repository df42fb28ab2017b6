"""Collect the statistics of a sample of a space into a store: processes over shards, one thread each, resumable."""

import hashlib
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import nn
from tqdm import tqdm

from parzc_core import __version__, network_level
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.images import MiniBatch, minibatch
from parzc_core.proxies import NODE_PROXIES, check_node_proxies
from parzc_core.spaces import space as space_named
from parzc_core.statistics_store import Record, StatisticsStore

SHARD_SIZE = 50
COUNTING_SCORES = ("flops", "nwot", "zen")  # see what the network computes, so they get it with its dead operations


@dataclass(frozen=True)
class CollectionConfig:
    """What is collected; two collections with equal configurations hold equal values.

    space, dataset: names. images: "foolbox", "noise" or a folder of images (see parzc_core.images).
    cells: size of the sample. seed: of the sample and of the image draw. init_seed: of every network's initial weights.
    batch: images in the mini-batch (the paper uses 16). proxies: node-wise ones. scores: network-level ones.
    """

    space: str = "nb201"
    dataset: str = "cifar10"
    images: str = "foolbox"
    cells: int = 3000
    seed: int = 0
    init_seed: int = 0
    batch: int = 16
    proxies: tuple[str, ...] = NODE_PROXIES
    scores: tuple[str, ...] = ("params", "flops", "jacov", "nwot", "zen", "zico")

    def __post_init__(self) -> None:
        space_named(self.space)
        check_node_proxies(self.proxies)
        if self.cells < 1 or self.batch < 2:
            raise BadInput(f"got cells={self.cells}, batch={self.batch}; expected at least 1 cell and 2 images")


def collect(config: CollectionConfig, folder: Path | str, jobs: int = 1, progress: bool = True) -> StatisticsStore:
    """Fill the store with what it lacks. Killed at any moment, the next call loses at most the shards in flight.

    jobs: processes. Raises BadInput where the folder holds another collection or another process is collecting into it.
    """
    store = StatisticsStore(folder)
    archs = space_named(config.space).sample(config.cells, config.seed)
    batch = minibatch(config.dataset, size=config.batch, source=config.images, seed=config.seed)
    with store.lock():
        store.open(_description(config, batch.manifest), archs, SHARD_SIZE)
        registered = store.manifest["shards"]
        for number in (n for n in range(-(-len(archs) // SHARD_SIZE)) if store.path(n).is_file()):
            if store.path(number).name not in registered:  # killed between writing a shard and noting it
                store.read_shard(number)
                store.register(number, _sha256(store.path(number)))
        todo = store.missing()
        chunks = [archs[n * SHARD_SIZE : (n + 1) * SHARD_SIZE] for n in todo]
        done = len(archs) - sum(len(chunk) for chunk in chunks)
        with tqdm(total=len(archs), initial=done, unit="cell", disable=None if progress else True) as bar:
            work = (delayed(_shard)(config, str(folder), n, chunk) for n, chunk in zip(todo, chunks, strict=True))
            for number, sha256, seconds, size in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
                store.register(number, sha256, seconds)
                bar.update(size)
    return store


def record(config: CollectionConfig, arch: str, batch: MiniBatch) -> Record:
    """Everything that is stored of one architecture."""

    def network(skip_dead: bool = True) -> nn.Module:
        torch.manual_seed(config.init_seed)
        return space_named(config.space).build(arch, classes=batch.classes, skip_dead=skip_dead)

    live, whole = network(), network(skip_dead=False)
    statistics = collect_statistics(live, batch.images, batch.labels, config.proxies)
    scores = {}
    for name in sorted(config.scores, key="zen".__eq__):  # last: it draws new weights
        subject = whole if name in COUNTING_SCORES else live
        scores[name] = network_level.score(name, subject, batch.images, batch.labels, consume=True)
    return Record(arch, statistics, {name: scores[name] for name in config.scores})


def _shard(config: CollectionConfig, folder: str, number: int, archs: list[str]) -> tuple[int, str, float, int]:
    """Run in a worker process: compute one shard and write it."""
    torch.set_num_threads(1)
    started = time.process_time()
    batch = minibatch(config.dataset, size=config.batch, source=config.images, seed=config.seed)
    records = [record(config, arch, batch) for arch in archs]
    sha256 = StatisticsStore(folder).write_shard(number, records)
    return number, sha256, time.process_time() - started, len(archs)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _description(config: CollectionConfig, batch: dict[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in asdict(config).items() if key not in ("proxies", "scores")}
    command = "parzc collect " + " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "parzc": __version__,
    }
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
    return {"config": plain, "command": command, "image_batch": batch, "versions": versions}
