"""Which files of this package a notebook depends on: its imports of parzc_core, followed from file to file.

Static imports are seen. A file that imports by a computed name (`import_module`), as a registry does, counts as
depending on all of its own folder; a notebook that does so, or that is no plain Python, on the whole package: rather a
run too many than a change overlooked.
"""

import ast
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from parzc_core import paths
from parzc_core.artifact import Experiment, read
from parzc_core.paths import PACKAGE

_NAMED = re.compile(r'"(\w+)\\?" / \\?"\w+\.jsonl')  # in code: folder / "table03" / "runs.jsonl"; a notebook has \" for "
# Stores beside those of the profiles, and the module that reads them.
_BESIDE = {"quantization/ground_truth.py": "mixed_precision", "runs/stand_ins.py": "truth"}


def notebook_dependencies(notebook: Path, package: Path = PACKAGE) -> list[Path]:
    """The notebook, every module of `package` that it reaches, and those modules' packages' csv tables; sorted."""
    code = "\n".join(
        line
        for cell in read(notebook)["cells"]
        if cell.get("cell_type") == "code"
        for line in "".join(cell["source"]).splitlines()
        if not line.lstrip().startswith(("%", "!"))  # IPython's own lines
    )
    return sorted({Path(notebook), *_reach(code, "", package)})


def stores_read(experiment: Experiment, profile: str, reached: Sequence[Path] | None = None) -> list[Path]:
    """The stores of runs (and the trials of studies) that a notebook reads, as far as they are there; sorted.

    Those beside its own results, those of other results that its code or its experiments' code names, and those of ground truths
    made here. reached: its `notebook_dependencies`, if they are at hand.
    """
    reached = notebook_dependencies(experiment.path) if reached is None else reached
    folders = [paths.RESULTS / profile / name for name in sorted({*experiment.makes, *_named(experiment, reached)})]
    found = {file for folder in folders for pattern in ("*.jsonl", "trials.csv") for file in folder.glob(pattern)}
    beside = [folder for module, folder in _BESIDE.items() if PACKAGE / module in reached]
    return sorted({*found, *(file for folder in beside for file in (paths.ROOT / "results" / folder).rglob("*.jsonl"))})


def makers_first(experiments: Sequence[Experiment]) -> list[Experiment]:
    """An order for several at once: no notebook waits for runs that another one is just computing.

    Those whose runs another notebook reads come first, those that read them in the middle of the others, which keep their order.
    """
    named = {item: _named(item, notebook_dependencies(item.path)) for item in experiments}
    makers = [one for one in experiments if any(named[other].intersection(one.makes) for other in experiments if other != one)]
    readers = [one for one in experiments if one not in makers and any(named[one].intersection(made.makes) for made in makers)]
    rest = [one for one in experiments if one not in makers and one not in readers]
    half = len(rest) // 2
    return [*makers, *rest[:half], *readers, *rest[half:]]


def _named(experiment: Experiment, reached: Sequence[Path]) -> set[str]:
    """The folders of results whose stores of runs a notebook, or its experiments' code, names."""
    code = [experiment.path, *(file for file in reached if file.parent == PACKAGE / "experiments" and file.suffix == ".py")]
    return {name for file in code for name in _names_of_stores(file, file.stat().st_mtime_ns)}


@lru_cache(maxsize=512)
def _names_of_stores(file: Path, _changed: int) -> frozenset[str]:
    return frozenset(_NAMED.findall(file.read_text(encoding="utf-8")))


def _reach(code: str, module: str, package: Path) -> set[Path]:
    """Files of `package` reached from the source `code` of `module` ("" outside the package)."""
    found: set[Path] = set()
    waiting = _imports(code, module, package)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting |= _imports_of_file(file, file.stat().st_mtime_ns, package)
    folders = {file.parent for file in found if file.name == "__init__.py"}
    return found | {table for folder in folders for table in folder.glob("*.csv")}


@lru_cache(maxsize=512)
def _imports_of_file(file: Path, _changed: int, package: Path) -> frozenset[Path]:
    if file == package / "__init__.py":  # its names are imported when they are used: see `_facade`
        return frozenset()
    parts = file.relative_to(package.parent).with_suffix("").parts
    return frozenset(_imports(file.read_text(encoding="utf-8"), ".".join(parts), package))


def _imports(code: str, module: str, package: Path) -> set[Path]:
    """Files of `package` that this source imports itself."""
    folder = package.parent.joinpath(*module.split(".")[:-1]) if module else package
    if "import_module" in code:
        return set(folder.rglob("*.py"))
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return set(folder.rglob("*.py"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            if any(alias.name == package.name for alias in node.names):  # any name of the facade may be used
                names |= set(_facade(package).values())
        elif isinstance(node, ast.ImportFrom):
            # level 1 is the module's own package, whether the module is a file or a package's __init__
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            if base == package.name:
                names |= {module for name, module in _facade(package).items() if name in {a.name for a in node.names}}
    return {file for name in names for file in _files(name, package)}


def _facade(package: Path) -> dict[str, str]:
    """{name: module} of what the package's __init__ imports for type checkers, and lazily for others."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: str(node.module) for node in imports for alias in node.names if node.module != "importlib"}


def _files(name: str, package: Path) -> set[Path]:
    """The file of module `name` and the __init__ of every package above it; empty outside `package`."""
    parts = name.split(".")
    if parts[0] != package.name:
        return set()
    found = {package.parent.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)}
    found.add(package.parent.joinpath(*parts).with_suffix(".py"))
    return {file for file in found if file.is_file()}
