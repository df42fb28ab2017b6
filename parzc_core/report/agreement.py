"""Your run against the committed one: each cell of a smaller profile beside the same cell of the committed profile "full".

    found = agreement("standard")
    print(sentence(found))  # 312 of 320 cells agree with the committed results

It tells whether this artifact gives the same on another machine. Whether the paper holds is told by the verdicts of "full".
"""

import math
from pathlib import Path

import pandas as pd

from parzc_core import paths
from parzc_core.profiles import profile as profile_named
from parzc_core.report.comparison import Record, our_rows
from parzc_core.report.tables import neutral
from parzc_core.report.verdicts import MARGIN, RELATIVE
from parzc_core.storage import rows as results

COMMITTED = "full"
FILE = "agreement.csv"
COLUMNS = (
    "table", "row", "column", "metric", "here", "here_low", "here_high", "committed", "committed_low", "committed_high",
    "unit", "agrees", "made_differently",
)  # fmt: skip
COST_UNITS = ("s", "h", "days")  # depend on the machine: not compared


def agreement(profile: str, folder: Path | None = None) -> pd.DataFrame:
    """A line a cell that has a value both in the profile and in "full"; columns as in COLUMNS.

    agrees: bool, the two 95 % intervals overlap, each widened by 2 points (percent) or 2 % of its value (other units). A value
    without an interval stands for both its ends. made_differently: what differs in how it was made, "" if nothing is known to.
    Costs are left out. Empty for "full" itself. Raises UnknownName, and as `comparison.compare` does.
    """
    folder = folder or paths.RESULTS
    name = profile_named(profile).name
    lines = []
    made = sorted(file.parent.name for file in (folder / name).glob("*/rows.csv")) if name != COMMITTED else []
    for table in made:
        if not results.has_rows(table, COMMITTED, folder):
            continue
        committed = our_rows(table, COMMITTED, folder)
        for key, here in our_rows(table, name, folder).items():
            there = committed.get(key)
            if there is None or not _comparable(here) or not _comparable(there) or here["unit"] != there["unit"]:
                continue
            values = (here["value"], *_interval(here), there["value"], *_interval(there), here["unit"])
            lines.append((table, *key, *values, _overlap(here, there), _differences(here, there)))
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"agrees": bool})


def sentence(found: pd.DataFrame) -> str:
    """ "312 of 320 cells agree with the committed results". found: of `agreement`."""
    return f"{int(found['agrees'].sum())} of {len(found)} cells agree with the committed results"


def write(profile: str, folder: Path | None = None) -> tuple[pd.DataFrame, Path]:
    """`agreement`, also as results/<profile>/agreement.csv, what differs first; the frame and the file."""
    folder = folder or paths.RESULTS
    found = agreement(profile, folder).sort_values("agrees", kind="stable")
    told = found.assign(agrees=found["agrees"].map({True: "agrees", False: "differs"}))
    text = neutral(told).to_csv(index=False, lineterminator="\n")
    return found, paths.write_whole(folder / profile / FILE, text)


def _comparable(row: Record) -> bool:
    """Whether a row has a value of a run that does not depend on the machine."""
    return row["origin"] != "quoted" and math.isfinite(row["value"]) and row["unit"] not in COST_UNITS


def _interval(row: Record) -> tuple[float, float]:
    return (row["value"], row["value"]) if math.isnan(row["ci_low"]) else (row["ci_low"], row["ci_high"])


def _overlap(here: Record, there: Record) -> bool:
    ends = []
    for row in (here, there):
        margin = MARGIN if row["unit"] == "%" else RELATIVE * abs(row["value"])
        low, high = _interval(row)
        ends.append((low - margin, high + margin))
    return bool(ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1])


def _differences(here: Record, there: Record) -> str:
    """What differs in how the two were made, in words: model size and cells, runs, epochs, what n counts, labels and the like."""
    said = []
    sizes, committed = profile_named(here["profile"]), profile_named(there["profile"])
    if here["epochs"] and sizes.model != committed.model:
        said.append(f"model {sizes.model}, not {committed.model}")
    for field, word in (("runs", "runs"), ("epochs", "epochs"), ("n", "values or cells")):
        if here[field] != there[field] and not (field == "n" and here["n"] == here["runs"]):
            said.append(f"{here[field]} {word}, not {there[field]}")
    if here["origin"] != there["origin"]:
        said.append(f"{here['origin']}, not {there['origin']}")
    if here["note"] != there["note"]:
        said.append(f"here: {here['note']}; committed: {there['note']}")
    return "; ".join(said)
