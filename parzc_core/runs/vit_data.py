"""What Table 5 is made of: statistics of the labelled Vision Transformers, and the ground truths that judge them.

ViT-Bench's labels are test accuracies, so rankers learn from the test accuracy of their training architectures, and are judged
on that of architectures they have not seen. The paper's own ground truth is not published (see `labels.vit`).
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from parzc_core import labels, paths
from parzc_core.collecting.labelled import Data
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import command
from parzc_core.errors import BadInput
from parzc_core.labels import vit
from parzc_core.paper import PROXY_LABELS
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import stacked_graphs
from parzc_core.storage.statistics import Collection, StatisticsStore

SEEDS = (0, 1, 2)  # of the networks' initial weights
LEAST = 20  # architectures; a correlation over fewer says nothing
CELLS = {"autoformer": 200, "pit": 100}  # that have labels
PROXIES = tuple(name for name in NODE_PROXIES if name != "grasp")  # three times the cost, and not in the table
SCORES = ("params", "flops", "nwot", "synaptic_diversity", "synaptic_saliency", "dss")
LABELS = {
    **PROXY_LABELS,
    "dss": "TF-TAS",
    "synaptic_diversity": "TF-TAS: attention's diversity",
    "synaptic_saliency": "TF-TAS: MLP's saliency",
}
_SPACES = {"autoformer": "AutoFormer", "pit": "PiT"}
_DATASETS = {"cifar100": "CIFAR-100", "flowers": "Flowers", "chaoyang": "Chaoyang", "imagenet": "ImageNet"}


@dataclass(frozen=True)
class Truth:
    """One ground truth: a column of ViT-Bench. space, dataset, source: as in `labels.accuracy`, split "test"."""

    space: str
    dataset: str
    source: str

    @property
    def column(self) -> str:
        """How a table calls it."""
        return f"{_SPACES[self.space]}, {_DATASETS[self.dataset]} {self.source}"


def truths() -> tuple[Truth, ...]:
    """Every ground truth that can be used, AutoFormer's first."""
    return tuple(
        Truth(space, dataset, source)
        for space, datasets in vit.DATASETS.items()
        for dataset in datasets
        for source in (("supernet",) if dataset == "imagenet" else ("base", "distilled"))
    )


def config(space: str, seed: int) -> CollectionConfig:
    """What is collected of the labelled architectures of a space with that seed of initial weights, at 224x224.

    AutoFormer's networks are those that ViT-Bench trained (`spaces.vit.autoformer.VARIANTS`).
    """
    return CollectionConfig(
        space=space,
        dataset="imagenet",
        cells=CELLS[space],
        init_seed=seed,
        proxies=PROXIES,
        scores=SCORES,
        sample="labelled",
        variant="vitbench" if space == "autoformer" else None,
    )


def folder(space: str, seed: int) -> Path:
    """Where these statistics are."""
    return paths.STATISTICS / space / f"imagenet-labelled-seed{seed}"


def complete(space: str, seeds: Sequence[int] = SEEDS) -> dict[int, int]:
    """{seed: how many architectures of it are there}."""
    return {seed: StatisticsStore(folder(space, seed)).complete() for seed in seeds}


def commands_to_collect(seeds: Sequence[int] = SEEDS) -> dict[str, str]:
    """{"autoformer, seed 1: 40 of 200": command that collects it} for what is not all there."""
    return {
        f"{space}, seed {seed}: {count} of {CELLS[space]}": (
            f"{command(config(space, seed))} --shard-size 10 --out results/statistics/{space}/{folder(space, seed).name}"
        )
        for space in CELLS
        for seed, count in complete(space, seeds).items()
        if count < CELLS[space]
    }


def read(truth: Truth, seeds: Sequence[int] = SEEDS, cells: int | None = None) -> dict[int, Data]:
    """{seed: statistics and accuracy of the same architectures}; {} where fewer than LEAST are collected with labels.

    As many architectures as the first of the seeds has (at most `cells`); a seed with fewer of them is left out.
    Raises LabelsMissing, CorruptDownload, CorruptShard; BadInput where a folder holds a collection of another kind.
    """
    labels.accuracy(truth.space, truth.dataset, "test", truth.source)  # without labels that is said first
    there = complete(truth.space, seeds)
    count = min(there[seeds[0]], cells or CELLS[truth.space])
    found: dict[int, Data] = {}
    if count < LEAST:
        return found
    for seed in (seed for seed in seeds if there[seed] >= count):
        manifest = folder(truth.space, seed) / "manifest.json"
        collection = _read(truth.space, seed, count, manifest.parent, manifest.stat().st_mtime_ns)
        kept = labelled(truth, collection)
        if len(kept.archs) < LEAST:
            return {}
        found[seed] = with_labels(truth, kept)
    return found


def labelled(truth: Truth, collection: Collection) -> Collection:
    """The architectures of a collection that this ground truth has. Raises LabelsMissing, CorruptDownload."""
    known = labels.accuracy(truth.space, truth.dataset, "test", truth.source).index
    return part(collection, [i for i, arch in enumerate(collection.archs) if arch in known])


def with_labels(truth: Truth, collection: Collection) -> Data:
    """A collection of `labelled` architectures with their accuracy, which rankers learn from and are judged on."""
    known = labels.accuracy(truth.space, truth.dataset, "test", truth.source).loc[collection.archs].to_numpy()
    graphs = stacked_graphs(truth.space, collection.archs)
    return Data(collection, known, known, "test", note(truth, len(known)), *graphs, "test")


def note(truth: Truth, count: int) -> str:
    """What a row says of its ground truth."""
    kind = {"base": "trained alone", "distilled": "trained with distillation"}.get(
        truth.source, "with a supernet's weights; statistics are of networks whose heads share the embedding"
    )
    return (
        f"{count} {_SPACES[truth.space]} architectures, {_DATASETS[truth.dataset]} test accuracy, {kind} (ViT-Bench); not the "
        "paper's ground truth"
    )


@lru_cache(maxsize=12)
def _read(space: str, seed: int, count: int, where: Path, _changed: int) -> Collection:
    """Remembered until its manifest changes: every ground truth of a space reads the same."""
    return read_as(config(space, seed), where, count)


def read_as(wanted: CollectionConfig, where: Path, count: int) -> Collection:
    """The first `count` architectures kept in a folder. Raises CorruptShard; BadInput where it holds another collection."""
    store = StatisticsStore(where)
    got = store.manifest["config"]
    odd = {key: got.get(key) for key, value in wanted.plain().items() if got.get(key) != value}
    if odd:
        raise BadInput(f"{where} holds another collection ({odd}); expected what `missing` says to collect")
    return store.read(count)


def part(collection: Collection, rows: Sequence[int]) -> Collection:
    """The architectures at these positions."""
    archs = [collection.archs[i] for i in rows]
    statistics = [collection.statistics[i] for i in rows]
    return dataclasses.replace(
        collection, archs=archs, statistics=statistics, scores=collection.scores.iloc[list(rows)]
    )
