"""Table 2: the plan of a profile, and its rows."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from parzc_core import paper
from parzc_core.errors import NotStored
from parzc_core.experiments import table02_rankers as table02
from parzc_core.experiments.table02_rankers import BENCHMARKS, RANKERS, Plan, planned, quoted, rows
from parzc_core.predictors import pinat
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.registry import PREDICTORS, configuration

COLLECTED = {"nb201": 15625, "nb101": 11000}


@pytest.fixture(autouse=True)
def _collected(monkeypatch):
    monkeypatch.setattr(table02, "judgeable", lambda space, dataset, width: COLLECTED[space])


def plan_of(space: str, profile: str) -> Plan:
    plan = planned(space, profile)
    assert plan is not None
    return plan


@pytest.mark.parametrize("space", BENCHMARKS)
def test_the_full_profile_runs_all_columns_with_five_splits_or_more(space):
    plan, benchmark = plan_of(space, "full"), BENCHMARKS[space]
    names = {name for n in benchmark.samples for name in benchmark.columns(n)}
    printed = {cell for cell in paper.printed("table02")["column"] if cell.startswith(benchmark.column[:5])}
    assert not names & printed if benchmark.extra else names == printed
    for parts, encoding in (RANKERS["ParZC (NP)"], RANKERS["ParZC (aligned)"]):
        for n in benchmark.samples:
            same = [r.split for r in plan.rankers if (r.parts, r.encoding, r.train) == (parts, encoding, n)]
            assert same == list(range(len(same)))
            assert len(same) >= 5
    splits = {(name, n): [] for name in PREDICTORS for n in benchmark.samples if n <= table02.MOST.get(name, n)}
    if benchmark.extra:
        splits = {(name, n): found for (name, n), found in splits.items() if name != "NN-Former"}
    for run in plan.predictors:
        splits[run.predictor, run.train].append(run.split)
    assert {tuple(found) for found in splits.values()} == {(0, 1, 2, 3, 4)}
    assert len(set(plan.rankers)) == len(plan.rankers)
    assert len(set(plan.predictors)) == len(plan.predictors)


def schedules(plan: Plan) -> list[tuple[int, Schedule]]:
    """(training cells, how the network is trained) of the predictors that are networks."""
    found = [(run, configuration(run.predictor, run.space, **dict(run.changes))) for run in plan.predictors]
    return [(run.train, config.schedule) for run, config in found if isinstance(config.__dict__.get("schedule"), Schedule)]


@pytest.mark.parametrize("name", table02.BENCHMARKS)
@pytest.mark.parametrize("profile", ["full", "paper"])
def test_everything_is_trained_for_its_published_epochs_in_the_larger_profiles(name, profile):
    plan = plan_of(name, profile)
    assert {run.epochs for run in plan.rankers} == {table02.BENCHMARKS[name].epochs}
    assert {run.learning_rate for run in plan.rankers} == {1e-4}
    assert {run.changes for run in plan.predictors} == {()}
    epochs = {"NP": 300, "ReNAS": 200, "NAO": 1000, "CTNAS": 1000, "TNASP": 300, "PINAT": 300}
    epochs |= {"NP (ours)": 300, "GATES": 200 if name == "nb201" else 80}
    assert {run.predictor: run.configuration.schedule.epochs for run in plan.predictors if run.predictor in epochs} == epochs


def test_the_smaller_profiles_train_predictors_for_few_steps():
    for profile, limit in (("standard", 1200), ("smoke", 10)):
        limited = schedules(plan_of("nb201", profile))
        assert {train for train, _ in limited} == {78}
        assert max(one.epochs * -(-78 // one.batch_size) for _, one in limited) <= limit
    smoke = plan_of("nb201", "smoke")
    assert {run.predictor for run in smoke.predictors} == set(PREDICTORS)
    assert {run.predictor for run in plan_of("nb201", "standard").predictors} == set(PREDICTORS) - {"NN-Former"}
    assert all(run.changes for run in smoke.predictors if run.predictor != "ParZC+")


def test_labels_without_failed_runs_are_a_block_of_their_own():
    plan = plan_of("nb101 without failed runs", "full")
    assert {run.seeds for run in (*plan.rankers, *plan.predictors)} == {"trained"}
    assert {run.seeds for run in plan_of("nb101", "full").rankers} == {"mean"}
    columns = [name for n in plan.benchmark.samples for name in plan.benchmark.columns(n)]
    assert columns[-2:] == ["NB101 without failed runs, S_424 (all)", "NB101 without failed runs, S_4236"]
    assert [plan.benchmark.measured(name) for name in columns] == ["kendall", "kendall", "kendall_100", "kendall", "kendall"]
    assert planned("nb101 without failed runs", "standard") is None


def test_pinats_branch_is_trained_with_every_number_of_cells():
    for name, benchmark in table02.BENCHMARKS.items():
        runs = [run for run in plan_of(name, "full").rankers if "PINAT" in run.parts]
        assert {run.train for run in runs} == set(benchmark.samples)
        assert {run.identity()["pinat"] for run in runs} == {pinat.VERSION}  # so that a changed PINAT is trained again
    assert not any("pinat" in run.identity() for run in plan_of("nb101", "full").rankers if "PINAT" not in run.parts)


@pytest.mark.parametrize(("name", "train"), [("nb101", 100), ("nb201", 78)])
def test_parzc_is_also_trained_as_wide_as_published_on_the_smallest_training_sets(name: str, train: int) -> None:
    found = table02.wider(plan_of(name, "full"))
    assert list(found) == ["cpu", "public"]
    for size, runs in found.items():
        facts = {(run.parts, run.encoding, run.train, run.size) for run in runs}
        assert facts == {(("NP", "Mixer", "BN"), "paper", train, size)}
        assert [run.split for run in runs] == [0, 1, 2, 3, 4]
    assert set(found["cpu"]) < set(plan_of(name, "full").rankers)  # those are trained once
    for other in (plan_of("nb201", "standard"), plan_of("nb101", "standard"), plan_of("nb101 without failed runs", "full")):
        assert table02.wider(other) == {}


def test_sizes_that_are_not_stored_are_left_out_where_nothing_may_be_run(monkeypatch, tmp_path) -> None:
    def refuse(runs, store, jobs):
        raise NotStored("five runs")

    monkeypatch.setattr(table02, "run_rankers", refuse)
    assert table02.by_size(plan_of("nb101", "full"), tmp_path / "runs.jsonl").empty
    assert "7 on nb201 (78 cells)" in table02.cost_of_the_printed_size()  # 200 epochs of eight steps, 16 seconds each


def test_cpu_hours_are_sums_over_runs() -> None:
    one = pd.DataFrame({"row": ["NP", "NP", "ParZC"], "seconds": [1800.0, 1800.0, 36000.0]})
    other = pd.DataFrame({"row": ["NP"], "seconds": [3600.0]})
    found = table02.cpu_hours({"nb201": one, "nb101": other})
    assert found.to_dict("index") == {
        "ParZC": {"nb201": 10.0, "nb101": 0.0, "all": 10.0},
        "NP": {"nb201": 1.0, "nb101": 1.0, "all": 2.0},
        "all": {"nb201": 11.0, "nb101": 1.0, "all": 12.0},
    }


def test_what_a_size_costs_is_paired_over_splits(monkeypatch, tmp_path) -> None:
    taus = {"cpu": [60.0, 62.0, 64.0, 66.0, 68.0], "public": [61.0, 63.0, 65.0, 67.0, 74.0]}
    frame = lambda runs: pd.DataFrame({"kendall": taus[runs[0].size], "seconds": 2.0})  # noqa: E731
    monkeypatch.setattr(table02, "run_rankers", lambda runs, store, jobs, **rest: frame(runs))
    (line,) = table02.by_size(plan_of("nb101", "full"), tmp_path / "runs.jsonl").to_dict("records")
    assert line["our mean difference"] == pytest.approx(2.0)
    assert (line["tau, cpu"], line["tau, public"], line["CPU-s, cpu"]) == (64.0, 66.0, 2.0)
    assert line["splits won (%)"] == 100.0
    assert table02.by_size(plan_of("nb201", "standard"), tmp_path / "runs.jsonl").empty


def test_a_space_without_labels_is_left_out(monkeypatch):
    monkeypatch.setattr(table02, "judgeable", lambda space, dataset, width: 0)
    assert planned("nb101", "full") is None


def made_up(plan: Plan) -> pd.DataFrame:
    values = np.random.default_rng(0).uniform(50, 90, (2, 4))
    names = {"kendall": 0, "kendall_100": 1}
    return pd.DataFrame(
        [
            {
                "row": row,
                "train": n,
                "split": s,
                "epochs": 30,
                "changes": () if n == 100 else (("schedule", dataclasses.asdict(Schedule(93, 10, 1e-4))),),
                **{name: values[i, 2 * (n == 424) + s] for name, i in names.items()},
            }
            for row in ("NP", "ParZC")
            for n in (100, 424)
            for s in range(2)
        ]
    )


def test_rows_are_means_in_the_columns_of_the_paper(monkeypatch):
    plan = plan_of("nb101", "full")
    monkeypatch.setattr(Plan, "data", property(lambda self: SimpleNamespace(note="judged on made-up", origin="recreated")))
    monkeypatch.setattr(table02, "len", lambda data: 11000, raising=False)
    results = made_up(plan)
    made = {(row.row, row.column): row for row in rows(plan, results)}
    columns = ("NB101 S_100", "NB101 S_424 (100 cells)", "NB101 S_424 (all)")
    assert set(made) == {(row, column) for row in ("NP", "ParZC") for column in columns}
    one = results[(results["row"] == "ParZC") & (results["train"] == 424)]
    assert made["ParZC", columns[1]].value == pytest.approx(one["kendall_100"].mean())
    assert made["ParZC", columns[2]].value == pytest.approx(one["kendall"].mean())
    assert "judged on 100 unseen cells" in made["ParZC", columns[1]].note
    ours = "30 of 150 epochs; 32 channels; judged on 10,576 unseen cells; judged on made-up"
    assert ours in made["ParZC", columns[2]].note
    assert made["NP", columns[0]].note.startswith("300 epochs; judged on 10,900")  # whole, and it reads no statistics
    assert "93 of 300 epochs; judged on 10,576" in made["NP", columns[2]].note
    assert {row.origin for row in made.values()} == {"recreated"}  # what the labels are


def test_a_predictor_has_a_row_by_its_own_protocol(monkeypatch):
    plan = plan_of("nb101", "full")
    monkeypatch.setattr(Plan, "data", property(lambda self: SimpleNamespace(note="judged on made-up", origin="reproduced")))
    monkeypatch.setattr(table02, "len", lambda data: 11000, raising=False)
    about = {"changes": (), "kendall": 60.0, "kendall_100": 61.0}
    former = {"row": "NN-Former", "train": 100, "kendall_all": 62.0, **about}
    best = {"row": "CTNAS (best checkpoint)", "train": 424, "kendall_best": 70.0, "kendall_100_best": 75.0, **about}
    made = rows(plan, pd.DataFrame([dict(one, split=split) for one in (former, best) for split in range(2)]))
    assert [(row.row, row.column, row.value) for row in made] == [
        ("NN-Former", "NB101 S_100", 60.0),
        ("NN-Former (all cells)", "NB101 S_100", 62.0),
        ("CTNAS (best checkpoint)", "NB101 S_424 (100 cells)", 75.0),
        ("CTNAS (best checkpoint)", "NB101 S_424 (all)", 70.0),
    ]
    assert made[0].note.startswith("3000 epochs; judged on 10,900 unseen cells; ")
    assert "judged on all 11,000 cells, training cells among them" in made[1].note
    assert "best of ten checkpoints on the 100 unseen cells" in made[2].note
    assert {row.origin for row in made} == {"reproduced"}  # `write_rows` makes them "ours": the paper prints no such row


def test_one_shot_methods_are_quoted_as_printed_and_say_why():
    made = quoted("full")
    printed = paper.printed("table02").set_index(["row", "column"])["value"]
    assert {(row.row, row.value) for row in made} == {("SPOS", 19.6), ("FairNAS", 23.2)}
    assert all(row.value == printed[row.row, row.column] for row in made)
    assert all("supernet" in row.note and row.origin == "quoted" for row in made)


def test_results_of_rankers_and_predictors_stand_under_their_names(monkeypatch, tmp_path):
    plan = dataclasses.replace(plan_of("nb201", "smoke"))
    frame = lambda runs: pd.DataFrame([{"train": run.train, "split": run.split} for run in runs])  # noqa: E731
    monkeypatch.setattr(table02, "run_rankers", lambda runs, store, jobs, **rest: frame(runs))
    monkeypatch.setattr(table02, "run_predictors", lambda runs, store, jobs, **rest: frame(runs))
    found = plan.run(tmp_path / "runs.jsonl")
    expected = [run.predictor for run in plan.predictors] + [
        name for name in ("NP (DiffKendall)", "ParZC", "ParZC (NP)", "ParZC (aligned)") for _ in range(2)
    ]
    assert found["row"].tolist() == expected
    alone = dataclasses.replace(plan, predictors=()).run(tmp_path / "runs.jsonl")
    assert alone["train"].dtype == int


def test_pairs_are_shown_that_were_run_on_one_split_and_no_others() -> None:
    tau = {"ParZC (NP)": {0: 0.5, 1: 0.7}, "NP (DiffKendall)": {0: 0.4, 1: 0.5}, "NP (ours)": {2: 0.1}}
    stored = [(split, row, value) for row, of in tau.items() for split, value in of.items()]
    results = pd.DataFrame(stored, columns=["split", "row", "kendall"])
    gained = table02.gains(results)
    assert gained.index.tolist() == ["statistics beside the graph"]
    assert gained["our mean difference"].iloc[0] == pytest.approx(0.15)
    none = table02.gains(results[results["row"] == "NP (ours)"])
    assert none.empty
    assert none.columns.tolist() == gained.columns.tolist()
