"""The one protocol of everything that is trained and judged: a run knows its key and computes its result; `run_all` keeps it."""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
import torch

from parzc_core.checkpoints import forget, kept_as
from parzc_core.errors import BadInput, NotStored
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import in_parallel, lacking, scheduler, stored_alone


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
    reads: Callable[[R], Collection[str]] = lambda run: (),
) -> dict[R, dict[str, Any]]:
    """{run: its result}, in order. Compute missing runs in parallel; save each one at once.

    A run of minutes keeps checkpoints in the folder "checkpoints" beside the store until it is stored. Killed and started again,
    it goes on from there, and its seconds are those of both processes.
    With PARZC_STORED set (`parzc run --stored`) nothing is computed: NotStored, where a run is missing.
    With PARZC_SCHEDULER set (`parzc run --scheduler`), the workers of that Dask cluster compute the missing runs, each from its
    own copy of the statistics and labels; only this process writes. A run that is killed there starts again on another worker.
    store: a jsonl file. jobs: processes. unit: of the progress bar. chunk: how many runs like this one a process computes before
    it saves them, for runs of less than a second. reads: what the result of a run must hold; one that was stored before that
    was recorded is named in a warning and computed anew.
    """
    kept = store if isinstance(store, RunStore) else RunStore(store)
    keys = {run: run.key() for run in runs}
    if stored_alone():
        _refuse_missing(kept, keys, reads)
    with lacking(kept, keys, reads) as missing:
        groups = _groups(missing, chunk)
        known = {run: keys.get(run) or run.key() for group in groups for run in group}
        stems = {run: kept.path.parent / "checkpoints" / kept.key(key) for run, key in known.items()}
        for group, results in _computed(groups, known, stems, jobs, unit):
            for run, result in zip(group, results, strict=True):
                kept.put(known[run], result)
                forget(stems[run])
    return {run: kept.get(key) or {} for run, key in keys.items()}


def _refuse_missing(
    store: RunStore, keys: Mapping[R, Mapping[str, Any]], reads: Callable[[R], Collection[str]]
) -> None:
    """NotStored, with the runs that are missing and what alike ones took, where any is."""
    found = [store.get(key) for key in keys.values()]
    whole = [one for run, one in zip(keys, found, strict=True) if one is not None and set(reads(run)) <= set(one)]
    if absent := len(found) - len(whole):
        spent = [one["seconds"] for one in whole if "seconds" in one]
        mean = sum(spent) / len(spent) / 3600 if spent else 0.0
        hours = f" (about {absent * mean:.1f} CPU-hours if they are like the stored ones)" if spent else ""
        raise NotStored(
            f"{absent} of {len(found)} runs of {store.path.parent.name} are not stored{hours}; "
            "the same command without --stored computes them"
        )


def run_frame(
    runs: Sequence[Any], store: Path, jobs: int = 1, unit: str = "run", reads: Callable[[Any], Collection[str]] = lambda run: ()
) -> pd.DataFrame:
    """`run_all` as a table: a row a run, the fields of the run and then those of its result. NaN where a result lacks one."""
    results = run_all(runs, store, jobs, unit, reads=reads)
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


def _computed(
    groups: Sequence[tuple[R, ...]], known: Mapping[R, Mapping[str, Any]], stems: Mapping[R, Path], jobs: int, unit: str
) -> Iterator[tuple[tuple[R, ...], list[Mapping[str, Any]]]]:
    """(group, results) as each is done: on this machine with checkpoints, or on the cluster that `scheduler` names."""
    if not groups:
        return
    if (address := scheduler()) is not None:
        away = [tuple((run, RunStore.key(known[run])) for run in group) for group in groups]
        found: Iterator[Any] = in_parallel(_evaluate_away, away, jobs, unit, address)
    else:
        found = in_parallel(_evaluate, [tuple((run, stems[run]) for run in group) for group in groups], jobs, unit)
    for group, results in found:
        yield tuple(run for run, _ in group), results


def _evaluate_away(group: tuple[tuple[Any, str], ...]) -> list[Mapping[str, Any]]:
    """The results of runs on a cluster's worker; beside each, the hash of its key where it will be stored."""
    for run, expected in group:
        if RunStore.key(run.key()) != expected:
            raise BadInput(
                f"a Dask worker has other statistics, labels or code than this process, so {run} would be another run there; "
                "give its machine the same checkout and the same labels (PARZC_DATA)"
            )
    return _evaluate(tuple((run, None) for run, _ in group))


def _evaluate(group: tuple[tuple[Any, Path | None], ...]) -> list[Mapping[str, Any]]:
    """The results of runs; beside each, the path that its checkpoints begin with, or None for no checkpoints.

    One thread each: on few cores, processes with one thread beat threads.
    """
    torch.set_num_threads(1)
    first, stem = group[0]
    if hasattr(first, "group"):
        with kept_as(stem) as kept:
            results = list(first.evaluate_group())
        return [_with_earlier(result, kept.earlier / len(results)) for result in results]
    results = []
    for run, stem in group:
        with kept_as(stem) as kept:
            result = run.evaluate()
        results.append(_with_earlier(result, kept.earlier))
    return results


def _with_earlier(result: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """The result with the CPU-seconds of killed processes whose work it goes on from."""
    return {**result, "seconds": result["seconds"] + seconds} if seconds and "seconds" in result else result
