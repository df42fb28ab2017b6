"""Searches on NAS-Bench-201 by number of trainings, which the paper does not have: what is run, its rows and its two figures.

    results = run("full", store)                    # of `full` what is stored; of other profiles all
    made = rows(results, "full", Judge())

One setting of ParZC+ serves all data sets, of SETTINGS. `choices` tells which of them each data set chooses, by searches with
seeds that no row has (from FIRST_SEED on) and by validation accuracy, and what that choice is worth on the two others.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from parzc_core.drawing.searches import GROUPS, LINE, OTHERS, PLACES, along, grouped
from parzc_core.drawing.style import GREY, expect, new_figure
from parzc_core.labels.nb201 import DATASETS
from parzc_core.profiles import profile as profile_named
from parzc_core.report import told
from parzc_core.search import method
from parzc_core.search.benchmark import FULL
from parzc_core.search.judge import Judge
from parzc_core.search.methods import bohb
from parzc_core.search.regret import ORDERED, OURS, PLUS, TEN, Entry, own_seconds, with_all_methods
from parzc_core.search.runs import SearchRun, benchmark, run_planned
from parzc_core.storage.rows import Row, row_of_runs

TABLE = "search_trainings"
TRAININGS = 100
AT = (10, 20, 30, 60, 100)  # numbers of trainings that have columns
COLUMNS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
FEW = 5  # seeds: of fewer than so many, each is drawn
# Among what the setting of ParZC+ is chosen; the first is that of PLUS's rows.
SETTINGS: dict[str, tuple[tuple[str, Any], ...]] = {
    "weights 1 to 6": (("weights", (1.0, 2.0, 3.0, 4.0, 6.0)),),
    "weights 2 five times": (("weights", (2.0,) * 5),),
    "weights 0.5 to 3": (("weights", (0.5, 1.0, 1.5, 2.0, 3.0)),),
    "weights 1 to 6, ordered start": TEN,
    "weights 1 to 6, ordered start and 10 random": (("start", 20), ("ordered", 10)),
}
FIRST_SEED, CHOICE_SEEDS = 1000, 5
CHOSEN_BY = (30, 60, 100)  # trainings after which a choice is judged: by the mean of their regrets
# Seeds of a search that costs next to nothing, and of one that takes seconds.
_SEEDS = {"smoke": (2, 1), "standard": (50, 2), "full": (50, 50), "paper": (50, 50)}


def entries(profile: str) -> tuple[Entry, ...]:
    """The methods, in the order of their groups in the figures; other registered ones come last, with their default settings."""
    sizes = profile_named(profile)
    smoke = sizes.name == "smoke"
    parzc = (("train", 10 if smoke else 78), ("size", sizes.model), ("epochs", sizes.epochs(200)), ("cells", sizes.cells))
    named: list[tuple[str, str, tuple[tuple[str, Any], ...]]] = [
        ("random", "Random search", ()),
        ("evolution", "REA", ()),
        ("reinforce", "REINFORCE", ()),
        ("nasbot", "NASBOT", ()),
        ("bohb", "BOHB", (("two", False),)),
        ("npenas", "NPENAS", (("epochs", sizes.epochs(100)),)),
        ("robot", "RoBoT", ()),
        ("robot", "RoBoT (logarithms)", (("transform", "log"),)),
        ("parzc", "ParZC", parzc),
        ("parzc", f"ParZC{OURS}", (("encoding", "aligned"), *parzc)),
        ("parzc_plus", PLUS, (("start", 10 if smoke else 20), ("cells", sizes.cells))),
        ("parzc_plus", ORDERED, (*TEN, ("cells", sizes.cells))),
    ]
    found = with_all_methods([Entry(kind, name, name, settings) for kind, name, settings in named], sizes.cells)
    return tuple(entry for entry in found if entry.method != "bohb" or bohb.installed())


def trainings(profile: str) -> int:
    """How many networks a search trains."""
    return 20 if profile_named(profile).name == "smoke" else TRAININGS


def planned(profile: str) -> list[SearchRun]:
    """Every search: each method on each data set, with trainings of 200 epochs."""
    name = profile_named(profile).name
    return [
        _search(name, entry.method, dataset, seed, entry.settings)
        for entry in entries(name)
        for seed in range(_SEEDS[name][0 if method(entry.method).effort < 1 else 1])
        for dataset in DATASETS
    ]


def planned_choices(profile: str) -> list[SearchRun]:
    """The searches that choose between SETTINGS; none in the smallest profiles."""
    name = profile_named(profile).name
    cells = (("cells", profile_named(name).cells),)
    return [
        _search(name, "parzc_plus", dataset, seed, (*setting, *cells))
        for seed in range(FIRST_SEED, FIRST_SEED + (CHOICE_SEEDS if name in ("full", "paper") else 0))
        for dataset in DATASETS
        for setting in SETTINGS.values()
    ]


def _search(profile: str, kind: str, dataset: str, seed: int, settings: tuple[tuple[str, Any], ...]) -> SearchRun:
    return SearchRun(kind, dataset, FULL, evaluations=trainings(profile), seed=seed, settings=settings)


def run(profile: str, store: Path, jobs: int = 1, complete: bool | None = None, choices: bool = False) -> pd.DataFrame:
    """The searches of a profile, a row each, as `run_planned` gives them. choices: those that choose between SETTINGS instead."""
    return run_planned(profile, planned_choices(profile) if choices else planned(profile), store, jobs, complete)


def lacking(profile: str, results: pd.DataFrame) -> str:
    """A sentence about the searches that are planned and not among the results, with about what they would cost."""
    plan = planned(profile)
    there = set(zip(results["method"], results["settings"], results["dataset"], results.get("seed", ()), strict=True))
    absent = [run for run in plan if (run.method, run.settings, run.dataset, run.seed) not in there]
    if not absent:
        return f"All {len(plan):,} planned searches are there."
    hours = sum(method(run.method).effort for run in absent) / 3600
    return (
        f"{len(absent):,} of {len(plan):,} planned searches are not stored and were not run; they would take about {hours:.1f} "
        "CPU-hours (set complete=True). Every row says how many seeds it has."
    )


def positions(runs: pd.DataFrame, count: int) -> np.ndarray:
    """int64[runs, count]: place in the benchmark of the best architecture after each training. runs: of one data set.

    A search that has ended early keeps its last one.
    """
    found = np.zeros((len(runs), count), dtype=np.int64)
    for line, (incumbents, at) in enumerate(zip(runs["incumbents"], runs["at"], strict=True)):
        for (position, _, _), number in zip(incumbents, at, strict=True):
            found[line, number - 1 :] = position
    return found


def best_so_far(runs: pd.DataFrame, count: int) -> np.ndarray:
    """float64[runs, count]: validation accuracy of the best after each training, percent. runs: of one data set."""
    return _validation(str(runs["dataset"].iloc[0]))[positions(runs, count)]


def optimum(dataset: str) -> float:
    """The highest validation accuracy of the space after full training, percent."""
    return float(_validation(dataset).max())


def _validation(dataset: str) -> np.ndarray:
    return benchmark("nb201", dataset, FULL).table.fidelities[FULL].accuracy


def trainings_to_optimum(best: np.ndarray, highest: float) -> np.ndarray:
    """float64[runs]: number of the training that found the optimum; infinite where none did. best: of `best_so_far`."""
    there = best >= highest - 1e-9
    return np.where(there.any(axis=1), there.argmax(axis=1) + 1.0, np.inf)


def rows(results: pd.DataFrame, profile: str, judge: Judge) -> list[Row]:
    """Validation and test accuracy of the best after so many trainings, mean and median, and the share that found the optimum.

    results: of `run`. A search is judged on the data set that it searched on. Means over seeds have intervals; n is how many.
    """
    made: list[Row] = []
    for dataset in DATASETS:
        about: dict[str, Any] = {"profile": profile, "origin": "ours"}
        note = "the best of the space, recomputed from the labels"
        for at in _numbers(profile):
            column = f"{COLUMNS[dataset]}, {at} trainings"
            made.append(Row(TABLE, "Optimal", column, "val_accuracy", optimum(dataset), note=note, **about))
            if judge.has(dataset, "test"):
                made.append(Row(TABLE, "Optimal", column, "test_accuracy", judge.best(dataset, "test"), note=note, **about))
        for name, runs in _by_method(results, dataset, profile):
            made += _rows(name, runs, profile, judge)
    return made


def _numbers(profile: str) -> tuple[int, ...]:
    return tuple(at for at in AT if at <= trainings(profile))


def _by_method(results: pd.DataFrame, dataset: str, profile: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, its searches on a data set) of every method that has some."""
    for entry in entries(profile):
        runs = entry.of(results[results["dataset"] == dataset])
        if len(runs):
            yield entry.table09, runs


