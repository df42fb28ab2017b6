"""Predicted rank against true accuracy: stars, order, tau and what is refused."""

import numpy as np
import pytest
from figure_checks import check, words

from parzc_core.drawing import ranks
from parzc_core.errors import BadInput


def test_the_best_are_starred_and_the_best_predicted_is_at_the_right():
    truth = np.array([10.0, 94.0, 93.0, 50.0, np.nan])
    ax = ranks.rank_scatter([1.0, 2.0, 3.0, np.nan, 9.0], truth, best=2).axes[0]
    cells, stars = (sorted(map(tuple, dots.get_offsets().tolist())) for dots in ax.collections)
    assert stars == [(1.0, 93.0), (2.0, 94.0)]
    assert cells == [(3.0, 10.0)]  # cells without a prediction or a label are left out
    assert ax.xaxis_inverted()
    mask = ranks.rank_scatter([1.0, 2.0, 3.0, 0.0], truth[:4], best=[True, False, False, False]).axes[0]
    assert mask.collections[1].get_offsets().tolist() == [[3.0, 10.0]]


def test_tau_is_computed_in_percent_unless_given():
    truth = np.arange(10.0)
    assert any("τ = 100.0 %" in text for text in words(ranks.rank_scatter(truth, truth)))
    assert any("τ = 78.2 %" in text for text in words(ranks.rank_scatter(truth, truth, tau=78.24)))


@pytest.mark.parametrize(
    ("predicted", "truth", "best"), [([1, 2], [1], 1), ([1, np.nan], [1, 2], 1), ([1, 2], [1, 2], [True])]
)
def test_rank_scatter_refuses_what_does_not_fit(predicted, truth, best):
    with pytest.raises(BadInput):
        ranks.rank_scatter(predicted, truth, best)


def test_a_panel_is_labelled_and_whole():
    rng = np.random.default_rng(0)
    truth = rng.normal(90, 2, 300)
    figure = ranks.rank_scatter(truth + rng.normal(size=300), truth, 5, "CIFAR-10")
    check(figure, ["CIFAR-10", "predicted rank (1 = best)", "true accuracy (%)", "5 truly best"])
