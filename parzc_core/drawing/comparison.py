"""A table as dots: the printed value and ours with its interval, a line a row, a panel a column."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.drawing.style import BLUE, GREEN, GREY, PURPLE, VERMILION, expect, new_figure

VERDICT_COLOURS = {"matches": GREEN, "higher": BLUE, "lower": VERMILION, "not judged": GREY, "new": PURPLE}
_MARKERS = {"matches": "o", "higher": "^", "lower": "v", "not judged": "X", "new": "s"}


def paper_vs_ours(frame: pd.DataFrame, title: str = "") -> Figure:
    """Printed value (hollow diamond) and ours (with its 95 % interval) per row; a panel per column and metric.

    frame: what `report.comparison.compare` gives. Only columns with a value of ours are drawn; with none, the printed ones are.
    The verdict is colour and shape, and named in the legend.
    """
    run = frame[frame["ours"].notna()]
    kept = run if len(run) else frame[frame["paper"].notna()]
    expect(len(kept) > 0, "paper_vs_ours got a frame without a single value; nothing to draw")
    panels = list(dict.fromkeys(zip(kept["column"], kept["metric"], strict=True)))
    in_panels = [pair in panels for pair in zip(frame["column"], frame["metric"], strict=True)]
    names = [name for name in dict.fromkeys(frame["row"]) if name in set(frame.loc[in_panels, "row"])]
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    fig = new_figure(2.2 + 2.7 * columns, 1.7 + rows * (0.75 + 0.3 * len(names)))
    axes = fig.subplots(rows, columns, squeeze=False, sharey=True)
    handles: dict[str, Any] = {}
    for place, ax in enumerate(axes.flat):
        if place >= len(panels):
            ax.set_axis_off()
            continue
        column, metric = panels[place]
        part = frame[(frame["column"] == column) & (frame["metric"] == metric)].drop_duplicates("row").set_index("row")
        for at, name in enumerate(names):
            if name not in part.index:
                continue
            cell = part.loc[name]
            paper, ours = float(cell["paper"]), float(cell["ours"])
            if np.isfinite([paper, ours]).all():
                ax.plot([paper, ours], [at, at], color="#BBBBBB", linewidth=1.2, zorder=1)
            if np.isfinite(paper):
                dot = ax.scatter(paper, at, marker="D", s=46, facecolor="white", edgecolor="black", zorder=2)
                handles.setdefault("paper", dot)
            if np.isfinite(ours):
                verdict = str(cell["verdict"])
                colour = VERDICT_COLOURS.get(verdict, GREY)
                if np.isfinite([cell["ci_low"], cell["ci_high"]]).all():
                    ax.plot(
                        [cell["ci_low"], cell["ci_high"]], [at, at], color=colour, linewidth=3, alpha=0.45, zorder=2
                    )
                dot = ax.scatter(ours, at, marker=_MARKERS.get(verdict, "o"), s=44, color=colour, zorder=3)
                handles.setdefault(f"ours: {verdict}", dot)
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.margins(x=0.08)
        unit = next((str(value) for value in part["unit"] if isinstance(value, str) and value), "")
        ax.set_xlabel(f"{metric.replace('_', ' ')} ({unit})" if unit else metric.replace("_", " "))
        ax.set_title(textwrap.fill(str(column), 24))
        ax.tick_params(axis="y", length=0, labelleft=place % columns == 0)
    if title:
        fig.suptitle(title, fontweight="bold")
    fig.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=columns + 1,
        title="bars: 95 % interval",
    )
    return fig
