"""Tables 3 and 9: the searches that are run on NAS-Bench-201, what they find and cost as rows, and their figures.

    results = run("full", RESULTS / "full")
    rows_of_table_3 = rows("table03", results, "full", Judge())
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from parzc_core import paper
from parzc_core.drawing.searches import Curves
from parzc_core.drawing.style import BACKDROP, BLUE, SKY, VERMILION, expect, new_figure
from parzc_core.errors import UnknownName
from parzc_core.labels import nb201_12_epochs
from parzc_core.labels.nb201 import DATASETS
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.profiles import profile as profile_named
from parzc_core.report import told
from parzc_core.search import training_free
from parzc_core.search.benchmark import FULL
from parzc_core.search.judge import RESNET, Judge
from parzc_core.search.methods import bohb
from parzc_core.search.regret import OURS, Entry, curves, own_seconds, with_all_methods
from parzc_core.search.runs import SearchRun, run_planned, run_searches, runs_in, seconds_for
from parzc_core.storage.rows import Row, missing, row_of_runs

COLUMNS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
_SPLITS = {"val": "valid", "test": "test"}
EACH = ", each searched"
# The cell behind all six accuracies that the paper prints for ParZC: the best of CIFAR-100.
PRINTED_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
RANKER_EPOCHS = {"parzc": 200, "npenas": 100}  # as published, of the methods that train a ranker by epochs
POINTS = 60  # of a curve
CHARGED = "ParZC with its CPU-seconds"
_NAMES = {"random": "Random search"}  # in the figure
TRAININGS = 100  # of a search by a method that the paper does not have; those are shared with the notebook search_trainings
_SEEDS = {"smoke": 1, "standard": 2, "full": 50, "paper": 50}  # of such a method
DRAWS = {"smoke": 20}  # of a training-free row; 500 in other profiles
STAND_IN = " (stand-in)"
_SUPERNET = "trains one network with shared weights for the whole space, and benchmarks record trainings of single cells"
QUOTED = {
    "table03": {
        **dict.fromkeys(("ENAS", "GDAS", "DrNAS"), _SUPERNET),
        **{
            name: f"needs {protocol.stands_for.split(';')[0]}; see the row {name}{STAND_IN}"
            for name, protocol in training_free.PROTOCOLS.items()
            if protocol.stands_for
        },
    },
    "table09": dict.fromkeys(("RSPS", "DARTS-V2", "GDAS", "SETN", "ENAS-V2"), _SUPERNET),
}


def entries(profile: str) -> tuple[Entry, ...]:
    """The methods that are run, in the order of Table 9; ParZC in the profile's size and with both encodings.

    Registered methods that the paper does not have come last, with their default settings.
    """
    return with_all_methods(_printed(profile), profile_named(profile).cells)


def _printed(profile: str) -> tuple[Entry, ...]:
    """Those of methods that the paper has."""
    sizes = profile_named(profile)
    train = 16 if profile == "smoke" else 78
    parzc = (("train", train), ("size", sizes.model), ("epochs", sizes.epochs(RANKER_EPOCHS["parzc"])), ("cells", sizes.cells))
    return (
        Entry("random", "RS (w/o sharing)", "Random Sample"),
        Entry("npenas", "NPENAS", "NPENAS", (("epochs", sizes.epochs(RANKER_EPOCHS["npenas"])),)),
        Entry("evolution", "REA", "REA"),
        Entry("nasbot", "NASBOT", "NASBOT"),
        Entry("reinforce", "REINFORCE", "REINFORCE"),
        Entry("bohb", "BOHB", "BOHB", (("two", False),)),
        Entry("bohb", "BOHB (two fidelities)", "BOHB (two fidelities)"),
        Entry("parzc", "ParZC", "ParZC", parzc),
        Entry("parzc", f"ParZC{OURS}", f"ParZC{OURS}", (("encoding", "aligned"), *parzc)),
    )


def _added(entry: Entry) -> bool:
    """Whether the paper does not have the method."""
    return entry.method not in {printed.method for printed in _printed("smoke")}


def usual_epochs(entry: Entry) -> int:
    """Epochs of the trainings of its row without a suffix: 12 where that is published, 200 for what learns to rank cells."""
    return FULL if entry.method == "parzc" or _added(entry) else min(fidelities())


def not_runnable() -> dict[str, str]:
    """{method: why it cannot be run on this machine}."""
    if not nb201_12_epochs.at_hand():
        return {"bohb": "needs the 12-epoch accuracies, which are not on this machine"}
    return {} if bohb.installed() else {"bohb": "needs the package optuna, which is not on this machine"}


def fidelities() -> tuple[int, ...]:
    """Epochs of the trainings that searches are run with: 12, where those labels are at hand, and 200."""
    return (EPOCHS, FULL) if nb201_12_epochs.at_hand() else (FULL,)


def planned(profile: str) -> list[SearchRun]:
    """Every search of the two tables: all methods, data sets, fidelities and seeds that the profile and the machine allow.

    The smallest profile gives each a quarter of the budget. Methods that the paper does not have get trainings of 200 epochs and
    are limited by their number.
    """
    absent, share = not_runnable(), 0.25 if profile == "smoke" else 1.0
    return [
        SearchRun(
            entry.method, dataset, epochs, share * seconds_for(dataset, epochs), seed=seed, settings=entry.settings
        )
        for dataset in DATASETS
        for epochs in fidelities()
        for entry in entries(profile)
        if entry.method not in absent and not _added(entry)
        for seed in range(runs_in(profile, entry.method))
    ] + [
        SearchRun(entry.method, dataset, FULL, evaluations=round(share * TRAININGS), seed=seed, settings=entry.settings)
        for dataset in DATASETS
        for entry in entries(profile)
        if _added(entry)
        for seed in range(_SEEDS[profile_named(profile).name])
    ]


def run(profile: str, folder: Path, jobs: int = 1) -> pd.DataFrame:
    """The searches of a profile, a row each, as `run_searches` gives them. folder: of the profile's results.

    Those of methods that the paper does not have lie in the store of the notebook search_trainings; in the profile full, where
    they take CPU-hours, those are taken that are stored there.
    """
    plan = planned(profile)
    shared, own = ([run for run in plan if (run.seconds is None) == kind] for kind in (True, False))
    parts = [
        run_searches(own, folder / "table03" / "runs.jsonl", jobs),
        run_planned(profile, shared, folder / "search_trainings" / "runs.jsonl", jobs),
    ]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def settings_of(method: str, profile: str) -> dict[str, Any]:
    """The settings with which a method is first planned. Raises UnknownName."""
    found = {entry.method: dict(entry.settings) for entry in reversed(entries(profile))}
    if method not in found:
        raise UnknownName.of("method of a search", method, sorted(found))
    return found[method]


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """A row a data set, number of epochs, method and setting: runs, means over seeds, std of what is found, CPU-seconds.

    results: of `run_searches`.
    """
    told = results["settings"].map(lambda pairs: ", ".join(f"{k}={v}" for k, v in pairs if k in ("encoding", "two")))
    groups = results.assign(of=told, own=own_seconds(results)).groupby(["dataset", "epochs", "method", "of"], sort=False)
    table = groups.agg(
        runs=("seed", "size"),
        trainings=("trainings", "mean"),
        cost=("cost", "mean"),
        found=("val", "mean"),
        std=("val", "std"),
        own=("own", "mean"),
    )
    return table.rename(columns={"own": "CPU-seconds"})


def rows(table: str, results: pd.DataFrame, profile: str, judge: Judge) -> list[Row]:
    """The rows of "table03" or "table09", with the names of the paper's.

    results: of `run`. The paper's name stands for one search on CIFAR-10 whose architecture is judged on all three data
    sets, with trainings of 12 epochs as NAS-Bench-201's authors did it (ParZC: of 200, from which the paper's rankers learn). The
    other number of epochs, and a search on each data set, are rows of their own. Raises UnknownName for other tables.
    """
    if table not in ("table03", "table09"):
        raise UnknownName.of("table of searches", table, ("table03", "table09"))
    made = [*_constants(table, profile, judge)]
    for name, why in QUOTED[table].items():
        made += _quoted(table, profile, name, why)
    if table == "table03":
        made += _training_free(profile, judge)
    for entry in entries(profile):
        name = entry.table03 if table == "table03" else entry.table09
        chosen = entry.of(results)
        if not len(chosen):
            made += _quoted(table, profile, name, not_runnable().get(entry.method, "was not run"))
            continue
        usual = usual_epochs(entry)
        for epochs, runs in chosen.groupby("epochs"):
            on_first = runs[runs["dataset"] == DATASETS[0]]
            budget = (
                f", {on_first['budget'].iloc[0]:,.0f} s" if _two(entry.method, entry.settings) else f", {epochs} epochs"
            )
            suffix = "" if epochs == usual else budget
            made += _found(table, profile, name + suffix, on_first, judge, DATASETS)
            made += _spent(table, profile, name + suffix, on_first)
            if epochs == usual:
                for dataset in DATASETS[1:]:
                    own = runs[runs["dataset"] == dataset]
                    if not len(own):  # not stored so far
                        continue
                    made += _found(table, profile, name + EACH, own, judge, (dataset,))
    return made


def _found(
    table: str, profile: str, name: str, runs: pd.DataFrame, judge: Judge, datasets: Sequence[str]
) -> Iterator[Row]:
    """Accuracy of what some searches found."""
    first = runs.iloc[0]
    how = (
        f"searched on {COLUMNS[first['dataset']]} with trainings of {_trained(first)}, "
        f"{_budget(runs):,.0f} simulated seconds ({runs['trainings'].mean():.0f} trainings)"
    )
    for column, metric, dataset, split in _cells(table, datasets):
        about: dict[str, Any] = {"profile": profile, "origin": "reproduced"}
        if published := RANKER_EPOCHS.get(first["method"]):
            about |= {"epochs": int(dict(first["settings"]).get("epochs", published)), "published_epochs": published}
        if judge.has(dataset, split):
            note = f"{how}; {judge.notes[dataset, split]}"
            values = judge.accuracy(runs["arch"].tolist(), dataset, split).tolist()
            yield row_of_runs(table, name, column, metric, values, note=note, **about)
        else:
            about["origin"] = "unavailable"
            yield Row(table, name, column, metric, None, n=0, note=judge.missing[dataset], **about)


def _budget(runs: pd.DataFrame) -> float:
    """Simulated seconds that searches were given; of those that were given trainings, what they spent on average."""
    given = runs["budget"].iloc[0]
    return float(runs["cost"].mean() if given is None or missing(given) else given)


def _training_free(profile: str, judge: Judge) -> Iterator[Row]:
    """Table 3's rows that train nothing, each on every data set by scores collected there, and what collecting took.

    A method that is replaced by a simpler one has a row of its own, and its printed cells stay quoted.
    """
    about: dict[str, Any] = {"profile": profile, "origin": "reproduced"}
    cells = profile_named(profile).cells
    sample = training_free.SAMPLE if cells is None else cells // 3
    for row, protocol in training_free.PROTOCOLS.items():
        name = row + STAND_IN if protocol.stands_for else row
        for dataset, column in COLUMNS.items():
            found = training_free.best_of_samples(row, dataset, DRAWS.get(profile, 500), sample, cells=cells)
            if found is None:
                if not protocol.stands_for:
                    why = f"needs {' and '.join(protocol.scores)} of {sample:,} cells, which is not collected on {column}"
                    yield from _quoted("table03", profile, name, why, column)
                continue
            if not judge.has(dataset, "test"):
                yield Row("table03", name, column, "test_accuracy", None, n=0, note=judge.missing[dataset],
                          profile=profile, origin="unavailable")  # fmt: skip
                continue
            told_of = f"the best of {sample:,} random cells by {' + '.join(protocol.scores)}, of {found.pool:,} that have it"
            if protocol.stands_for:
                told_of += f"; in place of {protocol.stands_for}"
            values = judge.accuracy(found.archs, dataset, "test").tolist()
            note = f"{told_of}; {judge.notes[dataset, 'test']}"
            line = row_of_runs("table03", name, column, "test_accuracy", values, note=note, **about)
            yield dataclasses.replace(line, runs=min(len(values), found.apart))
            if (paid := training_free.collecting(row, dataset, sample)) is not None:
                note = f"CPU-seconds for {sample:,} cells, isomorphic ones collected once; the passes gave {', '.join(paid[1])}"
                yield Row("table03", name, f"Collecting, {column}", "seconds", paid[0], unit="s", note=note, **about)


def _trained(run: pd.Series) -> str:
    return f"{EPOCHS} and {FULL} epochs" if _two(run["method"], run["settings"]) else f"{run['epochs']} epochs"


def _two(method: str, settings: Sequence[tuple[str, Any]]) -> bool:
    """Whether a search has trainings of 12 and of 200 epochs, whichever its budget is made for."""
    return method == "bohb" and dict(settings).get("two", True)


def _cells(table: str, datasets: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """(column, metric, data set, split) of a table's accuracies."""
    for dataset in datasets:
        if table == "table03":
            yield COLUMNS[dataset], "test_accuracy", dataset, "test"
        else:
            for split, word in _SPLITS.items():
                yield f"{COLUMNS[dataset]} {word}", "accuracy", dataset, split


