"""Table 10: what a study finds, which settings matter, and what the best ones are worth on cells that it did not see."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parzc_core import metrics
from parzc_core._optional import optuna_library
from parzc_core.collecting.labelled import training_cells
from parzc_core.drawing.style import BACKDROP, BLUE, GREY, ORANGE, VERMILION, expect, new_figure
from parzc_core.errors import BadInput
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.protocol import run_all
from parzc_core.runs.rankers import GROUP, RankerRun, inputs_for, training_config
from parzc_core.storage.rows import Row, paired_differences, row_of_runs
from parzc_core.training import fit_many
from parzc_core.tuning.objective import SPLIT, StudyConfig, objective, study_cells
from parzc_core.tuning.spaces import SPACES, Value, apply
from parzc_core.tuning.trials import space_of, study_from

LABELS = {"table10": "Table 10", "a4": "A.4"}
DEFAULTS = "defaults"
MOST_CELLS = 3000  # of which a study and its judges take theirs
FEWEST = 8  # full trainings below which importances are noise
# Profile -> size of the spaces, and trials of each study.
PLANS = {"smoke": ("tiny", 3), "standard": ("small", 16), "full": ("cpu", 24), "paper": ("printed", 100)}


@dataclass(frozen=True)
class Found:
    """A study that has ended. trials: see `tuning.trials.frame`. default: the value of the settings it started from (percent)."""

    study: StudyConfig
    trials: pd.DataFrame
    default: float

    @property
    def complete(self) -> pd.DataFrame:
        """The trials that were trained to their end."""
        return self.trials[self.trials["state"] == "COMPLETE"]

    @property
    def best(self) -> dict[str, Value]:
        """The settings of the highest value. Raises BadInput where no trial was trained to its end."""
        if not len(self.complete):
            raise BadInput(f"got {len(self.trials)} trials, none trained to its end; give the study a larger budget")
        row = self.complete.iloc[int(self.complete["value"].argmax())]
        return {s.name: int(row[s.name]) if s.step else float(row[s.name]) for s in space_of(self.study).settings}

    @property
    def name(self) -> str:
        """How the best settings are called in tables."""
        return f"best of {LABELS[self.study.space]}'s space"


@dataclass(frozen=True)
class DefaultRun:
    """The value of a study's objective at the settings that it started from."""

    study: StudyConfig

    def key(self) -> dict[str, Any]:
        """That of the study, of another kind."""
        return {**self.study.key(), "kind": type(self).__name__}

    def evaluate(self) -> dict[str, Any]:
        """{"value": tau, percent}."""
        made = objective(self.study)
        return {"value": made.value(made.default)}


@dataclass(frozen=True)
class JudgedRun:
    """Rankers with settings of the study's space (None: the defaults) on GROUP splits of the cells that it did not see.

    first: the first of the splits, which are trained together (see `fit_many`).
    """

    study: StudyConfig
    values: tuple[tuple[str, Value], ...] | None
    first: int

    def key(self) -> dict[str, Any]:
        """The ranker, the settings and the splits."""
        values = None if self.values is None else dict(self.values)
        key = {"kind": type(self).__name__, "base": self.study.base.key(), "first": self.first, "values": values}
        return key if values is None else {**key, "space": self.study.space, "size": self.study.size}

    def evaluate(self) -> dict[str, Any]:
        """{"kendall": tau of each split, percent}."""
        study, base, splits = self.study, self.study.base, range(self.first, self.first + GROUP)
        data = base.data
        unseen = np.setdiff1d(np.arange(len(data)), study_cells(base).positions)
        parts = [[unseen[part] for part in training_cells(len(unseen), base.train, split)] for split in splits]
        inputs = [inputs_for(base, data, train) for train, _ in parts]
        config = training_config(base, inputs[0])
        rankers = fit_many(
            [item[train] for item, (train, _) in zip(inputs, parts, strict=True)],
            [data.learn[train] for train, _ in parts],
            config if self.values is None else apply(space_of(study), dict(self.values), config),
            splits,
        )
        taus = [
            metrics.kendall(ranker.predict(item[judged]), data.judged[judged])
            for ranker, item, (_, judged) in zip(rankers, inputs, parts, strict=True)
        ]
        return {"kendall": taus}


def planned(profile: str, dataset: str = "cifar10", train: int = 78) -> dict[str, StudyConfig]:
    """{space of settings: its study}; each has `train` cells of the first 3,000 of NAS-Bench-201."""
    sizes, (size, _) = profile_named(profile), PLANS[profile]
    base = RankerRun(
        "nb201",
        dataset,
        cells=min(sizes.cells or MOST_CELLS, MOST_CELLS),
        train=train,
        split=SPLIT,
        size=sizes.model,
        epochs=sizes.epochs(200),
    )
    return {name: StudyConfig(name, size, base) for name in SPACES}


def trials_of(profile: str) -> int:
    """Trials of each study in a profile."""
    return PLANS[profile][1]


