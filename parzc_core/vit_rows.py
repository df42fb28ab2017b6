"""Rows of Table 5: proxies, cross-validated ParZC and transfers, each with its ground truth, spread and wide interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import agreement, metrics
from parzc_core.experiments import Data
from parzc_core.results import Row, row_of_runs
from parzc_core.vit_data import LABELS, Truth, note
from parzc_core.vit_rankers import FoldRun, folds

TABLE = "table05"


def _rows(name: str, truth: Truth, scores: np.ndarray, judged: np.ndarray, what: str, profile: str) -> list[Row]:
    """A row a metric of scores [k, n]; architectures without a finite score in each are left out, and the note says so."""
    finite = np.isfinite(scores).all(axis=0)
    left_out = f"; {int((~finite).sum())} without a finite score left out" if not finite.all() else ""
    about = f"{what}; 95 % interval over architectures; {note(truth, len(judged))}{left_out}"
    rest: dict[str, Any] = {"profile": profile, "origin": "reproduced"}
    found = agreement.of_scores(scores[:, finite], judged[finite])
    rows = []
    for metric, (value, spread, low, high) in found.items():
        of_seeds = f"std {spread:.2f} over {len(scores)} runs (seeds), " if len(scores) > 1 else "one seed, "
        rows.append(
            Row(
                TABLE,
                name,
                truth.column,
                metric,
                value,
                n=len(judged),
                ci_low=low,
                ci_high=high,
                note=of_seeds + about,
                **rest,
            )
        )
    return rows


def proxy_scores(data: Mapping[int, Data]) -> dict[str, np.ndarray]:
    """{proxy: float64[seeds, n]}: sums over nodes, and the network-level scores, in the order of LABELS."""
    tables = [
        pd.concat(
            [pd.DataFrame([s.sums() for s in one.statistics], index=one.collection.archs), one.collection.scores],
            axis=1,
        )
        for one in data.values()
    ]
    return {name: np.stack([table[name] for table in tables]) for name in LABELS if all(name in t for t in tables)}


def of_proxies(truth: Truth, data: Mapping[int, Data], profile: str) -> list[Row]:
    """A row a proxy and metric: mean and std over the seeds of the initial weights."""
    judged = next(iter(data.values())).judged
    return [
        row
        for name, scores in proxy_scores(data).items()
        for row in _rows(LABELS[name], truth, scores, judged, "zero-cost proxy", profile)
    ]


def of_folds(name: str, results: Mapping[FoldRun, Mapping[str, Any]], judged: np.ndarray, profile: str) -> list[Row]:
    """Rows of cross-validated rankers of one ground truth and number of folds, in one partition or several.

    Ten folds: one correlation over all architectures. Five: the mean over 80/20 splits.
    """
    run = next(iter(results))
    scores = np.concatenate([np.array(result["scores"]) for result in results.values()])
    if run.folds != 5:
        what = f"each architecture judged by a ranker that learned from other {run.folds - 1} of {run.folds} parts"
        what = f"{len(results)} partitions; {what}" if len(results) > 1 else what
        return _rows(name, run.truth, scores, judged, what, profile)
    values: dict[str, list[float]] = {metric: [] for metric in agreement.METRICS}
    for one, result in results.items():
        for _, part in folds(len(judged), one.folds, one.partition):
            for of_seed in np.array(result["scores"]):
                found = metrics.correlations(of_seed[part], judged[part])
                for metric, runs in values.items():
                    runs.append(getattr(found, metric))
    about = f"{len(scores)} times five 80/20 splits; interval over these; {note(run.truth, len(judged))}"
    return [
        row_of_runs(
            TABLE, f"{name}, 80/20", run.truth.column, metric, runs, profile=profile, origin="reproduced", note=about
        )
        for metric, runs in values.items()
    ]


def of_transfer(
    name: str, truth: Truth, scores: np.ndarray, judged: np.ndarray, learned: str, profile: str
) -> list[Row]:
    """Rows of rankers that learned from another space. learned: from what."""
    return _rows(name, truth, scores, judged, f"learned from {learned}, no {truth.space} label", profile)


def unavailable(truths: Sequence[Truth], reason: str, profile: str) -> list[Row]:
    """A row a ground truth for ParZC, without a value, that says why."""
    return [
        Row(TABLE, "ParZC", truth.column, "kendall", None, n=0, profile=profile, origin="unavailable", note=reason)
        for truth in truths
    ]