def _spent(table: str, profile: str, name: str, runs: pd.DataFrame) -> Iterator[Row]:
    """What the searches cost. Table 3: simulated seconds of training, as budgeted; Table 9: the method's own CPU-seconds.

    ParZC's own are added to its training seconds in Table 3, where other rows leave theirs out (they are below a minute), and
    are told apart by part in Table 9.
    """
    about: dict[str, Any] = {"profile": profile, "origin": "reproduced", "unit": "s"}
    parts = pd.DataFrame(list(runs["seconds"])).fillna(0.0)
    own = parts.sum(axis=1)
    budget, spent = _budget(runs), runs["cost"].mean()
    if table == "table03":
        is_parzc = runs["method"].iloc[0] in ("parzc", "parzc_plus")
        value = budget + (own.mean() if is_parzc else 0.0)
        note = f"simulated seconds of training that were given, of which {spent:,.0f} were spent"
        if is_parzc:
            note += f", and {own.mean():,.0f} CPU-seconds of collecting, training the ranker and ranking"
        yield Row(table, name, "Cost", "gpu_seconds", value, n=len(runs), runs=len(runs), note=note, **about)
        return
    note = f"CPU-seconds on one core, beside {spent:,.0f} simulated seconds of training"
    yield row_of_runs(table, name, "Search", "seconds", own.tolist(), note=note, **about)
    for part in parts if len(parts.columns) > 1 else ():
        yield row_of_runs(table, name, f"Search: {part}", "seconds", parts[part].tolist(), note="CPU-seconds", **about)


