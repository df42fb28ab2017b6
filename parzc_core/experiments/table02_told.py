"""What Table 2 shows beside the paper, as sentences computed from its comparison frame."""

import math

import pandas as pd

from parzc_core.experiments.table02_rankers import BENCHMARKS, by_labels
from parzc_core.predictors.registry import PREDICTORS
from parzc_core.report import told

SPACES = {"nb201": "NAS-Bench-201", "nb101": "NAS-Bench-101"}
TREES = "graph extra-trees"
BELOW = 2.0  # points below print from which a cell is named


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
    for row in ("ParZC", "ParZC (aligned)"):
        pairs = zip(told.ours(compared, row, columns), told.printed(compared, "ParZC", columns), strict=True)
        deltas = told.numbers([ours - printed for ours, printed in pairs], plus=True)
        said.append(f"**{row} on {where}**, ours minus printed ParZC, from the fewest samples to the most: {deltas}.")
    return said


def _of_gates(compared: pd.DataFrame) -> list[str]:
    """GATES on NAS-Bench-201, where the paper has no row of it."""
    columns = [column for column in columns_run(compared, "nb201") if not math.isnan(_one(compared, "GATES", column))]
    if not columns:
        return []
    gates = told.ours(compared, "GATES", columns)
    over_ours = _above(gates, told.ours(compared, "ParZC", columns))
    return [
        "**GATES is missing on NAS-Bench-201 in the paper.** It learns from comparisons and follows information along the "
        f"graph: {told.numbers(gates)}, above our ParZC in {over_ours} of {len(columns)} columns and above the printed one in "
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


def _best_printed(compared: pd.DataFrame, column: str) -> tuple[str, float]:
    """The printed rival of a column with the highest value."""
    rivals = compared[(compared["column"] == column) & compared["paper"].notna() & (compared["row"] != "ParZC")]
    best = rivals.set_index("row")["paper"]
    return str(best.idxmax()), float(best.max())


def _one(compared: pd.DataFrame, row: str, column: str) -> float:
    return told.ours(compared, row, [column])[0]


def _above(values: list[float], others: list[float]) -> int:
    return sum(value > other for value, other in zip(values, others, strict=True))
