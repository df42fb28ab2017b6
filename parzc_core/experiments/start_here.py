"""From one cell to a ranking: the ranker of `notebooks/00_start_here`, what it is compared with, and its favourites."""

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.profiles import profile as profile_named
from parzc_core.ranker import Inputs
from parzc_core.runs.rankers import RankerRun

EPOCHS = 200  # §4.1, NAS-Bench-201


def planned(profile: str, train: int = 78, split: int = 0) -> RankerRun:
    """MABN on aligned statistics of `train` cells of NAS-Bench-201, in the size of the profile."""
    sizes = profile_named(profile)
    return RankerRun(
        cells=sizes.cells,
        train=train,
        split=split,
        parts=("Mixer", "BN"),
        encoding="aligned",
        size=sizes.model,
        epochs=sizes.epochs(EPOCHS),
    )


def beside_sums(data: Data, unseen: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """Kendall's tau, percent, of every proxy summed over the nodes and of the ranker, the best first.

    unseen: int[n], positions in `data` of the cells that are judged. score: float[n], what the ranker says of them.
    """
    truth = data.judged[unseen]
    sums = pd.DataFrame([one.sums() for one in data.collection.statistics]).iloc[unseen]
    taus = {str(name): metrics.kendall(values.to_numpy(), truth) for name, values in sums.items()}
    taus["MABN on node-wise statistics"] = metrics.kendall(score, truth)
    return pd.Series(taus, name="Kendall's tau (%)").sort_values(ascending=False).to_frame()


def favourites(data: Data, unseen: np.ndarray, score: np.ndarray, spread: np.ndarray, count: int = 10) -> pd.DataFrame:
    """The `count` unseen cells of the highest score: cell, score, spread, both accuracies, and true rank among all unseen."""
    truth = data.judged[unseen]
    table = pd.DataFrame(
        {
            "cell": [data.collection.archs[i] for i in unseen],
            "score": score,
            "spread": spread,
            "validation (%)": data.learn[unseen],
            f"{data.judged_on} (%)": truth,
            "true rank": pd.Series(truth).rank(ascending=False, method="min").astype(int),
        }
    )
    return table.sort_values("score", ascending=False).head(count)


def tau_of_trees(data: Data, inputs: Inputs, learned: np.ndarray, unseen: np.ndarray, seed: int = 0) -> float:
    """Kendall's tau, percent, of 500 extra-trees on the inputs and the training cells of a ranker, on the unseen cells."""
    statistics = inputs.statistics
    assert statistics is not None
    trees = ExtraTreesRegressor(500, random_state=seed).fit(statistics[learned], data.learn[learned])
    return metrics.kendall(trees.predict(statistics[unseen]), data.judged[unseen])
