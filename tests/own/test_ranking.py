"""Ranking networks of one's own: what is learned from a few labels, what is kept, what the intervals hold, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from parzc_core import load_ranker, metrics
from parzc_core.collector import collect_statistics
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import MABNConfig
from parzc_core.npz import joined
from parzc_core.own import NetworkRanker, describe, rank_networks
from parzc_core.own.networks import PROXIES
from parzc_core.own.ranking import FORMAT, Calibration
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


# A configuration of MABN asks for MABN; without one, rankers are compared on the labels.
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


@pytest.fixture(scope="module")
def named() -> dict[str, nn.Module]:
    return {f"net{i}": network for i, network in enumerate(networks(DEPTHS))}


@pytest.fixture(scope="module")
def series() -> pd.Series:
    """Accuracies of ten networks, in another order than the networks, one of them not known."""
    known = pd.Series({f"net{i}": 90.0 - 10 * DEPTHS[i] for i in (17, 3, 9, 0, 12, 5, 6, 14, 2, 8)})
    return pd.concat([known, pd.Series({"net1": np.nan})])


@pytest.fixture(scope="module")
def fitted(named: dict[str, nn.Module], series: pd.Series) -> NetworkRanker:
    return NetworkRanker.fit(describe(named, IMAGES, LABELS), series)


def test_names_and_gaps_in_any_order(fitted: NetworkRanker, named: dict[str, nn.Module], series: pd.Series) -> None:
    ranking = fitted.ranking
    assert ranking is not None
    assert list(ranking.index) == list(named)
    pd.testing.assert_series_equal(ranking["accuracy"].dropna().sort_index(), series.dropna().sort_index(), check_names=False)
    unseen = ranking[ranking["accuracy"].isna()]
    depths = -np.array([DEPTHS[list(named).index(name)] for name in unseen.index], dtype=float)
    assert metrics.kendall(unseen["score"], depths) > 80
    assert {"flops", "params", "nodes", *PROXIES} <= set(ranking)
    again = rank_networks(list(named.values()), IMAGES, LABELS, series.to_dict(), names=list(named))
    pd.testing.assert_frame_equal(again, ranking)
    places = series.rename({name: i for i, name in enumerate(named)})
    by_place = rank_networks(list(named.values()), IMAGES, LABELS, places)
    np.testing.assert_array_equal(by_place["score"], ranking["score"])


def test_labels_of_any_scale(named: dict[str, nn.Module], fitted: NetworkRanker, series: pd.Series) -> None:
    losses = NetworkRanker.fit(describe(named, IMAGES, LABELS), (series - 90) / 7)  # negative losses, higher is better
    assert losses.ranking is not None
    assert fitted.ranking is not None
    # Trees round, and draw their next split from what they rounded to.
    np.testing.assert_allclose(losses.ranking["score"], fitted.ranking["score"], atol=0.1)
    np.testing.assert_allclose(losses.ranking["predicted"], (fitted.ranking["predicted"] - 90) / 7, atol=0.3)


@pytest.mark.parametrize("ranker", ["parzc+", "mabn", "flops"])
def test_what_is_kept_ranks_new_networks_alike(ranker: str, tmp_path: Path, series: pd.Series) -> None:
    given = describe({f"net{i}": network for i, network in enumerate(networks(DEPTHS))}, IMAGES, LABELS)
    made = NetworkRanker.fit(given, series, ranker=ranker, config=QUICK if ranker == "mabn" else None)
    new = {"a": networks([2])[0], "b": networks([0])[0], "c": networks([4])[0]}
    before = made.rank(new, IMAGES, LABELS)
    read = load_ranker(made.save(tmp_path / "ranker.npz"))
    assert isinstance(read, NetworkRanker)
    assert (read.chosen, read.compared) == (ranker, made.compared)
    pd.testing.assert_frame_equal(read.rank(new, IMAGES, LABELS), before, rtol=1e-9)
    assert before["accuracy"].isna().all()
    if ranker == "parzc+":
        assert before["rank"].to_dict() == {"b": 1, "a": 2, "c": 3}
    with pytest.warns(UserWarning, match="another batch"):
        read.rank(new, IMAGES + 1, LABELS)
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((tmp_path / "ranker.npz").read_bytes()[:-200])
    with pytest.raises(BadInput, match="damaged"):
        load_ranker(damaged)


def test_the_ranker_is_chosen_on_held_out_labels(named: dict[str, nn.Module]) -> None:
    described = describe(named, IMAGES, LABELS)
    more = pd.Series(described.counts[:12, 0], index=list(named)[:12])  # the number of parameters itself, and nothing else
    made = NetworkRanker.fit(described, more, ranker=("params", "parzc+"))
    assert made.chosen == "params"
    assert made.compared["params"] == pytest.approx(100)
    against = NetworkRanker.fit(described, -more)
    assert against.chosen == "parzc+"
    assert against.compared["params"] == pytest.approx(-100)


def test_intervals_hold_what_they_claim() -> None:
    generator = np.random.default_rng(0)
    inside = {80.0: [], 90.0: []}
    for _ in range(200):
        truth = np.exp(generator.normal(size=60))  # far from normal
        spread = generator.uniform(0.5, 2, 60)
        score = np.log(truth) + spread * generator.standard_t(3, size=60)
        found = Calibration.learn(score[:30], spread[:30], truth[:30])
        for level, shares in inside.items():
            _, low, high = found.predict(score[30:], spread[30:], level)
            shares.append(((low <= truth[30:]) & (truth[30:] <= high)).mean())
    for level, shares in inside.items():
        assert level - 3 < 100 * np.mean(shares) < level + 7


def test_few_labels_have_no_interval_and_say_so(named: dict[str, nn.Module]) -> None:
    few = rank_networks(named, IMAGES, LABELS, {"net0": 90.0, "net1": 50.0, "net2": 70.0})
    assert few[["predicted", "low", "high"]].isna().all(axis=None)
    assert np.isfinite(few["score"]).all()
    some = rank_networks(named, IMAGES, LABELS, {f"net{i}": 90.0 - 10 * DEPTHS[i] for i in range(8)})
    assert np.isfinite(some["predicted"]).all()
    assert some["low"].isna().all()


def test_alike_networks_are_not_told_apart_by_any_ranker() -> None:
    made = rank_networks([networks([2])[0]] * 6, IMAGES, LABELS, [10.0, 20.0, 30.0, 15.0])
    assert (made["score"] == 0).all()
    assert (made["rank"] == 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accuracies": {"net0": 1.0, "other": 2.0}}, "accuracy of 'other', which is no network"),
        ({"accuracies": {"net0": 1.0, "net1": float("nan")}}, "got 1 accuracies that are known"),
        ({"accuracies": {"net0": 1.0, "net1": float("inf")}}, "accuracy of 'net1' is infinite"),
        ({"accuracies": pd.Series([1.0, 2.0], ["net0", "net0"])}, "more than once"),
        ({"names": ["a", "b"]}, "dict of networks and names as well"),
        ({"level": 0}, "level=0"),
        ({"ranker": "parzc+", "encoding": "aligned"}, "which are MABN's"),
        ({"ranker": []}, "got no ranker"),
    ],
)
def test_calls_by_name_that_do_not_fit_are_refused(changes: dict, words: str) -> None:
    given = dict(zip(("net0", "net1", "net2"), networks([0, 1, 2]), strict=True))
    call = {"networks": given, "images": IMAGES, "labels": LABELS, "accuracies": {"net0": 1.0, "net1": 2.0}} | changes
    with pytest.raises(BadInput, match=words):
        rank_networks(**call)
    with pytest.raises(UnknownName, match="ranker 'parsec'"):
        rank_networks(given, IMAGES, LABELS, [1.0, 2.0], ranker="parsec")
    with pytest.raises(BadInput, match="one name of its own"):
        rank_networks(list(given.values()), IMAGES, LABELS, [1.0, 2.0], names=["a", "a", "b"])


@pytest.mark.parametrize("seed", [2**32, 2**63, 2**70, -1])
def test_seeds_have_one_bound(named: dict[str, nn.Module], seed: int) -> None:
    for ranker in ("parzc+", "mabn", "params"):
        with pytest.raises(BadInput, match=r"got seed=.*expected a whole number from 0 to 4294967295"):
            rank_networks(named, IMAGES, LABELS, KNOWN, ranker=ranker, seed=seed)


@pytest.mark.parametrize("ranker", ["parzc+", "mabn"])
def test_the_largest_seed_is_one(named: dict[str, nn.Module], ranker: str) -> None:
    config = {"config": QUICK} if ranker == "mabn" else {}
    made = NetworkRanker.fit(describe(named, IMAGES, LABELS), KNOWN, ranker=ranker, seed=2**32 - 1, **config)
    assert made.ranking is not None
    assert made.ranking["score"].notna().all()


@pytest.mark.parametrize("scale", [2.0**1010, 2.0**-1010])
def test_labels_of_any_scale_are_learned_alike(named: dict[str, nn.Module], scale: float) -> None:
    described = describe(named, IMAGES, LABELS)
    one, other = (NetworkRanker.fit(described, np.array(KNOWN) * factor).ranking for factor in (1.0, scale))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(other["score"], one["score"], atol=0.05)
    np.testing.assert_allclose(other["predicted"] / scale, one["predicted"], atol=0.5)


def test_a_kept_ranker_that_was_edited_is_damaged(named: dict[str, nn.Module], tmp_path: Path) -> None:
    path = NetworkRanker.fit(describe(named, IMAGES, LABELS), KNOWN, ranker="params").save(tmp_path / "ranker.npz")
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    np.savez(path, **{**kept, "calibration/errors": kept["calibration/errors"][:-1]})
    with pytest.raises(BadInput, match=r"ranker\.npz is damaged: its sha256"):
        load_ranker(path)
    about = json.loads(str(kept.pop("about")))
    del about["sha256"]
    edits: list[dict[str, np.ndarray]] = [
        {"calibration/labels": kept["calibration/labels"][:, None]},
        {"calibration/places": kept["calibration/places"][1:]},
        {"calibration/errors": kept["calibration/errors"].astype(str)},
    ]
    odd: list[dict[str, Any]] = [{"compared": 5}, {"proxies": [3]}, {"chosen": []}]
    for said, arrays in [*((about, {**kept, **edit}) for edit in edits), *(({**about, **each}, kept) for each in odd)]:
        np.savez(path, **joined(FORMAT, said, arrays))  # its checksum fits
        with pytest.raises(BadInput, match=r"ranker\.npz is damaged: (?!its sha256)"):
            load_ranker(path)
