"""ParZC+: the ranker beside its rivals, without each of its parts, its intervals, and training sets of its own choice.

    results = ranked("full", store)  # and `ablated`, `calibrated`, `selected`, each a frame with a row a run
    rows = rows(results, parts, coverage, grown, "full")
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from parzc_core import paper
from parzc_core.collecting.labelled import judgeable
from parzc_core.drawing.style import BLUE, GREEN, GREY, ORANGE, VERMILION, expect, new_figure
from parzc_core.predictors.plus.calibration import CHOICES, LEVELS
from parzc_core.predictors.plus.model import GRAF_LIKE, LEARNERS, PARTS, PLUS, PlusConfig
from parzc_core.profiles import profile as profile_named
from parzc_core.report import told
from parzc_core.runs.plus import CalibrationRun, Cells, PlusRun, SelectionRun, run_stored
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.rows import Row, missing, paired_differences, row_of_runs

TABLE = "parzc_plus"
OURS, RIVAL, MABN = "ParZC+", "GRAF-like + proxies", "MABN as printed"
_MABN_SPLITS = 3  # its fits take minutes
# Data sets by the name of their columns: statistics, sizes, columns of Table 2 where it has them.
NB201_SIZES, NB101_SIZES = (78, 156, 469, 781, 1563), (100, 172, 424, 4236)
PLACES: dict[str, tuple[Cells, tuple[int, ...], str]] = {
    "NB201-CF10": (Cells(), NB201_SIZES, "NB201 S'_{}"),
    "NB201-CF100": (Cells(dataset="cifar100"), NB201_SIZES, ""),
    "NB201-IMG16": (Cells(dataset="imagenet16-120"), NB201_SIZES, ""),
    "NB101-CF10": (Cells("nb101", width=32), NB101_SIZES, "NB101 S_{}"),
}
MAIN = "NB201-CF10"
# Kind of interval, and way to choose the next cells -> how it is drawn.
SPREADS = {
    "given": ("as given", "o", VERMILION),
    "widened": ("widened by out-of-fold errors", "s", BLUE),
    "constant": ("one for all", "^", GREY),
    "conformal": ("conformal", "D", GREEN),
}
CHOICE_STYLES = dict(
    zip(CHOICES, ((GREY, "o"), (ORANGE, "s"), (VERMILION, "v"), (GREEN, "^"), (BLUE, "D")), strict=True)
)
CHOICE_DASHES: dict[str, Any] = dict(zip(CHOICES, ("", (5, 2), (1, 1.3), (6, 1.5, 1, 1.5), (2.5, 1.5)), strict=True))


@dataclass(frozen=True)
class Amount:
    """How much a profile runs.

    splits: on CIFAR-10 of NAS-Bench-201; splits_elsewhere: on the other data sets; sizes, sizes_elsewhere: numbers of training
    cells, and how many of them. ablation, calibration: {training cells: splits}. calibration_elsewhere: splits on the other data
    sets, with their fewest training cells. selection: splits of ParZC+, of MABN.
    """

    splits: int
    splits_elsewhere: int
    sizes: tuple[int, ...]
    sizes_elsewhere: int
    ablation: dict[int, int]
    calibration: dict[int, int]
    calibration_elsewhere: int
    selection: tuple[int, int]
    rounds: int
    config: PlusConfig = PLUS


AMOUNTS = {
    "smoke": Amount(1, 0, (78,), 0, {78: 1}, {78: 1}, 0, (1, 1), 1, PlusConfig(trees=10, steps=5, network_steps=5)),
    "standard": Amount(3, 1, (78, 156, 469), 1, {78: 2}, {78: 1}, 1, (1, 0), 3),
    "full": Amount(10, 3, NB201_SIZES, 9, {78: 10, 469: 2}, {78: 10, 469: 2}, 10, (5, 1), 4),
}


def ablation(config: PlusConfig = PLUS) -> dict[str, PlusConfig]:
    """{what is changed: configuration}: each part left out, each learner and kind of feature alone, MABN added."""
    statistics = tuple(part for part in PARTS if part not in ("graph", "paths", "scores"))
    graph = tuple(part for part in PARTS if part in ("graph", "paths"))
    named = {
        "process": "process on log error",
        "rank process": "process on ranks",
        "trees": "extra-trees",
        "MABN": "MABN",
    }
    without = {
        "without isomorphic classes": replace(config, isomorphic=False),
        "without node statistics": replace(config, parts=tuple(p for p in PARTS if p not in statistics)),
        "without graph features": replace(config, parts=tuple(p for p in PARTS if p not in graph)),
        "without network-level scores": replace(config, parts=tuple(p for p in PARTS if p != "scores")),
    }
    without |= {
        f"without {named[name]}": replace(config, learners=tuple(x for x in config.learners if x != name))
        for name in config.learners
    }
    alone = {
        "node statistics alone": replace(config, parts=statistics),
        "graph features alone": replace(config, parts=graph),
    }
    alone |= {f"{named[name]} alone": replace(config, learners=(name,)) for name in LEARNERS}
    other = {
        "with equal weights": replace(config, points=1e6),
        "with MABN as a fourth learner": replace(config, learners=LEARNERS),
    }
    return {**without, **other, **alone}


def there(profile: str) -> dict[str, tuple[Cells, list[int]]]:
    """{data set: (its cells, numbers of training cells)} of those whose statistics and labels are on this machine."""
    amount, sizes, found = _amount(profile), profile_named(profile), {}
    for name, (cells, samples, _) in PLACES.items():
        count = judgeable(cells.space, cells.dataset, cells.width)
        chosen = [n for n in samples if n in amount.sizes] if name == MAIN else list(samples[: amount.sizes_elsewhere])
        if count and (name == MAIN or amount.splits_elsewhere):
            some = min(count, sizes.cells or count)
            found[name] = replace(cells, cells=sizes.cells), [n for n in chosen if n <= 0.6 * some]
    return found


def ranked(profile: str, store: Path, jobs: int = 1) -> pd.DataFrame:
    """ParZC+ and the GRAF-like rival, each on every data set, size and split: columns place, row, train, split, kendall, ..."""
    amount = _amount(profile)
    rival = replace(GRAF_LIKE, trees=amount.config.trees)
    runs, labels = [], []
    for place, (cells, samples) in there(profile).items():
        for train in samples:
            for split in range(amount.splits if place == MAIN else amount.splits_elsewhere):
                for row, config in ((OURS, amount.config), (RIVAL, rival)):
                    runs.append(PlusRun(cells, train, split, config))
                    labels.append({"place": place, "row": row, "train": train, "split": split})
    return pd.DataFrame(labels).join(run_stored(runs, store, jobs))


def ablated(profile: str, store: Path, jobs: int = 1) -> pd.DataFrame:
    """ParZC+ and every configuration of `ablation` on the same splits: columns row, train, split, kendall, ..."""
    amount = _amount(profile)
    cells, _ = there(profile)[MAIN]
    runs, labels = [], []
    for train, splits in amount.ablation.items():
        for row, config in {OURS: amount.config, **ablation(amount.config)}.items():
            for split in range(splits):
                runs.append(PlusRun(cells, train, split, config))
                labels.append({"row": row, "train": train, "split": split})
    return pd.DataFrame(labels).join(run_stored(runs, store, jobs))


def calibrated(profile: str, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Coverage of ParZC+ on every data set, and of MABN as printed: columns place, row, train, split, "given 50", ..."""
    amount, runs, labels = _amount(profile), list[CalibrationRun](), []
    for place, (cells, samples) in there(profile).items():
        sizes = amount.calibration if place == MAIN else {samples[0]: amount.calibration_elsewhere}
        for row, mabn in ((OURS, None), (MABN, _mabn(profile)))[: 2 if place == MAIN else 1]:
            for train, splits in sizes.items():
                for split in range(splits if mabn is None else min(splits, _MABN_SPLITS) if train < 100 else 0):
                    runs.append(CalibrationRun(cells, train, split, amount.config, mabn))
                    labels.append({"place": place, "row": row, "train": train, "split": split})
    return pd.DataFrame(labels).join(run_stored(runs, store, jobs))


