"""One fitted and judged predictor is one `PredictorRun`, stored and split as the `RankerRun`s beside it are."""

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
from parzc_core.collecting.labelled import Data, everything_read, load, training_cells
from parzc_core.errors import BadInput
from parzc_core.predictors.registry import PREDICTORS, configuration, graphs_alone, predictor
from parzc_core.runs.rankers import GROUP
from parzc_core.storage.workers import computed

# Raised when code of a predictor changes what a run gives without a change of its configuration, so that stored runs are redone.
METHOD_VERSION = 1


@dataclass(frozen=True)
class PredictorRun:
    """A predictor fitted on `train` random cells of a collection, judged on all the other cells of it.

    predictor: of PREDICTORS. space, dataset, cells, train, split, width, seeds: as in RankerRun, with the same cells for the same
    split. changes: of its configuration, as (name, value) pairs. Raises UnknownName, BadInput.
    """

    predictor: str
    space: str = "nb201"
    dataset: str = "cifar10"
    cells: int | None = None
    train: int = 78
    split: int = 0
    changes: tuple[tuple[str, Any], ...] = ()
    width: int | None = None
    seeds: Literal["mean", "trained"] = "mean"

    def __post_init__(self) -> None:
        if self.train < 2:
            raise BadInput(f"got train={self.train}; expected at least two training cells")
        configuration(self.predictor, self.space, **dict(self.changes))


def data_of(run: PredictorRun) -> Data:
    """`experiments.load` what the run reads."""
    return load(run.space, run.dataset, run.cells, run.width, run.seeds)


def scores(run: PredictorRun, samples: int = 0) -> tuple[Any, np.ndarray, np.ndarray]:
    """Fit, then score the unseen cells: (scores as of `Predictor.predict`, positions of training cells, of the judged ones).

    It learns from `Data.learn` of the training cells, and may look at all cells without their accuracy.
    """
    data = data_of(run)
    train, judged = training_cells(len(data), run.train, run.split)
    inputs = PREDICTORS[run.predictor].reads(data, train)
    fitted = predictor(run.predictor, run.space, **dict(run.changes)).fit(
        inputs[train], data.learn[train], seed=run.split, unlabelled=inputs
    )
    return fitted.predict(inputs[judged], samples), train, judged


def evaluate(run: PredictorRun) -> dict[str, Any]:
    """Fit and judge: `metrics.judgement`, judged_on, seconds: CPU, of reading, fitting and scoring.

    What a predictor does once in a process for all training sets (Arch2Vec's autoencoder) is in the seconds of the first.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    data = data_of(run)
    found, _, judged = scores(run)
    seconds = time.process_time() - started
    result = metrics.judgement(found, data.judged[judged], run.split % GROUP, resamples=0)
    return {**result, "seconds": seconds, "judged_on": data.judged_on}


def run_predictors(runs: Sequence[PredictorRun], store: Path, jobs: int = 1) -> pd.DataFrame:
    """Every run's configuration and result, a row each, with the columns of `experiments.run_all`; only what `store` lacks is
    computed, on `jobs` processes, and stored as soon as it is done."""
    results = computed(evaluate, {run: run_key(run) for run in runs}, store, jobs, unit="predictor")
    return pd.DataFrame([{**dataclasses.asdict(run), **results[run]} for run in runs])


def run_key(run: PredictorRun) -> dict[str, Any]:
    """What decides the result of a run; the statistics belong to it only where the predictor reads more than the graphs."""
    data = data_of(run)
    key = {
        "method": METHOD_VERSION,
        "predictor": run.predictor,
        "config": dataclasses.asdict(configuration(run.predictor, run.space, **dict(run.changes))),
        "space": run.space,
        "dataset": run.dataset,
        "cells": len(data),
        "train": run.train,
        "split": run.split,
        "learned_from": data.learned_from,
        "judged_on": data.judged_on,
    }
    if run.seeds != "mean":
        key["seeds"] = run.seeds
    if (version := PREDICTORS[run.predictor].version) > 1:
        key["version"] = version
    if PREDICTORS[run.predictor].reads is not graphs_alone:
        key |= {"width": run.width, "statistics": everything_read(data.collection)}
    return key
