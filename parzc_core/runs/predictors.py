"""One fitted and judged predictor is one `PredictorRun`, stored and split as the `RankerRun`s beside it are."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data, read_of, training_cells
from parzc_core.errors import BadInput
from parzc_core.predictors.registry import PREDICTORS, configuration, predictor
from parzc_core.runs.judging import judgement
from parzc_core.runs.protocol import run_frame
from parzc_core.runs.rankers import GROUP

# Raised when code of a predictor changes what a run gives without a change of its configuration, so that stored runs are redone.
VERSION = 1


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

    @property
    def data(self) -> Data:
        """The collection that the run reads, with its labels."""
        return labelled.load(self.space, self.dataset, self.cells, self.width, self.seeds)

    @property
    def configuration(self) -> Any:
        """The predictor's configuration with its changes."""
        return configuration(self.predictor, self.space, **dict(self.changes))

    def key(self) -> dict[str, Any]:
        """The configuration, the columns that the predictor reads beside the graphs, and the labels."""
        data, entry = self.data, PREDICTORS[self.predictor]
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name != "changes"}
        return {
            "kind": type(self).__name__,
            "version": VERSION,
            "predictor_version": entry.version,
            **fields,
            "config": dataclasses.asdict(self.configuration),
            **read_of(data, *entry.columns(self.configuration, data)),
        }

    def evaluate(self) -> dict[str, Any]:
        """Fit and judge: `judgement`, judged_on, seconds: CPU, of reading, fitting and scoring.

        What a predictor does once in a process for all training sets (Arch2Vec's autoencoder) is in the seconds of the first.
        """
        started = time.process_time()
        data = self.data
        found, _, judged = self.scores()
        seconds = time.process_time() - started
        result = judgement(found, data.judged[judged], self.split % GROUP, resamples=0)
        return {**result, "seconds": seconds, "judged_on": data.judged_on}

    def scores(self, samples: int = 0) -> tuple[Any, np.ndarray, np.ndarray]:
        """Fit, then score the unseen cells: (scores as of `Predictor.predict`, positions of training cells, of judged ones).

        It learns from `Data.learn` of the training cells, and may look at all cells without their accuracy.
        """
        data = self.data
        train, judged = training_cells(len(data), self.train, self.split)
        inputs = PREDICTORS[self.predictor].reads(data, train)
        fitted = predictor(self.predictor, self.space, **dict(self.changes)).fit(
            inputs[train], data.learn[train], seed=self.split, unlabelled=inputs
        )
        return fitted.predict(inputs[judged], samples), train, judged


def run_predictors(runs: Sequence[PredictorRun], store: Path, jobs: int = 1, **options: Any) -> pd.DataFrame:
    """`run_frame` of predictors, with its other options."""
    return run_frame(runs, store, jobs, unit="predictor", **options)
