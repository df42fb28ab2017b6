"""The table of searches on NAS-Bench-101, which the paper does not have: what is run, and its rows and curves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import labels
from parzc_core.drawing.searches import Curves
from parzc_core.profiles import profile as profile_named
from parzc_core.search import method, regret
from parzc_core.search.methods.parzc import read
from parzc_core.search.regret import ORDERED, OURS, PLUS, TEN, Entry
from parzc_core.search.runs import SearchRun, benchmark, run_planned
from parzc_core.storage.rows import Row, row_of_runs

TABLE, SPACE, DATASET, EPOCHS = "search_nb101", "nb101", "cifar10", 108
TRAININGS = 150
FLOOR = "Best of the collected"  # what a search that cannot leave the pool of cells with statistics finds at most
# Seeds where a search costs nothing, and where it takes ten seconds and more.
_SEEDS = {"smoke": (2, 1), "standard": (100, 2), "full": (100, 10), "paper": (100, 10)}
NOT_RUN = "REINFORCE and BOHB choose edges and operations independently; most such choices are not valid cells"


def entries(profile: str) -> tuple[Entry, ...]:
    """The methods. Evolution has the population and the sample of the benchmark's authors (google-research/nasbench)."""
    sizes = profile_named(profile)
    train = 16 if profile == "smoke" else 78
    parzc = (("train", train), ("size", sizes.model), ("epochs", sizes.epochs(150)), ("cells", sizes.cells))
    plus = (("mutants", 20 if profile == "smoke" else 200), ("cells", sizes.cells))
    named: list[tuple[str, str, tuple[tuple[str, Any], ...]]] = [
        ("random", "Random search", ()),
        ("evolution", "REA", (("population", 10 if profile == "smoke" else 50), ("sample", 10))),
        ("npenas", "NPENAS", (("epochs", sizes.epochs(100)),)),
        ("nasbot", "NASBOT", (("pool", 8 if profile == "smoke" else 200),)),
        ("parzc", "ParZC", parzc),
        ("parzc", f"ParZC{OURS}", (("encoding", "aligned"), *parzc)),
        ("parzc_plus", PLUS, plus),
        ("parzc_plus", ORDERED, (*TEN, *plus)),
    ]
    return tuple(Entry(kind, name, name, settings) for kind, name, settings in named)


def planned(profile: str) -> list[SearchRun]:
    """Every search."""
    name = profile_named(profile).name
    trainings = 30 if name == "smoke" else TRAININGS
    return [
        SearchRun(
            entry.method,
            DATASET,
            EPOCHS,
            evaluations=trainings,
            seed=seed,
            settings=entry.settings,
            space=SPACE,
        )
        for entry in entries(name)
        for seed in range(_SEEDS[name][0 if method(entry.method).effort < 1 else 1])
    ]


def run(profile: str, store: Path, jobs: int = 1, complete: bool | None = None) -> pd.DataFrame:
    """The searches of a profile, a row each. complete: see `run_planned`."""
    return run_planned(profile, planned(profile), store, jobs, complete)


def summary(results: pd.DataFrame, profile: str) -> pd.DataFrame:
    """A row a method: runs, means over seeds of trainings, repeats and validation accuracy found, its std, own CPU-seconds.

    results: of `run_searches`.
    """
    lines = {}
    for entry in entries(profile):
        if len(runs := entry.of(results)):
            name = entry.table09 if entry.method.startswith("parzc") else entry.method
            lines[name] = {
                "runs": len(runs),
                "trainings": runs["trainings"].mean(),
                "repeats": runs["repeats"].mean(),
                "found": runs["val"].mean(),
                "std": runs["val"].std(),
                "CPU-seconds": regret.own_seconds(runs).mean(),
            }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("of")


def rows(results: pd.DataFrame, profile: str) -> list[Row]:
    """Accuracy of what is found, how far it is from the best of the space, and CPU-seconds; means over seeds with intervals.

    results: of `run`. Judged on test accuracy, which is read here. The floor is that of the cells with statistics: ParZC chooses
    among them, ParZC+ also among mutants outside.
    """
    truth, _, about = labels.judged(SPACE, DATASET)
    table = benchmark(SPACE, DATASET, EPOCHS).table
    best = float(truth.max())
    shared: dict[str, Any] = {"profile": profile, "origin": "ours"}
    made = [Row(TABLE, "Optimal", "test", "accuracy", best, **shared, note=about["note"])]
    pool = truth.loc[truth.index.intersection(read(SPACE, DATASET, profile_named(profile).cells).collection.archs)]
    note = f"of the {len(pool):,} cells with statistics; {about['note']}"
    made.append(Row(TABLE, FLOOR, "test", "accuracy", float(pool.max()), **shared, note=note))
    made.append(Row(TABLE, FLOOR, "test", "regret", best - float(pool.max()), unit="points", **shared, note=note))
    for entry in entries(profile):
        runs = entry.of(results)
        if not len(runs):
            continue
        found = truth.loc[runs["arch"]].to_numpy()
        note = f"{runs['trainings'].mean():.0f} trainings; {table.note}; {about['note']}"
        made.append(row_of_runs(TABLE, entry.table09, "test", "accuracy", found.tolist(), note=note, **shared))
        made.append(
            row_of_runs(
                TABLE, entry.table09, "test", "regret", (best - found).tolist(), unit="points", note=note, **shared
            )
        )
        made += _spent(entry.table09, runs, shared)
    return made


def _spent(name: str, runs: pd.DataFrame, shared: dict[str, Any]) -> Iterator[Row]:
    parts = pd.DataFrame(list(runs["seconds"])).fillna(0.0)
    once = float(parts.pop("collecting").iloc[0]) if "collecting" in parts else 0.0
    note = "CPU-seconds of one core, beside the trainings"
    if once:
        note += f"; its statistics took {once:,.0f} more, once"
    yield row_of_runs(TABLE, name, "search", "seconds", parts.sum(axis=1).tolist(), unit="s", note=note, **shared)


def curves(results: pd.DataFrame, profile: str) -> dict[tuple[str, str], Curves]:
    """Regret of the best so far by trainings, for `regret_curves`: (trainings float64[P], points float64[runs, P]) by method."""
    grid = np.arange(1, int(results["trainings"].max()) + 1, dtype=float)
    lines = {
        entry.table09: (grid, regret.curves(runs, grid)) for entry in entries(profile) if len(runs := entry.of(results))
    }
    return {(f"trainings of {EPOCHS} epochs", "NAS-Bench-101"): lines}
