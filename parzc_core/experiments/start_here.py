"""From one cell to a ranking: the ranker of `notebooks/00_start_here`, what it is compared with, and its favourites.

    data = labelled.load()
    ranker, inputs, learned, unseen = start_here.ranker("smoke", data)     # the one that comes with the project
    score = ranker.predict(inputs[unseen])

`parzc ranker` trains that ranker again and writes its file.
"""

import dataclasses

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.ensemble import ExtraTreesRegressor

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.drawing.style import BLUE, GREY, ORANGE, new_figure
from parzc_core.paper import PROXY_LABELS
from parzc_core.profiles import profile as profile_named
from parzc_core.ranker import Inputs
from parzc_core.runs import shipped
from parzc_core.runs.rankers import RankerRun, train_ranker
from parzc_core.training import FittedRanker

SHIPPED = shipped.planned()  # the full model with as many labels as ParZC has in Table 1
PARZC, TREES = "ParZC", "extra-trees, same cells"


def planned(profile: str, train: int, split: int = 0, dataset: str = "cifar10") -> RankerRun:
    """The ranker in the size of a profile, on `train` cells of the whole space."""
    sizes, run = profile_named(profile), shipped.planned("nb201", dataset, train=train, split=split)
    return dataclasses.replace(run, size=sizes.model, epochs=sizes.epochs(run.epochs, train))


def ranker(
    profile: str, data: Data, train: int = SHIPPED.train, split: int = SHIPPED.split, dataset: str = "cifar10"
) -> tuple[FittedRanker, Inputs, np.ndarray, np.ndarray]:
    """A ranker, what it reads of every cell, the positions of its training cells and of the others.

    With the number of cells and the split of the committed rankers the data set's is read, in every profile. Any other is trained
    here. Raises BadInput where its file is missing, or `train` is no number of cells below that of `data`.
    """
    if (train, split) != (SHIPPED.train, SHIPPED.split):
        return train_ranker(planned(profile, train, split, dataset))
    fitted = shipped.load("nb201", dataset)
    known = shipped.learned_from(fitted, data.collection.archs)
    return fitted, shipped.inputs_of(fitted, data), np.flatnonzero(known), np.flatnonzero(~known)


def beside_sums(
    data: Data, inputs: Inputs, learned: np.ndarray, unseen: np.ndarray, score: np.ndarray, seed: int = 0
) -> pd.Series:
    """Kendall's tau, percent, on the unseen cells, the best first: every proxy summed over nodes, the ranker, extra-trees.

    inputs: what the ranker reads; the trees learn from them, on the same training cells. learned, unseen: int[n], positions in
    `data`. score: float[n], what the ranker says of the unseen ones.
    """
    truth = data.judged[unseen]
    sums = pd.DataFrame([data.collection.statistics[i].sums() for i in unseen])
    taus = {PROXY_LABELS.get(str(name), str(name)): metrics.kendall(one.to_numpy(), truth) for name, one in sums.items()}
    taus |= {PARZC: metrics.kendall(score, truth), TREES: tau_of_trees(data, inputs, learned, unseen, seed)}
    return pd.Series(taus, name="Kendall's tau (%)").sort_values(ascending=False)


def tau_bars(taus: pd.Series) -> Figure:
    """Bars of `beside_sums`: what learned from labels apart from what did not."""
    learned = {PARZC: BLUE, TREES: ORANGE}
    figure = new_figure(7.5, 0.8 + 0.34 * len(taus))
    ax = figure.subplots()
    palette = {name: learned.get(name, GREY) for name in taus.index}
    sns.barplot(x=taus.to_numpy(), y=taus.index, hue=taus.index, palette=palette, legend=False, ax=ax)
    for place, value in enumerate(taus):
        ax.annotate(f"{value:.0f}", (max(value, 0), place), (4, 0), textcoords="offset points", va="center", fontsize=10)
    ax.set(xlabel="Kendall's tau with accuracy, unseen cells (%)", ylabel="")
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.08)
    return figure


def says(taus: pd.Series, labels: int) -> str:
    """One sentence: the ranker, the best proxy, and the trees."""
    proxies = taus.drop([PARZC, TREES])
    return (
        f"ParZC, which learned from {labels} accuracies, ranks with a tau of {taus[PARZC]:.1f} %. The best proxy, "
        f"{proxies.index[0]}, reads none and has {proxies.iloc[0]:.1f} %; trees on ParZC's own inputs have {taus[TREES]:.1f} %."
    )


def favourites(
    data: Data, fitted: FittedRanker, inputs: Inputs, unseen: np.ndarray, score: np.ndarray, count: int = 10, draws: int = 50
) -> pd.DataFrame:
    """The `count` unseen cells of the highest score: cell, score, spread, both accuracies, and true rank among all unseen.

    spread: standard deviation of the score over so many draws of the ranker's Bayesian weights.
    """
    ranks = pd.Series(data.judged[unseen]).rank(ascending=False, method="min").astype(int).to_numpy()
    first = np.argsort(-score, kind="stable")[:count]
    chosen = unseen[first]
    return pd.DataFrame(
        {
            "cell": [data.collection.archs[i] for i in chosen],
            "score": score[first],
            "spread": fitted.predict(inputs[chosen], samples=draws)[1],
            "validation (%)": data.learn[chosen],
            f"{data.judged_on} (%)": data.judged[chosen],
            "true rank": ranks[first],
        }
    )


def tau_of_trees(data: Data, inputs: Inputs, learned: np.ndarray, unseen: np.ndarray, seed: int = 0) -> float:
    """Kendall's tau, percent, of 500 extra-trees on the inputs and the training cells of a ranker, on the unseen cells."""
    statistics = inputs.statistics
    assert statistics is not None
    trees = ExtraTreesRegressor(500, random_state=seed).fit(statistics[learned], data.learn[learned])
    return metrics.kendall(trees.predict(statistics[unseen]), data.judged[unseen])
