"""ParZC+: node statistics and graphs, isomorphic cells as one, two Gaussian processes and extra-trees averaged.

    data = load("nb201", "cifar10")
    inputs = plus_inputs(data)
    ranker = ParZCPlus().fit(inputs[train], data.learn[train], seed=0, unlabelled=inputs)
    scores = ranker.predict(inputs[judged])  # or scores, spread = ranker.predict(inputs[judged], samples=1)

Not in the paper; every choice was made on validation accuracy of the unseen cells of splits that no table reports. Each part can
be switched off (`PlusConfig`), which is the ablation. MABN is a learner too, but not of the default: beside the others it moves
tau by no more than 0.15 points either way, and costs more than all of them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from parzc_core.collecting.labelled import Data
from parzc_core.errors import BadInput, UnknownName, whole
from parzc_core.mabn import SIZES
from parzc_core.metrics import kendall
from parzc_core.npz import below
from parzc_core.predictors.base import Scores
from parzc_core.predictors.plus.features import Blocks, PlusInputs, columns
from parzc_core.predictors.plus.learners import (
    SCALES,
    Learner,
    MABNLearner,
    Prediction,
    ProcessLearner,
    TreesLearner,
)
from parzc_core.training import z_score

PARTS = ("graph", "paths", "scores", "statistics", "places")
LEARNERS = ("process", "rank process", "trees", "MABN")
_COLUMN = ("varies", "mean", "std")  # of a block
REFERENCE = 2000  # unlabelled cells on which the learners' scales are compared


@dataclass(frozen=True)
class PlusConfig:
    """parts: blocks that are read, of PARTS ("statistics" are those of the single proxies, see `features`); what a space
    lacks is left out. learners: of LEARNERS. isomorphic: whether isomorphic cells share their features. points: of tau on the
    training cells, each predicted from the others, for which a process gets e times the weight of the other; very many for
    equal weights, which other learners have.

    trees, share: of extra-trees, and of the features they look at for a split. steps, most: see `BlockProcess`.
    members, size, network_steps, batch: of MABN; size of `mabn.SIZES`. Raises UnknownName, BadInput.
    """

    parts: tuple[str, ...] = PARTS
    learners: tuple[str, ...] = LEARNERS[:3]
    isomorphic: bool = True
    points: float = 2.0
    trees: int = 500
    share: float = 1 / 3
    steps: int = 60
    most: int = 300
    members: int = 3
    size: str = "cpu"
    network_steps: int = 600
    batch: int = 32

    def __post_init__(self) -> None:
        for what, given, known in (
            ("part of ParZC+", self.parts, PARTS),
            ("learner of ParZC+", self.learners, LEARNERS),
            ("model size", (self.size,), SIZES),
        ):
            for name in given:
                if name not in known:
                    raise UnknownName.of(what, name, known)
        if (
            not self.parts
            or not self.learners
            or self.trees < 1
            or self.members < 1
            or not 0 < self.share <= 1
            or not self.points > 0
        ):
            raise BadInput(
                f"got {self}; expected a part, a learner, a tree and a member at least, points above 0, a share of (0, 1]"
            )

    def columns(self, data: Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns of a collection that these parts read: (node-wise proxies, network-level scores)."""
        proxies, scores = columns(data)
        return (
            proxies if {"statistics", "places"} & set(self.parts) else (),
            scores if "scores" in self.parts else (),
        )


PLUS = PlusConfig()
GRAF_LIKE = PlusConfig(parts=("graph", "scores"), learners=("trees",), isomorphic=False)
Columns = tuple[np.ndarray, np.ndarray, np.ndarray]  # of a block: which vary, bool[D], and mean and deviation of those


@dataclass(frozen=True, eq=False)
class Standard:
    """What is read of n architectures: columns of each block; blocks of m of them that differ, standardised; place int64[n] in
    those m."""

    columns: list[Columns]
    blocks: list[np.ndarray]
    place: np.ndarray


