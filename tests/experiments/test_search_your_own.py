"""Ranking networks of one's own: what is learned from a few accuracies, what is left alone, one clear error for what is wrong."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from parzc_core import metrics
from parzc_core.collector import collect_statistics
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments.search_your_own import rank_networks, sure_pairs
from parzc_core.mabn import MABNConfig
from parzc_core.ranker import ModelConfig
from parzc_core.training import TrainingConfig

IMAGES = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(6) % 3
QUICK = TrainingConfig(
    ModelConfig(("Mixer", "BN"), MABNConfig(3 * 6, 32, 16, 8, 1)), epochs=25, batch_size=8, learning_rate=1e-2
)


def networks(depths: list[int]) -> list[nn.Module]:
    torch.manual_seed(0)
    hidden = [[x for _ in range(depth) for x in (nn.ReLU(), nn.Linear(8, 8))] for depth in depths]
    return [nn.Sequential(nn.Flatten(), nn.Linear(16, 8), *layers, nn.Linear(8, 3)) for layers in hidden]


DEPTHS = [0, 4, 2, 1, 3, 0, 4, 2, 1, 3, 4, 0, 3, 1, 2, 2, 0, 4]
KNOWN = [90.0 - 10 * depth for depth in DEPTHS[:10]]


@pytest.fixture(scope="module")
def ranking() -> pd.DataFrame:
    return rank_networks(networks(DEPTHS), IMAGES, LABELS, KNOWN, config=QUICK)


def test_networks_without_accuracy_are_ranked_as_those_with_it_teach(ranking: pd.DataFrame) -> None:
    unseen = ranking.iloc[10:]
    assert metrics.kendall(unseen["score"], -np.array(DEPTHS[10:], dtype=float)) > 70
    upside_down = rank_networks(networks(DEPTHS), IMAGES, LABELS, [-a for a in KNOWN], config=QUICK).iloc[10:]
    assert metrics.kendall(upside_down["score"], np.array(DEPTHS[10:], dtype=float)) > 70


def test_the_frame_says_what_was_given_and_what_was_collected(ranking: pd.DataFrame) -> None:
    assert ranking["accuracy"].tolist()[:10] == KNOWN
    assert ranking["accuracy"].iloc[10:].isna().all()
    assert ranking["rank"].tolist() == [1 + sum(ranking["score"] > score) for score in ranking["score"]]
    two_nodes = ranking.loc[ranking["nodes"] == 2]  # two nodes are 0 and 1 in the paper's encoding, whatever their values
    assert two_nodes["score"].nunique() == two_nodes["rank"].nunique() == 1
    assert (ranking["not_finite"] == 0).all()
    assert ranking.sort_values("rank")["score"].is_monotonic_decreasing
    assert ranking["score"].mean() == pytest.approx(0, abs=1e-9)
    assert (ranking["spread"] > 0).all()
    assert ranking["nodes"].tolist() == [depth + 2 for depth in DEPTHS]
    assert ranking["params"].tolist() == [(16 * 8 + 8) + depth * 72 + 27 for depth in DEPTHS]
    for place, network in enumerate(networks(DEPTHS)[:3]):
        sums = collect_statistics(network, IMAGES, LABELS, PAPER_PROXIES).sums()
        assert ranking.loc[place, list(PAPER_PROXIES)].to_dict() == pytest.approx(sums)


def test_networks_that_look_alike_have_no_order_and_no_spread() -> None:
    config = TrainingConfig(epochs=3)
    ranking = rank_networks(networks([0] * 5), IMAGES, LABELS, [10.0, 20.0, 30.0], config=config)
    assert (ranking["score"] == 0).all()
    assert (ranking["rank"] == 1).all()
    assert ranking["spread"].isna().all()
    aligned = rank_networks([networks([2])[0]] * 4, IMAGES, LABELS, [10.0, 20.0], encoding="aligned", config=config)
    assert (aligned["score"] == 0).all()


@pytest.mark.parametrize("broken", [0, 12])  # one that is learned from, one that is not
def test_a_network_without_finite_statistics_has_no_score_and_no_rank(broken: int) -> None:
    given = networks(DEPTHS)
    with torch.no_grad():
        given[broken][1].weight[0, 0] = float("inf" if broken else "nan")
    with pytest.warns(UserWarning, match=rf"networks \[{broken}\] have statistics that are not finite"):
        ranking = rank_networks(given, IMAGES, LABELS, KNOWN, config=QUICK)
    assert np.isnan(ranking.loc[broken, "score"])
    assert ranking["rank"].isna().tolist() == [place == broken for place in range(len(given))]
    assert ranking.loc[broken, "not_finite"] > 0
    assert ranking["rank"].min() == 1
    with pytest.raises(BadInput, match="at least 2 to learn from"), pytest.warns(UserWarning, match="finite"):
        rank_networks([given[broken], *given[1:3]], IMAGES, LABELS, KNOWN[:2], config=QUICK)


def test_the_same_call_gives_the_same_and_leaves_networks_and_randomness_alone(ranking: pd.DataFrame) -> None:
    given = networks(DEPTHS)
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in given]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    pd.testing.assert_frame_equal(rank_networks(given, IMAGES, LABELS, KNOWN, config=QUICK), ranking)
    assert torch.equal(torch.get_rng_state(), state)
    for network, weights in zip(given, before, strict=True):
        assert network.training
        assert all(parameter.grad is None for parameter in network.parameters())
        assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    other = rank_networks(given, IMAGES, LABELS, KNOWN, config=QUICK, seed=1)
    assert not np.allclose(other["score"], ranking["score"])


def test_the_order_of_the_networks_without_accuracy_does_not_matter(ranking: pd.DataFrame) -> None:
    given = networks(DEPTHS)
    order = [*range(10), *range(17, 9, -1)]
    turned = rank_networks([given[i] for i in order], IMAGES, LABELS, KNOWN, config=QUICK)
    np.testing.assert_allclose(turned["score"], ranking["score"].iloc[order], atol=1e-4)
    np.testing.assert_allclose(turned["spread"], ranking["spread"].iloc[order], atol=1e-4)


def test_other_proxies_and_the_aligned_encoding_are_taken() -> None:
    given = networks([0, 1, 2, 3])
    made = rank_networks(given, IMAGES, LABELS, [1.0, 2.0], proxies=("plain", "fisher"), encoding="aligned", samples=1,
                         config=TrainingConfig(epochs=1))  # fmt: skip
    assert {"plain", "fisher"} <= set(made)
    assert np.isfinite(made["score"]).all()


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ([], r"4 networks and accuracies of shape \(0,\).*at least 2"),
        ([50.0], r"accuracies of shape \(1,\)"),
        ([1.0] * 5, r"4 networks and accuracies of shape \(5,\).*at most one each"),
        ([[1.0, 2.0], [3.0, 4.0]], r"accuracies of shape \(2, 2\)"),
        ([50.0, float("nan"), 3.0], "accuracy 1 is nan; put networks whose accuracy is not known behind"),
        ([50.0, 2.0, float("inf")], "accuracy 2 is inf"),
    ],
)
def test_accuracies_that_do_not_fit_are_refused(accuracies: list, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        rank_networks(networks([0, 1, 2, 3]), IMAGES, LABELS, accuracies)


def test_what_is_wrong_with_a_network_is_said_with_its_place() -> None:
    given = networks([0, 1, 2])
    with pytest.raises(BadInput, match="network 1 of the list: "):
        rank_networks([given[0], nn.Sequential(nn.Flatten(), nn.ReLU()), given[2]], IMAGES, LABELS, [1.0, 2.0])
    with pytest.raises(BadInput, match="network 0 of the list: "):
        rank_networks(given, IMAGES, LABELS[:4], [1.0, 2.0])
    with pytest.raises(BadInput, match="network 3 of the list: "):
        rank_networks([*given, nn.Linear(5, 3)], IMAGES, LABELS, [1.0, 2.0])


def test_unknown_names_and_no_samples_are_refused() -> None:
    given = networks([0, 1, 2])
    with pytest.raises(BadInput, match="samples=0"):
        rank_networks(given, IMAGES, LABELS, [1.0, 2.0], samples=0)
    with pytest.raises(UnknownName, match="sinflow"):
        rank_networks(given, IMAGES, LABELS, [1.0, 2.0], proxies=("sinflow",))
    with pytest.raises(UnknownName, match="encoding 'papers'"):
        rank_networks(given, IMAGES, LABELS, [1.0, 2.0], encoding="papers")


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
