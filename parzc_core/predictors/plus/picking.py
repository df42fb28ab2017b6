"""What a search with ParZC+ trains first, and what next."""

from collections.abc import Collection, Sequence

import numpy as np

WEIGHTS = (1.0, 2.0, 3.0, 4.0, 6.0)  # of the spread, for one architecture each; chosen in experiments/search_trainings.py
SHARE = 0.02  # of all architectures, the first of an order without labels


def first_picks(order: np.ndarray, classes: np.ndarray, shuffled: Sequence[int], count: int) -> list[int]:
    """`count` positions among the first SHARE of an order, no two of a class, as they come in `shuffled`; fewer where there are
    fewer classes.

    order: float64[n], larger is thought better. classes: int64[n]. shuffled: all positions.
    """
    best = set(np.argsort(-order, kind="stable")[: max(count, round(SHARE * len(order)))].tolist())
    drawn: dict[int, int] = {}
    for i in shuffled:
        if i in best:
            drawn.setdefault(int(classes[i]), i)
    return list(drawn.values())[:count]


def picks(
    score: np.ndarray,
    spread: np.ndarray,
    known: Collection[int],
    chance: np.ndarray,
    classes: np.ndarray,
    weights: Sequence[float] = WEIGHTS,
) -> list[int]:
    """For each weight the position of the highest score + weight x spread, as long as there are any.

        picks(*ranker.predict(inputs, samples=1), known={3, 8}, chance=generator.random(n), classes=inputs.classes)

    score, spread, chance: float64[n]; a little chance orders what is alike. classes: int64[n], of each of which one is picked at
    most. known: positions that are not picked.
    """
    picked: dict[int, int] = {}
    for weight in weights:
        for i in np.argsort(-(score + weight * spread + 1e-6 * chance), kind="stable"):
            if i not in known and classes[i] not in picked.values():
                picked[int(i)] = int(classes[i])
                break
    return list(picked)
