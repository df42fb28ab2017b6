"""A comparison frame laid out as the paper lays out its table: texts only, from which every rendering is made.

`view(frame)` turns what `comparison.compare` or `comparison.own` gives into blocks of rows x columns, each cell with the printed
value, ours, interval, delta, verdict and origin, and the notes with their marks.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from parzc_core.errors import BadInput

Key = tuple[str, str, str]  # row, column, metric
Pair = tuple[str, str]  # column, metric
_MOST_DECIMALS = 6
_SHARED = 0.5  # of the rows of a column and a block together, for the column to join it
METRICS = {
    "spearman": "Spearman",
    "kendall": "Kendall",
    "kendall_difference": "Kendall, paired difference",
    "pearson": "Pearson",
    "accuracy": "accuracy",
    "test_accuracy": "test accuracy",
    "seconds": "seconds",
    "gpu_seconds": "GPU seconds",
    "gpu_days": "GPU days",
    "params": "parameters",
    "cpu_hours": "CPU-hours",
    "text": "",
}
SETTING = "value"  # metric of a hyper-parameter (Table 10)
# A unit is left out where the label names it.
_LONG_UNITS = {"s": "seconds", "h": "hours", "days": "days"}
SPREADS = {"std": "std", "variance": "variance", "": "not named"}
_ATTRIBUTE = re.compile(r"(method|applicable space): (.*)")


@dataclass(frozen=True)
class Cell:
    """Texts of one cell; empty where there is nothing. `marks` are the letters of its notes.

    std, count: "std 2.144" and "n = 10", the spread of ours; count is there with a std, and for a single value.
    reason: why the verdict is "not judged". number: what the cell is sorted by, ours if there is one; NaN without a number.
    agrees: "agrees" or "differs" from the committed value, in a profile below "full"; else "".
    """

    paper: str
    spread: str
    ours: str
    interval: str
    std: str
    count: str
    delta: str
    verdict: str
    reason: str
    origin: str
    marks: tuple[str, ...]
    number: float = math.nan
    agrees: str = ""

    @property
    def line(self) -> str:
        """The cell in one line of plain text without our standard deviation, origin last."""
        return self._joined(self.ours, self.interval)

    @property
    def line_with_std(self) -> str:
        """`line`, our standard deviation behind our interval."""
        return self._joined(self.ours, self.interval, self.std)

    def _joined(self, *ours: str) -> str:
        printed = f"{self.paper} {self.spread}".strip()
        if not self.ours:
            return f"{printed} ({self.origin})".strip()
        verdict = ": ".join(filter(None, (self.verdict, self.reason)))
        judged = " ".join(filter(None, (*ours, self.delta and f"({self.delta})", verdict)))
        return f"{printed} → {judged} ({self.origin})" if printed else f"{judged} ({self.origin})"


@dataclass(frozen=True)
class Line:
    """A row of a block: its name, marks that hold for all of it, a cell (or None) per column, and its attributes."""

    name: str
    marks: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column of cells.

    label: of its metric ("Kendall"). unit: "" where it has none, or its cells have several. ours: the paper prints none of it.
    """

    name: str
    label: str
    unit: str
    ours: bool

    @property
    def heading(self) -> str:
        """ "Kendall (%)"; the label alone where it names its unit."""
        named = not self.unit or _LONG_UNITS.get(self.unit, self.unit) in self.label
        return self.label if named else f"{self.label} ({self.unit})".strip()


