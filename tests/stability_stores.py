"""Variants of made-up statistics in stores of the real format."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from parzc_core import paths
from parzc_core.collecting import labelled
from parzc_core.collector import NodeStatistics
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs import variants
from parzc_core.runs.variants import FEW, Variant
from parzc_core.spaces import nb201
from parzc_core.storage.statistics import Record, StatisticsStore, pack

CELLS = 30
NODES = ("stem.0", "cells.0.layers.2.op.1", "classifier")


def made_up(variant: Variant, noise: float = 0.3) -> np.ndarray:
    """[cells, K, nodes]: an effect of the cell and node, times a noise of the variant."""
    own = np.random.default_rng([variant.batch, variant.init, len(variant.images)])
    effect = np.random.default_rng(7).normal(size=(CELLS, len(NODE_PROXIES), len(NODES)))
    return 10 ** (effect + noise * own.normal(size=effect.shape))


def write(variant: Variant, values: np.ndarray | None = None, archs: list[str] | None = None, **odd: object) -> None:
    """A store of the variant in one shard; `odd`: what its configuration says otherwise than it should."""
    archs = archs or nb201.sample(CELLS, 0)
    values = made_up(variant) if values is None else values
    numel, order = np.full(len(NODES), 9), tuple(range(len(NODES)))
    records = [
        Record(arch, NodeStatistics(NODES, NODE_PROXIES, one, numel, order), {"jacov": float(one[0].sum())}, i)
        for i, (arch, one) in enumerate(zip(archs, values, strict=True))
    ]
    store = StatisticsStore(variant.folder())
    store.folder.mkdir(parents=True)
    config = json.loads(json.dumps(dataclasses.asdict(variant.config()))) | odd
    files = [f"image{variant.batch + i}" for i in range(4)]
    store.open({"config": config, "image_batch": {"files": files}}, archs, [0])
    store.add(0, pack(records))


def clear() -> None:
    labelled._labelled.cache_clear()
    variants.read.cache_clear()


def stores_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a fixture yields from: statistics are read from the folder, and nothing is remembered before or after."""
    for module in (paths, labelled):
        monkeypatch.setattr(module, "STATISTICS", folder, raising=False)
    clear()
    yield
    clear()


def write_few() -> dict[Variant, labelled.Data]:
    """The variants of FEW, written and read."""
    for variant in FEW:
        write(variant)
    return variants.read(FEW, CELLS)
