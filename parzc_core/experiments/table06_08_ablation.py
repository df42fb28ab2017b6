"""Tables 6 and 8: what each part of ParZC adds, every combination trained on the same splits.

    plan = planned("full")
    results = run(plan, store)
    rows = rows_of_means(results, data_of(plan), "full")
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core.collecting.labelled import Data, load
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.profiles import profile as profile_named
from parzc_core.report import told
from parzc_core.runs.rankers import RankerRun, run_rankers
from parzc_core.storage.rows import Row, paired_differences, row_of_runs, rows_of_differences

SPACE, COLUMN, EPOCHS = "nb201", "NB201-CF10", 200  # §4.1
TRAIN, MORE = 78, 469  # training cells of the printed column and of ours; a small collection has fewer
COMBINATIONS = ("NP", "Mixer", "MLP", "BN", "NP+Mixer", "NP+BN", "Mixer+BN", "NP+Mixer+BN")
FULL_MODEL = "NP+Mixer+BN"
MABN_MODELS = ("Mixer+BN", FULL_MODEL)  # also run with the aligned encoding, and with MORE training cells
MOST_SPLITS = 5  # with MORE training cells
# What is said of a pair -> (with it, without it).
PAIRS = {
    "mixer instead of MLP": ("Mixer", "MLP"),
    "Bayesian layers in the mixer": ("Mixer+BN", "Mixer"),
    "Bayesian layers in the MLP": ("BN", "MLP"),
    "NP beside MABN": ("NP+Mixer+BN", "Mixer+BN"),
    "aligned encoding, MABN": ("Mixer+BN (aligned)", "Mixer+BN"),
    "NP beside the mixer": ("NP+Mixer", "Mixer"),
    "aligned encoding, full model": ("NP+Mixer+BN (aligned)", "NP+Mixer+BN"),
}

# Is min-max scaling needed to converge (§3.2)? Row -> (encoding, proxies). Synflow alone leaves what float32 can hold.
WITHOUT_SYNFLOW = tuple(name for name in PAPER_PROXIES if name != "synflow")
ENCODINGS = {
    "ParZC": ("paper", PAPER_PROXIES),
    "ParZC (log values)": ("log", PAPER_PROXIES),
    "ParZC (raw values)": ("raw", PAPER_PROXIES),
    "ParZC without Synflow": ("paper", WITHOUT_SYNFLOW),
    "ParZC without Synflow (log values)": ("log", WITHOUT_SYNFLOW),
    "ParZC without Synflow (raw values)": ("raw", WITHOUT_SYNFLOW),
}

Plan = dict[tuple[str, str], list[RankerRun]]  # (column, row of Table 6) -> a run a split


def planned(profile: str, dataset: str = "cifar10", train: int = TRAIN, more: int = MORE) -> Plan:
    """What a profile runs; train, more: numbers of training cells, at most a third and a half of those collected.

    Columns are named after the published numbers of cells. Raises UnknownName, LabelsMissing.
    """
    sizes = profile_named(profile)
    count = len(load(SPACE, dataset, sizes.cells))
    train, more = min(train, count // 3), min(more, count // 2)
    entries = [(TRAIN, train, name, "paper") for name in COMBINATIONS]
    entries += [(TRAIN, train, name, "aligned") for name in MABN_MODELS]
    entries += [(MORE, more, name, encoding) for name in MABN_MODELS for encoding in ("paper", "aligned")]
    plan: Plan = {}
    for printed, cells, name, encoding in entries:
        row = name + (" (aligned)" if encoding == "aligned" else "")
        plan[f"{COLUMN} {printed}", row] = [
            RankerRun(
                SPACE,
                dataset,
                sizes.cells,
                cells,
                split,
                tuple(name.split("+")),
                sizes.model,
                encoding=encoding,
                epochs=sizes.epochs(EPOCHS, cells),
            )
            for split in range(sizes.splits if printed == TRAIN else min(sizes.splits, MOST_SPLITS))
        ]
    return plan


def encodings(plan: Plan) -> Plan:
    """The full model of the printed column under each of ENCODINGS, on the same splits. plan: of `planned`."""
    full = plan[f"{COLUMN} {TRAIN}", "NP+Mixer+BN"]
    return {
        (f"{COLUMN} {TRAIN}", row): [replace(run, encoding=scheme, proxies=proxies) for run in full]
        for row, (scheme, proxies) in ENCODINGS.items()
    }


def data_of(plan: Plan) -> Data:
    """The cells and labels that all runs of the plan read."""
    return next(iter(plan.values()))[0].data


def run(plan: Plan, store: Path, jobs: int = 1) -> pd.DataFrame:
    """The results of all runs, a row each, as `run_rankers` gives them, with their `column` and `row` of the table."""
    results = run_rankers([one for runs in plan.values() for one in runs], store, jobs)
    results[["column", "row"]] = [place for place, runs in plan.items() for _ in runs]
    return results


def rows_of_means(results: pd.DataFrame, data: Data, profile: str) -> list[Row]:
    """Table 6's rows: tau and rho in percent, means over splits with intervals, and paired differences. results: of `run`."""
    judged = len(data) - results["train"].min()
    note = f"judged on {judged:,} unseen cells; {data.note}; encoding and sizes in the notebook"
    about: dict[str, Any] = {"profile": profile, "origin": "reproduced", "note": note}
    means = [
        row_of_runs("table06", str(row), str(column), metric, group[metric].tolist(), **_trained(group), **about)
        for (column, row), group in results.groupby(["column", "row"], sort=False)
        for metric in ("kendall", "spearman")
    ]
    return means + _differences(results, profile)