@lru_cache(maxsize=2)  # a search asks for those of its pool in every step
def standard(inputs: PlusInputs, names: tuple[str, ...], isomorphic: bool) -> Standard:
    """The blocks of these names; isomorphic: whether isomorphic architectures count as one."""
    columns = _columns(inputs, names, isomorphic)
    first, place = different(inputs, isomorphic)
    return Standard(columns, _blocks(inputs[first], names, columns, isomorphic), place)


def _read(inputs: PlusInputs, isomorphic: bool) -> Blocks:
    return inputs.shared if isomorphic else inputs.blocks


def _columns(inputs: PlusInputs, names: tuple[str, ...], isomorphic: bool) -> list[Columns]:
    """Raises BadInput where architectures do not differ."""
    found = []
    for block in (_read(inputs, isomorphic)[name] for name in names):
        mean, std = block.mean(axis=0, dtype=np.float64), block.std(axis=0, dtype=np.float64)
        varies = std > 1e-6 * np.maximum(1.0, np.abs(mean))
        found.append((varies, mean[varies], std[varies]))
    if not any(varies.any() for varies, _, _ in found):
        raise BadInput(f"got {len(inputs)} architectures that do not differ in {', '.join(names)}")
    return found


def different(inputs: PlusInputs, isomorphic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Positions of one architecture of each class, and for each of all its place in those; all, where classes do not count."""
    if not isomorphic:
        return np.arange(len(inputs)), np.arange(len(inputs))
    _, first, place = np.unique(inputs.classes, return_index=True, return_inverse=True)
    return first, place.ravel()


def _blocks(inputs: PlusInputs, names: tuple[str, ...], columns: list[Columns], isomorphic: bool) -> list[np.ndarray]:
    """Standardised, float32, without the columns that do not vary; a block without any is left out."""
    read = _read(inputs, isomorphic)
    return [
        ((read[name][:, varies] - mean) / std).astype(np.float32)
        for name, (varies, mean, std) in zip(names, columns, strict=True)
        if varies.any()
    ]


class ParZCPlus:
    """A `Predictor` of `PlusInputs`. With `isomorphic`, isomorphic cells get equal scores.

    scale: of `learners.SCALES`: "log error" for accuracy in percent, "unchanged" for labels of any scale.
    """

    has_spread: ClassVar[bool] = True

    def __init__(self, config: PlusConfig | None = None, scale: str = "log error"):
        if scale not in SCALES:
            raise UnknownName.of("scale of labels", scale, SCALES)
        self.config, self.scale = config or PLUS, scale
        self._learners: list[Learner] = []
        self._columns: list[Columns] = []

    def fit(
        self, inputs: PlusInputs, accuracy: np.ndarray, seed: int, unlabelled: PlusInputs | None = None
    ) -> "ParZCPlus":
        """See `Predictor`. unlabelled: cells whose features, without accuracy, set the scales; None takes the training cells."""
        labels = self._checked(inputs, accuracy)
        reference = inputs if unlabelled is None else unlabelled
        self._columns = _columns(reference, self._names, self.config.isomorphic)
        self._learn(inputs, labels, seed)
        some = self._blocks(reference[_sample(len(reference), seed)])
        self._set_scales([learner.predict(some, spread=False)[0] for learner in self._learners])
        return self

    def fit_predict(
        self, inputs: PlusInputs, rows: np.ndarray, accuracy: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(score, spread), float64[n] each, of all inputs, of which the accuracy of those at `rows` is known.

        What `fit` with all inputs as unlabelled and `predict` give, but faster: the same inputs are standardised once, however
        often they are asked for, and each is predicted once.
        """
        some = inputs[rows]
        labels = self._checked(some, accuracy)
        every = standard(inputs, self._names, self.config.isomorphic)
        self._columns = every.columns
        self._learn(some, labels, seed)
        found = [learner.predict(every.blocks, spread=True) for learner in self._learners]
        sample = every.place[_sample(len(inputs), seed)]
        self._set_scales([mean[sample] for mean, _ in found])
        score, spread = self._mixed(found)
        return score[every.place], spread[every.place]

    def predict(self, inputs: PlusInputs, samples: int = 0) -> Scores:
        """See `Predictor`. The spread is that of the mixture of the learners' distributions; any samples > 0 gives it."""
        if not self._learners:
            raise BadInput("ParZC+ was asked to predict before it was fitted; call fit first")
        whole("samples", samples, 0)
        if not isinstance(inputs, PlusInputs):
            raise BadInput(f"got {type(inputs).__name__}; expected PlusInputs")
        self._chosen(inputs, self._names)
        first, place = different(inputs, self.config.isomorphic)
        blocks = self._blocks(inputs[first])
        score, spread = self._mixed([learner.predict(blocks, spread=samples > 0) for learner in self._learners])
        return (score[place], spread[place]) if samples else score[place]

    def _checked(self, inputs: PlusInputs, accuracy: np.ndarray) -> np.ndarray:
        """float64[n], accuracy; from here on the blocks' names are known."""
        if not isinstance(inputs, PlusInputs):
            raise BadInput(f"got {type(inputs).__name__}; expected PlusInputs")
        z_score(inputs, accuracy)  # for its checks
        labels = np.asarray(accuracy, dtype=np.float64)
        if self.scale == "log error" and (labels.min() < 0 or labels.max() > 100):
            raise BadInput(f"got accuracy from {labels.min():g} to {labels.max():g}; expected percent, 0 to 100")
        self._names = self._chosen(inputs)
        return labels

    def _learn(self, inputs: PlusInputs, labels: np.ndarray, seed: int) -> None:
        blocks = self._blocks(inputs)
        self._learners = [self._new(name).fit(blocks, labels, seed) for name in self.config.learners]
        self._weights = self._weighed(labels)

    def _set_scales(self, predicted: list[np.ndarray]) -> None:
        self._scales = [(float(each.mean()), float(each.std()) or 1.0) for each in predicted]

    def _mixed(self, found: list[Prediction]) -> tuple[np.ndarray, np.ndarray]:
        """(score, spread) of the mixture of what the learners say, each on its scale."""
        means, variances = [], []
        for (mean, spread), (middle, scale) in zip(found, self._scales, strict=True):
            means.append((mean - middle) / scale)
            variances.append(np.zeros(len(mean)) if spread is None else (spread / scale) ** 2)
        score = self._weights @ np.stack(means)
        return score, np.sqrt(self._weights @ (np.stack(variances) + (np.stack(means) - score) ** 2))

    def left_out(self, inputs: PlusInputs, accuracy: np.ndarray, seed: int, folds: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """(score, spread) of the training cells themselves, float64[n] each, as if each learner had not seen the cell.

        inputs, accuracy: those of `fit`. Exact for the processes, up to their hyperparameters; trees are fitted to parts, of so
        many folds. Raises BadInput: not fitted, fewer than four cells, MABN among the learners.
        """
        if not self._learners or len(inputs) < 4:
            raise BadInput(f"got {len(inputs)} cells; expected a fitted ParZC+ and at least 4 cells to leave out in turn")
        blocks, labels = self._blocks(inputs), np.asarray(accuracy, dtype=np.float64)
        fold = np.random.default_rng(seed).permutation(len(labels)) % min(folds, len(labels) // 2)
        found: list[Prediction] = []
        for name, learner in zip(self.config.learners, self._learners, strict=True):
            if isinstance(learner, ProcessLearner):
                found.append((learner.left_out(), learner.process.left_out_spread()))
            elif isinstance(learner, TreesLearner):
                mean, spread = np.empty(len(labels)), np.empty(len(labels))
                for k in np.unique(fold):
                    others, own = fold != k, fold == k
                    part = self._new(name).fit([block[others] for block in blocks], labels[others], seed)
                    mean[own], of_trees = part.predict([block[own] for block in blocks], spread=True)
                    spread[own] = 0.0 if of_trees is None else of_trees
                found.append((mean, spread))
            else:
                raise BadInput("MABN as a learner of ParZC+ cannot leave cells out; leave it out of the learners")
        return self._mixed(found)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """All that was learned as plain JSON and arrays by name, from which `from_state` makes it again. Raises BadInput."""
        if not self._learners:
            raise BadInput("ParZC+ was asked for its state before it was fitted; call fit first")
        arrays = {"weights": self._weights, "scales": np.array(self._scales)}
        for i, parts in enumerate(self._columns):
            arrays |= {f"columns{i}/{name}": part for name, part in zip(_COLUMN, parts, strict=True)}
        for i, learner in enumerate(self._learners):
            if not isinstance(learner, ProcessLearner | TreesLearner):
                raise BadInput("ParZC+ with MABN as a learner cannot be saved; leave it out of the learners")
            arrays |= {f"learner{i}/{name}": array for name, array in learner.state().items()}
        return {"config": asdict(self.config), "scale": self.scale, "names": self._names}, arrays

    @classmethod
    def from_state(cls, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "ParZCPlus":
        """The predictor that gave this `state`."""
        given: dict[str, Any] = dict(plain["config"])
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        made = cls(PlusConfig(**given), plain["scale"])
        made._names, made._weights = tuple(plain["names"]), arrays["weights"]
        made._scales = [(float(middle), float(scale)) for middle, scale in arrays["scales"]]
        for i in range(len(made._names)):
            varies, mean, std = (arrays[f"columns{i}/{name}"] for name in _COLUMN)
            made._columns.append((varies, mean, std))
        for i, name in enumerate(made.config.learners):
            learner = made._new(name)
            assert isinstance(learner, ProcessLearner | TreesLearner)
            made._learners.append(learner.restore(below(f"learner{i}/", arrays)))
        return made

    def _weighed(self, accuracy: np.ndarray) -> np.ndarray:
        """Weights of the learners, with sum 1."""
        weights = np.ones(len(self._learners))
        tau = {
            i: kendall(learner.left_out(), accuracy)
            for i, learner in enumerate(self._learners)
            if isinstance(learner, ProcessLearner)
        }
        if len(tau) > 1 and np.isfinite(list(tau.values())).all():
            relative = np.exp((np.array(list(tau.values())) - max(tau.values())) / self.config.points)
            weights[list(tau)] = len(tau) * relative / relative.sum()
        return weights / weights.sum()

    def _new(self, name: str) -> Learner:
        c = self.config
        if name == "trees":
            return TreesLearner(c.trees, c.share, self.scale)
        if name == "MABN":
            return MABNLearner(c.members, c.size, c.network_steps, c.batch)
        return ProcessLearner(name == "rank process", c.steps, c.most, self.scale)

    def _chosen(self, inputs: PlusInputs, expected: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Names of the blocks that are read. Raises BadInput: none, or other ones than in `fit`."""
        there = _read(inputs, self.config.isomorphic)
        names = tuple(name for name in there if (name if name in PARTS else "statistics") in self.config.parts)
        if not names or names != (expected or names):
            wanted = "some of " + ", ".join(self.config.parts) if expected is None else ", ".join(expected)
            raise BadInput(f"got inputs with the blocks {', '.join(there) or 'none'}; expected {wanted}")
        return names

    def _blocks(self, inputs: PlusInputs) -> list[np.ndarray]:
        return _blocks(inputs, self._names, self._columns, self.config.isomorphic)


def _sample(count: int, seed: int) -> np.ndarray:
    """Positions of those on which scales are compared."""
    return np.random.default_rng(seed).permutation(count)[:REFERENCE]
