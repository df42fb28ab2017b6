"""How far from the best of the space searches are, by what they have spent: the data of the figure `search_regret`."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from parzc_core.search import METHODS
from parzc_core.search.runs import benchmark


def curves(results: pd.DataFrame, grid: np.ndarray, charged: bool = False) -> np.ndarray:
    """float64[runs, points]: validation regret of the best so far when so many simulated seconds were spent, in points.

    Regret is the best accuracy of the space less that of the architecture which the search would end with then, both after full
    training; NaN before its first training ended. charged: all CPU-seconds of the method are put before its first training.
    """
    lines = []
    for row in results.to_dict("records"):
        table = benchmark(row["space"], row["dataset"], row["epochs"]).table
        accuracy = table.fidelities[table.full].accuracy
        found = np.array([[accuracy[position], cost] for position, _, cost in row["incumbents"]])
        costs = found[:, 1] + (sum(row["seconds"].values()) if charged else 0.0)
        place = np.searchsorted(costs, grid, side="right") - 1
        lines.append(np.where(place >= 0, accuracy.max() - found[np.maximum(place, 0), 0], np.nan))
    return np.array(lines)


OURS = " (aligned)"  # the encoding that is ours, beside the paper's
PLUS, ORDERED = "ParZC+", "ParZC+ (ordered start)"  # from 20 random cells; from TEN of the first of an order without labels
TEN: tuple[tuple[str, Any], ...] = (("start", 10), ("ordered", 10))


@dataclass(frozen=True)
class Entry:
    """A method as the tables name it. table03, table09: the paper's name of it. settings: as in SearchRun."""

    method: str
    table03: str
    table09: str
    settings: tuple[tuple[str, Any], ...] = ()

    def of(self, results: pd.DataFrame) -> pd.DataFrame:
        """Its searches among the results of `run_searches`."""
        return results[(results["method"] == self.method) & (results["settings"] == self.settings)]


def with_all_methods(named: Sequence[Entry], cells: int | None) -> tuple[Entry, ...]:
    """The entries, then one of each other registered method: under its title or name, with its default settings.

    cells: of the sample that is collected, for methods with such a setting.
    """
    there = {entry.method for entry in named}
    others = [
        Entry(name, kind.title or name, kind.title or name, (("cells", cells),) if _has_cells(kind) else ())
        for name, kind in METHODS.items()
        if name not in there
    ]
    return (*named, *others)


def _has_cells(kind: type) -> bool:
    return "cells" in {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]


def own_seconds(results: pd.DataFrame) -> pd.Series:
    """CPU-seconds of each search itself; collecting its statistics, which is done once, is left out."""
    return results["seconds"].map(lambda parts: sum(parts.values()) - parts.get("collecting", 0))
