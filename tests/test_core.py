"""The core: small, alone, quick to import; the facade; the examples of its docstrings."""

import ast
import doctest
import json
import subprocess
import sys
from importlib import import_module

import pytest

import parzc_core
from parzc_core.paths import ROOT

CORE = (
    "_fast_layers",
    "_networks",
    "_watch",
    "collector",
    "encoding",
    "errors",
    "gcn",
    "losses",
    "mabn",
    "metrics",
    "passes",
    "proxies",
    "ranker",
    "training",
)
BESIDE = {"__init__", "__main__", "_graph", "_nested", "_optional", "_plugins", "_resampling", "_seeding", "_state", "artifact"}
BESIDE |= {"_denormals", "checkpoints", "npz", "paths", "profiles", "cli", "cli_checks", "cli_data", "cli_own", "cli_verify"}
# What the core may import beside itself.
READ = ("_denormals", "_graph", "_nested", "_plugins", "_resampling", "_seeding", "_state", "checkpoints", "npz", "paths")
FOLDER = ROOT / "parzc_core"


def python(code: str) -> str:
    """What a fresh process prints."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout


def test_the_core_is_fourteen_files_that_can_be_read_in_an_hour_and_a_half():
    assert {path.stem for path in FOLDER.glob("*.py")} - BESIDE == set(CORE)
    lines = [len((FOLDER / f"{name}.py").read_text().splitlines()) for name in CORE]
    assert max(lines) <= 480
    assert sum(lines) <= 3_270  # a third of it is for networks of other kinds than the paper's: _networks, _watch, errors


@pytest.mark.parametrize("name", CORE)
def test_a_file_of_the_core_imports_no_folder(name):
    allowed = {f"parzc_core.{other}" for other in (*CORE, *READ)}
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            imported = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = node.module == "parzc_core"
            imported = {f"parzc_core.{alias.name}" for alias in node.names} if whole else {node.module or ""}
        else:
            continue
        assert {item for item in imported if item.startswith("parzc_core")} <= allowed


def test_the_core_loads_nothing_else():
    modules = json.loads(
        python(
            "import parzc_core.mabn, parzc_core.collector, parzc_core.training, sys, json; "
            "print(json.dumps(sorted(sys.modules)))"
        )
    )
    ours = {name for name in modules if name.startswith("parzc_core.")}
    assert ours <= {f"parzc_core.{name}" for name in (*CORE, *READ)}
    assert {name.partition(".")[0] for name in modules} & {"pandas", "sklearn", "scipy", "matplotlib", "joblib"} == set()


@pytest.mark.parametrize("command", [["claims", "mixer"], ["status", "--profile", "smoke"], ["data", "status"]])
def test_commands_that_only_look_load_no_torch(command):
    code = f"import sys; from parzc_core.cli import main; main({command}); print('torch' in sys.modules)"
    assert python(code).splitlines()[-1] == "False"


def test_importing_the_package_alone_loads_no_torch():
    assert python("import parzc_core, sys; print('torch' in sys.modules, 'numpy' in sys.modules)").split() == ["False"] * 2


def test_the_facade_has_its_names():
    assert set(parzc_core.__all__) <= set(dir(parzc_core))
    for name in parzc_core.__all__:
        value = getattr(parzc_core, name)
        assert name == "__version__" or value is getattr(import_module(value.__module__), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        parzc_core.nothing  # noqa: B018


def test_the_version_can_be_read_without_importing():
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse((FOLDER / "__init__.py").read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    assert values["__version__"] == parzc_core.__version__


def test_the_package_names_every_file_of_the_core_and_every_folder():
    named = {line.split()[0] for line in parzc_core.__doc__.splitlines() if line.startswith("    ") and line.split()}
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert named >= {*CORE, *folders}


@pytest.mark.parametrize("name", [*CORE, "_denormals", "_seeding"])
def test_the_examples_of_the_docstrings_run(name):
    result = doctest.testmod(import_module(f"parzc_core.{name}"))
    assert result.failed == 0
    assert result.attempted > 0 or name in {"_fast_layers", "_networks", "_watch", "passes"}
