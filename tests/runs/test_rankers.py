"""Runs on a small real-format collection: what is judged, what is stored, what is computed again."""

import dataclasses

import numpy as np
import pytest

from parzc_core import labels, metrics, paper, paths
from parzc_core.collecting import labelled as labelled_
from parzc_core.collecting.labelled import _labelled, load, training_cells
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.errors import BadInput, LabelsMissing, UnknownName
from parzc_core.experiments import table01_zero_cost_proxies as table01
from parzc_core.runs import proxies
from parzc_core.runs.rankers import GROUP, RankerRun, inputs_for, run_rankers, train_ranker
from parzc_core.scores import registry
from parzc_core.spaces import nb201

RUN = RankerRun(train=12, size="tiny", epochs=2)


def norms(passes):
    return sum(float(one.detach().norm()) for one in passes.model.parameters())


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    """30 cells of small networks, and dearer scores of the first 20 of them, collected once; norms stand in for the dear."""
    folder = tmp_path_factory.mktemp("statistics")
    patch = pytest.MonkeyPatch()
    build = nb201.build
    patch.setattr(nb201, "build", lambda arch, **rest: build(arch, channels=4, **rest))
    collect(CollectionConfig(cells=30, batch=4), folder / "nb201" / "cifar10")
    dearer = ("eznas", "logsynflow", "gradsign", "ntk_condition", "knas", "nasi")
    for name in dearer:
        patch.setitem(registry.REGISTRY, name, norms)
    part = CollectionConfig(cells=20, batch=4, proxies=(), scores=dearer, share_isomorphic=True)
    collect(part, folder / "nb201" / "scores" / "cifar10" / "part")
    patch.undo()
    return folder


@pytest.fixture(autouse=True)
def _use(statistics, monkeypatch):
    monkeypatch.setattr(paths, "STATISTICS", statistics)
    _labelled.cache_clear()
    yield
    _labelled.cache_clear()


def test_labels_belong_to_the_cells():
    data = load()
    assert len(data) == 30
    validation = labels.accuracy("nb201", "cifar10", "val")
    assert data.learn.tolist() == validation.loc[nb201.sample(30, 0)].tolist()
    assert data.adjacency.shape == (30, 8, 8)


def test_without_test_labels_rankers_are_judged_on_validation_and_say_so(monkeypatch):
    real = labels.accuracy

    def no_test(space, dataset, split, source=None, seeds="mean"):
        if split == "test":
            raise LabelsMissing("no test labels; run parzc data fetch")
        return real(space, dataset, split, source)

    monkeypatch.setattr(labels, "accuracy", no_test)
    data = load()
    assert data.judged_on == "val"
    assert "validation accuracy" in data.note
    assert np.array_equal(data.judged, data.learn)


def test_training_and_judged_cells_are_disjoint_and_everything():
    train, judged = training_cells(30, 12, 3)
    assert len(train) == 12
    assert sorted([*train, *judged]) == list(range(30))
    assert not np.array_equal(train, training_cells(30, 12, 4)[0])
    with pytest.raises(BadInput, match="fewer than there are"):
        training_cells(30, 30, 0)


def test_a_ranker_never_sees_labels_of_judged_cells(monkeypatch):
    """Changing every label but the training cells' validation accuracy changes no prediction."""
    ranker, inputs, train, judged = train_ranker(RUN)
    data = load()
    learn, rng = data.learn.copy(), np.random.default_rng(0)
    learn[judged] = rng.normal(size=len(judged))
    other = dataclasses.replace(data, learn=learn, judged=rng.normal(size=30))
    monkeypatch.setattr(labelled_, "load", lambda *_: other)
    again, inputs_again, train_again, _ = train_ranker(RUN)
    assert np.array_equal(train, train_again)
    assert np.array_equal(ranker.predict(inputs), again.predict(inputs_again))


def test_aligned_inputs_are_standardised_on_the_training_cells():
    run = dataclasses.replace(RUN, encoding="aligned")
    train, _ = training_cells(30, 12, 0)
    encoded = inputs_for(run, load(), train).statistics
    assert encoded.shape == (30, 3 * 98)
    stem = encoded[train][:, 0]  # every cell has a stem, so nothing is absent or cut off there
    assert abs(stem.mean()) < 1e-5
    assert stem.std() == pytest.approx(1, abs=1e-4)


