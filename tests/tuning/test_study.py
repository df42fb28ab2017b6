"""Studies in their sqlite file: resumed, shared, killed, pruned, saved; one clear error for what is wrong."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from tuning_toys import STUDY, Toy, command, key

from parzc_core.errors import BadInput, LabelsMissing, UnknownName
from parzc_core.runs.rankers import RankerRun
from parzc_core.search.methods import bohb
from parzc_core.tuning import objective
from parzc_core.tuning import trials as tuning_trials
from parzc_core.tuning.objective import StudyConfig
from parzc_core.tuning.study import run_study, trials_of
from parzc_core.tuning.trials import read_trials, save_trials

pytestmark = pytest.mark.skipif(not bohb.installed(), reason="optuna is not installed")
SETTINGS = [setting.name for setting in tuning_trials.space_of(STUDY).settings]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy()
    monkeypatch.setattr(objective, "objective", lambda study: made)
    monkeypatch.setattr(StudyConfig, "key", key)
    return made


def but_seconds(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.drop(columns="seconds")


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(toy: Toy, tmp_path: Path) -> None:
    whole = run_study(STUDY, tmp_path / "whole.sqlite", 12)
    tried = list(toy.seen)
    assert len({tuple(values.items()) for values in tried}) == 12
    toy.seen.clear()
    for trials in (3, 3, 11, 12):  # each end is an interruption
        parts = run_study(STUDY, tmp_path / "parts.sqlite", trials)
        assert len(toy.seen) == len(parts) == max(trials, 3)
    assert toy.seen == tried
    pd.testing.assert_frame_equal(but_seconds(parts), but_seconds(whole))
    pd.testing.assert_frame_equal(trials_of(STUDY, tmp_path / "parts.sqlite"), parts)


def test_another_seed_tries_other_settings(toy: Toy, tmp_path: Path) -> None:
    run_study(STUDY, tmp_path / "a.sqlite", 2)
    run_study(StudyConfig("table10", "tiny", seed=1), tmp_path / "b.sqlite", 2)
    assert toy.seen[:2] != toy.seen[2:]


def test_the_sampler_finds_what_matters_and_the_pruner_ends_what_is_poor(toy: Toy, tmp_path: Path) -> None:
    trials = run_study(STUDY, tmp_path / "a.sqlite", 24)
    assert trials.loc[:9, "Learning Rate"].median() < trials.loc[14:, "Learning Rate"].median()
    pruned, complete = (trials[trials["state"] == state] for state in ("PRUNED", "COMPLETE"))
    assert len(pruned) + len(complete) == 24
    assert len(pruned) >= 5
    assert pruned["number"].min() >= 5
    assert all(text.split()[-1].startswith("3:") for text in pruned["reported"])  # not before the third report
    assert complete["value"].max() == pytest.approx(60, abs=0.5)


def test_a_ranker_that_ranks_nothing_counts_as_done_without_a_value(toy: Toy, tmp_path: Path) -> None:
    toy.undefined = True
    trials = run_study(STUDY, tmp_path / "a.sqlite", 2)
    assert trials["state"].tolist() == ["PRUNED"] * 2
    assert trials["value"].isna().all()


def test_a_trial_that_raises_is_marked_and_its_settings_are_tried_again(toy: Toy, tmp_path: Path) -> None:
    toy.failing = lambda count: count == 2
    with pytest.raises(ZeroDivisionError):
        run_study(STUDY, tmp_path / "a.sqlite", 3)
    trials = run_study(STUDY, tmp_path / "a.sqlite", 3)
    assert trials["state"].tolist() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert toy.seen[1] == toy.seen[2]
    assert trials.loc[1, SETTINGS].tolist() == trials.loc[2, SETTINGS].tolist()


@pytest.mark.slow
def test_two_processes_share_a_study_and_the_trial_of_a_killed_one_is_done_again(toy: Toy, tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    slow = subprocess.Popen(command(file, 8, 3600))
    for _ in range(2400):
        if file.is_file() and (trials_of(STUDY, file)["state"] == "RUNNING").any():
            break
        time.sleep(0.1)
    quick = [subprocess.Popen(command(file, 8, 0.1)) for _ in range(2)]
    assert [process.wait(timeout=900) for process in quick] == [0, 0]
    shared = trials_of(STUDY, file)  # the others did all but what the slow one holds, and left that alone
    assert (shared["state"] == "RUNNING").tolist() == [True] + [False] * 7
    assert slow.poll() is None
    os.kill(slow.pid, signal.SIGKILL)
    slow.wait()
    trials = run_study(STUDY, file, 8)
    done = trials[trials["state"].isin(["COMPLETE", "PRUNED"])]
    assert len(done) == 8
    assert len(done[SETTINGS].drop_duplicates()) == 8
    assert trials["state"].tolist().count("FAIL") == 1
    assert trials.loc[0, "state"] == "FAIL"
    assert trials.loc[8, SETTINGS].tolist() == trials.loc[0, SETTINGS].tolist()


def test_saved_trials_are_the_trials_and_a_study_goes_on_from_them(toy: Toy, tmp_path: Path) -> None:
    first = run_study(STUDY, tmp_path / "a.sqlite", 7)
    other = StudyConfig("table10", "tiny", seed=1)
    elsewhere = StudyConfig("a4", "tiny")  # of other settings, whose columns are empty in the rows of the others
    both = pd.concat([first, run_study(other, tmp_path / "other.sqlite", 2), run_study(elsewhere, tmp_path / "a4.sqlite", 2)])
    kept = save_trials(both, tmp_path / "trials.csv")
    pd.testing.assert_frame_equal(read_trials(STUDY, kept), first, check_dtype=False)
    toy.seen.clear()
    again = run_study(STUDY, tmp_path / "b.sqlite", 8, kept=kept)
    assert len(toy.seen) == 1
    pd.testing.assert_frame_equal(again.iloc[:7], first)
    pd.testing.assert_frame_equal(but_seconds(again), but_seconds(run_study(STUDY, tmp_path / "a.sqlite", 8)))
    assert read_trials(STUDY, tmp_path / "none.csv").empty
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"wrong\.csv has the columns a, b"):
        read_trials(STUDY, tmp_path / "wrong.csv")


def test_bad_input_is_one_clear_error_and_leaves_nothing_behind(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.sqlite"
    for trials, jobs in ((0, 1), (-1, 1), (1, 0)):
        with pytest.raises(BadInput, match="expected at least 1"):
            run_study(STUDY, file, trials, jobs)
    with pytest.raises(UnknownName, match=r"'table11' \(did you mean table10\?\); expected one of: table10, a4"):
        StudyConfig("table11")
    with pytest.raises(UnknownName, match="'huge'"):
        StudyConfig(size="huge")
    with pytest.raises(BadInput, match="1 folds of 78"):
        StudyConfig(folds=1)
    with pytest.raises(BadInput, match="no study at"):
        trials_of(STUDY, file)

    def missing(study: StudyConfig) -> dict[str, object]:
        raise LabelsMissing("no labels of it; run `parzc data fetch`")

    monkeypatch.setattr(StudyConfig, "key", missing)
    with pytest.raises(LabelsMissing):
        run_study(STUDY, file, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_without_statistics_or_labels_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = StudyConfig(base=RankerRun(dataset="cifar1000"))
    with pytest.raises(BadInput, match="cifar1000 holds no statistics"):
        run_study(none, tmp_path / "a.sqlite", 1)

    def missing(*_: str) -> None:
        raise LabelsMissing("no labels; run `parzc data fetch`")

    monkeypatch.setattr("parzc_core.labels.judged", missing)
    with pytest.raises(LabelsMissing, match="parzc data fetch"):
        run_study(StudyConfig(base=RankerRun(cells=59)), tmp_path / "a.sqlite", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_used_is_named(toy: Toy, tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    run_study(STUDY, file, 1)
    with pytest.raises(
        BadInput, match=r"a\.sqlite holds a study of another configuration \(seed 0 there, 7 asked for\)"
    ):
        run_study(StudyConfig("table10", "tiny", seed=7), file, 1)
    with pytest.raises(BadInput, match="train 78 there, 90 asked for"):
        run_study(StudyConfig("table10", "tiny", RankerRun(train=90)), file, 1)
    assert len(trials_of(STUDY, file)) == 1
    (tmp_path / "text.sqlite").write_text("no database " * 100)
    with pytest.raises(BadInput, match=r"text\.sqlite cannot be used"):
        run_study(STUDY, tmp_path / "text.sqlite", 1)
    for path in (tmp_path, file / "below.sqlite"):
        with pytest.raises(BadInput, match="no study can be written to"):
            run_study(STUDY, path, 1)
