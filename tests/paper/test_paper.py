"""The printed tables and the audit: counts and sums taken from the paper, cells typed by hand, checks that can fail."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from parzc_core import paper
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments import paper_audit
from parzc_core.paper import audit_tables, audit_text, findings
from parzc_core.paths import NOTEBOOKS

# table: cells, of which with nothing printed ("-", or text), sum of values, sum of spreads, as counted in the paper's text
COUNTED = {
    "table01": (182, 0, 7129.0, 0),
    "table02": (85, 14, 4536.8, 0),
    "table03": (64, 4, 96233.18, 29.21),
    "table04": (24, 4, 706.45, 0),
    "table05": (15, 0, 506.2, 74.0),
    "table06": (16, 0, 1047.19, 74.19),
    "table07": (14, 0, 1053.04, 0),
    "table08": (42, 0, 2680.45, 0),
    "table09": (105, 11, 116068.8, 81.95),
    "table10": (8, 8, 0, 0),
    "table11": (36, 0, 1255.85, 2.75),
}


def test_eleven_tables() -> None:
    assert paper.table_names() == tuple(COUNTED)
    assert all(paper.caption(table) for table in COUNTED)


@pytest.mark.parametrize("table", COUNTED)
def test_cells_are_those_of_the_paper(table: str) -> None:
    cells, empty, values, spreads = COUNTED[table]
    frame = paper.printed(table)
    assert tuple(frame.columns) == paper.COLUMNS
    assert (len(frame), int(frame["value"].isna().sum())) == (cells, empty)
    assert math.isclose(frame["value"].sum(), values, abs_tol=1e-6)
    assert math.isclose(frame["spread"].sum(), spreads, abs_tol=1e-6)
    assert (frame["spread"].notna() | (frame["spread_kind"] == "")).all()  # a kind only where there is a spread


@pytest.mark.parametrize(
    ("table", "row", "column", "metric", "value", "spread"),
    [
        ("table01", "GradNorm", "NB201-CF100", "spearman", -63.0, math.nan),  # printed so, slip included
        ("table01", "SNIP", "NDS-NASNet", "kendall", 0.9, math.nan),
        ("table01", "ParZC", "NDS-ENAS", "kendall", 50.6, math.nan),
        ("table02", "ReNAS", "NB101 S_424 (100 cells)", "kendall", 63.4, math.nan),
        ("table02", "ReNAS", "NB101 S_424 (all)", "kendall", 65.7, math.nan),
        ("table02", "CTNAS", "NB101 S_4236", "kendall", math.nan, math.nan),
        ("table02", "ParZC", "NB201 S'_78", "kendall", 64.6, math.nan),
        ("table02", "NAO", "NB201 S'_469", "kendall", 47.0, math.nan),
        ("table03", "DrNAS", "ImageNet16-120", "test_accuracy", 44.02, 3.24),
        ("table03", "RS (w/o sharing)", "Cost", "gpu_seconds", 12000, math.nan),
        ("table03", "ParZC", "CIFAR-100", "test_accuracy", 73.49, 0.02),
        ("table04", "TF-TAS-Ti", "GPU Days", "gpu_days", 0.5, math.nan),
        ("table04", "PVT-Tiny", "Param (M)", "params", 13.2, math.nan),
        ("table05", "TF-TAS", "Autoformer-Ti", "pearson", 48.7, 11.0),
        ("table06", "Mixer+BN", "NB201-CF10 78", "spearman", 86.03, 3.53),
        ("table07", "MSE+Rank+DiffKendall", "NB101-CF10 178", "spearman", 85.51, math.nan),
        ("table08", "NP+Mixer+BN", "Run2", "kendall", 67.24, math.nan),
        ("table09", "NASBOT", "ImageNet16-120 test", "accuracy", 45.88, 0.37),
        ("table09", "ReNAS", "Search", "seconds", 86.31, math.nan),
        ("table11", "OMPQ", "rho@20%", "spearman", 7.88, 0.16),
        ("table11", "ParZC", "Time(s)", "seconds", 2.3, math.nan),
    ],
)
def test_cells_typed_by_hand(table: str, row: str, column: str, metric: str, value: float, spread: float) -> None:
    found = [findings.value(table, row, column, metric, what) for what in ("value", "spread")]
    np.testing.assert_array_equal(found, [value, spread])


def test_spreads_are_named_for_what_they_are() -> None:
    kinds = {table: set(paper.printed(table).dropna(subset="spread")["spread_kind"]) for table in COUNTED}
    spread = {table: kind for table, kind in kinds.items() if kind}
    assert spread == {
        "table03": {"std"},
        "table05": {"std"},
        "table06": {"variance"},
        "table09": {"std"},
        "table11": {""},
    }


def test_table10_is_text() -> None:
    cells = paper.printed("table10").set_index("row")["note"]
    assert cells["Batch Size"] == "[16, 128]"
    assert cells["Learning Rate"] == "[1e-4, 1e-2]"
    assert audit_text.searched()["Learning Rate"] == (1e-4, 1e-2)


def test_a_change_to_what_printed_returns_stays_with_the_caller() -> None:
    mine = paper.printed("table05")
    mine.loc[0, "value"] = 0.0
    assert paper.printed("table05").loc[0, "value"] == 14.6


@pytest.mark.parametrize("call", [paper.printed, paper.caption])
@pytest.mark.parametrize("name", ["table12", "Table01", "", "../table01"])
def test_unknown_table(call, name: str) -> None:
    with pytest.raises(UnknownName, match="expected one of: table01"):
        call(name)


HEADER = "row,column,metric,value,spread,spread_kind,unit,note\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,column,value\na,b,1\n", "columns row, column, value"),
        (HEADER + "a,b,kendall,1,,,%,\na,b,kendall,2,,,%,\n", "there twice"),
        (HEADER + "a,b,kendall,6x,,,%,\n", "'value' must hold numbers"),
        (HEADER + "a,b,kendall,1,±2,std,%,\n", "'spread' must hold numbers"),
        (HEADER + "a,b,kendall,1,2,sem,%,\n", "spread_kind 'sem'"),
        (HEADER + "a,b,kendall,1,,,%,\na,,kendall,1,,,%,\n", "line 3 lacks"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table01.csv").write_text(text)
    with pytest.raises(BadInput, match=message):
        paper._load(tmp_path / "table01.csv")


# --- the audit ---


def test_every_finding_is_borne_out() -> None:
    table = paper_audit.all_findings().set_index("id")
    assert not (table["status"] == "not confirmed").any()
    assert set(table.index[table["status"] == "not computable"]) == {
        "S3.3-mixing",
        "S3-symbol-L",
        "S4-judged-on",
        "T7-failed-runs",
    }
    assert (table[["where", "what", "computed", "reading"]] != "").all(axis=None)


def test_spread_of_one_cell_by_hand() -> None:
    """NP, KD: 33.66, 35.19, 34.03; mean 34.29333; squares .40111 + .80401 + .06934 = 1.27447; / 3 = .42482."""
    cell = audit_tables.ablation_spreads().query("row == 'NP' and metric == 'kendall'").iloc[0]
    assert cell["printed_spread"] == 0.42
    assert math.isclose(cell["variance"], 0.42482, abs_tol=1e-5)
    assert math.isclose(cell["sample_variance"], 1.27447 / 2, abs_tol=1e-5)
    assert math.isclose(cell["sample_std"], math.sqrt(1.27447 / 2), abs_tol=1e-5)


def test_tables_3_and_9_by_hand() -> None:
    lines = audit_tables.table3_against_table9().set_index(["row", "dataset"])
    assert len(lines) == 9 * 3
    assert list(lines.loc[("REA", "ImageNet16-120"), ["same_value", "same_spread"]]) == ["valid", "valid"]
    assert list(lines.loc[("ParZC", "ImageNet16-120"), ["same_value", "same_spread"]]) == ["test", "valid"]
    assert list(lines.loc[("GDAS", "CIFAR-100"), ["same_value", "same_spread"]]) == ["test", "neither"]
    assert lines.loc[("BOHB", "CIFAR-10"), "same"]


@pytest.mark.parametrize(
    ("table", "change", "name"),
    [
        ("table01", lambda x: x.assign(value=x["value"].replace(-63.0, 63.0)), "T1-sign"),
        ("table06", lambda x: x.assign(spread=np.sqrt(x["spread"])), "T6-spread"),
        ("table06", lambda x: x.assign(value=x["value"] + 1), "ok-T6-means"),
        ("table08", lambda x: pd.concat([x, x.iloc[:6].assign(row="Mixer+BN")]), "T8-missing-row"),
        ("table03", lambda x: x.assign(value=x["value"].replace(73.49, 73.51)), "T3-T9-parzc"),
        ("table10", lambda x: x.assign(note=x["note"].replace("[16, 128]", "[8, 128]")), "T10-batch"),
        ("table01", lambda x: pd.concat([x, x.iloc[:2].assign(row="Plain")]), "T1-missing-proxies"),
        ("table03", lambda x: x.assign(value=x["value"].fillna(100)), "T3-gradsign"),
    ],
)
def test_a_corrected_paper_would_not_be_blamed(monkeypatch: pytest.MonkeyPatch, table: str, change, name: str) -> None:
    assert findings.CHECKS[name]().confirmed
    original = paper._load
    monkeypatch.setattr(paper, "_load", lambda path: change(original(path)) if path.stem == table else original(path))
    assert findings.CHECKS[name]().confirmed is False


@given(st.permutations(range(12)), st.permutations(range(12)))
def test_printed_diff_kendall_is_minus_two_tau_for_large_alpha(x: list[int], y: list[int]) -> None:
    tau = scipy.stats.kendalltau(x, y).statistic
    assert math.isclose(audit_text.printed_diff_kendall(np.array(x), np.array(y), alpha=100), -2 * tau, abs_tol=1e-9)


def test_the_bound_on_kd_and_sp_holds_for_every_ranking_of_six() -> None:
    """For n values without ties it is |3 n tau - 2 (n + 1) rho| <= n - 2, which tends to |3 tau - 2 rho| <= 1."""
    n = 6
    worst = 0.0
    for order in itertools.permutations(range(n)):
        tau, rho = scipy.stats.kendalltau(range(n), order).statistic, np.corrcoef(range(n), order)[0, 1]
        worst = max(worst, abs(3 * n * tau - 2 * (n + 1) * rho))
    assert math.isclose(worst, n - 2, abs_tol=1e-9)


def test_algorithm_1_by_hand() -> None:
    diamond: dict[str, tuple[str, ...]] = {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}
    assert audit_text.printed_algorithm1(diamond) == ["d", "b", "c", "a", "b", "c", "d"]


def test_printed_min_max() -> None:
    np.testing.assert_allclose(audit_text.printed_min_max(np.array([2.0, 4.0, 3.0])), [0, 1, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("| id | where | what | our reading |\n|---|---|---|---|\n| x | a | b | c |\n| x | a | b | c |\n", "two lines"),
        ("| x | a | b |\n", "3 cells"),
    ],
)
def test_broken_list_of_inconsistencies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "list.md").write_text(text)
    monkeypatch.setattr(findings, "INCONSISTENCIES", tmp_path / "list.md")
    with pytest.raises(BadInput, match=message):
        paper_audit.all_findings()


def test_a_line_without_a_check_and_a_second_check_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="two checks"):
        findings.finding("T1-sign")(findings.CHECKS["T1-sign"])
    monkeypatch.delitem(findings.CHECKS, "T1-sign")
    with pytest.raises(BadInput, match="T1-sign"):
        paper_audit.all_findings()


def test_a_cell_the_paper_lacks() -> None:
    with pytest.raises(BadInput, match="0 cells"):
        findings.value("table05", "ParZC", "Autoformer-S", "kendall")


def test_the_notebook_keeps_the_rules() -> None:
    cells = json.loads((NOTEBOOKS / "paper_audit.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    lines = [line for cell in code for line in "".join(cell["source"]).splitlines() if line.strip()]
    assert len(lines) <= 60
    assert not [line for line in lines if line.lstrip().startswith(("def ", "class "))]
    assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
