"""The explorer with menus: a thin layer of ipywidgets and ipympl over `explore`, for JupyterLab and voila.

    show("nb201", "cifar10")      # in a notebook's last line
"""

import html
from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

import ipywidgets as widgets
import numpy as np
from ipympl.backend_nbagg import Canvas, FigureManager
from matplotlib.figure import Figure

from parzc_core.drawing.style import new_figure
from parzc_core.errors import ParzcError
from parzc_core.experiments import explore
from parzc_core.report.shown import show as shown
from parzc_core.runs import shipped
from parzc_core.spaces import nb201

ROWS = 12  # of the table that are shown


def show(space: str = "nb201", dataset: str = "cifar10", cells: Sequence[str] | None = None) -> widgets.VBox:
    """The explorer of a data set as one widget. cells: the two to begin with (None: its examples). Raises BadInput."""
    return Panel(space, dataset, cells).box


class _Canvas(Canvas):
    """A picture that is shown whole: JupyterLab may ask for it in one thread while another draws it anew."""

    def __init__(self, figure: Figure):
        self.lock = RLock()
        super().__init__(figure)

    def draw(self) -> None:
        with self.lock:
            super().draw()


class Panel:
    """The widgets, by name, and `box`, which holds them all. What they show is computed by `explore`."""

    def __init__(self, space: str = "nb201", dataset: str = "cifar10", cells: Sequence[str] | None = None):
        self.explorer = explore.opened(space, dataset)
        self.dataset = widgets.Dropdown(
            options=[(title, key) for key, title in explore.TITLES.items()], value=(space, dataset), description="data set"
        )
        self.ranker = widgets.Dropdown(options=shipped.RANKERS, description="ranker")
        self.proxy = widgets.Dropdown(options=explore.PROXIES, value="snip", description="proxy")
        wide = {"description_width": "initial"}
        self.most = widgets.FloatText(description="below … M parameters (0: all)", value=0, step=0.1, style=wide)
        self.overlaid = widgets.Checkbox(description="several initialisations", indent=False)
        self.every = widgets.Checkbox(description="bars of all proxies", indent=False)
        narrow = {"button_width": "5em"}
        self.side = widgets.ToggleButtons(options=tuple(explore.SIDES), description="a click opens", style=narrow)
        self.sides = {side: Side(side, self._cells_changed) for side in explore.SIDES}
        self.buttons = {
            name: widgets.Button(description=name) for name in ("predicted best", "truly best", "ResNet cell", "random cell")
        }
        self.sort = widgets.ToggleButtons(options=("predicted rank",), description="sort by")
        self.descending = widgets.Checkbox(description="largest first", indent=False)
        self.rows = widgets.Select(options=(), rows=ROWS, description="open")
        self.rows.layout.width = "98%"
        self.export = widgets.Button(description="export", tooltip="the table as CSV, the picture as PNG, both cells as text")
        self.status, self.saved, self.pair, self.table = widgets.Label(), widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.figure = new_figure(11, 4.8)
        self.canvas = _Canvas(self.figure)
        FigureManager(self.canvas, 0)  # gives it its toolbar
        self.canvas.header_visible = self.canvas.footer_visible = False
        self.canvas.toolbar_position = "bottom"  # elsewhere it lies over the axes
        self.canvas.mpl_connect("button_press_event", self._clicked)
        self.panels: list[explore.Panel] = []
        self._quiet = False
        self._open(tuple(cells or self.explorer.examples()))
        for menu in (self.ranker, self.proxy, self.most, self.overlaid):
            menu.observe(self._all_changed, "value")
        self.dataset.observe(self._dataset_changed, "value")
        self.every.observe(self._cells_changed, "value")
        for menu in (self.sort, self.descending):
            menu.observe(self._table_changed, "value")
        self.rows.observe(self._row_opened, "value")
        self.export.on_click(self._exported)
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self._put(self._named(name)))
        row = widgets.HBox
        self.box = widgets.VBox(
            [
                row([self.dataset, self.ranker, self.proxy]),
                row([self.most, self.overlaid, self.every, self.export, self.saved, self.status]),
                self.canvas,
                row([self.side, *self.buttons.values()]),
                row([side.box for side in self.sides.values()]),
                self.pair,
                row([self.sort, self.descending]),
                self.rows,
                self.table,
            ]
        )

    @property
    def chosen(self) -> dict[str, str]:
        """The string of the cell on each side."""
        return {name: side.arch for name, side in self.sides.items()}

    def _open(self, cells: Sequence[str]) -> None:
        """Put two cells into the sides, and show all anew."""
        self._quiet = True
        for side, arch in zip(self.sides.values(), cells, strict=True):
            side.put(arch, self.explorer.space)
        self.sort.options = tuple(self.explorer.table(self.ranker.value).columns)
        self.sort.value = "predicted rank"
        self._quiet = False
        self._all_changed()

    def _dataset_changed(self, _change: object = None) -> None:
        before = self.explorer
        self.status.value = "reading …"
        try:
            self.explorer = explore.opened(*self.dataset.value)
        except ParzcError as error:
            self.status.value = str(error)
            return
        self._open(tuple(self.chosen.values()) if before.space == self.explorer.space else self.explorer.examples())

    def _all_changed(self, _change: object = None) -> None:
        if not self._quiet:
            self._table_changed()
            self._cells_changed()

    def _cells_changed(self, _change: object = None) -> None:
        """The marks in the picture, and the two cells."""
        if self._quiet:
            return
        self.status.value = ""
        try:
            self._drawn()
            proxies = explore.NODE_PROXIES if self.every.value else (self.proxy.value,)
            left, right = self.chosen.values()
            self.pair.value = self.explorer.pair(left, right, self.ranker.value, proxies)._repr_html_()
        except ParzcError as error:
            self.pair.value = html.escape(str(error))

    def _drawn(self) -> None:
        most = 1e6 * self.most.value if self.most.value > 0 else np.inf
        options = {"chosen": self.chosen, "params": most, "overlaid": self.overlaid.value}
        with self.canvas.lock:
            self.panels = self.explorer.draw(self.figure, self.ranker.value, self.proxy.value, **options)
        self.canvas.draw_idle()

    def _sorted(self) -> Any:
        found = self.explorer.table(self.ranker.value, self.sort.value, self.descending.value)
        return found[found["params"] < 1e6 * self.most.value] if self.most.value > 0 else found

    def _table_changed(self, _change: object = None) -> None:
        if self._quiet:
            return
        try:
            top = self._sorted().head(ROWS)
        except ParzcError:  # another ranker, without that column
            self.sort.value = "predicted rank"
            return
        self.table.value = shown(top.drop(columns="trained on").assign(unseen=~top["trained on"]), 2)._repr_html_()
        self._quiet = True
        self.rows.options = [(f"{place}. {arch}", arch) for place, arch in enumerate(top.index, 1)]
        self.rows.value = None
        self._quiet = False

    def _row_opened(self, _change: object = None) -> None:
        if not self._quiet and self.rows.value is not None:
            self._put(self.rows.value)

    def _clicked(self, event: Any) -> None:
        """Open the cell whose point was clicked, unless the toolbar zooms or pans."""
        panel = next((panel for panel in self.panels if panel.axes is event.inaxes), None)
        if panel is not None and not self.canvas.toolbar.mode:
            self._put(self.explorer.nearest(panel, event.xdata, event.ydata))

    def _put(self, arch: str) -> None:
        """Open a cell in the side that is chosen."""
        self._quiet = True
        self.sides[self.side.value].put(arch, self.explorer.space)
        self._quiet = False
        self._cells_changed()

    def _named(self, name: str) -> str:
        cells = self.explorer.cells
        if name == "predicted best":
            return self.explorer.best(self.ranker.value)
        if name == "random cell":
            return str(np.random.default_rng().choice(cells.index))
        return self.explorer.examples()[0] if name == "ResNet cell" else str(cells["accuracy"].idxmax())

    def _exported(self, _button: object = None) -> None:
        self.saved.value = explore.links(
            explore.files(self.explorer, self._sorted(), self.figure, tuple(self.chosen.values()))
        )


