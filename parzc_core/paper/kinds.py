"""What kind of number a printed cell holds: the kind decides how, and whether, ours is judged against it.

    >>> kind("table03", "ParZC", "CIFAR-10", "test_accuracy")
    'searched accuracy'

kinds.csv holds one rule a line, "*" for any name; of the rules that fit a cell, the last one counts.
"""

import functools

import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.paper import CELL, FOLDER, printed, table_names

# Kind -> what it is. The rule of each is in `report.verdicts`.
KINDS = {
    "correlation": "rank correlation of a score that learns nothing",
    "trained correlation": "rank correlation of a trained ranker or predictor",
    "searched accuracy": "accuracy of the architecture that a search finds",
    "random search": "the same of random search, the zero of the share scale",
    "optimum": "highest accuracy of the benchmark, the one of the share scale",
    "constant": "another accuracy that is read from the labels",
    "accuracy of one training": "accuracy of one network, trained once",
    "size": "parameters or FLOPs of a published network",
    "size of a found network": "parameters of a network that a search found",
    "cost": "seconds, days or budgets",
    "setting": "words or a range",
}
NAMES = ("table", *CELL)


def kind(table: str, row: str, column: str, metric: str) -> str:
    """The kind, of KINDS, of a printed cell. Raises BadInput if no line of kinds.csv fits."""
    cell = (table, row, column, metric)
    for *rule, found in reversed(_rules()):
        if all(name in ("*", own) for name, own in zip(rule, cell, strict=True)):
            return found
    raise BadInput(f"no line of kinds.csv fits the cell {cell}; add one that says its kind")


def prints(table: str, row: str, column: str, metric: str) -> bool:
    """Whether the paper prints a number, or words, in that cell. False for a dash and for a table that is not the paper's."""
    return (row, column, metric) in _printed(table)


def origin_of(table: str, row: str, column: str, metric: str, declared: str) -> str:
    """The origin of a row of a table: "ours" where the paper prints no such cell, else as declared.

    "recreated" stays for a printed row and metric: it stands for a printed cell, in a column that names its truth. "quoted" and
    "unavailable" stay always, and so does every origin outside the paper's eleven tables.
    """
    if table not in table_names() or declared not in ("reproduced", "recreated") or prints(table, row, column, metric):
        return declared
    stands_for = {(name, kind_) for name, _, kind_ in _printed(table)}
    return "recreated" if declared == "recreated" and (row, metric) in stands_for else "ours"


@functools.cache
def _printed(table: str) -> frozenset[tuple[str, str, str]]:
    if table not in table_names():
        return frozenset()
    cells = printed(table)
    there = cells[cells["value"].notna() | (cells["metric"] == "text")]
    return frozenset(there[list(CELL)].itertuples(index=False, name=None))


@functools.cache
def _rules() -> tuple[tuple[str, ...], ...]:
    rules = pd.read_csv(FOLDER / "kinds.csv", dtype=str, keep_default_na=False)
    if tuple(rules.columns) != (*NAMES, "kind"):
        raise BadInput(f"kinds.csv: columns {', '.join(rules.columns)}; expected {', '.join((*NAMES, 'kind'))}")
    if len(odd := rules[~rules["kind"].isin(KINDS)]):
        raise BadInput(f"kinds.csv: kind {odd.iloc[0]['kind']!r}; expected one of {', '.join(KINDS)}")
    return tuple(rules.itertuples(index=False, name=None))
