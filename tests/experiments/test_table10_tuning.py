"""Spaces, the objective and what it may see, importances, judging on other cells, Table 10's rows, figures, the command."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parzc_core import paper, training
from parzc_core.cli import main
from parzc_core.collecting.labelled import Data, load, training_cells
from parzc_core.errors import BadInput
from parzc_core.experiments import table10_tuning as table10
from parzc_core.experiments.table10_tuning import DEFAULTS, FEWEST, Found, importances, judge, rows
from parzc_core.mabn import MABNConfig
from parzc_core.ranker import ModelConfig
from parzc_core.report import comparison
from parzc_core.report.tables import render_markdown
from parzc_core.runs import rankers as experiments
from parzc_core.runs.rankers import RankerRun
from parzc_core.search.methods import bohb
from parzc_core.storage import rows as result_rows
from parzc_core.storage.run_store import RunStore
from parzc_core.training import TrainingConfig, fit_many
from parzc_core.tuning import objective
from parzc_core.tuning.objective import SPLIT, Objective, StudyConfig, Undefined, fold_positions
from parzc_core.tuning.spaces import SIZES, SPACES, apply, tuning_space

needs_optuna = pytest.mark.skipif(not bohb.installed(), reason="optuna is not installed")
BASE = RankerRun(cells=60, train=20, split=SPLIT, size="tiny", epochs=2)
STUDY = StudyConfig("table10", "tiny", BASE)
GOOD = {"Dimension": 8, "Depth": 1, "Dropout": 0.1, "Batch Size": 16, "Epochs": 5, "Learning Rate": 1e-2}
OTHER = {"n_layers": 1, "pine_hidden": 9, "d_word_model": 48, "d_inner": 6, "epoch": 7, "dropout": 0.3}


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Data], None]]:
    """Gives the study other data than the stored."""
    yield lambda data: monkeypatch.setattr(RankerRun, "data", property(lambda base: data))
    objective.objective.cache_clear()


# Watching a training.


def test_a_watched_training_is_the_same_and_shows_each_epoch() -> None:
    generator = np.random.default_rng(0)
    inputs = [generator.normal(size=(12, 6)).astype(np.float32) for _ in range(2)]
    accuracy = [item[:, 0].astype(float) for item in inputs]
    config = TrainingConfig(ModelConfig(("Mixer", "BN"), MABNConfig(6, 32, 16, 4, 1)), epochs=4, batch_size=5)
    seen: list[tuple[int, list[list[float]]]] = []
    torch.manual_seed(7)
    state = torch.get_rng_state()
    plain = fit_many(inputs, accuracy, config, (3, 4))
    watched = fit_many(
        inputs, accuracy, config, (3, 4),
        watch=lambda epoch, rankers: seen.append((epoch, [r.predict(x).tolist() for r, x in zip(rankers, inputs, strict=True)])),
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(plain, watched, strict=True):
        assert one.history == other.history
        assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4]
    assert seen[-1][1] == [ranker.predict(item).tolist() for ranker, item in zip(plain, inputs, strict=True)]
    assert seen[0][1] != seen[-1][1]


def test_what_a_watcher_raises_ends_the_training() -> None:
    def watch(epoch: int, rankers: list[training.FittedRanker]) -> None:
        assert epoch <= 2
        if epoch == 2:
            raise Undefined

    with pytest.raises(Undefined):
        fit_many([np.eye(4, dtype=np.float32)], [np.arange(4.0)], TrainingConfig(epochs=9), watch=watch)


# Spaces.


def test_printed_ranges_are_those_of_the_paper() -> None:
    printed = paper.printed("table10").set_index("row")["note"]
    space = tuning_space("table10", "printed")
    for setting in space.settings:
        low, high = (float(text) for text in printed[setting.name].strip("[]").split(","))
        assert (setting.low, setting.high) == (low, high)
    assert {name: str(value) for name, value in space.fixed.items()} == printed.drop(
        [s.name for s in space.settings]
    ).to_dict()
    a4 = {s.name: (s.low, s.high) for s in tuning_space("a4", "printed").settings}
    assert a4 == {"n_layers": (2, 5), "pine_hidden": (8, 128), "d_word_model": (256, 1024), "d_inner": (256, 1024),
                  "epoch": (20, 300), "dropout": (0.01, 0.5)}  # fmt: skip
    assert set(tuning_space("a4").absent) == {"n_head", "d_kv"}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("size", SIZES)
def test_every_corner_of_a_space_is_a_ranker(name: str, size: str) -> None:
    space = tuning_space(name, size)
    start = TrainingConfig(ModelConfig(("NP", "Mixer", "BN"), MABNConfig(12)))
    for end in ("low", "high"):
        made = apply(space, {setting.name: getattr(setting, end) for setting in space.settings}, start)
        assert made.model is not None
        found = {**dataclasses.asdict(made.model.mabn), **dataclasses.asdict(made.model), **dataclasses.asdict(made)}
        assert all(found[setting.sets] == getattr(setting, end) for setting in space.settings)
        untouched = ({"segment", "input_dim", "mixing", "alpha", "losses", "weight_decay", "parts"}) & set(found)
        before = {**dataclasses.asdict(MABNConfig(12)), **dataclasses.asdict(start), "parts": ("NP", "Mixer", "BN")}
        assert all(found[field] == before[field] for field in untouched)


def test_settings_that_are_none_of_the_space_are_refused() -> None:
    space, start = tuning_space("table10", "tiny"), TrainingConfig(ModelConfig(("BN",), MABNConfig(12)))
    with pytest.raises(BadInput, match="expected exactly Dimension, Depth"):
        apply(space, {**GOOD, "n_head": 4}, start)
    with pytest.raises(BadInput, match=r"Epochs=4000; the space has \[5, 10\]"):
        apply(space, {**GOOD, "Epochs": 4000}, start)
    with pytest.raises(BadInput, match="without a model"):
        apply(space, GOOD, TrainingConfig())


# The objective.


@given(count=st.integers(4, 90), folds=st.integers(2, 6), seed=st.integers(0, 9))
def test_folds_are_disjoint_of_one_size_and_never_validate_what_they_learn(count: int, folds: int, seed: int) -> None:
    folds = min(folds, count // 2)
    made = fold_positions(count, folds, seed)
    validated = np.concatenate([validate for _, validate in made])
    assert len(set(validated)) == len(validated) == folds * (count // folds)
    for learn, validate in made:
        assert sorted([*learn, *validate]) == list(range(count))


def test_the_value_is_the_mean_tau_of_rankers_trained_on_the_other_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Objective(STUDY)
    learned: list[np.ndarray] = []

    def spy(inputs: list, accuracy: list, *rest: object) -> list:
        learned.extend(accuracy)
        return fit_many(inputs, accuracy, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(objective, "fit_many", spy)
    watched: list[tuple[int, float]] = []
    value = made.of(GOOD, lambda step, tau: watched.append((step, tau)))
    assert value == made.of(GOOD)
    assert watched[-1] == (10, value)
    assert [step for step, _ in watched] == sorted(step for step, _ in watched)
    assert value != made.of({**GOOD, "Dimension": 4})
    data, (train, _) = load(cells=60), training_cells(60, 20, SPLIT)
    for learn, (positions, _) in zip(learned, fold_positions(20, 3, SPLIT), strict=False):
        assert learn.tolist() == data.learn[train][positions].tolist()


def test_a_study_sees_no_label_but_its_training_cells_validation_accuracy(see: Callable[[Data], None]) -> None:
    data, (train, judged) = load(cells=60), training_cells(60, 20, SPLIT)
    value = Objective(STUDY).of(GOOD)
    poisoned = data.learn.copy()
    poisoned[judged] = np.nan
    see(dataclasses.replace(data, learn=poisoned, judged=np.full(60, np.nan)))
    assert Objective(STUDY).of(GOOD) == value
    poisoned = data.learn.copy()
    poisoned[train] = -poisoned[train]
    see(dataclasses.replace(data, learn=poisoned))
    assert Objective(STUDY).of(GOOD) != value


def test_a_constant_ranker_is_undefined(see: Callable[[Data], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.FittedRanker, "predict", lambda self, inputs, samples=0: np.zeros(len(inputs)))
    with pytest.raises(Undefined):
        Objective(STUDY).of(GOOD)


def test_another_ranker_space_or_seed_is_another_study() -> None:
    keys = [RunStore.key(study.key()) for study in (
        STUDY, StudyConfig("a4", "tiny", BASE), StudyConfig("table10", "small", BASE), dataclasses.replace(STUDY, seed=1),
        dataclasses.replace(STUDY, base=dataclasses.replace(BASE, epochs=3)))]  # fmt: skip
    assert len(set(keys)) == 5


# What is found.


def made_up(count: int = 40, state: str = "COMPLETE") -> Found:
    """Trials whose value is that of Depth and nothing else."""
    generator = np.random.default_rng(0)
    space = tuning_space("table10", "cpu")
    frame = pd.DataFrame({"study": "x", "number": range(count), "state": state, "seconds": 1.0, "reported": "10:50.0"})
    for s in space.settings:
        drawn = generator.uniform(s.low, s.high, count)
        frame[s.name] = drawn.round().astype(int) if s.step else drawn
    frame.insert(3, "value", 50 + 3.0 * frame["Depth"])
    return Found(StudyConfig("table10", "cpu", BASE), frame, default=50.0)


@needs_optuna
def test_importance_finds_the_setting_that_decides_and_none_in_few_trials() -> None:
    table = importances(made_up(), seeds=2, shuffles=4)
    assert table["importance"].idxmax() == "Depth"
    assert table.loc["Depth", "importance"] > 90
    assert table.loc["Depth", "least"] > table.loc["Depth", "chance"]
    assert (table.drop("Depth")["importance"] < table.drop("Depth")["chance"]).all()
    assert table["importance"].sum() == pytest.approx(100, abs=1)
    assert importances(made_up(FEWEST - 1)).isna().all(axis=None)


def test_the_best_is_of_the_trials_trained_to_their_end() -> None:
    found = made_up()
    found.trials.loc[3, ["state", "value"]] = ["PRUNED", 99.0]
    assert found.best["Depth"] == found.complete["Depth"].max()
    assert isinstance(found.best["Depth"], int)
    with pytest.raises(BadInput, match="40 trials, none trained to its end"):
        made_up(state="PRUNED").best  # noqa: B018


def small(space: str, values: dict[str, float]) -> Found:
    trials = pd.DataFrame([{"study": "x", "number": 0, "state": "COMPLETE", "value": 60.0, "seconds": 1.0, **values}])
    return Found(StudyConfig(space, "tiny", BASE), trials, default=55.0)


def test_settings_are_judged_where_no_study_has_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [small("table10", GOOD), small("a4", OTHER)]
    studied = set(training_cells(60, 20, SPLIT)[0])
    seen: list[set[int]] = []

    def spy(base: RankerRun, data: Data, train: np.ndarray) -> object:
        seen.append(set(train))
        return experiments.inputs_for(base, data, train)

    monkeypatch.setattr(table10, "inputs_for", spy)
    predicted: list[int] = []
    predict = training.FittedRanker.predict
    monkeypatch.setattr(
        training.FittedRanker,
        "predict",
        lambda self, inputs, samples=0: (predicted.append(len(inputs)), predict(self, inputs))[1],
    )
    taus = judge(found, 2, tmp_path / "runs.jsonl")
    assert taus.shape == (2, 3)
    assert list(taus) == [DEFAULTS, "best of Table 10's space", "best of A.4's space"]
    assert seen
    assert all(len(train) == 20 and not train & studied for train in seen)
    assert set(predicted) == {20}  # of 60 cells 20 are the study's, 20 are learned from
    seen.clear()
    pd.testing.assert_frame_equal(judge(found, 2, tmp_path / "runs.jsonl"), taus)
    assert seen == []
    assert judge(found, 6, tmp_path / "runs.jsonl").iloc[:2].equals(taus)
    for wrong in ([found[0], found[0]], [], [found[0], dataclasses.replace(found[1], study=StudyConfig("a4"))]):
        with pytest.raises(BadInput, match="expected o"):
            judge(wrong, 2, tmp_path / "runs.jsonl")


def test_rows_stand_beside_the_printed_ranges(tmp_path: Path) -> None:
    found = [small("table10", GOOD), small("a4", OTHER)]
    taus = pd.DataFrame({DEFAULTS: [50.0, 52.0], found[0].name: [53.0, 55.0], found[1].name: [50.0, 50.0]})
    result_rows.write_rows("table10", rows(found, taus, "smoke", "NB201 20"), "smoke", {}, folder=tmp_path)
    table = comparison.compare("table10", "smoke", folder=tmp_path)
    assert (table["metric"] == "text").sum() == 8
    ours = table[table["metric"] != "text"].set_index(["row", "column"])
    assert ours.loc[("Learning Rate", "Table 10: best of ours"), ["ours", "unit"]].tolist() == [pytest.approx(0.01), ""]
    assert "| [1e-4, 1e-2] (quoted) |" in (markdown := render_markdown(table))
    assert "| 0.01 new (ours) (f) |" in markdown  # in the unit of the printed range beside it
    assert ours.loc[("Depth", "Table 10: best of ours"), "ours"] == 1
    assert "searched in [1, 2], printed as [2, 8]" in ours.loc[("Depth", "Table 10: best of ours"), "note"]
    assert ours.loc[("ParZC, best of Table 10's space", "gain"), "ours"] == pytest.approx(3)
    assert ours.loc[("ParZC, best of A.4's space", "gain"), ["ours", "ci_high"]].tolist() == [-1, 0]


def test_figures_draw_every_trial_and_setting() -> None:
    found = made_up()
    found.trials.loc[:9, "state"] = "PRUNED"
    figure = table10.tuning_history({"Table 10": found, "again": found})
    full, ended, best, default = figure.axes[0].get_lines()
    assert (len(full.get_xdata()), len(ended.get_xdata())) == (30, 10)
    so_far = list(np.maximum.accumulate(found.complete["value"]))
    assert list(best.get_ydata()) == [*so_far, so_far[-1]]  # to the last trial
    assert set(default.get_ydata()) == {50.0}
    table = pd.DataFrame(
        {"importance": [70.0, 30], "least": [60.0, 30], "most": [80.0, 30], "chance": [20.0, 40]}, index=["a", "b"]
    )
    drawn = table10.tuning_importance({"Table 10": table, "few": table * np.nan}).axes
    assert [bar.get_width() for bar in drawn[0].patches] == [30, 70]
    first, second = table10.tuning_importance({"few": table * np.nan, "Table 10": table}).axes
    assert first.get_xlim()[1] == second.get_xlim()[1] > 70  # a panel without bars leaves the others' in sight
    assert [text.get_text() for text in drawn[1].texts] == ["too few trials"]
    for draw in (table10.tuning_history, table10.tuning_importance):
        with pytest.raises(BadInput, match="got no study"):
            draw({})


@needs_optuna
def test_the_command_runs_resumes_and_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = ["tune", "--size", "tiny", "--cells", "60", "--train", "20", "--out", str(tmp_path / "a.sqlite")]
    assert main([*usual, "--trials", "1"]) == 0
    assert "best of 1 trials trained to their end (1 in all): Dimension" in capsys.readouterr().out
    assert main([*usual, "--trials", "2"]) == 0
    assert len(pd.read_csv(tmp_path / "a.csv")) == 2
    assert main([*usual, "--trials", "2", "--seed", "3"]) == 2
    assert "seed 0 there, 3 asked for" in capsys.readouterr().err
    assert main([*usual, "--space", "table11"]) == 2
    with pytest.raises(SystemExit):
        main([*usual, "--trials", "0"])


def test_conclusions_tell_a_gain_from_chance() -> None:
    columns = ["our mean difference", "ci_low", "ci_high", "gain in the study"]
    values = [[0.4, -1.0, 1.5, 5.0], [2.0, 1.0, 3.0, 4.0], [-1.4, -2.2, -0.5, 3.7]]
    first, second, third = table10.conclusions(pd.DataFrame(values, ["a - defaults", "b - defaults", "c - defaults"], columns))
    assert first.startswith("**a**: +5.0 points on the study's own validation parts, +0.4 [-1.0, 1.5]")
    assert [said.rpartition(": ")[2] for said in (first, second, third)] == [
        "no clear difference.",
        "a gain.",
        "a loss.",
    ]
