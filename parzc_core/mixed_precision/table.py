"""Table 11 on the recreated benchmark: every method's scores of every configuration, judged, as rows."""

import functools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from parzc_core.mixed_precision import mq_bench
from parzc_core.mixed_precision.features import features
from parzc_core.mixed_precision.judging import TOPS, spearman_at, unseen
from parzc_core.mixed_precision.proxies import REGISTRY
from parzc_core.mixed_precision.rankers import bits_alone, linear, parzc
from parzc_core.mixed_precision.recreated import Recreated
from parzc_core.results import Row, row_of_runs
from parzc_core.run_store import RunStore

TABLE = "table11"
# What a proxy reads of the network, if anything: its CPU-seconds are the proxy's own.
_READS = {
    "HAWQ": "eigenvalues",
    "HAWQ (times bits)": "eigenvalues",
    "HAWQ-V2": "traces",
    "HAWQ-V2 (times bits)": "traces",
    "OMPQ": "orthogonalities",
    "SNIP": "statistics",
    "Synflow": "statistics",
}
NO_EMQ = (
    "its authors' code gives the formula as numbers of operators in a list that is not published with it; a guess would "
    "bear its name"
)
LINEAR = "Linear (bits alone)"

Scores = dict[str, np.ndarray]  # method -> float64[seeds, n]


def proxy_scores(made: Recreated) -> tuple[Scores, dict[str, float]]:
    """({proxy: float64[mini-batches, n]}, {proxy: CPU-seconds of a mini-batch and all n configurations})."""
    found: Scores = {}
    seconds = {}
    for name, proxy in REGISTRY.items():
        start = time.process_time()
        found[name] = np.array([[proxy(one, bits) for bits in made.configurations] for one in made.sensitivities])
        spent = (time.process_time() - start) / len(made.sensitivities)
        read = [one.seconds.get(_READS.get(name, ""), 0.0) for one in made.sensitivities]
        seconds[name] = spent + float(np.mean(read))
    return found, seconds


def learned_scores(
    made: Recreated, repeats: int, epochs: int, store: RunStore | None = None
) -> tuple[Scores, dict[str, float]]:
    """({ranker: float64[repeats, n]}, {ranker: CPU-seconds of a repeat}): predictions for unseen configurations, 10-fold.

    ParZC reads the seven node-wise statistics of the network (first mini-batch) times the bits of each layer; the linear model
    reads the bits alone, and shows what nine tenths of the accuracies give without any statistics.
    """
    inputs = features(made.sensitivities[0].statistics, made.configurations)
    learners: dict[str, tuple[Any, np.ndarray, Mapping[str, Any]]] = {
        "ParZC": (functools.partial(parzc, epochs=epochs), inputs, {"epochs": epochs, "size": "tiny"}),
        LINEAR: (linear, bits_alone(made.configurations), {}),
    }
    found: Scores = {}
    seconds = {}
    for name, (learn, x, settings) in learners.items():
        key = {**made.key, "ranker": name, **settings}
        found[name], spent = unseen(x, made.accuracy, learn, repeats, store=store, key=key)
        seconds[name] = spent / repeats
    return found, seconds


def rows(label: str, made: Recreated, scores: Scores, seconds: Mapping[str, float], profile: str) -> list[Row]:
    """Rows of Table 11 in columns of our own: "<label> rho@20%" and so on by score, "... by accuracy", "<label> time"."""
    n = len(made.accuracy)
    origin: dict[str, Any] = {"profile": profile, "origin": "recreated"}
    found = []
    for name, values in scores.items():
        learns = name in ("ParZC", LINEAR)
        note = "10-fold, judged on configurations it has not seen" if learns else "mini-batches of training images"
        for by in ("score", "accuracy"):
            for top in TOPS[:2] if by == "accuracy" else TOPS:
                column = f"{label} rho@{top}%" + (" by accuracy" if by == "accuracy" else "")
                runs = [spearman_at(one, made.accuracy, top, by) for one in values]
                runs = runs[:1] if np.ptp(runs) == 0 else runs  # the same whatever the mini-batch: no spread to tell
                said = f"{n} configurations, the best {int(n * top / 100)} by {by}; {note}"
                found.append(row_of_runs(TABLE, name, column, "spearman", runs, note=said, **origin))
        said = f"CPU-seconds of all {n} configurations" + (", training included" if learns else "")
        found.append(Row(TABLE, name, f"{label} time", "seconds", seconds[name], unit="s", note=said, **origin))
    missing: dict[str, Any] = {"profile": profile, "origin": "unavailable", "note": NO_EMQ}
    found += [Row(TABLE, "EMQ", f"{label} rho@{top}%", "spearman", None, **missing) for top in TOPS]
    return found


def published_rows(profile: str) -> list[Row]:
    """BParams on MQ-Bench-101 itself, in the paper's columns, where the user has the published file; else nothing."""
    found = mq_bench.read()
    if found is None:
        return []
    score, n = mq_bench.sizes(found.bits).astype(np.float64), len(found.accuracy)
    note = f"{n} published configurations; the paper draws from them, how many it does not say"
    rest: dict[str, Any] = {"n": n, "profile": profile, "origin": "reproduced", "note": note}
    return [
        Row(TABLE, "BParams", f"rho@{top}%", "spearman", spearman_at(score, found.accuracy, top), **rest)
        for top in TOPS
    ]
