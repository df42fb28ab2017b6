"""Rows on disk: full precision, whole or not at all; and what several runs add up to."""

import hashlib
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.errors import BadInput, ParzcError, UnknownName
from parzc_core.storage import rows as results
from parzc_core.storage.rows import Row, read_manifest, read_rows, row_of_runs, summarise, write_rows


def a_row(**changes) -> Row:
    cell = {"table": "table06", "row": "NP", "column": "NB201-CF10 78", "metric": "kendall", "value": 34.5}
    return Row(**({**cell, "profile": "smoke", "origin": "reproduced"} | changes))


def test_fields_in_the_order_of_the_file() -> None:
    names = "table,row,column,metric,value,unit,seed,n,std,ci_low,ci_high,profile,origin,runs,epochs,published_epochs,note"
    assert ",".join(results.COLUMNS) == names


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"origin": "measured"}, UnknownName, "origin 'measured'.*reproduced, recreated, quoted, unavailable, ours"),
        ({"profile": "huge"}, UnknownName, "profile 'huge'"),
        ({"table": "../06"}, BadInput, "name is lower-case"),
        ({"column": ""}, BadInput, "must all be named"),
        ({"value": None}, BadInput, "say in the note why"),
        ({"value": math.nan}, BadInput, "say in the note why"),
        ({"value": None, "origin": "unavailable"}, BadInput, "say in the note why"),
        ({"value": 3.0, "origin": "unavailable"}, BadInput, "say in the note why"),
        ({"ci_low": 3.0}, BadInput, "both ends or neither"),
        ({"ci_low": 4.0, "ci_high": 3.0}, BadInput, "upside down"),
        ({"ci_low": 0.0, "ci_high": -0.5}, BadInput, "upside down"),
        ({"ci_low": 0.5, "ci_high": 0.0}, BadInput, "upside down"),
        ({"seed": -2}, BadInput, "seed >= -1"),
        ({"n": -1}, BadInput, "n >= 0"),
        ({"runs": -1}, BadInput, "runs -1"),
        ({"epochs": -3}, BadInput, "epochs -3 of 0"),
        ({"n": 5, "std": -0.1}, BadInput, "std -0.1 with n 5"),
        ({"std": 0.0}, BadInput, "only where n is at least 2"),
    ],
)
def test_bad_rows(changes: dict, error: type[ParzcError], message: str) -> None:
    with pytest.raises(error, match=message):
        a_row(**changes)


def test_rows_without_a_value_that_say_why() -> None:
    same = a_row(value=math.nan, note="every prediction is the same")
    assert math.isnan(same.value)
    assert same.note == "every prediction is the same"
    missing = a_row(value=None, origin="unavailable", note="needs ImageNet")
    assert (missing.value, missing.note) == (None, "needs ImageNet")


NUMBERS = st.floats(allow_nan=False)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


@settings(max_examples=60, deadline=None)
@given(
    value=NUMBERS, low=NUMBERS, high=NUMBERS, name=TEXT, note=TEXT, seed=st.integers(-1, 2**40), std=NUMBERS.map(abs)
)
def test_rows_come_back_to_the_last_bit(tmp_path_factory, value, low, high, name, note, seed, std) -> None:
    low, high = sorted((low, high))
    row = a_row(value=value, ci_low=low, ci_high=high, row=name, note=note, seed=seed, n=7, std=std)
    folder = tmp_path_factory.mktemp("rows")
    write_rows("table06", [row, a_row(row="nan", value=None, note="NA")], "smoke", {}, folder)
    back = read_rows("table06", "smoke", folder)
    assert tuple(back.columns) == results.COLUMNS
    first, second = back.to_dict("records")
    assert first == {field: getattr(row, field) for field in results.COLUMNS} | {"origin": "ours"}
    assert (second["row"], second["note"]) == ("nan", "NA")
    assert math.isnan(second["value"])
    assert np.isnan([second["std"], second["ci_low"], second["ci_high"]]).all()


