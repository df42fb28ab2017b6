"""Where rankers and proxies put the cells of a benchmark, and where they belong.

    explorer = opened("nb201", "cifar10")                    # nothing is trained: rankers and scores come with the project
    explorer.best_under(500_000, "ParZC+")                   # a table of cells; .table() has all
    explorer.pair(RESNET, explorer.best("ParZC"), "ParZC")   # two cells beside each other
    explore_panel.show()                                     # the same with menus

Every cell that can be asked for has been collected, so that no network is run.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from parzc_core import labels, metrics, paths
from parzc_core.collecting.labelled import folder_name
from parzc_core.collector import NodeStatistics
from parzc_core.drawing.cells import cell_graph, node_statistics_bars, vertex_graph
from parzc_core.drawing.style import BLUE, GREY, ORANGE, PURPLE, VERMILION, new_figure
from parzc_core.errors import BadInput, LabelsMissing, UnknownName
from parzc_core.files.fetch import COMMAND
from parzc_core.paper import PROXY_LABELS
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs import draws, shipped, variants
from parzc_core.spaces import nb101, nb201
from parzc_core.storage.statistics import StatisticsStore

TITLES = {
    ("nb201", "cifar10"): "NAS-Bench-201, CIFAR-10",
    ("nb201", "cifar100"): "NAS-Bench-201, CIFAR-100",
    ("nb201", "imagenet16-120"): "NAS-Bench-201, ImageNet16-120",
    ("nb101", "cifar10"): "NAS-Bench-101, CIFAR-10",
}
RESNET = nb201.to_string(("nor_conv_3x3", "none", "nor_conv_3x3", "skip_connect", "none", "skip_connect"))  # makes a ResNet
PROXIES = (*NODE_PROXIES, "params")
FEW = 10  # percent of the cells, which may lie on the lower edge of a picture
ALIKE = 50  # unseen cells from which a ranker's empirical interval is read
SIDES = {"left": ("*", VERMILION), "right": ("D", PURPLE)}  # how the two cells are marked


@lru_cache(maxsize=4)
def opened(space: str = "nb201", dataset: str = "cifar10") -> "Explorer":
    """The explorer of one of TITLES, read once. Raises BadInput where its rankers or its statistics are missing."""
    return Explorer(space, dataset)


class Panel(NamedTuple):
    """Points of one picture: x, y float64[n] in the order of the cells; NaN where a cell has none."""

    axes: Axes
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Pair:
    """Two cells beside each other; a notebook shows it as a picture.

    facts: what is said in words, a row each, columns "left" and "right". graphs, bars: a figure a cell.
    """

    facts: pd.DataFrame
    graphs: tuple[Figure, ...]
    bars: tuple[Figure, ...]

    def _repr_html_(self) -> str:
        left, rows = 'style="text-align:left"', ""
        wide = 'style="text-align:left;width:42%;white-space:normal;overflow-wrap:anywhere"'  # a cell's string has no spaces
        for label, values in self.facts.iterrows():
            cells = "".join(f"<td {wide}>{html.escape(value)}</td>" for value in values)
            rows += f"<tr><th {left}>{html.escape(str(label))}</th>{cells}</tr>"
        pictures = "".join(_picture(fig, "49%") for fig in (*self.graphs, *self.bars))
        return f'<table style="width:100%">{rows}</table>{pictures}'

    def __repr__(self) -> str:
        return self.facts.to_string()


class Explorer:
    """All collected cells of a data set, with their labels, the sums of their proxies and the scores of the rankers.

    cells: DataFrame, a row a cell in the order of the sample: accuracy (%, what is judged), a column a proxy, params. known: the
    scores. trained: bool[n], the cells that the rankers learned from. Raises BadInput for what no ranker comes for.
    """

    def __init__(self, space: str, dataset: str):
        self.space, self.dataset, self.known = space, dataset, shipped.scored(space, dataset)
        name = folder_name(dataset, shipped.DATASETS[space, dataset])
        self.store = StatisticsStore(paths.STATISTICS / space / name)
        found = self.store.sums()
        for manifest in sorted((paths.STATISTICS / space / "scores" / name).glob("whole/manifest.json")):
            other = StatisticsStore(manifest.parent).sums()
            found = found.join(other[[column for column in other if column not in found]])
        self.known.check(found.index.tolist())
        truth, self.judged_on, provenance = labels.judged(space, dataset)
        self.note = provenance["note"]
        self.cells = found[["shard", *PROXIES]].assign(accuracy=truth.loc[found.index].to_numpy())
        self.trained = ~self.known.unseen
        try:
            self.validation: pd.Series | None = labels.accuracy(space, dataset, "val")
        except LabelsMissing:
            self.validation = None

    def __len__(self) -> int:
        return len(self.cells)

    def values(self, name: str) -> np.ndarray:
        """float64[n], what a ranker or a proxy says of every cell; higher means better. Raises UnknownName."""
        if name in self.known.scores:
            return self.known.scores[name]
        if name not in PROXIES:
            raise UnknownName.of("ranker or proxy", name, (*self.known.scores, *PROXIES))
        return self.cells[name].to_numpy()

    def tau(self, name: str) -> float:
        """Kendall's tau (%) of a ranker or a proxy with accuracy, over the cells that no ranker learned from."""
        values, judged = self.values(name), self.cells["accuracy"].to_numpy()
        usable = ~self.trained & np.isfinite(values)
        return metrics.kendall(values[usable], judged[usable])

    def coverage(self, ranker: str) -> float:
        """Percent of the unseen cells whose true rank lies in the predicted interval (`facts`). Raises BadInput: no spread."""
        score, spread = self.values(ranker), self._spread(ranker)
        if spread is None:
            raise BadInput(f"got {ranker}, which has no spread; expected one of {', '.join(self.known.spreads)}")
        best, worst = (_places(score, score + sign * 2 * spread) for sign in (1, -1))
        truth = _places(self.cells["accuracy"].to_numpy(), self.cells["accuracy"].to_numpy())
        return 100.0 * float(((best <= truth) & (truth <= worst))[~self.trained].mean())

    def table(self, ranker: str = "ParZC", sort: str = "predicted rank", descending: bool = False) -> pd.DataFrame:
        """A row a cell, indexed by its string, sorted by one of the columns.

        Columns: predicted rank, true rank (1 is best), accuracy (%), score, spread (of a ranker that has one), params, the
        proxies, trained on (bool). Raises UnknownName.
        """
        score, judged, spread = self.values(ranker), self.cells["accuracy"].to_numpy(), self._spread(ranker)
        found = pd.DataFrame(
            {
                "predicted rank": _places(score, score),
                "true rank": _places(judged, judged),
                "accuracy": judged,
                "score": score,
                **({} if spread is None else {"spread": spread}),
                "params": self.cells["params"].to_numpy(dtype=int),
                **{name: self.cells[name].to_numpy() for name in NODE_PROXIES},
                "trained on": self.trained,
            },
            index=pd.Index(self.cells.index, name="cell"),
        )
        if sort not in found:
            raise UnknownName.of("column", sort, list(found))
        return found.sort_values(sort, ascending=not descending, kind="stable")

    def best_under(self, params: float, ranker: str = "ParZC", count: int = 10) -> pd.DataFrame:
        """The rows of `table` of the cells with fewer parameters, the best predicted first. Raises BadInput where none is."""
        found = self.table(ranker)
        found = found[found["params"] < params]
        if found.empty:
            raise BadInput(f"got params={params:g}; no cell has fewer, the smallest has {int(self.cells['params'].min()):,}")
        return found.head(count)

    def best(self, ranker: str) -> str:
        """The cell with the highest score."""
        return str(self.cells.index[int(np.argmax(self.values(ranker)))])

    def examples(self) -> tuple[str, str]:
        """Two cells to begin with: a ResNet or, in a space without one, the truly best; and ParZC's favourite."""
        known = RESNET in self.cells.index
        return RESNET if known else str(self.cells["accuracy"].idxmax()), self.best("ParZC")

    def found(self, arch: str) -> str:
        """The string of a cell as the collection writes it. Raises BadInput for a string that is no cell, or not collected."""
        arch = arch.strip()
        if self.space == "nb101":
            arch = arch if arch in self.cells.index else str(nb101.parse(arch).canonical())
        else:
            nb201.parse(arch)
        if arch not in self.cells.index:
            raise BadInput(f"got the cell {arch}, which is not among the {len(self):,} that were collected")
        return arch

    def statistics(self, arch: str) -> NodeStatistics:
        """The node statistics of a collected cell. Raises BadInput."""
        arch = self.found(arch)
        shard = int(self.cells["shard"].to_numpy()[self._at(arch)])
        return next(one.statistics for one in self.store.read_shard(shard) if one.arch == arch)

    def _at(self, arch: str) -> int:
        """The position of a cell. Raises BadInput."""
        return int(np.flatnonzero(self.cells.index == self.found(arch))[0])

    def facts(self, arch: str, ranker: str = "ParZC") -> dict[str, str]:
        """What is known and predicted of a cell, in words: label -> text. Raises BadInput, UnknownName."""
        arch = self.found(arch)
        at, score, judged = self._at(arch), self.values(ranker), self.cells["accuracy"].to_numpy()
        spread = self._spread(ranker)
        others = np.arange(len(self)) != at
        near = np.flatnonzero(~self.trained & others)
        near = near[np.argsort(np.abs(score[near] - score[at]), kind="stable")[:ALIKE]]
        low, high = np.percentile(_places(judged[others], judged[near]), (5, 95)).round().astype(int).tolist()
        said = {
            "Cell": arch,
            "To the rankers": f"trained on, one of {self.trained.sum():,}" if self.trained[at] else "unseen",
            f"Rank by {ranker}": f"{_places(score[others], score[at]):,} of {len(self):,}",
        }
        if spread is not None:
            best, worst = (int(_places(score[others], score[at] + sign * 2 * spread[at])) for sign in (1, -1))
            said["Predicted interval"] = f"{best:,} to {worst:,}: score ± 2 standard deviations"
        said |= {
            "Empirical interval": f"of the {len(near)} unseen cells scored most alike, 90 % truly rank from {low:,} to {high:,}",
            "True rank": f"{_places(judged[others], judged[at]):,}",
            "Validation accuracy": "not on this machine" if self.validation is None else f"{self.validation.loc[arch]:.2f} %",
            "Test accuracy": f"{judged[at]:.2f} %" if self.judged_on == "test" else f"not on this machine; `{COMMAND}` gets it",
            "Parameters": f"{int(self.cells['params'].to_numpy()[at]):,}",
        }
        if self.space == "nb201":
            live = nb201.live_edges(arch)
            dead = [f"{i} → {j}" for (i, j), lives in zip(nb201.EDGES, live, strict=True) if not lives]
            said["Edges without effect"] = ", ".join(dead) or "none"
        return said

    def graph(self, arch: str) -> Figure:
        """The cell as a graph."""
        return cell_graph(arch) if self.space == "nb201" else vertex_graph(arch)

    def pair(self, left: str, right: str, ranker: str = "ParZC", proxies: Sequence[str] = ("snip",)) -> Pair:
        """Two cells beside each other: what is known, their graphs, and the statistics of each node. Raises BadInput."""
        archs = [self.found(arch) for arch in (left, right)]
        facts = pd.DataFrame({side: self.facts(arch, ranker) for side, arch in zip(SIDES, archs, strict=True)})
        bars = []
        for one in map(self.statistics, archs):
            shown = [name for name in one.proxies if name in proxies]
            at = [one.proxies.index(name) for name in shown]
            bars.append(node_statistics_bars(replace(one, proxies=tuple(shown), values=one.values[at])) if at else None)
        return Pair(facts, tuple(map(self.graph, archs)), tuple(fig for fig in bars if fig is not None))

    def initialisations(self, proxy: str) -> pd.DataFrame:
        """A proxy's sums of the same cells from other initial weights and batches: float64, a column a draw, indexed by cell.

        The first column, "seed0", is the collection that all else is from. Without rows where the proxy was not drawn again.
        """
        again = {draw: table for found in _drawn(self.space, self.dataset).values() for draw, table in found.items()}
        there = {draw: table[proxy] for draw, table in again.items() if proxy in table}
        if not there:
            return pd.DataFrame({"seed0": []}, dtype=float)
        first = self.cells[proxy].loc[next(iter(there.values())).index]
        others = {draw: values for draw, values in there.items() if draw != variants.BASE.name}  # which is the first one itself
        return pd.DataFrame({"seed0": first, **others})

    def draw(
        self,
        figure: Figure,
        ranker: str = "ParZC",
        proxy: str = "snip",
        chosen: Mapping[str, str] | None = None,
        params: float = np.inf,
        overlaid: bool = False,
    ) -> list[Panel]:
        """Draw every cell by accuracy and by its place, into a figure: the ranker's at the left, the proxy's at the right.

        chosen: {side of SIDES: cell}, which are marked. params: cells with as many or more are grey. overlaid: the proxy's places
        of the same cells from other initialisations as well, where there are any, with a line over the places of a chosen one.
        Returns the points of each picture, for `nearest`.
        """
        figure.clear()
        panels: list[Panel] = []
        judged = self.cells["accuracy"].to_numpy()
        small = self.cells["params"].to_numpy() < params
        floor = float(np.percentile(judged, FEW))  # those that failed to train would take most of the axis
        height = np.maximum(judged, floor)
        for ax, name in zip(figure.subplots(1, 2, sharey=True), (ranker, proxy), strict=True):
            x = _percentile(self.values(name))
            kinds = (
                (~small, GREY, f"{params:,.0f} parameters or more"),
                (small & ~self.trained, BLUE, "unseen cells"),
                (small & self.trained, ORANGE, "trained on"),
            )
            for which, colour, label in kinds:
                if which.any():
                    looks: dict[str, Any] = {"s": 6, "color": colour, "linewidth": 0, "alpha": 0.5, "rasterized": True}
                    ax.scatter(x[which], height[which], label=label, **looks)
            if overlaid and panels:  # the second one
                self._overlay(ax, proxy, floor, list((chosen or {}).values()))
            for side, arch in (chosen or {}).items():
                at, (marker, colour) = self._at(arch), SIDES[side]
                looks = {"color": colour, "markersize": 13, "markeredgecolor": "white", "zorder": 9}
                ax.plot(x[at], height[at], marker, label=side, clip_on=False, **looks)
            ax.set(xlabel=f"better than … % of the cells, by {_name(name)}", xlim=(0, 100), ylim=(floor, judged.max() + 0.5))
            ax.set_title(f"{_name(name)}: τ = {self.tau(name):.1f} %", fontsize=12)
            panels.append(Panel(ax, x, judged))
        name = "test" if self.judged_on == "test" else "validation"
        panels[0].axes.set_ylabel(f"{name} accuracy (%); lower edge: {floor:.0f} or less")
        handles: dict[str, Any] = {}
        for panel in panels:
            handles |= {label: handle for handle, label in zip(*panel.axes.get_legend_handles_labels(), strict=True)}
        legend = figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5, fontsize=9)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set(sizes=[30], alpha=1)  # as the points are too small to tell colours there
            elif isinstance(handle, Line2D):
                handle.set_markersize(9)
        return panels

    def scatter(self, *arguments: Any, **options: Any) -> Figure:
        """A new figure with what `draw` draws."""
        self.draw(figure := new_figure(11, 4.6), *arguments, **options)
        return figure

    def nearest(self, panel: Panel, x: float, y: float) -> str:
        """The cell whose point is nearest to a place in a picture, in its units, as the eye measures it."""
        (left, right), (low, high) = panel.axes.get_xlim(), panel.axes.get_ylim()
        height = np.clip(panel.y, low, high)
        away = ((panel.x - x) / (right - left)) ** 2 + ((height - y) / (high - low)) ** 2
        return str(self.cells.index[int(np.nanargmin(away))])

    def _spread(self, ranker: str) -> np.ndarray | None:
        return self.known.spreads.get(ranker)

    def _overlay(self, ax: Axes, proxy: str, floor: float, chosen: Sequence[str]) -> None:
        again = self.initialisations(proxy)
        judged = self.cells["accuracy"].loc[again.index].to_numpy()
        height = np.maximum(judged, floor)
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(again.columns)))
        places = {draw: _percentile(again[draw].to_numpy()) for draw in again}
        for (draw, x), colour in zip(places.items(), colours, strict=True):
            if len(x):
                label = f"{str(draw).removeprefix('foolbox-')}: τ = {metrics.kendall(again[draw].to_numpy(), judged):.0f} %"
                ax.scatter(x, height, s=5, alpha=0.7, color=colour, linewidth=0, label=label, rasterized=True)
        for arch in chosen:
            if arch in again.index:
                at = again.index.get_loc(arch)
                ends = [x[at] for x in places.values()]
                ax.plot([min(ends), max(ends)], [height[at]] * 2, color="black", linewidth=2, zorder=8)


