"""What a notebook depends on, on a tiny package."""

import os
from pathlib import Path

import pytest
from tiny_notebooks import write_notebook

from parzc_core import artifact
from parzc_core.pipeline.dependencies import makers_first, notebook_dependencies


@pytest.fixture
def package(tmp_path: Path) -> Path:
    files = {
        "__init__.py": "",
        "a.py": "from parzc_core import b",
        "b.py": "def late():\n    from parzc_core.sub.c import x",
        "lonely.py": "",
        "sub/__init__.py": "from .d import y",
        "sub/c.py": "from . import e\nfrom ..f import z\nimport numpy",
        "sub/d.py": "",
        "sub/e.py": "",
        "sub/table.csv": "",
        "f.py": "",
    }
    for name, content in files.items():
        (tmp_path / "parzc_core" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "parzc_core" / name).write_text(content)
    return tmp_path / "parzc_core"


def reached(package: Path, code: str) -> set[str]:
    notebook = write_notebook(package.parent / "n.ipynb", code)
    return {os.path.relpath(file, package) for file in notebook_dependencies(notebook, package)} - {"../n.ipynb"}


def test_dependencies_follow_imports(package: Path) -> None:
    below = {"sub/__init__.py", "sub/c.py", "sub/d.py", "sub/e.py", "sub/table.csv", "f.py"}
    assert reached(package, "%matplotlib inline\nfrom parzc_core import a") == {"__init__.py", "a.py", "b.py"} | below
    assert reached(package, "import parzc_core.f as g, os") == {"__init__.py", "f.py"}
    assert reached(package, "import numpy") == set()


@pytest.mark.parametrize("code", ["from importlib import import_module", "x = ?"])
def test_a_notebook_that_cannot_be_followed_depends_on_everything(package: Path, code: str) -> None:
    assert {"lonely.py", "sub/d.py"} <= reached(package, code)


def test_a_registry_depends_on_its_folder(package: Path) -> None:
    (package / "sub" / "__init__.py").write_text("from importlib import import_module")
    got = reached(package, "from parzc_core import sub")
    assert got == {"__init__.py", "f.py", "sub/__init__.py", "sub/c.py", "sub/d.py", "sub/e.py", "sub/table.csv"}


def test_a_changed_import_is_seen(package: Path) -> None:
    assert "lonely.py" not in reached(package, "from parzc_core import f")
    (package / "f.py").write_text("import parzc_core.lonely")
    os.utime(package / "f.py", ns=(1, 1))
    assert "lonely.py" in reached(package, "from parzc_core import f")


FACADE = """from importlib import import_module
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from parzc_core.a import first
    from parzc_core.lonely import second
"""


def test_a_name_of_the_facade_is_followed_to_its_module_alone(package: Path) -> None:
    (package / "__init__.py").write_text(FACADE)
    assert reached(package, "from parzc_core import f") == {"__init__.py", "f.py"}
    assert reached(package, "from parzc_core import second") == {"__init__.py", "lonely.py"}
    assert {"a.py", "b.py", "lonely.py"} <= reached(package, "import parzc_core\nparzc_core.first")
    assert "lonely.py" not in reached(package, "from parzc_core import first")


def test_notebooks_at_once_do_not_wait_for_each_others_runs() -> None:
    by_order = artifact.discover()
    found = [item.name for item in makers_first(by_order)]
    for maker, reader in (("nds_nb301", "table01_zero_cost_proxies"), ("search_trainings", "table03_09_search")):
        assert found.index(reader) - found.index(maker) > 5
        assert maker in found[:2]
        assert reader not in found[-5:]  # the longest is not begun last
    moved = {"nds_nb301", "search_trainings", "table01_zero_cost_proxies", "table03_09_search"}
    assert [name for name in found if name not in moved] == [item.name for item in by_order if item.name not in moved]
    assert sorted(found) == sorted(item.name for item in by_order)