def _constants(table: str, profile: str, judge: Judge) -> Iterator[Row]:
    """The rows "Optimal" (each cell the best of its own column) and "ResNet", recomputed from the labels."""
    for column, metric, dataset, split in _cells(table, DATASETS):
        if not judge.has(dataset, split):
            for name in ("ResNet", "Optimal"):
                note = judge.missing[dataset]
                yield Row(table, name, column, metric, None, n=0, profile=profile, origin="unavailable", note=note)
            continue
        note = f"recomputed from the labels: {judge.notes[dataset, split]}"
        values = {"ResNet": float(judge.accuracy([RESNET], dataset, split)[0]), "Optimal": judge.best(dataset, split)}
        for name, value in values.items():
            yield Row(table, name, column, metric, value, profile=profile, origin="reproduced", note=note)


def _quoted(table: str, profile: str, name: str, why: str, column: str | None = None) -> Iterator[Row]:
    """The printed cells of a row, or that of one column, with the reason why they are only quoted."""
    cells: Sequence[Mapping[Any, Any]] = paper.printed(table).to_dict("records")
    for cell in cells:
        if cell["row"] == name and column in (None, cell["column"]) and not missing(cell["value"]):
            yield Row(
                table,
                name,
                cell["column"],
                cell["metric"],
                cell["value"],
                unit=cell["unit"],
                n=0,
                profile=profile,
                origin="quoted",
                note=f"not run: it {why}",
            )


