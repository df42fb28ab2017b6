"""Proxies and rankers judged on labelled data: correlations, and the rows that Table 1 and its companions share."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.spaces import NDS, nb201
from parzc_core.storage.rows import Row, row_of_runs


def rows_of_proxies(table: str, column: str, data: Data, profile: str, note: str, origin: str) -> list[Row]:
    """Correlation of each proxy with accuracy as rows of that table."""
    row = partial(Row, table, profile=profile, origin=origin, note=f"n cells, interval over cells; {note}")
    return [
        row(
            PROXY_LABELS[c["proxy"]], column, c["metric"], c["value"],
            n=c["n"], ci_low=c["ci_low"], ci_high=c["ci_high"],
        )
        for c in proxy_correlations(data).to_dict("records")
    ]  # fmt: skip


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

EPOCHS = {"nb101": 150, "nb201": 200, **dict.fromkeys(NDS, 296)}  # of ParZC, Section 4.1
NDS_PROXIES = ("synflow", "snip", "grad_norm", "fisher")
# What rankers of a space have of their own: of NDS no graph, and four proxies (supplement, "Details for NDS").
RANKERS: dict[str, dict[str, Any]] = {name: {"parts": ("Mixer", "BN"), "proxies": NDS_PROXIES} for name in NDS}


def column_of(space: str, dataset: str) -> str:
    """The column of Table 1 whose statistics are read from there."""
    return next(column for column, where in COLUMNS.items() if where == (space, dataset))


def network_scores(data: Data) -> pd.DataFrame:
    """float64, index architectures, a column a proxy of PROXY_LABELS: sums over nodes, and the network-level scores there are.

    FLOPs of NAS-Bench-201 are those published (`nb201.flops`), computed here; the stored ones are the counter's.
    """
    sums = pd.DataFrame([one.sums() for one in data.collection.statistics], index=data.collection.archs)
    there = pd.concat([sums, data.collection.scores], axis=1)
    if "flops" in there and data.collection.manifest["config"]["space"] == "nb201":
        there["flops"] = [float(nb201.flops(arch)) for arch in data.collection.archs]
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


def ndcg(score: np.ndarray, truth: np.ndarray, share: float = 0.1) -> float:
    """Normalised discounted cumulative gain of the first `share` in the order of the scores, percent: are the best among them?

        >>> round(ndcg(np.array([3, 2, 1]), np.array([93.0, 94, 90]), share=0.3))
        50

    DCG = sum_j (2^truth_j - 1) / log2(1 + j), j = 1, 2, ... the place, over that of the best order (Järvelin & Kekäläinen, 2002;
    for architectures VKDNW, CVPR 2025). score: float[n], those that are not finite stand last, equal ones keep the order given.
    truth: float[n], percent: a point less is worth half. Raises BadInput: shapes, no pair, a truth that is not finite.
    """
    score, truth = np.asarray(score, dtype=float), np.asarray(truth, dtype=float)
    if score.shape != truth.shape or score.ndim != 1 or not len(score) or not np.isfinite(truth).all():
        raise BadInput(f"got scores {score.shape} and truth {truth.shape}; expected the same [n], and a finite truth")
    gain = np.exp2(truth - truth.max()) - np.exp2(-truth.max())
    order = np.argsort(-np.where(np.isfinite(score), score, -np.inf), kind="stable")
    discount = 1 / np.log2(2 + np.arange(max(1, round(share * len(score)))))
    return 100 * float(gain[order[: len(discount)]] @ discount / (np.sort(gain)[::-1][: len(discount)] @ discount))


def ranker_rows(table: str, results: pd.DataFrame, notes: Mapping[str, str], about: str, **rest: Any) -> list[Row]:
    """Trained rankers as rows of that table: means over splits.

    results: of `run_all`, with `row` and `column`. notes: what judges, by column. about: what stands before that, formatted
    with a run's numbers. rest: of `row_of_runs`.
    """
    made = []
    for (column, row), runs in results.groupby(["column", "row"], sort=False):
        first = runs.iloc[0]
        trained = {"epochs": int(first["epochs"]), "published_epochs": EPOCHS.get(first["space"], EPOCHS[NDS[0]])}
        described = {"note": f"{about.format(**first)}; {notes[str(column)]}", **trained, **rest}
        for metric in ("spearman", "kendall"):
            made.append(row_of_runs(table, str(row), str(column), metric, runs[metric].tolist(), **described))
    return made


def not_finite_note(count: int) -> str:
    """What a row says of the architectures whose score is NaN or infinite; they are left out of the correlation."""
    return f"; {count} cells without a finite score left out" if count else ""
