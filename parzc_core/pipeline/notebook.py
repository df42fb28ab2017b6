"""Run one notebook with parameters, in its own process: `python -m parzc_core.pipeline.notebook SOURCE OUTPUT key=value ...`

The output appears whole or not at all: papermill writes under a temporary name beside it, and only a notebook that ran
to its end takes the output's name, with its HTML page beside it. A notebook that fails leaves the former output as it
was, and its own cells, with the traceback, in `<output stem>.failed.ipynb`.
"""

import argparse
import ast
import functools
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from parzc_core import paths
from parzc_core.artifact import known_parameters, parameter_defaults
from parzc_core.errors import BadInput, ParzcError, UnknownName
from parzc_core.paths import write_whole
from parzc_core.storage.workers import end_children, follow

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_FOLDERS = ("PARZC_HOME", "PARZC_DATA", "PARZC_CACHE", "PARZC_RESULTS", "PARZC_FIGURES", "PARZC_REPORT")
FOLLOW = "PARZC_FOLLOW_PID"  # the process whose end ends this one too (set by the DAG)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookFailed(ParzcError, RuntimeError):
    """A notebook that did not run to its end; the message holds the failing cell's traceback."""


def run_notebook(source: Path, parameters: Mapping[str, Any], output: Path, kernel: str = "python3") -> Path:
    """Execute `source` with `parameters` and write `output` and the HTML page beside it.

    source: the notebook; its folder is the kernel's working folder, as in JupyterLab.
    parameters: values for names assigned in the cell tagged `parameters`; JSON-like values. A text becomes what the notebook's
        default is: True or False, a number, a list, None.
    output: path of the executed notebook (.ipynb).
    Returns `output`. Raises, before anything is run, UnknownName for a parameter that the notebook does not have, BadInput for
    one of another type than its default or if `source` is no notebook; NotebookFailed if a cell raised or the kernel died.
    """
    source, output = Path(source).resolve(), Path(output).resolve()
    known = known_parameters(source)
    for name in parameters:
        if name not in known:
            raise UnknownName.of(f"parameter of notebook {source.stem}", name, known)
    defaults = parameter_defaults(source)
    parameters = {name: typed(name, value, defaults.get(name)) for name, value in parameters.items()}
    if output.suffix != ".ipynb":
        raise BadInput(f"got output {output.name}; expected a name that ends in .ipynb")

    import nbformat  # heavy imports wait until the input is known to be good
    import papermill

    from parzc_core.pipeline.html import to_html

    output.parent.mkdir(parents=True, exist_ok=True)
    content = nbformat.read(source, as_version=4)
    said = {"name": kernel, "display_name": kernel, "language": "python"}  # tools that strip notebooks drop it
    content.metadata["kernelspec"] = nbformat.from_dict({**said, **(content.metadata.get("kernelspec") or {})})
    unfinished = output.with_name(f".{output.stem}.{os.getpid()}.ipynb")
    failed = output.with_suffix(".failed.ipynb")
    try:
        with _kernel_environment():
            notebook = papermill.execute_notebook(
                content,
                unfinished,
                dict(parameters),
                kernel_name=kernel,
                cwd=source.parent,
                progress_bar=sys.stderr.isatty(),
                start_timeout=120,
                extra_arguments=["--log-level=ERROR"],  # the kernel's own remarks are not about the notebook
            )
        notebook.metadata.papermill.update(input_path=source.name, output_path=output.name)
        # Below the report's folder, as report/notebooks/<profile>/NAME.html; a page elsewhere has no report to link to.
        inside = output.is_relative_to(paths.REPORT.resolve())
        report = Path(os.path.relpath(paths.REPORT / "index.html", output.parent)).as_posix() if inside else ""
        write_whole(output.with_suffix(".html"), to_html(notebook, source.stem, report))
        write_whole(output, nbformat.writes(notebook))
        failed.unlink(missing_ok=True)
        return output
    except Exception as error:
        if unfinished.exists():
            os.replace(unfinished, failed)
        reason = _COLOURS.sub("", str(error)).strip() or type(error).__name__
        raise NotebookFailed(f"notebook {source.stem} failed; see {failed.name}\n{reason}") from error
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _kernel_environment() -> Iterator[None]:
    """One thread a process (parallelism is `jobs` processes) unless the user chose; and this environment's kernel.

    The project's PARZC_ variables go through; folders among them are made absolute, since the kernel works elsewhere.
    """
    before = dict(os.environ)
    for name in _FOLDERS:
        if folder := os.environ.get(name):
            os.environ[name] = str(Path(folder).absolute())
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _stop(number: int, _frame: FrameType | None) -> None:
    """Signal handler: ends the kernel and the kernel's own workers, then this process."""
    end_children()
    raise SystemExit(128 + number)


_WORDS = {"true": True, "false": False, "none": None, "null": None}


def _value(text: str) -> Any:
    """What a text on the command line means: Python's or JSON's True, None, numbers, lists, quoted texts; else the text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def typed(name: str, value: Any, default: Any) -> Any:
    """A parameter's value in the type of the notebook's default. A default of None, or one that is computed, takes anything.

    Raises BadInput for a value that cannot have that type.
    """
    if default is None and isinstance(value, str):
        return _value(value)
    if default is None or value is None or (type(value) is type(default) and not isinstance(value, str)):
        return value
    if isinstance(default, str):
        quoted = isinstance(value, str) and value[:1] in "\"'" and value[-1:] == value[:1] and len(value) > 1
        return str(_value(value)) if quoted else str(value)
    if isinstance(value, str):
        value = _value(value)
    if isinstance(default, bool):
        fits = isinstance(value, bool)
    elif isinstance(default, int | float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if fits and isinstance(default, float) else value
    elif isinstance(default, list | tuple):
        fits = isinstance(value, list | tuple)
        value = type(default)(value) if fits else value
    else:
        fits = isinstance(value, type(default))
    if not fits and value is not None:
        raise BadInput(f"got {name}={value!r}; the notebook's default is {default!r}, expected a {type(default).__name__}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of this module. 0: done; 1: the notebook failed; 2: bad input. The reason is printed on stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m parzc_core.pipeline.notebook", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("source", type=Path, help="the notebook to run")
    parser.add_argument(
        "output", type=Path, help="where the executed notebook is written; the HTML page goes beside it"
    )
    parser.add_argument("parameters", nargs="*", metavar="key=value", help="values for the cell tagged 'parameters'")
    options = parser.parse_args(arguments)
    try:
        pairs = [item.partition("=") for item in options.parameters]
        for key, equals, _ in pairs:
            if not equals:
                raise BadInput(f"got parameter {key!r}; expected key=value")
        run_notebook(options.source, {key: text for key, _, text in pairs}, options.output)
    except ParzcError as error:
        print(error)
        return 1 if isinstance(error, NotebookFailed) else 2
    return 0


if __name__ == "__main__":
    for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(_number, _stop)
    if _leader := os.environ.get(FOLLOW):
        _end = functools.partial(os.kill, os.getpid(), signal.SIGTERM)  # as `_stop` does: kernel included
        threading.Thread(target=follow, args=(int(_leader), _end), daemon=True).start()
    sys.exit(main())