def test_numpy_numbers_are_written_as_numbers(tmp_path: Path) -> None:
    row = a_row(value=np.float64(0.1), ci_low=np.float32(0.0), ci_high=np.float64(0.2), n=np.int64(3))
    write_rows("table06", [row], "smoke", {"seeds": np.arange(3), "folder": Path("a")}, tmp_path)
    assert read_rows("table06", "smoke", tmp_path)["value"][0] == 0.1
    assert read_manifest("table06", "smoke", tmp_path)["seeds"] == [0, 1, 2]


def test_manifest(tmp_path: Path) -> None:
    rows = [
        a_row(),
        a_row(row="MLP", value=math.nan, note="constant"),
        a_row(row="BN", value=None, origin="unavailable", note="why"),
    ]
    folder = write_rows("table06", rows, "smoke", {"minutes": 1.5}, tmp_path)
    assert folder == tmp_path / "smoke" / "table06"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["minutes"] == 1.5
    assert (manifest["profile"], manifest["table"]) == ("smoke", "table06")
    assert manifest["rows"] == {"reproduced": 2, "recreated": 0, "quoted": 0, "unavailable": 1, "ours": 0}
    assert manifest["without_value"] == 2
    assert set(manifest["versions"]) == {"python", "torch", "numpy", "scikit-learn", "pandas", "scipy", "parzc"}
    assert manifest["sha256"] == hashlib.sha256((folder / "rows.csv").read_bytes()).hexdigest()
    assert manifest["utc"].endswith("+00:00")


