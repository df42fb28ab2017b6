"""The explorer against the collection that it shows: places, tables, clicks, overlays and what can be taken along."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from figure_checks import check, words

from parzc_core import labels, metrics
from parzc_core.drawing.style import new_figure
from parzc_core.errors import BadInput, LabelsMissing, UnknownName
from parzc_core.experiments import explore
from parzc_core.experiments.explore import RESNET
from parzc_core.spaces import nb201
from parzc_core.storage.statistics import StatisticsStore

# 0 -> 2 -> 3 and 0 -> 3 reach the output.
DEAD = nb201.to_string(("none", "nor_conv_1x1", "none", "skip_connect", "none", "nor_conv_3x3"))


@pytest.fixture(scope="module")
def explorer():
    return explore.opened("nb201", "cifar10")


@pytest.fixture(scope="module")
def graphs():
    """NAS-Bench-101, whose cells are graphs of other shapes."""
    return explore.opened("nb101", "cifar10")


@pytest.fixture
def changed(explorer):
    """The explorer as a copy whose scores a test may change."""
    copy = object.__new__(explore.Explorer)
    copy.__dict__ |= explorer.__dict__
    known = explorer.known
    scores, spreads = ({name: values.copy() for name, values in each.items()} for each in (known.scores, known.spreads))
    copy.known = dataclasses.replace(known, scores=scores, spreads=spreads)
    return copy


def test_every_collected_cell_is_there_with_its_sums_and_its_accuracy(explorer):
    assert len(explorer) == nb201.ARCH_COUNT
    truth, judged_on, _ = labels.judged("nb201", "cifar10")
    for arch in (RESNET, DEAD):
        sums = explorer.statistics(arch).sums()
        assert explorer.cells.loc[arch, list(sums)].tolist() == pytest.approx(list(sums.values()), rel=1e-9)
        assert explorer.cells.at[arch, "accuracy"] == truth.loc[arch]
        assert explorer.cells.at[arch, "params"] == sum(p.numel() for p in nb201.build(arch, skip_dead=False).parameters())
        name = "Test" if judged_on == "test" else "Validation"
        assert explorer.facts(arch)[f"{name} accuracy"] == f"{truth.loc[arch]:.2f} %"
    known = StatisticsStore(explorer.store.folder).read(3)
    assert known.archs == explorer.cells.index[:3].tolist()


@pytest.mark.parametrize("dataset", ["cifar100", "imagenet16-120"])
def test_other_data_sets_have_their_own_numbers(explorer, dataset):
    other = explore.opened("nb201", dataset)
    assert other.cells.index.equals(explorer.cells.index)
    assert (other.cells["accuracy"] != explorer.cells["accuracy"]).mean() > 0.9
    classes = {"cifar100": 100, "imagenet16-120": 120}[dataset]
    expected = sum(p.numel() for p in nb201.build(RESNET, classes=classes, skip_dead=False).parameters())
    assert other.cells.at[RESNET, "params"] == expected
    assert other.tau("ParZC") > other.tau("snip")


def test_the_rank_is_the_place_among_all(explorer):
    at = int(np.flatnonzero(~explorer.trained)[3])
    arch = str(explorer.cells.index[at])
    facts, score = explorer.facts(arch, "ParZC+"), explorer.values("ParZC+")
    assert facts["Cell"] == arch
    assert facts["Rank by ParZC+"].startswith(f"{1 + int((score > score[at]).sum()):,} of")
    judged = explorer.cells["accuracy"].to_numpy()
    assert facts["True rank"] == f"{1 + int((judged > judged[at]).sum()):,}"
    assert facts["To the rankers"] == "unseen"
    seen = str(explorer.cells.index[int(np.flatnonzero(explorer.trained)[0])])
    assert "one of 600" in explorer.facts(seen)["To the rankers"]
    assert "Predicted interval" in facts
    assert "Predicted interval" not in explorer.facts(arch, "NP")


def test_a_ranker_is_judged_on_the_cells_that_it_has_not_seen_alone(changed):
    before = changed.tau("NP")
    changed.known.scores["NP"][changed.trained] = -1e9
    assert changed.tau("NP") == before
    changed.known.scores["NP"][:] = changed.cells["accuracy"]
    assert changed.tau("NP") == pytest.approx(100)


def test_the_empirical_interval_holds_the_true_ranks_of_the_unseen_cells_scored_alike(changed):
    at = 5
    near = np.flatnonzero(~changed.trained)[10 : 10 + explore.ALIKE]
    changed.known.scores["NP"][:] = np.arange(len(changed)) + 10.0
    changed.known.scores["NP"][[at, *near]] = 0
    judged = np.delete(changed.cells["accuracy"].to_numpy(), at)
    ranks = [1 + int((judged > changed.cells["accuracy"].iloc[i]).sum()) for i in near]
    low, high = np.percentile(ranks, (5, 95)).round().astype(int)
    said = changed.facts(changed.cells.index[at], "NP")["Empirical interval"]
    assert said.endswith(f"90 % truly rank from {low:,} to {high:,}")


def test_coverage_is_counted_over_unseen_cells(changed):
    changed.known.spreads["ParZC"][:] = 1e9
    assert changed.coverage("ParZC") == 100
    changed.known.spreads["ParZC"][:] = 0
    truth, scores = (scipy.stats.rankdata(-v, method="min") for v in (changed.cells["accuracy"], changed.values("ParZC")))
    assert changed.coverage("ParZC") == pytest.approx(100 * np.mean((truth == scores)[~changed.trained]), abs=0.02)
    with pytest.raises(BadInput, match="no spread"):
        changed.coverage("NP")


def test_the_table_is_sorted_by_any_column_and_can_be_cut_by_size(explorer):
    table = explorer.table()
    assert len(table) == len(explorer)
    assert table["predicted rank"].is_monotonic_increasing
    assert table["trained on"].sum() == 600
    assert table.index[0] == explorer.best("ParZC")
    assert explorer.table("NP", "accuracy", descending=True)["accuracy"].is_monotonic_decreasing
    assert explorer.table("NP", "snip")["snip"].is_monotonic_increasing
    limit = table["params"].median()
    small = explorer.best_under(limit, "ParZC+", 5)
    assert (small["params"] < limit).all()
    best = explorer.table("ParZC+")
    assert small.index.tolist() == best[best["params"] < limit].index[:5].tolist()
    with pytest.raises(BadInput, match="no cell has fewer"):
        explorer.best_under(10)
    with pytest.raises(UnknownName, match="column"):
        explorer.table(sort="colour")


def test_a_click_opens_the_cell_whose_point_is_there(explorer):
    panels = explorer.draw(new_figure(11, 4.6), "ParZC", "snip")
    inside = np.flatnonzero(explorer.cells["accuracy"] > panels[0].axes.get_ylim()[0])
    for panel in panels:
        for at in np.random.default_rng(0).choice(inside, 20):
            found = explorer.cells.index.get_loc(explorer.nearest(panel, panel.x[at], panel.y[at]))
            assert (panel.x[found], panel.y[found]) == (panel.x[at], panel.y[at])
    bottom = explorer.nearest(panels[0], 0, panels[0].axes.get_ylim()[0])  # cells below the axis are drawn on its edge, or not
    assert explorer.values("ParZC")[explorer.cells.index.get_loc(bottom)] < np.median(explorer.values("ParZC"))


def test_the_picture_marks_both_cells_what_was_learned_from_and_what_is_too_large(explorer):
    chosen = {"left": RESNET, "right": DEAD}
    fig = explorer.scatter("ParZC+", "snip", chosen, params=500_000)
    check(fig, ["left", "right", "unseen cells", "trained on", "500,000 parameters or more"])
    assert f"SNIP: τ = {explorer.tau('snip'):.1f} %" in words(fig)
    points = {line.get_label(): line.get_xydata()[0] for line in fig.axes[0].lines}
    rank = scipy.stats.rankdata(explorer.values("ParZC+"))[explorer.cells.index.get_loc(RESNET)]  # isomorphic cells share it
    below = 100 * (rank - 1) / (len(explorer) - 1)
    assert points["left"] == pytest.approx([below, explorer.cells.at[RESNET, "accuracy"]])


@pytest.mark.parametrize("name", ["explorer", "graphs"])
def test_initialisations_are_the_same_cells_drawn_again(name, request):
    chosen = request.getfixturevalue(name)
    again = chosen.initialisations("snip")
    assert len(again.columns) >= 3
    assert len(again) >= 250
    assert again["seed0"].tolist() == chosen.cells["snip"].loc[again.index].tolist()
    for draw in again.columns[1:]:
        assert metrics.spearman(again[draw].to_numpy(), again["seed0"].to_numpy()) > 70
    fig = chosen.scatter("ParZC", "snip", {"left": again.index[0]}, overlaid=True)
    judged = chosen.cells["accuracy"].loc[again.index].to_numpy()
    taus = {draw.removeprefix("foolbox-"): metrics.kendall(again[draw].to_numpy(), judged) for draw in again}
    assert {f"{draw}: τ = {tau:.0f} %" for draw, tau in taus.items()} <= set(words(fig))
    assert chosen.initialisations("params").empty


def test_two_cells_stand_beside_each_other(explorer):
    pair = explorer.pair(RESNET, DEAD, "ParZC", ["snip", "synflow"])
    assert list(pair.facts) == ["left", "right"]
    assert pair.facts.at["Edges without effect", "right"] == "0 → 1, 1 → 2, 1 → 3"
    page = pair._repr_html_()
    assert page.count("data:image/png;base64,") == 4
    assert "<script" not in page
    assert RESNET in str(pair)
    assert len(pair.bars[0].axes) == 2
    assert explorer.pair(RESNET, DEAD, "NP", ["params"]).bars == ()


def test_bars_of_a_cell_with_dead_operations_name_each_stage_once(explorer):
    for arch in (DEAD, "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"):  # both convolutions are dead
        pair = explorer.pair(RESNET, arch)
        said = [text for text in words(pair.bars[1]) if text.startswith(("stage", "stem", "head", "reduction", "without"))]
        assert len(said) == len(set(said)), said
        assert "head" in said


def test_a_graph_is_found_by_any_of_its_strings(graphs):
    arch = next(arch for arch in graphs.cells.index if arch.count("|") == 4)
    assert graphs.found(f" {arch} ") == arch
    pair = graphs.pair(arch, graphs.best("ParZC"))
    assert pair.facts.at["Cell", "left"] == arch
    assert len(pair.graphs[0].axes[0].texts) == 5
    with pytest.raises(BadInput, match="not among the 11,000"):
        graphs.found("input>1|maxpool3x3>2|maxpool3x3>3|maxpool3x3>4|maxpool3x3>5|maxpool3x3>6|output")


@pytest.mark.parametrize("arch", ["", "x", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|"])
def test_a_string_that_is_no_cell_is_refused(arch, explorer):
    with pytest.raises(BadInput):
        explorer.facts(arch)
    with pytest.raises(UnknownName, match="ranker or proxy"):
        explorer.tau("accuracy")


def test_what_is_taken_along_can_be_read_again(explorer):
    table = explorer.best_under(400_000)
    content = explore.files(explorer, table, explorer.scatter(), [RESNET, DEAD])
    assert list(content) == ["nb201_cifar10.csv", "nb201_cifar10.png", "nb201_cifar10_cells.txt"]
    read = pd.read_csv(io.BytesIO(content["nb201_cifar10.csv"]), index_col="cell")
    pd.testing.assert_frame_equal(read, table, check_dtype=False, rtol=1e-5)
    assert content["nb201_cifar10.png"].startswith(b"\x89PNG")
    assert content["nb201_cifar10_cells.txt"].decode().splitlines() == [RESNET, DEAD]
    page = explore.links(content)
    assert page.count("<a download=") == 3
    assert 'href="data:text/csv;base64,' in page


def test_missing_test_labels_are_said_with_the_command(monkeypatch):
    accuracy = labels.accuracy

    def only_validation(space, dataset, split, *rest, **options):
        if split == "test":
            raise LabelsMissing("none here")
        return accuracy(space, dataset, split, *rest, **options)

    monkeypatch.setattr(labels, "accuracy", only_validation)
    found = explore.Explorer("nb201", "cifar10")
    assert "parzc data fetch" in found.facts(RESNET)["Test accuracy"]
    assert found.cells.at[RESNET, "accuracy"] == accuracy("nb201", "cifar10", "val").loc[RESNET]


def test_scores_of_other_cells_are_refused(monkeypatch):
    scored = explore.shipped.scored
    monkeypatch.setattr(explore.shipped, "scored", lambda *_: dataclasses.replace(scored(), archs_sha256="0"))
    with pytest.raises(BadInput, match="parzc ranker"):
        explore.Explorer("nb201", "cifar10")
