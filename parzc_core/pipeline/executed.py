"""Executed copies of the notebooks, profile `full`, small enough for a repository: results/full/notebooks/NAME.ipynb.

    for name, copy in keep(artifact.discover(), minutes=5).items():
        print(name, copy.reason or f"{copy.bytes:,} bytes")

A notebook runs on a copy of the results: it reads stored runs, trains none of those that are lacking, and changes no committed
row. Pictures are made small. Paths of this machine, and what could run in a page, are taken out. A notebook that needs more time
than `minutes` is stopped. README.md beside the copies says which are missing, and why.
"""

import base64
import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd
from nbformat import NotebookNode
from PIL import Image
from tqdm import tqdm

from parzc_core import paths
from parzc_core.artifact import Experiment
from parzc_core.errors import BadInput
from parzc_core.pipeline.html import sanitised
from parzc_core.pipeline.tasks import unmet
from parzc_core.storage.workers import STORED

PROFILE = "full"
MOST_BYTES = 12_000_000  # of all copies together
WIDEST, COLOURS = 1100, 120  # pixels and colours of a picture
_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_INDEX = "index.json"
_TIMES = ("s", "h", "days")  # units


@dataclass(frozen=True)
class Copy:
    """How a notebook's last execution went.

    reason: why there is no copy; "" if there is one. minutes: that it took. bytes: of the copy. rows: results whose rows
    differ from the committed ones, such as ("table03",).
    """

    reason: str = ""
    minutes: float = 0.0
    bytes: int = 0
    rows: tuple[str, ...] = ()


def folder() -> Path:
    """Where the copies are kept."""
    return paths.RESULTS / PROFILE / "notebooks"


def keep(experiments: Sequence[Experiment], minutes: float = 5.0) -> dict[str, Copy]:
    """Execute notebooks one after the other and keep a small copy of each that ends in time; also renews README.md.

    A copy that is there stays if its notebook cannot be executed now. Returns how each went. Raises BadInput if all copies
    together are larger than MOST_BYTES.
    """
    made = {}
    bar = tqdm(experiments, unit="notebook", disable=None)
    for item in bar:
        bar.set_postfix_str(item.name)
        made[item.name] = _kept(item, minutes)
        known = index() | {item.name: made[item.name]}
        _write_index(known)
    write_readme()
    total = sum(file.stat().st_size for file in folder().glob("*.ipynb"))
    if total > MOST_BYTES:
        raise BadInput(f"the executed notebooks have {total:,} bytes; expected at most {MOST_BYTES:,}: make pictures smaller")
    return made


def index() -> dict[str, Copy]:
    """How the last execution of each notebook went, by name."""
    file = folder() / _INDEX
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: Copy(**{**values, "rows": tuple(values["rows"])}) for name, values in found.items()}


def _write_index(copies: Mapping[str, Copy]) -> None:
    plain = {name: dataclasses.asdict(copies[name]) for name in sorted(copies)}
    paths.write_whole(folder() / _INDEX, json.dumps(plain, indent=1) + "\n")


def _kept(item: Experiment, minutes: float) -> Copy:
    if (reason := unmet(item)) is not None:
        return Copy(" ".join(reason.split()))
    with tempfile.TemporaryDirectory(prefix="parzc-") as name:
        scratch = Path(name).resolve()
        ignored = shutil.ignore_patterns("notebooks", "checkpoints", ".*")
        shutil.copytree(paths.RESULTS / PROFILE, scratch / "results" / PROFILE, ignore=ignored)
        output = scratch / "report" / f"{item.name}.ipynb"
        words = [f"{key}={value}" for key, value in {"profile": PROFILE, "jobs": 1}.items() if key in item.parameters]
        command = [sys.executable, "-m", "parzc_core.pipeline.notebook", str(item.path), str(output), *words]
        own = {f"PARZC_{key.upper()}": str(scratch / key) for key in ("results", "figures", "report")} | {STORED: "yes"}
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace", env={**os.environ, **own})
        try:
            said = process.communicate(timeout=60 * minutes)[0].strip()
        except subprocess.TimeoutExpired:
            return Copy(f"stopped after {minutes:g} minutes: it computes more than what is stored")
        finally:
            if process.poll() is None:  # it ends its kernel with it
                process.terminate()
                process.wait()
        if process.returncode:
            last = said.splitlines()[-1] if said else f"exit code {process.returncode}"
            missing = last.removeprefix("NotStored: ").partition("; ")[0]
            return Copy(missing if missing != last else f"failed: {last}")
        spent = round((time.monotonic() - started) / 60, 1)
        away = {str(scratch / "results"): "results", str(scratch): "", str(paths.ROOT): ".", sys.prefix: "PYTHON"}
        data = paths.data_folder()
        away |= {} if data is None else {str(data): "PARZC_DATA"}
        text = nbformat.writes(small(nbformat.read(output, as_version=4), away | {str(Path.home()): "~"})) + "\n"
        differ = tuple(made for made in item.makes if _differ(made, scratch / "results"))
    file = paths.write_whole(folder() / f"{item.name}.ipynb", text)
    return Copy(minutes=spent, bytes=file.stat().st_size, rows=differ)


