"""`parzc rank my_networks.py --accuracies accuracies.csv` ranks the networks of a file; without accuracies it orders them.

    # my_networks.py: the names `networks` and `batch`, each a value or a function without arguments that gives it
    networks = {"small": nn.Sequential(...), "large": nn.Sequential(...)}
    batch = (images, labels)

    # accuracies.csv: a line for each network with a known accuracy; the others are ranked without one
    name,accuracy
    small,91.2
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from parzc_core import _plugins
from parzc_core.errors import BadInput, real
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
    """The column "accuracy" of a CSV file with a heading, else its second one, by the first, the names.

    An empty cell, and "nan", is an accuracy that is not known. Raises BadInput.
    """
    try:  # as text: a network may be called NA, and a line may end in a comma
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read the accuracies {file}: {error}") from error
    if frame.shape[1] < 2:
        raise BadInput(f"got {file} with the columns {', '.join(map(str, frame.columns))}; expected a name and an accuracy")
    text = frame["accuracy"] if "accuracy" in frame.columns[1:] else frame.iloc[:, 1]
    if _number(str(text.name)) is not None:
        raise BadInput(f"got {file} with {text.name!r} as the heading of the accuracies; expected a line such as name,accuracy")
    values = [_number(value or "nan") for value in text]
    if None in values:
        wrong = text.iloc[values.index(None)]
        raise BadInput(f"got accuracies in {file} that are no numbers, such as {wrong!r}; expected numbers or nothing")
    return pd.Series(values, index=frame.iloc[:, 0].astype(str), dtype=float)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _place(name: str) -> Any:
    return int(name) if name.isdecimal() else name


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
