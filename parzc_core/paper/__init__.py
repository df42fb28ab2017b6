"""The paper's eleven tables as data: every printed value, and what is known to be inconsistent about it.

`tableNN.csv` holds one printed cell a line: `row,column,metric,value,spread,spread_kind,unit,note`. Values are as
printed, slips included (the note says so); where the paper prints "-" the value is empty. Citation marks are left out
of the names, and "ParZC(Ours)" is "ParZC" in every table.
"""

import functools
import math
from pathlib import Path

import pandas as pd

from parzc_core.errors import BadInput, UnknownName

FOLDER = Path(__file__).resolve().parent
INCONSISTENCIES = FOLDER / "inconsistencies.md"
COLUMNS = ("row", "column", "metric", "value", "spread", "spread_kind", "unit", "note")
CELL = ("row", "column", "metric")  # what names a cell, within a table
SPREAD_KINDS = ("", "std", "variance")  # "": no spread is printed, or the paper does not say what it is
PROXY_LABELS = {  # our name of a proxy -> the paper's, in the order of Table 1, then those that only its text names
    "params": "Params",
    "flops": "FLOPs",
    "fisher": "Fisher",
    "grad_norm": "GradNorm",
    "grasp": "GraSP",
    "l2_norm": "L2Norm",
    "plain": "Plain",
    "snip": "SNIP",
    "synflow": "Synflow",
    "jacov": "Jacov",
    "nwot": "NWOT",
    "zen": "Zen",
    "zico": "ZiCo",
    "eznas": "EZNAS",
    "logsynflow": "LogSynflow",
    "gradsign": "GradSign",
    "ntk_condition": "NTK condition",
    "knas": "KNAS",
    "nasi": "NASI",
}

_CAPTIONS = {
    "table01": "Zero-cost proxies: rank correlation with accuracy on three benchmarks (%)",
    "table02": "Trained predictors: Kendall's tau by number of training samples, CIFAR-10 (%)",
    "table03": "Search on NAS-Bench-201: test accuracy of what each algorithm finds, and its cost",
    "table04": "Search in the AutoFormer space: ImageNet-1k accuracy, parameters and search time",
    "table05": "Zero-cost proxies in the AutoFormer-Ti space: three correlations (%)",
    "table06": "Ablation of the parts: NP, mixer, Bayesian layers, MLP with 78 samples of NAS-Bench-201 (%)",
    "table07": "Ablation of the loss: MSE, pairwise rank loss, DiffKendall with 178 samples of NAS-Bench-101 (%)",
    "table08": "The ablation of Table 6, its three runs one by one (%)",
    "table09": "Search on NAS-Bench-201: validation and test accuracy, and search seconds",
    "table10": "The space of hyper-parameters that Optuna searched",
    "table11": "Mixed-precision quantisation (MQ-Bench-101): rank correlation among the top configurations (%)",
}


def table_names() -> tuple[str, ...]:
    """("table01", ..., "table11")."""
    return tuple(_CAPTIONS)


def _known(table: str) -> str:
    if table not in _CAPTIONS:
        raise UnknownName.of("table", table, _CAPTIONS)
    return table


def caption(table: str) -> str:
    """What the table shows, in a line of our own. Raises UnknownName."""
    return _CAPTIONS[_known(table)]


def printed(table: str) -> pd.DataFrame:
    """The printed cells of a table, in printed order.

    Columns `row,column,metric,value,spread,spread_kind,unit,note`; value and spread are float64, NaN where nothing is
    printed (or where the cell is text, which is then in the note: Table 10). Accuracy in percent, correlations times
    100 and signed. Raises UnknownName for another table, BadInput if the file breaks the schema.
    """
    return _load(FOLDER / f"{_known(table)}.csv").copy()


@functools.cache
def _load(path: Path) -> pd.DataFrame:
    """Reads and checks one file of printed cells."""
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(cells.columns) != COLUMNS:
        raise BadInput(f"{path.name}: columns {', '.join(cells.columns)}; expected {', '.join(COLUMNS)}")
    for name in ("value", "spread"):
        try:
            cells[name] = [float(text) if text else math.nan for text in cells[name]]
        except ValueError as error:
            raise BadInput(f"{path.name}: column {name!r} must hold numbers or nothing: {error}") from None
    unnamed = cells.loc[(cells[list(CELL)] == "").any(axis=1)]
    if len(unnamed):
        raise BadInput(f"{path.name}: line {unnamed.index[0] + 2} lacks its row, column or metric")
    if len(twice := cells.loc[cells.duplicated(list(CELL))]):
        raise BadInput(f"{path.name}: cell {tuple(twice.iloc[0][list(CELL)])} is there twice; give each cell one line")
    if len(odd := cells.loc[~cells["spread_kind"].isin(SPREAD_KINDS)]):
        kinds = ", ".join(repr(kind) for kind in SPREAD_KINDS)
        raise BadInput(f"{path.name}: spread_kind {odd.iloc[0]['spread_kind']!r}; expected one of: {kinds}")
    return cells
