"""The figures: what they show, that nothing is blank or unlabelled, and how they are saved."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from parzc_core import paths
from parzc_core.drawing import cells as cells_
from parzc_core.drawing import comparison as comparison_
from parzc_core.drawing import ranks, style
from parzc_core.drawing.style import stages
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments import fig02_05_importance, fig06_tsne, fig07_bayesian_weights

NODES = (
    "stem.0",
    *(f"cells.{cell}.layers.{layer}.op.1" for cell in (0, 1) for layer in (0, 2)),
    *(f"cells.2.{name}.op.1" for name in ("conv_a", "conv_b", "downsample")),
    *(f"cells.{cell}.layers.0.op.1" for cell in (3, 4)),
    *(f"cells.5.{name}.op.1" for name in ("conv_a", "conv_b", "downsample")),
    "cells.6.layers.0.op.1",
    "classifier",
)
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def words(fig: Figure) -> list[str]:
    """Every text of a figure, legends and axis labels included."""
    return [text.get_text() for text in fig.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def statistics(**changes: object) -> SimpleNamespace:
    values = np.random.default_rng(0).lognormal(size=(2, len(NODES)))
    whole = {
        "nodes": NODES,
        "proxies": ("snip", "grasp"),
        "values": values,
        "execution_order": tuple(range(len(NODES))),
    }
    return SimpleNamespace(**whole | changes)


def comparison() -> pd.DataFrame:
    nan = float("nan")
    return pd.DataFrame(
        [
            ("NP", "A", "kendall", 34.0, 35.0, 33.0, 37.0, "%", "matches"),
            ("Mixer", "A", "kendall", 62.0, 70.0, 69.0, 71.0, "%", "higher"),
            ("MLP", "A", "kendall", 55.0, nan, nan, nan, "%", "quoted"),
            ("extra", "A", "kendall", nan, 40.0, nan, nan, "%", "new"),
            ("NP", "B", "seconds", 3.0, nan, nan, nan, "s", "quoted"),
        ],
        columns=["row", "column", "metric", "paper", "ours", "ci_low", "ci_high", "unit", "verdict"],
    )


def figures() -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    truth = rng.normal(90, 2, 300)
    mean, std = rng.normal(0, 0.1, (21, 16)), rng.uniform(0.01, 0.05, (21, 16))
    return {
        "importance": fig02_05_importance.importance_along_depth(
            {name: (NODES, rng.random(len(NODES))) for name in ("snip", "fisher", "plain", "synflow")}
        ),
        "rank": ranks.rank_scatter(truth + rng.normal(size=300), truth, 5, "CIFAR-10"),
        "rank grid": ranks.rank_scatter_grid({"CIFAR-10": (truth, truth), "CIFAR-100": (-truth, truth)}),
        "tsne": fig06_tsne.tsne_panels({name: rng.normal(size=(300, 2)) for name in ("snip", "grasp", "mine")}, truth),
        "bayesian": fig07_bayesian_weights.neuron_weights(mean, std),
        "bars": cells_.node_statistics_bars(statistics()),
        "cell": cells_.cell_graph(CELL),
        "dots": comparison_.paper_vs_ours(comparison(), "Table 6"),
    }


EXPECTED = {
    "importance": ["SNIP", "Fisher", "stage 1", "stage 3", "reduction", "GBDT impurity importance"],
    "rank": ["CIFAR-10", "predicted rank (1 = best)", "true accuracy (%)", "5 truly best"],
    "rank grid": ["CIFAR-10: all judged cells", "CIFAR-100: top 10%", "300 cells, Kendall's τ = -100.0 %"],
    "tsne": ["SNIP", "GraSP", "mine", "accuracy (%)", "t-SNE dimension 1 (no unit)"],
    "bayesian": [
        "neuron 1",
        "neuron 21",
        "weight value",
        "sampled weights",
        "learned means",
        "mean learned spread, ± 1 std",
    ],
    "bars": ["SNIP", "GraSP", "node along depth (execution order)", "positive"],
    "cell": ["input", "output", "conv 3×3", "conv 1×1", "skip", "none", "avg pool 3×3"],
    "dots": ["Table 6", "NP", "Mixer", "extra", "paper", "ours: matches", "ours: higher", "ours: new", "kendall (%)"],
}


def test_every_figure_is_labelled_and_not_blank():
    drawn = figures()
    assert drawn.keys() == EXPECTED.keys()
    for name, fig in drawn.items():
        assert set(EXPECTED[name]) <= set(words(fig)), name
        picture = imread(io.BytesIO(fig._repr_png_()))
        ink = (picture[..., :3].min(axis=-1) < 0.8).mean()
        assert 0.001 < ink < 0.9, name
        # Nothing is cut off: the outermost line of pixels is empty.
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])[:, :3]
        assert edge.min() > 0.9, name


def test_a_figure_is_saved_as_png_and_pdf_where_its_profile_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    fig = cells_.cell_graph(CELL)
    assert style.save_figure(fig, "cell", "full") == tmp_path / "figures" / "cell.png"
    smoke = style.save_figure(fig, "cell", "smoke")
    assert smoke == tmp_path / "results" / "smoke" / "figures" / "cell.png"
    assert smoke.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert imread(smoke).shape[:2] == tuple(round(200 * inches) for inches in fig.get_size_inches()[::-1])
    assert sorted(file.name for file in smoke.parent.iterdir()) == ["cell.pdf", "cell.png"]


def test_equal_figures_are_equal_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    values = np.random.default_rng(0).random((2, 50))
    first, second = (style.save_figure(ranks.rank_scatter(*values), name, "full") for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    pdf = first.with_suffix(".pdf").read_bytes()
    assert pdf == second.with_suffix(".pdf").read_bytes()
    assert b"CreationDate" not in pdf


@pytest.mark.parametrize("name", ["../away", "", "a b", "fig.png"])
def test_a_figure_name_that_is_a_path_is_refused(name):
    with pytest.raises(BadInput, match="letters, digits"):
        style.save_figure(cells_.cell_graph(CELL), name, "full")


def test_an_unknown_profile_is_refused():
    with pytest.raises(UnknownName, match="fastest"):
        style.save_figure(cells_.cell_graph(CELL), "cell", "fastest")


def test_a_notebook_can_show_a_figure():
    assert cells_.cell_graph(CELL)._repr_png_().startswith(b"\x89PNG")


def test_stages_follow_the_reductions():
    assert stages(NODES) == [
        ("stem", 0, 1),
        ("stage 1", 1, 5),
        ("reduction", 5, 8),
        ("stage 2", 8, 10),
        ("reduction", 10, 13),
        ("stage 3", 13, 14),
        ("head", 14, 15),
    ]


def test_neighbouring_reductions_stay_two_and_other_names_have_no_stage():
    bare = ["stem.0", "cells.5.conv_a.op.1", "cells.5.conv_b.op.1", "cells.11.conv_a.op.1", "classifier"]
    assert [run[0] for run in stages(bare)] == ["stem", "reduction", "reduction", "head"]
    assert stages(["body.0", "body.1"]) == [("", 0, 2)]


def test_importance_bars_have_the_heights_given():
    height = np.linspace(0, 0.4, len(NODES))
    fig = fig02_05_importance.importance_along_depth({"snip": (NODES, height)})
    assert [bar.get_height() for bar in fig.axes[0].containers[0]] == pytest.approx(height.tolist())


def test_importance_of_another_length_is_refused():
    with pytest.raises(BadInput, match="snip"):
        fig02_05_importance.importance_along_depth({"snip": (NODES, [0.1])})


def test_the_best_are_starred_and_the_best_predicted_is_at_the_right():
    truth = np.array([10.0, 94.0, 93.0, 50.0, np.nan])
    ax = ranks.rank_scatter([1.0, 2.0, 3.0, np.nan, 9.0], truth, best=2).axes[0]
    cells, stars = (sorted(map(tuple, dots.get_offsets().tolist())) for dots in ax.collections)
    assert stars == [(1.0, 93.0), (2.0, 94.0)]
    assert cells == [(3.0, 10.0)]  # cells without a prediction or a label are left out
    assert ax.xaxis_inverted()
    mask = ranks.rank_scatter([1.0, 2.0, 3.0, 0.0], truth[:4], best=[True, False, False, False]).axes[0]
    assert mask.collections[1].get_offsets().tolist() == [[3.0, 10.0]]


def test_tau_is_computed_in_percent_unless_given():
    truth = np.arange(10.0)
    assert any("τ = 100.0 %" in text for text in words(ranks.rank_scatter(truth, truth)))
    assert any("τ = 78.2 %" in text for text in words(ranks.rank_scatter(truth, truth, tau=78.24)))


@pytest.mark.parametrize(
    ("predicted", "truth", "best"), [([1, 2], [1], 1), ([1, np.nan], [1, 2], 1), ([1, 2], [1, 2], [True])]
)
def test_rank_scatter_refuses_what_does_not_fit(predicted, truth, best):
    with pytest.raises(BadInput):
        ranks.rank_scatter(predicted, truth, best)


def test_the_upper_panel_holds_the_truly_best_tenth():
    truth = np.arange(200.0)
    whole, top = ranks.rank_scatter_grid({"x": (-truth, truth)}, best=3).axes
    assert sum(len(dots.get_offsets()) for dots in whole.collections) == 200
    assert min(dots.get_offsets()[:, 1].min() for dots in top.collections) >= 179
    assert whole.collections[1].get_offsets()[:, 1].tolist() == top.collections[1].get_offsets()[:, 1].tolist()


def test_an_embedding_of_another_length_is_refused():
    with pytest.raises(BadInput, match="snip"):
        fig06_tsne.tsne_panels({"snip": np.zeros((4, 2))}, np.zeros(5))


def test_bars_follow_execution_order_and_show_sign_zero_and_nan():
    values = np.arange(1.0, 1 + len(NODES))[None]
    values[0, :3] = [-5.0, 0.0, np.nan]
    order = tuple(reversed(range(len(NODES))))
    fig = cells_.node_statistics_bars(statistics(values=values, proxies=("plain",), execution_order=order))
    positive, negative = fig.axes[0].containers
    assert negative[0].get_x() + negative[0].get_width() / 2 == pytest.approx(len(NODES) - 1)
    tops = [bar.get_y() + bar.get_height() for bar in positive]
    assert tops == pytest.approx(list(range(len(NODES), 3, -1)))
    assert {"positive", "negative", "zero", "NaN or inf"} <= set(words(fig))


def test_statistics_without_one_finite_value_can_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    fig = cells_.node_statistics_bars(statistics(values=np.full((2, len(NODES)), np.nan)))
    assert style.save_figure(fig, "nothing", "full").is_file()


@pytest.mark.parametrize("changes", [{"values": np.zeros((2, 3))}, {"execution_order": (0, 0)}])
def test_statistics_that_do_not_fit_are_refused(changes):
    with pytest.raises(BadInput):
        cells_.node_statistics_bars(statistics(**changes))


@pytest.mark.parametrize(
    "arch", ["", "|nor_conv_3x3~0|", CELL.replace("none", "conv"), CELL.replace("~2", "~1"), CELL + "+"]
)
def test_a_malformed_arch_string_is_refused(arch):
    with pytest.raises(BadInput, match="arch string"):
        cells_.cell_graph(arch)


def test_dots_stand_at_the_values_and_columns_without_ours_are_left_out():
    fig = comparison_.paper_vs_ours(comparison())
    (ax,) = fig.axes
    assert ax.get_title() == "A"
    offsets = sorted(tuple(dots.get_offsets()[0].tolist()) for dots in ax.collections)
    assert offsets == [(34.0, 0.0), (35.0, 0.0), (40.0, 3.0), (55.0, 2.0), (62.0, 1.0), (70.0, 1.0)]
    with pytest.raises(BadInput):
        comparison_.paper_vs_ours(comparison().assign(paper=np.nan, ours=np.nan))
