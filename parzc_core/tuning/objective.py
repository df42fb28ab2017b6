"""Hyper-parameters by an Optuna study (§4.1, Table 10, A.4), which sees the training cells of one split and no other.

    study = StudyConfig("table10", "cpu")
    trials = run_study(study, "table10.sqlite", trials=60, jobs=2)

The value of a trial is Kendall's tau on validation parts of those training cells (k folds), against validation accuracy. What the
best settings are worth on other cells is measured afterwards, by `parzc_core.experiments.table10_tuning`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from parzc_core import metrics
from parzc_core.collecting.labelled import training_cells
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.runs.rankers import RankerRun, inputs_for, training_config
from parzc_core.training import FittedRanker, TrainingConfig, fit_many
from parzc_core.tuning.spaces import Value, apply, tuning_space

SPLIT = 1000  # of the study's training cells; tables judge splits 0, 1, ...
REPORTS = 10  # times that a trial is compared with the others while it trains
Watch = Callable[[int, float], None]


@dataclass(frozen=True)
class StudyConfig:
    """What is searched, on what. space, size: of `tuning_space`.

    base: the ranker whose settings are changed; its split says which training cells the study has.
    folds: parts into which those are cut; each is the validation part once. seed: of the sampler.
    """

    space: str = "table10"
    size: str = "cpu"
    base: RankerRun = field(default_factory=lambda: RankerRun(split=SPLIT))
    folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        tuning_space(self.space, self.size)
        if not 2 <= self.folds <= self.base.train // 2:
            raise BadInput(
                f"got {self.folds} folds of {self.base.train} training cells; expected at least 2 folds, of at least 2 cells"
            )

    def key(self) -> dict[str, Any]:
        """What decides the value of a trial: this configuration, the statistics and the labels that are read."""
        rest = {name: getattr(self, name) for name in ("space", "size", "folds", "seed")}
        return {"kind": "study", **rest, "base": self.base.key()}


@dataclass(frozen=True, eq=False)
class StudyCells:
    """All that a study sees: the n training cells of its split, with the accuracy that rankers learn from (float64[n], percent).

    positions: int64[n], of these cells in their collection.
    """

    positions: np.ndarray
    statistics: tuple[NodeStatistics, ...]
    adjacency: np.ndarray
    operations: np.ndarray
    accuracy: np.ndarray


def study_cells(base: RankerRun) -> StudyCells:
    """The training cells of the split of `base`. Raises BadInput, LabelsMissing."""
    data = base.data
    train, _ = training_cells(len(data), base.train, base.split)
    statistics = tuple(data.statistics[i] for i in train)
    return StudyCells(train, statistics, data.adjacency[train], data.operations[train], data.learn[train])


def fold_positions(count: int, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(learning, validating) positions of each fold. Validation parts are disjoint, of count // folds cells each."""
    order, size = np.random.default_rng(seed).permutation(count), count // folds
    parts = [np.sort(order[i * size : (i + 1) * size]) for i in range(folds)]
    return [(np.setdiff1d(np.arange(count), part), part) for part in parts]


class Undefined(Exception):
    """A ranker gave one score to all cells of a validation part, so that its tau is not defined."""


class Objective:
    """A trial's value: tau (percent) on a validation part, of a ranker trained on the study's other cells; mean over parts."""

    def __init__(self, study: StudyConfig):
        cells = study_cells(study.base)
        self.study, self.space = study, tuning_space(study.space, study.size)
        self._folds = []
        for learn, validate in fold_positions(len(cells.accuracy), study.folds, study.base.split):
            inputs = inputs_for(study.base, cells, learn)
            self._folds.append((inputs[learn], cells.accuracy[learn], inputs[validate], cells.accuracy[validate]))
        self.default = training_config(study.base, self._folds[0][0])

    def value(self, config: TrainingConfig, watch: Watch | None = None) -> float:
        """Tau after training. watch: called REPORTS times while it trains, with 1 to REPORTS and the tau so far.

        The folds and their seeds are the same for all settings, so that values can be compared. Raises Undefined.
        """
        due = {round(config.epochs * (i + 1) / REPORTS): i + 1 for i in range(REPORTS)}

        def at_epoch(epoch: int, rankers: list[FittedRanker]) -> None:
            if watch is not None and epoch in due:
                watch(due[epoch], self._tau(rankers))

        inputs, accuracy, *_ = zip(*self._folds, strict=True)
        rankers = fit_many(inputs, accuracy, config, range(len(inputs)), None if watch is None else at_epoch)
        return self._tau(rankers)

    def of(self, values: Mapping[str, Value], watch: Watch | None = None) -> float:
        """`value` with those settings of the space."""
        return self.value(apply(self.space, values, self.default), watch)

    def _tau(self, rankers: list[FittedRanker]) -> float:
        taus = [
            metrics.kendall(ranker.predict(inputs), accuracy)
            for ranker, (_, _, inputs, accuracy) in zip(rankers, self._folds, strict=True)
        ]
        if not np.isfinite(taus).all():
            raise Undefined
        return float(np.mean(taus))


@lru_cache(maxsize=2)
def objective(study: StudyConfig) -> Objective:
    """The objective, made once a process."""
    return Objective(study)
