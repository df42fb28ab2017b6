"""One trained and judged ranker is one `RankerRun`; tables and figures are lists of them, computed once and stored."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from parzc_core import metrics
from parzc_core.collecting.labelled import Data, Unlabelled, load, training_cells
from parzc_core.encoding import PAPER_PROXIES, SCHEMES, encode
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.predictors import pinat
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.pinat import PINATBranch, PINATConfig
from parzc_core.ranker import Inputs, ModelConfig
from parzc_core.spaces import space as space_named
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import in_parallel, lacking
from parzc_core.training import FittedRanker, TrainingConfig, fit, fit_many

# Raised when encoding, model or training code changes what a run gives, so that stored runs are redone.
METHOD_VERSION = 1
_LATER = ("batch_size", "width", "seeds")  # fields that a run stored before they were there has at their defaults
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


def data_of(run: RankerRun) -> Data:
    """`load` what the run reads."""
    return load(run.space, run.dataset, run.cells, run.width, run.seeds)


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
        graph["graph"] = PINATBranch(inputs.adjacency.shape[1], PINATConfig(Kinds.of(run.space)))
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
    data = data_of(run)
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


def evaluate(run: RankerRun) -> list[dict[str, Any]]:
    """Train and judge the group of GROUP splits that `run` is in, in order of the split (see `fit_many`).

    Of each: `metrics.judgement`, judged_on, CPU-seconds (the group's, shared out).
    """
    torch.set_num_threads(1)
    started = time.process_time()
    data = data_of(run)
    trained = train_splits(run, data, _group(run))
    seconds = (time.process_time() - started) / GROUP
    return [
        {
            **metrics.judgement(ranker.predict(inputs[judged]), data.judged[judged], draw),
            "seconds": seconds,
            "judged_on": data.judged_on,
        }
        for draw, (ranker, inputs, _, judged) in enumerate(trained)
    ]


def run_all(runs: Sequence[RankerRun], store: Path, jobs: int = 1) -> pd.DataFrame:
    """Every run's configuration and result, a row each; only what `store` lacks is computed, on `jobs` processes.

    A run is stored under its configuration, the statistics it reads and the labels it is judged on, as soon as it is done.
    """
    runs_store = RunStore(store)
    with lacking(runs_store, {run: run_key(run) for run in runs}) as missing:
        groups = list(dict.fromkeys(dataclasses.replace(run, split=_group(run)[0]) for run in missing))
        for run, results in in_parallel(evaluate, groups, jobs, unit=f"{GROUP} rankers"):
            for split, result in zip(_group(run), results, strict=True):
                runs_store.put(run_key(dataclasses.replace(run, split=split)), result)
    return pd.DataFrame([{**dataclasses.asdict(run), **(runs_store.get(run_key(run)) or {})} for run in runs])


def _group(run: RankerRun) -> list[int]:
    """The splits that are trained together with `run`."""
    first = GROUP * (run.split // GROUP)
    return list(range(first, first + GROUP))


def run_key(run: RankerRun) -> dict[str, Any]:
    """What decides the result of a run: its configuration, the statistics it reads, the labels that judge it, the method."""
    data = data_of(run)
    statistics = RunStore.key({"shards": data.collection.manifest["shards"], "cells": len(data)})
    return {
        **identity(run),
        "statistics": statistics[:16],
        "judged_on": data.judged_on,
    }


def identity(run: RankerRun) -> dict[str, Any]:
    """The configuration of a run and the method, as stored runs are known by them."""
    later = {field.name: field.default for field in dataclasses.fields(run) if field.name in _LATER}
    given = {name: value for name, value in dataclasses.asdict(run).items() if later.get(name, ...) != value}
    versions = {"method": METHOD_VERSION} | ({"pinat": pinat.VERSION} if "PINAT" in run.parts else {})
    return {**versions, **given}
