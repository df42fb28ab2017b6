"""Searches by number of trainings: the plan, what is taken of the profile full, rows, choices and figures, worked by hand."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from parzc_core.errors import BadInput
from parzc_core.experiments import search_trainings
from parzc_core.experiments.search_trainings import SETTINGS
from parzc_core.labels.nb201 import DATASETS
from parzc_core.runs import protocol
from parzc_core.search import METHODS
from parzc_core.search.judge import Judge
from parzc_core.search.methods import bohb
from parzc_core.search.methods.parzc_plus import ParZCPlusSearch
from parzc_core.search.regret import ORDERED, PLUS
from parzc_core.search.runs import SearchRun, benchmark, run_searches

FULL = 200


def accuracy(dataset: str) -> np.ndarray:
    return benchmark("nb201", dataset, FULL).table.fidelities[FULL].accuracy


def record(run: SearchRun, places: list[tuple[int, int]]) -> dict[str, Any]:
    """A search that had the cell of that rank (0 is the best) after that training."""
    order = np.argsort(-accuracy(run.dataset), kind="stable")
    incumbents = [[int(order[rank]), FULL, 10.0 * at] for rank, at in places]
    return {
        **{field.name: getattr(run, field.name) for field in dataclasses.fields(run)},
        "incumbents": incumbents,
        "at": [at for _, at in places],
        "trainings": 100,
        "seconds": {"search": 50.0, "collecting": 9.0},
    }


def made(places: dict[str, list[list[tuple[int, int]]]], profile: str = "full") -> pd.DataFrame:
    """Searches of methods by their name, a seed for each list of (rank, training), the same on every data set."""
    entries = {entry.table09: entry for entry in search_trainings.entries(profile)}
    return pd.DataFrame(
        [
            record(SearchRun(entries[name].method, dataset, seed=seed, settings=entries[name].settings), found)
            for dataset in DATASETS
            for name, seeds in places.items()
            for seed, found in enumerate(seeds)
        ]
    )


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    """ParZC+ finds the optimum at training 12, at 40 and never; random search never; RoBoT has the second best from the start."""
    plus = [[(50, 1), (0, 12)], [(900, 1), (1, 30), (0, 40)], [(700, 1), (2, 60)]]
    return made({"Random search": [[(3000, 1), (90, 50)]] * 2, "RoBoT": [[(1, 1)]], PLUS: plus})


def test_every_method_is_planned() -> None:
    for profile in ("smoke", "standard", "full"):
        plan = search_trainings.planned(profile)
        assert {run.method for run in plan} >= set(METHODS) - ({"bohb"} if not bohb.installed() else set())
        assert {run.dataset for run in plan} == set(DATASETS)
        assert {run.evaluations for run in plan} == {search_trainings.trainings(profile)}
        names = [entry.table09 for entry in search_trainings.entries(profile)]
        assert len(set(names)) == len(names)
    counts = pd.Series([run.seed for run in search_trainings.planned("full")]).value_counts()
    assert set(counts.index) == set(range(50))
    assert counts.nunique() == 1  # every method and data set has every seed


def test_choices_have_seeds_of_their_own_and_the_first_setting_is_that_of_all_rows() -> None:
    plan = search_trainings.planned_choices("full")
    assert not {run.seed for run in plan} & {run.seed for run in search_trainings.planned("full")}
    assert {run.settings for run in plan} == {(*setting, ("cells", None)) for setting in SETTINGS.values()}
    assert dict(next(iter(SETTINGS.values())))["weights"] == ParZCPlusSearch().weights
    ordered = [entry.settings for entry in search_trainings.entries("full") if entry.table09 == ORDERED]
    assert ordered == [(*SETTINGS["weights 1 to 6, ordered start"], ("cells", None))]
    assert search_trainings.planned_choices("smoke") == []


def test_of_the_full_profile_only_what_is_stored_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "runs.jsonl"
    assert len(search_trainings.run("full", store)) == 0
    some = [run for run in search_trainings.planned("full") if run.method == "random"][:4]
    run_searches(some, store)
    monkeypatch.setattr(protocol, "_evaluate", lambda group: pytest.fail(f"run, though not stored: {group}"))
    found = search_trainings.run("full", store)
    assert len(found) == 4
    said = search_trainings.lacking("full", found)
    assert f"{len(search_trainings.planned('full')) - 4:,} of " in said
    assert "CPU-hours" in said
    with pytest.raises(pytest.fail.Exception, match="not stored"):
        search_trainings.run("full", store, complete=True)


def test_the_best_so_far_by_hand(results: pd.DataFrame) -> None:
    runs = results[(results["method"] == "parzc_plus") & (results["dataset"] == "cifar100")]
    best = search_trainings.best_so_far(runs, 100)
    ranked = np.sort(accuracy("cifar100"))[::-1]
    assert best[0, [0, 10, 11, 99]].tolist() == ranked[[50, 50, 0, 0]].tolist()
    assert best[1, [28, 29, 39]].tolist() == ranked[[900, 1, 0]].tolist()
    assert search_trainings.trainings_to_optimum(best, search_trainings.optimum("cifar100")).tolist() == [12, 40, np.inf]


def test_rows_by_hand(results: pd.DataFrame) -> None:
    judge = Judge()
    rows = {(row.row, row.column, row.metric): row for row in search_trainings.rows(results, "full", judge)}
    found = [rows[PLUS, f"CIFAR-10, {at} trainings", "optimum_found"].value for at in (10, 30, 60)]
    assert found == pytest.approx([0, 100 / 3, 200 / 3])
    ranked = np.sort(accuracy("cifar10"))[::-1]
    row = rows[PLUS, "CIFAR-10, 30 trainings", "val_accuracy"]
    assert (row.value, row.n, row.origin) == (pytest.approx(ranked[[0, 1, 700]].mean()), 3, "ours")
    assert rows[PLUS, "CIFAR-10, 30 trainings", "val_median"].value == pytest.approx(ranked[1])
    assert rows[PLUS, "CIFAR-10", "median_trainings"].value == 40
    never = rows["Random search", "CIFAR-10", "median_trainings"]
    assert never.value is None
    assert "fewer than half" in never.note
    assert rows[PLUS, "CIFAR-10", "seconds"].value == 0.5  # collecting is left out
    assert rows["Optimal", "CIFAR-10, 10 trainings", "val_accuracy"].value == pytest.approx(ranked[0])
    if judge.has("cifar10", "test"):
        best = benchmark("nb201", "cifar10", FULL).table.archs[int(np.argsort(-accuracy("cifar10"), kind="stable")[1])]
        expected = judge.accuracy([best], "cifar10", "test")[0]
        assert rows["RoBoT", "CIFAR-10, 10 trainings", "test_accuracy"].value == pytest.approx(expected)


def test_leaders_and_sentences(results: pd.DataFrame) -> None:
    table = search_trainings.leaders(results, "full").set_index(["data set", "trainings"])
    assert table.loc[("CIFAR-10", 10), "best"] == "RoBoT"
    assert table.loc[("CIFAR-10", 10), "ahead of both"] == "RoBoT"
    chosen = search_trainings.choices(pd.DataFrame(columns=["dataset", "settings"]))
    said = " ".join(search_trainings.sentences(results, chosen, "full"))
    assert "after 60 and 100 trainings ParZC+ has found the best cell in 67 and 67 % of 3 seeds (median training 40)" in said
    assert "CIFAR-10 after 30: RoBoT" in said
    assert "The setting" not in said  # no search chose any


def test_a_choice_is_judged_on_the_other_data_sets() -> None:
    """The first setting wins on CIFAR-10, the second on the two others; a seed that only one has does not count."""
    records = []
    for dataset in DATASETS:
        for place, setting in enumerate(SETTINGS.values()):
            better = place == (0 if dataset == "cifar10" else 1)
            for seed in (1000, 1001)[: 2 if place == 0 else 1]:
                run = SearchRun("parzc_plus", dataset, seed=seed, settings=setting)
                records.append(record(run, [(0 if better else 5, 1)]))
    table = search_trainings.choices(pd.DataFrame(records))
    assert set(table["seeds"]) == {1}
    assert table["chosen"].tolist() == [True, *[False] * 4, *[False, True, *[False] * 3] * 2]
    worse = [float(np.sort(accuracy(dataset))[-1] - np.sort(accuracy(dataset))[-6]) for dataset in DATASETS]
    expected = [[worse[k] if place != (0 if k == 0 else 1) else 0 for place in range(len(SETTINGS))] for k in range(3)]
    assert table["regret"].tolist() == pytest.approx([value for line in expected for value in line])
    assert table["elsewhere"].iloc[0] == pytest.approx((worse[1] + worse[2]) / 2)
    rows = search_trainings.rows_of_choices(table, "full")
    assert len(rows) == 3 * len(SETTINGS)
    assert "chosen here" in rows[0].note
    assert "chosen here" not in rows[1].note


def test_figures(results: pd.DataFrame) -> None:
    figure = search_trainings.found_by_trainings(results, "full")
    names = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert names == {"Random search (2)", "RoBoT (1)", f"{PLUS} (3)"}
    thickest = max(figure.axes[0].get_lines(), key=lambda line: line.get_linewidth())
    share = np.asarray(thickest.get_ydata(), dtype=float)  # of ParZC+
    assert share[[10, 11, 39, 99]] == pytest.approx([0, 100 / 3, 200 / 3, 200 / 3])
    spread = search_trainings.spread_of_methods(results, "full")
    assert [label.get_text() for label in spread.axes[0].get_yticklabels()] == ["Random search (2)", "RoBoT (1)", f"{PLUS} (3)"]
    for draw in (search_trainings.found_by_trainings, search_trainings.spread_of_methods):
        with pytest.raises(BadInput, match="got no search"):
            draw(pd.DataFrame(), "full")


def test_few_seeds_are_hollow_and_a_whisker_far_out_is_an_arrow_with_its_value() -> None:
    ax = Figure().subplots()
    search_trainings._spread(ax, 0, "ParZC", "black", np.array([90.0, 91.0]), 89.0)
    (seeds,) = ax.get_lines()
    assert (list(seeds.get_xdata()), seeds.get_markerfacecolor()) == ([90.0, 91.0], "white")
    usual, far = np.linspace(89, 91, 20), np.array([30.0, 30.0, *np.linspace(90, 91, 18)])
    left = search_trainings._left_end([usual, far], 91.5)
    assert 87 < left <= np.quantile(usual, 0.05)
    search_trainings._spread(ax, 1, "RoBoT", "black", far, left)
    assert [text.get_text() for text in ax.texts] == ["30.0"]
    assert search_trainings._left_end([np.full(9, 91.5)], 91.5) < 91.5  # all have found the optimum