@pytest.mark.parametrize(
    ("rows", "manifest", "message"),
    [
        ([], {}, "no rows"),
        ([a_row(), a_row(value=1.0)], {}, "2 rows for.*'NP'"),
        ([a_row(table="table07")], {}, "'table07', profile 'smoke' among"),
        ([a_row(profile="full")], {}, "profile 'full' among"),
        ([a_row()], {"sha256": "0", "versions": {}}, "sha256, versions are set"),
        ([a_row()], {"model": object()}, "what JSON can hold"),
    ],
)
def test_refused_rows_leave_nothing_behind(tmp_path: Path, rows: list[Row], manifest: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        write_rows("table06", rows, "smoke", manifest, tmp_path)
    assert not list(tmp_path.rglob("*"))


def test_the_same_cell_for_several_seeds_is_no_duplicate(tmp_path: Path) -> None:
    write_rows("table06", [a_row(seed=0), a_row(seed=1), a_row()], "smoke", {}, tmp_path)
    assert list(read_rows("table06", "smoke", tmp_path)["seed"]) == [0, 1, -1]


def test_a_table_that_was_not_run(tmp_path: Path) -> None:
    assert not results.has_rows("table06", "smoke", tmp_path)
    with pytest.raises(BadInput, match="parzc run table06 --profile smoke"):
        read_rows("table06", "smoke", tmp_path)
    with pytest.raises(UnknownName, match="profile"):
        read_rows("table06", "medium", tmp_path)


def test_rows_of_a_version_without_a_column_are_noticed(tmp_path: Path) -> None:
    folder = write_rows("table06", [a_row()], "smoke", {}, tmp_path)
    rows = pd.read_csv(folder / "rows.csv").drop(columns=["std", "note"])
    rows.to_csv(folder / "rows.csv", index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256((folder / "rows.csv").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match=r"rows.csv lacks the column std, note; .*parzc run table06 --profile smoke"):
        read_rows("table06", "smoke", tmp_path)


def test_edited_rows_are_noticed(tmp_path: Path) -> None:
    path = write_rows("table06", [a_row()], "smoke", {}, tmp_path) / "rows.csv"
    path.write_text(path.read_text().replace("34.5", "64.5"))
    with pytest.raises(BadInput, match="edited"):
        read_rows("table06", "smoke", tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from parzc_core.storage.rows import Row, write_rows
renames, real = 0, os.replace
def replace(*names):  # the process dies at the rename, or just after the first one
    global renames
    renames += 1
    if renames == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(*names)
os.replace = replace
row = Row("table06", "NP", "NB201-CF10 78", "kendall", 99.0, profile="smoke", origin="reproduced")
write_rows("table06", [row], "smoke", {}, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("rename", [1, 2])
def test_kill_9_while_writing_leaves_whole_files(tmp_path: Path, rename: int) -> None:
    folder = write_rows("table06", [a_row()], "smoke", {}, tmp_path)
    old = {name: (folder / name).read_bytes() for name in ("rows.csv", "manifest.json")}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(rename)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "manifest.json").read_bytes() == old["manifest.json"]
    if rename == 1:  # before anything was renamed
        assert (folder / "rows.csv").read_bytes() == old["rows.csv"]
        assert read_rows("table06", "smoke", tmp_path)["value"][0] == 34.5
    else:  # between the two files: whole, and known not to belong together
        assert b",99.0," in (folder / "rows.csv").read_bytes()
        with pytest.raises(BadInput, match="cut off"):
            read_rows("table06", "smoke", tmp_path)
    write_rows("table06", [a_row(value=1.0)], "smoke", {}, tmp_path)
    assert read_rows("table06", "smoke", tmp_path)["value"][0] == 1.0


# --- summaries ---


def test_interval_by_hand() -> None:
    """Of 27 equally likely resamples of 1, 2, 3, one has mean 1 and one has mean 3: 3.7 % each, more than 2.5 %."""
    assert summarise([1, 2, 3]) == (2.0, 1.0, 1.0, 3.0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
def test_interval_properties(values: list[float], shift: float) -> None:
    one = summarise(values, resamples=500)
    assert min(values) - 1e-9 <= one.ci_low <= one.ci_high <= max(values) + 1e-9
    assert one == summarise(values, resamples=500)  # seeded
    moved = summarise([value + shift for value in values], resamples=500)
    np.testing.assert_allclose(moved, np.add(one, [shift, 0, shift, shift]), atol=1e-9)


def test_interval_of_many_runs_is_the_normal_one() -> None:
    """Of 400 values with standard deviation 1: mean -+ 1.96 / 20, within the noise of the resampling."""
    values = np.random.default_rng(3).normal(size=400)
    values = (values - values.mean()) / values.std()
    _, _, low, high = summarise(values)
    assert low == pytest.approx(-0.098, abs=0.008)
    assert high == pytest.approx(0.098, abs=0.008)


def test_one_run_and_nan() -> None:
    mean, *rest = summarise([70.0])
    assert mean == 70.0
    assert np.isnan(rest).all()
    assert np.isnan(summarise([70.0, math.nan])).all()
    for values in ([], [[1.0, 2.0]]):
        with pytest.raises(BadInput, match="at least one number"):
            summarise(values)


def test_row_of_runs() -> None:
    where = {"profile": "smoke", "origin": "reproduced"}
    row = row_of_runs("table06", "NP", "c", "kendall", [1, 2, 3], note="test split", **where)
    assert (row.value, row.std, row.ci_low, row.ci_high, row.n, row.seed) == (2.0, 1.0, 1.0, 3.0, 3, -1)
    assert row.note == "test split"
    one = row_of_runs("table06", "NP", "c", "kendall", [5.0], **where)
    assert (one.value, one.n, one.note) == (5.0, 1, "")
    assert np.isnan([one.std, one.ci_low, one.ci_high]).all()


def test_a_run_without_a_finite_number_is_told() -> None:
    row = row_of_runs("table06", "NP", "c", "kendall", [1.0, math.nan], profile="smoke", origin="reproduced", note="x")
    assert np.isnan([row.value, row.std]).all()
    assert row.note == "not every run gave a finite number; x"


def test_paired_differences_are_taken_split_by_split() -> None:
    scores = pd.DataFrame({"a": [1.0, 5.0, 9.0, 2.0], "b": [0.0, 4.0, 8.5, 2.5]})
    line = results.paired_differences(scores, {"a over b": ("a", "b")}).loc["a over b"]
    mean, std, low, high = summarise([1.0, 1.0, 0.5, -0.5])
    assert line.tolist() == [mean, low, high, std, 75.0]
    assert low < mean < high


def test_rows_of_runs_count_them() -> None:
    where = {"profile": "smoke", "origin": "reproduced"}
    assert row_of_runs("table06", "NP", "c", "kendall", [1.0, 2.0, 3.0], epochs=7, published_epochs=9, **where).runs == 3
    assert a_row(n=400).runs == 1  # n counts cells there


def test_what_the_paper_does_not_print_is_ours(tmp_path: Path) -> None:
    rows = [
        a_row(),
        a_row(row="NP (aligned)"),
        a_row(column="NB201-CF10 781"),
        a_row(column="labels of ours", origin="recreated"),
        a_row(row="trees", column="labels of ours", origin="recreated"),
        a_row(row="EMQ", value=None, origin="unavailable", note="why"),
    ]
    folder = write_rows("table06", rows, "smoke", {}, tmp_path)
    found = read_rows("table06", "smoke", tmp_path)["origin"].tolist()
    assert found == ["reproduced", "ours", "ours", "recreated", "ours", "unavailable"]
    counts = json.loads((folder / "manifest.json").read_text())["rows"]
    assert counts == {"reproduced": 1, "recreated": 1, "quoted": 0, "unavailable": 1, "ours": 3}


def rewritten(tmp_path: Path, change, **entries) -> None:
    """Rows of table06 with another content, which its manifest knows."""
    folder = write_rows("table06", [a_row(), a_row(row="MLP")], "smoke", {}, tmp_path)
    data = change((folder / "rows.csv").read_bytes())
    (folder / "rows.csv").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"sha256": hashlib.sha256(data).hexdigest()} | entries
    (folder / "manifest.json").write_text(json.dumps({key: value for key, value in manifest.items() if value != "none"}))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"34.5", b"abc", "row 1 has 'abc' as value; expected a number"),
        (b"-1,1,", b"-1,1.5,", "row 1 has '1.5' as n; expected a number"),
        (b"-1,1,", b"-1,,", "row 1 has '' as n"),
        (b"-1,1,", b"-1,%d," % 10**40, "row 1 has '10000.* as n"),
        (b"-1,1,", b"-1,%d," % (10**19 - 1), "row 1 has '9999.* as n"),  # beyond int64
        (b"kendall,", b"kendall,1,", "row 1 has 18 fields; expected 17"),
        (b"table06,NP", b"table07,NP", "holds a row of 'table07', not of 'table06'"),
        (b"NP", b"\xff", "is damaged or empty"),
        (b"NP", b'"NP', "is damaged"),
        (b"table,row", b"row", "lacks the column table"),
    ],
)
def test_rows_that_are_damaged_are_one_line(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    rewritten(tmp_path, lambda data: data.replace(old, new, 1))
    with pytest.raises(BadInput, match=rf"rows\.csv .*{message}.*; run `parzc run table06 --profile smoke` again") as refused:
        read_rows("table06", "smoke", tmp_path)
    assert "\n" not in str(refused.value)


def test_cut_off_or_empty_rows_are_damaged(tmp_path: Path) -> None:
    for change in (lambda data: b"", lambda data: data[:-20]):
        rewritten(tmp_path, change)
        with pytest.raises(BadInput, match=r"rows\.csv is damaged"):
            read_rows("table06", "smoke", tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"sha256": "none"}, "has the sha256 None; expected that of rows.csv"),
        ({"sha256": 5}, "has the sha256 5"),
        ({"minutes": "x"}, "got minutes='x'; expected a number of at least 0"),
        ({"minutes": math.nan}, "got minutes=nan"),
        ({"table": "table07"}, "is of the table 'table07', not of 'table06'"),
    ],
)
def test_a_manifest_that_is_damaged_or_of_another_table_is_one_line(tmp_path: Path, entries: dict, message: str) -> None:
    rewritten(tmp_path, bytes, **entries)
    with pytest.raises(BadInput, match=rf"manifest\.json.*{message}.*; run `parzc run table06 --profile smoke` again"):
        read_rows("table06", "smoke", tmp_path)