def files(explorer: Explorer, table: pd.DataFrame, figure: Figure, chosen: Sequence[str]) -> dict[str, bytes]:
    """What can be taken along, {name: content}: the table as CSV, the picture as PNG, the strings of the chosen cells as text."""
    stem = f"{explorer.space}_{explorer.dataset}"
    return {
        f"{stem}.csv": table.to_csv(float_format="%.6g").encode(),
        f"{stem}.png": _png(figure, 200),
        f"{stem}_cells.txt": "".join(f"{arch}\n" for arch in chosen).encode(),
    }


def links(content: Mapping[str, bytes]) -> str:
    """HTML: a link for each file that a browser saves under its name. It needs no server."""
    kinds = {"csv": "text/csv", "png": "image/png", "txt": "text/plain"}
    found = []
    for name, data in content.items():
        address = f"data:{kinds[name.rpartition('.')[2]]};base64,{base64.b64encode(data).decode()}"
        found.append(f'<a download="{html.escape(name)}" href="{address}">{html.escape(name)}</a>')
    return " · ".join(found)


@lru_cache(maxsize=4)
def _drawn(space: str, dataset: str) -> dict[str, dict[str, pd.DataFrame]]:
    return draws.scores(space, dataset)


def _name(name: str) -> str:
    return PROXY_LABELS.get(name, name)


def _places(scores: np.ndarray, values: np.ndarray | float) -> Any:
    """int, or int[m]: for each of `values`, one more than how many of `scores` [n] are larger: its place, 1 is best."""
    return 1 + len(scores) - np.searchsorted(np.sort(scores), values, side="right")


def _percentile(values: np.ndarray) -> np.ndarray:
    """float64[n] in [0, 100]: of how many of the others, in percent, each value is larger; ties share the mean. NaN stays."""
    ranks = pd.Series(values).rank(na_option="keep").to_numpy()
    return 100 * (ranks - 1) / max(1, np.isfinite(values).sum() - 1)


def _png(figure: Figure, dpi: int) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def _picture(figure: Figure, width: str) -> str:
    data = base64.b64encode(_png(figure, 80)).decode()
    return f'<img style="display:inline;max-width:{width}" src="data:image/png;base64,{data}"/>'
