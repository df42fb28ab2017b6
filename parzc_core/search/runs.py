"""Many searches: each a configuration with a stored result, so that only what is missing is run; and what they add up to.

A result holds what was found and when, not how good it is on test data: that a `Judge` says, after all of them.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from parzc_core.errors import BadInput
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.profiles import profile as profile_named
from parzc_core.search import method
from parzc_core.search.benchmark import FULL, Budget, TabularBenchmark
from parzc_core.search.method import SearchMethod
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.workers import in_parallel

# Raised when a method or the benchmark changes what a search does, so that stored runs are redone.
VERSION = 1
# Simulated seconds for trainings of 12 epochs. CIFAR-10's is what NAS-Bench-201's authors gave and Table 3 prints; a training
# takes 2.0 and 6.1 times as long on the others, so that each pays for about 109 trainings.
SECONDS = {"cifar10": 12_000, "cifar100": 24_000, "imagenet16-120": 73_000}
_RUNS = {"smoke": (4, 1, 1), "standard": (100, 5, 2), "full": (100, 100, 20), "paper": (100, 100, 3)}


@dataclass(frozen=True)
class SearchRun:
    """One search. epochs: of a training, see TabularBenchmark. seconds, evaluations: see Budget. settings: of the method."""

    method: str
    dataset: str = "cifar10"
    epochs: int = FULL
    seconds: float | None = None
    evaluations: int | None = None
    seed: int = 0
    settings: tuple[tuple[str, Any], ...] = ()
    space: str = "nb201"

    def made(self) -> SearchMethod:
        """The method with its settings. Raises UnknownName, BadInput."""
        return method(self.method, **dict(self.settings))


def seconds_for(dataset: str, epochs: int) -> int:
    """The budget of the comparison: simulated seconds that pay for about 109 trainings of that many epochs."""
    if dataset not in SECONDS:
        raise BadInput(f"got the data set {dataset!r}; expected one of {', '.join(SECONDS)}")
    return round(SECONDS[dataset] * epochs / EPOCHS)


def runs_in(profile: str, name: str) -> int:
    """How many seeds of a method a profile runs: many where a run costs nothing, few where it takes ten seconds and more."""
    effort = method(name).effort
    return _RUNS[profile_named(profile).name][0 if effort < 1 else 1 if effort < 5 else 2]


@lru_cache(maxsize=8)
def benchmark(space: str, dataset: str, epochs: int) -> TabularBenchmark:
    """The published benchmark, read once a process."""
    return TabularBenchmark(space, dataset, epochs)


@lru_cache(maxsize=8)
def _fingerprint(space: str, dataset: str, epochs: int) -> str:
    return benchmark(space, dataset, epochs).fingerprint()


def search_key(run: SearchRun) -> dict[str, Any]:
    """What decides the result of a search: its configuration, the labels and times of the benchmark, the statistics it reads."""
    made = run.made()
    settings = {field.name: getattr(made, field.name) for field in dataclasses.fields(made) if field.compare}  # type: ignore[arg-type]
    rest = {name: value for name, value in dataclasses.asdict(run).items() if name != "settings"}
    return {
        "what": "search",
        "version": VERSION,
        **rest,
        "settings": settings,
        "labels": _fingerprint(run.space, run.dataset, run.epochs),
        "statistics": made.reads(run.space, run.dataset),
    }


def run_searches(runs: Sequence[SearchRun], store: Path, jobs: int = 1) -> pd.DataFrame:
    """A row a search: its configuration, budget (its simulated seconds), and arch (what it found), val (validation accuracy of
    that after full training, percent), cost (simulated seconds), trainings, repeats, ended, seconds (CPU, by part), incumbents.

    Only what `store` (jsonl) lacks is run, on `jobs` processes; a killed run loses the searches in flight. Raises BadInput,
    LabelsMissing.
    """
    kept = RunStore(store)
    keys = {run: search_key(run) for run in dict.fromkeys(runs)}
    by_kind: dict[SearchRun, list[SearchRun]] = {}
    for run, key in keys.items():
        if kept.get(key) is None:
            by_kind.setdefault(dataclasses.replace(run, seed=0), []).append(run)
    tasks: list[tuple[SearchRun, ...]] = []
    for kind, missing in by_kind.items():
        size = max(1, min(25, round(5 / kind.made().effort)))  # searches that take some five seconds together
        tasks += [tuple(missing[start : start + size]) for start in range(0, len(missing), size)]
    for task, results in in_parallel(_searched, tasks, jobs, unit="task"):
        for run, result in zip(task, results, strict=True):
            kept.put(keys[run], result)
    return pd.DataFrame(
        [{**dataclasses.asdict(run), "budget": run.seconds, **_row(run, kept.get(keys[run]) or {})} for run in runs]
    )


def _searched(task: tuple[SearchRun, ...]) -> list[dict[str, Any]]:
    """The stored results of some searches: architectures by their position in the benchmark."""
    torch.set_num_threads(1)
    results = []
    with threadpool_limits(1):
        for run in task:
            table = benchmark(run.space, run.dataset, run.epochs)
            found = run.made().run(table, Budget(run.seconds, run.evaluations), run.seed)
            results.append(
                {
                    "cost": round(found.cost, 1),
                    "trainings": len(found.steps),
                    "repeats": found.repeats,
                    "ended": found.ended,
                    "seconds": {part: round(value, 4) for part, value in found.seconds.items()},
                    "incumbents": [[table.position(s.arch), s.epochs, round(s.cost, 1)] for s in found.incumbents()],
                }
            )
    return results


def _row(run: SearchRun, result: dict[str, Any]) -> dict[str, Any]:
    table = benchmark(run.space, run.dataset, run.epochs)
    arch = table.table.archs[result["incumbents"][-1][0]]
    return {**result, "arch": arch, "val": table.full_accuracy(arch)}
