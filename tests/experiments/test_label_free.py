"""The places of a small run, and that the judged space's labels do not reach its order."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core.experiments import label_free, label_free_inputs
from parzc_core.experiments import label_free_few as few
from parzc_core.experiments.label_free_inputs import PLACES

NAMES = ("DARTS, made here", "NB301-CF10", "NB101-CF10")
SMALL = {name: PLACES[name] for name in NAMES}


@pytest.fixture(scope="module")
def found() -> dict[str, label_free.Judged]:
    label_free_inputs.accuracy(PLACES["NB101-CF10"], [], judged=True)
    return label_free.judged("smoke", SMALL)


def test_labels_of_the_judged_space_do_not_reach_its_order(found, monkeypatch) -> None:
    """Turned labels of one family: its own order stays, bit for bit; that of the others does not."""
    honest = label_free_inputs.accuracy

    def turned(place, archs, judged):
        values, note = honest(place, archs, judged)
        return (-values if place.family == "NB301" else values), note

    monkeypatch.setattr(label_free, "accuracy", turned)
    again = label_free.judged("smoke", SMALL)
    own, other = "NB301-CF10", "NB101-CF10"
    for part in ("score", "agreed", "taught"):
        assert np.array_equal(getattr(found[own].order, part), getattr(again[own].order, part))
    assert np.array_equal(found[own].truth, -again[own].truth)
    assert not np.array_equal(found[other].order.taught, again[other].order.taught)


def test_what_is_chosen_on_is_never_the_judged_family(found) -> None:
    for name, one in found.items():
        families = {each.networks.family for each in one.choice.known}
        assert families == {place.family for place in SMALL.values()} - {PLACES[name].family}
        assert all(len(each.networks) <= label_free.AMOUNTS["smoke"].known for each in one.choice.known)


def test_tables_rows_sentences_and_picture(found) -> None:
    results, alone = label_free.taus(found, "smoke"), label_free.singles(found)
    assert set(results["order"]) == set(label_free.ORDERS)
    assert (results["kendall low"] <= results["kendall high"]).all()
    rows = {(row.row, row.column, row.metric): row for row in label_free.rows(results, alone, found, "smoke")}
    row = rows[label_free.OURS, "NB101-CF10", "kendall"]
    assert row.n == label_free.AMOUNTS["smoke"].cells
    assert "chosen on NDS, NB301" in row.note
    best = label_free.best_single(alone)
    for place, line in best.iterrows():
        assert line["kendall"] == max(value.value for key, value in rows.items() if key[1:] == (place, "kendall") and
                                      key[0] not in label_free.ORDERS)  # fmt: skip
    assert list(label_free.beside(results, alone).index) == list(NAMES)
    assert list(label_free.choices(found).index) == list(NAMES)
    said = " ".join(label_free.conclusions(results, alone, found))
    assert f"of {len(NAMES)} places" in said
    assert "made here, N" not in said  # names hold commas
    check(label_free.overview(results, alone), [*NAMES, label_free.OURS, "nDCG of the best tenth (%)"])


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
    assert few.normal(np.array([3.0, 1.0, 2.0])) == pytest.approx(np.array([1, -1, 0]) * 0.967422, abs=1e-6)


def test_profiles_grow() -> None:
    sizes = [label_free._amount(name) for name in ("smoke", "standard", "full")]
    assert [each.trees for each in sizes] == sorted(each.trees for each in sizes)
    assert label_free._amount("paper") == sizes[-1]
    assert dataclasses.replace(sizes[0], cells=None).known < sizes[1].known
