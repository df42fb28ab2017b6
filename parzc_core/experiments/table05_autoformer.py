"""Table 5: proxies, cross-validated ParZC and transfers on labelled Vision Transformers, each with its ground truth.

A transfer is a ranker that learned from one space and is judged on another. Node by node the spaces do not correspond. What
they share is a node's place in depth, in thirds of the network (NAS-Bench-201 and PiT: their stages), and between the two
Transformers also its role. A number of the shared encoding is the mean of log10 |value| of a proxy over the nodes of one such
group. It is standardised over all architectures of its own space, which needs no label: magnitudes of two spaces cannot be
compared.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import metrics
from parzc_core.collecting.labelled import Data, load
from parzc_core.collector import NodeStatistics
from parzc_core.encoding import ABSENT, LIMIT, PAPER_PROXIES, log_magnitude
from parzc_core.errors import BadInput, UnknownName
from parzc_core.runs.judging import intervals_of_mean
from parzc_core.runs.vit import EPOCHS, RANKERS, FoldRun, folds, training
from parzc_core.runs.vit_data import LABELS, Truth, note
from parzc_core.spaces.vit import autoformer, pit
from parzc_core.storage.rows import Row, row_of_runs
from parzc_core.training import fit_many

TABLE = "table05"
# Groups of nodes that two spaces share, and for which pair (learned from, judged on).
DEPTH = ("stem", "1", "2", "3", "head")
ROLES = ("stem", *(f"{third}.{role}" for third in "123" for role in ("qkv", "proj", "fc1", "fc2")), "head")
SHARED = {("autoformer", "pit"): ROLES, ("nb201", "autoformer"): DEPTH, ("nb201", "pit"): DEPTH}

Folds = tuple[Truth, str, int]  # ground truth, row, number of folds
Statistics = Mapping[int, Sequence[NodeStatistics]]  # seed -> those of each architecture


def spreads(data: Mapping[Truth, Mapping[int, Data]]) -> pd.DataFrame:
    """How far the accuracies lie apart that rankers are judged on, percent: a row a ground truth."""
    judged = pd.DataFrame({truth.column: pd.Series(next(iter(found.values())).judged) for truth, found in data.items()})
    return judged.describe().T[["count", "min", "25%", "50%", "max", "std"]]


def planned(data: Mapping[Truth, Mapping[int, Data]], profile: str, epochs: int = EPOCHS) -> dict[Folds, list[FoldRun]]:
    """The cross-validated rankers of every ground truth, a run a partition: three in "full" and "paper", else one.

    Five folds with the paper's encoding alone, ten with both. data: {ground truth: {seed: statistics and accuracy}}.
    """
    partitions = range(3 if profile in ("full", "paper") else 1)
    numbers = (5,) if profile == "smoke" else (5, 10)
    return {
        (truth, name, number): [
            FoldRun(truth, encoding, number, partition, tuple(found), epochs) for partition in partitions
        ]
        for truth, found in data.items()
        for name, encoding in RANKERS.items()
        for number in numbers
        if number == 10 or encoding == "paper"
    }


def node_groups(space: str, nodes: Sequence[str], shared: Sequence[str]) -> list[str | None]:
    """For each node of one architecture its group of `shared` (DEPTH or ROLES), None where it has none (poolings of PiT).

    Raises UnknownName for a space without a rule, BadInput for nodes that are not its own or ROLES of nb201.
    """
    if space == "nb201" and tuple(shared) == DEPTH:
        return [_nb201(node) for node in nodes]
    if space == "autoformer":
        places = [autoformer.role(node) for node in nodes]
        depth = max(layer for layer, _ in places)
        named = [(1 + 3 * (layer - 1) // depth if layer > 0 else layer, role) for layer, role in places]
    elif space == "pit":
        named = [(stage if layer else -2, role) for stage, layer, role in map(pit.role, nodes)]
        named = [(0 if role == "patch_embed" else -1 if role == "head" else third, role) for third, role in named]
    elif space == "nb201":
        raise BadInput("got nb201 and roles; its nodes have no roles of a Transformer: take DEPTH")
    else:
        raise UnknownName.of("space with shared groups", space, ("autoformer", "nb201", "pit"))
    found: list[str | None] = []
    for third, role in named:
        name = {0: "stem", -1: "head", -2: None}.get(third, f"{third}.{role}" if tuple(shared) == ROLES else str(third))
        found.append(name)
    return found


def _nb201(node: str) -> str:
    """A reduction, cells 5 and 11, belongs to the stage after it."""
    cell = re.match(r"cells\.(\d+)\.", node)
    if cell:
        return "1" if int(cell[1]) < 5 else "2" if int(cell[1]) < 11 else "3"
    return "stem" if node.startswith("stem") else "head"


def encoded(
    space: str, statistics: Sequence[NodeStatistics], shared: Sequence[str], proxies: Sequence[str] = PAPER_PROXIES
) -> np.ndarray:
    """float32[n, K * G], proxies one after the other; an empty group, or one without a finite value, is far below."""
    logs = np.full((len(statistics), len(proxies), len(shared)), np.nan)
    with warnings.catch_warnings(action="ignore"):  # means of groups without a value
        for row, one in zip(logs, statistics, strict=True):
            of_node = np.array([name or "" for name in node_groups(space, one.nodes, shared)])
            values = log_magnitude(np.stack([one.of(proxy) for proxy in proxies]))  # [K, L]
            for g, name in enumerate(shared):
                row[:, g] = np.nanmean(values[:, of_node == name], axis=1)
        mean, spread = np.nanmean(logs, axis=0), np.nanstd(logs, axis=0)
    standardised = np.clip((logs - mean) / np.where(spread > 0, spread, 1.0), -LIMIT, LIMIT)
    return np.where(np.isnan(standardised), ABSENT, standardised).reshape(len(logs), -1).astype(np.float32)


def transferred(
    learn: tuple[str, Mapping[int, Sequence[NodeStatistics]], np.ndarray],
    judge: tuple[str, Mapping[int, Sequence[NodeStatistics]]],
    epochs: int = EPOCHS,
) -> np.ndarray:
    """float64[seeds, n]: scores of the n judged architectures by a ranker for each seed, trained on all of the other space.

    learn: space, {seed: statistics}, accuracy float64[m] in percent. judge: space, {seed: statistics}; the k-th seed of both go
    together, and the last of those that there are fewer of is taken again. Raises BadInput where the two spaces share nothing.
    """
    pair = (learn[0], judge[0])
    if pair not in SHARED:
        raise BadInput(f"got a transfer from {pair[0]} to {pair[1]}; expected one of {', '.join(map(str, SHARED))}")
    shared = SHARED[pair]
    count = max(len(learn[1]), len(judge[1]))
    known, unseen = (
        [encoded(space, item, shared) for item in statistics.values()] for space, statistics in (learn[:2], judge)
    )
    known += [known[-1]] * (count - len(known))
    unseen += [unseen[-1]] * (count - len(unseen))
    config = training(known[0].shape[1], epochs)
    rankers = fit_many(known, [learn[2]] * count, config, seeds=range(count))
    return np.stack([ranker.predict(x) for ranker, x in zip(rankers, unseen, strict=True)])


def transfer_sources(
    truth: Truth, data: Mapping[Truth, Mapping[int, Data]], cells: int
) -> dict[str, tuple[str, Statistics, np.ndarray]]:
    """{what is learned from: space, statistics, accuracy} for a ground truth, as `transferred` takes it.

    PiT has AutoFormer with the same labels, where those are there; CIFAR-100 has so many cells of NAS-Bench-201.
    """
    found: dict[str, tuple[str, Statistics, np.ndarray]] = {}
    other = data.get(Truth("autoformer", truth.dataset, truth.source)) if truth.space == "pit" else None
    if other is not None:
        found["AutoFormer"] = ("autoformer", {seed: one.statistics for seed, one in other.items()}, other[0].learn)
    if truth.dataset == "cifar100":
        nb201 = load("nb201", "cifar100", cells)
        found["NAS-Bench-201"] = ("nb201", {0: nb201.statistics}, nb201.learn)
    return found


def overview(data: Mapping[Truth, Mapping[int, Data]]) -> pd.DataFrame:
    """A row a ground truth: architectures, seeds, least and greatest accuracy (percent)."""
    return pd.DataFrame(
        {
            truth.column: {
                "architectures": len(found[0]),
                "seeds": len(found),
                "accuracy, from": found[0].judged.min(),
                "to": found[0].judged.max(),
            }
            for truth, found in data.items()
        }
    ).T


def drawn_columns(data: Mapping[Truth, Mapping[int, Data]]) -> list[str]:
    """The ground truths that the figure of the table shows: CIFAR-100 and ImageNet, of a supernet or distilled, else all."""
    shown = [t.column for t in data if t.dataset in ("cifar100", "imagenet") and t.source != "base"]
    return shown or [t.column for t in data] or ["Autoformer-Ti"]


def _rows(name: str, truth: Truth, scores: np.ndarray, judged: np.ndarray, what: str, profile: str) -> list[Row]:
    """A row a metric of scores [k, n]; architectures without a finite score in each are left out, and the note says so."""
    finite = np.isfinite(scores).all(axis=0)
    left_out = f"; {int((~finite).sum())} without a finite score left out" if not finite.all() else ""
    about = f"{what}; 95 % interval over architectures; {note(truth, len(judged))}{left_out}"
    rest: dict[str, Any] = {"profile": profile, "origin": "reproduced"}
    found = intervals_of_mean(scores[:, finite], judged[finite])
    rows = []
    for metric, (value, spread, low, high) in found.items():
        of_seeds = f"std over {len(scores)} runs (seeds), " if len(scores) > 1 else "one seed, "
        rows.append(
            Row(
                TABLE,
                name,
                truth.column,
                metric,
                value,
                n=len(judged),
                runs=len(scores),
                std=spread,
                ci_low=low,
                ci_high=high,
                note=of_seeds + about,
                **rest,
            )
        )
    return rows


def proxy_scores(data: Mapping[int, Data]) -> dict[str, np.ndarray]:
    """{proxy: float64[seeds, n]}: sums over nodes, and the network-level scores, in the order of LABELS."""
    tables = [
        pd.concat(
            [pd.DataFrame([s.sums() for s in one.statistics], index=one.collection.archs), one.collection.scores],
            axis=1,
        )
        for one in data.values()
    ]
    return {name: np.stack([table[name] for table in tables]) for name in LABELS if all(name in t for t in tables)}


def proxy_rows(truth: Truth, data: Mapping[int, Data], profile: str) -> list[Row]:
    """A row a proxy and metric: mean and std over the seeds of the initial weights."""
    judged = next(iter(data.values())).judged
    return [
        row
        for name, scores in proxy_scores(data).items()
        for row in _rows(LABELS[name], truth, scores, judged, "zero-cost proxy", profile)
    ]


def fold_rows(name: str, results: Mapping[FoldRun, Mapping[str, Any]], judged: np.ndarray, profile: str) -> list[Row]:
    """Rows of cross-validated rankers of one ground truth and number of folds, in one partition or several.

    Ten folds: one correlation over all architectures. Five: the mean over 80/20 splits.
    """
    run = next(iter(results))
    scores = np.concatenate([np.array(result["scores"]) for result in results.values()])
    if run.folds != 5:
        what = f"each architecture judged by a ranker that learned from other {run.folds - 1} of {run.folds} parts"
        what = f"{len(results)} partitions; {what}" if len(results) > 1 else what
        return _rows(name, run.truth, scores, judged, what, profile)
    values: dict[str, list[float]] = {metric: [] for metric in metrics.METRICS}
    for one, result in results.items():
        for _, part in folds(len(judged), one.folds, one.partition):
            for of_seed in np.array(result["scores"]):
                found = metrics.correlations(of_seed[part], judged[part])
                for metric, runs in values.items():
                    runs.append(getattr(found, metric))
    about = f"{len(scores)} times five 80/20 splits; interval over these; {note(run.truth, len(judged))}"
    return [
        row_of_runs(
            TABLE, f"{name}, 80/20", run.truth.column, metric, runs, profile=profile, origin="reproduced", note=about
        )
        for metric, runs in values.items()
    ]


def transfer_rows(
    name: str, truth: Truth, scores: np.ndarray, judged: np.ndarray, learned: str, profile: str
) -> list[Row]:
    """Rows of rankers that learned from another space. learned: from what."""
    return _rows(name, truth, scores, judged, f"learned from {learned}, no {truth.space} label", profile)


def unavailable_rows(truths: Sequence[Truth], reason: str, profile: str) -> list[Row]:
    """A row a ground truth for ParZC, without a value, that says why."""
    return [
        Row(TABLE, "ParZC", truth.column, "kendall", None, n=0, profile=profile, origin="unavailable", note=reason)
        for truth in truths
    ]


def rows_of_transfers(
    data: Mapping[Truth, Mapping[int, Data]], profile: str, cells: int, epochs: int = EPOCHS
) -> list[Row]:
    """The rows of every transfer: a ranker for each of `transfer_sources`, judged on the ground truth."""
    rows = []
    for truth, found in data.items():
        judge = (truth.space, {seed: one.statistics for seed, one in found.items()})
        for name, learn in transfer_sources(truth, data, cells).items():
            scores = transferred(learn, judge, epochs)
            about = f"{len(learn[2])} architectures of {name}, {truth.dataset}"
            rows += transfer_rows(f"ParZC from {name}", truth, scores, found[0].judged, about, profile)
    return rows
