"""What a ranker predicts for every collected cell it was not trained on (figures 4 and 8): trained once, then read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import metrics
from parzc_core.collecting.labelled import training_cells
from parzc_core.runs.protocol import run_all
from parzc_core.runs.rankers import RankerRun, train_ranker
from parzc_core.spaces import space as space_named


@dataclass(frozen=True, eq=False)
class Prediction:
    """Scores of the n cells that `run` was not trained on.

    score: float64[n], higher meaning better. truth: float64[n], percent, what they are judged on; `note` says what that is.
    validation: float64[n], percent, validation accuracy of these cells, the kind that the ranker learned from; NaN where it is
    not at hand.
    twin: bool[n], whether a training cell is isomorphic to it (see Space.isomorphism), so that it is not really unseen.
    """

    run: RankerRun
    archs: tuple[str, ...]
    score: np.ndarray
    truth: np.ndarray
    validation: np.ndarray
    twin: np.ndarray
    note: str

    def populations(self, top: float = 0.1) -> dict[str, np.ndarray]:
        """bool[n] each: all the cells, those without a twin in the training cells, the truly best share `top` of all."""
        best = self.truth >= np.quantile(self.truth, 1 - top)
        return {"all unseen": np.ones(len(best), dtype=bool), "no twin": ~self.twin, f"top {top:.0%}": best}

    def correlations(self, top: float = 0.1, resamples: int = 500) -> pd.DataFrame:
        """Per population: cells, kendall, ci_low, ci_high (95 %, bootstrap over the cells), spearman, in percent; and ceiling:
        the tau of validation accuracy itself, so about the most that a ranker which learns from it can reach."""
        rows = {}
        for name, chosen in self.populations(top).items():
            score, truth = self.score[chosen], self.truth[chosen]
            found = metrics.correlations(score, truth)
            low, high = metrics.bootstrap_interval(metrics.kendall, score, truth, resamples)
            ceiling = metrics.kendall(self.validation[chosen], truth)
            rows[name] = (found.n, found.kendall, low, high, found.spearman, ceiling)
        columns = ["cells", "kendall", "ci_low", "ci_high", "spearman", "ceiling"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def found(self, best: float = 0.01, among: float = 0.1) -> np.ndarray:
        """bool[m], of each of the truly best share `best` of the cells, whether it is in the share `among` predicted best."""
        chosen = self.score >= np.quantile(self.score, 1 - among)
        return chosen[self.truth >= np.quantile(self.truth, 1 - best)]

    def search(self, k: int = 10) -> dict[str, float]:
        """What choosing by score gives: truly best accuracy, best of the k predicted best, their overlap with the k truly best
        (percent), and the worst predicted rank of those k (1: predicted best)."""
        order = np.argsort(-self.score, kind="stable")
        rank = np.empty(len(order), dtype=int)
        rank[order] = np.arange(1, len(order) + 1)
        best = np.argsort(-self.truth, kind="stable")[:k]
        return {
            "best accuracy": float(self.truth.max()),
            f"best of the {k} predicted best": float(self.truth[order[:k]].max()),
            f"of the {k} truly best among them (%)": metrics.top_k_precision(self.score, self.truth, k),
            f"lowest predicted rank of the {k} truly best": float(rank[best].max()),
        }


@dataclass(frozen=True)
class PredictionRun:
    """The scores that the ranker of `ranker` gives to every cell that it was not trained on."""

    ranker: RankerRun

    def key(self) -> dict[str, Any]:
        """That of the ranker, of another kind."""
        return {**self.ranker.key(), "kind": type(self).__name__}

    def evaluate(self) -> dict[str, list[float]]:
        """{"scores": in the order of the unseen cells}."""
        ranker, inputs, _, judged = train_ranker(self.ranker)
        scores = ranker.predict(inputs[judged]).astype(np.float32)  # the model computes in float32
        # The shortest decimals that read back as the same float32.
        return {"scores": [float(str(score)) for score in scores]}


def predict_unseen(runs: Sequence[RankerRun], store: Path, jobs: int = 1) -> list[Prediction]:
    """The predictions of every run, in order. Only runs that `store` (jsonl) lacks are trained, on `jobs` processes.

    Raises BadInput, LabelsMissing, CorruptShard.
    """
    found = run_all([PredictionRun(run) for run in runs], store, jobs, unit="ranker")
    return [_prediction(run, found[PredictionRun(run)]["scores"]) for run in runs]


def _prediction(run: RankerRun, scores: list[float]) -> Prediction:
    data = run.data
    train, judged = training_cells(len(data), run.train, run.split)
    archs = data.collection.archs
    standing = [space_named(run.space).isomorphism(arch).representative for arch in archs]
    seen = {standing[i] for i in train}
    return Prediction(
        run,
        tuple(archs[i] for i in judged),
        np.array(scores, dtype=np.float32).astype(np.float64),
        data.judged[judged],
        data.learn[judged] if data.learned_from == "val" else np.full(len(judged), np.nan),
        np.array([standing[i] in seen for i in judged]),
        data.note,
    )
