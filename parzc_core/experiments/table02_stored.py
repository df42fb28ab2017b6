"""Table 2 from stored runs alone, as `parzc run table02 --stored` makes it: complete cells, and earlier rows of the others.

    parts = [complete(plan, store) for plan in plans]
    rows = in_order([*made, *earlier(parts, "full")])
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import paths
from parzc_core.experiments.table02_rankers import OWN_PROTOCOLS, RANKERS, ROWS, SPLITS, TABLE, Plan, only, row_of
from parzc_core.predictors.registry import PREDICTORS
from parzc_core.runs.predictors import PredictorRun
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.rows import Row, has_rows, read_rows
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import stored_alone

AnyRun = RankerRun | PredictorRun
LEFT_OUT = ["row", "training cells", "runs missing", "of", "CPU-hours"]


@dataclass(frozen=True)
class Part:
    """What can be made of a plan. left_out: cells that cannot, columns LEFT_OUT; CPU-hours as of alike runs, NaN without any."""

    plan: Plan
    left_out: pd.DataFrame

    @property
    def cells_left_out(self) -> set[tuple[str, str]]:
        """(row, column) of the table."""
        cells = zip(self.left_out["row"], self.left_out["training cells"], strict=True)
        return {(row, column) for row, train in cells for column in self.plan.benchmark.columns(train)}


def complete(plan: Plan, store: Path) -> Part:
    """The plan as it is; under `--stored` the part of it whose cells have all their runs in the store."""
    if not stored_alone():
        return Part(plan, pd.DataFrame(columns=LEFT_OUT))
    kept = RunStore(store)
    costs = _costs(kept)
    absent: dict[tuple[str, int], list[bool]] = {}
    runs_of_plan: list[AnyRun] = [*plan.rankers, *plan.predictors]
    for run in runs_of_plan:
        absent.setdefault((row_of(run), run.train), []).append(kept.get(run.key()) is None)
    lines = []
    for (row, train), runs in absent.items():
        if any(runs):
            hours = sum(runs) * _estimate(costs, row, plan.benchmark.space, train) / 3600
            lines.append((row, train, sum(runs), len(runs), hours))
    whole = {(row, column) for (row, n), runs in absent.items() if not any(runs) for column in plan.benchmark.columns(n)}
    return Part(only(plan, whole), pd.DataFrame(lines, columns=LEFT_OUT))


def _costs(store: RunStore) -> dict[tuple[str, str], dict[int, list[float]]]:
    """CPU-seconds of the stored runs, by (row, space) and number of training cells."""
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for record in store:
        config, spent = record["config"], record["result"].get("seconds")
        row = config.get("predictor") or ROWS.get((tuple(config.get("parts", ())), config.get("encoding", "")))
        if row is not None and spent is not None and config.get("size", "cpu") == "cpu":
            found.setdefault((row, config["space"]), {}).setdefault(config["train"], []).append(float(spent))
    return found


def _estimate(costs: Mapping[tuple[str, str], Mapping[int, Sequence[float]]], row: str, space: str, train: int) -> float:
    """CPU-seconds of a run: those of the row's with the nearest number of training cells, in proportion; NaN without any.

    Those on another space count where there are none on this one.
    """
    other = {n: spent for (name, _), known in costs.items() if name == row for n, spent in known.items()}
    known = costs.get((row, space)) or other
    if not known:
        return float("nan")
    nearest = min(known, key=lambda n: abs(np.log(n / train)))
    return float(np.mean(known[nearest])) * train / nearest


def by_row(part: Part) -> pd.DataFrame:
    """What is left out, a line a row of the table: its numbers of training cells, runs that are missing, CPU-hours."""
    grouped = part.left_out.groupby("row", sort=False)
    cells = grouped["training cells"].agg(lambda sizes: ", ".join(f"{size:,}" for size in sizes))
    hours = grouped["CPU-hours"].sum(min_count=1)
    return pd.DataFrame({"training cells": cells, "runs missing": grouped["runs missing"].sum(), "CPU-hours": hours})


def manifest(parts: Collection[Part], profile: str, cells: Mapping[str, int], minutes: float) -> dict[str, Any]:
    """What is written beside the rows; `left_out`, where any cell is, has their number, their missing runs and CPU-hours.

    cells: of each benchmark. minutes: CPU, of the runs used. CPU-hours are as far as alike runs are stored.
    """
    about = {"command": f"parzc run {TABLE} --profile {profile}", "cells": dict(cells), "minutes": minutes}
    left = pd.concat([part.left_out for part in parts]) if parts else pd.DataFrame()
    if left.empty:
        return about
    unknown = int(left.loc[left["CPU-hours"].isna(), "runs missing"].sum())
    found = {"cells": len(left), "runs": int(left["runs missing"].sum()), "cpu_hours": round(float(left["CPU-hours"].sum()), 1)}
    return {**about, "command": f"{about['command']} --stored", "left_out": {**found, "runs_of_unknown_cost": unknown}}


def earlier(parts: Iterable[Part], profile: str, folder: Path = paths.RESULTS) -> list[Row]:
    """The rows that the profile's table has for the cells left out, unchanged.

    A row that would be judged, trained whole on SPLITS splits, is not kept: its runs were stored, so code has changed since.
    """
    left = {cell for part in parts for cell in part.cells_left_out}
    if not left or not has_rows(TABLE, profile, folder):
        return []
    kept = []
    for line in read_rows(TABLE, profile, folder).to_dict("records"):
        whole = line["runs"] >= SPLITS and line["epochs"] == line["published_epochs"]
        if (line["row"], line["column"]) in left and line["origin"] != "quoted" and not whole:
            values: dict[str, Any] = {str(name): None if value != value else value for name, value in line.items()}
            kept.append(Row(**values))
    return kept


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows as the table lists them: predictors, then our rankers, in each the order in which they come."""
    order = [*PREDICTORS, *RANKERS]
    owners = {row: owner for row, (owner, *_) in OWN_PROTOCOLS.items()}
    return sorted(rows, key=lambda row: order.index(owners.get(row.row, row.row)))
