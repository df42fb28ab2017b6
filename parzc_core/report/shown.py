"""The one way a notebook shows a table: pivoted, rounded, empty cells empty, and folded where it is long.

    show(compare("table07", profile))      # paper → ours, interval below, a sign for the verdict
    show(frame, digits=2)                  # any other frame, or a Series

It is HTML without styles of its own, so that a repository browser and the report show it too.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.report.layout import Block, Cell, view

MOST = 20  # rows of a table that is shown whole
SIGNS = {"matches": "=", "higher": "▲", "lower": "▼"}
_MEANINGS = {"=": "the printed value matches ours", "▲": "ours is higher", "▼": "ours is lower"}
_COMPARED = {"row", "column", "metric", "paper", "ours", "verdict"}
_LONG = 25  # characters of a text that is read from the left
_FEW = 8  # columns of a comparison beside each other


@dataclass(frozen=True)
class Shown:
    """A table as a notebook shows it: HTML, and plain text where there is none."""

    content: str
    plain: str

    def _repr_html_(self) -> str:
        return self.content

    def __repr__(self) -> str:
        return self.plain


def show(table: pd.DataFrame | pd.Series, digits: int = 1, title: str = "", most: int = MOST) -> Shown:
    """A table for reading.

    table: a frame of `comparison.compare` or `comparison.own` is pivoted: a line a row, a column each. Any other frame, or a
        Series, stays as it is. Columns without a value are left out.
    digits: decimals. A column of smaller numbers gets more, for two digits of its largest number; whole numbers none.
    title: shown above. most: a longer table shows that many rows, and all of them when it is unfolded.
    Raises BadInput for anything but a frame or a Series.
    """
    if isinstance(table, pd.Series):
        table = table.to_frame("" if table.name is None else table.name)
    if not isinstance(table, pd.DataFrame):
        raise BadInput(f"got a {type(table).__name__}; expected a DataFrame or a Series")
    if table.empty:
        parts, plain = ["<p>Nothing to show in this profile.</p>"], "Nothing to show in this profile."
    elif set(table.columns) >= _COMPARED:
        parts, plain = _comparison(table, most)
    else:
        texts = _texts(table, digits)
        parts, plain = [_folded(_html(texts), most)], "\n".join(line.rstrip() for line in texts.to_string().splitlines())
    head = [f"<p><b>{html.escape(title)}</b></p>"] if title else []
    return Shown("\n".join([*head, *parts]), "\n".join(filter(None, [title, plain])))


def _comparison(frame: pd.DataFrame, most: int) -> tuple[list[str], str]:
    """HTML and plain text of a comparison frame."""
    parts, plain, signs, printed = [], [], dict[str, None](), False
    for block in view(frame).blocks:
        cells = [cell for line in block.lines for cell in line.cells if cell]
        signs |= dict.fromkeys(SIGNS[cell.verdict] for cell in cells if cell.verdict in SIGNS)
        printed |= any(cell.paper for cell in cells)
        for start in range(0, len(block.columns), _FEW):
            rich = _block(block, start, "<br><small>{}</small>", "<i>{}</i>")
            parts.append(_folded(_html(rich.rename(columns=html.escape, index=html.escape), raw=True), most))
            plain.append(_block(block, start, " {}", "{}").to_string())
    legend = ["*paper* → ours [95 % interval]" if printed else "[95 % interval]"]
    legend += [f"{sign} {_MEANINGS[sign]}" for sign in SIGNS.values() if sign in signs]
    said = "; ".join(legend)
    parts.append(f"<p><small>{said.replace('*paper*', '<i>paper</i>')}</small></p>")
    return parts, "\n".join([*plain, said.replace("*", "")])


def _block(block: Block, start: int, interval: str, printed: str) -> pd.DataFrame:
    """The texts of some columns of a block. interval, printed: how those two are set."""
    some = slice(start, start + _FEW)
    heads = [" ".join(filter(None, (column.name, column.heading))) for column in block.columns[some]]
    same = {column.heading for column in block.columns}
    if len(same) == 1:  # said once, in the corner
        heads = [column.name for column in block.columns[some]]
    lines = [[_cell(cell, interval, printed) for cell in line.cells[some]] for line in block.lines]
    there = [place for place, line in enumerate(lines) if any(line)]
    made = pd.DataFrame([lines[place] for place in there], [block.lines[place].name for place in there], heads)
    return made.rename_axis(columns=same.pop() if len(same) == 1 else None)


def _cell(cell: Cell | None, interval: str, printed: str) -> str:
    if cell is None:
        return ""
    paper = printed.format(cell.paper) if cell.paper else ""
    if not cell.ours or math.isnan(cell.number):
        return paper or cell.ours
    sign = f" {SIGNS[cell.verdict]}" if cell.verdict in SIGNS else ""
    ours = cell.ours + sign + (interval.format(cell.interval) if cell.interval else "")
    return f"{paper} → {ours}" if paper else ours


def _texts(frame: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Every value as text, columns without one left out."""
    places = [place for place in range(frame.shape[1]) if frame.iloc[:, place].notna().any()]
    columns = {place: _column(frame.iloc[:, place].tolist(), digits) for place in places}
    made = pd.DataFrame(columns, index=frame.index).set_axis(frame.columns[places], axis=1)
    plain = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    return made.set_axis([""] * len(made)) if plain else made


def _column(values: Sequence[Any], digits: int) -> list[str]:
    numbers = [float(value) for value in values if _number(value) and math.isfinite(value)]
    if all(value == round(value) for value in numbers):
        digits = 0
    elif least := max(map(abs, numbers), default=0.0):
        digits = max(digits, 1 - math.floor(math.log10(least)))
    return [_text(value, digits) for value in values]


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.bool_)


def _text(value: Any, digits: int) -> str:
    if value is None or value is pd.NA or value is pd.NaT or (_number(value) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if _number(value):
        said = f"{value:,.{digits}f}"  # "-0.0" is 0.0
        return said.replace("-", "−" if float(said.replace(",", "")) else "") if math.isfinite(value) else str(value)
    return str(value)


def _html(texts: pd.DataFrame, raw: bool = False) -> str:
    """A table element of texts. raw: they are HTML already."""
    if not raw:
        texts = texts.map(_set).rename(index=_escaped, columns=_escaped)
    with pd.option_context("display.max_colwidth", None):
        return texts.to_html(border=0, escape=False)


def _escaped(label: Any) -> Any:
    return html.escape(label) if isinstance(label, str) else label


def _set(text: str) -> str:
    """The text escaped; a long one starts at the left."""
    safe = html.escape(text)
    return f'<div style="text-align:left">{safe}</div>' if len(text) > _LONG else safe


def _folded(table: str, most: int) -> str:
    """The table; of a long one its first rows, and all of it to be unfolded."""
    head, body = table.split("<tbody>")
    rows = body.split("</tbody>")[0].split("<tr>")[1:]
    if len(rows) <= most:
        return table
    first = "".join(f"<tr>{row}" for row in rows[:most])
    return (
        f"{head}<tbody>\n{first}</tbody>\n</table>\n"
        f"<details><summary>all {len(rows)} rows</summary>\n{table}\n</details>"
    )