def _differences(results: pd.DataFrame, profile: str) -> list[Row]:
    """What each of PAIRS differs by, and the full model from every other combination, on the same splits."""
    printed = results[_printed(results)]
    taus = printed.pivot(index="split", columns="row", values="kendall")
    others = ((FULL_MODEL, other) for other in COMBINATIONS if other != FULL_MODEL)
    pairs = dict.fromkeys([*PAIRS.values(), *others])
    about: dict[str, Any] = {"profile": profile, "origin": "ours", "note": "mean of the paired differences over splits"}
    return rows_of_differences("table06", f"{COLUMN} {TRAIN}", taus, pairs, **_trained(printed), **about)


def rows_of_runs(results: pd.DataFrame, data: Data, profile: str) -> list[Row]:
    """Table 8's rows: the first three splits of Table 6's printed column, each with its interval over cells."""
    single = results[_printed(results) & (results["encoding"] == "paper") & (results["split"] < 3)]
    note = f"n cells judged, interval over cells; {data.note}"
    rows = []
    for one in single.to_dict("records"):
        for metric in ("kendall", "spearman"):
            low, high = one[f"{metric}_interval"]
            about: dict[str, Any] = {"n": one["n"], "ci_low": low, "ci_high": high, "profile": profile, "note": note}
            about |= {"epochs": one["epochs"], "published_epochs": EPOCHS}
            place = ("table08", one["row"], f"Run{one['split'] + 1}", metric)
            rows.append(Row(*place, one[metric], origin="reproduced", **about))
    return rows


def _trained(group: pd.DataFrame) -> dict[str, int]:
    """Epochs of the runs, as run and as published."""
    return {"epochs": int(group["epochs"].iloc[0]), "published_epochs": EPOCHS}


def convergence(results: pd.DataFrame) -> pd.DataFrame:
    """How training went under each encoding, a row each; results: of `run` on `encodings`.

    Columns: runs; finite, runs whose training loss stayed a number; improved, percent of all runs whose training loss was lower
    in the last epoch than in the first; first, last: mean training DiffKendall (100 times it, +100 is full concordance) of the
    runs that are finite in those epochs; kendall, mean over splits on unseen cells.
    """
    loss = pd.DataFrame(results["training_loss"].tolist(), columns=["first", "last"], index=results.index, dtype=float)
    lines = loss.assign(row=results["row"], kendall=results["kendall"])
    lines["improved"] = 100.0 * (loss["last"] < loss["first"])  # NaN is no improvement
    lines[["first", "last"]] *= -100
    table = lines.groupby("row", sort=False)[["improved", "first", "last", "kendall"]].mean()
    finite = np.isfinite(loss["last"]).groupby(results["row"], sort=False).sum()
    return table.assign(runs=results.groupby("row", sort=False).size(), finite=finite)


