"""Table 7: losses, the slope of DiffKendall and the batch, all on the same splits; and the losses without failed trainings.

Of NAS-Bench-101's published means, those of cells with a failed training lie far below the others. `failed_trainings` draws
them, and what they do to each loss.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core.collecting.labelled import load
from parzc_core.drawing.style import BLUE, GREY, ORANGE, VERMILION, expect, new_figure
from parzc_core.labels.nb101_failed import failed_runs
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.rankers import RankerRun, run_rankers
from parzc_core.storage.rows import Row, paired_differences, row_of_runs, rows_of_differences

TABLE, EPOCHS = "table07", 150  # §4.1, NAS-Bench-101
TRAIN, WIDTH = 178, 32  # training cells as printed; channels of the networks whose statistics are read
LOSSES = {"MSE": "mse", "Rank": "rank", "DiffKendall": "diff_kendall"}
COMBINATIONS = ("MSE", "Rank", "MSE+Rank", "MSE+DiffKendall", "Rank+DiffKendall", "MSE+Rank+DiffKendall", "DiffKendall")
ALPHAS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
# What is varied -> column of the table. "trained": the losses on labels without failed runs (`labels.nb101_failed`).
COLUMNS = {"loss": "NB101-CF10 178", "trained": "without failed runs", "alpha": "alpha", "batch": "batch"}
# How many of a cell's three trainings failed -> its name and colour in the histogram.
_NAMES = {0: "all three trained", 1: "one of three failed", 2: "two failed", 3: "all failed"}
_COLOURS = {0: GREY, 1: BLUE, 2: ORANGE, 3: VERMILION}
_MARKS = ("|", "o", "D")

Plan = dict[tuple[str, str], list[RankerRun]]  # (of COLUMNS, row) -> a run a split


def planned(profile: str, train: int = TRAIN, width: int | None = WIDTH) -> Plan:
    """What a profile runs on `train` training cells, at most half of those collected; width: as in RankerRun.

    "standard" leaves out what costs most. Raises UnknownName, LabelsMissing.
    """
    sizes = profile_named(profile)
    train, cells = min(train, len(load("nb101", "cifar10", sizes.cells, width)) // 2), sizes.cells
    few, more = profile in ("smoke", "standard"), profile != "standard"
    base = RankerRun("nb101", cells=cells, train=train, size=sizes.model, epochs=sizes.epochs(EPOCHS, train), width=width)
    losses = {row: replace(base, losses=tuple((LOSSES[name], 1.0) for name in row.split("+"))) for row in COMBINATIONS}
    again = ("MSE", "DiffKendall") if few else COMBINATIONS
    runs = {("loss", row): run for row, run in losses.items()}
    runs |= {("trained", row): replace(losses[row], seeds="trained") for row in again}
    runs |= {("alpha", f"alpha = {a:g}"): replace(base, alpha=a) for a in ((0.1, 0.5, 10.0) if few else ALPHAS)}
    runs["batch", "all in one, as many epochs"] = replace(base, batch_size=train)
    if more:
        runs["batch", "all in one, four times the epochs"] = replace(base, batch_size=train, epochs=4 * base.epochs)
    runs["batch", "10"] = base
    return {what: [replace(run, split=split) for split in range(sizes.splits)] for what, run in runs.items()}


def run(plan: Plan, store: Path, jobs: int = 1) -> tuple[dict[tuple[str, str], pd.DataFrame], float]:
    """The results of every entry, a row a split, as `run_rankers` gives them, and the CPU-seconds of all.

    A run that is in two entries is trained once.
    """
    every = run_rankers(list(dict.fromkeys(one for runs in plan.values() for one in runs)), store, jobs)
    return {what: run_rankers(runs, store) for what, runs in plan.items()}, float(every["seconds"].sum())


def by_row(results: Mapping[tuple[str, str], pd.DataFrame], kind: str) -> pd.DataFrame:
    """Kendall's tau (%) of what is varied as `kind`, of COLUMNS: a row a split, a column a row of the table."""
    return pd.DataFrame({row: found["kendall"].to_numpy() for (what, row), found in results.items() if what == kind})


def rows(plan: Plan, results: Mapping[tuple[str, str], pd.DataFrame], profile: str) -> list[Row]:
    """The rows of Table 7: tau and rho in percent, means over splits with intervals; what DiffKendall has over other losses."""
    made = []
    for (kind, row), found in results.items():
        one = plan[kind, row][0]
        data = one.data
        judged = f"{one.train} training cells, {one.epochs} epochs, judged on {len(data) - one.train:,} unseen cells"
        about: dict[str, Any] = {"profile": profile, "origin": data.origin, "epochs": one.epochs, "published_epochs": EPOCHS}
        note = f"{judged}; {one.width} channels; {data.note}"
        for metric in ("kendall", "spearman"):
            made.append(row_of_runs(TABLE, row, COLUMNS[kind], metric, found[metric].tolist(), note=note, **about))
    for kind in ("loss", "trained"):
        taus = by_row(results, kind)
        if "DiffKendall" in taus:
            one = plan[kind, "DiffKendall"][0]
            about = {"profile": profile, "origin": "ours", "epochs": one.epochs, "published_epochs": EPOCHS}
            about["note"] = "mean of the paired differences over splits"
            pairs = [("DiffKendall", str(other)) for other in taus if other != "DiffKendall"]
            made += rows_of_differences(TABLE, COLUMNS[kind], taus, pairs, **about)
    return made


