"""Table 1's rows of zero-cost proxies: how well one number an architecture, untrained, ranks them by accuracy."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from parzc_core import labels, metrics
from parzc_core.collecting.labelled import Data, load
from parzc_core.collector import NodeStatistics
from parzc_core.errors import LabelsMissing, UnknownName
from parzc_core.paper import PROXY_LABELS
from parzc_core.paths import STATISTICS
from parzc_core.runs.proxies import COLUMNS, network_scores, not_finite_note
from parzc_core.spaces import NDS
from parzc_core.storage.rows import Row
from parzc_core.storage.statistics import StatisticsStore

LEAST = 1000  # architectures that a column needs: the paper's protocol


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


def agreement_between(scores: pd.DataFrame, proxies: Sequence[str]) -> pd.DataFrame:
    """Kendall's tau, percent, between proxies: which of them say the same."""
    values = [[metrics.kendall(scores[a].to_numpy(), scores[b].to_numpy()) for b in proxies] for a in proxies]
    return pd.DataFrame(
        np.array(values), index=[PROXY_LABELS[p] for p in proxies], columns=[PROXY_LABELS[p] for p in proxies]
    )
