"""How well scores order bit configurations (Table 11), and what a method would choose by them.

**Spearman at top k %.** The paper does not define it. As in the public code of EMQ, whose MQ-Bench-101 it uses: the best
floor(k n / 100) configurations by *score*, and Spearman's rho of score and accuracy among them. `by="accuracy"` takes the best
by measured accuracy instead, which is what the paper's words ("the top performing bit configurations on the benchmark") say.
"""

from collections.abc import Callable, Sequence

import numpy as np

from parzc_core.errors import BadInput, UnknownName
from parzc_core.metrics import spearman

TOPS = (20, 50, 100)
BY = ("score", "accuracy")
FOLDS = 10
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


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
    features: np.ndarray, accuracy: np.ndarray, learn: Learner, repeats: int, folds: int = FOLDS, seed: int = 0
) -> np.ndarray:
    """float64[repeats, n]: what rankers predict for configurations that they have not seen, `folds`-fold, `repeats` times.

    features: float32[n, D]; accuracy: float[n], percent. learn(features [m], accuracy [m], features of all [n], seed) gives
    scores of all n. Scores of two rankers have no common scale, so each ranker's are put on that of its own training
    configurations (mean 0, deviation 1); nothing of the held-out ones' accuracy enters. Raises BadInput.
    """
    n = len(accuracy)
    if len(features) != n or not 2 <= folds <= n // 2 or repeats < 1:
        raise BadInput(
            f"got {len(features)} features, {n} accuracies, {folds} folds, {repeats} repeats; expected as many of both, "
            "2 folds or more with two configurations each, and 1 repeat or more"
        )
    predicted = np.full((repeats, n), np.nan)
    for repeat in range(repeats):
        order = np.random.default_rng((seed, repeat)).permutation(n)
        for fold, held_out in enumerate(np.array_split(order, folds)):
            seen = np.setdiff1d(order, held_out)
            scores = learn(features[seen], accuracy[seen], features, repeat * folds + fold)
            spread = scores[seen].std() or 1.0
            predicted[repeat, held_out] = (scores[held_out] - scores[seen].mean()) / spread
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
