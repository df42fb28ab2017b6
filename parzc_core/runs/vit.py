"""ParZC on the labelled Vision Transformers: cross-validated, each architecture judged by a ranker that has not seen it.

ParZC is MABN here, without a graph branch: as a graph a Transformer is a chain. With 100 architectures to learn from it has the
smallest of `mabn.SIZES`. With so few steps a model so small hardly learns its own training architectures at the paper's learning
rate; ten times that, and fewer epochs, were chosen by the training loss alone. The paper does not print its settings for
Transformers.
"""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from parzc_core.collecting.labelled import Data, columns_read
from parzc_core.encoding import PAPER_PROXIES, SCHEMES, encode
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.ranker import ModelConfig
from parzc_core.runs import vit_data
from parzc_core.runs.vit_data import Truth
from parzc_core.spaces import space as space_named
from parzc_core.training import TrainingConfig, fit_many

# Raised when the code below changes what a run gives, so that stored runs are redone.
VERSION = 1
EPOCHS, LEARNING_RATE = 60, 1e-3
RANKERS = {"ParZC": "paper", "ParZC (aligned)": "aligned"}  # row -> encoding


@dataclass(frozen=True)
class FoldRun:
    """Rankers of one ground truth, one for each fold and seed of initial weights, each trained on all the other folds.

    folds: 5 are 80/20 splits, of which each architecture is judged in one; 10 leave out a tenth. partition: seed of the folds.
    seeds: those of the statistics. cells: of them from the front, None takes all.
    """

    truth: Truth
    encoding: str = "paper"
    folds: int = 10
    partition: int = 0
    seeds: tuple[int, ...] = vit_data.SEEDS
    epochs: int = EPOCHS
    cells: int | None = None
    size: str = "tiny"

    def __post_init__(self) -> None:
        if self.encoding not in SCHEMES:
            raise UnknownName.of("encoding", self.encoding, SCHEMES)
        if self.folds < 2:
            raise BadInput(f"got folds={self.folds}; expected at least 2, each judged by a ranker of the others")

    def key(self) -> dict[str, Any]:
        """The configuration, and for each seed the proxies that are read."""
        data = vit_data.read(self.truth, self.seeds, self.cells)
        return {
            "kind": type(self).__name__,
            "version": VERSION,
            **dataclasses.asdict(self),
            "statistics": {str(seed): columns_read(one.collection, PAPER_PROXIES) for seed, one in data.items()},
        }

    def evaluate(self) -> dict[str, Any]:
        """`cross_validated` on the collected statistics."""
        return cross_validated(self)


def folds(count: int, number: int, partition: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training positions, judged positions) of each fold; every position is judged once, training sets are of one size."""
    if not 2 <= number <= count // 2:
        raise BadInput(f"got {number} folds of {count} architectures; expected 2 to {count // 2}")
    order = np.random.default_rng(partition).permutation(count)
    parts = [order[k::number] for k in range(number)]
    size = count - max(map(len, parts))
    rest = [np.concatenate([part for j, part in enumerate(parts) if j != k])[:size] for k in range(number)]
    return [(np.sort(train), np.sort(judged)) for train, judged in zip(rest, parts, strict=True)]


def training(dimensions: int, epochs: int, size: str = "tiny") -> TrainingConfig:
    """How a MABN is trained on encoded statistics of so many numbers: as in §4.1 but for EPOCHS and LEARNING_RATE."""
    sizes = MABNConfig(dimensions, **SIZES[size])  # type: ignore[arg-type]
    return TrainingConfig(ModelConfig(("Mixer", "BN"), sizes), epochs=epochs, learning_rate=LEARNING_RATE)


def cross_validated(run: FoldRun, data: Mapping[int, Data] | None = None) -> dict[str, Any]:
    """{"scores": for each seed the score of each architecture by the ranker that has not seen it, "seconds": CPU-seconds}.

    A ranker's scores are comparable within it only; over folds they are: minus the mean, over the spread, of the ranker's
    scores of its own training architectures. Raises BadInput where statistics are missing.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    data = vit_data.read(run.truth, run.seeds, run.cells) if data is None else data
    if not data:
        raise BadInput(f"too few statistics of {run.truth.column} are collected; see vit_data.commands_to_collect()")
    space = space_named(run.truth.space)
    parts, inputs, targets = [], [], []
    for one in data.values():
        for train, judged in folds(len(one), run.folds, run.partition):
            parts.append((train, judged))
            inputs.append(encode(one.statistics, run.encoding, PAPER_PROXIES, train, space.SLOTS, space.MAX_NODES))
            targets.append(one.learn[train])
    rankers = fit_many(
        [x[train] for x, (train, _) in zip(inputs, parts, strict=True)],
        targets,
        training(inputs[0].shape[1], run.epochs, run.size),
        seeds=range(len(parts)),
    )
    scores = np.full((len(data), len(next(iter(data.values())))), np.nan)
    for place, (ranker, x, (train, judged)) in enumerate(zip(rankers, inputs, parts, strict=True)):
        known = ranker.predict(x[train])
        scores[place // run.folds, judged] = (ranker.predict(x[judged]) - known.mean()) / (known.std() or 1.0)
    return {"scores": np.round(scores, 6).tolist(), "seconds": time.process_time() - started}
