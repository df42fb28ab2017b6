"""Executed copies: no row changes, pictures are small, nothing of this machine is left, and a page says what is missing."""

import base64
import io
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from tiny_notebooks import texts
from tiny_project import Project, project_fixture  # noqa: F401  it is a fixture

from parzc_core import artifact, paths
from parzc_core.pipeline import executed
from parzc_core.pipeline.executed import MOST_BYTES, WIDEST, small, small_picture


def picture(width: int, height: int = 40) -> str:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def test_a_picture_is_made_small() -> None:
    made = small_picture(picture(2000))
    assert len(made) < len(picture(2000)) / 4
    assert Image.open(io.BytesIO(base64.b64decode(made))).size == (WIDEST, 22)
    tiny = picture(4, 4)
    assert len(small_picture(tiny)) <= len(tiny)


def test_what_could_run_and_where_it_ran_is_taken_out() -> None:
    outputs = [
        nbformat.v4.new_output("stream", name="stderr", text="50 %"),
        nbformat.v4.new_output("stream", name="stdout", text="kept in /somewhere/results"),
        nbformat.v4.new_output("display_data", data={"image/png": picture(10), "text/plain": "<Figure>"}),
        nbformat.v4.new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "VBox()"}),
        nbformat.v4.new_output("display_data", data={"text/html": "<p onclick='x()'>a<script>x()</script></p>"}),
    ]
    cell = nbformat.v4.new_code_cell("1", outputs=outputs, metadata={"tags": ["parameters"], "papermill": {"duration": 3}})
    book = small(nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"input_path": "x"}}), {"/somewhere": "~"})
    assert book.metadata == {}
    assert book.cells[0].metadata == {"tags": ["parameters"]}
    stream, drawn, page = book.cells[0].outputs
    assert stream.text == "kept in ~/results"
    assert list(drawn.data) == ["image/png"]
    assert page.data == {"text/html": "<p>a</p>"}


@pytest.mark.slow
def test_a_copy_is_kept_and_rows_are_left_alone(project: Project) -> None:
    rows = project.root / "results" / "full" / "table07" / "rows.csv"
    rows.parent.mkdir(parents=True)
    rows.write_text("row,column,metric,seed,value,unit\na,b,kendall,-1,1.0,%\na,b,seconds,-1,3.5,s\n")
    before = rows.read_bytes()
    write = (
        "import os, pathlib\nfile = pathlib.Path(os.environ['PARZC_RESULTS'], 'full/table07/rows.csv')\n"
        "print(profile, file)\nfile.write_text(file.read_text().replace('1.0', '2.0'));"
    )
    project.notebook("one", write, makes=("table07",))
    project.notebook("two", "import time\ntime.sleep(60)", order=2)
    project.notebook("three", "1 / 0", order=3)
    one, two, three = artifact.discover()
    made = executed.keep([two], minutes=0.02) | executed.keep([one, three], minutes=10)
    assert rows.read_bytes() == before
    assert (made["one"].reason, made["one"].rows) == ("", ("table07",))
    assert made["two"].reason == "stopped after 0.02 minutes: it computes more than what is stored"
    assert made["three"].reason.startswith("failed: ")
    assert texts(executed.folder() / "one.ipynb") == "full results/full/table07/rows.csv\n"
    page = (executed.folder() / "README.md").read_text()
    assert "| [one](one.ipynb) |" in page
    assert "- `two`: stopped after 0.02 minutes" in page
    assert "Other values than in the committed rows: `table07`" in page
    assert executed.index() == made


def test_text_is_renewed_where_the_code_is_the_same_and_nothing_runs(project: Project) -> None:
    (project.root / "results" / "full").mkdir(parents=True)
    for name in ("one", "two"):
        project.notebook(name, "print(profile)")
    executed.keep(artifact.discover(), minutes=10)
    copies = {name: executed.folder() / f"{name}.ipynb" for name in ("one", "two")}
    assert executed.renew_text(artifact.discover()) == []
    untouched = copies["two"].read_bytes()
    for item in artifact.discover():
        source = nbformat.read(item.path, as_version=4)
        source.cells.insert(0, nbformat.v4.new_markdown_cell("New words."))
        if item.name == "two":
            source.cells[-1].source += " # changed"
        nbformat.write(source, item.path)
    assert executed.renew_text(artifact.discover()) == ["one"]
    renewed = nbformat.read(copies["one"], as_version=4)
    assert renewed.cells[0].source == "New words."
    assert texts(copies["one"]) == "full\n"
    assert "injected-parameters" in str([cell.metadata for cell in renewed.cells])
    assert copies["two"].read_bytes() == untouched
    assert executed.index()["one"].bytes == copies["one"].stat().st_size


@pytest.mark.parametrize(("found", "changed"), [("1.0,%\na,b,seconds,-1,4.5,s", False), ("2.0,%\na,b,seconds,-1,3.5,s", True)])
def test_a_time_is_measured_anew_and_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str, changed: bool
) -> None:
    for name, values in (("committed", "1.0,%\na,b,seconds,-1,3.5,s"), ("made", found)):
        file = tmp_path / name / "full" / "table07" / "rows.csv"
        file.parent.mkdir(parents=True)
        file.write_text(f"row,column,metric,seed,value,unit\na,b,kendall,-1,{values}\n")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "committed")
    assert executed._differ("table07", tmp_path / "made") == changed


COPIES = sorted((paths.ROOT / "results" / "full" / "notebooks").glob("*.ipynb"))


def test_the_committed_copies_are_small_and_the_page_names_every_notebook() -> None:
    assert sum(copy.stat().st_size for copy in COPIES) <= MOST_BYTES
    page = (paths.ROOT / "results" / "full" / "notebooks" / "README.md").read_text()
    names = {item.name for item in artifact.discover()}
    assert {copy.stem for copy in COPIES} <= names
    assert [name for name in names if f"[{name}](" not in page and f"`{name}`:" not in page] == []


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.stem)
def test_a_committed_copy_has_outputs_of_the_full_profile(copy: Path) -> None:
    book = json.loads(copy.read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert any("".join(cell["source"]).startswith("# Parameters\nprofile = \"full\"") for cell in code)
    assert sum(bool(cell["outputs"]) for cell in code) >= 2
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
    assert "<script" not in copy.read_text(encoding="utf-8")
