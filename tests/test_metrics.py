"""Correlations against scipy; intervals from weights against correlations of resamples that are really drawn."""

import numpy as np
import pytest
import scipy.stats

from parzc_core import metrics
from parzc_core.errors import BadInput


def test_correlations_are_scipys_in_percent_signed_and_count_what_is_left_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    y = -x + rng.normal(size=50)
    got = metrics.correlations(np.r_[x, np.nan, np.inf], np.r_[y, 1.0, 2.0])
    assert got.kendall == pytest.approx(100 * scipy.stats.kendalltau(x, y).statistic)
    assert got.spearman == pytest.approx(100 * scipy.stats.spearmanr(x, y).statistic)
    assert got.pearson == pytest.approx(100 * scipy.stats.pearsonr(x, y).statistic)
    assert got.kendall < 0
    assert (got.n, got.not_finite) == (50, 2)
    assert np.isnan(metrics.kendall(np.ones(5), np.arange(5.0)))


def test_top_k_precision_by_hand():
    assert metrics.top_k_precision(np.array([5, 4, 3, 2, 1]), np.array([1, 9, 8, 2, 3]), 2) == 50
    with pytest.raises(BadInput, match="k=6"):
        metrics.top_k_precision(np.arange(5), np.arange(5), 6)


def test_bootstrap_interval_covers_a_known_correlation():
    rng, inside = np.random.default_rng(1), 0
    for trial in range(40):
        x = rng.normal(size=200)
        y = 0.6 * x + 0.8 * rng.normal(size=200)  # Pearson 0.6
        low, high = metrics.bootstrap_interval(lambda a, b: metrics.correlations(a, b).pearson, x, y, 200, trial)
        inside += low < 60 < high
    assert 33 <= inside <= 40  # 95 % nominal


@pytest.mark.parametrize("ties", [False, True])
def test_a_weighted_correlation_is_that_of_the_resample(ties):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 25))
    if ties:
        x, y = np.round(x), np.round(2 * y)
    weights = random.multinomial(25, np.full(25, 1 / 25), size=6).astype(float)
    for name in metrics.METRICS:
        drawn = metrics._DRAWS[name](x, y, weights)
        for value, counts in zip(drawn, weights.astype(int), strict=True):
            rows = np.repeat(np.arange(25), counts)
            assert value == pytest.approx(getattr(metrics.correlations(x[rows], y[rows]), name), abs=1e-8)


def test_mean_and_spread_are_over_the_scores_and_the_interval_over_architectures():
    truth = np.arange(30.0)
    scores = np.stack([truth, -truth, truth])
    found = metrics.intervals_of_mean(scores, truth)
    for name in metrics.METRICS:
        mean, spread, low, high = found[name]
        assert (mean, spread) == (pytest.approx(100 / 3), pytest.approx(np.std([100, -100, 100], ddof=1)))
        assert (
            low == pytest.approx(high) == pytest.approx(100 / 3)
        )  # whatever is drawn, the order is perfect or reversed
    noisy = truth + 20 * np.random.default_rng(1).normal(size=30)
    mean, spread, low, high = metrics.intervals_of_mean([noisy], truth)["kendall"]
    assert np.isnan(spread)
    assert low < mean < high
    interval = metrics.bootstrap_interval(metrics.kendall, noisy, truth, resamples=1000)
    assert (low, high) == pytest.approx(interval, abs=3)


def test_a_constant_score_has_no_correlation():
    found = metrics.intervals_of_mean([np.ones(10)], np.arange(10.0))
    assert np.isnan(found["kendall"]).all()


def test_bad_scores_are_refused():
    with pytest.raises(BadInput, match=r"expected \[k, n\] and \[n\]"):
        metrics.intervals_of_mean(np.zeros(4), np.zeros(4))
    with pytest.raises(BadInput, match="not finite"):
        metrics.intervals_of_mean([np.array([1, np.nan])], np.zeros(2))
