"""Results on disk: <folder>/<profile>/<table>/rows.csv beside manifest.json, each written whole or not at all.

`parzc_core.storage.run_store` keeps the single trained runs that rows are made from.
"""

import csv
import dataclasses
import datetime
import hashlib
import importlib.metadata
import io
import json
import math
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

from parzc_core import __version__, paths, profiles
from parzc_core.errors import BadInput, UnknownName, real
from parzc_core.files import csv_files, json_files
from parzc_core.files.json_files import shown
from parzc_core.paper.kinds import origin_of
from parzc_core.paths import RESULTS, write_whole
from parzc_core.storage.run_store import plain

ORIGINS = ("reproduced", "recreated", "quoted", "unavailable", "ours")
ONE_ROW = ["row", "column", "metric", "seed"]  # what tells two rows of a table apart
_LIBRARIES = ("torch", "numpy", "scikit-learn", "pandas", "scipy")


@dataclasses.dataclass(frozen=True)
class Row:
    """One value of a table, with where it comes from.

    row, column, metric: the cell, named as in `parzc_core/paper` ("ParZC", "NB201-CF10", "kendall").
    value: in `unit` (accuracy in percent, correlations times 100 and signed). None or NaN only where the origin is
        "unavailable" or the note says why.
    seed: of the run; -1 for a value aggregated over seeds or splits.
    n: number of values aggregated (or of cells judged; the note says which).
    std: standard deviation (ddof 1) of the aggregated runs, in `unit`; None or NaN where there is none, as for one run. The
        runs are the n values; where n counts cells, the note says over how many runs.
    ci_low, ci_high: 95 % interval of the value, both or neither (None or NaN).
    origin: "reproduced" (a cell that the paper prints, run here against published labels), "recreated" (the same against labels
        made by this project), "quoted" (printed in the paper, not run), "unavailable" (the note says why) or "ours" (the paper
        prints no such cell; in its eleven tables `write_rows` decides that).
    runs: trainings, searches or collections that the value, or its interval, is made of, whatever n counts.
    epochs, published_epochs: of what was trained, as run and as published; 0 where nothing is trained by epochs.
    Raises BadInput or UnknownName (origin, profile) on construction.
    """

    table: str
    row: str
    column: str
    metric: str
    value: float | None
    _: dataclasses.KW_ONLY
    unit: str = "%"
    seed: int = -1
    n: int = 1
    std: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    profile: str
    origin: str
    runs: int = 1
    epochs: int = 0
    published_epochs: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        cell = f"row ({self.row!r}, {self.column!r}, {self.metric!r}) of {self.table!r}"
        if not re.fullmatch(r"[a-z0-9_]+", self.table):
            raise BadInput(f"{cell}: a table's name is lower-case letters, digits and _, such as 'table06'")
        if not (self.row and self.column and self.metric):
            raise BadInput(f"{cell}: row, column and metric must all be named")
        if self.origin not in ORIGINS:
            raise UnknownName.of("origin", self.origin, ORIGINS)
        profiles.profile(self.profile)
        if self.seed < -1 or self.n < 0:
            raise BadInput(f"{cell}: seed {self.seed} and n {self.n}; expected seed >= -1 (-1: aggregated) and n >= 0")
        if min(self.runs, self.epochs, self.published_epochs) < 0:
            raise BadInput(f"{cell}: runs {self.runs}, epochs {self.epochs} of {self.published_epochs}; expected none below 0")
        if missing(self.value) and not self.note:
            raise BadInput(f"{cell}: no value and no note; say in the note why there is none")
        if missing(self.value) != (self.origin == "unavailable") and not self.note:
            raise BadInput(f"{cell}: origin {self.origin!r} with value {self.value}; say in the note why")
        if not missing(self.std) and (self.n < 2 or float(self.std or 0) < 0):
            raise BadInput(f"{cell}: std {self.std} with n {self.n}; expected std >= 0, and only where n is at least 2")
        if missing(self.ci_low) != missing(self.ci_high):
            raise BadInput(f"{cell}: interval [{self.ci_low}, {self.ci_high}]; give both ends or neither")
        if not missing(self.ci_low) and float(self.ci_low or 0) > float(self.ci_high or 0):
            raise BadInput(f"{cell}: interval [{self.ci_low}, {self.ci_high}] is upside down")


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
_FLOATS, _INTEGERS = ("value", "std", "ci_low", "ci_high"), ("seed", "n", "runs", "epochs", "published_epochs")


def missing(value: float | None) -> bool:
    """Whether there is no value: None or NaN (infinity is a value)."""
    return value is None or math.isnan(value)


class Summary(NamedTuple):
    """Mean of several runs, their sample standard deviation, and the 95 % interval of the mean."""

    mean: float
    std: float
    ci_low: float
    ci_high: float


