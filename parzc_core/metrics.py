"""How well scores rank: correlations, top-k precision, and their bootstrap intervals over architectures.

Everything is in percent, and correlations are signed.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.stats

from parzc_core.errors import BadInput

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
    score, truth = np.asarray(score, dtype=np.float64), np.asarray(truth, dtype=np.float64)
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
    if not 0 < k <= len(x):
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
    generator = np.random.default_rng(seed)
    draws = [statistic(x[i], y[i]) for i in (generator.integers(0, len(x), len(x)) for _ in range(resamples))]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def intervals_of_mean(
    scores: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float, float]]:
    """Mean correlation of several scores with the truth, and its 95 % bootstrap interval over architectures.

        mean, std, low, high = intervals_of_mean(scores, accuracy)["kendall"]

    scores: float[k, n], for example of k initialisations. truth: float[n]. Returns {metric of METRICS: (mean over the k scores,
    their standard deviation with ddof 1, lower end, upper end)}, percent. The deviation of one score is NaN.
    All resamples are computed at once. A resample is a vector of weights, how often each architecture is drawn, and the three
    correlations are weighted sums over pairs. That is fast for few architectures and many scores.
    Raises BadInput: shapes that differ, a score or truth that is not finite.
    """
    table, y = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if table.ndim != 2 or table.shape[1:] != y.shape or not table.size:
        raise BadInput(f"got scores {table.shape} and truth {y.shape}; expected [k, n] and [n]")
    if not (np.isfinite(table).all() and np.isfinite(y).all()):
        raise BadInput("got scores or truth that are not finite; leave those architectures out")
    each = [correlations(x, y) for x in table]
    n = len(y)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    found = {}
    for metric in METRICS:
        values = np.array([getattr(one, metric) for one in each])
        mean = np.mean([_DRAWS[metric](x, y, weights) for x in table], axis=0)
        low, high = np.nanpercentile(mean, [2.5, 97.5]) if np.isfinite(mean).any() else (np.nan, np.nan)
        spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        found[metric] = (float(values.mean()), spread, float(low), float(high))
    return found


def _kendall_draws(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """tau-b of each resample, float64[resamples]. An architecture that is drawn twice is tied with itself."""
    a, b = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    return _ratio(_pair_sums(weights, a * b), _pair_sums(weights, a * a), _pair_sums(weights, b * b))


def _pair_sums(weights: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """sum_ij w_i w_j matrix_ij of each resample w: float64[resamples]."""
    return ((weights @ matrix) * weights).sum(axis=1)


def _spearman_draws(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the ranks in each resample: float64[resamples]."""
    a, b = (weights @ ((v[:, None] < v[None, :]) + 0.5 * (v[:, None] == v[None, :])) for v in (x, y))  # [resamples, n]
    return _pearson_draws(a, b, weights)


def _pearson_draws(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of each resample, float64[resamples]. x, y: [n], or [resamples, n] if they differ between resamples."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (x, y))
    return _ratio(*((weights * product).sum(axis=1) for product in (a * b, a * a, b * b)))


def _ratio(both: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Percent; NaN where a resample is constant."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * both / np.sqrt(one * other)


_DRAWS = {"kendall": _kendall_draws, "spearman": _spearman_draws, "pearson": _pearson_draws}


def judgement(score: np.ndarray, truth: np.ndarray, draw: int = 0, resamples: int = 200) -> dict[str, Any]:
    """All that is recorded of a ranker's scores of unseen architectures.

        found = judgement(ranker.predict(unseen), accuracy)
        found["kendall"], found["kendall_interval"]

    score, truth: float[n]. Keys of the result: the fields of Correlations; top10, top-10 precision; kendall_100, Kendall's tau
    of 100 random architectures (seed `draw`); kendall_interval and spearman_interval, 95 % bootstrap intervals, which are left
    out for resamples=0. Raises BadInput if the shapes differ.
    """
    intervals = {
        f"{statistic.__name__}_interval": bootstrap_interval(statistic, score, truth, resamples)
        for statistic in (kendall, spearman)
        if resamples
    }
    few = np.random.default_rng(draw).permutation(len(truth))[:100]
    return {
        **asdict(correlations(score, truth)),
        **intervals,
        "top10": top_k_precision(score, truth, min(10, len(truth))),
        "kendall_100": kendall(score[few], truth[few]),
    }
