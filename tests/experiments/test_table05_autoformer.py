"""Table 5: what is read, cross-validated rankers, transfers between spaces, and the rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import vit_stores

from parzc_core import metrics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments import table05_autoformer as table05
from parzc_core.experiments.table05_autoformer import DEPTH, ROLES, encoded, node_groups, transferred
from parzc_core.labels import vit as labels_vit
from parzc_core.runs import vit, vit_data
from parzc_core.runs.protocol import run_all
from parzc_core.runs.vit import FoldRun
from parzc_core.runs.vit_data import Truth
from parzc_core.spaces import nb201
from parzc_core.spaces.vit import pit

BASE = Truth("autoformer", "cifar100", "base")
QUICK = FoldRun(BASE, epochs=2, folds=5, seeds=(0, 1))


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    vit_stores.use(tmp_path, monkeypatch)
    for seed in (0, 1):
        vit_stores.write("autoformer", seed)
    return tmp_path


def test_every_usable_label_is_a_ground_truth_of_its_own():
    found = vit_data.truths()
    assert len({truth.column for truth in found}) == len(found) == 13
    assert {truth.space for truth in found} == set(labels_vit.DATASETS)
    assert Truth("autoformer", "imagenet", "supernet") in found


def test_seeds_hold_the_same_architectures_with_their_accuracy(stores):
    vit_stores.write("autoformer", 2, count=30)  # fewer than the first seed has
    data = vit_data.read(BASE)
    assert list(data) == [0, 1]
    for one in data.values():
        assert one.collection.archs == vit_stores.ARCHS["autoformer"]
        np.testing.assert_allclose(one.judged, vit_stores.accuracy_of("autoformer").to_numpy())
        assert "not the paper's ground truth" in one.note
    assert not np.array_equal(data[0].statistics[0].values, data[1].statistics[0].values)


def test_a_collection_that_is_not_complete_is_read_as_far_as_it_goes(tmp_path, monkeypatch):
    vit_stores.use(tmp_path, monkeypatch)
    assert vit_data.read(BASE) == {}
    assert len(vit_data.commands_to_collect()) == 6
    vit_stores.write("autoformer", 0, count=30)
    data = vit_data.read(BASE)
    assert {seed: len(one) for seed, one in data.items()} == {0: 30}
    commands = vit_data.commands_to_collect()
    assert "--sample labelled" in commands["autoformer, seed 0: 30 of 40"]
    assert "--init-seed 2" in commands["pit, seed 2: 0 of 24"]
    vit_stores.write("pit", 0, count=10)  # fewer than a correlation needs
    assert vit_data.read(Truth("pit", "cifar100", "base")) == {}


def test_statistics_of_another_kind_are_refused(tmp_path, monkeypatch):
    vit_stores.use(tmp_path, monkeypatch)
    vit_stores.write("autoformer", 0, batch=4)
    with pytest.raises(BadInput, match="another collection"):
        vit_data.read(BASE)


@pytest.mark.parametrize(("count", "number"), [(40, 10), (43, 5), (21, 10)])
def test_each_architecture_is_judged_once_by_rankers_of_the_others(count, number):
    found = vit.folds(count, number, partition=3)
    assert sorted(np.concatenate([judged for _, judged in found]).tolist()) == list(range(count))
    assert len({len(train) for train, _ in found}) == 1
    for train, judged in found:
        assert not set(train.tolist()) & set(judged.tolist())
        assert len(train) + len(judged) >= count - 1
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(found, vit.folds(count, number, 4), strict=True))


def test_rankers_learn_and_never_see_what_they_are_judged_on(stores):
    result = vit.cross_validated(dataclasses.replace(QUICK, encoding="aligned", epochs=20))
    scores, judged = np.array(result["scores"]), vit_stores.accuracy_of("autoformer").to_numpy()
    assert scores.shape == (2, 40)
    assert min(metrics.kendall(of_seed, judged) for of_seed in scores) > 30
    # Another accuracy of the judged architectures leaves their scores as they are.
    data = vit_data.read(BASE, (0,))
    _, part = vit.folds(40, 5, 0)[0]
    changed = data[0].learn.copy()
    changed[part] = 0
    other = vit.cross_validated(dataclasses.replace(QUICK, seeds=(0,)), {0: dataclasses.replace(data[0], learn=changed)})
    same = vit.cross_validated(dataclasses.replace(QUICK, seeds=(0,)), data)
    np.testing.assert_array_equal(np.array(other["scores"])[0, part], np.array(same["scores"])[0, part])
    rest = np.setdiff1d(np.arange(40), part)
    assert not np.allclose(np.array(other["scores"])[0, rest], np.array(same["scores"])[0, rest])


def test_a_stored_run_is_read_again_and_new_statistics_make_it_anew(stores, monkeypatch):
    first = run_all([QUICK], stores / "runs.jsonl")
    monkeypatch.setattr(vit.FoldRun, "evaluate", lambda run: pytest.fail("was computed again"))
    assert run_all([QUICK], stores / "runs.jsonl") == first
    key = QUICK.key()
    assert dataclasses.replace(QUICK, seeds=(0,)).key()["statistics"] != key["statistics"]


def test_rows_say_ground_truth_spread_and_interval(stores):
    data = vit_data.read(BASE, (0, 1))
    judged = data[0].judged
    rows = {(row.row, row.metric): row for row in table05.proxy_rows(BASE, data, "smoke")}
    snip = np.stack([[s.of("snip").sum() for s in one.statistics] for one in data.values()])
    assert rows["SNIP", "kendall"].value == pytest.approx(np.mean([metrics.kendall(x, judged) for x in snip]), abs=0.1)
    assert rows["TF-TAS", "pearson"].ci_low < rows["TF-TAS", "pearson"].value < rows["TF-TAS", "pearson"].ci_high
    assert "std" in rows["Params", "spearman"].note
    assert all(row.column == "AutoFormer, CIFAR-100 base" and "ViT-Bench" in row.note for row in rows.values())
    result = {"scores": [judged.tolist(), judged.tolist()]}
    ten = table05.fold_rows("ParZC", {dataclasses.replace(QUICK, folds=10): result}, judged, "smoke")
    assert [(row.row, row.value) for row in ten] == [("ParZC", pytest.approx(100))] * 3
    runs = {QUICK: result, dataclasses.replace(QUICK, partition=1): result}
    five = table05.fold_rows("ParZC", runs, judged, "smoke")
    assert [(row.row, row.value, row.n) for row in five] == [("ParZC, 80/20", pytest.approx(100), 20)] * 3


def test_a_score_that_is_not_finite_is_left_out_and_said(stores):
    data = vit_data.read(BASE, (0,))
    data[0].collection.scores.loc[data[0].collection.archs[3], "nwot"] = -np.inf
    row = next(row for row in table05.proxy_rows(BASE, data, "smoke") if row.row == "NWOT")
    assert np.isfinite(row.value)
    assert "1 without a finite score left out" in row.note


def test_bad_runs_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UnknownName, match="unknown encoding 'papr'"):
        FoldRun(BASE, encoding="papr")
    with pytest.raises(BadInput, match="folds=1"):
        FoldRun(BASE, folds=1)
    with pytest.raises(BadInput, match="10 folds of 12 architectures"):
        vit.folds(12, 10, 0)
    vit_stores.use(tmp_path, monkeypatch)
    with pytest.raises(BadInput, match="too few statistics of AutoFormer, CIFAR-100 base"):
        vit.cross_validated(QUICK)


STATISTICS = {
    space: {seed: [vit_stores.record(space, i, seed).statistics for i in range(count)] for seed in (0, 1)}
    for space, count in vit_stores.CELLS.items()
}


def test_nodes_go_to_thirds_of_the_depth_and_keep_their_role():
    arch = "embed=192|depth=12|heads=" + ",".join("3" * 12) + "|mlp=" + ",".join("4" * 12)
    nodes = vit_stores.nodes_of("autoformer", arch)
    found = node_groups("autoformer", nodes, ROLES)
    assert (found[0], found[1], found[-1]) == ("stem", "1.qkv", "head")
    assert [found.count(f"{third}.fc2") for third in "123"] == [4, 4, 4]
    assert node_groups("autoformer", nodes, DEPTH).count("2") == 16


def test_stages_are_thirds_and_poolings_are_shared_with_nobody():
    nodes = vit_stores.nodes_of("pit", "base=32|depth=2,6,4|heads=2,4,8|mlp=4")
    found = dict(zip(nodes, node_groups("pit", nodes, ROLES), strict=True))
    assert found["stages.1.5.mlp.fc1"] == "2.fc1"
    assert found["pools.0.conv"] is found["pools.1.fc"] is None
    assert (found["patch_embed"], found["head"]) == ("stem", "head")
    assert set(found.values()) - {None} == set(ROLES)


def test_nas_bench_201_has_depth_alone():
    found = dict(zip(nb201.SLOTS, node_groups("nb201", nb201.SLOTS, DEPTH), strict=True))
    assert set(found.values()) == set(DEPTH)
    assert (found["stem.0"], found["classifier"], found["cells.5.conv_a.op.1"]) == ("stem", "head", "2")
    with pytest.raises(BadInput, match="no roles"):
        node_groups("nb201", nb201.SLOTS, ROLES)
    with pytest.raises(UnknownName, match="unknown space with shared groups 'nb101'"):
        node_groups("nb101", [], DEPTH)


def test_an_encoding_is_the_standardised_mean_of_logs():
    statistics = STATISTICS["pit"][0]
    found = encoded("pit", statistics, ROLES, ["snip", "synflow"]).reshape(len(statistics), 2, len(ROLES))
    raw = [
        np.mean([np.log10(one.of("synflow")[i]) for i, node in enumerate(one.nodes) if pit.role(node)[0::2] == (2, "fc1")
                 and pit.role(node)[1]])
        for one in statistics
    ]  # fmt: skip
    expected = (np.array(raw) - np.mean(raw)) / np.std(raw)
    np.testing.assert_allclose(found[:, 1, ROLES.index("2.fc1")], np.clip(expected, -4, 4), atol=1e-5)


def test_a_ranker_carries_over_what_both_spaces_say_alike():
    accuracy = vit_stores.accuracy_of("autoformer").to_numpy()
    scores = transferred(
        ("autoformer", STATISTICS["autoformer"], accuracy), ("pit", {0: STATISTICS["pit"][0]}), epochs=15
    )
    assert scores.shape == (2, 24)  # a ranker for each seed of either
    judged = vit_stores.accuracy_of("pit").to_numpy()
    assert min(metrics.kendall(score, judged) for score in scores) > 20
    # It learns from labels of the other space alone: turned around, so is the order.
    turned = transferred(
        ("autoformer", STATISTICS["autoformer"], -accuracy), ("pit", {0: STATISTICS["pit"][0]}), epochs=15
    )
    assert max(metrics.kendall(score, judged) for score in turned) < -20


def test_spaces_that_share_nothing_are_refused():
    with pytest.raises(BadInput, match="from pit to nb201"):
        transferred(("pit", STATISTICS["pit"], np.zeros(24)), ("nb201", {}))
    assert set(table05.SHARED) == {("autoformer", "pit"), ("nb201", "autoformer"), ("nb201", "pit")}
