"""Table 11 on the recreated benchmark: every method's scores of every bit configuration, how well they order them, as rows.

    scores, seconds = proxy_scores(made)     # and `learned_scores`, of rankers
    rows(label, made, scores, seconds, "full")
    fronts(scores, made.size, made.accuracy)  # what each method would choose
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parzc_core.drawing.style import BACKDROP, BLUE, VERMILION, expect, new_figure
from parzc_core.errors import BadInput, UnknownName
from parzc_core.metrics import spearman
from parzc_core.quantization import mq_bench
from parzc_core.quantization.ground_truth import PLANS, Recreated
from parzc_core.quantization.proxies import REGISTRY
from parzc_core.quantization.rankers import bits_alone, features, linear, parzc
from parzc_core.report import told
from parzc_core.runs.protocol import run_all
from parzc_core.storage.rows import Row, row_of_runs
from parzc_core.storage.run_store import RunStore

TABLE = "table11"
# What a proxy reads of the network, if anything: its CPU-seconds are the proxy's own.
_READS = {
    "HAWQ": "eigenvalues",
    "HAWQ (times bits)": "eigenvalues",
    "HAWQ-V2": "traces",
    "HAWQ-V2 (times bits)": "traces",
    "OMPQ": "orthogonalities",
    "EMQ": "emq",
    "SNIP": "statistics",
    "Synflow": "statistics",
}
# What a note says of a method beside how it is judged.
SAID = {
    "EMQ": "the formula as read here, from operator lists that its first author published later; its own code gives numbers of "
    "operators only"
}
LINEAR = "Linear (bits alone)"
MEGABIT = 1e6
TOPS = (20, 50, 100)  # percent
BY = ("score", "accuracy")
FOLDS = 10
# (features of each ranker's training configurations, their accuracies, features of all, seeds) -> scores of all, of each
Learner = Callable[[list[np.ndarray], list[np.ndarray], np.ndarray, list[int]], list[np.ndarray]]

Scores = dict[str, np.ndarray]  # method -> float64[seeds, n]


def sets_of(plan: str, activations_too: bool = True) -> dict[str, tuple[int, ...] | None]:
    """{label: bits of the activations, None for as few as the weights'} of what a plan of the benchmark is judged on.

    activations_too: also the configurations whose activations keep 8 bits, which the plan "tiny" does not have.
    """
    name = {"fashion-mnist": "F-MNIST"}.get(PLANS[plan].data, PLANS[plan].data)
    few: dict[str, tuple[int, ...] | None] = {f"{name} W+A": None}
    return few | ({f"{name} W": (8,)} if activations_too and plan != "tiny" else {})


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
        note = "; ".join(filter(None, (note, SAID.get(name))))
        for by in ("score", "accuracy"):
            for top in TOPS[:2] if by == "accuracy" else TOPS:
                column = f"{label} rho@{top}%" + (" by accuracy" if by == "accuracy" else "")
                runs = [spearman_at(one, made.accuracy, top, by) for one in values]
                runs = runs[:1] if np.ptp(runs) == 0 else runs  # the same whatever the mini-batch: no spread to tell
                said = f"{n} configurations, the best {int(n * top / 100)} by {by}; {note}"
                found.append(row_of_runs(TABLE, name, column, "spearman", runs, note=said, **origin))
        said = f"CPU-seconds of all {n} configurations" + (", training included" if learns else "")
        found.append(Row(TABLE, name, f"{label} time", "seconds", seconds[name], unit="s", note=said, **origin))
    return found


def differences(compared: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """How the methods order the configurations, a sentence a set and order. compared: as `compare` gives Table 11."""
    said = []
    for label in labels:
        for column, words in ((f"{label} rho@100%", "all"), (f"{label} rho@20% by accuracy", "the best fifth by accuracy")):
            part = compared[(compared["column"] == column) & (compared["metric"] == "spearman") & compared["ours"].notna()]
            if part.empty:
                continue
            order = part.set_index("row")["ours"].sort_values(ascending=False)
            methods = ", ".join(f"{row} {rho:.1f}" for row, rho in order.items())
            said.append(f"**{label}, {words}**, rho in %: {methods}.")
        learned = {row: told.interval(compared, row, f"{label} rho@100%", "spearman") for row in ("ParZC", LINEAR)}
        if "–" not in learned.values():
            both = f"ParZC has a rho of {learned['ParZC']}, a regression on the bits alone {learned[LINEAR]}"
            said.append(f"**{label}, what statistics add:** {both}.")
    return said


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


def spearman_at(score: np.ndarray, accuracy: np.ndarray, top: float, by: str = "score") -> float:
    """Spearman's rho in percent among the best `top` percent. score, accuracy: float[n]. NaN where either is constant.

    The paper does not define it. As in the public code of EMQ, whose MQ-Bench-101 it uses, the best floor(n * top / 100)
    configurations by "score" are taken. by="accuracy" takes the best by measured accuracy, which is what the paper's words say
    ("the top performing bit configurations on the benchmark").
    Of equal ones at the border the earlier are taken. Raises BadInput for a top outside (0, 100] or one that leaves fewer than
    two configurations, or for values that are not finite; UnknownName.
    """
    score, accuracy = np.asarray(score, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if by not in BY:
        raise UnknownName.of("order of the top", by, BY)
    if score.shape != accuracy.shape or score.ndim != 1 or not np.isfinite([score, accuracy]).all():
        raise BadInput(f"got scores {score.shape} and accuracy {accuracy.shape}; expected the same [n], all finite")
    count = int(len(score) * top / 100) if 0 < top <= 100 else 0
    if count < 2:
        raise BadInput(
            f"got top={top!r} of {len(score)} configurations; expected a percentage that leaves at least two"
        )
    best = np.argsort(-(score if by == "score" else accuracy), kind="stable")[:count]
    return spearman(score[best], accuracy[best])


@dataclass(frozen=True, eq=False)
class RepeatRun:
    """Cross-validated predictions of one repeat. given: what decides the result beside the repeat and the folds; rest: as in
    `unseen`."""

    features: np.ndarray
    accuracy: np.ndarray
    learn: Learner
    repeat: int
    folds: int
    given: Mapping[str, Any]

    def key(self) -> dict[str, Any]:
        """What was given, the folds and the repeat."""
        return {**self.given, "folds": self.folds, "repeat": self.repeat}

    def evaluate(self) -> dict[str, Any]:
        """{"predicted": float64[n], "seconds": CPU}."""
        start = time.process_time()
        values = _one_repeat(self.features, self.accuracy, self.learn, self.repeat, self.folds)
        return {"predicted": values.tolist(), "seconds": time.process_time() - start}


def unseen(
    features: np.ndarray,
    accuracy: np.ndarray,
    learn: Learner,
    repeats: int,
    folds: int = FOLDS,
    store: RunStore | None = None,
    key: Mapping[str, Any] | None = None,
) -> tuple[np.ndarray, float]:
    """(float64[repeats, n], CPU-seconds of all): predictions for configurations that the ranker has not seen.

    features: float32[n, D]; accuracy: float[n], percent. `folds`-fold, `repeats` times, each repeat with its own seeded
    partition; learn: one of `rankers`, with all folds of a repeat at once. Scores of two rankers have no common scale, so each
    ranker's are put on that of its own training configurations (mean 0, deviation 1); nothing of the held-out ones' accuracy
    enters. With a store, a repeat is computed once for a key, which must say all that decides the result. Raises BadInput.
    """
    n = len(accuracy)
    if len(features) != n or not 2 <= folds <= n // 2 or repeats < 1:
        raise BadInput(
            f"got {len(features)} features, {n} accuracies, {folds} folds, {repeats} repeats; expected as many of both, "
            "2 folds or more with two configurations each, and 1 repeat or more"
        )
    runs = [RepeatRun(features, accuracy, learn, repeat, folds, key or {}) for repeat in range(repeats)]
    results = {run: run.evaluate() for run in runs} if store is None else run_all(runs, store)
    predicted = np.array([results[run]["predicted"] for run in runs], dtype=np.float64)
    return predicted, sum(results[run]["seconds"] for run in runs)


def _one_repeat(features: np.ndarray, accuracy: np.ndarray, learn: Learner, repeat: int, folds: int) -> np.ndarray:
    order = np.random.default_rng(repeat).permutation(len(accuracy))
    held_out = np.array_split(order, folds)
    seen = [np.setdiff1d(order, part) for part in held_out]
    seeds = [repeat * folds + fold for fold in range(folds)]
    scores = learn([features[part] for part in seen], [accuracy[part] for part in seen], features, seeds)
    predicted = np.empty(len(accuracy))
    for out, known, values in zip(held_out, seen, scores, strict=True):
        predicted[out] = (values[out] - values[known].mean()) / (values[known].std() or 1.0)
    return predicted


def front(size: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Positions of the Pareto front, by size: no other configuration is as small or smaller and more accurate."""
    best, found = -np.inf, []
    for i in np.lexsort((-np.asarray(accuracy), np.asarray(size))):
        if accuracy[i] > best:
            best = accuracy[i]
            found.append(int(i))
    return np.array(found, dtype=np.int64)


def picks(score: np.ndarray, size: np.ndarray, budgets: Sequence[float]) -> np.ndarray:
    """For each budget the position of the configuration with the highest score among those of at most that size.

    A method sees scores and sizes only. Raises BadInput for a budget below the smallest configuration.
    """
    score, size = np.asarray(score, dtype=np.float64), np.asarray(size, dtype=np.float64)
    if min(budgets, default=np.inf) < size.min():
        raise BadInput(f"got a budget of {min(budgets)} bits; expected at least {size.min():g}, the smallest there is")
    return np.array([int(np.argmax(np.where(size <= budget, score, -np.inf))) for budget in budgets], dtype=np.int64)


def predicted_vs_measured(scores: Mapping[str, np.ndarray], accuracy: np.ndarray, title: str = "") -> Figure:
    """A panel a method: rank of its score (best on the right) against measured accuracy, float[n] each, with rho.

    Ranks, since the scores have no common unit. Raises BadInput without a method.
    """
    figure, panels = _panels(scores, title)
    for ax, name in panels:
        ranks = np.argsort(np.argsort(scores[name]))
        ax.scatter(100 * ranks / (len(ranks) - 1), accuracy, s=7, color=BLUE, alpha=0.5, linewidths=0)
        rho = spearman_at(scores[name], accuracy, 100)
        ax.text(0.04, 0.95, f"ρ = {rho:.0f} %", transform=ax.transAxes, va="top", fontsize=10, bbox=BACKDROP)
    figure.supxlabel("rank by the method's score (%; 100: the best)")
    figure.supylabel("measured accuracy (%)")
    return figure


def fronts(
    scores: Mapping[str, np.ndarray], size: np.ndarray, accuracy: np.ndarray, title: str = "", steps: int = 12
) -> Figure:
    """A panel a method: accuracy against size (bits) of all configurations, their Pareto front, and what the method picks.

    A mark is the measured accuracy of the configuration with its highest score among those no larger than one of `steps` sizes.
    Raises BadInput without a method.
    """
    figure, panels = _panels(scores, title)
    best, budgets = front(size, accuracy), np.linspace(size.min(), size.max(), steps)
    for ax, name in panels:
        ax.scatter(size / MEGABIT, accuracy, s=6, color="#BBBBBB", linewidths=0, label="configurations")
        ends = np.append(size[best], size.max()), np.append(accuracy[best], accuracy[best[-1]])
        ax.step(ends[0] / MEGABIT, ends[1], where="post", color="black", linewidth=1.2, label="Pareto front")
        chosen = picks(scores[name], size, budgets.tolist())
        ax.plot(budgets / MEGABIT, accuracy[chosen], "o", color=VERMILION, markersize=6, label="picked at this size")
        ax.vlines(budgets / MEGABIT, accuracy[chosen], _reached(size, accuracy, budgets), color=VERMILION, linewidth=1, alpha=0.6)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right upper", markerscale=1.4)
    figure.supxlabel("largest size allowed: bits of the weights (millions)")
    figure.supylabel("measured accuracy (%)")
    return figure


def _reached(size: np.ndarray, accuracy: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """The highest accuracy that fits each size."""
    return np.array([accuracy[size <= budget].max() for budget in budgets])


def _panels(scores: Mapping[str, np.ndarray], title: str) -> tuple[Figure, list[tuple[Axes, str]]]:
    expect(len(scores) > 0, "got no method; nothing to draw")
    columns = min(3, len(scores))
    rows = -(-len(scores) // columns)
    figure = new_figure(3.0 * columns, 0.8 + 2.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(scores) :]:
        ax.set_axis_off()
    panels = list(zip(axes.flat, scores, strict=False))
    for ax, name in panels:
        ax.set_title(name)
    if title:
        figure.suptitle(title, fontweight="bold")
    return figure, panels
