"""The drawing of figure 7: a panel a neuron, and what is drawn agrees with what was given."""

import numpy as np
import pytest
from figure_checks import check

from parzc_core.errors import BadInput
from parzc_core.experiments.fig07_bayesian_weights import neuron_weights

MU = np.random.default_rng(0).uniform(-0.25, 0.25, size=(21, 16))


def test_a_panel_a_neuron_with_all_its_draws() -> None:
    fig = neuron_weights(MU, np.full_like(MU, 0.007), draws=50)
    panels = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title() for ax in panels] == [f"neuron {k + 1}" for k in range(21)]
    for ax in panels:
        bars = [patch for patch in ax.patches if patch.get_width() < 0.1]
        assert sum(patch.get_height() for patch in bars) == 50 * 16  # no draw falls outside the bins
    assert np.array_equal(np.sort(panels[3].lines[0].get_xdata()), np.sort(MU[3]))
    assert {text.get_text() for text in fig.legends[0].get_texts()} == {
        "range of the initial means",
        "sampled weights",
        "learned means",
        "mean learned spread, ± 1 std",
    }


def test_the_bar_is_as_long_as_the_spread_and_wide_draws_stay_inside() -> None:
    fig = neuron_weights(MU[:3], np.full_like(MU[:3], 0.3), draws=50)
    for ax in fig.axes[:3]:
        assert np.ptp(ax.lines[1].get_xdata()) == pytest.approx(0.6)
        assert sum(patch.get_height() for patch in ax.patches[1:]) == 50 * 16


def test_no_spread_gives_the_means_themselves() -> None:
    fig = neuron_weights(MU[:1], np.zeros_like(MU[:1]), draws=10)
    assert sorted(patch.get_height() for patch in fig.axes[0].patches[1:])[-1] % 10 == 0


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="means of shape"):
        neuron_weights(MU[0], MU[0])
    with pytest.raises(BadInput, match="spreads of shape"):
        neuron_weights(MU, MU[:, :3])


def test_the_panels_are_labelled_and_whole():
    rng = np.random.default_rng(0)
    figure = neuron_weights(rng.normal(0, 0.1, (21, 16)), rng.uniform(0.01, 0.05, (21, 16)))
    said = ["neuron 1", "neuron 21", "weight value", "sampled weights", "learned means", "mean learned spread, ± 1 std"]
    check(figure, said)
