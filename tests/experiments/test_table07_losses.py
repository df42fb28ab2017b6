"""Table 7: what each profile runs, that stored runs are those of the plan, its rows, and the figure of failed trainings."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from parzc_core import paper, paths
from parzc_core.errors import BadInput
from parzc_core.experiments import table07_losses as table07
from parzc_core.experiments.table07_losses import failed_trainings
from parzc_core.labels.nb101_failed import CHANCE
from parzc_core.runs.rankers import RankerRun


def planned(profile: str) -> table07.Plan:
    """The plan where all cells that Tables 2 and 7 read are collected and labelled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table07, "load", lambda *_: range(11_000))
        return table07.planned(profile)


FULL = planned("full")


def test_the_losses_are_those_of_the_paper_each_a_sum_with_weights_of_one():
    assert set(table07.COMBINATIONS) == set(paper.printed("table07")["row"])
    names = {"MSE": "mse", "Rank": "rank", "DiffKendall": "diff_kendall"}
    for row in table07.COMBINATIONS:
        (losses,) = {run.losses for run in FULL["loss", row]}
        assert dict(losses) == {names[part]: 1.0 for part in row.split("+")}


def test_full_has_ten_splits_of_all_losses_on_both_kinds_of_labels():
    for kind, seeds in (("loss", "mean"), ("trained", "trained")):
        rows = [row for what, row in FULL if what == kind]
        assert rows == list(table07.COMBINATIONS)
        for row in rows:
            assert [run.split for run in FULL[kind, row]] == list(range(10))
            assert {(run.seeds, run.epochs, run.train, run.width) for run in FULL[kind, row]} == {(seeds, 150, 178, 32)}
    slopes = [FULL[what][0].alpha for what in FULL if what[0] == "alpha"]
    assert (min(slopes), max(slopes)) == (0.1, 10.0)
    assert FULL["alpha", "alpha = 0.5"] == FULL["loss", "DiffKendall"] == FULL["batch", "10"]  # trained once


def test_standard_is_a_part_of_it_trained_for_fewer_epochs():
    plan = planned("standard")
    assert set(plan) < set(FULL)
    assert {run.epochs for runs in plan.values() for run in runs} == {88}  # 1,600 steps of 18 batches


def test_committed_runs_are_those_of_the_plan():
    wanted = {json.dumps(run.identity(), sort_keys=True) for runs in FULL.values() for run in runs}
    lines = (paths.RESULTS / "full" / "table07" / "runs.jsonl").read_text().splitlines()
    configs = [json.loads(line)["config"] for line in lines]
    beside = ("statistics", "learned_from", "judged_on")
    stored = {
        json.dumps({k: v for k, v in config.items() if k not in beside}, sort_keys=True)
        for config in configs
    }
    assert stored == wanted


def test_rows_are_means_over_splits_in_the_columns_of_what_is_varied(monkeypatch):
    labels = {"mean": ("reproduced", "published labels"), "trained": ("recreated", "inferred labels")}
    data = property(lambda run: SimpleNamespace(origin=labels[run.seeds][0], note=labels[run.seeds][1]))
    monkeypatch.setattr(RankerRun, "data", data)
    monkeypatch.setattr(table07, "len", lambda data: 11_000, raising=False)
    results = {
        what: pd.DataFrame({"kendall": [60.0, 70.0], "spearman": [80.0, 81.0]})
        for what in (("loss", "MSE"), ("trained", "MSE"), ("batch", "10"), ("loss", "DiffKendall"))
    }
    results["loss", "DiffKendall"]["kendall"] += [4.0, 6.0]
    made = {(row.row, row.column, row.metric): row for row in table07.rows(FULL, results, "full")}
    assert len(made) == 9
    gain = made["DiffKendall - MSE", "NB101-CF10 178", "kendall_difference"]
    assert (gain.value, gain.ci_low, gain.ci_high, gain.runs, gain.origin) == (pytest.approx(5), 4, 6, 2, "ours")
    loss, left_out = made["MSE", "NB101-CF10 178", "kendall"], made["MSE", "without failed runs", "kendall"]
    assert loss.value == left_out.value == pytest.approx(65)
    assert made["10", "batch", "spearman"].value == pytest.approx(80.5)
    assert (loss.origin, left_out.origin) == ("reproduced", "recreated")
    assert loss.note.endswith(
        "178 training cells, 150 epochs, judged on 10,822 unseen cells; 32 channels; published labels"
    )
    assert left_out.note.endswith("inferred labels")
    taus = table07.by_row(results, "trained")
    assert taus.to_dict("list") == {"MSE": [60.0, 70.0]}


MEAN = pd.Series([90.0, 91.0, 92.0, (2 * 90 + CHANCE) / 3, (90 + 2 * CHANCE) / 3, CHANCE])
TAUS = pd.DataFrame({"printed": [65.0, 66.0], "published labels": [62.0, 69.0]}, index=["MSE", "Rank"])


def test_every_cell_is_in_the_histogram_of_its_failures_and_every_tau_is_drawn() -> None:
    fig = failed_trainings(MEAN, TAUS)
    left, right = fig.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "all three trained: 3 cells",
        "one of three failed: 1 cells",
        "two failed: 1 cells",
        "all failed: 1 cells",
    ]
    assert sum(patch.get_height() for patch in left.patches) == len(MEAN)  # none falls outside the bins
    assert [text.get_text() for text in right.get_yticklabels()] == ["MSE", "Rank"]
    for line, name in zip(right.lines, TAUS, strict=True):
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_xdata(), TAUS[name])


def test_more_kinds_of_label_than_marks_are_refused() -> None:
    with pytest.raises(BadInput, match="got 4 kinds of label"):
        failed_trainings(MEAN, pd.concat([TAUS, TAUS], axis=1))


def test_sentences_count_the_losses_that_diff_kendall_beats():
    means = pd.DataFrame({"printed": {"MSE": 60.0, "DiffKendall": 66.0}, "published labels": {"MSE": 63.0, "DiffKendall": 70.0}})
    taus = pd.DataFrame({"MSE": [60.0, 61.0], "Rank": [75.0, 76.0], "DiffKendall": [70.0, 70.5]})
    batched = table07.batches(pd.DataFrame({"10": [70.0, 70.0], "all in one": [60.0, 61.0]}))
    said = table07.what_rows_show(means, {"published labels": taus, "others": taus[["DiffKendall"]]}, batched)
    assert said[0] == "**Printed**, best first: DiffKendall 66.0, MSE 60.0; they lie within 6.0 points."
    assert "is above 1 of 2 losses and below 1" in said[2]
    assert said[-1] == "**The batch**, points of tau: all in one - batches of 10 -9.5."
    assert len(said) == 4
