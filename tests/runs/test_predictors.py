"""Runs of predictors: the cells and the judgement of the rankers beside them, and what a stored run is known by."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data, training_cells
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.predictors import registry
from parzc_core.predictors.nn_former import WarmSchedule
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.registry import PREDICTORS, Entry, predictor
from parzc_core.ranker import Inputs
from parzc_core.runs import predictors
from parzc_core.runs.predictors import ALSO, PredictorRun, run_predictors
from parzc_core.spaces import nb201, stacked_graphs
from parzc_core.storage.statistics import Collection

RUN = PredictorRun("graph extra-trees", train=20, changes=(("trees", 10),))
ARCHS = nb201.sample(120, 0)


def made_up(shards: str = "sha", **changes) -> Data:
    generator = np.random.default_rng(0)
    nodes = nb201.SLOTS[:2]
    one = NodeStatistics(nodes, ("snip",), generator.uniform(size=(1, 2)), np.ones(2, int), (0, 1))
    scores = pd.DataFrame({"params": generator.uniform(size=120)}, index=ARCHS)
    collection = Collection(ARCHS, [one] * 120, scores, {"shards": {"one": shards}})
    learn = np.array([arch.count("conv_3x3") - arch.count("none") for arch in ARCHS]) + generator.normal(size=120) / 9
    data = Data(collection, learn, learn + 1, "test", "judged on made-up accuracy", *stacked_graphs("nb201", ARCHS))
    return dataclasses.replace(data, **changes)


@pytest.fixture(autouse=True)
def data(monkeypatch):
    use(monkeypatch, found := made_up())
    return found


def use(monkeypatch, data: Data) -> None:
    monkeypatch.setattr(labelled, "load", lambda *_: data)


class Means:
    """Scores an architecture by its own accuracy if it was given it, else by the mean; reads positions in place of inputs."""

    has_spread = False

    def fit(self, inputs, accuracy, seed, unlabelled=None):
        self.known, self.rest = dict(zip(inputs.tolist(), accuracy.tolist(), strict=True)), len(unlabelled)
        return self

    def predict(self, inputs, samples=0):
        assert self.rest == 120
        assert not set(inputs.tolist()) & set(self.known)
        return np.sin(inputs.astype(float))


@dataclasses.dataclass(frozen=True)
class NoConfig:
    steps: int = 3


def test_a_predictor_is_judged_as_a_ranker_on_the_same_cells(data, monkeypatch):
    monkeypatch.setattr(predictors, "time", SimpleNamespace(process_time=itertools.count(step=2.5).__next__))
    for split in (0, 7):
        run = dataclasses.replace(RUN, split=split)
        train, judged = training_cells(120, 20, split)
        inputs = Inputs(None, data.adjacency, data.operations)
        fitted = predictor(RUN.predictor, "nb201", trees=10).fit(inputs[train], data.learn[train], seed=split)
        score, truth = fitted.predict(inputs[judged]), data.judged[judged]
        found, ours, theirs = run.scores()
        assert [ours.tolist(), theirs.tolist()] == [train.tolist(), judged.tolist()]
        np.testing.assert_array_equal(found, score)
        result = run.evaluate()
        assert result["kendall"] == pytest.approx(100 * scipy.stats.kendalltau(score, truth).statistic)
        assert result["spearman"] == pytest.approx(100 * scipy.stats.spearmanr(score, truth).statistic)
        assert result["pearson"] == pytest.approx(100 * scipy.stats.pearsonr(score, truth).statistic)
        assert (result["n"], result["judged_on"]) == (100, "test")
        assert result["kendall_100"] == pytest.approx(result["kendall"])  # a hundred of a hundred
        assert 0 <= result["top10"] <= 100
        assert result["kendall"] > 40
        assert result["seconds"] == 2.5


def test_it_never_sees_accuracies_of_judged_cells(data, monkeypatch):
    found, _, judged = RUN.scores()
    learn = data.learn.copy()
    learn[judged] = np.random.default_rng(1).normal(size=len(judged))
    use(monkeypatch, dataclasses.replace(data, learn=learn, judged=-data.judged))
    np.testing.assert_array_equal(RUN.scores()[0], found)


def test_results_have_what_results_of_rankers_have(tmp_path):
    found = run_predictors([RUN], tmp_path / "runs.jsonl")
    of_rankers = {"kendall", "spearman", "pearson", "top10", "kendall_100", "n", "seconds", "judged_on"}
    assert of_rankers | {"predictor", "space", "dataset", "train", "split"} <= set(found)


def test_only_what_the_store_lacks_is_computed(tmp_path, monkeypatch):
    plan = [RUN, dataclasses.replace(RUN, split=1)]
    first = run_predictors(plan[:1], tmp_path / "runs.jsonl")
    asked, real = [], PredictorRun.evaluate
    monkeypatch.setattr(PredictorRun, "evaluate", lambda run: asked.append(run) or real(run))
    both = run_predictors([*plan, RUN], tmp_path / "runs.jsonl")
    assert asked == plan[1:]
    assert both["split"].tolist() == [0, 1, 0]
    assert both["kendall"].iloc[[0, 2]].tolist() == first["kendall"].tolist() * 2
    assert len(run_predictors([], tmp_path / "runs.jsonl")) == 0


def test_a_key_holds_what_decides_the_result_and_nothing_else(monkeypatch):
    key = RUN.key()
    same = dataclasses.replace(RUN, changes=(("trees", 10), ("share", 1 / 3)))  # as its configuration has it
    assert same.key() == key
    others = [{"split": 1}, {"train": 21}, {"changes": ()}, {"predictor": "one-hot extra-trees"}]
    assert all(dataclasses.replace(RUN, **change).key() != key for change in others)
    use(monkeypatch, made_up(shards="other"))
    assert RUN.key() == key  # graphs alone are read
    for change in ({"judged_on": "val"}, {"learned_from": "test"}):
        use(monkeypatch, made_up(**change))
        assert RUN.key() != key


def test_other_labels_and_a_changed_predictor_are_other_runs(monkeypatch):
    key = RUN.key()
    monkeypatch.setattr(labelled, "load", lambda *_: made_up())
    assert dataclasses.replace(RUN, seeds="trained").key() == key | {"seeds": "trained"}
    monkeypatch.setitem(PREDICTORS, RUN.predictor, dataclasses.replace(PREDICTORS[RUN.predictor], version=2))
    assert RUN.key() == key | {"predictor_version": 2}


def test_an_entry_says_what_its_predictor_reads(monkeypatch, data):
    asked = []

    def positions(data, train):
        asked.append(train.tolist())
        return np.arange(len(data))

    entry = Entry(lambda kinds: NoConfig(), lambda config: Means(), reads=positions)
    monkeypatch.setitem(PREDICTORS, "means", entry)
    run = PredictorRun("means", train=20)
    found, train, judged = run.scores()
    assert asked == [train.tolist()]
    np.testing.assert_array_equal(found, np.sin(judged))


def test_a_key_knows_the_columns_that_features_are_made_of(monkeypatch, data):
    run = PredictorRun("ParZC+", train=20)
    graphs = PredictorRun("ParZC+", train=20, changes=(("parts", ("graph",)),))
    key, alone = run.key(), graphs.key()
    for name, same in (("params", False), ("a new score", True)):
        scores = data.collection.scores.assign(**{name: 3.0})
        use(monkeypatch, dataclasses.replace(data, collection=dataclasses.replace(data.collection, scores=scores)))
        assert (run.key() == key) is same
        assert graphs.key() == alone


def test_the_schedule_of_a_run_can_be_changed_and_is_stored(tmp_path):
    quick = PredictorRun("GATES", train=20, changes=(("schedule", Schedule(2, 512, 1e-3)),))
    assert quick.key() != dataclasses.replace(quick, changes=(("schedule", Schedule(3, 512, 1e-3)),)).key()
    first = run_predictors([quick], tmp_path / "runs.jsonl")
    again = run_predictors([quick], tmp_path / "runs.jsonl")
    pd.testing.assert_frame_equal(first, again)


def test_bad_runs_are_refused():
    with pytest.raises(UnknownName, match="one of: NP, NP"):
        PredictorRun("SPOS")
    with pytest.raises(BadInput, match="changes of leaves; the configuration of graph extra-trees has kinds, features"):
        PredictorRun("graph extra-trees", changes=(("leaves", 3),))
    with pytest.raises(BadInput, match="at least two"):
        PredictorRun("NP", train=1)
    assert registry.graphs_alone is PREDICTORS["PINAT"].reads


def test_nn_former_is_also_judged_on_all_cells_as_in_its_paper(data):
    small = {"width": 16, "depth": 1, "hidden": 32, "schedule": WarmSchedule(3, 20, 1e-3)}
    run = PredictorRun("NN-Former", train=20, changes=tuple(small.items()))
    result = run.evaluate()
    fitted, inputs, _, judged = run.fitted()
    every = scipy.stats.kendalltau(fitted.predict(inputs), data.judged).statistic
    unseen = scipy.stats.kendalltau(fitted.predict(inputs[judged]), data.judged[judged]).statistic
    assert result["kendall_all"] == pytest.approx(100 * every)
    assert result["kendall"] == pytest.approx(100 * unseen)
    assert every != unseen


def test_the_best_checkpoint_is_the_best_on_the_judged_cells(data):
    schedule = (("schedule", Schedule(25, 20, 1e-3)),)
    run, plain = (PredictorRun(name, train=20, changes=schedule) for name in ("CTNAS (best checkpoint)", "CTNAS"))
    result = run.evaluate()
    fitted, inputs, _, judged = run.fitted()
    each = fitted.predict_each(inputs[judged])
    taus = [100 * scipy.stats.kendalltau(scores, data.judged[judged]).statistic for scores in each]
    assert len(taus) == 10
    np.testing.assert_array_equal(each[-1], fitted.predict(inputs[judged]))
    assert result["kendall_best"] == pytest.approx(max(taus))
    assert result["kendall_100_best"] == pytest.approx(max(taus))  # a hundred of a hundred
    assert result["kendall"] == plain.evaluate()["kendall"] == pytest.approx(taus[-1])  # the same training
    assert len({round(tau, 6) for tau in taus}) > 3


def test_no_other_predictor_has_more_than_a_judgement():
    assert set(ALSO) == {"NN-Former", "CTNAS (best checkpoint)"} <= set(PREDICTORS)
    assert not set(RUN.evaluate()) & {"kendall_all", "kendall_best", "kendall_100_best"}
