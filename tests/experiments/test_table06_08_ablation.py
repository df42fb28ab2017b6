"""Tables 6 and 8: what each profile runs, that stored runs are those of the plan, and the rows."""

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from parzc_core import paper, paths
from parzc_core.experiments import table06_08_ablation as table06_08
from parzc_core.report.comparison import compare


def planned(profile: str, cells: int = 15_625) -> table06_08.Plan:
    """The plan where so many cells are collected and labelled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table06_08, "load", lambda *_: range(cells))
        return table06_08.planned(profile)


FULL = planned("full")
DATA: Any = type("Cells", (), {"note": "judged on something", "__len__": lambda self: 1000})()


def results(plan: table06_08.Plan) -> pd.DataFrame:
    """As `run` gives them, tau growing with the number of parts and the split."""
    lines = []
    for (column, row), runs in plan.items():
        for run in runs:
            tau = 50.0 + 5 * len(run.parts) + run.split
            found = {"kendall": tau, "spearman": tau + 10, "kendall_interval": [tau - 1, tau + 1], "n": 900}
            found |= {"spearman_interval": [tau + 9, tau + 11], "column": column, "row": row}
            lines.append({**dataclasses.asdict(run), **found})
    return pd.DataFrame(lines)


def test_full_has_all_combinations_on_ten_splits_and_two_models_with_more_cells() -> None:
    printed = [row for column, row in FULL if column == "NB201-CF10 78" and "aligned" not in row]
    assert set(printed) == set(paper.printed("table06")["row"])
    assert {len(runs) for (column, _), runs in FULL.items() if column.endswith("78")} == {10}
    more = {row: runs for (column, row), runs in FULL.items() if column.endswith("469")}
    assert set(more) == {"Mixer+BN", "Mixer+BN (aligned)", "NP+Mixer+BN", "NP+Mixer+BN (aligned)"}
    assert {(run.train, run.epochs) for runs in more.values() for run in runs} == {(469, 200)}
    for (_, row), runs in FULL.items():
        assert {"+".join(run.parts) for run in runs} == {row.removesuffix(" (aligned)")}
        assert [run.split for run in runs] == list(range(len(runs)))


def test_a_small_collection_has_fewer_training_cells_under_the_same_names() -> None:
    plan = planned("smoke", 90)
    assert {column: runs[0].train for (column, _), runs in plan.items()} == {"NB201-CF10 78": 30, "NB201-CF10 469": 45}


def test_committed_runs_are_those_of_the_plan() -> None:
    wanted = {json.dumps(run.identity(), sort_keys=True) for runs in FULL.values() for run in runs}
    wanted |= {json.dumps(run.identity(), sort_keys=True) for runs in table06_08.encodings(FULL).values() for run in runs}
    lines = (paths.RESULTS / "full" / "table06" / "runs.jsonl").read_text().splitlines()
    stored = {
        json.dumps(
            {k: v for k, v in json.loads(line)["config"].items() if k in json.loads(next(iter(wanted)))}, sort_keys=True
        )
        for line in lines
    }
    assert wanted <= stored


def test_rows_of_table_6_are_means_and_those_of_table_8_single_runs() -> None:
    found = results(FULL)
    made = table06_08.rows_of_means(found, DATA, "full")
    means = {(row.row, row.column, row.metric): row for row in made if row.metric != "kendall_difference"}
    assert len(means) == 2 * len(FULL)
    assert means["Mixer+BN", "NB201-CF10 78", "kendall"].value == pytest.approx(60 + 4.5)
    assert means["Mixer+BN", "NB201-CF10 78", "kendall"].n == 10
    assert "judged on 922 unseen cells" in means["NP", "NB201-CF10 78", "spearman"].note
    single = {(row.row, row.column, row.metric): row for row in table06_08.rows_of_runs(found, DATA, "full")}
    assert {column for _, column, _ in single} == {"Run1", "Run2", "Run3"}
    assert {row for row, _, _ in single} == set(paper.printed("table06")["row"])
    one = single["NP", "Run3", "spearman"]
    assert (one.value, one.ci_low, one.ci_high, one.n) == (67, 66, 68, 900)


def test_encodings_are_of_the_full_model_on_the_same_splits() -> None:
    plan = table06_08.encodings(FULL)
    full = FULL["NB201-CF10 78", "NP+Mixer+BN"]
    assert plan["NB201-CF10 78", "ParZC"] == full  # nothing is trained twice
    for (column, row), runs in plan.items():
        scheme, proxies = table06_08.ENCODINGS[row]
        assert column == "NB201-CF10 78"
        assert runs == [dataclasses.replace(run, encoding=scheme, proxies=proxies) for run in full]
    assert [scheme for scheme, _ in table06_08.ENCODINGS.values()] == ["paper", "log", "raw"] * 2
    assert {proxies for _, proxies in table06_08.ENCODINGS.values()} == {("synflow", "snip", "grad_norm"), ("snip", "grad_norm")}


def test_a_training_that_ends_in_nan_is_said_and_is_no_convergence() -> None:
    plan = table06_08.encodings(FULL)
    found = results(plan).assign(training_loss=lambda frame: [[-0.01, -0.12]] * len(frame))
    raw, worse = found["row"] == "ParZC (raw values)", (found["row"] == "ParZC (log values)") & (found["split"] < 4)
    found.loc[raw, ["kendall", "spearman"]] = np.nan
    found.loc[raw, "training_loss"] = pd.Series([[np.nan, np.nan]] * 10, index=found.index[raw])
    found.loc[worse, "training_loss"] = pd.Series([[-0.01, 0.02]] * 4, index=found.index[worse])
    went = table06_08.convergence(found)
    assert went.loc["ParZC", ["runs", "finite", "improved", "first", "last"]].tolist() == pytest.approx([10, 10, 100, 1, 12])
    assert went.loc["ParZC (raw values)", ["runs", "finite", "improved"]].tolist() == [10, 0, 0]
    assert went.loc["ParZC (log values)", "improved"] == 60

    rows = {(row.row, row.metric): row for row in table06_08.rows_of_encodings(found, DATA, "full")}
    assert len(rows) == 4 * len(table06_08.ENCODINGS)
    lost = rows["ParZC (raw values)", "kendall"]
    assert np.isnan(lost.value)
    assert "training ended in NaN in 10 of 10 runs; judged on 922 unseen cells" in lost.note
    assert rows["ParZC (raw values)", "runs whose loss fell"].value == 0
    kept = rows["ParZC", "training DiffKendall"]
    assert (kept.value, kept.n, kept.runs, kept.origin) == (pytest.approx(12), 10, 10, "ours")
    assert "NaN" not in kept.note

    said = table06_08.encodings_say(went).splitlines()
    assert said[0] == "ParZC, raw values: training ends in NaN in 10 of 10 runs."
    assert said[1].startswith("ParZC, log values: the loss falls in 60 % of 10 runs; tau 69.5, with min-max scaling 69.5")


def test_gains_are_paired_over_splits_beside_the_printed_difference() -> None:
    compared = paper.printed("table06").rename(columns={"value": "paper"})
    table = table06_08.gains(results(FULL), compared)
    assert list(table.index) == list(table06_08.PAIRS)
    assert table.loc["Bayesian layers in the mixer", "our mean difference"] == pytest.approx(5)
    assert table.loc["mixer instead of MLP", "printed difference"] == pytest.approx(7.65, abs=0.01)  # §4.4
    assert pd.isna(table.loc["aligned encoding, MABN", "printed difference"])  # nothing is printed there


def test_sentences_say_what_the_committed_rows_show() -> None:
    compared = compare("table06", "full")
    stored = table06_08.run(FULL, paths.RESULTS / "full" / "table06" / "runs.jsonl")
    gained = table06_08.gains(stored, compared)
    said = dict(zip(gained.index, table06_08.what_rows_show(gained, compared), strict=False))
    assert said["NP beside MABN"].startswith("**NP beside MABN**: +")
    assert "points of tau, a gain" in said["NP beside MABN"]
    assert "The paper prints +1.20." in said["NP beside MABN"]
    assert "no clear difference" in said["Bayesian layers in the mixer"]
    assert "The paper prints" not in said["aligned encoding, MABN"]
    lower = table06_08.what_rows_show(gained, compared)[-1]
    assert lower.startswith("**Lower than print:** Mixer+BN ")
    assert "(printed 67.7)" in lower


def test_differences_on_the_same_splits_are_rows_of_table_6() -> None:
    found = results(FULL)
    found.loc[(found["row"] == "Mixer") & (found["split"] == 0), "kendall"] -= 10
    made = {row.row: row for row in table06_08.rows_of_means(found, DATA, "full") if row.metric == "kendall_difference"}
    assert {f"{one} - {other}" for one, other in table06_08.PAIRS.values()} <= set(made)
    assert {f"NP+Mixer+BN - {row}" for row in table06_08.COMBINATIONS if row != "NP+Mixer+BN"} <= set(made)
    bayes = made["Mixer+BN - Mixer"]  # five points in nine splits, fifteen in one
    assert (bayes.value, bayes.runs, bayes.origin, bayes.epochs) == (pytest.approx(6), 10, "ours", 200)
    assert bayes.ci_low == pytest.approx(5)
    assert made["BN - MLP"].value == made["BN - MLP"].ci_high == 0