def differences(compared: pd.DataFrame) -> list[str]:
    """What each search finds on the three data sets, and its cost, best first. compared: Table 3 of `compare`.

    Readings of ParZC's search are left out: `table03_09_readings` tells of them.
    """
    columns = list(COLUMNS.values())
    ours = compared[compared["ours"].notna()]
    cost = ours[ours["metric"] == "gpu_seconds"].set_index("row")["ours"].to_dict()
    names = {entry.table03 for entry in entries("full")}
    run = ours[ours["column"].isin(columns) & ours["row"].map(lambda row: row.partition(", ")[0]).isin(names)]
    run = run[~run["row"].str.contains(f"{EACH}| labels, ")]
    table = run.pivot(index="row", columns="column", values="ours").reindex(columns=columns).dropna()
    said = []
    for words, whole in (("200 epochs", True), ("12 epochs", False)):
        part = table[[_trained_whole(str(name)) == whole for name in table.index]].sort_values(columns[0], ascending=False)
        if len(part):
            spent = [f" ({cost[name]:,.0f} s)" if name in cost else "" for name in part.index]
            found = [f"{name} {_slashed(line.tolist())}" for name, line in part.iterrows()]
            listed = "; ".join(map("".join, zip(found, spent, strict=True)))
            order = f"best first on {columns[0]} ({' / '.join(columns)}; cost as in the table)"
            said.append(f"**Trainings of {words}**, {order}: {listed}.")
    printed = told.printed(compared, "ParZC", columns, "test_accuracy")
    reached = [str(name) for name, line in table.iterrows() if np.all(line.to_numpy() >= np.array(printed) - 0.005)]
    by = ", ".join(reached) or "no search"
    return [*said, f"**The printed {_slashed(printed)}** is reached on all three data sets by the average of {by} here."]