def _rows(name: str, runs: pd.DataFrame, profile: str, judge: Judge) -> Iterator[Row]:
    about: dict[str, Any] = {"profile": profile, "origin": "ours"}
    dataset, count = str(runs["dataset"].iloc[0]), trainings(profile)
    archs = np.array(benchmark("nb201", dataset, FULL).table.archs)
    places, best = positions(runs, count), best_so_far(runs, count)
    reached = trainings_to_optimum(best, optimum(dataset))
    kinds = [("val", f"after {FULL} epochs, seen by the search")]
    if judge.has(dataset, "test"):
        kinds.append(("test", judge.notes[dataset, "test"]))
    for at in _numbers(profile):
        column = f"{COLUMNS[dataset]}, {at} trainings"
        for kind, note in kinds:
            found = best[:, at - 1] if kind == "val" else judge.accuracy(archs[places[:, at - 1]].tolist(), dataset, "test")
            yield row_of_runs(TABLE, name, column, f"{kind}_accuracy", found.tolist(), note=note, **about)
            middle, note = float(np.median(found)), f"median over seeds; {note}"
            yield Row(TABLE, name, column, f"{kind}_median", middle, n=len(runs), runs=len(runs), note=note, **about)
        share = (100.0 * (reached <= at)).tolist()
        note = "seeds that have found the best of the space by validation accuracy"
        yield row_of_runs(TABLE, name, column, "optimum_found", share, note=note, **about)
    median = float(np.median(reached))
    there = math.isfinite(median)
    late = f"fewer than half of the seeds found the optimum within {count} trainings"
    yield Row(
        TABLE, name, COLUMNS[dataset], "median_trainings", median if there else None, unit="trainings", n=len(runs),
        runs=len(runs), note="to the optimum, median over seeds" if there else late, **about,
    )  # fmt: skip
    seconds = (own_seconds(runs) / runs["trainings"]).tolist()
    note = "CPU-seconds of the method itself, a training"
    yield row_of_runs(TABLE, name, COLUMNS[dataset], "seconds", seconds, unit="s", note=note, **about)


