"""What a ranking of one's own networks is worth: its sure pairs, and what its intervals hold."""

import numpy as np
import pandas as pd
import pytest
import torch
from figure_checks import check
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.experiments.search_your_own import best_so_far, covered, search_sentences, searched, sure_pairs
from parzc_core.own import NetworkSearch, describe


def test_sure_pairs_are_those_more_than_two_joint_spreads_apart() -> None:
    ranking = pd.DataFrame({"score": [0.0, 1.0, 5.0, 5.1], "spread": [0.3, 0.4, 0.3, 0.4]})
    found = sure_pairs(
        ranking, [1.0, 2.0, 4.0, 3.0]
    )  # two joint spreads are 1.0: the pair (0, 1) is at the edge, not above
    assert found.loc["sure"].tolist() == [4, 100]
    assert found.loc["not sure"].tolist() == [2, 50]
    upside_down = sure_pairs(ranking, [4.0, 4.0, 1.0, 1.0])
    assert upside_down.loc["sure"].tolist() == [4, 0]
    assert upside_down.loc["not sure", "pairs"] == 0
    assert np.isnan(upside_down.loc["not sure", "order right (%)"])
    with pytest.raises(BadInput, match="4 ranked networks"):
        sure_pairs(ranking, [1.0])


def test_intervals_are_counted_where_they_are() -> None:
    ranking = pd.DataFrame({"low": [0.0, 1.0, np.nan, 5.0], "high": [2.0, 2.0, np.nan, 9.0]})
    assert covered(ranking, [1.0, 3.0, 2.0, 5.0]).tolist() == pytest.approx([3, 200 / 3, 7 / 3])
    assert covered(ranking.iloc[2:3], [1.0])["networks"] == 0
    with pytest.raises(BadInput, match="4 ranked networks"):
        covered(ranking, [1.0])


def found(method: str, seed: int, accuracies: list[float]) -> NetworkSearch:
    rows = pd.DataFrame({"accuracy": accuracies, "best so far": np.maximum.accumulate(accuracies)})
    return NetworkSearch(method, seed, False, 4, rows)


def test_searches_are_summed_up_and_drawn() -> None:
    measured = {"a": 50.0, "b": 60.0, "c": 70.0, "d": 80.0}
    searches = [found("parzc_plus", 0, [50, 80, 60]), found("parzc_plus", 1, [60, 70, 50]), found("random", 0, [50, 60, 70])]
    plus, random = search_sentences(searches, measured)
    assert "ParZC+**: below the best of 4 networks by 5.00 points after 2 and 5.00 points after 3 trainings" in plus
    assert "1 of 2 seeds found" in plus
    assert "random search**: below the best of 4 networks by 20.00 points after 2 and 10.00 points after 3" in random
    assert "0 of 1 seeds found" in random
    figure = best_so_far(searches, measured)
    check(figure, ["ParZC+, mean", "random search, mean", "best of all", "networks trained"])
    means = [line.get_ydata() for line in figure.axes[0].get_lines() if line.get_linewidth() == 2.4]
    np.testing.assert_allclose(means[0], [55, 75, 75])
    with pytest.raises(BadInput, match="got no search"):
        best_so_far([], measured)


def test_both_methods_search_known_accuracies() -> None:
    torch.manual_seed(0)
    networks = {str(width): nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2)) for width in range(2, 10)}
    described = describe(networks, torch.randn(6, 4), torch.arange(6) % 2)
    searches = searched(networks, described, {name: float(name) for name in networks}, 4, 2)
    assert [(one.method, one.seed, len(one.trajectory)) for one in searches] == [
        ("parzc_plus", 0, 4), ("parzc_plus", 1, 4), ("random", 0, 4), ("random", 1, 4)
    ]  # fmt: skip
    for found in searches:
        assert found.best == str(found.trajectory["accuracy"].max().astype(int))