def summarise(values: Sequence[float], seed: int = 0, resamples: int = 10_000) -> Summary:
    """Mean, standard deviation (ddof 1) and a 95 % interval of the mean over runs (seeds, splits).

    The interval is the percentile bootstrap: draw as many runs as there are, with replacement, `resamples` times; the
    2.5 and 97.5 percentiles of the means of those draws. It tells how far the *mean over runs* may move, not where a
    single run lands (that is the standard deviation), and with few runs it is too narrow: it never leaves their range.
    One run has no spread: std and interval are NaN. A NaN among the values makes all four NaN (kept, not dropped).
    Raises BadInput without values.
    """
    runs = np.asarray(values, dtype=np.float64)
    if runs.ndim != 1 or runs.size == 0:
        raise BadInput(f"got values of shape {runs.shape}; expected at least one number, in one dimension")
    if not np.isfinite(runs).all():
        return Summary(math.nan, math.nan, math.nan, math.nan)
    if runs.size == 1:
        return Summary(float(runs[0]), math.nan, math.nan, math.nan)
    interval = scipy.stats.bootstrap(
        (runs,), np.mean, n_resamples=resamples, batch=1000, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    low, high = sorted((float(interval.low), float(interval.high)))  # of equal runs they differ by rounding, either way
    return Summary(float(runs.mean()), float(runs.std(ddof=1)), low, high)


def row_of_runs(table: str, row: str, column: str, metric: str, values: Sequence[float], **rest: Any) -> Row:
    """The aggregated row (seed -1) of several runs: mean, standard deviation and interval of `summarise`; n = number of runs.

    `rest`: profile and origin, which are needed, and unit, epochs or note. A mean that is no number is said in front of the note.
    """
    mean, std, low, high = summarise(values)
    if missing(mean):
        rest["note"] = "; ".join(filter(None, ("not every run gave a finite number", rest.get("note"))))
    spread: dict[str, Any] = {"std": std, "ci_low": low, "ci_high": high}
    return Row(table, row, column, metric, mean, n=len(values), runs=len(values), **spread, **rest)


def paired_differences(scores: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """What one ranker has over another on the same splits; a row each of `pairs` {what it says: (ranker, other)}.

    scores: a row a split, a column a ranker. Columns: mean difference, `summarise`'s interval of it and std over splits,
    percent of the splits won.
    """
    lines = {}
    for what, (one, other) in pairs.items():
        difference = scores[one] - scores[other]
        mean, std, low, high = summarise(difference.tolist())
        lines[what] = (mean, low, high, std, 100 * float((difference > 0).mean()))
    columns = ["our mean difference", "ci_low", "ci_high", "std over splits", "splits won (%)"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def rows_of_differences(
    table: str, column: str, scores: pd.DataFrame, pairs: Iterable[tuple[str, str]], **rest: Any
) -> list[Row]:
    """A row "one - other" for each pair: mean of the paired differences of Kendall's tau, metric "kendall_difference".

    scores: a row a split, a column a ranker. rest: profile and origin, which are needed, and epochs, published_epochs or note.
    """
    return [
        row_of_runs(table, f"{one} - {other}", column, "kendall_difference", (scores[one] - scores[other]).tolist(), **rest)
        for one, other in pairs
    ]


def versions() -> dict[str, str]:
    """Versions of python, of the libraries that make the numbers, and of this package."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **found, "parzc": __version__}


def _folder(table: str, profile: str, folder: Path) -> Path:
    return Path(folder) / profiles.profile(profile).name / table


def write_rows(
    table: str, rows: Iterable[Row], profile: str, manifest: Mapping[str, Any], folder: Path = RESULTS
) -> Path:
    """Writes <folder>/<profile>/<table>/rows.csv and manifest.json; returns that folder.

    Floats keep full precision. A row whose cell the paper's table does not print becomes "ours" (`paper.kinds.origin_of`). The
    manifest is `manifest` (command, seeds, "minutes", ...) and profile, table, number
    of rows by origin, rows without a value, versions, UTC time, sha256 of rows.csv. It is written last, so rows that do
    not fit their manifest give a killed run away. Raises BadInput: no rows, a cell twice for one seed, a row of another
    table or profile, a manifest key that is set here.
    """
    rows = [
        dataclasses.replace(row, origin=origin_of(row.table, row.row, row.column, row.metric, row.origin)) for row in rows
    ]
    if not rows:
        raise BadInput(
            f"no rows for {table!r}; expected at least one (an 'unavailable' row says why there is no value)"
        )
    for row in rows:
        if (row.table, row.profile) != (table, profile):
            raise BadInput(f"a row of {row.table!r}, profile {row.profile!r} among those of {table!r}, {profile!r}")
    cell, times = Counter((row.row, row.column, row.metric, row.seed) for row in rows).most_common(1)[0]
    if times > 1:
        raise BadInput(f"{table!r}: {times} rows for {dict(zip(ONE_ROW, cell, strict=True))}; expected one")

    content = io.StringIO()
    writer = csv.DictWriter(content, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _text(value) for key, value in dataclasses.asdict(row).items()} for row in rows)
    data = content.getvalue().encode()
    known = {
        "profile": profile,
        "table": table,
        "rows": {origin: sum(row.origin == origin for row in rows) for origin in ORIGINS},
        "without_value": sum(missing(row.value) for row in rows),
        "versions": versions(),
        "utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    if taken := known.keys() & manifest.keys():
        raise BadInput(f"manifest keys {', '.join(sorted(taken))} are set by write_rows; choose other names")
    described = json.dumps({**manifest, **known}, indent=2, default=plain) + "\n"  # fails before anything is written
    target = _folder(table, profile, folder)
    write_whole(target / "rows.csv", data)
    write_whole(target / "manifest.json", described)
    return target


def _text(value: object) -> str:
    """A field of rows.csv: the shortest decimal that reads back as the same float; nothing for None and NaN."""
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    return "" if value is None else str(value)


def has_rows(table: str, profile: str, folder: Path = RESULTS) -> bool:
    """Whether rows of the table have been written in this profile."""
    return (_folder(table, profile, folder) / "rows.csv").is_file()


def read_manifest(table: str, profile: str, folder: Path = RESULTS) -> dict[str, Any]:
    """The manifest beside the rows. Raises BadInput if the table was not run, or it is damaged or another table's."""
    path = _folder(table, profile, folder) / "manifest.json"
    if not path.is_file():
        raise BadInput(
            f"no {path.name} of {table!r} in profile {profile!r}; run `parzc run {table} --profile {profile}`"
        )
    found, again = json_files.load(path), f"run `parzc run {table} --profile {profile}` again"
    if found.get("table", table) != table:
        raise BadInput(f"{path} is of the table {shown(found['table'])}, not of {table!r}; {again}")
    if (minutes := found.get("minutes")) is not None:
        try:
            real("minutes", minutes, 0)
        except BadInput as error:
            raise BadInput(f"{path}: {error}; {again}") from None
    return found


def committed() -> Path:
    """The folder that holds results/full: where runs write, or the checkout's own if they were sent elsewhere (PARZC_RESULTS)."""
    return paths.RESULTS if (paths.RESULTS / "full").is_dir() else paths.ROOT / "results"


def read_rows(table: str, profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """The rows of a table: value, std and interval float64 (NaN: none), seed and n int64, the rest text.

    Columns are the fields of Row, in their order. Raises BadInput if the table was not run in this profile, if rows.csv
    lacks a column (it was written by another version), is damaged, or is not the one its manifest describes, or another table's.
    """
    manifest = read_manifest(table, profile, folder)
    file = _folder(table, profile, folder) / "rows.csv"
    data = file.read_bytes()
    if not isinstance(kept := manifest.get("sha256"), str) or not re.fullmatch("[0-9a-f]{64}", kept):
        raise BadInput(
            f"{file.with_name('manifest.json')} has the sha256 {shown(kept, 60)}; expected that of rows.csv, 64 hex digits; "
            f"run `parzc run {table} --profile {profile}` again"
        )
    if (digest := hashlib.sha256(data).hexdigest()) != kept:
        raise BadInput(
            f"rows.csv of {table!r}, profile {profile!r} has sha256 {digest[:12]}..., its manifest says "
            f"{kept[:12]}...: it was edited, or a run was cut off; "
            f"run `parzc run {table} --profile {profile}` again"
        )
    try:
        return _parsed(data, table)
    except BadInput as error:
        raise BadInput(f"{file} {error}; run `parzc run {table} --profile {profile}` again") from None


def _parsed(data: bytes, table: str) -> pd.DataFrame:
    """The rows of a file's content. Raises BadInput, saying what is wrong with it."""
    heading, lines = csv_files.loads(data, COLUMNS)
    rows = pd.DataFrame(lines, columns=heading, dtype=str)[list(COLUMNS)]
    if (other := rows["table"] != table).any():
        raise BadInput(f"holds a row of {shown(rows['table'][other].iloc[0])}, not of {table!r}")
    kinds = {**dict.fromkeys(_FLOATS, _float), **dict.fromkeys(_INTEGERS, _integer)}
    for name, read in kinds.items():
        values = []
        for number, text in enumerate(rows[name], start=1):
            try:
                values.append(read(text))
            except ValueError:
                raise BadInput(f"is damaged: row {number} has {shown(text, 60)} as {name}; expected a number") from None
        rows[name] = values
    return rows.astype(dict.fromkeys(_FLOATS, "float64") | dict.fromkeys(_INTEGERS, "int64"))


def _float(text: str) -> float:
    return float(text) if text else math.nan


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError
    return int(text)
