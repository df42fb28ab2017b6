"""What JupyterLab writes when a notebook of the project is saved: its sources, without what running it left behind.

    jupyter lab --ContentsManager.pre_save_hook=parzc_core.pipeline.saving.without_outputs notebooks     # make lab

So running a notebook, and JupyterLab's own saving every two minutes, leave the tracked file as it is. Executed copies lie in
results/full/notebooks.
"""

import json
from pathlib import Path
from typing import Any


def without_outputs(model: dict[str, Any], path: str, contents_manager: Any, **_: Any) -> None:
    """Take outputs, counts and what the interface noted out of a notebook that is about to be saved.

    model: as Jupyter's contents manager has it, changed in place. Of the metadata, those of the file that is there stay. Files
    that are no notebooks, and notebooks without the metadata key `parzc`, are left as they are.
    """
    content = model.get("content")
    if model.get("type") != "notebook" or not isinstance(content, dict) or "parzc" not in content.get("metadata", {}):
        return
    for cell in content["cells"]:
        cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key == "tags"}
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    there = Path(contents_manager.root_dir) / path.strip("/")
    if there.is_file():
        content["metadata"] = json.loads(there.read_text(encoding="utf-8"))["metadata"]
    content["metadata"].pop("widgets", None)
