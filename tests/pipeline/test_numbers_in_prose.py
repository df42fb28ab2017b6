"""Every decimal in a notebook's text is printed in the paper, or is listed here: with its cell of the rows, or its reason.

A number of ours belongs into a sentence that a cell computes (`report.told`). The few that are written by hand are held against
their cell of results/full, at the precision in which they are written.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from parzc_core import paper
from parzc_core.paper.findings import down, value
from parzc_core.paths import NOTEBOOKS, ROOT
from parzc_core.storage.rows import read_rows

# A decimal that stands alone: no part of a name, of a version (v1.0) or of a longer number such as 10.1145.
DECIMAL = re.compile(r"(?<![\w.§,])[-−+]?\d+(?:,\d{3})*\.\d+(?!\.?\w)")
# What is no number: code, sections and appendices of the paper (3.2, A.4), equations.
NO_NUMBER = re.compile(r"```.*?```|`[^`]*`|(?:Sections?|Sec\.|§+)\s*\d\.\d(?:\s*(?:,|and)\s*\d\.\d)*", re.DOTALL)
# Numbers of ours: (notebook, as written) -> its cell (table, row, column, metric).
HELD: dict[tuple[str, str], tuple[str, str, str, str]] = {
    ("table01_zero_cost_proxies", "78.7"): ("table01", "ParZC", "NB101-CF10", "kendall"),
    ("table04_autoformer_search", "5.87"): ("table04", "AutoFormer-Ti", "Param (M)", "params"),
    ("search_nb101", "0.11"): ("search_nb101", "NPENAS", "test", "regret"),
    ("search_nb101", "0.18"): ("search_nb101", "NASBOT", "test", "regret"),
    ("search_nb101", "0.47"): ("search_nb101", "REA", "test", "regret"),
    ("search_nb101", "0.68"): ("search_nb101", "Random search", "test", "regret"),
    ("search_nb101", "0.46"): ("search_nb101", "ParZC", "test", "regret"),
    ("search_nb101", "0.44"): ("search_nb101", "ParZC (aligned)", "test", "regret"),
    ("search_nb101", "0.17"): ("search_nb101", "ParZC+", "test", "regret"),
    ("search_nb101", "0.37"): ("search_nb101", "Best of the collected", "test", "regret"),
}
# Neither ours nor in the paper's tables: (notebook, as written) -> what it is.
ALLOWED: dict[tuple[str, str], str] = {
    ("00_start_here", "0.5"): "percent: 78 of 15,625 cells",
    ("fig02_05_importance", "0.05"): "the learning rate of A.2",
    ("parzc_plus", "100.5"): "a constant of our formula",
    ("search_nb101", "2.6"): "percent: 11,000 of 423,624 cells",
    ("table02_rankers", "0.5"): "the slope of DiffKendall, Section 4.1",
    ("table04_autoformer_search", "6.2"): "the bound on parameters that the search has, in millions",
    ("table04_autoformer_search", "3.5"): "an MLP ratio of AutoFormer's space",
    ("table06_08_ablation", "0.5"): "the slope of DiffKendall, Section 4.1",
    ("table07_losses", "0.5"): "the slope of DiffKendall, Section 4.1",
    ("table07_losses", "0.1"): "the least slope that is run",
    ("table07_losses", "1.3"): "percent of the benchmark's cells with a failed training",
}
# Printed elsewhere than in the tables that a notebook makes: (notebook, as written) -> the same from the printed tables.
PRINTED: dict[tuple[str, str], Callable[[], float]] = {
    ("fig04_08_rank_correlation", "78.24"): lambda: 78.24,  # Figure 4, which no table repeats (finding Fig4-tau)
    ("nds_nb301", "50.3"): lambda: value("table01", "ParZC", "NDS-DARTS", "kendall"),
    ("nds_nb301", "38.5"): lambda: value("table01", "ParZC", "NDS-NASNet", "kendall"),
    ("nds_nb301", "50.6"): lambda: value("table01", "ParZC", "NDS-ENAS", "kendall"),
    ("table01_zero_cost_proxies", "78.2"): lambda: value("table02", "ParZC", "NB101 S_424 (all)", "kendall"),
    ("table06_08_ablation", "7.65"): lambda: value("table06", "Mixer", "NB201-CF10 78", "kendall")
    - value("table06", "MLP", "NB201-CF10 78", "kendall"),
    ("table07_losses", "2.4"): lambda: float(np.ptp(list(down("table07", "NB101-CF10 178", "kendall").values()))),
}


def decimals(text: str) -> list[str]:
    """The decimals of a Markdown text, as they are written."""
    return DECIMAL.findall(NO_NUMBER.sub(" ", text))


def rounds_to(written: str, values: list[float]) -> bool:
    """Whether one of the values is what is written, at its precision and without its sign."""
    digits = len(written.partition(".")[2])
    number = float(written.replace(",", "").replace("−", "-").lstrip("+"))
    return any(abs(abs(value) - abs(number)) <= 0.5 * 10**-digits + 1e-9 for value in values)


def text_of(book: Path) -> str:
    cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def printed_in(tables: Iterable[str]) -> list[float]:
    """Every value and spread that the paper prints in these tables."""
    frames = [paper.printed(table) for table in tables]
    return [one for frame in frames for one in [*frame["value"].dropna(), *frame["spread"].dropna()]]


def own_tables(book: Path) -> list[str]:
    """The paper's tables that a notebook is about: those that it makes; all of them for the audit of the paper."""
    makes = json.loads(book.read_text(encoding="utf-8"))["metadata"]["parzc"]["makes"]
    return [name for name in paper.table_names() if name in makes or book.stem == "paper_audit"]