def choices(results: pd.DataFrame) -> pd.DataFrame:
    """A row a data set and setting of SETTINGS: seeds, regret (of CHOSEN_BY, its mean), chosen (least regret of the data set),
    elsewhere (mean regret on the two other data sets). results: of `run` with choices; only seeds that all settings have.
    """
    lines = []
    for dataset in DATASETS:
        on = results[results["dataset"] == dataset]
        settings = [tuple(pair for pair in pairs if pair[0] != "cells") for pairs in on["settings"]]
        runs = {name: on[[each == own for each in settings]] for name, own in SETTINGS.items()}
        seeds = set.intersection(*(set(each.get("seed", ())) for each in runs.values()))
        for name, each in runs.items():
            both = each[each["seed"].isin(seeds)] if len(each) else each
            regret = math.nan
            if len(both):
                regret = float((optimum(dataset) - best_so_far(both, TRAININGS)[:, np.array(CHOSEN_BY) - 1]).mean())
            lines.append({"data set": COLUMNS[dataset], "setting": name, "seeds": len(both), "regret": regret})
    table = pd.DataFrame(lines)
    least = [on["regret"].idxmin() for _, on in table.groupby("data set") if on["regret"].notna().any()]  # the first, of equals
    table["chosen"] = table.index.isin(least)
    total, count = (table.groupby("setting")["regret"].transform(how) for how in ("sum", "count"))
    table["elsewhere"] = (total - table["regret"]) / (count - 1)
    return table


def rows_of_choices(table: pd.DataFrame, profile: str) -> list[Row]:
    """Rows of what `choices` gives: regret of each setting on each data set, in points."""
    when = ", ".join(map(str, CHOSEN_BY))
    note = f"mean over {when} trainings, seeds from {FIRST_SEED} on"
    return [
        Row(TABLE, f"{PLUS}, {line['setting']}", line["data set"], "choice_regret", line["regret"], unit="points",
            n=line["seeds"], runs=line["seeds"], profile=profile, origin="ours",
            note=note + ("; chosen here" if line["chosen"] else ""))
        for line in table.to_dict("records") if line["seeds"]
    ]  # fmt: skip


def leaders(results: pd.DataFrame, profile: str) -> pd.DataFrame:
    """For each data set and number of trainings: the method of least mean regret, its regret in points, and those of ParZC+.

    ahead of both: the methods whose regret is less than ParZC+'s from either start, best first.
    """
    lines = []
    for dataset in DATASETS:
        best = {name: best_so_far(runs, trainings(profile)) for name, runs in _by_method(results, dataset, profile)}
        for at in _numbers(profile):
            regret = pd.Series({name: optimum(dataset) - each[:, at - 1].mean() for name, each in best.items()}, dtype=float)
            own = regret.reindex([PLUS, ORDERED])
            ahead = regret[regret < own.min()].sort_values()
            lines.append(
                {
                    "data set": COLUMNS[dataset],
                    "trainings": at,
                    "best": regret.idxmin() if len(regret) else "",
                    "regret": regret.min(),
                    **own,
                    "ahead of both": ", ".join(map(str, ahead.index)),
                }
            )
    return pd.DataFrame(lines)


