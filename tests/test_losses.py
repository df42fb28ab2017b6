"""Losses against scipy, closed forms and invariants."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.errors import BadInput, UnknownName
from parzc_core.losses import LOSSES, diff_kendall, loss, pairwise_rank_loss

numbers = st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=12, unique=True)


@given(numbers, st.randoms())
def test_diff_kendall_becomes_scipys_tau_as_alpha_grows(values, random):
    other = list(values)
    random.shuffle(other)
    x, y = torch.tensor(values, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    gap = min(abs(a - b) for a, b in itertools.combinations(values, 2))
    expected = scipy.stats.kendalltau(values, other).statistic
    assert float(diff_kendall(x, y, alpha=100 / gap)) == pytest.approx(expected, abs=1e-6)


@given(numbers)
def test_diff_kendall_is_odd_symmetric_and_bounded(values):
    x = torch.tensor(values, dtype=torch.float64)
    y = x.flip(0) ** 2
    value = float(diff_kendall(x, y))
    assert -1 <= value <= 1
    assert float(diff_kendall(-x, y)) == pytest.approx(-value, abs=1e-12)
    assert float(diff_kendall(y, x)) == pytest.approx(value, abs=1e-12)
    assert float(diff_kendall(x + 3, y - 7)) == pytest.approx(value, abs=1e-6)


def test_diff_kendall_by_hand():
    # one pair: sigmoid(a d) - sigmoid(-a d) on both sides
    s = lambda d: 1 / (1 + np.exp(-0.5 * d)) - 1 / (1 + np.exp(0.5 * d))  # noqa: E731
    got = float(diff_kendall(torch.tensor([1.0, 3.0]), torch.tensor([5.0, 4.0])))
    assert got == pytest.approx(s(-2) * s(1), rel=1e-6)


def test_diff_kendall_pulls_a_wrong_pair_apart():
    x = torch.tensor([0.0, 0.1], requires_grad=True)
    (-diff_kendall(x, torch.tensor([1.0, 0.0]))).backward()
    assert x.grad[0] < 0 < x.grad[1]  # descent raises the better one


def test_pairwise_rank_loss_by_hand():
    got = pairwise_rank_loss(torch.tensor([0.0, 1.0, 1.05]), torch.tensor([3.0, 1.0, 2.0]), margin=0.1)
    assert float(got) == pytest.approx((1.1 + 1.15 + 0.05) / 3, rel=1e-6)


def test_pairwise_rank_loss_counts_no_tied_pair():
    """Neither in the sum, where a tie would add the margin, nor in the number of pairs."""
    got = pairwise_rank_loss(torch.tensor([0.0, 1.0, 1.05]), torch.tensor([3.0, 1.0, 1.0]), margin=0.1)
    assert float(got) == pytest.approx((1.1 + 1.15) / 2, rel=1e-6)
    assert float(pairwise_rank_loss(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0]))) == 0


def test_losses_add_up_and_bad_ones_are_refused():
    x, y = torch.randn(5), torch.randn(5)
    both = loss(x, y, {"mse": 2.0, "diff_kendall": 1.0})
    assert float(both) == pytest.approx(2 * float(((x - y) ** 2).mean()) - float(diff_kendall(x, y)), rel=1e-5)
    with pytest.raises(UnknownName, match=r"'hinge'.*diff_kendall"):
        loss(x, y, {"hinge": 1.0})
    with pytest.raises(BadInput, match="positive"):
        loss(x, y, {"mse": 0.0})
    with pytest.raises(BadInput, match="n >= 2"):
        diff_kendall(torch.zeros(1), torch.zeros(1))
    with pytest.raises(BadInput, match="alpha"):
        diff_kendall(x, y, alpha=0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1)])
def test_no_loss_broadcasts_one_shape_to_another(name, shape):
    with pytest.raises(BadInput, match=r"expected the same \[n\]"):
        LOSSES[name](torch.zeros(5), torch.ones(shape), 0.5)


@pytest.mark.parametrize("wrong", [torch.arange(5), [1.0] * 5, np.arange(5.0)])
def test_a_loss_of_what_is_no_float_tensor_is_refused(wrong):
    for name in LOSSES:
        for pair in ((wrong, torch.ones(5)), (torch.ones(5), wrong)):
            with pytest.raises(BadInput, match="expected a float tensor"):
                LOSSES[name](*pair, 0.5)


def test_the_losses_that_training_minimises_are_the_functions_with_the_papers_values():
    """DiffKendall gets alpha, 0.5 by default; the hinge has margin 0.1 and counts pairs in the order of the accuracy."""
    x, y = torch.tensor([0.0, 1.0, 1.05, -3.0]), torch.tensor([3.0, 1.0, 2.0, 0.5])
    for alpha in (0.5, 3.0):
        assert loss(x, y, {"diff_kendall": 1.0}, alpha) == -diff_kendall(x, y, alpha)
    assert loss(x, y, {"diff_kendall": 1.0}) == -diff_kendall(x, y, 0.5)
    assert loss(x, y, {"rank": 1.0}) == pairwise_rank_loss(x, y) == pairwise_rank_loss(x, y, margin=0.1)
    assert loss(x, y, {"rank": 1.0}) != loss(y, x, {"rank": 1.0})
    with pytest.raises(BadInput, match="no loss"):
        loss(x, y, {})
