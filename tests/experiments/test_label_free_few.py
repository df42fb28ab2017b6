"""Rankers from a few labels, with the label-free order and without: what they read, and what is told of them."""

import label_free_toys
import numpy as np
import pandas as pd
import pytest
from figure_checks import check
from label_free_toys import NAMES, SMALL

from parzc_core.experiments import label_free
from parzc_core.experiments import label_free_few as few


@pytest.fixture(scope="module")
def found() -> dict[str, label_free.Judged]:
    return label_free_toys.found()


@pytest.fixture(scope="module")
def lines(found) -> pd.DataFrame:
    return few.few_labels(found, "smoke", SMALL)


def test_with_few_labels_every_ranker_is_judged_on_the_same_unseen_networks(found, lines) -> None:
    assert set(lines["place"]) == set(NAMES)
    assert set(lines[lines["place"] == "NB101-CF10"]["ranker"]) == {few.ALONE, *few.BOTH, *few.BOTH.values()}
    assert few.GRAPHS not in set(lines[lines["place"] != "NB101-CF10"]["ranker"])
    amount = few.AMOUNTS["smoke"]
    assert set(lines["n"]) == {amount.cells - amount.labels[0]}
    made = {(row.row, row.column, row.metric): row for row in few.rows(lines, found, "smoke")}
    row = made[few.SUMMARIES, "NB101-CF10, 10 labels", "kendall"]
    assert row.runs == amount.draws
    mean = {ranker: taus.mean() for ranker, taus in lines[lines["place"] == "NB101-CF10"].groupby("ranker")["kendall"]}
    assert row.value == pytest.approx(mean[few.SUMMARIES])
    both = few.BOTH[few.SUMMARIES]
    gain = made[f"{both} - {few.SUMMARIES}", "NB101-CF10, 10 labels", "kendall_difference"]
    assert gain.value == pytest.approx(mean[both] - mean[few.SUMMARIES])
    assert few.table(lines).loc[("NB101-CF10", 10), both] == pytest.approx(mean[both])
    assert len(few.sentences(lines)) == len(few.BOTH)
    check(few.figure(lines), [*NAMES, few.ALONE, "labels", "Kendall's τ (%)"])


def test_labels_that_are_not_given_do_not_reach_a_ranker(found) -> None:
    one = found["NB301-CF10"]
    inputs, truth = {few.SUMMARIES: few.summaries(one, 60)}, one.truth[:60]
    given = np.random.default_rng([3, 10]).permutation(60)[:10]
    hidden = np.full(60, np.nan)
    hidden[given] = truth[given]
    order = one.order.score[:60]
    assert few._taus(inputs, order, hidden, truth, 10, 3) == few._taus(inputs, order, truth, truth, 10, 3)


def test_the_order_counts_less_with_more_labels_and_not_at_all_where_it_contradicts_them() -> None:
    order = np.arange(20.0)
    assert few.weight(order, order) == pytest.approx(few.WORTH / 20)
    assert few.weight(order[:10], order[:10]) == pytest.approx(few.WORTH / 10)
    assert few.weight(order, -order) == 0
    assert few.normal_scores(np.array([3.0, 1.0, 2.0])) == pytest.approx(np.array([1, -1, 0]) * 0.967422, abs=1e-6)
