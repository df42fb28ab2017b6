"""What Table 2 shows beside the paper, as sentences computed from its comparison frame."""

import math

import pandas as pd

from parzc_core.experiments.table02_rankers import BENCHMARKS, by_labels
from parzc_core.predictors.registry import PREDICTORS
from parzc_core.report import told
from parzc_core.report.comparison import JUDGED

SPACES = {"nb201": "NAS-Bench-201", "nb101": "NAS-Bench-101"}
TREES = "graph extra-trees"
BELOW = 2.0  # points below print from which a cell is named
FAR = 5.0  # points from print from which a cell is explained
LABELS = "labels without failed runs"
_NB101, _WITHOUT = (BENCHMARKS[name].column for name in ("nb101", "nb101 without failed runs"))  # how columns begin
# One thing changed, said after "with" -> (row, the row with that change).
EVIDENCE = {
    "our structure of NP": ("NP", "NP (ours)"),
    "the best checkpoint taken on the judged cells": ("CTNAS", "CTNAS (best checkpoint)"),
    "DiffKendall, our structure of NP": ("NP", "NP (DiffKendall)"),
}
# Tau that NN-Former's own paper prints (CVPR 2025), judged on all cells.
NN_FORMER = {
    "NB201 S'_156": 80.4,
    "NB201 S'_1563": 89.0,
    "NB101 S_100": 70.9,
    "NB101 S_172": 76.5,
    "NB101 S_424 (all)": 80.9,
    "NB101 S_4236": 87.7,
}


def columns_run(compared: pd.DataFrame, name: str) -> list[str]:
    """The columns of a benchmark (of BENCHMARKS) that have a value of ours, in order. compared: as `compare` gives Table 2."""
    benchmark = BENCHMARKS[name]
    there = set(compared.loc[compared["ours"].notna(), "column"])
    return [column for train in benchmark.samples for column in benchmark.columns(train) if column in there]


def trees_beside_print(compared: pd.DataFrame) -> list[str]:
    """A sentence a benchmark: in how many columns extra-trees on graph features stand above all that is printed."""
    said = []
    for name, where in SPACES.items():
        columns = [column for column in columns_run(compared, name) if not math.isnan(_one(compared, TREES, column))]
        if not columns:
            continue
        best = [_best_printed(compared, column) for column in columns]
        trees, parzc = told.ours(compared, TREES, columns), told.printed(compared, "ParZC", columns)
        who = ", ".join(dict.fromkeys(row for row, _ in best))
        said.append(
            f"**Trees on {where}.** Extra-trees on features of the graph stand above every printed rival in "
            f"{_above(trees, [value for _, value in best])} of {len(columns)} columns and above the printed ParZC in "
            f"{_above(trees, parzc)}: {told.numbers(trees)}, where the best printed rival ({who}) has "
            f"{told.numbers(value for _, value in best)}."
        )
    return said


def differences(compared: pd.DataFrame) -> list[str]:
    """What differs from the paper's Table 2, a sentence a point. compared: as `compare` gives it."""
    said = [line for name in SPACES for line in _of_benchmark(compared, name)]
    return said + _of_gates(compared) + _of_failed_runs(compared) + trees_beside_print(compared)


def _of_benchmark(compared: pd.DataFrame, name: str) -> list[str]:
    """Rivals and ParZC of one benchmark, ours minus printed."""
    where, columns = SPACES[name], columns_run(compared, name)
    rivals = compared[compared["column"].isin(columns) & compared["delta"].notna() & compared["row"].isin(PREDICTORS)]
    if rivals.empty:
        return []
    mean = rivals.groupby("row")["delta"].mean().sort_values(ascending=False)
    verdicts = ", ".join(f"{count} {word}" for word, count in rivals["verdict"].value_counts().items())
    of_rows = ", ".join(f"{row} {delta:+.1f}" for row, delta in mean.items())
    said = [f"**Rivals on {where}**, ours minus printed, mean of their columns: {of_rows}. Cells: {verdicts}."]
    lower = rivals[rivals["delta"] < -BELOW].sort_values("delta").to_dict("records")
    if lower:
        worst = "; ".join(f"{line['row']} {line['column']} {line['delta']:+.1f}" for line in lower)
        said.append(
            f"**More than {BELOW:.0f} points below print on {where}:** {worst}. The notes of these cells say how long "
            "they were trained."
        )
    for row in ("ParZC", "ParZC (NP)", "ParZC (aligned)"):
        pairs = zip(told.ours(compared, row, columns), told.printed(compared, "ParZC", columns), strict=True)
        found = [ours - printed for ours, printed in pairs]
        if all(map(math.isnan, found)):
            continue
        deltas = told.numbers(found, plus=True)
        said.append(f"**{row} on {where}**, ours minus printed ParZC, from the fewest samples to the most: {deltas}.")
    return said


