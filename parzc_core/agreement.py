"""Bootstrap intervals of Kendall, Spearman and Pearson of the mean over several scores, all resamples at once.

For few architectures and many scores: a resample is a vector of how often each architecture is drawn, and the three
correlations are sums over pairs with these weights.
"""

from collections.abc import Sequence

import numpy as np

from parzc_core import metrics
from parzc_core.errors import BadInput

METRICS = ("kendall", "spearman", "pearson")


def of_scores(
    scores: Sequence[np.ndarray] | np.ndarray, truth: np.ndarray, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float, float]]:
    """{metric: (mean over the scores, their std with ddof 1 (NaN for one), ci_low, ci_high)}, percent.

    scores: several float64[n], such as of several initialisations. truth: float64[n]. The interval is the 95 % percentile
    bootstrap over architectures of that mean: how far it would move with another sample of them. Raises BadInput for a score or
    truth that is not finite, and shapes that differ.
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
    for metric in METRICS:
        values = np.array([getattr(one, metric) for one in each])
        mean = np.mean([_DRAWS[metric](x, y, weights) for x in table], axis=0)
        low, high = np.nanpercentile(mean, [2.5, 97.5]) if np.isfinite(mean).any() else (np.nan, np.nan)
        spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        found[metric] = (float(values.mean()), spread, float(low), float(high))
    return found


def _kendall(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float64[resamples], tau-b: an architecture drawn twice is tied with itself."""
    a, b = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    return _percent(_pairs(weights, a * b), _pairs(weights, a * a), _pairs(weights, b * b))


def _pairs(weights: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return ((weights @ matrix) * weights).sum(axis=1)


def _spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    a, b = (weights @ ((v[:, None] < v[None, :]) + 0.5 * (v[:, None] == v[None, :])) for v in (x, y))  # [resamples, n]
    return _pearson(a, b, weights)


def _pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """x, y: [n] or [resamples, n]."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (x, y))
    return _percent(*((weights * product).sum(axis=1) for product in (a * b, a * a, b * b)))


def _percent(both: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * both / np.sqrt(one * other)


_DRAWS = {"kendall": _kendall, "spearman": _spearman, "pearson": _pearson}
