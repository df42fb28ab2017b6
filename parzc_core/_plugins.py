"""Proxies, scores, predictors, search methods and spaces of other packages, and of a user's own file.

A package names its module in its pyproject.toml; the module registers what it has when it is imported:

    [project.entry-points."parzc.plugins"]
    mine = "my_package.my_module"

Plugins are imported when a name is asked for that is not known without them.
"""

import importlib.util
import sys
import warnings
from collections.abc import Container
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from parzc_core.errors import BadInput

GROUP = "parzc.plugins"
_asked: set[str] = set()


def known(name: str, registry: Container[str]) -> bool:
    """Whether a name is registered, by a plugin at last."""
    if name in registry:
        return True
    load_plugins()
    return name in registry


def load_plugins() -> None:
    """Import the plugins that are installed, once a process; one that fails is warned of and left out."""
    for found in entry_points(group=GROUP):
        if found.value in _asked:
            continue
        _asked.add(found.value)
        try:
            found.load()
        except (Exception, SystemExit) as error:  # a plugin's error is not ours to end on
            warnings.warn(f"the plugin {found.name} ({found.value}) cannot be imported: {error!r}", stacklevel=3)


def run_file(path: Path | str) -> ModuleType:
    """The module of a user's Python file, which registers what it has; its folder is searched for what it imports.

    Its functions and classes reach worker processes as code. Raises BadInput: no such file, or what went wrong in it.
    """
    import cloudpickle  # here: the core needs it for nothing else

    path = Path(path)
    if not path.is_file():
        raise BadInput(f"got {path}, which is no file; expected a Python file")
    name = f"parzc_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise BadInput(f"got {path}; expected a Python file, with a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadInput(f"{_place(path, error)}: {_said(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    cloudpickle.register_pickle_by_value(module)
    return module


def _place(path: Path, error: BaseException) -> str:
    """The user's file and the line of it that raised; of a SyntaxError the file that it is in, which that may import."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{path if Path(error.filename) == path.resolve() else error.filename}, line {error.lineno}"
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename != str(path.resolve()):
        at = at.tb_next
    return str(path) if at is None else f"{path}, line {at.tb_lineno}"


def _said(error: BaseException) -> str:
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {what}"
