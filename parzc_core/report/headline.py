"""A dozen numbers that stand for the paper, printed beside ours with its 95 % interval, on one scale.

    for panel in panels():
        print(panel.title, [(dot.label, dot.paper, dot.ours) for dot in panel.dots])

They are those of the committed rows (profile "full"), whatever was run.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from parzc_core import paths
from parzc_core.report import comparison
from parzc_core.report.agreement import COMMITTED
from parzc_core.report.tables import table_title

# Title of a panel, and its cells as (table, row, column, metric, what it is).
_CELLS = {
    "Kendall's tau of ParZC with accuracy (%)": (
        ("table01", "ParZC", "NB101-CF10", "kendall", "NAS-Bench-101"),
        ("table01", "ParZC", "NB201-CF10", "kendall", "NAS-Bench-201, CIFAR-10"),
        ("table01", "ParZC", "NB201-CF100", "kendall", "NAS-Bench-201, CIFAR-100"),
        ("table01", "ParZC", "NB201-IMG16", "kendall", "NAS-Bench-201, ImageNet16-120"),
        ("table02", "ParZC", "NB101 S_424 (all)", "kendall", "NAS-Bench-101, 424 labels"),
        ("table02", "ParZC", "NB201 S'_78", "kendall", "NAS-Bench-201, 78 labels"),
        ("table05", "ParZC", "Autoformer-Ti", "kendall", "AutoFormer-Ti"),
        ("table06", "NP+Mixer+BN", "NB201-CF10 78", "kendall", "All components"),
        ("table07", "DiffKendall", "NB101-CF10 178", "kendall", "DiffKendall loss"),
        ("table11", "ParZC", "rho@100%", "spearman", "Bit widths (Spearman's rho)"),
    ),
    "What its search finds on NAS-Bench-201: 0 is our random search, 1 the optimum": (
        ("table03", "ParZC", "CIFAR-10", "test_accuracy", "CIFAR-10"),
        ("table03", "ParZC", "CIFAR-100", "test_accuracy", "CIFAR-100"),
        ("table03", "ParZC", "ImageNet16-120", "test_accuracy", "ImageNet16-120"),
    ),
}


@dataclass(frozen=True)
class Dot:
    """A printed number beside ours, in the panel's unit. ours, low, high: NaN where it was not run or has no interval."""

    label: str
    table: str
    paper: float
    ours: float
    low: float
    high: float

    @property
    def place(self) -> str:
        """ "Table 1"."""
        return table_title(self.table)


@dataclass(frozen=True)
class Panel:
    """Dots on one axis. least, most: its ends. ticks: places of its grid. digits: after the point."""

    title: str
    dots: tuple[Dot, ...]
    least: float
    most: float
    ticks: tuple[float, ...]
    digits: int

    def at(self, value: float) -> float:
        """Where on the axis a value is, in percent of its length."""
        return 100 * (value - self.least) / (self.most - self.least)


def panels(folder: Path | None = None) -> tuple[Panel, ...]:
    """The panels; a search is left out without random search and optimum of ours. Raises as `comparison.compare` does."""
    folder = folder or paths.RESULTS
    tables = {cell[0] for cells in _CELLS.values() for cell in cells}
    lines = {}
    for table in tables:
        for line in comparison.compare(table, COMMITTED, folder).to_dict("records"):
            lines[(table, line["row"], line["column"], line["metric"])] = line
    found = []
    for title, cells in _CELLS.items():
        dots = []
        for table, row, column, metric, label in cells:
            line = lines[(table, row, column, metric)]
            values = [line[name] for name in ("paper", "ours", "ci_low", "ci_high")]
            if metric == "test_accuracy":
                scale = comparison.scales(table, COMMITTED, folder).get((column, metric))
                if scale is None:  # without random search and optimum there is no such scale
                    continue
                values = [scale.share(value) for value in values]
            dots.append(Dot(label, table, *values))
        if dots:
            found.append(_panel(title, tuple(dots)))
    return tuple(found)


def _panel(title: str, dots: tuple[Dot, ...]) -> Panel:
    values = [value for dot in dots for value in (dot.paper, dot.ours, dot.low, dot.high) if math.isfinite(value)]
    share = max(values) <= 2
    step = 0.25 if share else 10
    least, most = math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step
    if share:
        least, most = min(least, 0.0), max(most, 1.0)
    ticks = tuple(least + step * number for number in range(round((most - least) / step) + 1))
    return Panel(title, dots, least, most, ticks, 2 if share else 1)
