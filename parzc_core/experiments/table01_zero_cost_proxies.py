"""Table 1: how well one number an architecture, untrained, ranks them by accuracy, and ParZC on the same architectures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from parzc_core import labels, metrics, paper, paths
from parzc_core.collecting.labelled import Data, load
from parzc_core.collector import NodeStatistics
from parzc_core.errors import LabelsMissing, UnknownName
from parzc_core.paper import PROXY_LABELS
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.proxies import COLUMNS, EPOCHS, RANKERS, column_of, network_scores, not_finite_note, ranker_rows
from parzc_core.runs.rankers import RankerRun, run_rankers
from parzc_core.spaces import NDS
from parzc_core.storage.rows import Row
from parzc_core.storage.statistics import StatisticsStore

LEAST = 1000  # architectures that a column needs: the paper's protocol
SHARE = 0.6  # of them, to learn from
MOST_SPLITS = 5
NAMES = {"paper": "ParZC", "aligned": "ParZC (aligned)"}  # encoding -> row


def collected(columns: Sequence[str], cells: int | None = None) -> tuple[dict[str, Data], dict[str, dict[str, str]]]:
    """{column: what was collected for it}, and {column: {"judged on": why nothing}} where labels or statistics are missing."""
    found, absent = {}, {}
    for column in columns:
        if column not in COLUMNS:
            raise UnknownName.of("column of Table 1", column, COLUMNS)
        space, dataset = COLUMNS[column]
        try:
            if (there := StatisticsStore(paths.STATISTICS / space / dataset).complete()) >= (cells or LEAST):
                found[column] = load(space, dataset, cells)
            else:
                command = f"parzc collect --space {space} --dataset {dataset}"
                if space in NDS:  # whose labels are of some architectures only
                    labels.judged(space, dataset)
                    command += f" --sample labelled --cells {LEAST}"
                absent[column] = {"judged on": f"{there} architectures collected, {cells or LEAST} needed: {command}"}
        except LabelsMissing as error:
            absent[column] = {"judged on": str(error)}
    return found, absent


AGGREGATIONS: dict[str, Callable[[NodeStatistics, str], float]] = {
    "sum over nodes": lambda one, proxy: float(one.of(proxy).sum()),
    "mean over nodes": lambda one, proxy: float(one.of(proxy).mean()),
    "mean over weights": lambda one, proxy: float(one.of(proxy).sum() / one.numel.sum()),
    "sum over nodes of means": lambda one, proxy: float((one.of(proxy) / one.numel).sum()),
    "sum of log |value|": lambda one, proxy: float(np.log10(np.abs(one.of(proxy)[one.of(proxy) != 0])).sum()),
}


def aggregations(data: Data, proxies: Sequence[str]) -> pd.DataFrame:
    """Kendall's tau, percent, of each node-wise proxy (rows) under each way to make one number of its nodes (columns)."""
    return pd.DataFrame(
        {
            name: {
                PROXY_LABELS[proxy]: metrics.kendall(
                    np.array([number(one, proxy) for one in data.collection.statistics]), data.judged
                )
                for proxy in proxies
            }
            for name, number in AGGREGATIONS.items()
        }
    )


def by_labels(data: Data) -> pd.DataFrame:
    """Kendall's tau, percent, of each proxy (rows) with what the data are judged on and what rankers learn from (columns).

    The last column leaves out the tenth of the architectures with the least accuracy: how much of a tau stands in it.
    """
    scores = network_scores(data)
    rest = data.judged > np.quantile(data.judged, 0.1)
    return pd.DataFrame(
        {
            PROXY_LABELS[str(proxy)]: {
                f"judged on {data.judged_on}": metrics.kendall(score.to_numpy(), data.judged),
                f"judged on {data.learned_from}": metrics.kendall(score.to_numpy(), data.learn),
                "without the worst tenth": metrics.kendall(score.to_numpy()[rest], data.judged[rest]),
            }
            for proxy, score in scores.items()
        }
    ).T


