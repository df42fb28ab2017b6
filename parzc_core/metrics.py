"""How well scores rank: correlations, top-k precision, and their bootstrap intervals over architectures.

Everything is in percent, and correlations are signed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from parzc_core import _resampling
from parzc_core.errors import BadInput, floats, seed_of, whole

METRICS = ("kendall", "spearman", "pearson")


@dataclass(frozen=True)
class Correlations:
    """Agreement of scores with the truth, over the architectures where both are finite.

    kendall (tau-b), spearman, pearson: percent, in [-100, 100]; NaN where scores or truth are constant.
    n: architectures used. not_finite: architectures left out, since their score or truth is NaN or infinite.
    """

    kendall: float
    spearman: float
    pearson: float
    n: int
    not_finite: int


def _pairs(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    score, truth = floats("scores", score), floats("truth", truth)
    if score.shape != truth.shape or score.ndim != 1:
        raise BadInput(f"got scores {score.shape} and truth {truth.shape}; expected the same [n]")
    finite = np.isfinite(score) & np.isfinite(truth)
    return score[finite], truth[finite], int((~finite).sum())


def correlations(score: np.ndarray, truth: np.ndarray) -> Correlations:
    """All three correlations of scores with the truth.

        >>> round(correlations(np.array([1.0, 2.0, 3.0, np.nan]), np.array([91.0, 90.0, 93.0, 94.0])).kendall, 1)
        33.3

    score, truth: float[n]. Raises BadInput if the shapes differ.
    """
    x, _, left_out = _pairs(score, truth)
    pearson = _percent(scipy.stats.pearsonr, score, truth)
    return Correlations(kendall(score, truth), spearman(score, truth), pearson, len(x), left_out)


def _percent(statistic: Callable[[np.ndarray, np.ndarray], Any], score: np.ndarray, truth: np.ndarray) -> float:
    x, y, _ = _pairs(score, truth)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return 100 * float(statistic(x, y).statistic)


def kendall(score: np.ndarray, truth: np.ndarray) -> float:
    """Kendall's tau-b of float[n] and float[n], percent; NaN where one is constant. Raises BadInput if the shapes differ."""
    return _percent(scipy.stats.kendalltau, score, truth)


def spearman(score: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's rho of float[n] and float[n], percent; NaN where one is constant. Raises BadInput if the shapes differ."""
    return _percent(scipy.stats.spearmanr, score, truth)


def top_k_precision(score: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Share of the k architectures with the highest scores that are among the k best, percent.

        >>> top_k_precision(np.array([5, 4, 3, 2, 1]), np.array([1, 9, 8, 2, 3]), k=2)
        50.0

    score, truth: float[n]; ties keep the order given. Raises BadInput: k below 1 or above the number of finite pairs, shapes.
    """
    x, y, _ = _pairs(score, truth)
    if not 0 < whole("k", k) <= len(x):
        raise BadInput(f"got k={k}; expected 1 to {len(x)}, the number of finite scores")
    best = [set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (x, y)]
    return 100.0 * len(best[0] & best[1]) / k


def bootstrap_interval(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    score: np.ndarray,
    truth: np.ndarray,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of any statistic of one score.

        low, high = bootstrap_interval(kendall, scores, accuracy)

    statistic: (score float[n], truth float[n]) -> float. Architectures are drawn with replacement, `resamples` times.
    The interval says how far the number would move with other architectures, not with another training.
    Returns (NaN, NaN) for fewer than two finite pairs. Raises BadInput if the shapes differ.
    """
    x, y, _ = _pairs(score, truth)
    if len(x) < 2:
        return np.nan, np.nan
    resamples, generator = whole("resamples", resamples, 1), np.random.default_rng(seed_of(seed))
    draws = (generator.integers(0, len(x), len(x)) for _ in range(resamples))
    faster = _resampling.kendall if statistic is kendall else _resampling.spearman if statistic is spearman else None
    found = [statistic(x[i], y[i]) for i in draws] if faster is None else faster(x, y, draws)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)
