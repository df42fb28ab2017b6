"""How well scores order bit configurations (Table 11), and what a method would choose by them.

**Spearman at top k %.** The paper does not define it. As in the public code of EMQ, whose MQ-Bench-101 it uses: the best
floor(k n / 100) configurations by *score*, and Spearman's rho of score and accuracy among them. `by="accuracy"` takes the best
by measured accuracy instead, which is what the paper's words ("the top performing bit configurations on the benchmark") say.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parzc_core.errors import BadInput, UnknownName
from parzc_core.metrics import spearman
from parzc_core.run_store import RunStore

TOPS = (20, 50, 100)
BY = ("score", "accuracy")
FOLDS = 10
# (features of each ranker's training configurations, their accuracies, features of all, seeds) -> scores of all, of each
Learner = Callable[[list[np.ndarray], list[np.ndarray], np.ndarray, list[int]], list[np.ndarray]]


def spearman_at(score: np.ndarray, accuracy: np.ndarray, top: float, by: str = "score") -> float:
    """Spearman's rho in percent among the best `top` percent. score, accuracy: float[n]. NaN where either is constant.

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
    predicted, seconds = [], 0.0
    for repeat in range(repeats):
        config = {**(key or {}), "folds": folds, "repeat": repeat}
        result = store.get(config) if store is not None else None
        if result is None:
            start = time.process_time()
            values = _one_repeat(features, accuracy, learn, repeat, folds)
            result = {"predicted": values.tolist(), "seconds": time.process_time() - start}
            if store is not None:
                store.put(config, result)
        predicted.append(result["predicted"])
        seconds += result["seconds"]
    return np.array(predicted, dtype=np.float64), seconds


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