def _of_gates(compared: pd.DataFrame) -> list[str]:
    """GATES on NAS-Bench-201, where the paper has no row of it."""
    columns = [column for column in columns_run(compared, "nb201") if not math.isnan(_one(compared, "GATES", column))]
    if not columns:
        return []
    gates = told.ours(compared, "GATES", columns)
    over_ours = _above(gates, told.ours(compared, "ParZC (NP)", columns))
    return [
        "**GATES is missing on NAS-Bench-201 in the paper.** It learns from comparisons and follows information along the "
        f"graph: {told.numbers(gates)}, above ParZC (NP) in {over_ours} of {len(columns)} columns and above the printed one in "
        f"{_above(gates, told.printed(compared, 'ParZC', columns))}."
    ]


def _of_failed_runs(compared: pd.DataFrame) -> list[str]:
    """By how much each row changes when failed trainings are left out of NAS-Bench-101's labels."""
    again = by_labels(compared)
    if again.empty:
        return []
    differences = pd.DataFrame(
        {
            base: again[base]["without failed runs"] - again[base]["published labels"]
            for base in dict.fromkeys(again.columns.get_level_values(0))
        }
    )
    change = differences.mean(axis=1).dropna().sort_values(ascending=False)
    if change.empty:
        return []
    return [
        "**Failed trainings.** Without them tau on NAS-Bench-101 changes by (mean of the columns): "
        f"{', '.join(f'{row} {value:+.1f}' for row, value in change.items())}. Neither paper mentions failed trainings."
    ]


def far_from_print(compared: pd.DataFrame) -> pd.DataFrame:
    """The judged cells of rivals more than FAR points from print, a row each, and what is measured that bears on it, minus print.

    Columns: printed, ours, difference; then the same difference with one thing changed (EVIDENCE and labels without failed runs),
    NaN where there is no such run; left: the smallest of all these differences. compared: Table 2 as `compare` gives it.
    """
    judged = compared["verdict"].isin(JUDGED) & compared["row"].isin(PREDICTORS) & (compared["delta"].abs() > FAR)
    lines = {}
    for cell in compared[judged].to_dict("records"):
        row, column, printed = cell["row"], cell["column"], cell["paper"]
        changed = {what: _one(compared, other, column) - printed for what, (one, other) in EVIDENCE.items() if one == row}
        if column.startswith(_NB101):
            changed[LABELS] = _one(compared, row, column.replace(_NB101, _WITHOUT, 1)) - printed
        line = {"printed": printed, "ours": cell["ours"], "difference": cell["delta"], **changed}
        there = [value for value in (cell["delta"], *changed.values()) if not math.isnan(value)]
        lines[row, column] = {**line, "left": min(there, key=abs)}
    found = pd.DataFrame.from_dict(lines, orient="index")
    order = ["printed", "ours", "difference", LABELS, *EVIDENCE, "left"]
    return found[[name for name in order if name in found and found[name].notna().any()]]


def explanations(compared: pd.DataFrame) -> list[str]:
    """How many rivals' cells are far from print, what brings them near it, and which are left, a sentence each."""
    far = far_from_print(compared)
    if far.empty:
        return []
    above = int((far["difference"] > 0).sum())
    said = [
        f"**More than {FAR:.0f} points from print**: {len(far)} cells of rivals, trained whole on five splits, {above} above it. "
        "The table says what bears on each."
    ]
    for what in (name for name in (LABELS, *EVIDENCE) if name in far):
        there = far[far[what].notna()]
        near = there[there[what].abs() <= FAR]
        said.append(f"**With {what}** {len(near)} of {len(there)} such cells are within {FAR:.0f} points{_cells(near)}.")
    left = far[far["left"].abs() > FAR]
    if len(left):
        said.append(f"**Left unexplained** by anything measured here: {len(left)} cells{_cells(left)}.")
    return said


def _cells(far: pd.DataFrame) -> str:
    """ " (NP NB101 S_100, …)", or nothing."""
    return f" ({', '.join(f'{row} {column}' for row, column in far.index)})" if len(far) else ""


def beside_nn_former(compared: pd.DataFrame) -> pd.DataFrame:
    """NN-Former: its own paper's tau, ours by its protocol (all cells) and on unseen cells, ParZC+ beside it; a row a column."""
    ours = {"ours, all cells": "NN-Former (all cells)", "ours, unseen": "NN-Former", "ParZC+": "ParZC+"}
    columns = [column for name in SPACES for column in columns_run(compared, name)]
    lines = {
        column: [NN_FORMER.get(column, math.nan), *(_one(compared, row, column) for row in ours.values())] for column in columns
    }
    found = pd.DataFrame.from_dict(lines, orient="index", columns=["its paper", *ours])
    return found[found["ours, unseen"].notna()] if len(found) else found


def _best_printed(compared: pd.DataFrame, column: str) -> tuple[str, float]:
    """The printed rival of a column with the highest value."""
    rivals = compared[(compared["column"] == column) & compared["paper"].notna() & (compared["row"] != "ParZC")]
    best = rivals.set_index("row")["paper"]
    return str(best.idxmax()), float(best.max())


def _one(compared: pd.DataFrame, row: str, column: str) -> float:
    return told.ours(compared, row, [column])[0]


def _above(values: list[float], others: list[float]) -> int:
    return sum(value > other for value, other in zip(values, others, strict=True))