def test_results_are_what_scipy_says_of_the_predictions():
    results = RUN.evaluate_group()
    assert len(results) == GROUP
    assert {r["n"] for r in results} == {18}
    assert len({r["kendall"] for r in results}) > 1
    low, high = results[0]["kendall_interval"]
    assert low <= results[0]["kendall"] <= high
    again = dataclasses.replace(RUN, split=3).evaluate_group()  # of the same group
    assert [{**r, "seconds": 0} for r in again] == [{**r, "seconds": 0} for r in results]
    alone = dataclasses.replace(RUN, split=3).evaluate()
    assert {**alone, "seconds": 0} == {**results[3], "seconds": 0}


def test_stored_runs_are_not_computed_again(tmp_path, monkeypatch):
    runs = [dataclasses.replace(RUN, split=split) for split in range(3)]
    first = run_rankers(runs, tmp_path / "runs.jsonl")
    assert first["split"].tolist() == [0, 1, 2]
    asked, real = [], RankerRun.evaluate_group
    monkeypatch.setattr(RankerRun, "evaluate_group", lambda run: asked.append(run) or real(run))
    again = run_rankers([*runs, dataclasses.replace(RUN, split=4)], tmp_path / "runs.jsonl")
    assert asked == []
    assert again["kendall"].tolist()[:3] == first["kendall"].tolist()
    run_rankers([dataclasses.replace(RUN, split=6), dataclasses.replace(RUN, split=9)], tmp_path / "runs.jsonl")
    assert [run.split for run in asked] == [5]  # one group holds both


def test_a_killed_run_keeps_what_was_done(tmp_path, monkeypatch):
    real = RankerRun.evaluate_group

    def dies(run):
        if run.encoding == "aligned":
            raise KeyboardInterrupt
        return real(run)

    runs = [RUN, dataclasses.replace(RUN, encoding="aligned")]
    monkeypatch.setattr(RankerRun, "evaluate_group", dies)
    with pytest.raises(KeyboardInterrupt):
        run_rankers(runs, tmp_path / "runs.jsonl")
    asked = []
    monkeypatch.setattr(RankerRun, "evaluate_group", lambda run: asked.append(run) or real(run))
    assert len(run_rankers(runs, tmp_path / "runs.jsonl")) == 2
    assert [run.encoding for run in asked] == ["aligned"]


def test_bad_runs_are_refused():
    with pytest.raises(UnknownName, match="paper, aligned"):
        RankerRun(encoding="onehot")
    with pytest.raises(UnknownName, match="tiny"):
        RankerRun(size="huge")
    with pytest.raises(BadInput, match="at least two"):
        RankerRun(train=1)


def test_table_1_rows_are_correlations_over_finite_cells():
    data = load()
    scores = proxies.network_scores(data)
    assert list(scores) == list(paper.PROXY_LABELS)
    correlations = proxies.proxy_correlations(data, resamples=20)
    for proxy in ("snip", "nwot"):
        finite = np.isfinite(scores[proxy].to_numpy())
        expected = metrics.kendall(scores[proxy].to_numpy()[finite], data.judged[finite])
        row = correlations[(correlations["proxy"] == proxy) & (correlations["metric"] == "kendall")].iloc[0]
        assert row["value"] == pytest.approx(expected)
        assert (row["n"], row["not_finite"]) == (finite.sum(), (~finite).sum())
    part = correlations[(correlations["proxy"] == "gradsign") & (correlations["metric"] == "kendall")].iloc[0]
    assert (part["n"], part["not_finite"]) == (20, 0)
    assert part["value"] == pytest.approx(metrics.kendall(scores["gradsign"].to_numpy()[:20], data.judged[:20]))
    rows = table01.rows_of_proxies("NB201-CF10", data, correlations, "smoke")
    assert len(rows) == 2 * len(paper.PROXY_LABELS)
    assert {row.origin for row in rows} == {"reproduced"}
    assert all("judged on" in row.note for row in rows)


def test_flops_of_nas_bench_201_are_the_published_ones_whatever_was_stored():
    data = load()
    flops = proxies.network_scores(data)["flops"]
    assert flops.tolist() == [nb201.flops(arch) for arch in data.collection.archs]
    assert len(table01.flops_beside_params({})) == 0
    (said,) = table01.flops_beside_params({"NB201-CF10": data})
    assert f"FLOPs {metrics.kendall(flops.to_numpy(), data.judged):.1f} on {data.judged_on}" in said
    assert "(printed 50)" in said


def test_scores_of_another_sample_are_refused():
    collection = load().collection
    other = dataclasses.replace(collection, archs=collection.archs[::-1])
    with pytest.raises(BadInput, match="another sample"):
        collection.with_scores(other)


