"""The places of a small run, and that the judged space's labels do not reach its order."""

import dataclasses
from types import SimpleNamespace

import label_free_toys
import numpy as np
import pandas as pd
import pytest
from figure_checks import check
from label_free_toys import NAMES, SMALL

from parzc_core.experiments import label_free, label_free_inputs
from parzc_core.experiments.label_free_inputs import PLACES
from parzc_core.predictors.label_free import committees as kept_committees
from parzc_core.spaces import nb201


@pytest.fixture(scope="module")
def found() -> dict[str, label_free.Judged]:
    return label_free_toys.found()


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
    theirs = label_free.on_their_cells(found, "smoke")
    assert theirs.empty  # no place of NAS-Bench-201
    assert label_free.beside_theirs(theirs).shape[1] == 0
    assert set(results["order"]) == set(label_free.ORDERS)
    assert (results["kendall low"] <= results["kendall high"]).all()
    rows = {(row.row, row.column, row.metric): row for row in label_free.rows(results, alone, theirs, found, "smoke")}
    row = rows[label_free.OURS, "NB101-CF10", "kendall"]
    assert row.n == label_free.AMOUNTS["smoke"].cells
    assert "chosen on NDS, NB301" in row.note
    best = label_free.best_single(alone)
    for place, line in best.iterrows():
        assert line["kendall"] == max(value.value for key, value in rows.items() if key[1:] == (place, "kendall") and
                                      key[0] not in label_free.ORDERS)  # fmt: skip
    assert list(label_free.beside(results, alone).index) == list(NAMES)
    assert list(label_free.choices(found).index) == list(NAMES)
    said = " ".join(label_free.conclusions(results, alone, theirs, found))
    assert f"of {len(NAMES)} places" in said
    assert "made here, N" not in said  # names hold commas
    check(label_free.overview(results, alone), [*NAMES, label_free.OURS, "nDCG of the best tenth (%)"])


def test_orders_are_judged_on_the_cells_that_others_print_for(monkeypatch) -> None:
    """A score that is right on these cells and wrong on all others has a tau of 100 there."""
    archs = nb201.sample(80, 0)
    kept = np.array([not nb201.leads_nowhere(arch) for arch in archs])
    truth = np.random.default_rng(0).permutation(80).astype(float)
    one = SimpleNamespace(networks=SimpleNamespace(votes=pd.DataFrame(index=archs)), truth=truth, note="made up")
    mixed = np.where(kept, truth, -truth)
    monkeypatch.setattr(label_free, "scores", lambda one: dict.fromkeys(label_free.ORDERS, mixed))
    monkeypatch.setattr(label_free, "single", lambda networks: pd.DataFrame({"Params": -mixed}, index=archs))
    found = {"NB201-CF100": one}
    theirs = label_free.on_their_cells(found, "smoke").set_index("order")
    assert theirs.loc[label_free.OURS, "kendall"] == 100
    assert theirs.loc["Params", ["kendall", "printed"]].tolist() == [-100, 58.6]
    assert set(theirs["n"]) == {kept.sum()}
    table = label_free.beside_theirs(theirs.reset_index())
    assert table.loc["Params", "NB201-CF100"] == "-100.0 [-100.0, -100.0] (58.6)"
    assert table.loc["AZ-NAS", "NB201-CF100"] == "(69.6)"
    none = pd.DataFrame(columns=["place", "order", "kendall", "row"])
    empty = pd.DataFrame(columns=["place", "order", "kendall", "ndcg"])
    rows = list(label_free.rows(none, empty, theirs.reset_index(), found, "smoke"))
    assert {row.column for row in rows} == {"NB201-CF100, cells of VKDNW"}
    assert all("leads nowhere" in row.note for row in rows)


def test_profiles_grow() -> None:
    sizes = [label_free._amount(name) for name in ("smoke", "standard", "full")]
    assert [each.trees for each in sizes] == sorted(each.trees for each in sizes)
    assert label_free._amount("paper") == sizes[-1]
    assert dataclasses.replace(sizes[0], cells=None).known < sizes[1].known


@pytest.mark.slow
def test_the_committees_that_come_with_the_project_are_those_chosen_here() -> None:
    networks = label_free._there(PLACES, None)
    if len(networks) < len(PLACES):
        pytest.skip("labels of all places are needed; see `parzc status`")
    kept = {space: kept_committees(space) for space in ("nb201", "nb101", "")}
    assert label_free.committees_to_keep(networks) == kept
