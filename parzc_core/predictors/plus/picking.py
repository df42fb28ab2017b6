"""What a search with ParZC+ trains next."""

from collections.abc import Collection, Sequence

import numpy as np

WEIGHTS = (1.0, 2.0, 3.0, 4.0, 6.0)  # of the spread, for one architecture each; chosen in experiments/search_trainings.py


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
