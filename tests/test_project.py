"""Hygiene of the repository: layout, sizes, pins, and that every notebook keeps the contract of parzc_core/artifact.py."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from parzc_core import artifact, paper
from parzc_core.artifact import known_parameters
from parzc_core.paths import NOTEBOOKS, ROOT

FOLDERS = {".ci", ".devcontainer", ".github", "docs", "figures", "notebooks", "parzc_core", "results", "tests"}
SOURCES = sorted([ROOT / "dodo.py", *ROOT.glob("parzc_core/**/*.py"), *ROOT.glob("tests/**/*.py")])
BOOKS = sorted(NOTEBOOKS.glob("*.ipynb"))
MODULE_LINES, TEST_LINES, NOTEBOOK_LINES = 500, 600, 80  # a file is as long as its concept, but no longer
# Pieced together, so that this file does not hold the words it looks for.
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "PLACE" + "HOLDER", "NotImplemented" + "Error")))
MACHINE = re.compile("|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/[a-z]", "file:" + "//")))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    """The files that are in the repository, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here")
    return [ROOT / item for item in run.stdout.split("\0") if item and (ROOT / item).is_file()]


def cells(book: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(book.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_the_top_level_is_the_users() -> None:
    parts = {path.relative_to(ROOT).parts for path in tracked()}
    assert {part[0] for part in parts if len(part) > 1} - FOLDERS == set()


def test_no_unfinished_words_and_no_paths_of_a_machine() -> None:
    found = []
    for path in tracked():
        if path.suffix in {".py", ".ipynb", ".md", ".toml", ".yml", ".yaml", ".cff", ".html", ".csv", ".json", ".lock", ""}:
            text = path.read_text(encoding="utf-8")
            found += [f"{name(path)}: {match[0]}" for match in (UNFINISHED.search(text), MACHINE.search(text)) if match]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (TEST_LINES if path.parent.name == "tests" else MODULE_LINES)
    assert text == "" or ast.get_docstring(ast.parse(text))


def test_pins_are_versions_and_cover_what_is_declared() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert "torch==2.13.0" in pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["test"]}
    pinned = {plain(line.partition("==")[0]) for line in pins}
    assert {plain(re.split(r"[=<>~!\[ ]", item)[0]) for item in declared} - pinned == set()


def plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def test_conda_entry_installs_the_same_pins() -> None:
    text = (ROOT / "environment.yml").read_text()
    assert "python=3.11" in text
    assert "- -r requirements.lock" in text


def test_what_notebooks_make_has_the_names_of_the_paper() -> None:
    made = {item for experiment in artifact.discover() for item in experiment.makes}
    beside_the_paper = {
        "stability",
        "label_free",
        "label_free_few",
        "model_zoo",
        "width_nb101",
        "table01_since",
        "worth",
        "failed_trainings_nb101",
        "search_regret",
        "search_nb101",
        "search_methods",
        "search_trainings",
        "tuning_history",
        "tuning_importance",
        "search_your_own",
        "mixed_precision_ranks",
        "mixed_precision_fronts",
        "parzc_plus",
        "nds_nb301",
        "importance_by_encoding",
        "batchnorm_identity",
    }
    printed = {item for item in made if item in paper.table_names() or re.fullmatch(r"fig\d\d[a-z]?_\w+", item)}
    assert made - printed <= beside_the_paper


@pytest.mark.parametrize("book", BOOKS, ids=name)
class TestNotebook:
    def test_has_no_outputs(self, book: Path) -> None:
        for cell in cells(book, "code"):
            assert (cell["outputs"], cell["execution_count"]) == ([], None)

    def test_takes_part_in_the_run(self, book: Path) -> None:
        assert book.stem in {item.name for item in artifact.discover()}

    def test_has_one_parameters_cell_with_the_usual_defaults(self, book: Path) -> None:
        tagged = [cell for cell in cells(book, "code") if "parameters" in cell["metadata"].get("tags", ())]
        assert len(tagged) == 1
        defaults: dict[str, Any] = {}
        for statement in ast.parse(source(tagged[0])).body:
            assert isinstance(statement, ast.Assign)
            assert isinstance(statement.targets[0], ast.Name)
            defaults[statement.targets[0].id] = ast.literal_eval(statement.value)
        assert tuple(defaults) == known_parameters(book)
        assert defaults["profile"] == "standard"
        assert defaults.get("jobs", 1) == 1

    def test_is_short_and_defines_nothing(self, book: Path) -> None:
        sources = [source(cell) for cell in cells(book, "code")]
        lines = [
            line for text in sources for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
        ]
        assert len(lines) <= NOTEBOOK_LINES
        for text in sources:
            plain_python = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("%", "!")))
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            assert not any(isinstance(node, kinds) for node in ast.walk(ast.parse(plain_python)))

    def test_explains_before_it_computes(self, book: Path) -> None:
        first = json.loads(book.read_text())["cells"][0]
        assert first["cell_type"] == "markdown"
        assert source(first).startswith("# ")

    def test_ends_with_what_holds_and_what_to_try(self, book: Path) -> None:
        """The conclusions are computed: claims, sentences of the notebook's module, or a list made in the cell."""
        last = json.loads(book.read_text())["cells"][-1]
        text = source(last).partition("## Try this\n")[2]
        assert last["cell_type"] == "markdown"
        assert 1 <= len(text.splitlines()) <= 4
        assert "`" in text, "name what to change, and say what to expect"
        computed = ("claims_of(", "told.bullets(", "key_claims(")
        assert any(any(word in source(cell) for word in computed) for cell in cells(book, "code"))

    def test_shows_tables_in_one_way(self, book: Path) -> None:
        """`report.shown.show` formats them; a style or a rounding of its own is not needed."""
        for cell in cells(book, "code"):
            lines = source(cell).splitlines()
            kept = [line for line in lines if ".background_gradient(" not in line]
            assert not any(re.search(r"\.style\.|\.round\(\d?\)", line) for line in kept), source(cell)

    def test_runs_in_the_usual_kernel_and_its_cells_have_names(self, book: Path) -> None:
        content = json.loads(book.read_text())
        assert content["metadata"]["kernelspec"]["name"] == "python3"
        assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
        names = [cell["id"] for cell in content["cells"]]
        assert len(set(names)) == len(names)
