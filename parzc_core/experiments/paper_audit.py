"""The audit of the paper: every line of inconsistencies.md, computed again from the printed tables.

`all_findings` gives the whole list; `ablation_spreads`, `table3_against_table9` and `rank_bounds` the numbers behind
three of them; `printed_diff_kendall`, `printed_min_max` and `printed_algorithm1` follow the paper to the letter.
"""

import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.paper.findings import CHECKS, claims


def all_findings() -> pd.DataFrame:
    """Every line of inconsistencies.md with what its check computes.

    Columns id, where, what, computed, status ("confirmed", "not confirmed", or "not computable" where no printed number
    can tell), reading. The ids that start with "ok-" are statements of the paper that hold.
    Raises BadInput if a line has no check or a check no line.
    """
    table = claims()
    if lone := set(table["id"]) ^ set(CHECKS):
        raise BadInput(
            f"ids with a line but no check, or a check but no line: {', '.join(sorted(lone))}; add what lacks"
        )
    outcomes = [CHECKS[name]() for name in table["id"]]
    words = {True: "confirmed", False: "not confirmed", None: "not computable"}
    table["computed"] = [outcome.computed for outcome in outcomes]
    table["status"] = [words[outcome.confirmed] for outcome in outcomes]
    return table[["id", "where", "what", "computed", "status", "reading"]]
