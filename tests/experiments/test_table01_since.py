"""Proxies since the paper: their aggregates, nDCG, and which cells and columns a row speaks of."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_labels import judged_by

from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.experiments import table01_since as since
from parzc_core.spaces import nb201
from parzc_core.storage.rows import read_rows

NOISE = since.NOISE
CELLS = 12


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets of a few cells; what sees noise is collected for CIFAR-10 alone, VKDNW for half of its cells."""
    folder = tmp_path_factory.mktemp("statistics") / "nb201"
    for dataset in ("cifar10", "cifar100"):
        about = {"space": "nb201", "dataset": dataset, "cells": CELLS, "batch": 4, "proxies": ("synflow",), "width": 4}
        collect(CollectionConfig(**about, scores=("params", "flops", "jacov", "nwot")), folder / dataset, progress=False)
        scores = (*NOISE, "swap") if dataset == "cifar10" else ("swap",)
        without = {**about, "proxies": ()}
        collect(CollectionConfig(**without, scores=scores), folder / "scores" / dataset / "blocks", progress=False)
    half = {**without, "dataset": "cifar10", "cells": CELLS // 2}
    collect(CollectionConfig(**half, scores=("vkdnw",)), folder / "scores" / "cifar10" / "vkdnw", progress=False)
    return folder.parent


@pytest.fixture(autouse=True)
def _use(statistics: Path, monkeypatch: pytest.MonkeyPatch):
    cells = nb201.sample(CELLS, 0)
    truth = pd.Series(np.linspace(60, 70, CELLS), index=cells)
    with judged_by(truth, statistics, monkeypatch):
        yield


def test_a_column_has_the_cells_that_have_every_score():
    data = since.collected("full")
    assert {column: len(one) for column, one in data.items()} == {"NB201-CF10": CELLS // 2, "NB201-CF100": CELLS}


def test_scores_that_see_noise_are_shared_by_the_data_sets_whose_images_have_one_size():
    data = since.collected("full")
    ten, hundred = since.scores_of(data["NB201-CF10"]), since.scores_of(data["NB201-CF100"])
    for name in ("MeCo", "AZ-NAS trainability", "Trainable layers"):
        assert hundred[name].iloc[: len(ten)].tolist() == ten[name].tolist()
    assert not hundred["SWAP"].iloc[: len(ten)].equals(ten["SWAP"])
    assert "VKDNW aggregate" in ten
    assert "VKDNW aggregate" not in hundred
    assert "AZ-NAS" in hundred
    assert (ten["VKDNW"] == ten["Trainable layers"] + ten["VKDNW entropy"]).all()


def test_ranks_are_multiplied():
    scores = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [10.0, -math.inf, 30, 30]}, index=list("wxyz"))
    assert since.ranks_multiplied(scores).tolist() == pytest.approx(
        [math.log(1 / 4 * 2 / 4), math.log(2 / 4 * 1 / 4), math.log(3 / 4 * 3.5 / 4), math.log(4 / 4 * 3.5 / 4)]
    )


def test_an_aggregate_depends_on_order_alone_and_one_bad_rank_weighs_more_than_in_a_mean():
    drawn = np.random.default_rng(0)
    scores = pd.DataFrame(drawn.normal(size=(40, 3)))
    assert since.ranks_multiplied(scores).equals(since.ranks_multiplied(np.exp(scores)))
    even, uneven = [2.0, 2.0], [3.0, 1.0]  # of three networks, the same mean rank
    found = since.ranks_multiplied(pd.DataFrame([even, uneven, [1.0, 3.0]]))
    assert found[0] > found[1] == found[2]


def test_rows_tell_what_was_left_out_and_of_which_networks():
    data = since.collected("full")
    found = {column: since.correlations(one, resamples=5) for column, one in data.items()}
    found["NB201-CF10"].loc[0, "not_finite"] = 3
    theirs = since.on_their_cells(data, resamples=5)
    rows = since.rows(found, data, "full", theirs)
    cells = [not nb201.leads_nowhere(arch) for arch in nb201.sample(CELLS, 0)]
    assert {(row.column, row.n) for row in rows if row.row == "SWAP"} == {
        ("NB201-CF10", 6),
        ("NB201-CF100", 12),
        ("NB201-CF10, cells of VKDNW", sum(cells[:6])),
        ("NB201-CF100, cells of VKDNW", sum(cells)),
    }
    assert all(("leads nowhere" in row.note) == row.column.endswith("VKDNW") for row in rows)
    assert rows[0].note.endswith("3 cells without a finite score left out")
    assert all(row.origin == "ours" and row.unit == "%" for row in rows)
    assert {row.metric for row in rows} == {"kendall", "spearman", "ndcg"}