def differences(taus: pd.DataFrame, printed: pd.Series | None = None) -> pd.DataFrame:
    """`paired_differences` of DiffKendall over every other loss. taus: of `by_row`; printed: tau by row, to set beside it."""
    best = "DiffKendall"
    others = [str(other) for other in taus if other != best]
    found = paired_differences(taus, {f"{best} - {other}": (best, other) for other in others})
    return found if printed is None else found.assign(printed=[printed[best] - printed[other] for other in others])


def batches(taus: pd.DataFrame) -> pd.DataFrame:
    """`paired_differences` of every other batch over batches of 10. taus: of `by_row`."""
    others = [str(name) for name in taus if name != "10"]
    return paired_differences(taus, {f"{name} - batches of 10": (name, "10") for name in others})


def by_labels(results: Mapping[tuple[str, str], pd.DataFrame], printed: pd.Series) -> pd.DataFrame:
    """Tau (%) of the losses that were run on both kinds of labels, means over splits, beside what is printed."""
    taus, again = by_row(results, "loss"), by_row(results, "trained")
    means = {"printed": printed, "published labels": taus.mean(), "without failed runs": again.mean()}
    return pd.DataFrame(means).loc[again.columns]


def what_rows_show(means: pd.DataFrame, taus: Mapping[str, pd.DataFrame], batched: pd.DataFrame) -> list[str]:
    """Which loss is best on either kind of labels, whether DiffKendall wins, and what a large batch costs, as sentences.

    means: of `by_labels`. taus: {kind of labels: of `by_row`}. batched: of `batches`.
    """
    said = []
    for labels in means:
        order = means[labels].dropna().sort_values(ascending=False)
        if len(order):
            said.append(
                f"**{str(labels).capitalize()}**, best first: {', '.join(f'{row} {tau:.1f}' for row, tau in order.items())}; "
                f"they lie within {order.max() - order.min():.1f} points."
            )
    for labels, found in taus.items():
        table = differences(found) if len(found.columns) > 1 else pd.DataFrame()
        parts = [
            f"{name} {line['our mean difference']:+.1f} [{line['ci_low']:+.1f}, {line['ci_high']:+.1f}]"
            for name, line in table.iterrows()
        ]
        if parts:
            won, lost = int((table["ci_low"] > 0).sum()), int((table["ci_high"] < 0).sum())
            said.append(
                f"**DiffKendall on {labels}** is above {won} of {len(table)} losses and below {lost}, beyond the intervals over "
                f"splits: {'; '.join(parts)}."
            )
    costs = [f"{name} {line['our mean difference']:+.1f}" for name, line in batched.iterrows()]
    return said + ([f"**The batch**, points of tau: {'; '.join(costs)}."] if costs else [])


def slopes(taus: pd.DataFrame) -> Figure:
    """Tau against the slope alpha: a grey line a split, their mean, and its std over splits. taus: of `by_row`."""
    figure = new_figure(6.5, 3.6)
    ax = figure.subplots()
    at = [float(str(row).split()[-1]) for row in taus]
    ax.plot(at, taus.T, color="0.8", linewidth=0.8)
    ax.errorbar(at, taus.mean(), yerr=taus.std(), marker="o", capsize=3)
    ax.set(xscale="log", xlabel="α of DiffKendall", ylabel="Kendall's τ (%)")
    ax.set_title("Grey: one split each; bars: std over splits")
    return figure


def failed_trainings(mean: pd.Series, taus: pd.DataFrame) -> Figure:
    """Left, a histogram of the cells' mean accuracies by how many of their trainings failed; right, tau by loss and labels.

    mean: percent, a row a cell, as published. taus: percent, a row a loss, a column a kind of label. Raises BadInput for more
    than three kinds.
    """
    expect(0 < taus.shape[1] <= len(_MARKS), f"failed_trainings got {taus.shape[1]} kinds of label; expected 1 to 3")
    counts = failed_runs(mean)
    fig = new_figure(10.5, 3.9)
    left, right = fig.subplots(1, 2, width_ratios=(1.15, 1))
    bins = np.arange(8, 97, 1.0).tolist()
    for failed, name in _NAMES.items():
        chosen = mean[counts == failed]
        left.hist(chosen, bins=bins, color=_COLOURS[failed], label=f"{name}: {len(chosen):,} cells")
    left.set(yscale="log", xlabel="mean test accuracy of three trainings (%)", ylabel="cells per percentage point")
    left.set_title(f"{len(mean):,} cells of NAS-Bench-101")
    left.legend(loc="upper left", fontsize=9)
    places = np.arange(len(taus))
    for mark, column in zip(_MARKS, taus, strict=False):
        right.plot(taus[column], places, mark, markersize=9, markeredgewidth=2, label=column)
    right.set(yticks=places, yticklabels=taus.index, ylim=(len(taus) - 0.5, -0.5))
    right.set(xlabel="Kendall's τ (%), mean over splits", title="Table 7 on two kinds of labels")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=9)
    return fig