def test_aggregations_by_hand():
    data = load()
    table = table01.aggregations(data, ["snip"]).loc["SNIP"]
    values = [one.of("snip") for one in data.collection.statistics]
    expected = {
        "mean over nodes": [v.mean() for v in values],
        "mean over weights": [
            v.sum() / one.numel.sum() for v, one in zip(values, data.collection.statistics, strict=True)
        ],
    }
    for name, score in expected.items():
        assert table[name] == pytest.approx(metrics.kendall(np.array(score), data.judged))
    assert table["sum over nodes"] != table["mean over nodes"]
    labelled = table01.by_labels(data).loc["SNIP"]
    assert labelled[f"judged on {data.judged_on}"] == pytest.approx(table["sum over nodes"])
    assert labelled["judged on val"] == pytest.approx(metrics.kendall(np.array([v.sum() for v in values]), data.learn))
    better = np.argsort(data.judged)[int(0.1 * (len(data) - 1)) + 1 :]
    score = np.array([v.sum() for v in values])
    assert labelled["without the worst tenth"] == pytest.approx(metrics.kendall(score[better], data.judged[better]))


def test_a_column_without_labels_or_statistics_is_left_out_and_says_why(statistics, monkeypatch):
    monkeypatch.setattr(paths, "STATISTICS", statistics)
    assert (
        "30 architectures collected, 1000 needed" in table01.collected(["NB201-CF10"])[1]["NB201-CF10"]["judged on"]
    )
    monkeypatch.setattr(table01, "LEAST", 30)
    found, absent = table01.collected(["NB201-CF10", "NB201-CF100"], 25)
    assert [(name, len(data)) for name, data in found.items()] == [("NB201-CF10", 25)]
    assert list(absent) == ["NB201-CF100"]
    assert "parzc collect --space nb201 --dataset cifar100" in absent["NB201-CF100"]["judged on"]

    def none(space, dataset, seeds):
        raise LabelsMissing("no labels; run parzc data fetch")

    monkeypatch.setattr(labels, "judged", none)
    _labelled.cache_clear()
    assert table01.collected(["NB201-CF10"])[1] == {"NB201-CF10": {"judged on": "no labels; run parzc data fetch"}}
    with pytest.raises(UnknownName, match="column of Table 1"):
        table01.collected(["NB301"])


def test_a_key_knows_the_columns_that_are_read_and_no_others(monkeypatch):
    data, key = load(), RUN.key()
    assert {"kind", "version", "statistics", "learned_from", "judged_on"} < set(key)

    def seen(**changes):
        collection = dataclasses.replace(data.collection, **changes)
        monkeypatch.setattr(labelled_, "load", lambda *_: dataclasses.replace(data, collection=collection))
        return RUN.key()

    more = [dataclasses.replace(one, proxies=(*one.proxies, "new"), values=np.vstack([one.values, one.values[:1]]))
            for one in data.statistics]  # fmt: skip
    assert seen(statistics=more, scores=data.collection.scores.assign(new=1.0)) == key
    changed = [dataclasses.replace(one, values=one.values + 1) for one in data.statistics]
    assert seen(statistics=changed) != key
    assert seen(archs=data.collection.archs[::-1]) != key


def test_what_a_run_reads_is_part_of_every_key():
    """`read_of`: a value, a node's name, an architecture or the labels changed is another key."""
    data = load()
    known = labelled_.read_of(data, ("snip",))
    assert set(known) == {"statistics", "learned_from", "judged_on"}
    first, *others = data.statistics

    def of(**changes) -> dict[str, str]:
        collection = dataclasses.replace(data.collection, **changes)
        return labelled_.read_of(dataclasses.replace(data, collection=collection), ("snip",))

    assert of() == known
    assert of(statistics=[dataclasses.replace(first, values=first.values + 1), *others]) != known
    renamed = dataclasses.replace(first, nodes=("other", *first.nodes[1:]))
    assert of(statistics=[renamed, *others]) != known
    assert labelled_.read_of(data, ("synflow",))["statistics"] != known["statistics"]
    assert labelled_.read_of(dataclasses.replace(data, learned_from="another"), ("snip",)) != known


def test_graphs_alone_read_no_statistics(monkeypatch):
    run, data = dataclasses.replace(RUN, parts=("NP",)), load()
    key = run.key()
    changed = [dataclasses.replace(one, values=one.values + 1) for one in data.statistics]
    other = dataclasses.replace(data, collection=dataclasses.replace(data.collection, statistics=changed))
    monkeypatch.setattr(labelled_, "load", lambda *_: other)
    assert run.key() == key