def test_the_committed_rows_have_every_score():
    known = read_rows("table01_since", "full", Path(__file__).parents[2] / "results")
    ten = known[(known["column"] == "NB201-CF10") & (known["metric"] == "kendall")].set_index("row")["value"]
    assert set(ten.index) == {
        *(since.PROXY_LABELS[name] for name in since.EARLIER), *since.LABELS.values(), *since.AGGREGATES
    }  # fmt: skip
    assert set(known["n"]) <= set(range(since.CELLS + 1))
    assert (ten <= 100).all()


def test_the_printed_rows_are_among_ours():
    named = {*(since.PROXY_LABELS[name] for name in since.EARLIER), *since.LABELS.values(), *since.AGGREGATES}
    assert set(since.PRINTED) <= named
    assert {len(values) for values in since.PRINTED.values()} == {3}


def test_an_aggregate_is_ranked_among_the_cells_that_are_kept():
    data = since.collected("full")["NB201-CF10"]
    keep = np.array([True, False, True, True, False, True])
    kept, alone = since.scores_of(data, keep), since.scores_of(data)[keep]
    assert kept["MeCo"].equals(alone["MeCo"])
    parts = kept.rename(columns={label: name for name, label in {**since.LABELS, "flops": "FLOPs"}.items()})
    assert kept["AZ-NAS"].tolist() == since.ranks_multiplied(parts[list(since.AGGREGATES["AZ-NAS"])]).tolist()


def test_the_noise_of_another_data_set_changes_the_scores_that_see_it_alone():
    data = since.collected("full")
    ten, hundred = data["NB201-CF10"], data["NB201-CF100"]
    other = since._stored(ten) * -1
    own, changed = since.scores_of(ten), since.scores_of(ten, noise=other)
    assert (changed["MeCo"] == -own["MeCo"]).all()
    assert changed["SWAP"].equals(own["SWAP"])
    assert not changed["AZ-NAS"].equals(own["AZ-NAS"])
    with_sixteen = {"NB201-CF10": hundred, "NB201-IMG16": hundred}  # the same noise
    found = since.by_size_of_noise(with_sixteen)
    assert (found["16 pixels"] == found["32 pixels"]).all()
    assert found.loc["AZ-NAS", "printed"] == 67.3
    assert since.by_size_of_noise(data).empty


def test_a_sentence_says_how_far_our_values_are_from_the_printed_ones():
    lines = pd.DataFrame(
        [("Params", "kendall", 60.3), ("FLOPs", "kendall", 10.0), ("Jacov", "kendall", 62.6), ("Jacov", "ndcg", 0.0)],
        columns=["score", "metric", "value"],
    )
    said = since.far_from_print({"NB201-CF10": lines})
    assert "-0.5 points from the printed one on average of 2 values" in said
    assert said.endswith("the farthest is FLOPs on NB201-CF10, 60.3 where 62.3 is printed.")
    assert since.far_from_print({}) == ""


def test_figure_has_a_panel_a_column_and_a_diamond_for_each_printed_value():
    data = since.collected("full")
    found = {column: since.correlations(one, resamples=5) for column, one in data.items()}
    figure = since.taus(found)
    assert [ax.get_title() for ax in figure.axes] == list(found)
    for place, ax in enumerate(figure.axes):
        diamonds = {round(float(line.get_xdata()[0]), 1) for line in ax.lines if line.get_marker() == "D"}
        assert diamonds == {values[place] for values in since.PRINTED.values()}
    assert {label.get_text() for label in figure.axes[0].get_yticklabels()} >= {"MeCo", "VKDNW aggregate", "FLOPs"}


def test_sentences_name_the_best():
    lines = pd.DataFrame(
        [("SWAP", "kendall", 50.0), ("MeCo", "kendall", 60.0), ("SWAP", "ndcg", 90.0), ("MeCo", "ndcg", 20.0)],
        columns=["score", "metric", "value"],
    )
    assert since.best({"NB201-CF10": lines}, "kendall") == {"NB201-CF10": ("MeCo", 60.0)}
    said = since.conclusions({"NB201-CF10": lines})
    assert said[0] == "**Best since the paper**: tau NB201-CF10 MeCo 60.0 (nDCG SWAP 90)."