BOOKS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_every_decimal_in_the_text_is_accounted_for(book: Path) -> None:
    printed = printed_in(own_tables(book))
    for written in dict.fromkeys(decimals(text_of(book))):
        listed = (book.stem, written) in {*HELD, *ALLOWED, *PRINTED}
        assert listed or rounds_to(written, printed), (
            f"{book.name} has {written} in its text, which is no value of the printed tables {own_tables(book)}; compute it in a "
            "cell (parzc_core/report/told.py), or list it in HELD with its cell or in ALLOWED with its reason"
        )


@pytest.mark.parametrize(("place", "cell"), HELD.items(), ids=lambda one: " ".join(one))
def test_a_number_of_ours_is_its_cell_of_the_committed_rows(place: tuple[str, str], cell: tuple[str, str, str, str]) -> None:
    table, row, column, metric = cell
    rows = read_rows(table, "full", ROOT / "results")
    found = rows[(rows["row"] == row) & (rows["column"] == column) & (rows["metric"] == metric)]["value"].tolist()
    assert len(found) == 1
    assert rounds_to(place[1], found), f"{place[0]} says {place[1]}; {cell} has {found[0]}"


@pytest.mark.parametrize("place", PRINTED, ids=" ".join)
def test_a_number_printed_elsewhere_is_what_the_paper_prints(place: tuple[str, str]) -> None:
    assert rounds_to(place[1], [PRINTED[place]()])


def test_the_lists_name_what_is_there() -> None:
    there = {(book.stem, written) for book in BOOKS for written in decimals(text_of(book))}
    assert {*HELD, *ALLOWED, *PRINTED} - there == set()


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_says_whose_numbers_its_text_has(book: Path) -> None:
    cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert any("told.whose(profile)" in one for one in code[:2]), "show told.whose(profile) right after the parameters"


def test_a_decimal_is_found_and_a_section_is_not() -> None:
    assert decimals("tau 64.6 (Section 3.2), a rate of `0.5` and -1,234.5; v1.0, A.4, §4.1, 12 %") == ["64.6", "-1,234.5"]
    assert rounds_to("64.6", [64.649])
    assert not rounds_to("64.6", [64.66])
    assert rounds_to("0.5", [-0.52])
