"""Votes that agree, a ranker taught by other spaces, and that no label of the ordered space takes part in any choice."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from parzc_core import metrics
from parzc_core.errors import BadInput
from parzc_core.experiments import label_free_orders as orders
from parzc_core.experiments.label_free_inputs import Networks
from parzc_core.predictors.label_free import rank_shares


def made(family: str, seed: int, against: bool = False, count: int = 80) -> orders.Known:
    """Votes a, b, c see quality, "odd" sees it or its reverse; features 0 to 3 see it too, 4 and 5 are noise."""
    generator = np.random.default_rng(seed)
    quality = generator.normal(size=count)
    noisy = {name: quality + generator.normal(size=count) for name in "abc"}
    votes = pd.DataFrame(noisy | {"odd": (-1 if against else 1) * quality + generator.normal(size=count)})
    features = generator.normal(size=(count, 6)) + quality[:, None] * np.array([1, 1, 1, 1, 0, 0])
    ranks = rank_shares(pd.DataFrame(features)).to_numpy(np.float32)
    return orders.Known(Networks(family, votes, ranks, tuple("012345")), 90 + quality + 0.3 * generator.normal(size=count))


@pytest.fixture(scope="module")
def known() -> list[orders.Known]:
    return [made(family, seed, against=True) for seed, family in enumerate(("one", "two", "two", "three"))]


@pytest.fixture(scope="module")
def choice(known) -> orders.Choice:
    return orders.choose(known, trees=8)


def test_labels_of_the_ordered_family_are_refused(known, choice):
    with pytest.raises(BadInput, match="labels of two, which is to be ordered without"):
        orders.order(known[1].networks, choice)
    with pytest.raises(BadInput, match="1 family"):
        orders.choose(known[1:3], trees=2)


def test_the_order_is_the_same_whatever_the_known_labels_are_scaled_to_and_another_when_they_are_turned(known, choice):
    """What the labels of the known spaces say decides, so a label that is turned round is seen."""
    networks = made("four", 9).networks
    scaled = [dataclasses.replace(one, accuracy=one.accuracy / 2) for one in known]
    turned = [dataclasses.replace(one, accuracy=-one.accuracy) for one in known]
    others = [orders.choose(each, trees=8) for each in (scaled, turned)]
    first, same, other = (orders.order(networks, each) for each in (choice, *others))
    assert np.array_equal(first.taught, same.taught)
    assert scipy.stats.kendalltau(first.taught, other.taught).statistic < 0


def test_the_taught_ranker_finds_quality_and_leaves_out_what_goes_otherwise(known):
    here = made("four", 9)
    own = [one.networks.votes["a"].to_numpy() for one in known]
    mine = here.networks.votes["a"].to_numpy()
    score, every = orders.taught(here.networks, mine, known, own, None, 20)
    assert every == 6
    assert metrics.kendall(score, here.accuracy) > 50
    turned = here.networks.features.copy()
    turned[:, 0] = 1 - turned[:, 0]
    changed = dataclasses.replace(here.networks, features=turned)
    assert orders.taught(changed, mine, known, own, 0.5, 20)[1] < orders.taught(here.networks, mine, known, own, 0.5, 20)[1]
    assert orders.taught(here.networks, mine, known, own, 0.0, 20) == (pytest.approx(mine), 0)


def test_trust_begins_between_the_spaces_where_it_has_not_paid_and_those_where_it_has(known):
    agreement = np.array([0.2, 0.6, 0.8, 0.9])
    paid = np.array([10.0, 60.0, 60.0, 60.0])
    assert orders.least_agreement(known, agreement, paid, np.full(4, 30.0)) == pytest.approx(0.4)
    assert orders.least_agreement(known, agreement, np.full(4, 60.0), paid) == pytest.approx(0.2)
    assert orders.least_agreement(known, agreement, np.zeros(4), np.full(4, 30.0)) == np.inf


def test_a_vote_that_is_silent_in_all_known_spaces_stays(choice, known):
    """It costs nothing there; and in a space where it agrees it speaks."""
    assert all("odd" in each.votes for each in choice.committees)
    assert all("odd" not in orders.together(one.networks.votes, choice.committees)[1] for one in known)
    assert orders.order(made("four", 9).networks, choice).weights["odd"] > 0


def test_spearman_is_scipys():
    x, y = np.random.default_rng(0).integers(0, 9, (2, 40)).astype(float)
    assert orders._spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert orders._spearman(np.ones(3), np.arange(3.0)) == 0
