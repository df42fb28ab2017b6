"""Variants of a collection: the same cells with other initial weights, another mini-batch, or noise in place of images.

data = read(FEW)                    # {variant: its statistics, with labels}
extremes(taus(data))                # how far each proxy's tau moves
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from parzc_core import metrics, paths
from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import command
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs.proxies import network_scores
from parzc_core.spaces import space as space_named
from parzc_core.storage.statistics import StatisticsStore

CELLS = 1000
SCORES = (*NODE_PROXIES, "jacov")
KINDS = {"foolbox": "real", "noise": "noise"}


@dataclass(frozen=True)
class Variant:
    """images: "foolbox" (real) or "noise"; batch, init: seeds of the mini-batch and of the initial weights.

    Of data sets other than CIFAR-10 there is only the base variant.
    """

    images: str
    batch: int
    init: int

    @property
    def name(self) -> str:
        """As its folder is called."""
        return f"{self.images}-batch{self.batch}-init{self.init}"

    def config(self, dataset: str = "cifar10") -> CollectionConfig:
        """What is collected for it; the base variant is the front of the collection of the whole space."""
        common: dict[str, Any] = {"dataset": dataset, "share_isomorphic": True}
        if self == BASE:
            whole = space_named("nb201").ARCH_COUNT
            return CollectionConfig(cells=whole, scores=("params", "flops", "jacov", "nwot"), **common)
        common |= {"batch_seed": self.batch, "init_seed": self.init}
        return CollectionConfig(images=self.images, cells=CELLS, scores=("jacov",), **common)

    def folder(self, dataset: str = "cifar10") -> Path:
        """Where its statistics are."""
        where = paths.STATISTICS / "nb201"
        return where / dataset if self == BASE else where / "stability" / self.name

    def command(self, dataset: str = "cifar10") -> str:
        """The command line that collects it."""
        out = "" if self == BASE else f" --out results/statistics/nb201/stability/{self.name}"
        return command(self.config(dataset)) + out


BASE = Variant("foolbox", 0, 0)
VARIANTS = tuple(
    Variant(images, batch, init) for images in KINDS for batch, init in [*((0, i) for i in range(5)), (1, 0), (2, 0)]
)
FEW = tuple(Variant(images, *seeds) for images in KINDS for seeds in ((0, 0), (0, 1), (1, 0)))  # of small profiles


def commands_to_collect(
    variants: Sequence[Variant] = VARIANTS, cells: int = CELLS, dataset: str = "cifar10"
) -> dict[str, str]:
    """{name: command that collects it} of the variants of which fewer than `cells` cells are there."""
    there = {variant: StatisticsStore(variant.folder(dataset)).complete() for variant in variants}
    return {variant.name: variant.command(dataset) for variant, count in there.items() if count < cells}


@lru_cache(maxsize=4)
def read(variants: tuple[Variant, ...] = VARIANTS, cells: int = CELLS, dataset: str = "cifar10") -> dict[Variant, Data]:
    """The same `cells` cells in each variant that is there, with labels; the base variant first, it must be there.

    Raises BadInput where a folder holds a collection of another kind, CorruptShard, LabelsMissing.
    """
    absent = commands_to_collect((BASE, *variants), cells, dataset)
    if BASE.name in absent:
        raise BadInput(f"the statistics of {cells} cells are not there; make them with: {absent[BASE.name]}")
    base = labelled.load("nb201", dataset, cells)
    found = {BASE: base}
    for variant in (variant for variant in variants if variant.name not in absent and variant != BASE):
        collection = StatisticsStore(variant.folder(dataset)).read(cells)
        found[variant] = dataclasses.replace(base, collection=collection)
    for variant, data in found.items():
        wanted, got = variant.config(dataset).plain(), data.collection.manifest["config"]
        odd = {k: got.get(k) for k, v in wanted.items() if k not in ("cells", "scores") and got.get(k) != v}
        if odd or data.collection.archs != base.collection.archs:
            raise BadInput(f"{variant.name} holds another collection ({odd}); make it with: {variant.command(dataset)}")
    return found


def groups(variants: Sequence[Variant]) -> dict[str, list[Variant]]:
    """The variants in which one thing alone differs: {"real, init": [...], "real, batch": ..., "noise, init": ..., ...}."""
    found = {}
    for images, kind in KINDS.items():
        found[f"{kind}, init"] = [v for v in variants if v.images == images and v.batch == 0]
        found[f"{kind}, batch"] = [v for v in variants if v.images == images and v.init == 0]
    return {name: members for name, members in found.items() if len(members) > 1}


def comparisons(variants: Sequence[Variant]) -> dict[str, list[tuple[Variant, Variant]]]:
    """Ordered pairs (learned on, judged on): both orders within each of `groups`; real to noise and back, seeds equal."""
    found = {name: list(itertools.permutations(members, 2)) for name, members in groups(variants).items()}
    there = set(variants)
    real = [v for v in variants if v.images == "foolbox" and dataclasses.replace(v, images="noise") in there]
    both = [(v, dataclasses.replace(v, images="noise")) for v in real]
    return found | ({"real to noise": both, "noise to real": [(b, a) for a, b in both]} if both else {})


def scores(data: Mapping[Variant, Data]) -> dict[str, pd.DataFrame]:
    """{proxy: float64, index cells, a column a variant}: sums over nodes, and jacov."""
    tables = {variant.name: network_scores(one) for variant, one in data.items()}
    return {proxy: pd.DataFrame({name: table[proxy] for name, table in tables.items()}) for proxy in SCORES}


def taus(data: Mapping[Variant, Data]) -> pd.DataFrame:
    """Kendall's tau with accuracy, percent: a row a proxy, a column a variant."""
    judged = next(iter(data.values())).judged
    return pd.DataFrame(
        {proxy: {v: metrics.kendall(s[v].to_numpy(), judged) for v in s} for proxy, s in scores(data).items()}
    ).T


def extremes(taus: pd.DataFrame) -> pd.DataFrame:
    """Least and greatest tau over the variants of each kind of image: a row a proxy. taus: of `taus`."""
    return pd.DataFrame(
        {
            f"{kind}, {end}": taus.filter(like=folder).agg(end, axis=1)
            for folder, kind in KINDS.items()
            for end in ("min", "max")
        }
    )
