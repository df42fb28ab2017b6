"""Stored runs of `ParZC+`: how well it ranks, whether its spread is calibrated, and what it picks when it may choose.

Beside ParZC+ stands MABN as printed, whose spread is that of scores over draws of its weights.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from parzc_core import metrics
from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data, read_of, training_cells
from parzc_core.errors import BadInput
from parzc_core.predictors.plus.calibration import LEVELS, Scale, coverage, log_density, out_of_fold, select_next
from parzc_core.predictors.plus.features import plus_inputs
from parzc_core.predictors.plus.learners import log_error
from parzc_core.predictors.plus.model import PLUS, ParZCPlus, PlusConfig
from parzc_core.ranker import Inputs
from parzc_core.runs.judging import judgement
from parzc_core.runs.protocol import run_all
from parzc_core.runs.rankers import RankerRun, inputs_for, training_config
from parzc_core.training import fit

VERSION = 1  # raised when code changes what a run gives
CALIBRATION_VERSION = 2  # the same of a CalibrationRun
DRAWS = 20  # of MABN's weights
MABN_SEEN = 4000  # unseen cells that MABN's spread is judged on at most: a draw scores each of them


@dataclass(frozen=True)
class Cells:
    """Which cells: space, dataset, cells, width as in RankerRun."""

    space: str = "nb201"
    dataset: str = "cifar10"
    cells: int | None = None
    width: int | None = None

    @property
    def data(self) -> Data:
        """Their statistics and labels."""
        return labelled.load(self.space, self.dataset, self.cells, self.width)


EVERY_CIFAR10_CELL = Cells()


@dataclass(frozen=True)
class PlusRun:
    """ParZC+ fitted on `train` random cells and judged on all others; a split draws the same cells as a RankerRun's."""

    where: Cells = EVERY_CIFAR10_CELL
    train: int = 78
    split: int = 0
    config: PlusConfig = PLUS

    def key(self) -> dict[str, Any]:
        """The run, the columns that it reads, the labels."""
        return _key(self)

    def evaluate(self) -> dict[str, Any]:
        """`judgement` of the unseen cells; seconds: CPU, of fitting and scoring.

        kendall_no_twin, n_no_twin: over the unseen cells that no training cell is isomorphic to.
        """
        data = self.where.data
        inputs = plus_inputs(data)
        train, judged = training_cells(len(data), self.train, self.split)
        started = time.process_time()
        ranker = ParZCPlus(self.config).fit(inputs[train], data.learn[train], self.split, unlabelled=inputs)
        score = np.asarray(ranker.predict(inputs[judged]))
        seconds = time.process_time() - started
        truth = data.judged[judged]
        alone = ~np.isin(inputs.classes[judged], inputs.classes[train])
        twins = {"kendall_no_twin": metrics.kendall(score[alone], truth[alone]), "n_no_twin": int(alone.sum())}
        return {**judgement(score, truth, self.split, resamples=0), **twins, "seconds": seconds}


@dataclass(frozen=True)
class CalibrationRun:
    """Coverage of the intervals of ParZC+, or of MABN where `mabn` is given, on validation accuracy of the unseen cells.

    That is what it learns from; test accuracy comes from longer training and lies elsewhere. mabn: its parts, size and epochs
    are read; cells, train and split are this run's.
    """

    where: Cells = EVERY_CIFAR10_CELL
    train: int = 78
    split: int = 0
    config: PlusConfig = PLUS
    mabn: RankerRun | None = None

    def key(self) -> dict[str, Any]:
        """The run, the columns that it reads, the labels."""
        return {**_key(self), "version": CALIBRATION_VERSION}

    def evaluate(self) -> dict[str, Any]:
        """For the spread as given, widened by the out-of-fold errors, and one for all cells ("constant"): coverage in percent
        at LEVELS ("given 50") and the mean log density in u ("given density"); coverage of conformal intervals ("conformal 50"),
        and their mean width over the standard deviation of u ("conformal width 50", "widened width 50", ...). kendall: of the
        scores, on validation accuracy. error_of_spread: tau of the spread with the size of the error."""
        data, use = self.where.data, fit_predict(self)
        train, judged = training_cells(len(data), self.train, self.split)
        if self.mabn is not None:
            judged = np.sort(np.random.default_rng(self.split).permutation(judged)[:MABN_SEEN])
        scale = Scale.learn(*out_of_fold(use, train, self.split), data.learn[train])
        score, spread = use(train, judged, self.split)
        u = log_error(data.learn[judged])
        mean, wide = scale.apply(score, spread)
        spreads = {
            "given": scale.apply(score, spread, widen=False)[1],
            "widened": wide,
            "constant": np.full(len(mean), scale.constant),
        }
        found: dict[str, Any] = {}
        for name, each in spreads.items():
            found |= {f"{name} {level:g}": value for level, value in coverage(mean, each, u, LEVELS).items()}
            found[f"{name} density"] = log_density(mean, each, u)
        for level in LEVELS:
            halves = {name: norm.ppf(0.5 + level / 200) * each for name, each in spreads.items()}
            halves["conformal"] = half = scale.conformal(spread, level)
            found[f"conformal {level}"] = 100 * float(np.mean(np.abs(u - mean) <= half))
            found |= {f"{name} width {level}": 2 * float(each.mean() / u.std()) for name, each in halves.items()}
        found["kendall"] = metrics.kendall(score, u)
        found["error_of_spread"] = metrics.kendall(spread, np.abs(u - mean))
        return {**found, "widening": scale.widening, "n": len(judged)}


