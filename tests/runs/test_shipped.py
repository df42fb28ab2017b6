"""The rankers that come with the project: each loads, ranks, and says what it has learned from; and how they are made."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parzc_core import metrics
from parzc_core.collecting import labelled
from parzc_core.errors import BadInput
from parzc_core.runs import shipped
from parzc_core.training import load_ranker

SOME = 300  # unseen cells that are scored anew


@pytest.fixture(scope="module", params=list(shipped.DATASETS), ids="-".join)
def kept(request: pytest.FixtureRequest) -> Any:
    """Space, data set, ranker, scores, and the collection."""
    space, dataset = request.param
    data = labelled.load(space, dataset, None, shipped.DATASETS[request.param])
    return space, dataset, shipped.load(space, dataset), shipped.scored(space, dataset), data


def test_it_is_small_and_says_what_it_learned_from(kept: Any) -> None:
    space, dataset, ranker, scored, data = kept
    file = shipped.file_of(space, dataset)
    assert file.stat().st_size < 1_000_000
    assert shipped.scores_beside(file).stat().st_size < 500_000
    about = ranker.trained_on
    assert (about["space"], about["dataset"]) == (space, dataset)
    expected, others = labelled.training_cells(len(data), shipped.TRAIN, shipped.SPLIT)
    assert sorted(shipped.training_archs(ranker)) == sorted(data.collection.archs[i] for i in expected)
    assert scored.train.tolist() == expected.tolist()
    assert np.flatnonzero(scored.unseen).tolist() == others.tolist()
    scored.check(data.collection.archs)
    assert set(scored.scores) == set(shipped.RANKERS)
    assert set(scored.spreads) == {"ParZC", "ParZC+"}


def test_it_ranks_and_the_stored_scores_are_its_own(kept: Any) -> None:
    _, _, ranker, scored, data = kept
    some = np.flatnonzero(scored.unseen)[:SOME]
    inputs = shipped.inputs_of(ranker, data)[some]
    score = ranker.predict(inputs)
    of_statistics = dataclasses.replace(inputs, statistics=ranker.encoder.transform([data.statistics[i] for i in some]))
    np.testing.assert_allclose(ranker.predict(of_statistics), score, rtol=1e-5, atol=1e-6)
    assert metrics.spearman(score, scored.scores["ParZC"][some]) > 99  # mean weights beside the mean over draws
    assert (scored.spreads["ParZC"] > 0).all()


def test_tau_is_that_of_the_cells_it_has_not_seen_and_better_than_any_proxy(kept: Any) -> None:
    _, _, ranker, scored, data = kept
    unseen, judged = scored.unseen, data.judged
    taus = {name: metrics.kendall(score[unseen], judged[unseen]) for name, score in scored.scores.items()}
    assert taus["ParZC"] == pytest.approx(ranker.trained_on["kendall"], abs=0.5)
    some = np.flatnonzero(unseen)[:2000]
    sums = {name: np.array([data.statistics[i].of(name).sum() for i in some]) for name in data.statistics[0].proxies}
    best = max(abs(metrics.kendall(values, judged[some])) for values in sums.values())
    assert min(taus["ParZC"], taus["ParZC+"]) > best + 10
    seen = {name: metrics.kendall(score[~unseen], judged[~unseen]) for name, score in scored.scores.items()}
    assert seen["ParZC+"] > taus["ParZC+"]  # what was learned from is easier, which is why it is left out


def test_both_files_are_made_by_two_functions_from_the_same_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shipped.planned(cells=60, train=20, epochs=2, size="tiny")
    file, tau = shipped.train_and_save(run, tmp_path / "nb201_cifar10.npz")
    ranker, data = load_ranker(file), run.data
    learned, unseen = labelled.training_cells(60, 20, 0)
    assert ranker.trained_on["learned_from"] == data.learned_from
    assert ranker.trained_on["judged_on"] == data.judged_on
    read = shipped.inputs_of(ranker, data)
    assert metrics.kendall(ranker.predict(read[unseen]), data.judged[unseen]) == pytest.approx(tau, abs=1e-6)
    assert shipped.training_archs(ranker) == [data.collection.archs[i] for i in learned]
    made = shipped.score_and_save(run, file)
    assert made == tmp_path / "nb201_cifar10_scores.npz"
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    scored = shipped.scored()
    scored.check(data.collection.archs)
    np.testing.assert_allclose(scored.scores["ParZC"], ranker.predict(read, shipped.DRAWS)[0], rtol=1e-5, atol=1e-6)
    assert scored.train.tolist() == learned.tolist()
    with pytest.raises(BadInput, match="not those that were scored"):
        scored.check(data.collection.archs[::-1])


def test_what_is_missing_damaged_or_of_another_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(BadInput, match="parzc ranker --space nb201 --dataset cifar10"):
        shipped.scored()
    shipped.load.cache_clear()
    with pytest.raises(BadInput, match="make it with"):
        shipped.load()
    shipped.load.cache_clear()
    with pytest.raises(BadInput, match=r"rankers come for nb201 cifar10.*nb101 cifar10"):
        shipped.planned("nb101", "cifar100")
    path = tmp_path / "nb201_cifar10_scores.npz"
    for about in ({"format": "x", "version": 1}, {"format": shipped.FORMAT.name, "version": 99}, {}):
        np.savez(path, about=np.array(json.dumps(about)))
        with pytest.raises(BadInput, match=r"(holds no scores of rankers|version 99 .*); make it with: parzc ranker"):
            shipped.scored()
