"""Rank correlation, top-k precision and bootstrap intervals. Correlations are signed and in percent."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.stats

from parzc_core.errors import BadInput


@dataclass(frozen=True)
class Correlations:
    """Agreement of a score with the truth, over the pairs where both are finite.

    kendall: tau-b, spearman, pearson: in percent, NaN where one side is constant.
    n: pairs used. not_finite: pairs left out because the score or the truth is NaN or infinite.
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
    """All three correlations of two arrays [n]. Raises BadInput for shapes that differ."""
    x, _, left_out = _pairs(score, truth)
    pearson = _percent(scipy.stats.pearsonr, score, truth)
    return Correlations(kendall(score, truth), spearman(score, truth), pearson, len(x), left_out)


def _percent(statistic: Callable[[np.ndarray, np.ndarray], Any], score: np.ndarray, truth: np.ndarray) -> float:
    x, y, _ = _pairs(score, truth)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return 100 * float(statistic(x, y).statistic)


def kendall(score: np.ndarray, truth: np.ndarray) -> float:
    """Kendall's tau-b in percent."""
    return _percent(scipy.stats.kendalltau, score, truth)


def spearman(score: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's rho in percent."""
    return _percent(scipy.stats.spearmanr, score, truth)


def top_k_precision(score: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Percent of the k highest-scored that are among the k truly best (ties in the order given)."""
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
    """95 % percentile interval of `statistic` over bootstrap resamples of the architectures (pairs drawn with replacement).

    It says how far the number would move with another sample of architectures, not with another training.
    """
    x, y, _ = _pairs(score, truth)
    if len(x) < 2:
        return np.nan, np.nan
    generator = np.random.default_rng(seed)
    draws = [statistic(x[i], y[i]) for i in (generator.integers(0, len(x), len(x)) for _ in range(resamples))]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def judgement(score: np.ndarray, truth: np.ndarray, draw: int = 0, resamples: int = 200) -> dict[str, Any]:
    """What is kept of a ranker's scores [n] of unseen architectures, besides what it cost.

    kendall, spearman, pearson (percent), n, not_finite: see Correlations. top10: precision. kendall_100: of 100 random ones,
    drawn by `draw`. kendall_interval, spearman_interval: 95 % bootstrap intervals over the architectures; left out without
    resamples.
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


# Bootstrap intervals of Kendall, Spearman and Pearson of the mean over several scores, all resamples at once.
#
# For few architectures and many scores: a resample is a vector of how often each architecture is drawn, and the three
# correlations are sums over pairs with these weights.


METRICS = ("kendall", "spearman", "pearson")


def intervals_of_mean(
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
    """float64[resamples], tau-b: an architecture drawn twice is tied with itself."""
    a, b = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    return _ratio(_pair_sums(weights, a * b), _pair_sums(weights, a * a), _pair_sums(weights, b * b))


def _pair_sums(weights: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return ((weights @ matrix) * weights).sum(axis=1)


def _spearman_draws(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    a, b = (weights @ ((v[:, None] < v[None, :]) + 0.5 * (v[:, None] == v[None, :])) for v in (x, y))  # [resamples, n]
    return _pearson_draws(a, b, weights)


def _pearson_draws(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """x, y: [n] or [resamples, n]."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (x, y))
    return _ratio(*((weights * product).sum(axis=1) for product in (a * b, a * a, b * b)))


def _ratio(both: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * both / np.sqrt(one * other)


_DRAWS = {"kendall": _kendall_draws, "spearman": _spearman_draws, "pearson": _pearson_draws}
