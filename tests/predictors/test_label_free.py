"""Votes of hand-made networks, which of them agree, and the committees that come with the project."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from parzc_core import metrics
from parzc_core.collecting.labelled import unlabelled
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.predictors import label_free
from parzc_core.spaces import nb201


def votes_with(odd: float, seed: int, count: int = 80) -> tuple[pd.DataFrame, np.ndarray]:
    """a, b, c see quality, "odd" sees `odd` times it; and the quality."""
    generator = np.random.default_rng(seed)
    quality = generator.normal(size=count)
    table = {name: quality + generator.normal(size=count) for name in "abc"}
    return pd.DataFrame(table | {"odd": odd * quality + generator.normal(size=count)}), quality


def test_a_vote_that_contradicts_the_others_is_silent_and_one_that_agrees_speaks():
    committee = label_free.Committee(("a", "b", "c", "odd"), 0.3, 0.1)
    contrary, _ = votes_with(-1, 5)
    friendly, quality = votes_with(1, 6)
    _, silent = label_free.agreed(contrary, committee)
    score, heard = label_free.agreed(friendly, committee)
    assert set(silent) == {"a", "b", "c"}
    assert set(heard) == {"a", "b", "c", "odd"}
    assert metrics.kendall(score, quality) > metrics.kendall(friendly["a"].to_numpy(), quality)


def test_a_vote_that_repeats_another_shares_its_weight():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 500))
    values = np.stack([first, first + 1e-3 * second, (first + second)], 1)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    keep, weights = label_free.committee_weights(values, 0.0, 0.1)
    assert keep == [0, 1, 2]
    assert weights[0] == pytest.approx(weights[1], rel=0.05)
    assert weights[2] > 1.5 * weights[0]
    both = values.T @ values / 500 + 0.1 * np.eye(3)
    assert both @ weights == pytest.approx(np.ones(3))
    assert (label_free._even_weights(np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.6], [0.1, 0.6, 1.0]])) >= 0).all()


def test_logarithms_punish_a_network_that_is_bad_in_one_respect():
    votes = pd.DataFrame({"a": np.arange(10.0), "b": np.r_[9.0, np.arange(8.0), 8.0]})
    score, _ = label_free.agreed(votes, label_free.Committee(("a", "b"), 0.0, 0.1))
    assert score[0] < score[5]  # 0 and 9 add up to 9, as 5 and 4 do
    with pytest.raises(BadInput, match="got 1 of the votes a, z"):
        label_free.agreed(votes, label_free.Committee(("a", "z"), 0.0, 0.1))


def test_ranks_are_shares_with_missing_ones_last_and_a_missing_column_in_the_middle():
    table = pd.DataFrame({"a": [3.0, 1.0, np.nan, np.inf], "b": [np.nan] * 4, "c": [1.0, 1.0, 2.0, 2.0]})
    ranks = label_free.rank_shares(table)
    assert ranks["a"].tolist() == [1.0, 0.5, 0.0, 0.0]
    assert ranks["b"].tolist() == [0.5] * 4
    assert ranks["c"].tolist() == [0.375, 0.375, 0.875, 0.875]


def test_networks_that_cannot_be_told_apart_share_one_score():
    same = pd.DataFrame({"a": [1.0] * 4, "b": [2.0] * 4})
    for table in (same, same.iloc[:1]):
        score, weights = label_free.together(table, [label_free.Committee(("a", "b"), 0.3, 0.1)])
        assert (score.tolist(), weights) == ([0.0] * len(table), {})


def test_committees_are_averaged_and_a_vote_weighs_its_mean():
    votes, _ = votes_with(1, 3)
    first, second = label_free.Committee(("a", "b"), 0.0, 0.1), label_free.Committee(("b", "c"), 0.0, 1.0)
    score, weights = label_free.together(votes, [first, second])
    parts = [label_free.agreed(votes, each) for each in (first, second)]
    assert score == pytest.approx(sum(part / part.std() for part, _ in parts) / 2)
    assert weights == pytest.approx({"a": parts[0][1]["a"] / 2, "b": (parts[0][1]["b"] + parts[1][1]["b"]) / 2,
                                     "c": parts[1][1]["c"] / 2})  # fmt: skip


def test_shares_and_entropy_of_logarithms():
    logs = np.log(np.array([[1.0, 3.0, np.nan], [2.0, 2.0, 2.0], [np.nan] * 3]))
    found, total = label_free.shares(logs)
    assert found == pytest.approx(np.array([[0.25, 0.75, 0], [1 / 3] * 3, [0] * 3]))
    assert np.exp(total) == pytest.approx([4, 6, np.nan], nan_ok=True)
    assert label_free.entropy(logs) == pytest.approx([0.25 * np.log(4) + 0.75 * np.log(4 / 3), np.log(3), np.nan], nan_ok=True)


def test_a_dead_layer_casts_no_vote():
    values = np.ones((2, 2))
    values[:, 1] = 0
    one = NodeStatistics(("a", "b"), ("grad_norm", "snip"), values, np.array([10, 99]), (0, 1))
    found = label_free.votes([one]).iloc[0]
    assert (found["layers"], np.expm1(found["weights"]), np.exp(found["log weights"])) == pytest.approx((1, 10, 10))
    assert found["snip, nodes"] == 0
    assert np.isnan(found["fisher, nodes"])


def test_cells_vote_with_their_scores_too_and_pooling_counts_among_the_flops():
    cells = unlabelled("nb201", "cifar10", 12)
    found = label_free.votes_of_cells(cells.collection, "nb201")
    assert list(found.index) == list(cells.collection.archs)
    assert found["flops"].tolist() == [float(nb201.flops(arch)) for arch in cells.collection.archs]
    assert {*label_free.ANY, "nwot", "jacov"} <= set(found)


def test_the_committees_that_come_with_the_project():
    assert label_free.committees("nb201") != label_free.committees("nb101")
    assert label_free.committees("a space of one's own") == label_free.committees()
    assert {vote for one in label_free.committees() for vote in one.votes} <= set(label_free.ANY)
    kept = json.loads((Path(label_free.__file__).parent / label_free.KEPT).read_text())
    assert len({len(each) for each in kept.values()}) == 1


def test_fewer_votes_than_a_committee_needs_are_refused():
    with pytest.raises(BadInput, match="got 1 of the votes a, z; expected two at least"):
        label_free.together(pd.DataFrame({"a": [1.0, 2.0]}), [label_free.Committee(("a", "z"), 0.3, 0.1)])
