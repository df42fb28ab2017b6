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
from threadpoolctl import threadpool_limits

from parzc_core.errors import BadInput
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.protocol import run_all
from parzc_core.search import method
from parzc_core.search.benchmark import FULL, Budget, TabularBenchmark
from parzc_core.search.method import LATER, SearchMethod
from parzc_core.storage.run_store import RunStore

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

    def key(self) -> dict[str, Any]:
        """The configuration with all settings of the method, the benchmark's labels and times, the statistics that are read."""
        made = self.made()
        settings = {}
        for one in dataclasses.fields(made):  # type: ignore[arg-type]
            value = getattr(made, one.name)
            if one.compare and not (one.metadata.get(LATER) and value == one.default):
                settings[one.name] = value
        return {
            "kind": type(self).__name__,
            "version": VERSION,
            **dataclasses.asdict(self),
            "settings": settings,
            "labels": _fingerprint(self.space, self.dataset, self.epochs),
            "statistics": made.reads(self.space, self.dataset),
        }

    def evaluate(self) -> dict[str, Any]:
        """Search; architectures by their position in the benchmark."""
        table = benchmark(self.space, self.dataset, self.epochs)
        with threadpool_limits(1):
            found = self.made().run(table, Budget(self.seconds, self.evaluations), self.seed)
        steps = {id(step): number for number, step in enumerate(found.steps, start=1)}
        return {
            "cost": round(found.cost, 1),
            "trainings": len(found.steps),
            "repeats": found.repeats,
            "ended": found.ended,
            "seconds": {part: round(value, 4) for part, value in found.seconds.items()},
            "incumbents": [[table.position(s.arch), s.epochs, round(s.cost, 1)] for s in found.incumbents()],
            "at": [steps[id(s)] for s in found.incumbents()],
        }


def seconds_for(dataset: str, epochs: int) -> int:
    """The budget of the comparison: simulated seconds that pay for about 109 trainings of that many epochs. Raises BadInput."""
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


def stored(runs: Sequence[SearchRun], store: Path) -> list[SearchRun]:
    """Those of the searches whose result is in the store."""
    kept = RunStore(store)
    return [run for run in runs if kept.get(run.key()) is not None] if len(kept) else []


def run_planned(
    profile: str, runs: Sequence[SearchRun], store: Path, jobs: int = 1, complete: bool | None = None
) -> pd.DataFrame:
    """`run_searches` of what a profile plans. complete: whether searches that are not stored are run, too.

    None: all but those of `full`, which take CPU-hours; what is stored of them is taken, and rows say how many that are.
    """
    if not (profile_named(profile).name != "full" if complete is None else complete):
        runs = stored(runs, store)
    return run_searches(runs, store, jobs) if runs else pd.DataFrame(columns=["dataset", "method", "settings"])


def run_searches(runs: Sequence[SearchRun], store: Path, jobs: int = 1) -> pd.DataFrame:
    """A row a search: its configuration, budget (its simulated seconds), and arch (what it found), val (validation accuracy of
    that after full training, percent), cost (simulated seconds), trainings, repeats, ended, seconds (CPU, by part), incumbents,
    and at: after which training each incumbent was one (older stored searches do not tell).

    Compute missing searches in parallel; a killed run loses those in flight. Raises BadInput, LabelsMissing.
    """
    found = run_all(runs, store, jobs, unit="task", chunk=lambda run: max(1, min(25, round(5 / run.made().effort))))
    return pd.DataFrame([{**dataclasses.asdict(run), "budget": run.seconds, **_row(run, found[run])} for run in runs])


def _row(run: SearchRun, result: dict[str, Any]) -> dict[str, Any]:
    table = benchmark(run.space, run.dataset, run.epochs)
    arch = table.table.archs[result["incumbents"][-1][0]]
    return {**result, "arch": arch, "val": table.full_accuracy(arch)}
