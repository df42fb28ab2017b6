"""Made-up statistics and labels of Vision Transformers, in stores of the real format."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from parzc_core import labels, paths
from parzc_core.collector import NodeStatistics
from parzc_core.runs import vit_data
from parzc_core.spaces.vit import autoformer, blocks, pit
from parzc_core.storage.statistics import Record, StatisticsStore, pack

CELLS = {"autoformer": 40, "pit": 24}
ARCHS = {"autoformer": autoformer.sample(40, 0), "pit": pit.sample(24, 0)}


def nodes_of(space: str, arch: str) -> tuple[str, ...]:
    """The nodes of a network in order of execution, without building it."""
    if space == "autoformer":
        layers = [f"blocks.{layer}" for layer in range(autoformer.parse(arch).depth)]
        return ("patch_embed", *(f"{layer}.{node}" for layer in layers for node in blocks.BLOCK_NODES), "head")
    found = ["patch_embed"]
    for stage, depth in enumerate(pit.parse(arch).depth):
        found += [f"stages.{stage}.{layer}.{node}" for layer in range(depth) for node in blocks.BLOCK_NODES]
        found += [f"pools.{stage}.conv", f"pools.{stage}.fc"] if stage < pit.STAGES - 1 else []
    return (*found, "head")


def accuracy_of(space: str, dataset: str = "cifar100", source: str = "base") -> pd.Series:
    """More layers, more accuracy, and a little chance."""
    chance = np.random.default_rng([len(dataset), len(source)]).normal(size=CELLS[space])
    values = [50 + 0.3 * len(nodes_of(space, arch)) for arch in ARCHS[space]] + chance
    return pd.Series(values, index=ARCHS[space])


def record(space: str, position: int, seed: int) -> Record:
    """`record_of` an architecture of ARCHS."""
    return record_of(space, ARCHS[space][position], position, seed)


def record_of(space: str, arch: str, position: int, seed: int, noise: float = 0.05) -> Record:
    """Statistics that say the layers and a little chance of the seed."""
    nodes = nodes_of(space, arch)
    chance = np.random.default_rng([position, seed]).normal(size=(len(vit_data.PROXIES), len(nodes)))
    values = 10 ** (0.02 * len(nodes) + noise * chance)
    one = NodeStatistics(nodes, vit_data.PROXIES, values, np.full(len(nodes), 9), tuple(range(len(nodes))))
    scores = {name: float(len(nodes) + chance[0, k]) for k, name in enumerate(vit_data.SCORES)}
    return Record(arch, one, scores, position)


def write(space: str, seed: int, count: int | None = None, **odd: object) -> None:
    """A store of `count` (all) architectures in shards of ten; `odd`: what its configuration says otherwise."""
    count = CELLS[space] if count is None else count
    store = StatisticsStore(vit_data.folder(space, seed))
    store.folder.mkdir(parents=True)
    config = vit_data.config(space, seed).plain() | odd
    starts = list(range(0, CELLS[space], 10))
    store.open({"config": config, "image_batch": {}}, ARCHS[space], starts)
    for number, start in enumerate(starts):
        members = [record(space, i, seed) for i in range(start, min(start + 10, CELLS[space]))]
        if members[-1].position < count:
            store.add(number, pack(members))


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics are read from the folder; labels are `accuracy_of`."""
    monkeypatch.setattr(paths, "STATISTICS", folder)
    monkeypatch.setattr(vit_data, "CELLS", CELLS)
    monkeypatch.setattr(labels, "accuracy", lambda space, dataset, split, source: accuracy_of(space, dataset, source))
