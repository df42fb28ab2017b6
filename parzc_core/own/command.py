"""`parzc rank my_networks.py --accuracies accuracies.csv` ranks the networks of a file; without accuracies it orders them.

    # my_networks.py: the names `networks` and `batch`, each a value or a function without arguments that gives it
    networks = {"small": nn.Sequential(...), "large": nn.Sequential(...)}
    batch = (images, labels)

    # accuracies.csv: a line for each network with a known accuracy; the others are ranked without one
    name,accuracy
    small,91.2
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from parzc_core import _plugins
from parzc_core.errors import BadInput, real
from parzc_core.files.json_files import brief
from parzc_core.own.networks import describe
from parzc_core.own.ordering import order_networks
from parzc_core.own.ranking import COMPARED, LEVEL, NetworkRanker, load_ranker


def rank_file(
    file: Path,
    accuracies: Path | None = None,
    ranker: Sequence[str] = COMPARED,
    *,
    load: Path | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[pd.DataFrame, NetworkRanker | None]:
    """(ranking, ranker) of the networks of a file. accuracies: a CSV file to learn from. load: a kept ranker in its place.
    Without both the networks are ordered by `order_networks`, and there is no ranker. Raises BadInput."""
    if accuracies is not None and load is not None:
        raise BadInput("got accuracies and a ranker to load; expected one of --accuracies FILE and --load RANKER, or none")
    real("level", level, 0, 100, above=True)
    module = _plugins.run_file(file)
    networks, batch = _given(module, "networks"), _given(module, "batch")
    if not isinstance(batch, Sequence) or len(batch) != 2:
        raise BadInput(f"got {type(batch).__name__} as batch in {file}; expected the pair (images, labels)")
    if accuracies is None and load is None:
        return order_networks(networks, *batch, seed=seed), None
    if load is not None:
        kept = load_ranker(load)
        if not isinstance(kept, NetworkRanker):
            raise BadInput(f"{load} holds a ranker of statistics; expected one that `parzc rank --save` wrote")
        return kept.rank(networks, *batch, level=level), kept
    assert accuracies is not None
    known = read_accuracies(accuracies)
    if not isinstance(networks, Mapping):
        known.index = pd.Index([_place(name) for name in known.index])
    made = NetworkRanker.fit(describe(networks, *batch), known, ranker=ranker, level=level, seed=seed)
    assert made.ranking is not None
    return made.ranking, made


def read_accuracies(file: Path) -> pd.Series:
    """The column "accuracy" of a CSV file with a heading, or the second of two, by the first, the names.

    An empty cell, and "nan", is an accuracy that is not known. A line may end in commas. Raises BadInput.
    """
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"cannot read the accuracies {file}: {error}") from error
    heading = [name.strip() for name in lines[0]] if lines else []
    while heading and not heading[-1]:
        heading.pop()
    at = _column(file, heading)
    values: list[tuple[str, float]] = []
    for number, line in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in line[len(heading) :]):
            raise BadInput(
                f"got {file} with {len(line)} fields in line {number}; expected {len(heading)}, as in its heading: a comma "
                "within a name stands in quotes, and a decimal one is written as a point"
            )
        if any(cell.strip() for cell in line):
            cell = line[at] if at < len(line) else ""
            if (value := _number(cell or "nan")) is None:
                raise BadInput(f"got accuracies in {file} that are no numbers, such as {cell!r}; expected numbers or nothing")
            values.append((line[0], value))
    return pd.Series([value for _, value in values], index=[name for name, _ in values], dtype=float)


def _column(file: Path, heading: Sequence[str]) -> int:
    """Position of the accuracies. Raises BadInput where it cannot be told."""
    called = [at for at, name in enumerate(heading) if at and name.casefold() == "accuracy"]
    if len(called) > 1 or len(heading) < 2 or (not called and len(heading) > 2):
        raise BadInput(
            f"got {file} with the columns {brief(', '.join(heading)) or 'none'}; expected a name and an accuracy, and of more "
            "columns one that is called accuracy"
        )
    at = called[0] if called else 1
    if _number(heading[at]) is not None:
        raise BadInput(f"got {file} with {heading[at]!r} as the heading of the accuracies; expected a line such as name,accuracy")
    return at


def _number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None  # Python alone reads 9_1 as a number
    except ValueError:
        return None


def _place(name: str) -> Any:
    return int(name) if name.isdecimal() and name.isascii() else name


def _given(module: ModuleType, name: str) -> Any:
    """A value of the user's file, or what its function gives. Raises BadInput."""
    if not hasattr(module, name):
        raise BadInput(f"got {module.__file__} without `{name}`; expected `networks` and `batch`, see parzc rank --help")
    value = getattr(module, name)
    if callable(value) and not hasattr(value, "parameters"):
        try:
            return value()
        except (Exception, SystemExit) as error:
            raise BadInput(f"{name}() of {module.__file__} failed: {type(error).__name__}: {error}") from error
    return value