def planned(data: Mapping[str, Data], profile: str, population: int = LEAST, share: float = SHARE) -> list[RankerRun]:
    """ParZC on every column of `data`, five splits at most; on CIFAR-10 with both encodings.

    population: cells of the protocol, or fewer where fewer are collected; share: of them, to learn from.
    """
    sizes, runs = profile_named(profile), []
    for column, (space, dataset) in COLUMNS.items():
        if column not in data:
            continue
        cells = min(population, len(data[column]))
        train = round(share * cells)
        for split in range(min(sizes.splits, MOST_SPLITS)):
            for encoding in NAMES if dataset == "cifar10" else ("paper",):
                epochs, own = sizes.epochs(EPOCHS[space], train), RANKERS.get(space, {})
                about = {"size": sizes.model, "encoding": encoding, "epochs": epochs, **own}
                runs.append(RankerRun(space, dataset, cells, train, split, **about))
    return runs


def ranked(runs: Sequence[RankerRun], store: Path, jobs: int = 1) -> pd.DataFrame:
    """The results of `planned`, a row a run, as `run_rankers` gives them, with `row` and `column` of the table."""
    results = run_rankers(runs, store, jobs)
    results["row"] = [NAMES[run.encoding] for run in runs]
    results["column"] = [column_of(run.space, run.dataset) for run in runs]
    return results


def rows_of_rankers(results: pd.DataFrame, data: Mapping[str, Data], profile: str) -> list[Row]:
    """ParZC's rows of Table 1: means over splits with intervals. results: of `ranked`."""
    notes = {column: one.note for column, one in data.items()}
    about = "trained on {train} for {epochs} epochs, judged on {n} cells"
    return ranker_rows("table01", results, notes, about, profile=profile, origin="reproduced")


def by_proxy(correlations: pd.DataFrame) -> pd.DataFrame:
    """A row a proxy, in order of tau: both correlations (percent), architectures, and how many scores are not finite."""
    table = correlations.pivot(index="proxy", columns="metric", values="value").sort_values("kendall").round(1)
    counts = correlations.groupby("proxy")[["n", "not_finite"]].first()
    return table.assign(n=counts["n"], not_finite=counts["not_finite"])


def far_from_print(compared: pd.DataFrame, points: float = 5.0) -> pd.DataFrame:
    """The proxies' taus that are more than so many points from the printed ones. compared: as `compare` gives Table 1."""
    labels = list(PROXY_LABELS.values())
    chosen = (compared["metric"] == "kendall") & (compared["delta"].abs() > points) & compared["row"].isin(labels)
    return compared.loc[chosen, ["row", "column", "paper", "ours", "ci_low", "ci_high", "delta", "verdict", "reason"]]


def rows_of_proxies(column: str, data: Data, correlations: pd.DataFrame, profile: str) -> list[Row]:
    """The proxies' rows of a column. correlations: of `proxy_correlations`."""
    return [
        Row(
            "table01",
            PROXY_LABELS[c["proxy"]],
            column,
            c["metric"],
            c["value"],
            n=c["n"],
            ci_low=c["ci_low"],
            ci_high=c["ci_high"],
            profile=profile,
            origin="reproduced",
            note=f"n cells, interval over cells; {data.note}" + not_finite_note(c["not_finite"]),
        )
        for c in correlations.to_dict("records")
    ]


def flops_beside_params(data: Mapping[str, Data]) -> list[str]:
    """A sentence a column of NAS-Bench-201: Kendall's tau of FLOPs and of Params, on either accuracy, and as printed."""
    printed = paper.printed("table01").set_index(["row", "column", "metric"])["value"]
    said = []
    for column, one in data.items():
        if COLUMNS[column][0] != "nb201":
            continue
        scores = network_scores(one)
        truths = {one.judged_on: one.judged, one.learned_from: one.learn}
        parts = [
            f"{label} "
            + ", ".join(f"{metrics.kendall(scores[name].to_numpy(), truth):.1f} on {split}" for split, truth in truths.items())
            + f" (printed {printed[label, column, 'kendall']:.0f})"
            for name, label in (("flops", "FLOPs"), ("params", "Params"))
        ]
        said.append(f"{column}, tau: {'; '.join(parts)}.")
    return said


def taus_between(scores: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    """Kendall's tau, percent, between proxies: which of them say the same."""
    values = [[metrics.kendall(scores[a].to_numpy(), scores[b].to_numpy()) for b in proxies] for a in proxies]
    return pd.DataFrame(
        np.array(values), index=[PROXY_LABELS[p] for p in proxies], columns=[PROXY_LABELS[p] for p in proxies]
    )
