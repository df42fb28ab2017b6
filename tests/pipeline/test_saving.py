"""What JupyterLab saves of a notebook of the project: the tracked file, byte for byte, however it was run."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from parzc_core.paths import NOTEBOOKS, ROOT
from parzc_core.pipeline.saving import without_outputs

BOOK = NOTEBOOKS / "explore.ipynb"


def run(content: dict[str, Any]) -> dict[str, Any]:
    """The notebook as JupyterLab has it after it was run."""
    found = copy.deepcopy(content)
    for count, cell in enumerate(cell for cell in found["cells"] if cell["cell_type"] == "code"):
        cell["execution_count"] = count + 1
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
        cell["metadata"] |= {"execution": {"iopub.status.busy": "now"}, "scrolled": True}
    found["metadata"]["language_info"] = {"name": "python", "version": "3.11.7"}
    found["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    return found


def saved(content: dict[str, Any], folder: Path, name: str = "explore.ipynb") -> dict[str, Any]:
    model = {"type": "notebook", "content": content}
    without_outputs(model=model, path=f"/{name}", contents_manager=SimpleNamespace(root_dir=str(folder)))
    return model["content"]


def test_running_and_saving_leaves_the_file_as_it_is() -> None:
    content = run(json.loads(BOOK.read_text()))
    written = nbformat.writes(nbformat.from_dict(saved(content, NOTEBOOKS)))
    assert written.rstrip("\n") + "\n" == BOOK.read_text()


def test_what_the_user_wrote_is_saved() -> None:
    content = run(json.loads(BOOK.read_text()))
    code = next(cell for cell in content["cells"] if cell["cell_type"] == "code")
    code["source"] = "changed = 1"
    assert "changed = 1" in json.dumps(saved(content, NOTEBOOKS))
    assert code["metadata"] == {"tags": ["parameters"]}


@pytest.mark.parametrize("kind", ["new", "another", "file"])
def test_other_files_are_left_as_they_are_and_a_new_notebook_needs_none(kind: str, tmp_path: Path) -> None:
    content = run(json.loads(BOOK.read_text()))
    if kind == "new":
        assert "widgets" not in saved(content, tmp_path)["metadata"]
        return
    if kind == "another":
        del content["metadata"]["parzc"]
    model = {"type": "file" if kind == "file" else "notebook", "content": "text" if kind == "file" else content}
    before = copy.deepcopy(model)
    without_outputs(model=model, path="x", contents_manager=SimpleNamespace(root_dir=str(tmp_path)))
    assert model == before


def test_make_lab_uses_it() -> None:
    assert f"pre_save_hook={without_outputs.__module__}.{without_outputs.__name__}" in (ROOT / "Makefile").read_text()
