"""How figures are saved and shown, and the marking of stages."""

import numpy as np
import pytest
from figure_checks import NODES
from matplotlib.image import imread

from parzc_core import paths
from parzc_core.drawing import cells as cells_
from parzc_core.drawing import ranks, style
from parzc_core.drawing.style import stages
from parzc_core.errors import BadInput, UnknownName

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


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
        ("reduction 1", 5, 8),
        ("stage 2", 8, 10),
        ("reduction 2", 10, 13),
        ("stage 3", 13, 14),
        ("head", 14, 15),
    ]


def test_neighbouring_reductions_stay_two_and_other_names_have_no_stage():
    bare = ["stem.0", "cells.5.conv_a.op.1", "cells.5.conv_b.op.1", "cells.11.conv_a.op.1", "classifier"]
    assert [run[0] for run in stages(bare)] == ["stem", "reduction 1", "reduction 2", "head"]
    assert stages(["body.0", "body.1"]) == [("", 0, 2)]
    dead = ["cells.0.layers.1.op.1", "cells.6.layers.1.op.1"]  # never run, so listed behind the classifier
    assert stages([*NODES, *dead])[-2:] == [stages(NODES)[-1], ("without effect", len(NODES), len(NODES) + 2)]
