"""Table 1's rows of zero-cost proxies: how well one number an architecture, untrained, ranks them by accuracy."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import labels, metrics
from parzc_core.collector import NodeStatistics
from parzc_core.errors import LabelsMissing, UnknownName
from parzc_core.experiments import Data, load
from parzc_core.paper import PROXY_LABELS
from parzc_core.paths import STATISTICS
from parzc_core.results import Row, row_of_runs
from parzc_core.spaces import NDS
from parzc_core.statistics_store import StatisticsStore

# The columns that are run here: (space, data set) whose statistics are read.
COLUMNS = {
    "NB101-CF10": ("nb101", "cifar10"),
    "NB201-CF10": ("nb201", "cifar10"),
    "NB201-CF100": ("nb201", "cifar100"),
    "NB201-IMG16": ("nb201", "imagenet16-120"),
    "NDS-DARTS": ("nds_darts", "cifar10"),
    "NDS-NASNet": ("nds_nasnet", "cifar10"),
    "NDS-ENAS": ("nds_enas", "cifar10"),
}


LEAST = 1000  # architectures that a column needs: the paper's protocol
EPOCHS = {"nb101": 150, "nb201": 200, **dict.fromkeys(NDS, 296)}  # of ParZC, Section 4.1
NDS_PROXIES = ("synflow", "snip", "grad_norm", "fisher")
# What rankers of a space have of their own: of NDS no graph, and four proxies (supplement, "Details for NDS").
RANKERS: dict[str, dict[str, Any]] = {name: {"parts": ("Mixer", "BN"), "proxies": NDS_PROXIES} for name in NDS}


def column_of(space: str, dataset: str) -> str:
    """The column of Table 1 whose statistics are read from there."""
    return next(column for column, where in COLUMNS.items() if where == (space, dataset))


def collected(columns: Sequence[str], cells: int | None = None) -> tuple[dict[str, Data], dict[str, dict[str, str]]]:
    """{column: what was collected for it}, and {column: {"judged on": why nothing}} where labels or statistics are missing."""
    found, absent = {}, {}
    for column in columns:
        if column not in COLUMNS:
            raise UnknownName.of("column of Table 1", column, COLUMNS)
        space, dataset = COLUMNS[column]
        try:
            if (there := StatisticsStore(STATISTICS / space / dataset).complete()) >= (cells or LEAST):
                found[column] = load(space, dataset, cells)
            else:
                command = f"parzc collect --space {space} --dataset {dataset}"
                if space in NDS:  # whose labels are of some architectures only
                    labels.judge(space, dataset)
                    command += f" --sample labelled --cells {LEAST}"
                absent[column] = {"judged on": f"{there} architectures collected, {cells or LEAST} needed: {command}"}
        except LabelsMissing as error:
            absent[column] = {"judged on": str(error)}
    return found, absent


def network_scores(data: Data) -> pd.DataFrame:
    """float64, index architectures, a column a proxy of PROXY_LABELS: sums over nodes, and the network-level scores there are."""
    sums = pd.DataFrame([one.sums() for one in data.collection.statistics], index=data.collection.archs)
    there = pd.concat([sums, data.collection.scores], axis=1)
    return there[[name for name in PROXY_LABELS if name in there]]


def proxy_correlations(data: Data, resamples: int = 200) -> pd.DataFrame:
    """One row a proxy and metric: proxy, metric, value, ci_low, ci_high (bootstrap over architectures), n, not_finite."""
    records = []
    for proxy, column in network_scores(data).items():
        n = data.collection.scored.get(str(proxy), len(data))
        score, judged = column.to_numpy()[:n], data.judged[:n]
        agreement = metrics.correlations(score, judged)
        for metric, statistic in (("spearman", metrics.spearman), ("kendall", metrics.kendall)):
            low, high = metrics.bootstrap_interval(statistic, score, judged, resamples)
            value = getattr(agreement, metric)
            records.append((proxy, metric, value, low, high, agreement.n, agreement.not_finite))
    return pd.DataFrame(records, columns=["proxy", "metric", "value", "ci_low", "ci_high", "n", "not_finite"])


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


def table_rows(column: str, data: Data, correlations: pd.DataFrame, profile: str) -> list[Row]:
    """The same as rows of Table 1."""
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


def ranker_rows(table: str, results: pd.DataFrame, notes: Mapping[str, str], about: str, **rest: Any) -> list[Row]:
    """Trained rankers as rows of that table: means over splits.

    results: of `run_all`, with `row` and `column`. notes: what judges, by column. about: what stands before that, formatted
    with a run's numbers. rest: of `row_of_runs`.
    """
    made = []
    for (column, row), runs in results.groupby(["column", "row"], sort=False):
        said = f"{about.format(**runs.iloc[0])}; {notes[str(column)]}"
        for metric in ("spearman", "kendall"):
            made.append(row_of_runs(table, str(row), str(column), metric, runs[metric].tolist(), note=said, **rest))
    return made


def not_finite_note(count: int) -> str:
    """What a row says of the architectures whose score is NaN or infinite; they are left out of the correlation."""
    return f"; {count} cells without a finite score left out" if count else ""


def agreement_between(scores: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    """Kendall's tau, percent, between proxies: which of them say the same."""
    values = [[metrics.kendall(scores[a].to_numpy(), scores[b].to_numpy()) for b in proxies] for a in proxies]
    return pd.DataFrame(
        np.array(values), index=[PROXY_LABELS[p] for p in proxies], columns=[PROXY_LABELS[p] for p in proxies]
    )
