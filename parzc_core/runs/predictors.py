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
from parzc_core.metrics import kendall
from parzc_core.predictors.base import Predictor
from parzc_core.predictors.ctnas import CTNASCheckpoints
from parzc_core.predictors.registry import PREDICTORS, configuration, predictor
from parzc_core.runs.judging import hundred, judgement
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
        """Fit and judge: `judgement`, what ALSO says, judged_on, seconds: CPU, of reading, fitting and scoring.

        What a predictor does once in a process for all training sets (Arch2Vec's autoencoder) is in the seconds of the first.
        """
        started = time.process_time()
        data = self.data
        fitted, inputs, _, judged = self.fitted()
        found = np.asarray(fitted.predict(inputs[judged]))
        also = ALSO[self.predictor](self, fitted, inputs, judged) if self.predictor in ALSO else {}
        seconds = time.process_time() - started
        result = judgement(found, data.judged[judged], self.split % GROUP, resamples=0)
        return {**result, **also, "seconds": seconds, "judged_on": data.judged_on}

    def scores(self, samples: int = 0) -> tuple[Any, np.ndarray, np.ndarray]:
        """Fit, then score the unseen cells: (scores as of `Predictor.predict`, positions of training cells, of judged ones).

        It learns from `Data.learn` of the training cells, and may look at all cells without their accuracy.
        """
        fitted, inputs, train, judged = self.fitted()
        return fitted.predict(inputs[judged], samples), train, judged

    def fitted(self) -> tuple[Predictor[Any], Any, np.ndarray, np.ndarray]:
        """(fitted predictor, what it reads of all cells, positions of training cells, of judged ones)."""
        data = self.data
        train, judged = training_cells(len(data), self.train, self.split)
        inputs = PREDICTORS[self.predictor].reads(data, train)
        fitted = predictor(self.predictor, self.space, **dict(self.changes)).fit(
            inputs[train], data.learn[train], seed=self.split, unlabelled=inputs
        )
        return fitted, inputs, train, judged


def on_all_cells(run: PredictorRun, fitted: Predictor[Any], inputs: Any, judged: np.ndarray) -> dict[str, float]:
    """Kendall's tau on all cells, training cells among them: `kendall_all`."""
    return {"kendall_all": kendall(np.asarray(fitted.predict(inputs)), run.data.judged)}


def best_checkpoint(run: PredictorRun, fitted: Predictor[Any], inputs: Any, judged: np.ndarray) -> dict[str, float]:
    """The best checkpoint's tau on the judged cells, `kendall_best`, and on a hundred of them, `kendall_100_best`."""
    assert isinstance(fitted, CTNASCheckpoints)
    truth, few = run.data.judged[judged], hundred(len(judged), run.split % GROUP)
    scores = fitted.predict_each(inputs[judged])
    return {
        "kendall_best": max(kendall(score, truth) for score in scores),
        "kendall_100_best": max(kendall(score[few], truth[few]) for score in scores),
    }


# By the protocols of their own papers, which are kinder than ours: what is recorded beside `judgement`.
ALSO = {"NN-Former": on_all_cells, "CTNAS (best checkpoint)": best_checkpoint}


def run_predictors(runs: Sequence[PredictorRun], store: Path, jobs: int = 1, **options: Any) -> pd.DataFrame:
    """`run_frame` of predictors, with its other options."""
    return run_frame(runs, store, jobs, unit="predictor", **options)
