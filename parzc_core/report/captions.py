"""What a figure says, in a sentence or two: the `captions` of its notebook, with numbers filled in from result rows.

    filled("ParZC+ reaches {parzc_plus: ParZC+ | NB201-CF10 78 | kendall}.", "full")   # "ParZC+ reaches 83.2."

A place is `{result: row | column | metric}`. A sentence with a number that is not at hand is left out.
"""

import math
import re

from parzc_core import paths
from parzc_core.report.comparison import Record, our_rows

_PLACE = re.compile(r"\{(\w+): ([^|{}]+) \| ([^|{}]+) \| ([^|{}]+)\}")
_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z{])")


def filled(text: str, profile: str) -> str:
    """The text without the sentences whose numbers are not in the rows of that profile. Raises as `comparison.compare` does."""
    found = [(table, (row, column, metric)) for table, row, column, metric in places(text)]
    tables = {table: our_rows(table, profile, paths.RESULTS) for table, _ in found}
    values = {f"{{{table}: {' | '.join(cell)}}}": _value(tables[table].get(cell)) for table, cell in found}
    said = []
    for sentence in _SENTENCE.split(text):
        asked = [place[0] for place in _PLACE.finditer(sentence)]
        if all(values[place] for place in asked):
            said.append(_PLACE.sub(lambda place: values[place[0]], sentence))
    return " ".join(said)


def places(text: str) -> list[tuple[str, str, str, str]]:
    """The (result, row, column, metric) that a text asks for."""
    return [(found[1], found[2], found[3], found[4]) for found in _PLACE.finditer(text)]


def _value(row: Record | None) -> str:
    """The number as text, with a decimal, two below ten; "" if there is none."""
    if row is None or not math.isfinite(row["value"]):
        return ""
    value = float(row["value"])
    return f"{value:.0f}" if value == round(value) else f"{value:.{1 if abs(value) >= 10 or row['unit'] == '%' else 2}f}"
