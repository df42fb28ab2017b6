"""A comparison frame laid out as the paper lays out its table: texts only, from which every rendering is made.

`view(frame)` turns what `comparison.compare` gives into blocks of rows x columns, each cell with the printed value, ours,
interval, delta, verdict and origin, and the notes with their marks.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from parzc_core.errors import BadInput

Key = tuple[str, str, str]  # row, column, metric
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
    "text": "",
}
SETTING = "value"  # metric of a hyper-parameter (Table 10)
SPREADS = {"std": "std", "variance": "variance", "": "not named"}
_ATTRIBUTE = re.compile(r"(method|applicable space): (.*)")


@dataclass(frozen=True)
class Cell:
    """Texts of one cell; empty where there is nothing. `marks` are the letters of its notes.

    std, count: "std 2.144" and "n = 10", the spread of ours; count is there with a std, and for a single value.
    reason: why the verdict is "not judged".
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
            return f"{printed} ({self.origin})"
        verdict = ": ".join(filter(None, (self.verdict, self.reason)))
        judged = " ".join(filter(None, (*ours, self.delta and f"({self.delta})", verdict)))
        return f"{printed} → {judged} ({self.origin})"


@dataclass(frozen=True)
class Line:
    """A row of a block: its name, marks that hold for all of it, a cell (or None) per column, and its attributes."""

    name: str
    marks: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Columns that share their rows: (column, metric label) pairs, the rows, and the names of the attribute columns."""

    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    attributes: tuple[str, ...]

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Neighbouring columns of the same name with how many there are: the upper row of a two-row header."""
        names = [name for name, _ in self.columns]
        starts = [at for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
        stops = [*starts[1:], len(names)]
        return tuple((names[start], stop - start) for start, stop in zip(starts, stops, strict=True))


@dataclass(frozen=True)
class TableView:
    """A whole table: its blocks, notes (mark, text), and notes that hold for every cell."""

    blocks: tuple[Block, ...]
    notes: tuple[tuple[str, str], ...]
    general: tuple[str, ...]


def view(frame: pd.DataFrame) -> TableView:
    """The texts of a comparison frame, rows and columns in the order in which the frame has them.

    Decimals are those of the printed column. A note that all cells of a row carry stands at the row, one that all cells
    of the table carry stands alone; each text is given once. Raises BadInput without a row.
    """
    if frame.empty:
        raise BadInput("got a comparison frame without rows; expected what comparison.compare gives")
    records: dict[Key, dict] = {(line["row"], line["column"], line["metric"]): line for line in _records(frame)}
    notes = {key: _notes(line) for key, line in records.items()}
    general = tuple(text for text in _unique(notes) if all(text in found for found in notes.values()))
    marks: dict[str, str] = {}
    digits = {pair: _decimals(group) for pair, group in frame.groupby(["column", "metric"], sort=False)}
    first = {key[0]: key for key in reversed(records)}
    blocks = []
    for columns in _column_blocks(frame):
        rows = [name for name in dict.fromkeys(frame["row"]) if any((name, *pair) in records for pair in columns)]
        attributes = {name: _attributes(_split_note(records[first[name]])[1])[0] for name in rows}
        titles = tuple(dict.fromkeys(title for found in attributes.values() for title in found))
        lines = []
        for name in rows:
            keys = [key for pair in columns if (key := (name, *pair)) in records]
            whole = [text for text in notes[keys[0]] if len(keys) > 1 and all(text in notes[key] for key in keys)]
            skip = {*general, *whole}
            row_marks = tuple(_mark(marks, text) for text in whole if text not in general)
            cells: list[Cell | None] = []
            for column, metric in columns:
                line = records.get((name, column, metric))
                if line is None:
                    cells.append(None)
                    continue
                own = [text for text in notes[(name, column, metric)] if text not in skip]
                cells.append(_cell(line, digits[(column, metric)], tuple(_mark(marks, text) for text in own)))
            lines.append(
                Line(name, row_marks, tuple(cells), tuple(attributes[name].get(title, "") for title in titles))
            )
        headings = tuple((column, METRICS.get(metric, metric.replace("_", " "))) for column, metric in columns)
        blocks.append(Block(headings, tuple(lines), titles))
    return TableView(tuple(blocks), tuple((mark, text) for text, mark in marks.items()), general)


def _records(frame: pd.DataFrame) -> Iterable[dict]:
    return ({str(name): value for name, value in line.items()} for line in frame.to_dict("records"))


def _column_blocks(frame: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Neighbouring (column, metric) pairs with the same printed rows; columns that only we have join the last block."""
    ours_only = frame["paper"].isna() & frame["verdict"].isin(["new", "unavailable"])
    printed = frame[frame["row"].isin(frame.loc[~ours_only, "row"]) & (frame["verdict"] != "new")]
    blocks: list[list[tuple[str, str]]] = []
    last: set[str] | None = None
    for column, metric in dict.fromkeys(zip(frame["column"], frame["metric"], strict=True)):
        rows = set(printed.loc[(printed["column"] == column) & (printed["metric"] == metric), "row"])
        if not blocks or (rows and last is not None and rows != last):
            blocks.append([])
        blocks[-1].append((column, metric))
        last = rows or last
    return blocks


def _decimals(group: pd.DataFrame) -> int:
    """Digits after the point that the printed values and spreads of a column need; 2 if it prints none."""
    texts = [repr(float(value)) for name in ("paper", "paper_spread") for value in group[name].dropna()]
    needed = [len(text.partition(".")[2]) if not text.endswith(".0") else 0 for text in texts if "e" not in text]
    if not texts:
        return 2
    # A printed column of percentages has a decimal even if every digit behind the point is 0.
    return max([*needed, 1 if (group["unit"] == "%").any() else 0])


def _number(value: float, decimals: int, signed: bool = False) -> str:
    if math.isnan(value):
        return ""
    return f"{round(value, decimals) + 0.0:{'+' if signed else ''}.{decimals}f}"  # + 0.0: no minus sign on a zero


def _setting(value: float) -> str:
    """A hyper-parameter, which may be a width of 448 or a learning rate of 0.00285: three digits, no zeros behind them."""
    return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _cell(line: dict, decimals: int, marks: tuple[str, ...]) -> Cell:
    ours = max(decimals, 1)
    printed = _number(line["paper"], decimals) or (str(line["note"]) if line["metric"] == "text" else "–")
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