def test_the_interval_is_that_of_10000_seeded_resamples() -> None:
    """Of 15 zeros and 15 ones, the mean of a resample is binomial, whose percentiles are known; else as scipy has it."""
    values = [0.0] * 15 + [1.0] * 15
    _, std, low, high = summarise(values)
    assert std == pytest.approx(math.sqrt(30 * 0.25 / 29))
    assert (low, high) == pytest.approx(tuple(scipy.stats.binom(30, 0.5).ppf([0.025, 0.975]) / 30), abs=1 / 30 + 1e-9)
    runs = np.random.default_rng(1).normal(size=9)
    for options, resamples in (({}, 10_000), ({"seed": 3, "resamples": 50}, 50)):
        generator = np.random.default_rng(options.get("seed", 0))
        found = scipy.stats.bootstrap(
            (runs,), np.mean, n_resamples=resamples, batch=1000, method="percentile", rng=generator
        ).confidence_interval
        assert summarise(runs.tolist(), **options)[2:] == pytest.approx((found.low, found.high), abs=1e-12)
    assert np.isnan(summarise([1.0, math.inf])).all()
    for value, n, resamples in ((24.7, 16, 50), (-92.081, 12, 10), (70.1, 7, 10_000)):  # rounding may turn the ends around
        same = summarise([value] * n, resamples=resamples)
        assert same.ci_low <= same.ci_high == pytest.approx(value)


