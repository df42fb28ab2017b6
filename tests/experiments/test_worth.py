"""The variations of `worth`, the answers to its questions, and the recommendation that follows from them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core.experiments import worth
from parzc_core.experiments.worth import FIRST, GRAPH_SUMS, NODES, QUESTIONS, STEPS, SUMS, THREE, VARIATIONS, WHOLE
from parzc_core.storage.rows import Row, write_rows

NAMES = [(group, name) for group, named in VARIATIONS.items() for name in named]


def results(**taus: float) -> pd.DataFrame:
    """Five splits of two places; what is not told has 70, and splits differ by a tenth."""
    return pd.DataFrame([
        {"place": place, "group": group, "row": name, "split": split, "kendall": taus.get(name, 70.0) + split / 10, "seconds": 1}
        for place in worth.PLACES for group, name in NAMES for split in range(5)
    ])  # fmt: skip


def test_names_are_single_and_every_question_asks_of_variations() -> None:
    names = [name for _, name in NAMES]
    assert len(set(names)) == len(names)
    assert {name for pair in QUESTIONS.values() for name in pair} <= set(names)
    settings = [repr(run) for named in VARIATIONS.values() for run in named.values()]
    assert len(set(settings)) == len(settings)


def test_each_step_changes_one_thing() -> None:
    steps = list(VARIATIONS[STEPS].values())[1:]
    changes = [{key for key in vars(a) if vars(a)[key] != vars(b)[key]} for a, b in itertools.pairwise(steps)]
    assert changes == [{"classes"}, {"members"}, {"kl"}, {"kl", "proxies_first"}, {"reads"}]  # the prior is left out again


def test_a_profile_plans_every_variation_on_every_split() -> None:
    plan = worth.planned("full")
    assert set(plan) == {(place, *pair) for place in worth.places("full") for pair in NAMES}
    assert {len(runs) for runs in plan.values()} == {5}
    assert len(worth.planned("smoke")) == len(NAMES)
    assert {run.where.cells for runs in worth.planned("smoke").values() for run in runs} == {300}


def test_earlier_steps_come_from_the_tables_that_have_them(tmp_path) -> None:
    row = Row("table06", "Mixer+BN", "NB201-CF10 78", "kendall", 61.0, ci_low=60.0, ci_high=62.0, profile="full", origin="ours")
    write_rows("table06", [row], "full", {}, folder=tmp_path)
    table = worth.means(results(), worth.earlier("full", tmp_path))
    steps = table[(table["group"] == STEPS) & (table["place"] == "NB201-CF10")]
    assert steps["row"].tolist() == [worth.PRINTED, *VARIATIONS[STEPS]]
    assert steps.iloc[0][["kendall", "low", "high"]].tolist() == [61.0, 60.0, 62.0]
    assert worth.PRINTED not in set(table[table["place"] == "NB101-CF10"]["row"])


def test_answers_are_paired_and_rows_hold_them() -> None:
    found = results(**{NODES: 72.0, WHOLE: 69.0})
    table = worth.answers(found)
    assert table.loc[("NB201-CF10", "Every node over the seven sums"), "our mean difference"] == pytest.approx(2)
    assert worth.verdict(table.loc[("NB101-CF10", "Every node over the seven sums")]) == "helps"
    assert worth.verdict(table.loc[("NB101-CF10", "Every node over the sums, beside the graph")]) == "hurts"
    assert worth.verdict(pd.Series({"ci_low": -0.1, "ci_high": 0.2})) == "no clear difference"
    assert worth.verdict(pd.Series({"ci_low": np.nan, "ci_high": np.nan})) == "one split says too little"
    rows = {(row.row, row.column, row.metric): row.value for row in worth.rows(found, "full")}
    assert rows[NODES, "NB101-CF10", "kendall"] == pytest.approx(72.2)
    assert rows[f"{NODES} - {SUMS}", "NB101-CF10", "kendall_difference"] == pytest.approx(2)


def test_the_recommendation_follows_the_numbers() -> None:
    def said(**taus: float) -> str:
        return worth.conclusions(results(**taus))[-1]

    assert "Sums are enough" in said()
    assert "nowhere worse than a mixer and take 100 % of its time" in said()
    kept = said(**{NODES: 72.0, WHOLE: 73.0})
    assert "Keep every node's score; plain layers are as good" in kept
    assert "adds nothing to them" in kept
    half = said(**{NODES: 72.0})
    assert "Keep every node's score where no graph is read (with the graph, sums are as good in 2 of 2 places);" in half
    assert "Bayesian layers help" in said(**{THREE: 71.0})
    assert "set a mixer that was first trained on proxies" in said(**{worth.BESIDE: 71.0})
    assert "learn with a mixer where" in said(**{THREE: 72.0, worth.PLAIN: 72.0})
    lines = worth.conclusions(results(**{FIRST: 71.0, SUMS: 60.0, GRAPH_SUMS: 69.0}))
    assert len(lines) == len(QUESTIONS) + 1
    assert "NB201-CF10 +1.0 [+1.0, +1.0]: helps" in lines[list(QUESTIONS).index("A first training on proxies")]


def test_the_figure_shows_every_variation() -> None:
    figure = worth.overview(worth.means(results(), worth.earlier("full")))
    check(figure, [*VARIATIONS, *(name for _, name in NAMES), "NB201-CF10, 78 labels"])
