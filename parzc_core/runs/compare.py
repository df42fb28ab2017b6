"""How well proxies rank: a row like Table 1's for any proxies, one's own among them.

    compare_proxies("nb201", ["grad_mean", "synflow"], cells=300)                # against the published accuracies
    compare_proxies(collect_space(...), ["synflow", "params"], accuracies=mine)    # on networks of one's own
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from parzc_core import _plugins, labels, metrics
from parzc_core.collecting.labelled import unlabelled
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.errors import BadInput, UnknownName, names_of, whole
from parzc_core.own import Described
from parzc_core.own.ranking import Accuracies, known_labels
from parzc_core.proxies import NODE_REGISTRY
from parzc_core.scores import REGISTRY
from parzc_core.spaces import nb201


def compare_proxies(
    space: str | Described,
    proxies: Sequence[str],
    *,
    dataset: str = "cifar10",
    cells: int = 300,
    accuracies: Accuracies | None = None,
    folder: Path | str | None = None,
    jobs: int = 1,
    resamples: int = 200,
) -> pd.DataFrame:
    """Rank correlation of each proxy with accuracy, signed: a row a proxy, in the order given.

    space: of `spaces.NAMES`; its committed statistics are read where they hold a proxy, and the others are collected for the
    same first `cells` architectures, images and initial weights. Or networks of one's own that are described, with their
    `accuracies` (by name, gaps allowed). proxies: node-wise ones, which count by their sum over nodes, and network-level ones.
    folder: keeps what is collected, so that a call that was killed goes on; None forgets it. jobs: processes.
    Columns: kendall, ci_low, ci_high (%, bootstrap interval over architectures), spearman (%), n, not_finite.
    Raises BadInput, UnknownName, LabelsMissing.
    """
    names = names_of("proxies", proxies)
    if not names or len(set(names)) < len(names):
        raise BadInput(f"got the proxies {', '.join(names) or 'none'}; expected at least one, each once")
    if isinstance(space, Described):
        scores, truth = _of_described(space, names, accuracies)
    else:
        if accuracies is not None:
            raise BadInput(f"got accuracies for {space}; its published ones are taken (give networks that are described)")
        scores, truth = _of_space(space, dataset, whole("cells", cells, 2), names, folder, jobs)
    rows = []
    for name in names:
        score = scores[name].to_numpy(dtype=np.float64)
        found = metrics.correlations(score, truth)
        low, high = metrics.bootstrap_interval(metrics.kendall, score, truth, resamples)
        rows.append((found.kendall, low, high, found.spearman, found.n, found.not_finite))
    columns = ["kendall", "ci_low", "ci_high", "spearman", "n", "not_finite"]
    return pd.DataFrame(rows, index=pd.Index(names, name="proxy"), columns=columns)


def _of_described(
    described: Described, names: Sequence[str], accuracies: Accuracies | None
) -> tuple[pd.DataFrame, np.ndarray]:
    """(a column a proxy, accuracy) of the networks whose accuracy is known."""
    if accuracies is None:
        raise BadInput("got networks without accuracies; expected a Series or a dict of them by name")
    frame = described.frame()
    if missing := [name for name in names if name not in frame]:
        there = ", ".join(str(name) for name in frame if name != "not_finite")
        raise BadInput(f"proxy {missing[0]!r} was not collected of these networks; there are {there}")
    known = known_labels(accuracies, described.names)
    there_is = np.isfinite(known)
    return frame[there_is], known[there_is]


def _of_space(
    space: str, dataset: str, cells: int, names: Sequence[str], folder: Path | str | None, jobs: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """(a column a proxy, accuracy) of the first architectures of a space's sample."""
    for name in names:
        if not _plugins.known(name, NODE_REGISTRY) and name not in REGISTRY:
            raise UnknownName.of("proxy", name, (*NODE_REGISTRY, *REGISTRY))
    truth = labels.judged(space, dataset)[0]
    scores, config = _committed(space, dataset, cells)
    wanted = [name for name in names if name not in scores]
    if wanted:
        nodes = tuple(name for name in wanted if name in NODE_REGISTRY)
        config = replace(config, proxies=nodes, scores=tuple(n for n in wanted if n not in nodes), sums=True)
        with ExitStack() as held:
            where = folder if folder is not None else held.enter_context(tempfile.TemporaryDirectory())
            made = collect(config, where, jobs).read(cells)
        scores = made.scores.join(scores[[name for name in scores if name not in made.scores]])
    if "flops" in names and space == "nb201":
        scores["flops"] = [float(nb201.flops(arch)) for arch in scores.index]  # as published, see Table 1
    return scores, truth.loc[list(scores.index)].to_numpy()


def _committed(space: str, dataset: str, cells: int) -> tuple[pd.DataFrame, CollectionConfig]:
    """(what is committed of the first cells, how more is collected alike); without committed statistics nothing, and as usual."""
    try:
        there = unlabelled(space, dataset, cells).collection
    except BadInput:
        return pd.DataFrame(), CollectionConfig(space=space, dataset=dataset, cells=cells, share_isomorphic=True)
    sums = pd.DataFrame([one.sums() for one in there.statistics], index=there.archs)
    scores = there.scores[[name for name in there.scores if name not in there.scored]]
    config = CollectionConfig(**{**there.manifest["config"], "cells": cells})
    return pd.concat([sums, scores], axis=1), config
