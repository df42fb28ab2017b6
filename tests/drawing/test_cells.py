"""Pictures of one architecture: its node statistics and its cell."""

from types import SimpleNamespace

import numpy as np
import pytest
from figure_checks import NODES, check, words

from parzc_core import paths
from parzc_core.drawing import cells as cells_
from parzc_core.drawing import style
from parzc_core.errors import BadInput

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def statistics(**changes: object) -> SimpleNamespace:
    values = np.random.default_rng(0).lognormal(size=(2, len(NODES)))
    whole = {
        "nodes": NODES,
        "proxies": ("snip", "grasp"),
        "values": values,
        "execution_order": tuple(range(len(NODES))),
    }
    return SimpleNamespace(**whole | changes)


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


def test_both_pictures_are_labelled_and_whole():
    check(
        cells_.node_statistics_bars(statistics()), ["SNIP", "GraSP", "node along depth (execution order)", "positive"]
    )
    nodes = ["0", "1", "2", "3", "input", "node 1", "node 2", "output"]  # numbered as in the arch string
    check(cells_.cell_graph(CELL), [*nodes, "conv 3×3", "conv 1×1", "skip", "none", "avg pool 3×3"])


def test_a_cell_of_vertices_has_a_box_a_vertex_and_an_arrow_an_edge():
    arch = "input>1,2,3|conv3x3-bn-relu>2|maxpool3x3>3|output"
    fig = cells_.vertex_graph(arch)
    check(fig, ["input", "output", "conv\n3×3", "max\npool 3×3"])
    assert len(fig.axes[0].patches) == 5
    places = {text.get_text(): text.get_position()[0] for text in fig.axes[0].texts}
    assert [places[name] for name in ("input", "conv\n3×3", "max\npool 3×3", "output")] == [0, 1, 2, 3]
    with pytest.raises(BadInput):
        cells_.vertex_graph("input>1|conv7x7>2|output")
