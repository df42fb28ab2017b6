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
        low, high = metrics.bootstrap_interval(lambda a, b: 100 * np.corrcoef(a, b)[0, 1], x, y, 200, trial)
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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out_of_scores_and_of_truth(bad):
    rng = np.random.default_rng(2)
    score, truth = rng.normal(size=(2, 30))
    expected = metrics.correlations(score, truth)
    got = metrics.correlations(np.r_[score, bad, 3.0], np.r_[truth, 5.0, bad])
    assert (got.kendall, got.spearman, got.pearson) == (expected.kendall, expected.spearman, expected.pearson)
    assert (got.n, got.not_finite) == (30, 2)


def test_top_k_takes_the_first_of_equal_scores_and_may_take_all():
    truth = np.arange(100.0, 60, -1)
    assert metrics.top_k_precision(np.zeros(40), truth, 4) == 100
    assert metrics.top_k_precision(np.zeros(40), truth[::-1], 4) == 0
    score = np.random.default_rng(0).integers(0, 3, 300)
    first = sorted(range(300), key=lambda i: (-score[i], i))[:20]
    assert metrics.top_k_precision(score, np.isin(np.arange(300), first).astype(float), 20) == 100
    assert metrics.top_k_precision(-truth, truth, 40) == 100
    with pytest.raises(BadInput, match="k=0"):
        metrics.top_k_precision(truth, truth, 0)


def test_bootstrap_interval_draws_from_its_seed_500_times_and_leaves_out_resamples_without_a_correlation():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])  # of three, one resample in nine is constant
    generator = np.random.default_rng(4)
    found = [metrics.kendall(x[i], y[i]) for i in (generator.integers(0, 3, 3) for _ in range(500))]
    assert np.isnan(found).any()
    for statistic in (metrics.kendall, lambda a, b: metrics.kendall(a, b)):  # the second is not known to be of ranks
        got = metrics.bootstrap_interval(statistic, x, y, seed=4)
        np.testing.assert_allclose(got, np.nanpercentile(found, [2.5, 97.5]), rtol=0, atol=1e-11)
    values = np.random.default_rng(0).normal(size=30)
    intervals = [metrics.bootstrap_interval(metrics.kendall, values, values**3 + values[::-1], seed=s) for s in (0, 0, 1)]
    assert intervals[0] == intervals[1] != intervals[2]
    means = [values[generator.integers(0, 30, 30)].mean() for generator in [np.random.default_rng(4)] for _ in range(500)]
    got = metrics.bootstrap_interval(lambda score, truth: float(score.mean()), values, values, seed=4)
    assert got == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=1e-12)


def test_one_pair_has_no_interval_and_two_have_one():
    mean = lambda score, truth: float(score.mean())  # noqa: E731
    assert np.isnan(metrics.bootstrap_interval(mean, np.array([1.0, np.nan]), np.array([1.0, 2.0]))).all()
    assert metrics.bootstrap_interval(mean, np.array([1.0, 2.0]), np.array([5.0, 6.0])) == (1, 2)