def sentences(results: pd.DataFrame, chosen: pd.DataFrame, profile: str) -> list[str]:
    """What ParZC+ reaches on each data set, where another method is ahead, and how its setting was chosen."""
    said = [f"**{COLUMNS[dataset]}**: {_reached(results, dataset, profile)}." for dataset in DATASETS]
    table = leaders(results, profile)
    behind = table[(table["ahead of both"] != "") & (table["trainings"] >= 30)]
    where = "; ".join(
        f"{line['data set']} after {line['trainings']}: {line['ahead of both']}" for line in behind.to_dict("records")
    )
    said.append(f"**From 30 trainings on** another method is ahead of {PLUS} in mean regret here: {where or 'nowhere'}.")
    if chosen["seeds"].sum():
        picks = chosen[chosen["chosen"]]
        words = "; ".join(
            f"{line['data set']} chooses {line['setting']} (seeds: {line['seeds']}; mean regret {line['regret']:.3f} there, "
            f"{line['elsewhere']:.3f} on the two others)"
            for line in picks.to_dict("records")
        )
        said.append(f"**The setting** was chosen among {len(SETTINGS)}: {words}.")
    return said


def _reached(results: pd.DataFrame, dataset: str, profile: str) -> str:
    """What each start of ParZC+ reaches on a data set."""
    count, parts = trainings(profile), []
    for name, runs in _by_method(results, dataset, profile):
        if name not in (PLUS, ORDERED):
            continue
        best = best_so_far(runs, count)
        reached = trainings_to_optimum(best, optimum(dataset))
        at = [number for number in (60, 100) if number <= count] or [count]
        shares = told.numbers([100 * float((reached <= number).mean()) for number in at], 0)
        middle = np.median(reached)
        when = f"median training {middle:.0f}" if math.isfinite(middle) else "in fewer than half"
        parts.append(
            f"after {' and '.join(map(str, at))} trainings {name} has found the best cell in {shares} % of {len(runs)} seeds "
            f"({when}), and its mean regret after {count} is {float((optimum(dataset) - best[:, -1]).mean()):.3f} points"
        )
    return "; ".join(parts) or f"no search of {PLUS} is there"


def found_by_trainings(results: pd.DataFrame, profile: str) -> Figure:
    """Share of seeds that have found the best cell of the space, by number of trainings; a panel a data set."""
    expect(len(results) > 0, "found_by_trainings got no search; nothing to draw")
    count = trainings(profile)
    figure = new_figure(14.5, 5.4)
    axes = figure.subplots(1, len(DATASETS), sharey=True)
    groups, looks = _looks(results, profile)
    handles: dict[str, Any] = {}
    for ax, dataset in zip(axes, DATASETS, strict=True):
        for name, runs in _by_method(results, dataset, profile):
            reached = trainings_to_optimum(best_so_far(runs, count), optimum(dataset))
            share = [100 * float((reached <= k).mean()) for k in range(1, count + 1)]
            style = LINE | looks[name] | {"markevery": along(list(looks).index(name), len(looks))}
            (line,) = ax.plot(range(1, count + 1), share, drawstyle="steps-post", clip_on=False, **style)
            handles.setdefault(name, line)
        ax.set(title=COLUMNS[dataset], xlabel=f"trainings of {FULL} epochs", xlim=(0, count + 1), ylim=(-3, 103))
    axes[0].set_ylabel("seeds that found the optimum (%)")
    for group, place in zip((*GROUPS, OTHERS), PLACES, strict=True):
        if own := groups.get(group):
            named = _with_seeds(own, results, profile)
            lines = [handles[name] for name in own]
            figure.legend(lines, named, loc=place, ncols=2, title=f"{group} (seeds)", handlelength=2.6, columnspacing=1.0)
    return figure


