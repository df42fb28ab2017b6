"""Correlations against scipy; the interval of a known correlation."""

import warnings

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import ndcg_score

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


def test_ndcg_is_scikit_learns_and_the_formula() -> None:
    drawn = np.random.default_rng(1)
    score, truth = drawn.normal(size=40), drawn.uniform(60, 70, size=40)
    order, best = np.argsort(-score)[:4], np.argsort(-truth)[:4]
    discount = 1 / np.log2(np.arange(2, 6))
    expected = ((2 ** truth[order] - 1) * discount).sum() / ((2 ** truth[best] - 1) * discount).sum()
    assert metrics.ndcg(score, truth) == pytest.approx(100 * expected)
    assert metrics.ndcg(score, truth, 0.5) == pytest.approx(100 * ndcg_score([2 ** (truth - 70) - 2**-70], [score], k=20))
    assert metrics.ndcg(truth, truth) == pytest.approx(100)


def test_ndcg_of_percent_does_not_overflow_and_scores_that_are_not_finite_stand_last() -> None:
    truth = np.array([94.0, 93.0, 90.0, 10.0] * 5)
    for bad in (np.nan, -np.inf, np.inf):
        score = np.where(truth > 93, bad, truth)
        assert metrics.ndcg(score, truth) == pytest.approx(50, abs=1e-6)  # the best are worth twice the next


@pytest.mark.parametrize(
    ("score", "truth"), [([1.0], [1.0, 2.0]), ([], []), ([[1.0]], [[1.0]]), ([1.0, 2.0], [1.0, np.nan])]
)
def test_ndcg_refuses_what_is_no_pair(score: list, truth: list) -> None:
    with pytest.raises(BadInput, match="expected the same"):
        metrics.ndcg(np.array(score), np.array(truth))
