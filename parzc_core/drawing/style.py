"""What all figures share: palette, style, the marking of stages, and the one way to save.

Figures are matplotlib `Figure` objects outside pyplot's list of open figures: a notebook shows one exactly once, and
nothing has to be closed. Colours are those of Okabe and Ito, told apart by readers with any colour vision.
"""

import io
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parzc_core import paths
from parzc_core.errors import BadInput
from parzc_core.profiles import profile as profile_named

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#767676",
)
BACKDROP = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}  # behind a label inside the axes
_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text in the PDF
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY]),
}


def style() -> None:
    """Set the one style; every drawing function here calls it, a notebook's own drawing may."""
    matplotlib.rcParams.update(_STYLE)


class ShownFigure(Figure):
    """A figure that a notebook shows as a picture, whatever drawing backend is loaded there."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in the one style; sizes in inches, layout constrained."""
    style()
    return ShownFigure(figsize=(width, height), layout="constrained")


def save_figure(fig: Figure, name: str, profile: str) -> Path:
    """Save as <name>.png (200 dpi) and <name>.pdf, each whole or not at all, and return the path of the PNG.

    Profile "full" writes to figures/, every other one to results/<profile>/figures/. No date goes into the files, so
    equal figures are equal bytes. Raises UnknownName on a wrong profile and BadInput on a name that is no plain name.
    """
    profile_named(profile)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise BadInput(f"figure name {name!r} should be letters, digits, - and _ only, such as 'fig06b_tsne'")
    folder = paths.FIGURES if profile == "full" else paths.RESULTS / profile / "figures"
    save_as(fig, folder / f"{name}.pdf")
    return save_as(fig, folder / f"{name}.png")


def save_as(fig: Figure, path: Path) -> Path:
    """Save as that .png (200 dpi) or .pdf, whole or not at all, without a date in it; return the path."""
    formats = {".png": {"Software": None}, ".pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    expect(path.suffix in formats, f"got {path.name}; expected a .png or a .pdf")
    content = io.BytesIO()
    fig.savefig(content, format=path.suffix[1:], dpi=200, metadata=formats[path.suffix])
    return paths.write_whole(path, content.getvalue())


def expect(condition: object, message: str) -> None:
    """Raise BadInput with that message unless the condition holds."""
    if not condition:
        raise BadInput(message)


def stages(nodes: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of neighbouring nodes of the same stage: (label, first, one past last), from NAS-Bench-201 module paths.

    A reduction block is known by its `conv_a`, `conv_b` and `downsample`; a cell belongs to the stage after as many
    reductions as come before it. Nodes of cells behind the classifier are never run: one run, "without effect". Nodes of other
    spaces form one run with an empty label.
    """
    head = next((i for i, node in enumerate(nodes) if node.startswith("classifier")), len(nodes)) + 1
    if head < len(nodes):
        return [*stages(nodes[:head]), ("without effect", head, len(nodes))]
    is_reduction = re.compile(r"cells\.(\d+)\.(?:conv_a|conv_b|downsample)\b")
    reductions = sorted({int(found[1]) for node in nodes if (found := is_reduction.match(node))})

    def stage(node: str) -> tuple[str, int]:
        if node.startswith("stem"):
            return "stem", 0
        if node.startswith(("classifier", "lastact")):
            return "head", 0
        found = re.match(r"cells\.(\d+)\.", node)
        if found is None:
            return "", 0
        passed = sum(int(found[1]) > reduction for reduction in reductions)
        return (f"reduction {1 + passed}", passed) if int(found[1]) in reductions else (f"stage {1 + passed}", passed)

    runs, start = [], 0
    for (label, _), group in groupby(nodes, key=stage):
        stop = start + len(list(group))
        runs.append((label, start, stop))
        start = stop
    return runs


def draw_stages(ax: Axes, nodes: Sequence[str], labelled: bool) -> None:
    """Light bands behind the nodes of each stage, with the stages' names above the axes if `labelled`."""
    for count, (name, start, stop) in enumerate(stages(nodes)):
        if count % 2:
            ax.axvspan(start - 0.5, stop - 0.5, color="#EEF2F6", linewidth=0, zorder=0)
        if labelled and name:
            narrow = (stop - start) < 0.12 * len(nodes)
            ax.annotate(
                name,
                ((start + stop - 1) / 2, 1),
                (0, 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                rotation=90 if narrow else 0,
                ha="center",
                va="bottom",
                fontsize=8.5,
                color="#444444",
            )
    ax.set_xlim(-0.7, len(nodes) - 0.3)
    ax.grid(visible=False, axis="x")
