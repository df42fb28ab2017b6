"""Sentences of notebooks, computed from the tables they stand beside, so that no number of ours is typed.

    frame = compare("table02", profile)
    told.bullets([f"GATES: {told.numbers(told.ours(frame, 'GATES', columns))} with {told.numbers(samples, 0)} samples."])
"""

import math
from collections.abc import Iterable, Sequence

import pandas as pd
from IPython.display import Markdown

from parzc_core.profiles import profile as profile_named


def whose(profile: str) -> Markdown:
    """Whose numbers stand in a notebook's text, for near its top. Raises UnknownName."""
    if profile_named(profile).name == "full":
        return Markdown("*Profile `full`: tables, pictures and text are of the same run.*")
    return Markdown(
        f"*Profile `{profile}`: tables, pictures and sentences printed by cells are of this run. Numbers of ours in the "
        "written text are of the committed results (profile `full`).*"
    )


def ours(frame: pd.DataFrame, row: str, columns: Sequence[str], metric: str = "kendall") -> list[float]:
    """Our values of a row in these columns; NaN where there is none. frame: of `compare`."""
    return _values(frame, row, columns, metric, "ours")


def printed(frame: pd.DataFrame, row: str, columns: Sequence[str], metric: str = "kendall") -> list[float]:
    """The paper's values of a row in these columns; NaN where it prints none. frame: of `compare`."""
    return _values(frame, row, columns, metric, "paper")


def _values(frame: pd.DataFrame, row: str, columns: Sequence[str], metric: str, which: str) -> list[float]:
    part = frame[(frame["row"] == row) & (frame["metric"] == metric)].set_index("column")[which]
    return [float(part.get(column, math.nan)) for column in columns]


def numbers(values: Iterable[float], digits: int = 1, plus: bool = False) -> str:
    """ "73.6, 79.1 and 84.2"; a dash for a value that is not there. plus: positive numbers with their sign."""
    shown = ["–" if math.isnan(value) else f"{value:{'+' if plus else ''}.{digits}f}" for value in values]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def interval(frame: pd.DataFrame, row: str, column: str, metric: str = "kendall", digits: int = 1) -> str:
    """ "62.6 [60.8, 64.5]": our value with its interval; a dash where it was not run."""
    part = frame[(frame["row"] == row) & (frame["column"] == column) & (frame["metric"] == metric)]
    if part.empty or math.isnan(part["ours"].iloc[0]):
        return "–"
    value, low, high = part.iloc[0][["ours", "ci_low", "ci_high"]].astype(float)
    return f"{value:.{digits}f}" + ("" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def bullets(lines: Iterable[str]) -> Markdown:
    """A list in Markdown, a point a line; says so where there is none."""
    return Markdown("\n".join(f"* {line}" for line in lines) or "*Not run in this profile.*")
