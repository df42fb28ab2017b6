"""An order of networks without a label of their space: votes that agree, and a ranker taught by other spaces.

    choice = choose(known)                          # on [Known(networks_of_another_space, its_accuracy), ...]
    made = order(networks, choice)                  # made.score orders the networks; made says how it came about

Three steps, each chosen on the known spaces alone, one of them left out at a time:

1. `agreed`: the votes' logarithmic ranks, as AZ-NAS (CVPR 2024) adds them. A vote that contradicts the others in this space is
   silent, and the more a vote repeats the others, the less it weighs. Which votes sit in a committee is chosen, for each gate and
   ridge; the committees' orders are averaged, as the best of them changes with a few labels.
2. `taught`: extra-trees on ranked features, from the known spaces. A feature that goes with the agreed order otherwise here than
   there is left out.
3. Whether to trust the taught ranker: it is, where it agrees with the votes as it does where trust has paid. Else it has one
   vote beside the committee.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pandas as pd
import scipy.stats
from sklearn.ensemble import ExtraTreesRegressor

from parzc_core import metrics
from parzc_core.errors import BadInput
from parzc_core.experiments.label_free_inputs import Networks
from parzc_core.predictors.label_free import Committee, committee_weights, logarithmic_ranks, together

GATES = (0.3, 0.4, 0.5)  # least correlation of a vote with the others
RIDGES = (0.1, 0.3, 1.0)  # towards equal weights
TOLERANCES = (0.2, 0.3, 0.5, None)  # of a feature's correlation with the agreed order; None: any
FEWEST = 3  # votes of a committee
GAIN = 0.001  # of Spearman that leaving a vote out must bring
TRIED = 4  # a choice is made with so many times fewer trees than the order itself


@dataclass(frozen=True, eq=False)
class Known:
    """A space whose labels may be used: networks and accuracy float64[n]."""

    networks: Networks
    accuracy: np.ndarray


@dataclass(frozen=True, eq=False)
class Choice:
    """What the known spaces decide. tolerance: as in `taught`. least: agreement from which on the taught ranker is trusted."""

    known: tuple[Known, ...]
    committees: tuple[Committee, ...]
    tolerance: float | None
    least: float
    trees: int


@dataclass(frozen=True, eq=False)
class Order:
    """An order, larger being better, and how it came about.

    score, agreed, taught: float64[n]. weights: {vote: weight}, silent ones left out. features: how many the taught ranker reads.
    agreement: Spearman between the agreed order and a ranker taught by all features. trusted: the taught ranker decides alone.
    """

    score: np.ndarray
    agreed: np.ndarray
    taught: np.ndarray
    weights: dict[str, float]
    features: int
    agreement: float
    trusted: bool


def choose(known: Sequence[Known], pool: Sequence[str] | None = None, trees: int = 100) -> Choice:
    """All choices, from known spaces of two families at least. pool: the votes that may be used; None: all.

    Raises BadInput for fewer families.
    """
    if len(families := list(dict.fromkeys(one.networks.family for one in known))) < 2:
        raise BadInput(f"got known labels of {len(families)} family of spaces; expected two at least, to choose on each")
    committees = best_committees(known, pool)
    parts = [together(one.networks.votes, committees) for one in known]
    own = [score for score, _ in parts]
    seen = []
    for one, mine in zip(known, own, strict=True):
        rest = [k for k, other in enumerate(known) if other.networks.family != one.networks.family]
        others, theirs = [known[k] for k in rest], [own[k] for k in rest]
        few = max(1, trees // TRIED)
        seen.append([taught(one.networks, mine, others, theirs, each, few)[0] for each in TOLERANCES])
    taus = np.array([[metrics.kendall(score, one.accuracy) for score in scores] for scores, one in zip(seen, known, strict=True)])
    best = int(np.argmax([_mean(known, column) for column in taus.T]))
    both = [beside(mine, scores[best], len(weights)) for (mine, weights), scores in zip(parts, seen, strict=True)]
    paired = [metrics.kendall(score, one.accuracy) for score, one in zip(both, known, strict=True)]
    agreement = [_spearman(mine, scores[-1]) for mine, scores in zip(own, seen, strict=True)]
    least = least_agreement(known, np.array(agreement), taus[:, best], np.array(paired))
    return Choice(tuple(known), committees, TOLERANCES[best], least, trees)


def order(networks: Networks, choice: Choice) -> Order:
    """The order of networks. Raises BadInput where the choice has seen labels of their family."""
    if networks.family in {one.networks.family for one in choice.known}:
        raise BadInput(f"got a choice made with labels of {networks.family}, which is to be ordered without; leave them out")
    own, weights = together(networks.votes, choice.committees)
    theirs = [together(one.networks.votes, choice.committees)[0] for one in choice.known]
    free, _ = taught(networks, own, choice.known, theirs, None, choice.trees)
    learned, features = taught(networks, own, choice.known, theirs, choice.tolerance, choice.trees)
    agreement = _spearman(own, free)
    trusted = agreement >= choice.least
    score = learned if trusted else beside(own, learned, len(weights))
    return Order(score, own, learned, weights, features, agreement, trusted)


def best_committees(known: Sequence[Known], pool: Sequence[str] | None = None) -> tuple[Committee, ...]:
    """For each gate and ridge the committee that orders the known spaces best: those votes stay whose absence brings nothing.

    A vote that is silent in every known space costs nothing there, and stays on the word of those who proposed it.
    """
    pool = tuple(dict.fromkeys(str(name) for one in known for name in one.networks.votes)) if pool is None else tuple(pool)
    tables = []
    for one in known:
        names = [name for name in pool if name in one.networks.votes]
        tables.append((names, logarithmic_ranks(one.networks.votes, names)))

    def tau(votes: Sequence[str], gate: float, ridge: float) -> float:
        found = []
        for one, (names, values) in zip(known, tables, strict=True):
            part = values[:, [k for k, name in enumerate(names) if name in votes]]
            if part.shape[1] < 2:
                return -np.inf
            keep, weights = committee_weights(part, gate, ridge)
            found.append(_spearman(part[:, keep] @ weights, one.accuracy))  # a tenth of Kendall's time
        return _mean(known, found)

    tried = []
    for gate, ridge in product(GATES, RIDGES):
        votes, best = list(pool), tau(pool, gate, ridge)
        while len(votes) > FEWEST:
            without = [tau([other for other in votes if other != name], gate, ridge) for name in votes]
            place = int(np.argmax(without))
            if without[place] <= best + GAIN:
                break
            votes.pop(place)
            best = without[place]
        tried.append(Committee(tuple(votes), gate, ridge))
    return tuple(tried)


def taught(
    networks: Networks,
    own: np.ndarray,
    known: Sequence[Known],
    theirs: Sequence[np.ndarray],
    tolerance: float | None,
    trees: int,
) -> tuple[np.ndarray, int]:
    """float64[n], the order of a ranker taught by the known spaces, and how many features it reads.

    own: the agreed order of the networks; theirs: of each known space. tolerance: how far a feature's correlation with the agreed
    order may be from its mean over the known families; None: any.
    """
    here = _with_order(networks.features, own)
    there = pd.DataFrame([_with_order(one.networks.features, each) for one, each in zip(known, theirs, strict=True)])
    mean = there.groupby([one.networks.family for one in known]).mean().mean().to_numpy()
    kept = np.flatnonzero(np.abs(here - mean) < (np.inf if tolerance is None else tolerance))
    if not len(kept):
        return own, 0
    features = np.concatenate([one.networks.features[:, kept] for one in known])
    target = np.concatenate([scipy.stats.rankdata(one.accuracy) / len(one.accuracy) for one in known])
    weight = np.concatenate([np.full(len(one.accuracy), len(one.accuracy) ** -0.5) for one in known])
    model = ExtraTreesRegressor(trees, min_samples_leaf=5, max_features=0.3, random_state=0)
    return model.fit(features, target, sample_weight=weight).predict(networks.features[:, kept]), len(kept)


def beside(own: np.ndarray, learned: np.ndarray, votes: int) -> np.ndarray:
    """The agreed order of so many votes with the taught ranker as one vote more: log ranks, added."""
    shares = [scipy.stats.rankdata(score) / len(score) for score in (own, learned)]
    return np.log(shares[0]) + np.log(shares[1]) / max(votes, 1)


def least_agreement(known: Sequence[Known], agreement: np.ndarray, alone: np.ndarray, both: np.ndarray) -> float:
    """The agreement from which on trust has paid: halfway between the spaces where it did and the others.

    Arrays are float64[spaces]. alone, both: tau of the taught ranker alone, and beside the votes. Where trust has paid in all
    spaces, their least agreement; where it has in none, infinite.
    """
    places = np.sort(agreement)
    limits = [places[0], *((low + high) / 2 for low, high in pairwise(places)), np.inf]
    return float(max(limits, key=lambda least: _mean(known, np.where(agreement >= least, alone, both))))


def _mean(known: Sequence[Known], values: Sequence[float] | np.ndarray) -> float:
    """Mean over families of the mean over a family's spaces; a value that is no number counts 0."""
    families: dict[str, list[float]] = {}
    for one, value in zip(known, values, strict=True):
        families.setdefault(one.networks.family, []).append(0.0 if np.isnan(value) else float(value))
    return float(np.mean([np.mean(each) for each in families.values()]))


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho in [-1, 1]; 0 where one is constant."""
    ranks = [scipy.stats.rankdata(each) for each in (one, other)]
    first, second = (each - each.mean() for each in ranks)
    return float(first @ second / max(np.sqrt((first @ first) * (second @ second)), 1e-12))


def _with_order(features: np.ndarray, own: np.ndarray) -> np.ndarray:
    """float64[F], Spearman's correlation of each column with an order; 0 for a constant one."""
    ranks = scipy.stats.rankdata(own)
    ranks = (ranks - ranks.mean()) / max(ranks.std(), 1e-12)
    spread = features.std(axis=0)
    return np.where(spread > 0, (features.T @ ranks / len(ranks)) / np.where(spread > 0, spread, 1.0), 0.0)