def _differ(made: str, results: Path) -> bool:
    """Whether the rows of a result have other values than the committed ones; times, which each run measures anew, left out."""
    files = [where / PROFILE / made / "rows.csv" for where in (paths.RESULTS, results)]
    if not all(file.is_file() for file in files):
        return False
    cell = ["row", "column", "metric", "seed"]
    frames = (pd.read_csv(file) for file in files)
    before, after = (one[~one["unit"].isin(_TIMES)].set_index(cell)["value"].sort_index() for one in frames)
    return not before.index.equals(after.index) or bool(((before - after).abs() > 1e-6 * before.abs()).any())


def small(notebook: NotebookNode, away: Mapping[str, str]) -> NotebookNode:
    """The notebook with small pictures and without what is of no use, or of harm, to a reader; changed in place.

    Left out: what went to stderr, menus, times, and in HTML whatever could run. away: texts to be replaced, such as folders.
    """
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            cell.outputs = [_small_output(one, away) for one in outputs]
            cell.outputs = [one for one in cell.outputs if one.get("data", True)]
    return notebook


def _small_output(output: NotebookNode, away: Mapping[str, str]) -> NotebookNode:
    if output.output_type == "stream":
        output.text = _replaced(output.text, away)
    data = output.get("data")
    if data is None:
        return output
    output.metadata = nbformat.from_dict({})
    if "image/png" in data:
        return nbformat.from_dict({**output, "data": {"image/png": small_picture(data["image/png"])}})
    kept = {kind: _replaced(value, away) for kind, value in data.items() if kind.startswith("text/")}
    if "application/vnd.jupyter.widget-view+json" in data:
        kept = {}
    if "text/html" in kept:
        page = _PICTURE.sub(lambda one: f"data:image/png;base64,{small_picture(one[1])}", kept["text/html"])
        kept = {"text/html": re.sub(r"[ \t]*\n[ \t]*", "\n", str(sanitised(page)))}
    output.data = nbformat.from_dict(kept)
    return output


def _replaced(text: str, away: Mapping[str, str]) -> str:
    for found in sorted(away, key=len, reverse=True):
        text = text.replace(found, away[found])
    return text


def small_picture(content: str) -> str:
    """A PNG in base64, at most WIDEST pixels wide and of COLOURS colours; the given one if that is no larger."""
    given = base64.b64decode(content)
    picture = Image.open(io.BytesIO(given)).convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return base64.b64encode(min(made.getvalue(), given, key=len)).decode()


def renew_text(experiments: Sequence[Experiment]) -> list[str]:
    """Give copies the text of their notebooks, where the code of both is the same; nothing runs. The names of those renewed."""
    renewed = []
    for item in experiments:
        file = folder() / f"{item.name}.ipynb"
        if not file.is_file():
            continue
        copy, source = nbformat.read(file, as_version=4), nbformat.read(item.path, as_version=4)
        ran: list[list[NotebookNode]] = []  # each code cell, with the parameters that were put behind it
        for cell in (cell for cell in copy.cells if cell.cell_type == "code"):
            if "injected-parameters" in cell.metadata.get("tags", []) and ran:
                ran[-1].append(cell)
            else:
                ran.append([cell])
        code = [cell.source for cell in source.cells if cell.cell_type == "code"]
        if code != [cells[0].source for cells in ran]:
            continue
        before, outputs = nbformat.writes(copy), iter(ran)
        cells: list[NotebookNode] = []
        for cell in source.cells:
            cells += next(outputs) if cell.cell_type == "code" else [nbformat.from_dict({**cell, "metadata": {}})]
        copy.cells = cells
        if (text := nbformat.writes(copy)) != before:
            paths.write_whole(file, text + "\n")
            renewed.append(item.name)
    if not renewed:
        return []
    known = index()
    sizes = {name: (folder() / f"{name}.ipynb").stat().st_size for name in renewed if name in known}
    _write_index(known | {name: dataclasses.replace(known[name], bytes=size) for name, size in sizes.items()})
    write_readme()
    return renewed


def write_readme(experiments: Sequence[Experiment] | None = None) -> Path:
    """README.md beside the copies: what each shows, and which notebooks are missing and why. experiments: None takes all."""
    from parzc_core import artifact

    known = index()
    lines = [
        "# Notebooks with their outputs",
        "",
        "These copies were executed in the profile `full` from the stored runs, with small pictures. To change one, edit the",
        "notebook of the same name in [notebooks/](../../../notebooks). `parzc notebooks` makes these copies and this page.",
        "",
        "| notebook | what it shows | minutes |",
        "|---|---|---|",
    ]
    missing = []
    for item in experiments if experiments is not None else artifact.discover():
        one = known.get(item.name, Copy("not executed yet"))
        if not (folder() / f"{item.name}.ipynb").is_file():
            missing.append(f"- `{item.name}`: {one.reason or 'its copy was removed'}.")
            continue
        lines.append(f"| [{item.name}]({item.name}.ipynb) | {item.title} | {one.minutes:.1f} |")
    if missing:
        lines += ["", "Missing here:", "", *missing]
    changed = [f"`{made}`" for name in sorted(known) for made in known[name].rows]
    if changed:
        lines += ["", f"Other values than in the committed rows: {', '.join(changed)}. The committed rows were left as they are."]
    return paths.write_whole(folder() / "README.md", "\n".join(lines) + "\n")
