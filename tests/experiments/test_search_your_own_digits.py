"""The demonstration on digits: networks of every kind, their accuracy, and how rankings of them are judged."""

import numpy as np
import pandas as pd
import pytest
import torch
from figure_checks import check

from parzc_core.experiments import search_your_own_digits as demonstration
from parzc_core.own import describe


def test_every_network_reads_digits_and_is_named_by_what_it_is() -> None:
    built = demonstration.built(widths=(4,), depths=(1, 2))
    assert len(built) == 2 * 3 * 2
    images, labels = demonstration.digits()
    assert (images.min(), images.max(), set(labels.tolist())) == (0, 1, set(range(10)))
    for name, network in built.items():
        assert network(images[:2]).shape == (2, 10)
        kind, size, activation = name.split()
        layers = [type(layer).__name__ for layer in network]
        assert layers.count(activation) == int(size.split("x")[0])
        assert ("Conv2d" in layers) == (kind == "convolution")


def test_a_copy_is_trained_and_the_network_left_as_it_was() -> None:
    torch.manual_seed(0)
    network = demonstration.network("perceptron", 1, 16, torch.nn.ReLU)
    before = [parameter.clone() for parameter in network.parameters()]
    images, labels = demonstration.digits()
    train, test = torch.arange(300), torch.arange(300, 600)
    assert demonstration.trained_accuracy(network, images, labels, train, test, epochs=5) > 50
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def ranking() -> pd.DataFrame:
    measured = np.arange(20.0)
    frame = pd.DataFrame({"measured": measured, "score": measured, "spread": 0.1, "mine": -measured})
    frame["accuracy"] = np.where(measured < 5, measured, np.nan)
    for name in demonstration.SUMS:
        frame[name] = measured
    frame.index = pd.Index([f"{demonstration.KINDS[i % 2]} 1x{i}" for i in range(20)])
    return frame


def test_rankings_and_sums_are_judged_with_intervals() -> None:
    table = demonstration.taus(ranking(), ["mine"])
    assert list(table.index) == ["mine", *demonstration.SUMS]
    assert table["tau (%)"].tolist() == pytest.approx([-100] + [100] * 4)


def test_the_picture_tells_given_from_not_given() -> None:
    check(
        demonstration.predicted_and_measured(ranking()),
        ["perceptron, not given", "the 5 given", "measured accuracy (%)"],
    )


def test_draws_are_judged_on_the_networks_whose_accuracy_was_not_given() -> None:
    torch.manual_seed(0)
    built = demonstration.built(widths=(4, 8), depths=(1, 2))
    images, labels = demonstration.digits()
    described = describe(built, images[:16], labels[:16])
    size = described.frame()["params"].to_numpy(dtype=float)
    found = demonstration.over_draws(described, size, known=8, draws=3)
    assert found["params"].tolist() == pytest.approx([100] * 3)
    assert found["ranking"].min() > 70  # the size is one of the summaries
    assert found["flops"].nunique() == 3  # other networks each time
    said = demonstration.over_draws_said(found, 8)
    assert f"3 draws of 8 given accuracies** the ranking has a mean tau of {found['ranking'].mean():.1f} %" in said


def test_conclusions_have_the_numbers_of_the_tables() -> None:
    taus = pd.DataFrame({"tau (%)": [60.0, 55.0, 20.0, 30.0]}, ["ParZC, paper", "ParZC, aligned", "params", "snip"])
    pairs = pd.DataFrame({"pairs": [10, 20], "order right (%)": [90.0, 60.0]}, ["sure", "not sure"])
    tau, order = demonstration.conclusions(taus, pairs)
    assert "ParZC, paper 60, ParZC, aligned 55; snip alone has 30" in tau
    assert "90 % of those that the ranking is sure of, 60 % of the others" in order
