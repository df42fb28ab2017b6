"""Every decimal in a notebook's text is printed in the paper, stands in the committed rows, or is listed here with its reason.

A number of ours that changes with the rows belongs into a sentence that a cell computes (`report.told`); what is written by hand is
held against results/full at the precision in which it is written.
"""

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from parzc_core import paper
from parzc_core.paths import NOTEBOOKS, ROOT
from parzc_core.storage.rows import has_rows, read_rows

FULL = ROOT / "results"
# A decimal that stands alone: no part of a name, of a version (v1.0) or of a longer number such as 10.1145.
DECIMAL = re.compile(r"(?<![\w.§,])[-−+]?\d+(?:,\d{3})*\.\d+(?!\.?\w)")
# What is no number: code, sections and appendices of the paper (3.2, A.4), equations.
NO_NUMBER = re.compile(r"```.*?```|`[^`]*`|(?:Sections?|Sec\.|§+)\s*\d\.\d(?:\s*(?:,|and)\s*\d\.\d)*", re.DOTALL)
NOTEBOOK = "any"
ALLOWED: dict[tuple[str, str], str] = {}


def decimals(text: str) -> list[str]:
    """The decimals of a Markdown text, as they are written.

    >>> decimals("tau 64.6 (Section 3.2), a rate of `0.5` and -1,234.5; v1.0")
    ['64.6', '-1,234.5']
    """
    return DECIMAL.findall(NO_NUMBER.sub(" ", text))


def rounds_to(written: str, values: list[float]) -> bool:
    """Whether one of the values is what is written, at its precision; the sign counts only where one is written."""
    digits = len(written.partition(".")[2])
    number = float(written.replace(",", "").replace("−", "-").lstrip("+"))
    return any(abs(abs(value) - abs(number)) <= 0.5 * 10**-digits + 1e-9 for value in values)


def text_of(book: Path) -> str:
    cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def known(book: Path) -> list[float]:
    """Values that a notebook's text may name: all that the paper prints, and the committed rows of what the notebook makes."""
    values: list[float] = []
    for table in paper.table_names():
        printed = paper.printed(table)
        values += [*printed["value"].dropna(), *printed["spread"].dropna()]
    for name in json.loads(book.read_text(encoding="utf-8"))["metadata"]["parzc"]["makes"]:
        if has_rows(name, "full", FULL):
            rows: pd.DataFrame = read_rows(name, "full", FULL)
            values += [v for column in ("value", "std", "ci_low", "ci_high") for v in rows[column] if not math.isnan(v)]
    return values


@pytest.mark.parametrize("book", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda book: book.stem)
def test_every_decimal_in_the_text_is_accounted_for(book: Path) -> None:
    values = known(book)
    for written in dict.fromkeys(decimals(text_of(book))):
        listed = (book.stem, written) in ALLOWED or (NOTEBOOK, written) in ALLOWED
        assert listed or rounds_to(written, values), (
            f"{book.name} has {written} in its text, which is no printed value and in no committed row; compute it in a cell "
            "(parzc_core/report/told.py), or list it in ALLOWED with its reason"
        )


def test_the_list_names_what_is_there() -> None:
    there = {(book.stem, written) for book in NOTEBOOKS.glob("*.ipynb") for written in decimals(text_of(book))}
    numbers = {written for _, written in there}
    unused = [key for key in ALLOWED if key not in there and not (key[0] == NOTEBOOK and key[1] in numbers)]
    assert unused == []
