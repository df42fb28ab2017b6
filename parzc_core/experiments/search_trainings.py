"""Searches on NAS-Bench-201 by number of trainings, which the paper does not have: what is run, its rows and its two figures."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from parzc_core.drawing.style import BLUE, GREY, VERMILION, expect, new_figure
from parzc_core.labels.nb201 import DATASETS
from parzc_core.profiles import profile as profile_named
from parzc_core.search import method
from parzc_core.search.benchmark import FULL
from parzc_core.search.judge import Judge
from parzc_core.search.methods import bohb
from parzc_core.search.regret import OURS, Entry, own_seconds
from parzc_core.search.runs import SearchRun, benchmark
from parzc_core.storage.rows import Row, row_of_runs

TABLE = "search_trainings"
TRAININGS = 100
AT = (10, 20, 30, 60, 100)  # numbers of trainings that have columns
FOUND_BY = (60, 100)
COLUMNS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
# Seeds where a search costs nothing, and where it takes seconds.
_SEEDS = {"smoke": (2, 1), "standard": (50, 2), "full": (50, 3), "paper": (50, 50)}


def entries(profile: str) -> tuple[Entry, ...]:
    """The methods: those that learn while they search, those that learn once, those that only draw or mutate."""
    sizes = profile_named(profile)
    train = 10 if profile == "smoke" else 78
    parzc = (("train", train), ("size", sizes.model), ("epochs", sizes.epochs(200)), ("cells", sizes.cells))
    start = (("start", 10),) if profile == "smoke" else ()
    named: list[tuple[str, str, tuple[tuple[str, Any], ...]]] = [
        ("random", "Random search", ()),
        ("reinforce", "REINFORCE", ()),
        ("evolution", "REA", ()),
        ("nasbot", "NASBOT", ()),
        ("bohb", "BOHB", (("two", False),)),
        ("npenas", "NPENAS", (("epochs", sizes.epochs(100)),)),
        ("robot", "RoBoT", ()),
        ("robot", "RoBoT (logarithms)", (("transform", "log"),)),
        ("parzc", "ParZC", parzc),
        ("parzc", f"ParZC{OURS}", (("encoding", "aligned"), *parzc)),
        ("parzc_plus", "ParZC+", (*start, ("cells", sizes.cells))),
    ]
    return tuple(Entry(kind, name, name, settings) for kind, name, settings in named if kind != "bohb" or bohb.installed())


def trainings(profile: str) -> int:
    """How many networks a search trains."""
    return 20 if profile == "smoke" else TRAININGS


def planned(profile: str) -> list[SearchRun]:
    """Every search: each method on each data set, with trainings of 200 epochs."""
    name = profile_named(profile).name
    return [
        SearchRun(entry.method, dataset, FULL, evaluations=trainings(name), seed=seed, settings=entry.settings)
        for dataset in DATASETS
        for entry in entries(name)
        for seed in range(_SEEDS[name][0 if method(entry.method).effort < 1 else 1])
    ]


def best_so_far(runs: pd.DataFrame, count: int) -> np.ndarray:
    """float64[runs, count]: validation accuracy of the best after each training, percent. runs: of one data set.

    A search that has ended early keeps its last one.
    """
    lines = []
    for run in runs.to_dict("records"):
        accuracy = benchmark(run["space"], run["dataset"], run["epochs"]).table.fidelities[run["epochs"]].accuracy
        line = np.full(count, np.nan)
        for (position, _, _), at in zip(run["incumbents"], run["at"], strict=True):
            line[at - 1 :] = accuracy[position]
        lines.append(line)
    return np.array(lines)


def optimum(dataset: str) -> float:
    """The highest validation accuracy of the space after full training, percent."""
    return float(benchmark("nb201", dataset, FULL).table.fidelities[FULL].accuracy.max())


def trainings_to_optimum(best: np.ndarray, highest: float) -> np.ndarray:
    """float64[runs]: the number of the training that found the optimum; infinite where none did. best: of `best_so_far`."""
    there = best >= highest - 1e-9
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)


def rows(results: pd.DataFrame, profile: str, judge: Judge) -> list[Row]:
    """Regret in points after so many trainings, share of seeds that have found the optimum, test accuracy of what is found.

    results: of `run_searches`. A search on each data set is judged on that data set. Means over seeds with intervals.
    """
    made: list[Row] = []
    count = trainings(profile)
    for dataset in DATASETS:
        highest = optimum(dataset)
        for entry in entries(profile):
            runs = entry.of(results[results["dataset"] == dataset])
            if len(runs):
                made += _rows(entry.table09, COLUMNS[dataset], runs, best_so_far(runs, count), highest, profile, judge)
    return made


def _rows(
    name: str, column: str, runs: pd.DataFrame, best: np.ndarray, highest: float, profile: str, judge: Judge
) -> Iterator[Row]:
    about: dict[str, Any] = {"profile": profile, "origin": "ours"}
    dataset, count = str(runs["dataset"].iloc[0]), best.shape[1]
    note = f"validation accuracy after {FULL} epochs, seen by the search"
    for at in AT:
        if at <= count:
            regret = (highest - best[:, at - 1]).tolist()
            yield row_of_runs(TABLE, name, column, f"regret_{at}", regret, unit="points", note=note, **about)
    reached = trainings_to_optimum(best, highest)
    for by in FOUND_BY:
        if by <= count:
            share = (100.0 * (reached <= by)).tolist()
            yield row_of_runs(TABLE, name, column, f"optimum_by_{by}", share, note="seeds that have found the optimum", **about)
    middle = float(np.median(reached))
    value: float | None
    value, note = middle, "to the optimum, median over seeds"
    if not math.isfinite(middle):
        value, note = None, f"fewer than half of the seeds found the optimum within {count} trainings"
    told: dict[str, Any] = {"n": len(runs), "runs": len(runs), "unit": "trainings", **about}
    yield Row(TABLE, name, column, "median_trainings", value, note=note, **told)
    if judge.has(dataset, "test"):
        values = judge.accuracy(runs["arch"].tolist(), dataset, "test").tolist()
        yield row_of_runs(TABLE, name, column, "test_accuracy", values, note=judge.notes[dataset, "test"], **about)
    seconds = (own_seconds(runs) / runs["trainings"]).tolist()
    note = "CPU-seconds of the method itself, a training"
    yield row_of_runs(TABLE, name, column, "seconds", seconds, unit="s", note=note, **about)


def leaders(rows: Sequence[Row] | pd.DataFrame) -> pd.DataFrame:
    """For each data set and number of trainings: the method of least mean regret, its regret, and ParZC+'s.

    behind: whether another method's is less than ParZC+'s.
    """
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([vars(row) for row in rows])
    part = table[table["metric"].str.startswith("regret_")]
    lines = []
    for (column, metric), cells in part.groupby(["column", "metric"], sort=False):
        values = cells.set_index("row")["value"].astype(float)
        lines.append(
            {
                "data set": column,
                "trainings": int(str(metric).removeprefix("regret_")),
                "best": values.idxmin(),
                "regret": values.min(),
                "ParZC+": values.get("ParZC+", np.nan),
                "behind": bool(values.drop("ParZC+", errors="ignore").min() < values.get("ParZC+", np.nan)),
            }
        )
    return pd.DataFrame(lines)


def found_by_trainings(results: pd.DataFrame, profile: str) -> Figure:
    """Share of seeds that have found the best cell of the space, by number of trainings; a panel a data set."""
    expect(len(results) > 0, "found_by_trainings got no search; nothing to draw")
    count = trainings(profile)
    figure = new_figure(12.5, 4.4)
    axes = figure.subplots(1, len(DATASETS), sharey=True)
    names = [entry.table09 for entry in entries(profile)]
    colours = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True)) | {"ParZC+": "black"}
    dashes = {name: ["-", "--", "-.", ":"][i % 4] for i, name in enumerate(names)} | {"ParZC+": "-"}
    for ax, dataset in zip(axes, DATASETS, strict=True):
        highest = optimum(dataset)
        for entry in entries(profile):
            runs = entry.of(results[results["dataset"] == dataset])
            if not len(runs):
                continue
            reached = trainings_to_optimum(best_so_far(runs, count), highest)
            share = [100 * float((reached <= k).mean()) for k in range(1, count + 1)]
            width = 2.6 if entry.table09 == "ParZC+" else 1.5
            ax.step(
                range(1, count + 1), share, where="post", label=entry.table09, color=colours[entry.table09],
                linestyle=dashes[entry.table09], linewidth=width,
            )  # fmt: skip
        ax.set(title=COLUMNS[dataset], xlabel="trainings of 200 epochs", xlim=(0, count), ylim=(-2, 102))
    axes[0].set_ylabel("seeds that found the optimum (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    return figure


def spread_of_methods(results: pd.DataFrame, profile: str, judge: Judge) -> Figure:
    """Test accuracy of what each search ends with: a dot a seed, a bar for the median, the best of the space as a line."""
    expect(len(results) > 0, "spread_of_methods got no search; nothing to draw")
    there = [dataset for dataset in DATASETS if judge.has(dataset, "test")]
    expect(there, "spread_of_methods needs test accuracy, which is not on this machine")
    figure = new_figure(12.5, 5.2)
    axes = np.atleast_1d(figure.subplots(1, len(there), sharey=True))
    order = [entry.table09 for entry in entries(profile)]
    for ax, dataset in zip(axes, there, strict=True):
        parts = []
        for entry in entries(profile):
            runs = entry.of(results[results["dataset"] == dataset])
            accuracy = judge.accuracy(runs["arch"].tolist(), dataset, "test")
            parts.append(pd.DataFrame({"method": entry.table09, "accuracy": accuracy}))
        found = pd.concat(parts, ignore_index=True)
        best = judge.best(dataset, "test")
        colours = {name: VERMILION if name == "ParZC+" else BLUE if name.startswith("ParZC") else GREY for name in order}
        sns.stripplot(
            found, x="accuracy", y="method", hue="method", order=order, palette=colours, ax=ax, size=3.5, alpha=0.5, jitter=0.25,
            legend=False,
        )  # fmt: skip
        for place, name in enumerate(order):
            middle = found[found["method"] == name]["accuracy"].median()
            ax.plot([middle, middle], [place - 0.35, place + 0.35], color="black", linewidth=2)
        ax.axvline(best, color="black", linestyle="--", linewidth=1)
        low = float(found["accuracy"].quantile(0.02))
        ax.set(title=COLUMNS[dataset], xlabel="test accuracy (%)", ylabel="", xlim=(low, best + 0.06 * (best - low)))
        ax.annotate("best of the space", (best, -0.6), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=9)
    return figure