@dataclass(frozen=True)
class SelectionRun:
    """A training set grown from `start` random cells by `batch` cells at a time, `rounds` times, from a pool of the space.

    choice: of `calibration.CHOICES`. pool: random cells to choose from; as many others again judge the ranking. mabn: as in
    CalibrationRun.
    """

    choice: str
    where: Cells = EVERY_CIFAR10_CELL
    start: int = 20
    batch: int = 20
    rounds: int = 4
    pool: int = 3000
    split: int = 0
    config: PlusConfig = PLUS
    mabn: RankerRun | None = None

    def key(self) -> dict[str, Any]:
        """The run, the columns that it reads, the labels."""
        return _key(self)

    def evaluate(self) -> dict[str, Any]:
        """At each number of labels (`labels`): `kendall` on the test accuracy of cells outside the pool; `gap`, validation
        accuracy of the pool's best cell less that of the best one evaluated, in points."""
        data, use = self.where.data, fit_predict(self)
        order = np.random.default_rng(self.split).permutation(len(data))
        pool, judged = order[: self.pool], order[self.pool : 2 * self.pool]
        if self.start + self.batch * self.rounds > len(pool) or len(judged) < 2:
            raise BadInput(
                f"got {len(data)} cells and pool={self.pool} for {self.start} + {self.rounds} x {self.batch} labels; "
                "expected a pool that holds them and cells beside it"
            )
        known, open_ = pool[: self.start], pool[self.start :]
        found: dict[str, list[float]] = {"labels": [], "kendall": [], "gap": []}
        for number in range(self.rounds + 1):
            seed = 1000 * self.split + number
            score, spread = use(known, np.concatenate([known, open_, judged]), seed)
            of_known, of_open, of_judged = np.split(score, [len(known), len(known) + len(open_)])
            found["labels"].append(len(known))
            found["kendall"].append(metrics.kendall(of_judged, data.judged[judged]))
            found["gap"].append(float(data.learn[pool].max() - data.learn[known].max()))
            if number < self.rounds:
                of_it = spread[len(known) : len(known) + len(open_)]
                best = float(of_known.max())
                chosen = select_next(self.choice, open_, of_open, of_it, best, self.batch, seed)
                known, open_ = np.concatenate([known, chosen]), open_[~np.isin(open_, chosen)]
        return found


def fit_predict(run: CalibrationRun | SelectionRun) -> Any:
    """The `calibration.FitPredict` of a run: it reads labels of the learned cells alone."""
    if run.mabn is None:
        return partial(_by_plus, run.where, run.config)
    mabn = dataclasses.replace(run.mabn, **dataclasses.asdict(run.where))
    return partial(_by_mabn, mabn)


def _by_plus(
    where: Cells, config: PlusConfig, learned: np.ndarray, asked: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    data = where.data
    inputs = plus_inputs(data)
    ranker = ParZCPlus(config).fit(inputs[learned], data.learn[learned], seed, unlabelled=inputs)
    score, spread = ranker.predict(inputs[asked], samples=1)
    return score, spread


def _by_mabn(run: RankerRun, learned: np.ndarray, asked: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    data = labelled.load(run.space, run.dataset, run.cells, run.width)
    inputs = _encoded(run, data) if run.encoding == "paper" else inputs_for(run, data, learned)
    ranker = fit(inputs[learned], data.learn[learned], training_config(run, inputs), seed)
    middle = ranker.predict(inputs[learned])  # out-of-fold scores come from several rankers
    score, spread = ranker.predict(inputs[asked], samples=DRAWS)
    scale = middle.std() or 1.0
    return (score - middle.mean()) / scale, spread / scale + 1e-9


@lru_cache(maxsize=2)
def _encoded(run: RankerRun, data: Data) -> Inputs:
    """The paper's encoding, which needs no training cells, once for all fits."""
    return inputs_for(run, data, np.arange(2))


def run_stored(runs: Sequence[PlusRun | CalibrationRun | SelectionRun], store: Path, jobs: int = 1) -> pd.DataFrame:
    """Every run and its result, a row each: column `run`, then the results. Compute missing ones; save each at once."""
    results = run_all(runs, store, jobs)
    return pd.DataFrame([{"run": run, **results[run]} for run in runs])


def _key(run: PlusRun | CalibrationRun | SelectionRun) -> dict[str, Any]:
    """The run, the columns that it reads, the labels."""
    data, mabn = run.where.data, getattr(run, "mabn", None)
    proxies, scores = run.config.columns(data) if mabn is None else (mabn.proxies, ())
    return {
        "kind": type(run).__name__,
        "version": VERSION,
        **dataclasses.asdict(run),
        **read_of(data, proxies, scores),
    }