def spread_of_methods(results: pd.DataFrame, profile: str) -> Figure:
    """Validation accuracy of what each search ends with, methods by group: median, quartiles, nine tenths of the seeds.

    A method with fewer than FEW seeds has a hollow mark for each. A whisker far below all quartiles is cut, and told as such.
    """
    expect(len(results) > 0, "spread_of_methods got no search; nothing to draw")
    count = trainings(profile)
    figure = new_figure(12.5, 5.6)
    axes = figure.subplots(1, len(DATASETS), sharey=True)
    groups, looks = _looks(results, profile)
    places: dict[str, float] = {}
    for group in groups.values():
        first = max(places.values(), default=-1.6) + 1.6  # a gap between groups
        places |= {name: first + i for i, name in enumerate(group)}
    for ax, dataset in zip(axes, DATASETS, strict=True):
        found = {name: best_so_far(runs, count)[:, -1] for name, runs in _by_method(results, dataset, profile)}
        best = optimum(dataset)
        left = _left_end(list(found.values()), best)
        room = best - left
        ax.set(title=COLUMNS[dataset], xlabel="validation accuracy (%)", xlim=(best - 1.05 * room, best + 0.06 * room))
        for name, ends in found.items():
            _spread(ax, places[name], name, looks[name]["color"], ends, left)
        ax.axvline(best, color="black", linestyle="--", linewidth=1)
        ax.xaxis.set_major_locator(MaxNLocator(5, prune="both"))  # a label at the panel's end would be cut
        ax.annotate("optimum", (best, -0.8), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=9)
        ax.grid(visible=False, axis="y")
    axes[0].set_yticks(list(places.values()), _with_seeds(list(places), results, profile))
    axes[0].set(ylabel="method (seeds)", ylim=(max(places.values(), default=0) + 0.8, -1.2))
    looks_of: dict[str, dict[str, Any]] = {
        "median": {"marker": "o", "linestyle": ""},
        "quartiles": {"linewidth": 6, "alpha": 0.45},
        "nine tenths of the seeds": {"linewidth": 1.2},
        "goes on, to the value": {"marker": "<", "linewidth": 1.2},
        f"one seed, of fewer than {FEW}": {"marker": "o", "linestyle": "", "markerfacecolor": "white"},
    }
    figure.legend([Line2D([], [], color=GREY, **look) for look in looks_of.values()], list(looks_of),
                  loc="outside lower center", ncols=len(looks_of))  # fmt: skip
    return figure


def _with_seeds(names: list[str], results: pd.DataFrame, profile: str) -> list[str]:
    """ "REA (50)"; "ParZC+ (1 to 2)" where data sets differ."""
    seeds: dict[str, set[int]] = {}
    for dataset in DATASETS:
        for name, runs in _by_method(results, dataset, profile):
            seeds.setdefault(name, set()).add(len(runs))
    return [f"{name} ({' to '.join(map(str, sorted({min(seeds[name]), max(seeds[name])})))})" for name in names]


def _looks(results: pd.DataFrame, profile: str) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """The methods that have results, by group, and the look of each."""
    found = grouped(entry.table09 for entry in entries(profile) if len(entry.of(results)))
    looks = {name: style for styles in found.values() for name, style in styles.items()}
    return {group: list(styles) for group, styles in found.items()}, looks


def _left_end(found: list[np.ndarray], best: float) -> float:
    """Where a panel begins: at the least whisker, unless that is much farther from the optimum than all quartiles are."""
    whiskers = [float(np.quantile(each, 0.05) if len(each) >= FEW else each.min()) for each in found]
    quartiles = [float(np.quantile(each, 0.25) if len(each) >= FEW else each.min()) for each in found]
    nearest = best - 1.7 * (best - min(quartiles, default=best))
    left = max(min(whiskers, default=best), nearest) if nearest < best else min(whiskers, default=best)
    return left if left < best else best - 1.0


def _spread(ax: Axes, place: float, name: str, colour: str, found: np.ndarray, left: float) -> None:
    """Draw one method; what lies below `left` is an arrow with the value."""
    if len(found) < FEW:
        ax.plot(found, [place] * len(found), "o", color=colour, markerfacecolor="white", markersize=6, markeredgewidth=1.4)
        return
    least, low, middle, high, most = np.quantile(found, (0.05, 0.25, 0.5, 0.75, 0.95))
    ax.plot([max(least, left), most], [place, place], color=colour, linewidth=1.2)
    if least < left:
        ax.plot([left], [place], "<", color=colour, markersize=7)
        ax.annotate(f"{least:.1f}", (left, place), (0, -7), textcoords="offset points", ha="left", va="top", fontsize=9,
                    color=colour)  # fmt: skip
    ax.plot([low, high], [place, place], color=colour, linewidth=6, alpha=0.45, solid_capstyle="butt")
    ax.plot([middle], [place], "o", color=colour, markersize=8 if name == PLUS else 5)