def test_a_split_with_equal_scores_is_not_won() -> None:
    scores = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 1.0, 4.0, 4.0]})
    assert results.paired_differences(scores, {"x": ("a", "b")})["splits won (%)"].tolist() == [25]
    more = scores.assign(a=scores["a"] + 2)
    (row,) = results.rows_of_differences("table06", "c", more, [("a", "b")], profile="smoke", origin="ours")
    assert (row.row, row.metric, row.value, row.n, row.runs) == ("a - b", "kendall_difference", 2.0, 4, 4)


def test_rows_at_the_limits_are_good() -> None:
    assert a_row(ci_low=3.0, ci_high=3.0).ci_low == 3.0  # equal runs
    assert a_row(n=2, std=0.0).std == 0.0
    assert a_row(value=math.inf).value == math.inf  # a value, which needs no note
    assert (a_row(seed=-1).seed, a_row(n=0, runs=0).n) == (-1, 0)
    with pytest.raises(BadInput, match="epochs 0 of -1"):
        a_row(published_epochs=-1)


def test_a_cell_is_told_by_its_metric_too_and_the_file_may_hold_long_seeds(tmp_path: Path) -> None:
    rows = [a_row(seed=10**18 - 1), a_row(seed=10**18 - 1, metric="spearman", value=math.inf)]
    write_rows("table06", rows, "smoke", {}, tmp_path)
    back = read_rows("table06", "smoke", tmp_path)
    assert back["seed"].tolist() == [10**18 - 1] * 2
    assert back["value"].tolist() == [34.5, math.inf]
    assert read_manifest("table06", "smoke", tmp_path)["without_value"] == 0


def test_minutes_below_zero_and_one_row_of_another_table_are_damage(tmp_path: Path) -> None:
    rewritten(tmp_path, bytes, minutes=-1)
    with pytest.raises(BadInput, match="got minutes=-1"):
        read_rows("table06", "smoke", tmp_path)
    rewritten(tmp_path, lambda data: data.replace(b"table06,MLP", b"table07,MLP"))
    with pytest.raises(BadInput, match="holds a row of 'table07'"):
        read_rows("table06", "smoke", tmp_path)


def test_committed_results_are_the_projects_own_where_runs_write_elsewhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "results").mkdir()
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(results.paths, "RESULTS", elsewhere)
    assert results.committed() == project / "results"
    (elsewhere / "full").mkdir()
    assert results.committed() == elsewhere
