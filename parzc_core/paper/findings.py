"""A finding: one line of inconsistencies.md, and the function that computes what it says."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.paper import INCONSISTENCIES, printed


class Outcome(NamedTuple):
    """What was computed, in words and numbers; whether it bears the claim out (None: no printed number can tell)."""

    computed: str
    confirmed: bool | None


CHECKS: dict[str, Callable[[], Outcome]] = {}


def finding(name: str) -> Callable[[Callable[[], Outcome]], Callable[[], Outcome]]:
    """Registers the function that checks the line `name` of inconsistencies.md."""

    def register(check: Callable[[], Outcome]) -> Callable[[], Outcome]:
        if name in CHECKS:
            raise BadInput(f"two checks for the finding {name!r}; give each line of {INCONSISTENCIES.name} one")
        CHECKS[name] = check
        return check

    return register


def inconsistencies() -> pd.DataFrame:
    """The lines of inconsistencies.md: id, where, what, reading. Raises BadInput if an id is there twice."""
    lines = [line for line in INCONSISTENCIES.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    cells = [line for line in cells if line[0] != "id" and set(line[0]) != {"-"}]
    if odd := [line for line in cells if len(line) != 4]:
        raise BadInput(f"{INCONSISTENCIES.name}: {len(odd[0])} cells in the line of {odd[0][0]!r}; expected 4")
    table = pd.DataFrame(cells, columns=["id", "where", "what", "reading"])
    if len(twice := table[table["id"].duplicated()]):
        raise BadInput(f"{INCONSISTENCIES.name}: two lines for {twice.iloc[0]['id']!r}")
    return table


def value(table: str, row: str, column: str, metric: str, what: str = "value") -> float:
    """One printed value (or what="spread"). Raises BadInput if the paper has no such cell."""
    cells = printed(table)
    found = cells[(cells["row"] == row) & (cells["column"] == column) & (cells["metric"] == metric)]
    if len(found) != 1:
        raise BadInput(f"{table} has {len(found)} cells ({row!r}, {column!r}, {metric!r}); expected one")
    return float(found[what].iloc[0])


def along(table: str, row: str, metric: str) -> dict[str, float]:
    """A printed row: column -> value, in printed order, columns with a value only."""
    cells = printed(table).dropna(subset="value")
    cells = cells[(cells["row"] == row) & (cells["metric"] == metric)]
    return dict(zip(cells["column"], cells["value"], strict=True))


def down(table: str, column: str, metric: str) -> dict[str, float]:
    """A printed column: row -> value, in printed order, rows with a value only."""
    cells = printed(table).dropna(subset="value")
    cells = cells[(cells["column"] == column) & (cells["metric"] == metric)]
    return dict(zip(cells["row"], cells["value"], strict=True))


def listed(items: dict[str, float], form: str = "+.1f") -> str:
    """Names with their numbers, for the outcome of a check: "a +1.0, b -2.0"."""
    return ", ".join(f"{name} {number:{form}}" for name, number in items.items())