@dataclass(frozen=True)
class Block:
    """Columns that share their rows, the rows, and the names of the attribute columns."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    attributes: tuple[str, ...]

    @property
    def groups(self) -> tuple[tuple[str, int, bool], ...]:
        """Neighbouring columns of the same name, how many, and whether they are ours: the upper row of a two-row header."""
        runs = itertools.groupby(self.columns, key=lambda column: (column.name, column.ours))
        return tuple((name, len(list(found)), ours) for (name, ours), found in runs)

    def pieces(self, most: int) -> tuple["Block", ...]:
        """The block cut between groups into blocks of about `most` columns, a group of more alone; lines without a cell left out.

        A block of at most `most` columns stays as it is.
        """
        starts, width = [0], 0
        for _, count, _ in self.groups:
            at = starts[-1] + width
            starts, width = ([*starts, at], count) if width and width + count > most else (starts, width + count)
        if len(starts) == 1:
            return (self,)
        cuts = [slice(start, end) for start, end in itertools.pairwise([*starts, len(self.columns)])]
        parts = [(cut, [replace(line, cells=line.cells[cut]) for line in self.lines if any(line.cells[cut])]) for cut in cuts]
        return tuple(replace(self, columns=self.columns[cut], lines=tuple(lines)) for cut, lines in parts)


@dataclass(frozen=True)
class TableView:
    """A whole table: its blocks, notes (mark, text), and notes that hold for every cell."""

    blocks: tuple[Block, ...]
    notes: tuple[tuple[str, str], ...]
    general: tuple[str, ...]

    def pieces(self, most: int) -> Iterator[Block]:
        """Its blocks, each cut as `Block.pieces` does."""
        return (piece for block in self.blocks for piece in block.pieces(most))


def view(frame: pd.DataFrame, agreeing: Mapping[Key, bool] | None = None) -> TableView:
    """The texts of a comparison frame, rows in the order in which the frame has them, printed columns first.

    A table of the paper is one block; one of ours is split where columns share few rows. Decimals are those of the printed
    column. A note that all cells of a row carry stands at the row, one that all cells of the table carry stands alone; each
    text is given once. A cell that is printed empty, and not run, is None. agreeing: whether a cell agrees with its committed
    value.
    Raises BadInput without a row.
    """
    if frame.empty:
        raise BadInput("got a comparison frame without rows; expected what comparison.compare gives")
    records: dict[Key, dict] = {(line["row"], line["column"], line["metric"]): line for line in _records(frame)}
    notes = {key: _notes(line) for key, line in records.items() if _filled(line)}
    general = tuple(text for text in _unique(notes) if all(text in found for found in notes.values()))
    marks: dict[str, str] = {}
    pairs = {pair: group for pair, group in frame.groupby(["column", "metric"], sort=False)}
    digits = {pair: _decimals(group) for pair, group in pairs.items()}
    first = {key[0]: key for key in reversed(records)}
    blocks = []
    for columns in _column_blocks(frame):
        rows = [name for name in dict.fromkeys(frame["row"]) if any((name, *pair) in records for pair in columns)]
        attributes = {name: _attributes(_split_note(records[first[name]])[1])[0] for name in rows}
        titles = tuple(dict.fromkeys(title for found in attributes.values() for title in found))
        lines = []
        for name in rows:
            keys = [key for pair in columns if (key := (name, *pair)) in notes]
            whole = [text for text in notes[keys[0]] if all(text in notes[key] for key in keys)] if len(keys) > 1 else []
            skip = {*general, *whole}
            row_marks = tuple(_mark(marks, text) for text in whole if text not in general)
            cells: list[Cell | None] = []
            for pair in columns:
                key = (name, *pair)
                if key not in notes:
                    cells.append(None)
                    continue
                own = tuple(_mark(marks, text) for text in notes[key] if text not in skip)
                agrees = "" if key not in (agreeing or {}) else "agrees" if (agreeing or {})[key] else "differs"
                cells.append(_cell(records[key], digits[pair], own, agrees))
            lines.append(
                Line(name, row_marks, tuple(cells), tuple(attributes[name].get(title, "") for title in titles))
            )
        blocks.append(Block(tuple(_column(*pair, pairs[pair]) for pair in columns), tuple(lines), titles))
    return TableView(tuple(blocks), tuple((mark, text) for text, mark in marks.items()), general)


def _filled(line: dict) -> bool:
    """Whether a cell has something in it: a number, words, or a run of ours."""
    return not math.isnan(line["paper"]) or line["metric"] == "text" or line["verdict"] != "quoted"


def _column(name: str, metric: str, cells: pd.DataFrame) -> Column:
    units = set(cells["unit"].dropna()) - {""}
    first, comma, rest = metric.partition(",")
    label = METRICS.get(first, first.replace("_", " ")) + comma + rest
    return Column(name, label, units.pop() if len(units) == 1 else "", _ours_alone(cells))


def _ours_alone(cells: pd.DataFrame) -> bool:
    """Whether the paper prints nothing in these cells."""
    return not (cells["paper"].notna() | (cells["metric"] == "text") | (cells["verdict"] == "quoted")).any()


def _records(frame: pd.DataFrame) -> Iterable[dict]:
    return ({str(name): value for name, value in line.items()} for line in frame.to_dict("records"))


def _column_blocks(frame: pd.DataFrame) -> list[list[Pair]]:
    """The (column, metric) pairs of each block: all of a printed table, printed ones first; else those that share most rows."""
    groups = {(str(key[0]), str(key[1])): group for key, group in frame.groupby(["column", "metric"], sort=False)}
    alone = {pair: _ours_alone(group) for pair, group in groups.items()}
    if not all(alone.values()):
        return [sorted(alone, key=lambda pair: alone[pair])]
    found: list[tuple[set[str], list[Pair]]] = []
    for pair, group in groups.items():
        rows = set(group["row"])
        at = next((at for at, (there, _) in enumerate(found) if len(there & rows) >= _SHARED * len(there | rows)), None)
        if at is None:
            found.append((rows, [pair]))
        else:
            found[at] = (found[at][0] | rows, [*found[at][1], pair])
    return [pairs for _, pairs in found]


def _decimals(group: pd.DataFrame) -> tuple[int, int]:
    """Digits after the point of a column: of the printed values and spreads, and of ours, which have at least one.

    A column without printed numbers has two, none if it has whole numbers alone, and more where its smallest value would be lost.
    """
    texts = [repr(float(value)) for name in ("paper", "paper_spread") for value in group[name].dropna()]
    if texts:
        needed = [len(text.partition(".")[2]) if not text.endswith(".0") else 0 for text in texts if "e" not in text]
        # A printed column of percentages has a decimal even if every digit behind the point is 0.
        printed = max([*needed, 1 if (group["unit"] == "%").any() else 0])
        return printed, max(printed, 1)
    values = [value for name in ("ours", "ci_low", "ci_high") for value in group[name] if math.isfinite(value)]
    sizes = [abs(value) for value in group["ours"] if math.isfinite(value) and value]
    if (group["unit"] == "%").any() or not sizes:
        return 2, 2
    if all(value == round(value) for value in values):
        return 0, 0
    # Two digits of the smallest value.
    own = min(max(2, 1 - math.floor(math.log10(min(sizes)))), _MOST_DECIMALS)
    return own, own


def _number(value: float, decimals: int, signed: bool = False) -> str:
    if math.isnan(value):
        return ""
    return f"{round(value, decimals) + 0.0:{'+' if signed else ''}.{decimals}f}"  # + 0.0: no minus sign on a zero


def _setting(value: float) -> str:
    """A hyper-parameter, which may be a width of 448 or a learning rate of 0.00285: three digits, no zeros behind them."""
    return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _cell(line: dict, digits: tuple[int, int], marks: tuple[str, ...], agrees: str) -> Cell:
    decimals, ours = digits
    printed = _number(line["paper"], decimals) or (str(line["note"]) if line["metric"] == "text" else "")
    spread = _number(line["paper_spread"], decimals)
    kind = SPREADS.get(line["paper_spread_kind"], str(line["paper_spread_kind"]))
    interval = f"[{_number(line['ci_low'], ours)}, {_number(line['ci_high'], ours)}]"
    # A run that gave no number is told from one that could not be made.
    lost = line["verdict"] == "unavailable" and line["origin"] != "unavailable"
    shown = _setting(line["ours"]) if line["metric"] == SETTING else _number(line["ours"], ours)
    value = "no value" if lost else shown
    return Cell(
        paper=printed,
        spread=f"±{spread} ({kind})" if spread else "",
        ours=value,
        interval="" if math.isnan(line["ci_low"]) else interval,
        std="" if math.isnan(line["std"]) else f"std {line['std']:.4g}",
        count=f"n = {line['n']}" if value and not lost and (line["n"] == 1 or not math.isnan(line["std"])) else "",
        delta=_number(line["delta"], ours, signed=True),
        verdict=str(line["verdict"]) if value and not lost else "",
        reason=str(line["reason"]) if value and not lost else "",
        origin=str(line["origin"]),
        marks=marks,
        number=line["paper"] if math.isnan(line["ours"]) else line["ours"],
        agrees=agrees,
    )


def _notes(line: dict) -> list[str]:
    """The notes of a cell: ours, then the paper's without row attributes."""
    if line["metric"] == "text":
        return []
    ours, printed = _split_note(line)
    return [text for text in (ours, _attributes(printed)[1]) if text]


