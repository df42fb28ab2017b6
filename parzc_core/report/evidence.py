"""What the claims are decided from: committed result rows, how two of them compare, and what is not complete about them.

evidence = Evidence("full")
loss, rival = evidence.cell("table07", "DiffKendall", "NB101-CF10 178"), evidence.cell("table07", "MSE", "NB101-CF10 178")
evidence.difference("table07", "DiffKendall", "MSE", "NB101-CF10 178").answer   # "yes", "no" or "open"
"""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from parzc_core.errors import BadInput
from parzc_core.paper.kinds import kind
from parzc_core.report.comparison import Cell as Key
from parzc_core.report.comparison import Record, our_rows
from parzc_core.report.verdicts import LEAST_RUNS, TRAINED
from parzc_core.storage.rows import committed

YES, NO, OPEN = "yes", "no", "open"


class Lacking(BadInput):
    """A rule reads a row that the results do not have."""


class Value(NamedTuple):
    """Our value of one cell, in its unit, with its 95 % interval (NaN where there is none).

    cut: whether its trainings ended before the published epochs, so that it may yet rise.
    """

    row: str
    column: str
    value: float
    low: float = math.nan
    high: float = math.nan
    std: float = math.nan
    runs: int = 1
    cut: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The interval; a value without one stands for both its ends."""
        return (self.value, self.value) if math.isnan(self.low) else (self.low, self.high)

    @property
    def span(self) -> tuple[float, float, float]:
        """(value, low, high)."""
        return (self.value, *self.ends)

    def told(self, digits: int = 1) -> str:
        """ "62.6 [60.8, 64.5]", or "62.6"."""
        interval = "" if math.isnan(self.low) else f" [{number(self.low, digits)}, {number(self.high, digits)}]"
        return number(self.value, digits) + interval


class Difference(NamedTuple):
    """A minus B. paired: its interval is that of the differences on the same splits; else what both intervals allow."""

    value: float
    low: float
    high: float
    paired: bool

    @property
    def span(self) -> tuple[float, float, float]:
        """(value, low, high)."""
        return (self.value, self.low, self.high)

    @property
    def answer(self) -> str:
        """Whether A is above B: YES if the interval is above 0, NO if it is below, else OPEN."""
        return YES if self.low > 0 else NO if self.high < 0 else OPEN

    def gain(self, printed: float) -> str:
        """Whether A brings a gain over B: YES if it is above, by a tenth of the printed gain or more; else NO if that gain is
        outside the interval, OPEN if inside.
        """
        if self.low > 0 and self.value >= printed / 10:
            return YES
        return OPEN if self.low <= printed <= self.high else NO

    def told(self, digits: int = 1) -> str:
        """ "+0.1 [-1.2, +1.5]"; with a decimal more where an end would be rounded to zero, so that its sign is seen."""
        digits += any(not round(end, digits) for end in (self.low, self.high))
        value, low, high = (number(one, digits, "+") for one in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"


class Bar(NamedTuple):
    """A comparison as a picture shows it. ours, other: (value, low, high); other: what ours is compared with, if there is one."""

    label: str
    ours: tuple[float, float, float]
    other: tuple[float, float, float] | None = None


class Answer(NamedTuple):
    """One comparison of a claim: YES, NO or OPEN, its numbers in words, and as a bar where a picture tells them."""

    name: str
    text: str
    lead: float = 0.0  # by which answers are sorted; larger speaks for the claim
    bar: Bar | None = None


class Evidence:
    """The rows of a profile, read when they are asked for. `used` keeps those that a rule has read."""

    def __init__(self, profile: str = "full", folder: Path | None = None):
        self.profile, self.folder = profile, folder or committed()
        self.used: dict[tuple[str, Key], Record] = {}
        self._tables: dict[str, dict[Key, Record]] = {}

    def afresh(self) -> "Evidence":
        """The same rows, none of them used yet, for the next rule."""
        other = Evidence(self.profile, self.folder)
        other._tables = self._tables
        return other

    def _rows(self, table: str) -> dict[Key, Record]:
        if table not in self._tables:
            self._tables[table] = our_rows(table, self.profile, self.folder)
        return self._tables[table]

    def find(self, table: str, row: str, column: str, metric: str = "kendall") -> Value | None:
        """Our value of a cell; None where it was not run here, or gave no number."""
        record = self._rows(table).get((row, column, metric))
        if record is None or record["origin"] == "quoted" or math.isnan(record["value"]):
            return None
        self.used[table, (row, column, metric)] = record
        found = Value(row, column, *(record[name] for name in ("value", "ci_low", "ci_high", "std", "runs")))
        return found._replace(cut=_cut_short(record))

    def cell(self, table: str, row: str, column: str, metric: str = "kendall") -> Value:
        """Our value of a cell. Raises Lacking where there is none."""
        found = self.find(table, row, column, metric)
        if found is None:
            raise Lacking(f"results/{self.profile}/{table}/rows.csv has no value of {row!r}, {column!r} ({metric})")
        return found

    def came_to_nothing(self, table: str, row: str, column: str, metric: str = "kendall") -> bool:
        """Whether a cell was run here and gave no finite value, as where a training diverged."""
        record = self._rows(table).get((row, column, metric))
        if record is None or record["origin"] in ("quoted", "unavailable") or math.isfinite(record["value"]):
            return False
        self.used[table, (row, column, metric)] = record
        return True

    def best(self, table: str, rows: Iterable[str], column: str, metric: str = "kendall") -> Value:
        """The highest value of those rows that are there, `cut` if any of them is. Raises Lacking if none is there."""
        found = [value for row in rows if (value := self.find(table, row, column, metric)) is not None]
        if not found:
            raise Lacking(
                f"results/{self.profile}/{table}/rows.csv has none of the rows compared in {column!r} ({metric})"
            )
        return max(found, key=lambda value: value.value)._replace(cut=any(value.cut for value in found))

    def columns(self, table: str, row: str, metric: str = "kendall") -> list[str]:
        """The columns in which a row has a value of ours, in their order."""
        names = [column for own, column, measured in self._rows(table) if (own, measured) == (row, metric)]
        return [column for column in names if self.find(table, row, column, metric) is not None]

    def names(self, table: str, column: str, metric: str = "kendall") -> list[str]:
        """The rows that a column has, in their order."""
        return [row for row, own, measured in self._rows(table) if (own, measured) == (column, metric)]

    def difference(self, table: str, one: str, other: str, column: str, metric: str = "kendall") -> Difference:
        """`one` minus `other`: of the row "one - other" (metric "<metric>_difference") if there is one, else of both intervals.

        Raises Lacking if one of the two has no value.
        """
        first, second = self.cell(table, one, column, metric), self.cell(table, other, column, metric)
        paired = self.find(table, f"{one} - {other}", column, f"{metric}_difference")
        if paired is not None and not math.isnan(paired.low):
            return Difference(paired.value, *paired.ends, True)
        return between(first, second)

    def incomplete(self) -> tuple[str, ...]:
        """What is not complete about the rows read so far, in words; empty if nothing is.

        Rows of what is trained or searched: cut short of the published epochs, or of fewer than five runs.
        """
        reasons: Counter[str] = Counter()
        for (table, key), record in self.used.items():
            if not _trained(table, key, record):
                continue
            if _cut_short(record):
                reasons["fewer epochs than published"] += 1
            if record["runs"] < LEAST_RUNS:
                reasons[f"fewer than {LEAST_RUNS} runs"] += 1
        return tuple(f"{reason} in {count} of the {len(self.used)} rows read" for reason, count in reasons.items())


def _cut_short(record: Record) -> bool:
    return bool(0 < record["epochs"] < record["published_epochs"])


def between(one: Value, other: Value) -> Difference:
    """The difference of two values, with the widest interval that both of theirs allow."""
    (low, high), (least, most) = one.ends, other.ends
    return Difference(one.value - other.value, low - most, high - least, False)


def number(value: float, digits: int = 1, sign: str = "") -> str:
    """A number with so many decimals, such as "62.6"; sign="+" also shows a plus."""
    return f"{round(value, digits) + 0.0:{sign},.{digits}f}"  # + 0.0: no minus sign on a zero


def _trained(table: str, key: Key, record: Record) -> bool:
    """Whether a row is of something that was trained or searched."""
    if record["published_epochs"]:
        return True
    try:
        return kind(table, *key) in TRAINED
    except BadInput:  # the row of a figure
        return False
