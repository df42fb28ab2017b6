"""Intervals from weights against correlations of resamples that are really drawn."""

import numpy as np
import pytest

from parzc_core import metrics
from parzc_core.errors import BadInput


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