def _split_note(line: dict) -> tuple[str, str]:
    """Our note and the paper's, which `comparison.compare` joins as "ours; paper: printed"; alone if we have no row."""
    before, found, after = f"; {line['note']}".partition("; paper: ")
    if found:
        return before.removeprefix("; "), after
    return (str(line["note"]), "") if line["verdict"] != "quoted" else ("", str(line["note"]))


def _attributes(printed: str) -> tuple[dict[str, str], str]:
    """Columns of words that the paper prints (Table 3: method, applicable space) and what else a printed note says."""
    items = printed.split("; ")
    words = [found for item in items if (found := _ATTRIBUTE.fullmatch(item))]
    rest = [item for item in items if not _ATTRIBUTE.fullmatch(item)]
    return {found[1]: found[2] for found in words}, "; ".join(rest)


def _unique(notes: dict[Key, list[str]]) -> list[str]:
    return list(dict.fromkeys(text for found in notes.values() for text in found))


def _mark(marks: dict[str, str], text: str) -> str:
    """The letter of a note: a, b, ... z, aa, ..."""
    if text not in marks:
        at, letters = len(marks), ""
        while at >= 0:
            letters, at = chr(ord("a") + at % 26) + letters, at // 26 - 1
        marks[text] = letters
    return marks[text]
