"""The one protocol of everything that is trained and judged: a run knows its key and computes its result; `run_all` keeps it."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
import torch

from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import in_parallel, lacking


class Run(Protocol):
    """A frozen, hashable record that says all that decides its result.

        results = run_all([RankerRun(split=0), RankerRun(split=1)], folder / "runs.jsonl", jobs=2)

    A run whose result is computed with others', such as one split of several that are trained as one batch, has two more
    methods: `group()`, the runs that are computed together, itself among them, and `evaluate_group()`, their results in order.
    """

    def key(self) -> dict[str, Any]:
        """What decides the result, as plain JSON: kind, version, configuration, the columns that it reads, the labels."""

    def evaluate(self) -> Mapping[str, Any]:
        """Compute the result, as plain JSON or numpy arrays."""


R = TypeVar("R", bound=Run)


def run_all(
    runs: Sequence[R],
    store: Path | RunStore,
    jobs: int = 1,
    unit: str = "run",
    chunk: Callable[[R], int] = lambda run: 1,
) -> dict[R, dict[str, Any]]:
    """{run: its result}, in order. Compute missing runs in parallel; save each one at once.

    store: a jsonl file. jobs: processes. unit: of the progress bar. chunk: how many runs like this one a process computes before
    it saves them, for runs of less than a second.
    """
    kept = store if isinstance(store, RunStore) else RunStore(store)
    keys = {run: run.key() for run in runs}
    with lacking(kept, keys) as missing:
        for group, results in in_parallel(_evaluate, _groups(missing, chunk), jobs, unit):
            for run, result in zip(group, results, strict=True):
                kept.put(keys.get(run) or run.key(), result)
    return {run: kept.get(key) or {} for run, key in keys.items()}


def run_frame(runs: Sequence[Any], store: Path, jobs: int = 1, unit: str = "run") -> pd.DataFrame:
    """`run_all` as a table: a row a run, the fields of the run and then those of its result."""
    results = run_all(runs, store, jobs, unit)
    return pd.DataFrame([{**dataclasses.asdict(run), **results[run]} for run in runs])


def _groups(missing: Sequence[R], chunk: Callable[[R], int]) -> list[tuple[R, ...]]:
    """The runs in groups, each computed by one process in one go."""
    if missing and hasattr(missing[0], "group"):
        return list(dict.fromkeys(run.group() for run in missing))  # type: ignore[attr-defined]
    found: list[tuple[R, ...]] = []
    for size, alike in itertools.groupby(missing, chunk):
        runs = list(alike)
        found += [tuple(runs[start : start + max(1, size)]) for start in range(0, len(runs), max(1, size))]
    return found


def _evaluate(group: tuple[Any, ...]) -> list[Mapping[str, Any]]:
    """One thread each: on few cores, processes with one thread beat threads."""
    torch.set_num_threads(1)
    if hasattr(group[0], "group"):
        return list(group[0].evaluate_group())
    return [run.evaluate() for run in group]