def settings(plan: Mapping[str, StudyConfig]) -> pd.DataFrame:
    """A row a setting of every space: its printed range, the range here, and what it sets. plan: of `planned`."""
    lines, size = [], next(iter(plan.values())).size
    for name, study in plan.items():
        for s in space_of(study).settings:
            lines.append((LABELS[name], s.name, s.printed, s.range, s.sets + " (log)" * s.log))
    columns = ["space", "setting", "printed", f"here ({size})", "sets"]
    return pd.DataFrame(lines, columns=columns).set_index(["space", "setting"])


def states(panels: Mapping[str, Found]) -> pd.DataFrame:
    """How many trials of each study ended how: a row a state, a column a space."""
    counts = {label: item.trials["state"].value_counts() for label, item in panels.items()}
    return pd.DataFrame(counts).fillna(0).astype(int).rename_axis("trials")


def best_settings(label: str, found: Found) -> pd.DataFrame:
    """The best value of each setting beside its printed range, then its value in the study and that of the defaults."""
    best = pd.Series(found.best | {"value": found.complete["value"].max(), "value of the defaults": found.default})
    ranges = {s.name: s.printed for s in space_of(found.study).settings}
    shown = pd.DataFrame({"best of ours": best.map("{:.4g}".format), "printed range": pd.Series(ranges)})
    return shown.fillna("").loc[best.index].rename_axis(label)


def gains(found: Sequence[Found], judged: pd.DataFrame) -> pd.DataFrame:
    """`paired_differences` of each best settings over the defaults, beside the gain in the study itself. judged: of `judge`."""
    pairs = {f"{item.name} - {DEFAULTS}": (item.name, DEFAULTS) for item in found}
    own = [item.complete["value"].max() - item.default for item in found]
    return paired_differences(judged, pairs).assign(**{"gain in the study": own})


def conclusions(gained: pd.DataFrame) -> list[str]:
    """What a search was worth, a sentence a space. gained: of `gains`."""
    said = []
    for name, one in gained.iterrows():
        word = "a gain" if one["ci_low"] > 0 else "a loss" if one["ci_high"] < 0 else "no clear difference"
        interval = f"{one['our mean difference']:+.1f} [{one['ci_low']:.1f}, {one['ci_high']:.1f}]"
        said.append(
            f"**{str(name).partition(' - ')[0]}**: {one['gain in the study']:+.1f} points on the study's own validation parts, "
            f"{interval} on unseen splits: {word}."
        )
    return said


def finish(study: StudyConfig, trials: pd.DataFrame, store: Path) -> Found:
    """The study with its trials, and the value of the settings it started from; that is computed where `store` lacks it."""
    run = DefaultRun(study)
    return Found(study, trials, run_all([run], store)[run]["value"])


def importances(found: Found, seeds: int = 5, shuffles: int = 20) -> pd.DataFrame:
    """How much of the variance of a trial's value each setting explains (functional ANOVA, of the trials trained to their end).

    A row a setting; importance: in percent, mean over the forests of `seeds` seeds, whose range is least to most; chance: what
    the setting stays below in 95 % of shuffles of the values among the trials, where nothing matters. NaN below FEWEST trials.
    """
    space, columns = space_of(found.study), ["importance", "least", "most", "chance"]
    names = [setting.name for setting in space.settings]
    if len(found.complete) < FEWEST or found.complete["value"].nunique() < 2:
        return pd.DataFrame(np.nan, index=names, columns=columns)
    real = np.array([_fanova(found, found.complete, names, seed) for seed in range(seeds)])
    generator, shuffled = np.random.default_rng(0), []
    for seed in range(shuffles):
        values = generator.permutation(found.complete["value"].to_numpy())
        shuffled.append(_fanova(found, found.complete.assign(value=values), names, seed))
    chance = np.quantile(shuffled, 0.95, axis=0)
    return pd.DataFrame(np.column_stack([real.mean(0), real.min(0), real.max(0), chance]), index=names, columns=columns)


def _fanova(found: Found, trials: pd.DataFrame, names: Sequence[str], seed: int) -> list[float]:
    optuna = optuna_library("A study")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        shares = optuna.importance.get_param_importances(study_from(space_of(found.study), trials), evaluator=evaluator)
    return [100 * shares.get(name, 0.0) for name in names]


