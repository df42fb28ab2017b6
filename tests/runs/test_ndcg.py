"""Normalised discounted cumulative gain of an order of networks."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from parzc_core.errors import BadInput
from parzc_core.runs.proxies import ndcg


def test_ndcg_is_scikit_learns_and_the_formula() -> None:
    drawn = np.random.default_rng(1)
    score, truth = drawn.normal(size=40), drawn.uniform(60, 70, size=40)
    order, best = np.argsort(-score)[:4], np.argsort(-truth)[:4]
    discount = 1 / np.log2(np.arange(2, 6))
    expected = ((2 ** truth[order] - 1) * discount).sum() / ((2 ** truth[best] - 1) * discount).sum()
    assert ndcg(score, truth) == pytest.approx(100 * expected)
    assert ndcg(score, truth, 0.5) == pytest.approx(100 * ndcg_score([2 ** (truth - 70) - 2**-70], [score], k=20))
    assert ndcg(truth, truth) == pytest.approx(100)


def test_ndcg_of_percent_does_not_overflow_and_scores_that_are_not_finite_stand_last() -> None:
    truth = np.array([94.0, 93.0, 90.0, 10.0] * 5)
    for bad in (np.nan, -np.inf, np.inf):
        score = np.where(truth > 93, bad, truth)
        assert ndcg(score, truth) == pytest.approx(50, abs=1e-6)  # the best are worth twice the next


def test_ndcg_by_hand() -> None:
    """The best network second: (1 + 3 / log2(3)) / (3 + 1 / log2(3)) of gains 3 and 1."""
    expected = 100 * (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))
    assert ndcg(np.array([1.0, 2.0]), np.array([2.0, 1.0]), 1.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "truth"), [([1.0], [1.0, 2.0]), ([], []), ([[1.0]], [[1.0]]), ([1.0, 2.0], [1.0, np.nan])]
)
def test_ndcg_refuses_what_is_no_pair(score: list, truth: list) -> None:
    with pytest.raises(BadInput, match="expected the same"):
        ndcg(np.array(score), np.array(truth))
