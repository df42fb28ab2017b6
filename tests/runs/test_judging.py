"""Intervals from weights against correlations of resamples that are really drawn; what a ranker's judgement records."""

import numpy as np
import pytest

from parzc_core import metrics
from parzc_core.errors import BadInput
from parzc_core.runs import judging


@pytest.mark.parametrize("ties", [False, True])
def test_a_weighted_correlation_is_that_of_the_resample(ties):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 25))
    if ties:
        x, y = np.round(x), np.round(2 * y)
    weights = random.multinomial(25, np.full(25, 1 / 25), size=6).astype(float)
    for name in metrics.METRICS:
        drawn = judging._DRAWS[name](x, y, weights)
        for value, counts in zip(drawn, weights.astype(int), strict=True):
            rows = np.repeat(np.arange(25), counts)
            assert value == pytest.approx(getattr(metrics.correlations(x[rows], y[rows]), name), abs=1e-8)


def test_mean_and_spread_are_over_the_scores_and_the_interval_over_architectures():
    truth = np.arange(30.0)
    scores = np.stack([truth, -truth, truth])
    found = judging.intervals_of_mean(scores, truth)
    for name in metrics.METRICS:
        mean, spread, low, high = found[name]
        assert (mean, spread) == (pytest.approx(100 / 3), pytest.approx(np.std([100, -100, 100], ddof=1)))
        # Whatever is drawn, the order is perfect or reversed.
        assert low == pytest.approx(high) == pytest.approx(100 / 3)
    noisy = truth + 20 * np.random.default_rng(1).normal(size=30)
    mean, spread, low, high = judging.intervals_of_mean([noisy], truth)["kendall"]
    assert np.isnan(spread)
    assert low < mean < high
    interval = metrics.bootstrap_interval(metrics.kendall, noisy, truth, resamples=1000)
    assert (low, high) == pytest.approx(interval, abs=3)


def test_a_constant_score_has_no_correlation():
    found = judging.intervals_of_mean([np.ones(10)], np.arange(10.0))
    assert np.isnan(found["kendall"]).all()


def test_bad_scores_are_refused():
    with pytest.raises(BadInput, match=r"expected \[k, n\] and \[n\]"):
        judging.intervals_of_mean(np.zeros(4), np.zeros(4))
    with pytest.raises(BadInput, match="not finite"):
        judging.intervals_of_mean([np.array([1, np.nan])], np.zeros(2))


def test_a_ranker_that_diverged_has_counts_alone():
    found = judging.judgement(np.full(30, np.nan), np.arange(30.0), resamples=5)
    assert (found["n"], found["not_finite"]) == (0, 30)
    assert all(np.isnan(found[name]) for name in ("kendall", "spearman", "pearson", "top10", "kendall_100"))
    assert np.isnan(found["kendall_interval"]).all()


def test_a_judgement_has_its_correlations_their_intervals_and_the_best_ten():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=150)
    score = truth + rng.normal(size=150)
    found = judging.judgement(score, truth, draw=3, resamples=20)
    few = np.random.default_rng(3).permutation(150)[:100]
    assert found["kendall"] == metrics.kendall(score, truth)
    assert found["kendall_interval"] == metrics.bootstrap_interval(metrics.kendall, score, truth, 20)
    assert found["top10"] == metrics.top_k_precision(score, truth, 10)
    assert found["kendall_100"] == metrics.kendall(score[few], truth[few])
    assert not any(name.endswith("interval") for name in judging.judgement(score, truth, resamples=0))


def test_the_best_ten_need_ten_scores_and_are_all_of_fewer():
    truth = np.arange(30.0)
    score = np.where(truth < 20, np.nan, truth)
    assert judging.judgement(score, truth, resamples=0)["top10"] == 100
    score[29] = np.nan
    assert np.isnan(judging.judgement(score, truth, resamples=0)["top10"])
    assert judging.judgement(truth[:4], truth[:4], resamples=0)["top10"] == 100


def test_a_hundred_are_drawn_by_their_seed_or_all_are_taken():
    for draw in (0, 3):
        assert judging.hundred(150, draw).tolist() == np.random.default_rng(draw).permutation(150)[:100].tolist()
    assert sorted(judging.hundred(60, 5)) == list(range(60))


def test_intervals_of_mean_are_percentiles_of_the_mean_over_scores_in_seeded_resamples():
    random = np.random.default_rng(0)
    truth = np.round(random.normal(size=4))  # a resample may be constant
    scores = np.stack([truth + random.normal(size=4) for _ in range(2)])
    found = judging.intervals_of_mean(scores, truth, resamples=60, seed=5)
    counts = np.random.default_rng(5).multinomial(4, np.full(4, 1 / 4), size=60)
    for name in metrics.METRICS:
        drawn = [
            np.mean([getattr(metrics.correlations(x[rows], truth[rows]), name) for x in scores])
            for rows in (np.repeat(np.arange(4), count) for count in counts)
        ]
        assert np.isnan(drawn).any()
        assert found[name][2:] == pytest.approx(tuple(np.nanpercentile(drawn, [2.5, 97.5])), abs=1e-6)
    with pytest.raises(BadInput, match=r"expected \[k, n\]"):
        judging.intervals_of_mean(np.zeros((0, 4)), np.zeros(4))