def judge(found: Sequence[Found], splits: int, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Kendall's tau (percent) with test accuracy where it is at hand: a row a split, a column DEFAULTS and each best settings.

    On every split rankers are trained once, on as many cells as the studies had, and judged on all others; the cells that
    a study saw take no part. found: studies of one ranker. Only what `store` lacks is trained. Raises BadInput.
    """
    bases = {item.study.base for item in found}
    if len(bases) != 1 or splits < 1:
        raise BadInput(f"got studies of {len(bases)} different rankers, {splits} splits; expected of one, at least 1")
    wanted = {DEFAULTS: None, **{item.name: tuple(item.best.items()) for item in found}}
    if len(wanted) != len(found) + 1:
        raise BadInput(f"got two studies of one space ({', '.join(item.name for item in found)}); expected one of each")
    runs = {
        name: [JudgedRun(item.study, wanted[name], first) for first in range(0, splits, GROUP)]
        for name, item in [(DEFAULTS, found[0]), *((item.name, item) for item in found)]
    }
    results = run_all([run for group in runs.values() for run in group], store, jobs, unit=f"{GROUP} rankers")
    taus = {name: [tau for run in group for tau in results[run]["kendall"]] for name, group in runs.items()}
    return pd.DataFrame(taus).iloc[:splits].rename_axis("split")


def rows(found: Sequence[Found], judged: pd.DataFrame, profile: str, column: str) -> list[Row]:
    """Table 10's rows: the best value of each setting, and what the best settings are worth on the splits of `judge`.

    column: the benchmark and number of training cells. Settings have the unit in which the paper prints their range.
    """
    base = found[0].study.base
    about: dict[str, Any] = {"profile": profile, "origin": "reproduced"}
    cells = f"{len(base.data) - 2 * base.train:,} unseen cells; {base.data.note}"
    over = {**about, "note": f"over the defaults, on the same splits; {cells}"}
    made = [
        row_of_runs("table10", "ParZC, defaults", column, "kendall", judged[DEFAULTS].tolist(), note=cells, **about)
    ]
    for item in found:
        made += _settings(item, about)
        name, gain = f"ParZC, {item.name}", judged[item.name] - judged[DEFAULTS]
        made.append(row_of_runs("table10", name, column, "kendall", judged[item.name].tolist(), note=cells, **about))
        made.append(row_of_runs("table10", name, "gain", "kendall", gain.tolist(), **over))
    return made


def _settings(item: Found, about: dict[str, Any]) -> Iterator[Row]:
    space, best = space_of(item.study), item.best
    for setting in space.settings:
        note = f"of {len(item.trials)} trials, {len(item.complete)} trained to their end; searched in {setting.range}"
        if setting.range != setting.printed:
            note += f", printed as {setting.printed}"
        column = f"{LABELS[space.name]}: best of ours"
        yield Row("table10", setting.name, column, "value", float(best[setting.name]), unit="", note=note, **about)


def tuning_history(panels: Mapping[str, Found]) -> Figure:
    """Value of every trial in order, the best so far, and the default settings on the same cells; a panel a study."""
    expect(panels, "tuning_history got no study; nothing to draw")
    figure = new_figure(1 + 4.6 * len(panels), 4)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        expect(len(found.complete) > 0, f"{title}: no trial was trained to its end; nothing to draw")
        pruned = found.trials[found.trials["state"] == "PRUNED"]
        ax.plot(
            found.complete["number"], found.complete["value"], "o", color=BLUE, markersize=5, label="trained to its end"
        )
        ax.plot(pruned["number"], pruned["value"], "x", color=ORANGE, markersize=5, label="ended early (its last τ)")
        best = found.complete.sort_values("number")
        ends = [*best["number"], found.trials["number"].max()]  # what was best holds to the last trial, ended early or not
        highest = [*best["value"].cummax(), best["value"].max()]
        ax.step(ends, highest, where="post", color="black", linewidth=1.6, label="best so far")
        ax.axhline(found.default, color=VERMILION, linestyle="--", linewidth=1.2, label="default settings")
        ax.set(title=title, xlabel="trial")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        low = np.nanquantile(found.trials["value"], 0.1)
        ax.set_ylim(bottom=min(low, found.default) - 4)
        below = int((found.trials["value"] < ax.get_ylim()[0]).sum())
        if below:
            ax.annotate(
                f"{below} {'trial lies' if below == 1 else 'trials lie'} below",
                (0.99, 0.02),
                xycoords="axes fraction",
                ha="right",
                fontsize=9,
                bbox=BACKDROP,
            )
    axes[0].set_ylabel("Kendall's τ on validation parts (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def tuning_importance(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of the variance that each setting explains, with its range over forests, beside what chance gives; a panel a study.

    panels: title -> `importances`.
    """
    expect(panels, "tuning_importance got no study; nothing to draw")
    figure = new_figure(1 + 4.6 * len(panels), 3.8)
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    for ax, (title, table) in zip(axes, panels.items(), strict=True):
        shown = table.sort_values("importance")
        places = np.arange(len(shown))
        spread = [shown["importance"] - shown["least"], shown["most"] - shown["importance"]]
        ax.barh(places, shown["importance"].fillna(0), color=BLUE, height=0.6, label="importance, with its range over 5 forests",
                xerr=np.nan_to_num(spread), ecolor="black", capsize=3)  # fmt: skip
        ax.plot(
            shown["chance"],
            places,
            "|",
            color=VERMILION,
            markersize=17,
            markeredgewidth=2.2,
            label="95 % of shuffled values",
        )
        ax.set_yticks(places, list(shown.index))
        ax.set(title=title, xlabel="variance of τ explained (%)")
        ax.grid(visible=False, axis="y")
        if table["importance"].isna().all():
            ax.text(0.5, 0.5, "too few trials", transform=ax.transAxes, ha="center", color=GREY)
    # The panels share their axis, which is set once for all: one without bars would shrink it.
    ends = [float(table[["most", "chance"]].max().max()) for table in panels.values() if table.notna().any(axis=None)]
    axes[0].set_xlim(0, 1.05 * max(ends, default=1.0))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
