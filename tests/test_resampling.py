"""Bootstrap draws from weights against scipy's correlation of every resample, drawn in full."""

import numpy as np
import pytest
import scipy.stats

from parzc_core import _resampling, metrics


def draws(n: int, count: int = 12, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, n, n) for _ in range(count)]


def pairs(n: int, values: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated, each of at most so many values."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    y = x + generator.normal(size=n)
    return tuple(np.round(each * values / 6) for each in (x, y))


@pytest.mark.parametrize("values", [1, 2, 10, 10**6])
@pytest.mark.parametrize("n", [2, 3, 17, 100, 101, 730])
def test_kendall_and_spearman_are_scipys(n, values):
    x, y = pairs(n, values)
    for name, exact in (("kendall", True), ("spearman", False)):
        expected = [getattr(metrics, name)(x[i], y[i]) for i in draws(n)]
        found = getattr(_resampling, name)(x, y, iter(draws(n)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=0 if exact else 1e-11)


def test_resamples_that_do_not_fit_into_one_piece_are_the_same(monkeypatch):
    x, y = pairs(60, 20)
    whole = [getattr(_resampling, name)(x, y, draws(60)) for name in ("kendall", "spearman")]
    monkeypatch.setattr(_resampling, "CHUNK", 150)
    assert [getattr(_resampling, name)(x, y, draws(60)) for name in ("kendall", "spearman")] == whole


@pytest.mark.parametrize("n", [1, 2, 9, 50, 1000])
def test_weighted_inversions_are_those_of_the_resample(n):
    generator = np.random.default_rng(n)
    by_y, weights = generator.permutation(n), generator.integers(0, 4, (n, 3)).astype(np.float32)
    place = np.argsort(by_y)
    inverted = np.triu(place[:, None] > place)
    np.testing.assert_array_equal(
        _resampling._inversions(by_y, weights), np.einsum("ir,ij,jr->r", weights, inverted, weights, dtype=np.float64)
    )


@pytest.mark.parametrize("statistic", [metrics.kendall, metrics.spearman])
def test_an_interval_is_that_of_the_resamples_drawn_in_full(statistic):
    x, y = pairs(200, 40)
    x[3] = np.nan
    found = metrics.bootstrap_interval(statistic, x, y, 50, seed=4)
    plain = metrics.bootstrap_interval(lambda a, b: statistic(a, b), x, y, 50, seed=4)  # not known to be of ranks
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-11)


def test_the_oracle_is_scipys_tau():
    x, y = pairs(50, 9)
    assert _resampling.kendall(x, y, [np.arange(50)]) == [100 * scipy.stats.kendalltau(x, y).statistic]
