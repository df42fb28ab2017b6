"""The paper beside us: every printed cell, our value with its interval, and a verdict that was fixed before the run."""

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from parzc_core import paper
from parzc_core.errors import BadInput
from parzc_core.paper.kinds import kind
from parzc_core.paths import RESULTS
from parzc_core.report.verdicts import NOT_JUDGED, Ours, Scale, judge
from parzc_core.storage import rows as results

JUDGED = ("matches", "higher", "lower")
VERDICTS = (*JUDGED, NOT_JUDGED, "new", "quoted", "unavailable")
COLUMNS = (
    "row", "column", "metric", "paper", "paper_spread", "paper_spread_kind", "ours", "ci_low", "ci_high", "n", "std", "unit",
    "delta", "verdict", "reason", "origin", "note",
)  # fmt: skip
_SLACK = 1e-9  # between a quoted value and the printed one
Cell = tuple[str, str, str]
Record = dict[Hashable, Any]  # what pandas makes of a line
_NUMBERS = ("paper", "paper_spread", "ours", "ci_low", "ci_high", "std", "delta")


def compare(table: str, profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """The printed cells of a table in printed order, then the cells that only we have; columns as in COLUMNS.

    A cell we ran gets `verdicts.judge`'s verdict, by its kind of number, with the `reason` where it is "not judged";
    "unavailable" if it has no value; "new" if the paper prints no number there.
    A printed cell without a row of ours is "quoted", and so is a row of ours of that origin: `ours` and `delta` are
    NaN, so that a quoted number never looks like a measured one. `delta` is ours minus printed; `n` and `std` are those
    of our row, 0 and NaN where nothing was run. Where a cell has a row for each seed, the aggregated one (seed -1) counts.
    Raises UnknownName (table, profile), and BadInput: units that differ, a quoted value that is not the printed one,
    rows for several seeds without an aggregated one, or what `storage.rows.read_rows` raises.
    """
    printed = paper.printed(table).to_dict("records")
    ours = our_rows(table, profile, folder)
    scales = _scales(table, ours)
    lines = []
    for cell in printed:
        key = (cell["row"], cell["column"], cell["metric"])
        lines.append(_line(table, key, cell, ours.pop(key, None), scales.get(key[1:])))
    lines += [_line(table, key, None, row) for key, row in ours.items()]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(dict.fromkeys(_NUMBERS, "float64") | {"n": "int64"})


def scales(table: str, profile: str, folder: Path = RESULTS) -> dict[tuple[str, str], Scale]:
    """The share scale of each (column, metric) in which we have both random search and the optimum."""
    return _scales(table, our_rows(table, profile, folder))


def own(name: str, profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """The cells of a result of ours that no table of the paper has; columns as in COLUMNS, without verdicts.

    A row that quotes a number of the paper's text or figures has it as `paper`. Raises as `compare` does.
    """
    lines = []
    for key, row in our_rows(name, profile, folder).items():
        cell: Record = {"value": row["value"], "spread": math.nan, "spread_kind": "", "unit": row["unit"], "note": row["note"]}
        quoted = row["origin"] == "quoted"
        lines.append(_line(name, key, cell if quoted else None, None if quoted else row))
    frame = pd.DataFrame(lines, columns=list(COLUMNS)).astype(dict.fromkeys(_NUMBERS, "float64") | {"n": "int64"})
    return frame.assign(verdict=frame["verdict"].where(frame["verdict"] == "unavailable", ""))


def own_names(profile: str, folder: Path = RESULTS) -> tuple[str, ...]:
    """The results of ours that have rows in a profile and are no table of the paper, by name."""
    found = sorted(file.parent.name for file in (folder / profile).glob("*/rows.csv"))
    return tuple(name for name in found if name not in paper.table_names())


def our_rows(table: str, profile: str, folder: Path) -> dict[Cell, Record]:
    """Our row of each cell (row, column, metric); none for a table that was not run. Raises as `compare` does."""
    if not results.has_rows(table, profile, folder):
        return {}
    by_cell: dict[Cell, list[Record]] = {}
    for row in results.read_rows(table, profile, folder).to_dict("records"):
        by_cell.setdefault((row["row"], row["column"], row["metric"]), []).append(row)
    chosen = {}
    for key, rows in by_cell.items():
        aggregated = rows if len(rows) == 1 else [row for row in rows if row["seed"] == -1]
        if len(aggregated) != 1:
            seeds = ", ".join(str(row["seed"]) for row in rows)
            raise BadInput(
                f"{table}, cell {key}: rows for the seeds {seeds}; add the one aggregated over them (seed -1)"
            )
        chosen[key] = aggregated[0]
    return chosen


def _scales(table: str, ours: dict[Cell, Record]) -> dict[tuple[str, str], Scale]:
    """The share scale of each (column, metric) in which we have both random search and the optimum."""
    ends: dict[str, dict[tuple[str, str], float]] = {"random search": {}, "optimum": {}}
    for cell in paper.printed(table).to_dict("records"):
        key = (cell["row"], cell["column"], cell["metric"])
        found = ends.get(kind(table, *key))
        if found is not None and key in ours and ours[key]["origin"] != "quoted" and not math.isnan(ours[key]["value"]):
            found[key[1:]] = ours[key]["value"]
    low, high = ends["random search"], ends["optimum"]
    return {column: Scale(low[column], high[column]) for column in low.keys() & high.keys()}


def _line(table: str, key: Cell, cell: Record | None, row: Record | None, scale: Scale | None = None) -> Record:
    """One line of `compare`, from the printed cell, from our row, or from both."""
    value = math.nan if cell is None else cell["value"]
    line: Record = dict.fromkeys(COLUMNS, math.nan) | dict(zip(("row", "column", "metric"), key, strict=True))
    line |= {"paper": value, "paper_spread_kind": "", "n": 0, "verdict": "quoted", "origin": "quoted", "note": ""}
    line["reason"] = ""
    if cell is not None:
        line |= {"paper_spread": cell["spread"], "paper_spread_kind": cell["spread_kind"]}
        line |= {"unit": cell["unit"], "note": cell["note"]}
    if row is None:
        return line

    if cell is not None and row["unit"] != cell["unit"]:
        raise BadInput(
            f"{table}, cell {key}: our unit is {row['unit']!r}, the paper's {cell['unit']!r}; give both in one"
        )
    line |= {"unit": row["unit"], "origin": row["origin"]}
    if row["note"]:
        line["note"] = f"{row['note']}; paper: {line['note']}" if line["note"] else row["note"]
    if row["origin"] == "quoted":
        same = row["value"] == value or math.isnan(row["value"]) or abs(row["value"] - value) < _SLACK
        if cell is None or not same:
            shown = "no such cell" if cell is None else value
            raise BadInput(
                f"{table}, cell {key}: quoted as {row['value']}, the paper prints {shown}; quote what is printed"
            )
        return line
    line |= {"ours": row["value"]} | {name: row[name] for name in ("ci_low", "ci_high", "n", "std")}
    line["delta"] = row["value"] - value
    if math.isnan(row["value"]):
        line["verdict"] = "unavailable"
    elif math.isnan(value):
        line["verdict"] = "new"
    else:
        own = Ours(**{name: row[name] for name in Ours._fields})
        line["verdict"], line["reason"] = judge(value, own, kind(table, *key), scale)
    return line


def summary(profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """One line a table: table, caption, run (bool), minutes (from its manifest; NaN if not told), cells, printed, covered,
    then a count for each of VERDICTS and, as origin_<name>, for each origin.

    `cells` are those with something in them: a "-" that nobody filled is not counted. `printed` are the paper's numbers,
    `covered` those of them that were run here and gave a value. Coverage is covered / printed.
    """
    lines = []
    for table in paper.table_names():
        cells = compare(table, profile, folder)
        cells = cells[cells["paper"].notna() | (cells["metric"] == "text") | (cells["verdict"] != "quoted")]
        run = results.has_rows(table, profile, folder)
        minutes = results.read_manifest(table, profile, folder).get("minutes") if run else None
        line = {"table": table, "caption": paper.caption(table), "run": run}
        line |= {"minutes": math.nan if minutes is None else float(minutes), "cells": len(cells)}
        line |= {"printed": int(cells["paper"].notna().sum())}
        line |= {"covered": int((cells["paper"].notna() & cells["ours"].notna()).sum())}
        line |= {verdict: int((cells["verdict"] == verdict).sum()) for verdict in VERDICTS}
        line |= {f"origin_{origin}": int((cells["origin"] == origin).sum()) for origin in results.ORIGINS}
        lines.append(line)
    return pd.DataFrame(lines)


def printed_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Of the printed numbers in a frame of `compare`: printed, covered (run, with a value), verdicts and origin_<name>."""
    cells = frame[frame["paper"].notna()]
    counted = {"printed": len(cells), "covered": int(cells["ours"].notna().sum())}
    counted |= {verdict: int((cells["verdict"] == verdict).sum()) for verdict in VERDICTS}
    return counted | {f"origin_{origin}": int((cells["origin"] == origin).sum()) for origin in results.ORIGINS}


def reasons(profile: str, folder: Path = RESULTS) -> pd.Series:
    """How many printed numbers are not judged, by reason, most first; over all tables."""
    frames = [compare(table, profile, folder) for table in paper.table_names()]
    every = pd.concat([frame.loc[frame["verdict"] == NOT_JUDGED, "reason"] for frame in frames])
    return every.value_counts().rename("cells")
