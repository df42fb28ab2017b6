"""One stem: a notebook, its module and its test share a name; helpers begin with the first word of the stem they serve."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

from parzc_core.paths import NOTEBOOKS, ROOT

FOLDER = ROOT / "parzc_core" / "experiments"
TESTS = ROOT / "tests" / "experiments"
STEMS = {re.sub(r"^00_", "", book.stem): book for book in sorted(NOTEBOOKS.glob("*.ipynb"))}
MODULES = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__"}
HELPERS = set(MODULES) - set(STEMS)


def first_word(stem: str) -> str:
    return stem.partition("_")[0]


def imported(code: str) -> set[str]:
    """The modules of experiments that a piece of code imports."""
    found, package = set(), "parzc_core.experiments"
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            found.add(str(node.module).removeprefix(f"{package}."))
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix(f"{package}.") for alias in node.names if alias.name.startswith(package)}
    return found


def code_of(book: Path) -> str:
    cells = json.loads(book.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_every_notebook_has_a_module_and_a_test() -> None:
    assert set(STEMS) - set(MODULES) == set()
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} == {*MODULES, "stem"}


def test_a_helper_begins_with_the_first_word_of_the_stem_it_serves() -> None:
    assert {helper for helper in HELPERS if first_word(helper) not in map(first_word, STEMS)} == set()


@pytest.mark.parametrize("stem", MODULES)
def test_a_module_imports_no_other_experiment(stem: str) -> None:
    others = imported(MODULES[stem].read_text()) - {stem}
    assert {other for other in others if first_word(other) != first_word(stem)} == set()
    assert {other for other in others if other in STEMS and stem in STEMS} == set()


@pytest.mark.parametrize("stem", STEMS)
def test_a_notebook_calls_its_own_module(stem: str) -> None:
    used = imported(code_of(STEMS[stem]))
    assert used & {name for name in MODULES if first_word(name) == first_word(stem)}
    assert {name for name in used if first_word(name) != first_word(stem)} == set()


@pytest.mark.parametrize("stem", STEMS)
def test_a_notebook_calls_what_the_package_has(stem: str) -> None:
    """Every name that its cells import or read of a module of the package is there, so that a renamed one is seen at once."""
    tree, modules = ast.parse(code_of(STEMS[stem])), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("parzc_core"):
            for alias in node.names:
                try:
                    modules[alias.asname or alias.name] = importlib.import_module(f"{node.module}.{alias.name}")
                except ModuleNotFoundError:
                    assert hasattr(importlib.import_module(str(node.module)), alias.name), f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"{modules[node.value.id].__name__}.{node.attr}"


@pytest.mark.parametrize("stem", MODULES)
def test_a_module_is_one_concept_without_banners(stem: str) -> None:
    """No block of comments that stands alone between two definitions, as a title of what follows."""
    lines = MODULES[stem].read_text().splitlines()
    for i, line in enumerate(lines[:-1]):
        alone = line.startswith("#") and not lines[i + 1].strip() and not lines[i - 1].startswith("#")
        assert not alone, f"{stem}, line {i + 1}: {line}"
