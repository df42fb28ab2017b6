"""The explorer against the collection it comes from, and its widgets without a browser."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch

from parzc_core import labels
from parzc_core.errors import BadInput, LabelsMissing
from parzc_core.experiments import explore as module
from parzc_core.experiments.explore import RESNET, CellExplorer
from parzc_core.runs.rankers import RankerRun
from parzc_core.spaces import nb201

CELLS, TRAIN, SAMPLES = 50, 20, 5
# 0 -> 2 -> 3 and 0 -> 3 reach the output.
DEAD = ("none", "nor_conv_1x1", "none", "skip_connect", "none", "nor_conv_3x3")


def run(**options):
    chosen = {"parts": ("Mixer", "BN"), "encoding": "aligned", "size": "tiny", "epochs": 3, **options}
    return RankerRun(cells=CELLS, train=TRAIN, **chosen)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several test processes share the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def explorer():
    return CellExplorer(run(), SAMPLES)


@pytest.fixture(scope="module")
def new_cell(explorer):
    """A cell that is not in the collection, and its report."""
    archs = explorer.data.collection.archs
    operations = next(ops for ops in (RESNET, DEAD) if nb201.to_string(ops) not in archs)
    return operations, explorer.report(operations)


@pytest.fixture
def without_pictures(monkeypatch):
    for name in ("cell_graph", "node_statistics_bars"):
        monkeypatch.setattr(module, name, lambda _: None)
    monkeypatch.setattr(CellExplorer, "_place", lambda *_: None)
    monkeypatch.setattr(module, "_picture", lambda figure, width: f"<img {width}>")


@pytest.fixture
def without_collecting(explorer, without_pictures, monkeypatch):
    """Statistics of some collected cell for any cell; the names of the cells that were asked for."""
    asked = []

    def statistics(arch):
        asked.append(arch)
        return explorer.data.collection.statistics[len(arch) % CELLS]

    monkeypatch.setattr(explorer, "statistics", statistics)
    return asked


@pytest.mark.parametrize("encoding", ["aligned", "paper"])
def test_a_collected_cell_is_predicted_as_through_the_collection(explorer, encoding):
    chosen = explorer if encoding == "aligned" else CellExplorer(run(encoding=encoding), SAMPLES)
    at = int(chosen.unseen[0])
    arch = chosen.data.collection.archs[at]
    live = chosen.statistics(arch)
    stored = chosen.data.collection.statistics[at]
    assert live.nodes == stored.nodes
    np.testing.assert_allclose(live.values, stored.values, rtol=1e-4, atol=1e-6)  # stored with 20 bits
    score, spread = chosen.predict(arch, live)
    assert score == pytest.approx(chosen.scores[at], abs=1e-3 * np.ptp(chosen.scores))
    assert spread == pytest.approx(chosen.spreads[at], rel=0.01)


def test_the_rank_is_the_place_among_the_others(explorer, without_pictures, monkeypatch):
    at = int(explorer.unseen[3])
    arch = explorer.data.collection.archs[at]
    monkeypatch.setattr(explorer, "statistics", lambda _: explorer.data.collection.statistics[at])
    report = explorer.report(nb201.parse(arch))
    assert report.arch == arch
    assert report.rank == scipy.stats.rankdata(-explorer.scores, method="min")[at]
    assert 1 <= report.interval[0] <= report.rank <= report.interval[1] <= CELLS
    assert report.facts["True rank"].startswith(f"{1 + int((explorer.data.judged > explorer.data.judged[at]).sum())},")
    assert report.facts["To the ranker"] == "unseen"


def test_the_record_holds_the_true_ranks_of_the_cells_scored_alike(explorer, without_pictures, monkeypatch):
    at = int(explorer.trained_on[0])
    monkeypatch.setattr(explorer, "statistics", lambda _: explorer.data.collection.statistics[at])
    report = explorer.report(nb201.parse(explorer.data.collection.archs[at]))
    ranks = [1 + int((np.delete(explorer.data.judged, at) > explorer.data.judged[i]).sum()) for i in explorer.unseen]
    inside = [report.alike[0] <= rank <= report.alike[1] for rank in ranks]  # 30 unseen cells, all of them alike
    assert 0.85 <= np.mean(inside) <= 0.95
    assert "one of 20" in report.facts["To the ranker"]


def test_coverage_is_counted_over_unseen_cells(explorer, monkeypatch):
    monkeypatch.setattr(explorer, "spreads", np.full(CELLS, 1e9))
    assert explorer.coverage() == 100
    monkeypatch.setattr(explorer, "spreads", np.zeros(CELLS))
    truth, scores = (scipy.stats.rankdata(-v, method="min") for v in (explorer.data.judged, explorer.scores))
    assert explorer.coverage() == pytest.approx(100 * np.mean((truth == scores)[explorer.unseen]))


def test_a_new_cell_gets_a_picture_and_its_accuracy(explorer, new_cell):
    operations, report = new_cell
    arch = nb201.to_string(operations)
    assert np.isfinite([report.score, report.spread]).all()
    assert report.spread > 0
    assert report.facts["Validation accuracy"] == f"{labels.accuracy('nb201', 'cifar10', 'val').loc[arch]:.2f} %"
    assert "not in the collection" in report.facts["To the ranker"]
    page = report._repr_html_()
    assert page.count("data:image/png;base64,") == 3
    assert "<script" not in page
    assert arch in str(report)


def test_edges_that_cannot_reach_the_output_are_named(explorer, without_collecting):
    assert explorer.report(DEAD).facts["Edges without effect"] == "0 → 1, 1 → 2, 1 → 3"
    assert explorer.report(["nor_conv_3x3"] * 6).facts["Edges without effect"] == "none"


def test_missing_test_labels_are_said_with_the_command(explorer, without_collecting, monkeypatch):
    accuracy = labels.accuracy

    def only_validation(space, dataset, split, *rest, **options):
        if split == "test":
            raise LabelsMissing("none here")
        return accuracy(space, dataset, split, *rest, **options)

    monkeypatch.setattr(labels, "accuracy", only_validation)
    facts = explorer.report(RESNET).facts
    assert "parzc data fetch" in facts["Test accuracy"]
    assert "by validation accuracy" in facts["True rank"]


def test_values_that_are_not_finite_are_counted(explorer, without_pictures, monkeypatch):
    real = explorer.data.collection.statistics[0]
    values = real.values.copy()
    values[0, :2] = np.nan
    broken = dataclasses.replace(real, values=values)
    monkeypatch.setattr(explorer, "statistics", lambda _: broken)
    assert explorer.report(RESNET).facts["Not finite"].startswith("2 ")


def test_a_choice_in_a_menu_changes_the_report(explorer, without_collecting):
    box = explorer.show(RESNET)
    menus = [*box.children[0].children, *box.children[1].children]
    view = box.children[3]
    assert [menu.value for menu in menus] == list(RESNET)
    assert nb201.to_string(RESNET) in view.value
    menus[3].value = "avg_pool_3x3"
    changed = nb201.to_string([*RESNET[:3], "avg_pool_3x3", *RESNET[4:]])
    assert without_collecting == [nb201.to_string(RESNET), changed]
    assert changed in view.value
    assert view.value.count("<img") == 3


def test_a_button_sets_all_menus_and_reports_once(explorer, without_collecting):
    box = explorer.show(RESNET)
    menus = [*box.children[0].children, *box.children[1].children]
    buttons = {item.description: item for item in box.children[2].children if hasattr(item, "click")}
    assert list(buttons) == ["ResNet cell", "predicted best", "random cell"]
    for button in buttons.values():
        before = len(without_collecting)
        button.click()
        assert without_collecting[before:] == [nb201.to_string([menu.value for menu in menus])]
    buttons["predicted best"].click()
    assert without_collecting[-1] == explorer.data.collection.archs[int(np.argmax(explorer.scores))]
    assert nb201.to_string(RESNET) in without_collecting


def test_an_error_is_shown_in_the_place_of_the_report(explorer, without_collecting, monkeypatch):
    box = explorer.show(RESNET)

    def refuse(_):
        raise BadInput("a <reason>")

    monkeypatch.setattr(explorer, "report", refuse)
    box.children[0].children[0].value = "none"
    assert box.children[3].value == "a &lt;reason&gt;"
    assert box.children[2].children[-1].value == ""


@pytest.mark.parametrize("operations", [RESNET[:5], (*RESNET[:5], "conv")])
def test_operations_that_make_no_cell_are_refused(explorer, operations):
    with pytest.raises(BadInput, match="expected six of none"):
        explorer.report(operations)


@pytest.mark.parametrize("parts", [("NP", "Mixer", "BN"), ("NP",)])
def test_a_ranker_that_reads_graphs_is_trained_and_asked_with_them(parts, explorer, without_pictures, monkeypatch):
    chosen = CellExplorer(run(parts=parts), SAMPLES)
    stored = chosen.data.collection.statistics
    for at in chosen.unseen[:3]:
        arch = chosen.data.collection.archs[at]
        score, spread = chosen.predict(arch, stored[at])
        assert (score, spread) == pytest.approx((chosen.scores[at], chosen.spreads[at]), abs=1e-5)
        assert (spread > 0) == ("BN" in parts)
        other = chosen.predict(nb201.to_string(RESNET), stored[at])  # the same statistics, another graph
        assert abs(other[0] - score) > 1e-6
    monkeypatch.setattr(chosen, "statistics", lambda _: stored[0])
    report = chosen.report(RESNET)
    assert 1 <= report.rank <= CELLS + 1
    assert module.planned("smoke", 20, graph=True).parts == ("NP", "Mixer", "BN")
    asked = []
    monkeypatch.setattr(module, "CellExplorer", lambda run, samples: asked.append((run.parts, run.train)))
    module.opened("cifar10", graph=True)  # one is kept, which reads no graphs
    assert asked == [(("NP", "Mixer", "BN"), module.KEPT_TRAIN)]


@pytest.mark.parametrize(("options", "samples"), [({}, 1), ({"space": "x"}, 5)])
def test_what_cannot_be_explored_is_refused_before_training(options, samples, monkeypatch):
    monkeypatch.setattr(module, "train_ranker", None)
    with pytest.raises(BadInput, match="expected nb201"):
        CellExplorer(run(**options), samples)


def test_a_kept_ranker_opens_without_training_and_says_the_same(explorer, tmp_path, monkeypatch):
    archs = explorer.data.collection.archs
    about = {"cells": [nb201.index(archs[i]) for i in explorer.trained_on]}
    kept = dataclasses.replace(explorer.ranker, encoder=explorer.encoder, trained_on=about)
    kept.save(tmp_path / "nb201_cifar10.npz")
    monkeypatch.setattr(module, "KEPT", tmp_path)
    monkeypatch.setattr(module, "train_ranker", None)
    other = module.opened("cifar10", samples=SAMPLES, cells=CELLS)
    np.testing.assert_allclose(other.scores, explorer.scores, rtol=1e-5)
    assert other.trained_on.tolist() == sorted(explorer.trained_on.tolist())
    assert other.tau() == pytest.approx(explorer.tau())
    without = dataclasses.replace(kept, encoder=None)
    with pytest.raises(BadInput, match="without its encoder"):
        CellExplorer(run(), SAMPLES, without)
    asked = []
    monkeypatch.setattr(module, "CellExplorer", lambda run, samples: asked.append((run.dataset, run.train)))
    module.opened("cifar100", profile="smoke")  # none is kept
    module.opened("cifar10", train=78, profile="smoke")
    assert asked == [("cifar100", 600), ("cifar10", 78)]


def test_the_table_has_every_cell_and_can_be_cut_by_size(explorer):
    table = explorer.table()
    assert len(table) == CELLS
    assert table["predicted rank"].is_monotonic_increasing
    assert table["trained on"].sum() == TRAIN
    best = table.index[table["true rank"] == 1][0]
    assert table.loc[best, "accuracy"] == explorer.data.judged.max()
    limit = table["params"].median()
    small = explorer.best_under(limit, 5)
    assert (small["params"] < limit).all()
    assert small["predicted rank"].is_monotonic_increasing
    with pytest.raises(BadInput, match="no cell has fewer"):
        explorer.best_under(10)