class Side:
    """One of the two cells: its string and, in NAS-Bench-201, a menu an edge. changed: called when it is another cell."""

    def __init__(self, name: str, changed: Callable[[], object]):
        self._changed, self._quiet = changed, False
        self.text = widgets.Text(description=name, continuous_update=False, layout=widgets.Layout(width="98%"))
        looks: dict[str, Any] = {"layout": widgets.Layout(width="32%"), "style": {"description_width": "3em"}}
        self.menus = [
            widgets.Dropdown(options=nb201.OPERATIONS, description=f"{i} → {j}", **looks) for i, j in nb201.EDGES
        ]
        self.text.observe(self._typed, "value")
        for menu in self.menus:
            menu.observe(self._composed, "value")
        self._edges = widgets.Box(self.menus, layout=widgets.Layout(flex_flow="row wrap"))
        self.box = widgets.VBox([self.text, self._edges], layout=widgets.Layout(width="50%"))

    @property
    def arch(self) -> str:
        """The cell's string, as it stands there."""
        return str(self.text.value)

    def put(self, arch: str, space: str) -> None:
        """Set the string and the menus, without a call of `changed`."""
        self._quiet = True
        self.text.value = arch
        self._edges.layout.display = "flex" if space == "nb201" else "none"
        if space == "nb201":
            for menu, operation in zip(self.menus, nb201.parse(arch), strict=True):
                menu.value = operation
        self._quiet = False

    def _typed(self, _change: object) -> None:
        if self._quiet:
            return
        try:
            self.put(self.arch, "nb201" if self._edges.layout.display == "flex" else "nb101")
        except ParzcError:
            self._quiet = False  # the menus stay; what is wrong is said where the cells are shown
        self._changed()

    def _composed(self, _change: object) -> None:
        if not self._quiet:
            self.put(nb201.to_string([menu.value for menu in self.menus]), "nb201")
            self._changed()