def selected(profile: str, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Growing training sets, a row a number of labels: columns row, choice, split, labels, kendall, gap."""
    amount = _amount(profile)
    cells, _ = there(profile)[MAIN]
    pool = 3000 if cells.cells is None else cells.cells // 2
    runs, labels = [], []
    for row, mabn, splits in (
        (OURS, None, amount.selection[0]),
        (MABN, _mabn(profile), amount.selection[1]),
    ):
        for choice in CHOICES:
            for split in range(splits):
                runs.append(SelectionRun(choice, cells, 20, 20, amount.rounds, pool, split, amount.config, mabn))
                labels.append({"row": row, "choice": choice, "split": split})
    columns = ["labels", "kendall", "gap"]
    return (
        pd.DataFrame(labels)
        .join(run_stored(runs, store, jobs))
        .explode(columns, ignore_index=True)
        .astype({"labels": int, "kendall": float, "gap": float})
    )


def beside(results: pd.DataFrame) -> pd.DataFrame:
    """tau, mean over splits, by data set and size: ours, the rival, Table 2's ParZC and PINAT, and its best of all; percent."""
    printed = paper.printed("table02")
    lines = {}
    for (place, train), group in results.groupby(["place", "train"], sort=False):
        means = group.groupby("row")["kendall"].mean()
        column = PLACES[str(place)][2].format(train)
        named = printed[printed["column"].isin([column, f"{column} (all)"])] if column else printed[:0]
        values = named.dropna(subset="value").set_index("row")["value"]
        lines[place, train] = {
            OURS: means[OURS],
            RIVAL: means[RIVAL],
            **{f"printed {row}": values.get(row) for row in ("ParZC", "PINAT")},
            "splits": group["split"].nunique(),
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def over_rival(results: pd.DataFrame) -> pd.DataFrame:
    """`paired_differences` of tau, ParZC+ over the GRAF-like rival; a row a data set and number of training cells."""
    lines = []
    for (place, train), group in results.groupby(["place", "train"], sort=False):
        scores = group.pivot(index="split", columns="row", values="kendall")
        lines.append(paired_differences(scores, {f"{place} {train}: {OURS} over the GRAF-like rival": (OURS, RIVAL)}))
    return pd.concat(lines)


def by_part(parts: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """{what was run, in words: tau of each configuration and its `paired_differences` from ParZC+}. parts: of `ablated`."""
    found = {}
    for train, group in parts.groupby("train"):
        scores = group.pivot(index="split", columns="row", values="kendall")
        table = paired_differences(scores, {row: (row, OURS) for row in group["row"].unique() if row != OURS}).round(2)
        table.insert(0, "tau", scores.mean().round(1))
        found[f"{train} training cells; {OURS} {scores[OURS].mean():.1f}, {len(scores)} splits"] = table
    return found


def coverages(coverage: pd.DataFrame) -> pd.DataFrame:
    """Means over splits of what `calibrated` measured, a column a data set, ranker and number of training cells."""
    columns = [f"{name} {what}" for name in SPREADS for what in (*LEVELS, *(f"width {level}" for level in LEVELS))]
    columns += [f"{name} density" for name in SPREADS if f"{name} density" in coverage]
    return coverage.groupby(["place", "row", "train"], sort=False)[[*columns, "widening", "error_of_spread"]].mean().T


def least_trained(coverage: pd.DataFrame) -> pd.DataFrame:
    """Of `calibrated` the lines of MAIN with its fewest training cells."""
    there = coverage[coverage["place"] == MAIN]
    return there[there["train"] == there["train"].min()]


def misses(coverage: pd.DataFrame, spread: str = "conformal") -> pd.Series:
    """{data set: points}: of the intervals of ParZC+ with the fewest training cells the largest distance of the mean coverage
    over splits from its level."""
    ours = coverage[coverage["row"] == OURS]
    few = ours[ours["train"] == ours.groupby("place")["train"].transform("min")].groupby("place", sort=False)
    means = few[[f"{spread} {level}" for level in LEVELS]].mean()
    return (means - np.array(LEVELS)).abs().max(axis=1)


def at_the_end(grown: pd.DataFrame) -> pd.DataFrame:
    """Tau and gap to the best cell with the most labels, mean and std over splits, by ranker and choice. grown: of `selected`."""
    last = grown[grown["labels"] == grown["labels"].max()].groupby(["row", "choice"], sort=False)[["kendall", "gap"]]
    return pd.concat({"mean": last.mean(), "std over splits": last.std()}, axis=1)


def conclusions(results: pd.DataFrame, parts: pd.DataFrame, coverage: pd.DataFrame, grown: pd.DataFrame) -> list[str]:
    """What was measured, a sentence or two each: over the rival, by part, intervals, choice of the next cells."""
    least = results.groupby("place")["train"].transform("min")
    few = results[results["train"] == least].pivot_table(index=["place", "train"], columns="row", values="kendall", sort=False)
    lines = few.reset_index().to_dict("records")
    places = ", ".join(f"{x['place']} with {x['train']} labels {x[OURS]:.1f} ({RIVAL}: {x[RIVAL]:.1f})" for x in lines)
    fewest = parts[parts["train"] == parts["train"].min()].pivot(index="split", columns="row", values="kendall").mean()
    cost = (fewest[OURS] - fewest.drop(OURS)).sort_values(ascending=False)
    without = cost[cost.index.str.startswith("without")]
    narrow = least_trained(coverage).groupby("row", sort=False).mean(numeric_only=True)
    given, widened, conformal = (narrow[f"{spread} {LEVELS[0]}"] for spread in ("given", "widened", "conformal"))
    held = "; ".join(
        f"{row} {given[row]:.0f} % as given, {widened[row]:.0f} % widened and {conformal[row]:.0f} % conformal"
        for row in narrow.index
    )
    off = misses(coverage)
    worst = ", ".join(f"{place} {off[place]:.1f}" for place in off.index)
    labels = grown["labels"].max()
    last = grown[(grown["labels"] == labels) & (grown["row"] == OURS)].groupby("choice")[["kendall", "gap"]].mean()
    best, order = last["gap"].idxmin(), last["kendall"].idxmax()
    parted = ", ".join(f"{str(name).removeprefix('without ')} ({value:.1f} points)" for name, value in without.head(3).items())
    return [
        f"**Tau with the fewest labels.** {places}.",
        f"**Parts.** Leaving out these parts costs most: {parted}.",
        f"**Intervals that claim {LEVELS[0]} %** hold these shares of the unseen cells of {MAIN}: {held}. With the fewest "
        f"labels, conformal intervals of {OURS} that claim {told.numbers(LEVELS, 0)} % are off by at most these points: {worst}.",
        f"**The next cells.** With {labels} labels the choice *{best}* is {last.loc[best, 'gap']:.2f} points below the pool's "
        f"best, *random* {last.loc['random', 'gap']:.2f}. For ranking the other cells the best choice is *{order}*: tau "
        f"{last.loc[order, 'kendall']:.1f}, against {last.loc[best, 'kendall']:.1f} after *{best}*.",
    ]


def rows(
    results: pd.DataFrame, parts: pd.DataFrame, coverage: pd.DataFrame, grown: pd.DataFrame, profile: str
) -> Iterator[Row]:
    """The rows of the table, from `ranked`, `ablated`, `calibrated` and `selected`."""
    notes = {place: cells.data.note for place, (cells, _) in there(profile).items()}
    about: dict[str, Any] = {"profile": profile, "origin": "ours"}
    for (place, train, row), group in results.groupby(["place", "train", "row"], sort=False):
        note = f"judged on {group['n'].iloc[0]:,.0f} unseen cells; {notes[str(place)]}"
        yield row_of_runs(TABLE, str(row), f"{place} {train}", "kendall", group["kendall"].tolist(), note=note, **about)
        alone = group["kendall_no_twin"].tolist()
        if row == OURS and str(place).startswith("NB201") and not any(missing(value) for value in alone):
            note = f"judged on {group['n_no_twin'].mean():,.0f} unseen cells without a twin in training; {notes[str(place)]}"
            yield row_of_runs(TABLE, OURS, f"{place} {train}", "kendall, no twins", alone, note=note, **about)
    for (train, row), group in parts.groupby(["train", "row"], sort=False):
        column, note = f"{MAIN} {train}, ablation", notes[MAIN]
        yield row_of_runs(TABLE, str(row), column, "kendall", group["kendall"].tolist(), note=note, **about)
    for (place, train, row), group in coverage.groupby(["place", "train", "row"], sort=False):
        for spread in SPREADS:
            for level in LEVELS:
                values, column = group[f"{spread} {level}"].tolist(), f"{place} {train}, {level} % interval, {spread}"
                note = "accuracy, of the kind it learns from, of the unseen cells"
                yield row_of_runs(TABLE, str(row), column, "coverage", values, note=note, **about)
    for (row, choice, labels), group in grown.groupby(["row", "choice", "labels"], sort=False):
        for metric, unit in (("kendall", "%"), ("gap", "points")):
            values, name = group[metric].tolist(), f"{row}: {choice}"
            yield row_of_runs(TABLE, name, f"{labels} labels", metric, values, unit=unit, note=notes[MAIN], **about)


def _amount(profile: str) -> Amount:
    """The profile "paper" is as "full"."""
    return AMOUNTS.get(profile_named(profile).name, AMOUNTS["full"])


def _mabn(profile: str) -> RankerRun:
    sizes = profile_named("standard" if profile == "paper" else profile)
    return RankerRun(parts=("Mixer", "BN"), size=sizes.model, epochs=sizes.epochs(200))


def settings(profile: str) -> dict[str, Any]:
    """For the manifest."""
    return {"config": dataclasses.asdict(_amount(profile).config)}


def calibration_and_selection(coverage: pd.DataFrame, grown: pd.DataFrame) -> Figure:
    """A row a ranker: nominal against measured coverage; tau and gap to the best cell by number of labels, a line a choice.

    coverage: columns row, split, "given 50", ... (`calibrated`, of one size). grown: as of `selected`. Marks are means over
    splits, bands 95 % bootstrap intervals of the mean; titles say how many splits. Marks of the choices stand side by side at a
    number of labels, so that equal ones are seen.
    """
    expect(len(coverage), "calibration_and_selection got no coverage; expected a line a ranker and split at least")
    rows = list(dict.fromkeys(coverage["row"]))
    figure = new_figure(12, 3.9 * len(rows))
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for (left, middle, right), row in zip(axes, rows, strict=True):
        measured_on = coverage[coverage["row"] == row]
        means = measured_on.mean(numeric_only=True)
        left.plot([40, 100], [40, 100], color=GREY, linewidth=0.8)
        for name, (label, marker, colour) in SPREADS.items():
            measured = [means[f"{name} {level}"] for level in LEVELS]
            left.plot(LEVELS, measured, marker=marker, color=colour, label=label)
        left.set(xlabel="level of the interval (%)", ylabel="unseen cells inside (%)", ylim=(0, 102), xticks=LEVELS)
        left.set_title(f"{row}: coverage\n{_splits(measured_on['split'].nunique(), band=False)}")
        own = grown[grown["row"] == row]
        there = [choice for choice in CHOICE_STYLES if choice in set(own["choice"])]
        apart = {choice: 1.2 * (place - (len(there) - 1) / 2) for place, choice in enumerate(there)}
        beside = own.assign(labels=own["labels"] + own["choice"].map(apart))
        ticks = sorted(own["labels"].unique())
        for ax, column, label in (
            (middle, "kendall", "τ on test accuracy (%)"),
            (right, "gap", "points below the best"),
        ):
            if len(own):
                seaborn.lineplot(
                    beside, x="labels", y=column, hue="choice", style="choice", hue_order=there, style_order=there,
                    dashes={choice: CHOICE_DASHES[choice] for choice in there},
                    palette={choice: CHOICE_STYLES[choice][0] for choice in there},
                    markers={choice: CHOICE_STYLES[choice][1] for choice in there},
                    errorbar=("ci", 95), seed=0, err_kws={"alpha": 0.1, "linewidth": 0}, legend=False, ax=ax,
                )  # fmt: skip
            ax.set(xlabel="labels", ylabel=label)
            if len(own):
                ax.set_xticks(ticks)
            else:
                ax.text(0.5, 0.5, "not run in this profile", ha="center", va="center", transform=ax.transAxes)
        said = _splits(own["split"].nunique(), band=True) if len(own) else ""
        middle.set_title(f"{row}: ranking of other cells\n{said}")
        right.set_title(f"{row}: best cell found\n{said}")
    # Beside the panels, so that no line runs under a legend.
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=2, title="interval")
    styles = [
        Line2D([], [], color=colour, marker=marker, linestyle=(0, CHOICE_DASHES[choice]) if CHOICE_DASHES[choice] else "-")
        for choice, (colour, marker) in CHOICE_STYLES.items()
    ]
    title = "choice of the next cells (marks side by side)"
    figure.legend(styles, list(CHOICE_STYLES), loc="outside lower right", ncols=2, title=title, handlelength=3)
    return figure


def _splits(count: int, band: bool) -> str:
    """For a title: over how many splits marks are means, and whether there is a band."""
    if count == 1:
        return "one split" + (", so no interval" if band else "")
    return f"mean of {count} splits" + (", 95 % interval" if band else "")
