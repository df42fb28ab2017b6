"""The explorer's widgets without a browser: menus, clicks, the table and the files."""

import re
import threading

import pytest
from matplotlib.backend_bases import MouseEvent

from parzc_core.errors import BadInput
from parzc_core.experiments import explore
from parzc_core.experiments.explore_panel import ROWS, Panel, show
from parzc_core.spaces import nb201

POOLED = nb201.to_string(["avg_pool_3x3"] * 6)


@pytest.fixture
def panel(monkeypatch):
    """A panel whose pairs of cells are text alone, as pictures take time."""
    monkeypatch.setattr(explore.Pair, "_repr_html_", lambda self: self.facts.to_string())
    monkeypatch.setattr(explore, "node_statistics_bars", lambda _: None)
    return Panel("nb201", "cifar10")


def click(panel, at, axes=0):
    """Press the mouse on the point of the cell at a position of the collection."""
    drawn = panel.panels[axes]
    panel.figure.canvas.draw()
    x, y = drawn.axes.transData.transform((drawn.x[at], drawn.y[at]))
    panel.figure.canvas.callbacks.process("button_press_event", MouseEvent("button_press_event", panel.canvas, x, y, 1))


def test_it_opens_with_a_resnet_and_the_favourite(panel):
    assert panel.chosen == {"left": explore.RESNET, "right": panel.explorer.best("ParZC")}
    assert [menu.value for menu in panel.sides["left"].menus] == list(nb201.parse(explore.RESNET))
    assert explore.RESNET in panel.pair.value
    assert len(panel.rows.options) == ROWS
    assert panel.rows.options[0][1] == panel.explorer.best("ParZC")
    assert panel.canvas in panel.box.children
    assert show("nb201", "cifar10", [POOLED, explore.RESNET]).children


@pytest.mark.parametrize("axes", [0, 1])
def test_a_click_opens_the_cell_on_the_chosen_side(panel, axes):
    at = int(panel.explorer.cells["accuracy"].argmax())
    panel.side.value = "right"
    click(panel, at, axes)
    drawn, opened = panel.panels[axes], panel.explorer.cells.index.get_loc(panel.chosen["right"])
    assert (drawn.x[opened], drawn.y[opened]) == pytest.approx((drawn.x[at], drawn.y[at]), abs=0.05)
    assert panel.chosen["left"] == explore.RESNET
    assert panel.chosen["right"] in panel.pair.value


def test_a_picture_is_not_shown_while_it_is_drawn(panel, monkeypatch):
    shown, draw = [], explore.Explorer.draw

    def slow(explorer, figure, *rest, **options):
        thread = threading.Thread(target=lambda: (panel.canvas.draw(), shown.append(len(figure.axes[0].collections))))
        figure.clear()
        figure.subplots()
        thread.start()
        thread.join(1)
        found = draw(explorer, figure, *rest, **options)
        threads.append(thread)
        return found

    threads = []
    monkeypatch.setattr(explore.Explorer, "draw", slow)
    panel.proxy.value = "synflow"
    threads[0].join()
    assert shown
    assert shown[0] > 0


def test_a_click_while_the_toolbar_zooms_opens_nothing(panel):
    panel.canvas.toolbar.zoom()
    before = panel.chosen
    click(panel, 7)
    assert panel.chosen == before


def test_menus_and_strings_compose_a_cell(panel):
    panel.sides["left"].menus[3].value = "avg_pool_3x3"
    operations = list(nb201.parse(explore.RESNET))
    assert panel.chosen["left"] == nb201.to_string([*operations[:3], "avg_pool_3x3", *operations[4:]])
    assert panel.chosen["left"] in panel.pair.value
    panel.sides["left"].text.value = POOLED
    assert {menu.value for menu in panel.sides["left"].menus} == {"avg_pool_3x3"}
    assert POOLED in panel.pair.value
    panel.sides["left"].text.value = "<none>"
    assert "&lt;none&gt;" in panel.pair.value
    panel.sides["left"].menus[0].value = "none"
    assert "none~0" in panel.chosen["left"]
    assert panel.chosen["left"] in panel.pair.value


def test_the_table_is_sorted_cut_and_opens_cells(panel):
    panel.sort.value, panel.descending.value = "accuracy", True
    best = str(panel.explorer.cells["accuracy"].idxmax())
    assert panel.rows.options[0][1] == best
    assert best in panel.table.value
    panel.rows.value = best
    assert panel.chosen["left"] == best
    panel.most.value = 0.3
    shown = [arch for _, arch in panel.rows.options]
    assert (panel.explorer.cells.loc[shown, "params"] < 300_000).all()
    assert any("300,000 parameters" in text.get_text() for text in panel.figure.legends[0].get_texts())


def test_another_ranker_or_proxy_is_another_picture_and_table(panel):
    panel.sort.value = "spread"
    panel.ranker.value = "NP"  # has none
    assert panel.sort.value == "predicted rank"
    assert panel.rows.options[0][1] == panel.explorer.best("NP")
    assert "Rank by NP" in panel.pair.value
    panel.proxy.value = "synflow"
    assert panel.panels[1].axes.get_title().startswith("Synflow")
    panel.overlaid.value = True
    assert any("seed0" in text.get_text() for text in panel.figure.legends[0].get_texts())
    panel.ranker.value = "ParZC"
    assert "spread" in panel.sort.options


def test_another_data_set_keeps_the_cells_and_another_space_has_its_own(panel):
    panel.sides["right"].text.value = POOLED
    panel.dataset.value = ("nb201", "cifar100")
    assert panel.explorer.dataset == "cifar100"
    assert panel.chosen["right"] == POOLED
    panel.dataset.value = ("nb101", "cifar10")
    assert panel.chosen["right"] == panel.explorer.best("ParZC")
    assert panel.sides["left"].box.children[1].layout.display == "none"
    click(panel, int(panel.explorer.cells["accuracy"].argmax()))
    assert panel.chosen["left"].startswith("input>")
    assert panel.chosen["left"] in panel.pair.value


def test_what_cannot_be_read_is_said_and_the_rest_stays(panel, monkeypatch):
    def refuse(*_):
        raise BadInput("a reason")

    monkeypatch.setattr(explore, "opened", refuse)
    panel.dataset.value = ("nb201", "cifar100")
    assert panel.status.value == "a reason"
    assert panel.explorer.dataset == "cifar10"


def test_buttons_open_cells_and_export_gives_files(panel):
    for name in panel.buttons:
        panel.buttons[name].click()
        assert panel.chosen["left"] in panel.explorer.cells.index
    panel.buttons["truly best"].click()
    assert panel.chosen["left"] == panel.explorer.cells["accuracy"].idxmax()
    panel.buttons["predicted best"].click()
    assert panel.chosen["left"] == panel.explorer.best("ParZC")
    panel.export.click()
    names = re.findall(r'download="([^"]+)"', panel.saved.value)
    assert names == ["nb201_cifar10.csv", "nb201_cifar10.png", "nb201_cifar10_cells.txt"]
