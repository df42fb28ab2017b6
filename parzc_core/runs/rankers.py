"""One trained and judged ranker is one `RankerRun`; tables and figures are lists of them, computed once and stored."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data, Unlabelled, read_of, training_cells
from parzc_core.encoding import PAPER_PROXIES, SCHEMES, encode
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.predictors import pinat
from parzc_core.predictors.pinat import PINATBranch
from parzc_core.predictors.registry import configuration
from parzc_core.ranker import GRAPH_PARTS, Inputs, ModelConfig
from parzc_core.runs.judging import judgement
from parzc_core.runs.protocol import run_frame
from parzc_core.spaces import space as space_named
from parzc_core.training import FittedRanker, TrainingConfig, fit, fit_many

# Raised when encoding, model or training code changes what a run gives, so that stored runs are redone.
VERSION = 1
GROUP = 5  # splits that are trained together


@dataclass(frozen=True)
class RankerRun:
    """A ranker trained on `train` random cells of a collection, judged on all the other cells of it.

    space, dataset: whose statistics and labels. cells: of the collection, from its front; None takes all that are collected.
    train: number of training cells; split: seed of their choice and of the training.
    parts: of Table 6, see ModelConfig. size: of `mabn.SIZES`. mixing: see MABNConfig. encoding, proxies: see Encoder.
    epochs, learning_rate, losses, alpha, batch_size: see TrainingConfig; losses as (name, weight) pairs.
    width: channels of the networks whose statistics are read; None stands for the benchmark's own.
    seeds: which runs the labels are the mean of, see `labels.accuracy`.
    """

    space: str = "nb201"
    dataset: str = "cifar10"
    cells: int | None = None
    train: int = 78
    split: int = 0
    parts: tuple[str, ...] = ("NP", "Mixer", "BN")
    size: str = "cpu"
    mixing: str = "segment"
    encoding: str = "paper"
    proxies: tuple[str, ...] = PAPER_PROXIES
    epochs: int = 200
    learning_rate: float = 1e-4
    losses: tuple[tuple[str, float], ...] = (("diff_kendall", 1.0),)
    alpha: float = 0.5
    batch_size: int = 10
    width: int | None = None
    seeds: Literal["mean", "trained"] = "mean"

    def __post_init__(self) -> None:
        if self.encoding not in SCHEMES:
            raise UnknownName.of("encoding", self.encoding, SCHEMES)
        if self.size not in SIZES:
            raise UnknownName.of("model size", self.size, SIZES)
        if self.train < 2:
            raise BadInput(f"got train={self.train}; expected at least two training cells")

    @property
    def data(self) -> Data:
        """The collection that the run reads, with its labels."""
        return labelled.load(self.space, self.dataset, self.cells, self.width, self.seeds)

    def identity(self) -> dict[str, Any]:
        """Kind, versions and configuration: what decides the result beside the data."""
        versions = {"version": VERSION} | ({"pinat": pinat.VERSION} if "PINAT" in self.parts else {})
        return {"kind": type(self).__name__, **versions, **dataclasses.asdict(self)}

    def key(self) -> dict[str, Any]:
        """Its identity, the proxies that it reads (none where only a graph branch is trained) and the labels."""
        proxies = () if set(self.parts) <= set(GRAPH_PARTS) else self.proxies
        return {**self.identity(), **read_of(self.data, proxies)}

    def group(self) -> tuple["RankerRun", ...]:
        """The GROUP splits that are trained together with this one."""
        first = GROUP * (self.split // GROUP)
        return tuple(dataclasses.replace(self, split=split) for split in range(first, first + GROUP))

    def evaluate(self) -> dict[str, Any]:
        """`judgement` on the unseen cells, judged_on, loss in the first and last epoch, CPU-seconds (the group's, shared out)."""
        return self.evaluate_group()[self.split % GROUP]

    def evaluate_group(self) -> list[dict[str, Any]]:
        """Train and judge the runs of the group together.

        Raw statistics may exceed float32, as Synflow's do. Every score is then NaN: that is what training on infinities gives.
        """
        started = time.process_time()
        data = self.data
        if self.encoding == "raw" and not np.isfinite(inputs_for(self, data, np.arange(1)).statistics).all():  # type: ignore[arg-type]
            nothing = [(run.split % GROUP, training_cells(len(data), run.train, run.split)[1]) for run in self.group()]
            return [
                {
                    **judgement(np.full(len(judged), np.nan), data.judged[judged], draw),
                    "seconds": 0.0,
                    "judged_on": data.judged_on,
                    "training_loss": [float("nan")] * 2,
                }
                for draw, judged in nothing
            ]
        trained = train_splits(self, data, [run.split for run in self.group()])
        seconds = (time.process_time() - started) / GROUP
        return [
            {
                **judgement(ranker.predict(inputs[judged]), data.judged[judged], draw),
                "seconds": seconds,
                "judged_on": data.judged_on,
                "training_loss": [ranker.history[0], ranker.history[-1]],
            }
            for draw, (ranker, inputs, _, judged) in enumerate(trained)
        ]


def inputs_for(run: RankerRun, data: Unlabelled, train: np.ndarray) -> Inputs:
    """What the ranker of `run` reads of every cell; "aligned" is standardised on the training cells alone."""
    space = space_named(run.space)
    statistics = encode(data.statistics, run.encoding, run.proxies, train, space.SLOTS, space.MAX_NODES)
    return Inputs(statistics, data.adjacency, data.operations)


def training_config(run: RankerRun, inputs: Inputs) -> TrainingConfig:
    """How `run` trains a ranker on such inputs."""
    assert inputs.statistics is not None
    sizes = MABNConfig(inputs.statistics.shape[1], mixing=run.mixing, **SIZES[run.size])  # type: ignore[arg-type]
    graph: dict[str, Any] = {"operations": space_named(run.space).GRAPH_KINDS}
    if "PINAT" in run.parts:
        assert inputs.adjacency is not None
        graph["graph"] = PINATBranch(inputs.adjacency.shape[1], configuration("PINAT", run.space))
    model = ModelConfig(run.parts, sizes, **graph)
    return TrainingConfig(
        model=model,
        epochs=run.epochs,
        batch_size=run.batch_size,
        learning_rate=run.learning_rate,
        losses=dict(run.losses),
        alpha=run.alpha,
    )


def train_ranker(run: RankerRun) -> tuple[FittedRanker, Inputs, np.ndarray, np.ndarray]:
    """The fitted ranker, trained alone; the inputs of all cells; the positions of training and of judged cells."""
    data = run.data
    train, judged = training_cells(len(data), run.train, run.split)
    inputs = inputs_for(run, data, train)
    ranker = fit(inputs[train], data.learn[train], training_config(run, inputs), seed=run.split)
    return ranker, inputs, train, judged


def train_splits(
    run: RankerRun, data: Data, splits: Sequence[int], **changes: Any
) -> list[tuple[FittedRanker, Inputs, np.ndarray, np.ndarray]]:
    """As `train_ranker`, for each of the splits, trained together (see `fit_many`). changes: of the TrainingConfig."""
    parts = [training_cells(len(data), run.train, split) for split in splits]
    inputs = [inputs_for(run, data, train) for train, _ in parts]
    rankers = fit_many(
        [item[train] for item, (train, _) in zip(inputs, parts, strict=True)],
        [data.learn[train] for train, _ in parts],
        dataclasses.replace(training_config(run, inputs[0]), **changes),
        seeds=splits,
    )
    return [(ranker, item, *part) for ranker, item, part in zip(rankers, inputs, parts, strict=True)]


def run_rankers(runs: Sequence[RankerRun], store: Path, jobs: int = 1, **options: Any) -> pd.DataFrame:
    """`run_frame` of rankers, with its other options."""
    return run_frame(runs, store, jobs, unit=f"{GROUP} rankers", **options)
