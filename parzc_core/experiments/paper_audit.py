"""The audit of the paper: every line of inconsistencies.md, computed again from the printed tables.

    all_findings()                                # the whole list, a row a line
    what_the_spread_is(audit_tables.ablation_spreads())  # the figure of Table 6's ±
"""

import pandas as pd
from matplotlib.figure import Figure

from parzc_core.drawing.style import BLUE, GREY, VERMILION, new_figure
from parzc_core.errors import BadInput
from parzc_core.paper import audit_tables, audit_text  # noqa: F401 (a check is known once its module is imported)
from parzc_core.paper.findings import CHECKS, inconsistencies


def all_findings() -> pd.DataFrame:
    """Every line of inconsistencies.md with what its check computes.

    Columns id, where, what, computed, status ("confirmed", "not confirmed", or "not computable" where no printed number
    can tell), reading. The ids that start with "ok-" are statements of the paper that hold.
    Raises BadInput if a line has no check or a check no line.
    """
    table = inconsistencies()
    if lone := set(table["id"]) ^ set(CHECKS):
        raise BadInput(
            f"ids with a line but no check, or a check but no line: {', '.join(sorted(lone))}; add what lacks"
        )
    outcomes = [CHECKS[name]() for name in table["id"]]
    words = {True: "confirmed", False: "not confirmed", None: "not computable"}
    table["computed"] = [outcome.computed for outcome in outcomes]
    table["status"] = [words[outcome.confirmed] for outcome in outcomes]
    return table[["id", "where", "what", "computed", "status", "reading"]]


def what_the_spread_is(spreads: pd.DataFrame) -> Figure:
    """Table 6's printed ± against variance and standard deviation of Table 8's runs; on the diagonal they are the same.

    spreads: of `audit_tables.ablation_spreads`.
    """
    figure = new_figure(5.6, 4.6)
    ax = figure.subplots()
    ax.plot([0.3, 20], [0.3, 20], color=GREY, linewidth=1, zorder=1)
    kinds = (
        ("variance", "variance of Table 8's three runs", "o", BLUE),
        ("std", "their standard deviation", "^", VERMILION),
    )
    for kind, label, marker, colour in kinds:
        ax.scatter(spreads["printed_spread"], spreads[kind], marker=marker, s=46, color=colour, label=label, zorder=3)
    ax.set(xscale="log", yscale="log", xlabel="± printed in Table 6", ylabel="computed from Table 8")
    ax.set_title("What the ± of Table 6 is")
    ticks = [0.5, 1, 2, 5, 10, 20]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    ax.legend(loc="upper left")
    return figure
