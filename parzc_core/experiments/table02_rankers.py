"""Table 2: which rankers and predictors are run, on how many cells of which space, and what they are worth as rows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from parzc_core import paper
from parzc_core.collecting.labelled import Data, judgeable, load
from parzc_core.errors import NotStored
from parzc_core.mabn import SIZES
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.registry import PREDICTORS, configuration
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.predictors import PredictorRun, run_predictors
from parzc_core.runs.rankers import GROUP, RankerRun, run_rankers
from parzc_core.storage.rows import Row, missing, paired_differences, row_of_runs

TABLE, DATASET = "table02", "cifar10"
# Parts and encoding of our rankers, by row. The paper's ParZC of this table has PINAT as its graph branch (A.4); ours has NP.
RANKERS: dict[str, tuple[tuple[str, ...], str]] = {
    "NP (DiffKendall)": (("NP",), "paper"),
    "ParZC": (("PINAT", "Mixer", "BN"), "paper"),
    "ParZC (NP)": (("NP", "Mixer", "BN"), "paper"),
    "ParZC (aligned)": (("NP", "Mixer", "BN"), "aligned"),
    "MABN (aligned)": (("Mixer", "BN"), "aligned"),
}
ROWS = {value: name for name, value in RANKERS.items()}
ONE_SHOT = {
    name: "one-shot: ranks by the accuracy of weights that candidates inherit from a trained supernet, which is not at hand"
    for name in ("SPOS", "FairNAS")
}


@dataclass(frozen=True)
class Benchmark:
    """A space's columns of Table 2.

    column: how their names begin; samples: numbers of training cells, as printed; epochs: of our rankers (§4.1). rows: of
    RANKERS. width, seeds: as in RankerRun. extra: not printed, run in "full" and "paper" alone.
    """

    space: str
    column: str
    samples: tuple[int, ...]
    epochs: int
    rows: tuple[str, ...]
    width: int | None = None
    seeds: Literal["mean", "trained"] = "mean"
    extra: bool = False

    def measured(self, column: str) -> str:
        """Which result a column of the table shows: the first of 424 samples is judged on 100 cells (PINAT's protocol)."""
        return "kendall_100" if column.endswith("(100 cells)") else "kendall"

    def columns(self, train: int) -> tuple[str, ...]:
        """Names of the columns for so many training cells."""
        name = f"{self.column}{train}"
        return (f"{name} (100 cells)", f"{name} (all)") if (self.space, train) == ("nb101", 424) else (name,)


_SAMPLES = {"nb201": (78, 156, 469, 781, 1563), "nb101": (100, 172, 424, 4236)}
SPLITS = 5  # of every predictor in the profile "full"
_NB101 = Benchmark("nb101", "NB101 S_", _SAMPLES["nb101"], 150, tuple(RANKERS), width=32)
BENCHMARKS = {
    "nb201": Benchmark("nb201", "NB201 S'_", _SAMPLES["nb201"], 200, tuple(RANKERS)[:-1]),
    "nb101": _NB101,
    # With labels as PINAT's public code makes them, from whose tables the printed values of rivals come (`labels.nb101_failed`).
    "nb101 without failed runs": replace(
        _NB101,
        column="NB101 without failed runs, S_",
        rows=tuple(RANKERS)[:-1],
        seeds="trained",
        extra=True,
    ),
}
# What is said of a pair -> (with it, without it).
PAIRS = {
    "statistics beside the graph": ("ParZC (NP)", "NP (DiffKendall)"),
    "aligned encoding": ("ParZC (aligned)", "ParZC (NP)"),
    "PINAT's graph branch in NP's place": ("ParZC", "ParZC (NP)"),
    "graph beside the statistics": ("ParZC (aligned)", "MABN (aligned)"),
    "DiffKendall in place of squared error, NP (ours)": ("NP (DiffKendall)", "NP (ours)"),
    "our structure of NP in place of the public one": ("NP (ours)", "NP"),
    "ParZC (aligned) over trees on graph features": ("ParZC (aligned)", "graph extra-trees"),
    "ParZC+ over these trees": ("ParZC+", "graph extra-trees"),
}
# Training cells at most, in the larger profiles. NN-Former takes about 25 CPU-seconds a cell and split: 10 CPU-hours for 1,563.
MOST = {"NN-Former": 200, "CTNAS (best checkpoint)": 500}
# Rows by the protocol of a predictor's own paper: (predictor, end of the name of what its runs record, what the note says).
OWN_PROTOCOLS = {
    "NN-Former (all cells)": ("NN-Former", "_all", "judged on all {all:,} cells, training cells among them, as in its paper"),
    "CTNAS (best checkpoint)": (
        "CTNAS (best checkpoint)",
        "_best",
        "the best of ten checkpoints on the {unseen:,} unseen cells that it is judged on, as printed",
    ),
}
LIMITS = {"smoke": 10, "standard": 1200}  # steps of predictors at most; the larger profiles train for all published epochs


@dataclass(frozen=True)
class Plan:
    """What a profile runs on a benchmark; cells: as in RankerRun."""

    benchmark: Benchmark
    profile: str
    cells: int | None
    rankers: tuple[RankerRun, ...]
    predictors: tuple[PredictorRun, ...]

    @property
    def data(self) -> Data:
        """The cells and their labels."""
        one = self.benchmark
        return load(one.space, DATASET, self.cells, one.width, one.seeds)

    def run(self, store: Path, jobs: int = 1) -> pd.DataFrame:
        """A result a row, those of `run_rankers` and `run_predictors`, with its row of the table as column `row`."""
        ours = run_rankers(self.rankers, store, jobs, reads=self._reads)
        rivals = run_predictors(self.predictors, store, jobs, reads=self._reads)
        ours["row"] = [row_of(one) for one in self.rankers]
        rivals["row"] = [row_of(one) for one in self.predictors]
        return pd.concat([found for found in (rivals, ours) if len(found)], ignore_index=True)

    def _reads(self, run: RankerRun | PredictorRun) -> set[str]:
        """What the rows show of a run's result."""
        return {self.benchmark.measured(column) for column in self.benchmark.columns(run.train)}


def row_of(run: RankerRun | PredictorRun) -> str:
    """Its row of the table."""
    return run.predictor if isinstance(run, PredictorRun) else ROWS[run.parts, run.encoding]


def planned(name: str, profile: str) -> Plan | None:
    """What is run in a profile on one of BENCHMARKS; None where the profile leaves it out, or its statistics or labels are not
    on this machine."""
    benchmark, sizes = BENCHMARKS[name], profile_named(profile)
    whole = profile in ("full", "paper")  # the others: the smallest training set, rivals on the first benchmark alone
    there = 0 if benchmark.extra and not whole else judgeable(benchmark.space, DATASET, benchmark.width)
    if not there:
        return None
    samples = [n for n in benchmark.samples if n <= 0.6 * min(there, sizes.cells or there)]
    chosen = samples if whole else samples[:1]
    rankers = [run for n in chosen for row in benchmark.rows for run in _rankers(benchmark, row, n, profile)]
    rivals = tuple(PREDICTORS) if whole or name == next(iter(BENCHMARKS)) else ()
    predictors = [
        run
        for n in chosen
        for predictor in rivals
        if n <= MOST.get(predictor, n)
        # Its paper has the published labels alone; shortened to what "standard" takes, it would say nothing of it.
        and not (predictor == "NN-Former" and (benchmark.extra or profile == "standard"))
        for run in _predictor_runs(benchmark, predictor, n, profile)
    ]
    return Plan(benchmark, profile, sizes.cells, tuple(rankers), tuple(predictors))


def only(plan: Plan, cells: Collection[tuple[str, str]]) -> Plan:
    """The part of a plan that makes these (row, column) cells of the table."""

    def wanted(run: RankerRun | PredictorRun) -> bool:
        return any((row_of(run), column) in cells for column in plan.benchmark.columns(run.train))

    return replace(plan, rankers=tuple(filter(wanted, plan.rankers)), predictors=tuple(filter(wanted, plan.predictors)))


def _predictor_runs(benchmark: Benchmark, name: str, train: int, profile: str) -> Iterator[PredictorRun]:
    """A run for each split."""
    sizes = profile_named(profile)
    splits = {"smoke": 1, "standard": 2, "full": SPLITS}.get(profile, sizes.splits)
    changes = _changes(name, benchmark, train, profile)
    for split in range(splits):
        yield PredictorRun(
            name, benchmark.space, DATASET, sizes.cells, train, split, changes, benchmark.width, benchmark.seeds
        )


WIDER = "public"  # size of the public implementation, eight times as wide and twice as deep
PRINTED_STEP = 16.0  # CPU-seconds of a training step of the printed size, 1,600 wide and five deep, measured on two cores


def wider(plan: Plan) -> dict[str, list[RankerRun]]:
    """{size: runs}: "ParZC (NP)" with the fewest training cells as planned, and WIDER, to see what a CPU's size costs.

    In the profile "full", on the benchmarks that the paper prints.
    """
    if plan.profile != "full" or plan.benchmark.extra:
        return {}
    which = (*RANKERS["ParZC (NP)"], plan.benchmark.samples[0])
    some = [run for run in plan.rankers if (run.parts, run.encoding, run.train) == which and run.split < GROUP]
    return {size: [replace(run, size=size) for run in some] for size in ("cpu", WIDER)} if some else {}


def by_size(plan: Plan, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Of `wider`, a row a pair of sizes: tau and CPU-seconds of either, and `paired_differences`. Empty where nothing is run."""
    try:
        found = {size: run_rankers(runs, store, jobs) for size, runs in wider(plan).items()}
    except NotStored:
        return pd.DataFrame()
    if not found:
        return pd.DataFrame()
    tau, seconds = (pd.DataFrame({size: one[what] for size, one in found.items()}) for what in ("kendall", "seconds"))
    name = f"{plan.benchmark.column}{plan.benchmark.samples[0]}: {WIDER} - cpu"
    about = {f"{what}, {size}": part[size].mean() for what, part in (("tau", tau), ("CPU-s", seconds)) for size in found}
    return paired_differences(tau, {name: (WIDER, "cpu")}).assign(**about)


def cost_of_the_printed_size() -> str:
    """What one split of the printed size would take, and why it is not run, as a sentence."""
    parts = []
    for benchmark in BENCHMARKS.values():
        if not benchmark.extra:
            steps = benchmark.epochs * -(-benchmark.samples[0] // RankerRun.batch_size)
            parts.append(f"{PRINTED_STEP * steps / 3600:.0f} on {benchmark.space} ({benchmark.samples[0]} cells)")
    return (
        f"**The printed size** (width {SIZES['printed']['width']:,}, depth {SIZES['printed']['depth']}) takes "
        f"{PRINTED_STEP:.0f} CPU-seconds a training step, so CPU-hours a split: {', '.join(parts)}. It is not run here."
    )


def cpu_hours(results: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """CPU-hours of the runs behind the table, a row a ranker, a column a benchmark and their sum, dearest first.

    results: of `Plan.run` by benchmark.
    """
    each = {name: found.groupby("row", sort=False)["seconds"].sum() / 3600 for name, found in results.items()}
    table = pd.DataFrame(each).fillna(0.0)
    table["all"] = table.sum(axis=1)
    table = table.sort_values("all", ascending=False)
    table.loc["all"] = table.sum()
    return table


def _rankers(benchmark: Benchmark, row: str, train: int, profile: str) -> Iterator[RankerRun]:
    """A run for each split; those of the largest training sets are five at most, as are all on NAS-Bench-201."""
    sizes, (parts, encoding) = profile_named(profile), RANKERS[row]
    few = benchmark.space == "nb201" or train > 1000 or "PINAT" in parts or benchmark.extra
    for split in range(min(sizes.splits, 5) if few else sizes.splits):
        yield RankerRun(
            benchmark.space,
            DATASET,
            sizes.cells,
            train=train,
            split=split,
            parts=parts,
            size=sizes.model,
            encoding=encoding,
            epochs=sizes.epochs(benchmark.epochs),
            width=benchmark.width,
            seeds=benchmark.seeds,
        )


def _changes(name: str, benchmark: Benchmark, train: int, profile: str) -> tuple[tuple[str, Any], ...]:
    """Of a predictor's configuration: training shortened to LIMITS in the smaller profiles, nothing in the larger ones."""
    if profile not in LIMITS:
        return ()
    config = configuration(name, benchmark.space)
    changes: list[tuple[str, Any]] = []
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Schedule):
            changes.append((field.name, value.shortened(train, LIMITS[profile])))
        elif field.name == "trees" and profile == "smoke":
            changes.append((field.name, 10))
    return tuple(changes)


def rows(plan: Plan, results: pd.DataFrame) -> list[Row]:
    """The rows of Table 2 for the results of `Plan.run`: tau in percent, a mean over splits with its interval."""
    data, made = plan.data, []
    for _, group in results.groupby(["row", "train"], sort=False):
        predictor, train = str(group["row"].iloc[0]), int(group["train"].iloc[0])
        own = {row: rest for row, (owner, *rest) in OWN_PROTOCOLS.items() if owner == predictor}
        for row, (end, said) in ({predictor: ("", "judged on {unseen:,} unseen cells")} | own).items():
            for column in plan.benchmark.columns(train):
                measured = plan.benchmark.measured(column)
                if (recorded := f"{measured}{end}") not in group:
                    continue
                unseen = min(100, len(data) - train) if measured == "kendall_100" else len(data) - train
                judged = said.format(all=len(data), unseen=unseen)
                epochs, published = _trained_for(plan, predictor, group)
                note = f"{_trained(plan, predictor, group)}{judged}; {data.note}"
                about: dict[str, Any] = {"profile": plan.profile, "origin": data.origin, "note": note}
                about |= {"epochs": epochs, "published_epochs": published}
                made.append(row_of_runs(TABLE, row, column, "kendall", group[recorded].tolist(), **about))
    return made


def _trained(plan: Plan, row: str, group: pd.DataFrame) -> str:
    """How many epochs, of how many published, and of which networks' statistics, in words that end with a separator."""
    epochs, published = _trained_for(plan, row, group)
    width = f"{plan.benchmark.width} channels; " if row in RANKERS and plan.benchmark.width is not None else ""
    return f"{_epochs(epochs, published)}; {width}" if published else ""


def _trained_for(plan: Plan, row: str, group: pd.DataFrame) -> tuple[int, int]:
    """Epochs as run, and as published; (0, 0) for trees and the like."""
    if row in RANKERS:
        return int(group["epochs"].iloc[0]), plan.benchmark.epochs
    published = getattr(configuration(row, plan.benchmark.space), "schedule", None)
    if published is None:
        return 0, 0
    run = dict(group["changes"].iloc[0]).get("schedule", published)
    return (run["epochs"] if isinstance(run, Mapping) else run.epochs), published.epochs  # a frame holds a dataclass as a dict


def _epochs(run: int, published: int) -> str:
    return f"{run} epochs" if run >= published else f"{run} of {published} epochs"


def gains(results: pd.DataFrame) -> pd.DataFrame:
    """`paired_differences` of tau of those of PAIRS that were run. results: of `Plan.run`, of one number of training cells."""
    tau = results.pivot(index="split", columns="row", values="kendall")
    both = {what: tau[[*pair]].dropna() for what, pair in PAIRS.items() if set(pair) <= set(tau)}
    none = paired_differences(tau, {})  # the columns, where no pair was run on one split
    return pd.concat([none, *(paired_differences(both[what], {what: PAIRS[what]}) for what in both if len(both[what]))])


def by_labels(compared: pd.DataFrame) -> pd.DataFrame:
    """Printed tau, ours on the published labels and ours without failed runs, a row a ranker; empty where those were not run.

    compared: Table 2 as `compare` gives it.
    """
    ours, printed = (compared.pivot(index="row", columns="column", values=which) for which in ("ours", "paper"))
    mark = " without failed runs,"
    sides = {
        base: pd.DataFrame({"printed": printed[base], "published labels": ours[base], mark.strip(" ,"): ours[column]})
        for column in ours
        if mark in str(column) and (base := str(column).replace(mark, ""))
    }
    return pd.concat(sides, axis=1).dropna(how="all") if sides else pd.DataFrame()


def quoted(profile: str) -> list[Row]:
    """The printed cells of one-shot methods, which are not run, and why."""
    about: dict[str, Any] = {"n": 0, "profile": profile, "origin": "quoted"}
    cells: Sequence[Mapping[Any, Any]] = paper.printed(TABLE).to_dict("records")
    return [
        Row(TABLE, *(cell[name] for name in ("row", "column", "metric", "value")), **about, note=f"not run: {reason}")
        for cell in cells
        if (reason := ONE_SHOT.get(cell["row"])) and not missing(cell["value"])
    ]