def encodings_say(went: pd.DataFrame) -> str:
    """One sentence a line of what `convergence` found, beside the scaled values of the same proxies; all numbers computed."""
    lines, by_row = [], went.to_dict("index")
    for scaled in ("ParZC", "ParZC without Synflow"):
        for what in ("raw values", "log values"):
            one, base = by_row[f"{scaled} ({what})"], by_row[scaled]
            runs, finite = int(one["runs"]), int(one["finite"])
            if finite < runs:
                lines.append(f"{scaled}, {what}: training ends in NaN in {runs - finite} of {runs} runs.")
                continue
            lines.append(
                f"{scaled}, {what}: the loss falls in {one['improved']:.0f} % of {runs} runs; tau {one['kendall']:.1f}, "
                f"with min-max scaling {base['kendall']:.1f}."
            )
    return "\n".join(lines)


def rows_of_encodings(results: pd.DataFrame, data: Data, profile: str) -> list[Row]:
    """Rows of Table 6 that the paper does not print: tau, rho and how training went, by encoding. results: as `convergence`."""
    rows, went = [], convergence(results).to_dict("index")
    for (column, row), group in results.groupby(["column", "row"], sort=False):
        lost = int(went[row]["runs"] - went[row]["finite"])
        note = f"judged on {len(data) - group['train'].min():,} unseen cells; {data.note}"
        if lost:
            note = f"training ended in NaN in {lost} of {len(group)} runs; {note}"
        about: dict[str, Any] = {"profile": profile, "origin": "ours", "note": note, **_trained(group)}
        for metric in ("kendall", "spearman"):
            rows.append(row_of_runs("table06", str(row), str(column), metric, group[metric].tolist(), **about))
        last = [-100 * loss[-1] for loss in group["training_loss"]]
        rows.append(row_of_runs("table06", str(row), str(column), "training DiffKendall", last, **about))
        share, about = float(went[row]["improved"]), {"n": len(group), "runs": len(group), **about}
        rows.append(Row("table06", str(row), str(column), "runs whose loss fell", share, **about))
    return rows


def gains(results: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """What each of PAIRS adds to tau with 78 training cells: `paired_differences`, and the difference of the printed means.

    results: of `run`. compared: Table 6 as `compare` gives it.
    """
    tau = results[_printed(results)].pivot(index="split", columns="row", values="kendall")
    chosen = compared[(compared["metric"] == "kendall") & (compared["column"] == f"{COLUMN} {TRAIN}")]
    printed: Mapping[Any, float] = chosen.set_index("row")["paper"].to_dict()
    difference = [printed.get(one, np.nan) - printed.get(other, np.nan) for one, other in PAIRS.values()]
    return paired_differences(tau, PAIRS).assign(**{"printed difference": difference})


def what_rows_show(gained: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    """What each part adds here and in print, then the rows that differ from print. gained: of `gains`; compared: as there."""
    said = []
    for what, line in gained.iterrows():
        mean, low, high, printed = line[["our mean difference", "ci_low", "ci_high", "printed difference"]].astype(float)
        verdict = "a gain" if low > 0 else "a loss" if high < 0 else "no clear difference"
        beside = f" The paper prints {printed:+.2f}." if np.isfinite(printed) else ""
        name = str(what)[0].upper() + str(what)[1:]
        said.append(f"**{name}**: {mean:+.1f} [{low:+.1f}, {high:+.1f}] points of tau, {verdict}.{beside}")
    chosen = compared[(compared["metric"] == "kendall") & (compared["column"] == f"{COLUMN} {TRAIN}")]
    for verdict in ("higher", "lower"):
        cells = [
            f"{row} {told.interval(chosen, str(row), f'{COLUMN} {TRAIN}')} (printed {printed:.1f})"
            for row, printed in chosen.loc[chosen["verdict"] == verdict].set_index("row")["paper"].items()
        ]
        if cells:
            said.append(f"**{verdict.capitalize()} than print:** {', '.join(cells)}.")
    return said


def _printed(results: pd.DataFrame) -> pd.Series:
    """bool, whether a result belongs to the column that the paper prints."""
    return results["column"] == f"{COLUMN} {TRAIN}"
