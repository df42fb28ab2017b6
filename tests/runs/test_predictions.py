"""Predictions of unseen cells: what counts as the same cell, what is stored, and that nothing is trained twice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from parzc_core import encoding, paths
from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import Data, judgeable
from parzc_core.collector import NodeStatistics
from parzc_core.runs import predictions, rankers
from parzc_core.runs.predictions import Prediction, predict_unseen
from parzc_core.runs.rankers import RankerRun
from parzc_core.spaces import nb201
from parzc_core.spaces.nb201_cells import canonical
from parzc_core.storage.statistics import Collection, Record, StatisticsStore, pack

RUN = RankerRun(train=20, size="tiny", epochs=2)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Data:
    """Forty cells, the last ten isomorphic to one before, with statistics made up; seen as if they were collected."""
    generator = np.random.default_rng(0)
    archs = nb201.sample(30, 0)
    standing = {canonical(arch)[0] for arch in archs}
    archs += [arch for arch in nb201.sample(2000, 0)[30:] if canonical(arch)[0] in standing][:10]
    nodes = nb201.SLOTS[:12]
    statistics = [
        NodeStatistics(
            nodes, encoding.PAPER_PROXIES, generator.uniform(size=(3, 12)), np.ones(12, int), tuple(range(12))
        )
        for _ in archs
    ]
    graphs = [nb201.graph(arch) for arch in archs]
    accuracy = generator.uniform(10, 94, 40)
    data = Data(
        Collection(archs, statistics, pd.DataFrame(index=archs), {"shards": {"one": "sha"}}),
        accuracy,
        accuracy + 1,
        "test",
        "judged on made-up accuracy",
        np.stack([graph.adjacency for graph in graphs]),
        np.stack([graph.operations for graph in graphs]),
    )
    monkeypatch.setattr(labelled, "load", lambda *_: data)
    return data


def test_every_cell_not_trained_on_is_predicted_once(few: Data, tmp_path: Path) -> None:
    (found,) = predict_unseen([RUN], tmp_path / "runs.jsonl")
    train, judged = labelled.training_cells(40, 20, 0)
    assert found.archs == tuple(few.collection.archs[i] for i in judged)
    assert np.array_equal(found.truth, few.judged[judged])
    assert np.array_equal(found.validation, few.learn[judged])
    ranker, inputs, _, _ = rankers.train_ranker(RUN)
    assert np.array_equal(found.score, ranker.predict(inputs[judged]))  # to the last bit, through the store
    seen = {canonical(few.collection.archs[i])[0] for i in train}
    assert found.twin.tolist() == [canonical(arch)[0] in seen for arch in found.archs]
    assert 0 < sum(found.twin) < len(found.twin)


def test_a_stored_run_is_not_trained_again(few: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = RankerRun(train=20, size="tiny", epochs=2, split=1)
    first = predict_unseen([RUN], tmp_path / "runs.jsonl")[0]
    trained: list[RankerRun] = []
    real = rankers.train_ranker
    monkeypatch.setattr(predictions, "train_ranker", lambda run: (trained.append(run), real(run))[1])
    again = predict_unseen([other, RUN], tmp_path / "runs.jsonl")
    assert trained == [other]
    assert np.array_equal(again[1].score, first.score)
    assert [item.run for item in again] == [other, RUN]


def made(score: np.ndarray, truth: np.ndarray, twin: np.ndarray | None = None) -> Prediction:
    archs = tuple(nb201.sample(len(score), 0))
    return Prediction(RUN, archs, score, truth, -truth, np.zeros(len(score), bool) if twin is None else twin, "a note")


def test_correlations_are_of_each_population() -> None:
    truth = np.linspace(50, 90, 100)
    score = truth.copy()
    score[-10:] = score[-10:][::-1]  # the best tenth upside down
    twin = np.zeros(100, bool)
    twin[-10:] = True
    table = made(score, truth, twin).correlations(resamples=50)
    assert table["cells"].tolist() == [100, 90, 10]
    assert table["ceiling"].tolist() == pytest.approx([-100, -100, -100])
    assert table["kendall"].tolist() == pytest.approx([100 * (1 - 2 * 45 / 4950), 100, -100])
    assert (table["ci_low"] <= table["kendall"] + 1e-9).all()
    assert (table["kendall"] <= table["ci_high"] + 1e-9).all()


def test_search_tells_what_choosing_by_score_gives() -> None:
    truth = np.arange(30, 50.0)
    score = truth.copy()
    score[-1] = 0  # the best cell is put last
    found = list(made(score, truth).search(k=5).values())
    assert found == [49, 48, 80, 20]


def test_judgeable_counts_from_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: Data) -> None:
    monkeypatch.setattr(paths, "STATISTICS", tmp_path)
    assert judgeable("nb201", "cifar10") == 0
    store = StatisticsStore(tmp_path / "nb201" / "cifar10")
    archs = few.collection.archs
    store.open({"config": {}}, archs, starts=[0, 15, 30])
    assert judgeable("nb201", "cifar10") == 0
    for number, expected in ((1, 0), (0, 30), (2, 40)):
        part = slice(15 * number, 15 * number + 15)
        pairs = zip(archs[part], few.collection.statistics[part], strict=True)
        store.add(number, pack([Record(a, s, {}, part.start + i) for i, (a, s) in enumerate(pairs)]))
        assert judgeable("nb201", "cifar10") == expected
