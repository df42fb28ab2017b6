"""What is recorded of scores of unseen architectures, and the mean correlation of several scores with its interval.

Everything is in percent, and correlations are signed.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from parzc_core import metrics
from parzc_core.errors import BadInput


def judgement(score: np.ndarray, truth: np.ndarray, draw: int = 0, resamples: int = 200) -> dict[str, Any]:
    """All that is recorded of a ranker's scores of unseen architectures.

        found = judgement(ranker.predict(unseen), accuracy)
        found["kendall"], found["kendall_interval"]

    score, truth: float[n]. Keys of the result: the fields of Correlations; top10, top-10 precision; kendall_100, Kendall's tau
    of 100 random architectures (seed `draw`); kendall_interval and spearman_interval, 95 % bootstrap intervals, which are left
    out for resamples=0. Of a ranker whose training ended in NaN all but the counts are NaN. Raises BadInput if the shapes differ.
    """
    intervals = {
        f"{statistic.__name__}_interval": metrics.bootstrap_interval(statistic, score, truth, resamples)
        for statistic in (metrics.kendall, metrics.spearman)
        if resamples
    }
    few = hundred(len(truth), draw)
    found, best = metrics.correlations(score, truth), min(10, len(truth))
    return {
        **asdict(found),
        **intervals,
        "top10": metrics.top_k_precision(score, truth, best) if found.n >= best else float("nan"),
        "kendall_100": metrics.kendall(score[few], truth[few]),
    }


def hundred(count: int, draw: int) -> np.ndarray:
    """Positions of 100 random ones of `count` architectures, or of all where there are fewer."""
    return np.random.default_rng(draw).permutation(count)[:100]


def intervals_of_mean(
    scores: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float, float]]:
    """Mean correlation of several scores with the truth, and its 95 % bootstrap interval over architectures.

        mean, std, low, high = intervals_of_mean(scores, accuracy)["kendall"]

    scores: float[k, n], for example of k initialisations. truth: float[n]. Returns {metric: (mean over the k scores,
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
    each = [metrics.correlations(x, y) for x in table]
    n = len(y)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    found = {}
    for metric in metrics.METRICS:
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