def _trained_whole(row: str) -> bool:
    """Whether a row's searches train for 200 epochs: those whose usual row does, and those of the others that say so."""
    whole = {entry.table03 for entry in entries("full") if usual_epochs(entry) == FULL}
    return "200 epochs" in row or "200,000 s" in row or row in whole


def _slashed(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def accuracies_of(arch: str, judge: Judge) -> dict[str, list[float]]:
    """{data set: its validation and test accuracy, percent, where they are at hand} of one cell."""
    return {
        name: [
            round(float(judge.accuracy([arch], dataset, split)[0]), 2)
            for split in _SPLITS
            if judge.has(dataset, split)
        ]
        for dataset, name in COLUMNS.items()
    }


def panels(results: pd.DataFrame, profile: str) -> dict[tuple[str, str], Curves]:
    """Regret curves by (trainings, data set) and method: (seconds[POINTS], regret[runs, POINTS]), for `regret_curves`.

    results: of `run_searches`. The grid is logarithmic, from a hundredth of the budget to the budget (and the CPU-seconds, where
    those are charged).
    """
    made: dict[tuple[str, str], Curves] = {}
    for (epochs, dataset), part in results.groupby(["epochs", "dataset"], sort=False):
        curves_of = made.setdefault((f"trainings of {epochs} epochs", COLUMNS[str(dataset)]), {})
        for entry in entries(profile):
            runs = entry.of(part)
            if not len(runs):
                continue
            budget = _budget(runs)
            name = _NAMES.get(entry.method, entry.table09)
            grid = np.geomspace(budget / 100, budget, POINTS)
            curves_of[name] = (grid, curves(runs, grid))
            if entry.method == "parzc" and OURS not in name:
                most = max(sum(parts.values()) for parts in runs["seconds"])
                grid = np.geomspace(budget / 100, budget + most, POINTS)
                curves_of[CHARGED] = (grid, curves(runs, grid, charged=True))
    return made


def one_search(steps: pd.DataFrame, optimum: float, title: str) -> Figure:
    """What one search trained when, what was best, and where the best of the space lies.

    steps: of `Trajectory.table`. optimum: the space's highest validation accuracy after full training, percent.
    """
    expect(len(steps) > 0, "one_search got a search without steps; nothing to draw")
    figure = new_figure(9, 4.2)
    ax = figure.subplots()
    marks = {epochs: ("o", BLUE) if epochs == steps["epochs"].max() else ("^", SKY) for epochs in set(steps["epochs"])}
    for epochs, (marker, colour) in sorted(marks.items()):
        part = steps[steps["epochs"] == epochs]
        ax.plot(
            part["cost"], part["accuracy"], marker, color=colour, markersize=4.5, alpha=0.7, linestyle="",
            label=f"trained for {epochs} epochs",
        )  # fmt: skip
    ax.step(steps["cost"], steps["best"], where="post", color="black", linewidth=1.6, label="best so far")
    ax.axhline(optimum, color=VERMILION, linestyle="--", linewidth=1.2, label="best of the space, 200 epochs")
    best = float(steps["best"].iloc[-1])
    ax.annotate(
        f"{best:.2f}", (steps["cost"].iloc[-1], best), (-4, -14), textcoords="offset points", ha="right", bbox=BACKDROP
    )
    low = np.quantile(steps["accuracy"], 0.1)
    ax.set_ylim(min(low, best - 1) - 0.5, optimum + 0.4)
    ax.set(xlabel="simulated seconds of training", ylabel="validation accuracy (%)", title=title)
    below = int((steps["accuracy"] < ax.get_ylim()[0]).sum())
    if below:
        ax.annotate(
            f"{below} {'training lies' if below == 1 else 'trainings lie'} below",
            (0.01, 0.02),
            xycoords="axes fraction",
            fontsize=9,
            bbox=BACKDROP,
        )
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    figure.legend(loc="outside lower center", ncols=4)
    return figure
