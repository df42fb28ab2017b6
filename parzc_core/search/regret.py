"""How far from the best of the space searches are, by what they have spent: the data of the figure `search_regret`."""

import numpy as np
import pandas as pd

from parzc_core.search.running import benchmark
from parzc_core.search.tables import COLUMNS, OURS, entries

POINTS = 60
CHARGED = "ParZC with its CPU-seconds"
_NAMES = {"random": "Random search"}

Curves = dict[str, tuple[np.ndarray, np.ndarray]]


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


def panels(results: pd.DataFrame, profile: str) -> dict[tuple[str, str], Curves]:
    """Regret curves by (trainings, data set) and method: (seconds[POINTS], regret[runs, POINTS]), for `regret_curves`.

    results: of `run_searches`. The grid is logarithmic, from a hundredth of the budget to the budget (and the CPU-seconds, where
    those are charged).
    """
    made: dict[tuple[str, str], Curves] = {}
    for (epochs, dataset), part in results.groupby(["epochs", "dataset"], sort=False):
        curves_of = made.setdefault((f"trainings of {epochs} epochs", COLUMNS[str(dataset)]), {})
        for entry in entries(profile):
            runs = entry.of(part)
            if not len(runs):
                continue
            budget = float(runs["budget"].iloc[0])
            name = _NAMES.get(entry.method, entry.table09)
            grid = np.geomspace(budget / 100, budget, POINTS)
            curves_of[name] = (grid, curves(runs, grid))
            if entry.method == "parzc" and OURS not in name:
                most = max(sum(parts.values()) for parts in runs["seconds"])
                grid = np.geomspace(budget / 100, budget + most, POINTS)
                curves_of[CHARGED] = (grid, curves(runs, grid, charged=True))
    return made
