"""Pictures of a single architecture: its node statistics, and its cell as a graph."""

import re
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from parzc_core.drawing.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, draw_stages, expect, new_figure
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.spaces import nb101


class Statistics(Protocol):
    """What is read of a `NodeStatistics`: module paths [L], proxy names [K], values float64[K, L], and the indices of
    the nodes in the order in which the forward pass runs them."""

    @property
    def nodes(self) -> tuple[str, ...]: ...
    @property
    def proxies(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> NDArray[np.float64]: ...
    @property
    def execution_order(self) -> tuple[int, ...]: ...


def node_statistics_bars(statistics: Statistics) -> Figure:
    """The node statistics of one cell, a panel a proxy, a bar a node: magnitude on a log scale, sign as colour.

    Nodes are drawn in execution order, whatever the order of the values. A node of value 0 (no gradient reaches it)
    has a ring on the axis instead of a bar; NaN or inf, a cross.
    """
    values, count = np.asarray(statistics.values, dtype=float), len(statistics.nodes)
    shape = (len(statistics.proxies), count)
    expect(count > 0 and values.shape == shape, f"got statistics of shape {values.shape}; expected {shape}, not empty")
    order = list(statistics.execution_order)
    expect(sorted(order) == list(range(count)), f"execution_order names {len(order)} nodes; expected all {count} once")
    values, names = values[:, order], [statistics.nodes[at] for at in order]
    columns = 1 if len(values) <= 2 else 2
    rows = -(-len(values) // columns)
    fig = new_figure(9 if columns == 1 else 13, 1.5 + 1.75 * rows)
    axes = fig.subplots(rows, columns, squeeze=False)
    handles: dict[str, Any] = {}
    for place, ax in enumerate(axes.flat):
        if place >= len(values):
            ax.set_axis_off()
            continue
        row, at = values[place], np.arange(count)
        magnitude = np.abs(row)
        shown = magnitude[np.isfinite(row) & (row != 0)]
        low, high = (shown.min() / 4, shown.max() * 2) if len(shown) else (0.1, 1.0)
        ax.set_yscale("log")
        draw_stages(ax, names, labelled=place < columns)
        kinds = {
            "positive": (np.isfinite(row) & (row > 0), BLUE),
            "negative": (np.isfinite(row) & (row < 0), VERMILION),
        }
        for label, (chosen, colour) in kinds.items():
            if chosen.any():
                bars = ax.bar(at[chosen], magnitude[chosen] - low, bottom=low, width=0.85, color=colour)
                handles.setdefault(label, bars)
        marks = {"zero": (row == 0, "o", "none", 14), "NaN or inf": (~np.isfinite(row), "X", "black", 30)}
        for label, (chosen, marker, face, size) in marks.items():
            if chosen.any():
                foot = np.full(chosen.sum(), low * 1.2)
                dots = ax.scatter(at[chosen], foot, s=size, marker=marker, facecolor=face, edgecolor="black",
                                  linewidth=0.7, clip_on=False, zorder=3)  # fmt: skip
                handles.setdefault(label, dots)
        ax.set_ylim(low, high)
        ax.set_ylabel(PROXY_LABELS.get(statistics.proxies[place], statistics.proxies[place]), fontweight="bold")
        if place + columns >= len(values):
            ax.set_xlabel("node along depth (execution order)")
    fig.supylabel("magnitude of the node's statistic (log scale)", fontsize=11)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)
    return fig


_OPERATIONS = {
    "none": ("none", "#B5B5B5"),
    "skip_connect": ("skip", GREY),
    "nor_conv_1x1": ("conv 1×1", SKY),
    "nor_conv_3x3": ("conv 3×3", BLUE),
    "avg_pool_3x3": ("avg pool 3×3", ORANGE),
}
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # the order of the arch string
_PLACES = ((0.0, 0.0), (1.15, 1.0), (1.15, -1.0), (2.3, 0.0))
# Edge 0-3 runs straight through the middle, and its label stands off the crossing with 1-2.
_LABEL_AT = {(0, 3): 0.25, (1, 2): 0.25}


def cell_graph(arch_str: str) -> Figure:
    """The NAS-Bench-201 cell as a graph: four nodes, six edges coloured and labelled by operation.

    arch_str: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`. Edges of operation `none` are dashed. Raises BadInput.
    """
    operations = re.findall(r"\|([a-z0-9_]+)~(?=\d)", arch_str)
    shape = re.sub(r"[a-z0-9_]+~", "~", arch_str)
    if shape != "|~0|+|~0|~1|+|~0|~1|~2|" or not set(operations) <= set(_OPERATIONS):
        raise BadInput(
            f"arch string {arch_str!r}; expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with op of {tuple(_OPERATIONS)}"
        )
    fig = new_figure(6.4, 4.6)
    ax = fig.subplots()
    for edge, operation in zip(_EDGES, operations, strict=True):
        start, stop = (np.asarray(_PLACES[node]) for node in edge)
        label, colour = _OPERATIONS[operation]
        absent = operation == "none"
        ax.add_patch(
            FancyArrowPatch(tuple(start), tuple(stop), arrowstyle="-|>", mutation_scale=17, shrinkA=17, shrinkB=17,
                            linewidth=1.4 if absent else 2.6, linestyle=(0, (3, 3)) if absent else "-", color=colour)
        )  # fmt: skip
        x, y = start + (stop - start) * _LABEL_AT.get(edge, 0.5)
        ax.text(x, y, label, ha="center", va="center", fontsize=10.5, color="#777777" if absent else "black",
                bbox={"facecolor": "white", "edgecolor": colour, "boxstyle": "round,pad=0.25"}, zorder=4)  # fmt: skip
    for node, place in enumerate(_PLACES):
        name = {0: "input", 3: "output"}.get(node, f"node {node}")
        ax.plot(*place, "o", markersize=30, color="white", markeredgecolor=GREEN if node in (0, 3) else PURPLE,
                markeredgewidth=2.2, zorder=5)  # fmt: skip
        ax.text(*place, str(node), ha="center", va="center_baseline", fontsize=13, fontweight="bold", zorder=6)
        below = place[1] < 0
        ax.annotate(name, place, (0, -20 if below or not place[1] else 20), textcoords="offset points", ha="center",
                    va="top" if below or not place[1] else "bottom", fontsize=10)  # fmt: skip
    ax.set(xlim=(-0.45, 2.75), ylim=(-1.45, 1.45))
    ax.set_axis_off()
    return fig


_VERTICES = {
    "input": ("input", GREEN),
    "output": ("output", GREEN),
    "conv3x3-bn-relu": ("conv 3×3", BLUE),
    "conv1x1-bn-relu": ("conv 1×1", SKY),
    "maxpool3x3": ("max pool 3×3", ORANGE),
}


def vertex_graph(arch_str: str) -> Figure:
    """The NAS-Bench-101 cell as a graph: a box a vertex, from the input at the left, an arrow an edge.

    A vertex stands as far to the right as its longest path from the input is long. Raises BadInput.
    """
    cell = nb101.parse(arch_str)
    depth = np.zeros(len(cell.ops), dtype=int)
    for source, target in np.argwhere(cell.matrix):  # sources in order, so that their own depth is final
        depth[target] = max(depth[target], depth[source] + 1)
    height = np.zeros(len(depth))
    for level in range(depth.max() + 1):
        (there,) = np.nonzero(depth == level)
        height[there] = np.linspace(0.5, -0.5, len(there)) * (len(there) - 1) if len(there) > 1 else 0
    fig = new_figure(6.4, 4.6)
    ax = fig.subplots()
    for source, target in np.argwhere(cell.matrix):
        long = depth[target] - depth[source] > 1  # bent around what lies between
        ends = [(depth[at], height[at]) for at in (source, target)]
        ax.add_patch(
            FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=15, shrinkA=24, shrinkB=24, linewidth=1.8, color=GREY,
                            connectionstyle=f"arc3,rad={-0.35 if long else 0}")
        )  # fmt: skip
    for at, name in enumerate(cell.ops):
        label, colour = _VERTICES[name]
        ax.text(depth[at], height[at], label.replace(" ", "\n", 1), ha="center", va="center", fontsize=10, zorder=5,
                bbox={"facecolor": "white", "edgecolor": colour, "linewidth": 2.2, "boxstyle": "round,pad=0.4"})  # fmt: skip
    ax.set(xlim=(-0.5, depth.max() + 0.5), ylim=(-1.6, 1.6))
    ax.set_axis_off()
    return fig
