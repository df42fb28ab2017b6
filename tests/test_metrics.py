"""Correlations against scipy; the interval of a known correlation."""

import warnings

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


def test_kendall_is_tau_b_where_there_are_ties():
    score, truth = np.array([1, 1, 2, 3]), np.array([1, 2, 2, 4])
    concordant, discordant, pairs, tied_in_each = 4, 0, 6, 1
    assert metrics.kendall(score, truth) == pytest.approx(100 * (concordant - discordant) / (pairs - tied_in_each))
    assert metrics.correlations(score, truth).kendall == metrics.kendall(score, truth)


def test_top_k_precision_by_hand():
    assert metrics.top_k_precision(np.array([5, 4, 3, 2, 1]), np.array([1, 9, 8, 2, 3]), 2) == 50
    assert metrics.top_k_precision(np.array([5, 4, 3, 2, 1]), np.array([9, 8, 1, 2, 3]), 2) == 100  # of the worst two it is 50
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


def test_two_architectures_have_a_correlation_and_a_constant_has_none_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.kendall(np.array([1.0, 2.0]), np.array([5.0, 3.0])) == pytest.approx(-100)
        constant = metrics.correlations(np.arange(5.0), np.ones(5))
    assert np.isnan([constant.kendall, constant.spearman, constant.pearson]).all()


def test_bootstrap_interval_is_that_of_the_resamples():
    values, generator = np.arange(30.0), np.random.default_rng(0)
    means = [values[generator.integers(0, 30, 30)].mean() for _ in range(400)]
    got = metrics.bootstrap_interval(lambda score, truth: float(score.mean()), values, values, 400)
    assert got == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
