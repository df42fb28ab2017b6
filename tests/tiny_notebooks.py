"""Notebooks of a few lines, written by the tests of the machinery that runs notebooks."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_notebook(
    path: Path,
    *cells: str,
    parameters: str | None = 'profile = "standard"\njobs = 1',
    parzc: dict[str, Any] | None = None,
) -> Path:
    """A notebook with a parameters cell (unless None) and code cells; a cell that begins with "#md " is Markdown."""
    sources = ([parameters] if parameters is not None else []) + list(cells)
    content: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    content["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    if parzc is not None:
        content["metadata"]["parzc"] = parzc
    for number, source in enumerate(sources):
        cell: dict[str, Any] = {"id": f"cell{number}", "metadata": {}}
        if source.startswith("#md "):
            cell |= {"cell_type": "markdown", "source": source.removeprefix("#md ")}
        else:
            cell |= {"cell_type": "code", "source": source, "outputs": [], "execution_count": None}
        content["cells"].append(cell)
    if parameters is not None:
        content["cells"][0]["metadata"]["tags"] = ["parameters"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def texts(path: Path) -> str:
    """All that the code cells of an executed notebook printed."""
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ()) if output["output_type"] == "stream"]
    return "".join("".join(output["text"]) for output in outputs)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the condition holds. The limit only ends a test that hangs: a loaded machine may take minutes."""
    for _ in range(9000):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("did not happen within a quarter of an hour")
