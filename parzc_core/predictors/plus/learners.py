"""The learners of `ParZC+`: each fits standardised blocks of features and predicts minus the logarithm of the error.

Accuracy has a long tail of bad cells, where a percent means little, and the best are a fraction of a percent apart: on
u = -log(100.5 - accuracy) both ends are stretched alike. A learner's scale may differ by a linear map (`ParZC+` takes it out).
Labels that are no percentages are taken unchanged (`SCALES`).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from scipy.stats import norm, rankdata
from sklearn.tree import ExtraTreeRegressor

from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.predictors.plus.process import BlockProcess
from parzc_core.ranker import ModelConfig
from parzc_core.training import TrainingConfig, fit_many, standardised

CEILING = 100.5  # percent; no cell reaches it, so the logarithm is finite
LIMIT = 4.0  # standard deviations, to which processes and networks limit features; trees need no limit
Blocks = list[np.ndarray]
Prediction = tuple[np.ndarray, np.ndarray | None]


def log_error(accuracy: np.ndarray) -> np.ndarray:
    """u = -log(100.5 - accuracy), accuracy in percent: rises with it."""
    return -np.log(CEILING - np.asarray(accuracy, dtype=np.float64))


def unchanged(labels: np.ndarray) -> np.ndarray:
    """The labels as float64, for labels of any scale; higher is better."""
    return np.asarray(labels, dtype=np.float64)


SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"log error": log_error, "unchanged": unchanged}


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Quantiles of a normal distribution at the ranks; equal values share one."""
    return norm.ppf((rankdata(values) - 0.5) / len(values))


class Learner(Protocol):
    """fit, then predict: (mean float64[n], spread [n] or None) of blocks float32[n, D_b]."""

    def fit(self, blocks: Blocks, accuracy: np.ndarray, seed: int) -> "Learner": ...

    def predict(self, blocks: Blocks, spread: bool) -> Prediction: ...


class ProcessLearner:
    """A `BlockProcess` on a scale of SCALES, or on normal scores (`ranks`), which adapt to any distribution."""

    def __init__(self, ranks: bool, steps: int, most: int, scale: str = "log error"):
        self.ranks, self.process, self.scale = ranks, BlockProcess(steps, most), SCALES[scale]

    def fit(self, blocks: Blocks, accuracy: np.ndarray, seed: int) -> "ProcessLearner":
        """See `Learner`."""
        target = normal_scores(accuracy) if self.ranks else standardised(self.scale(accuracy))
        self.process.fit([limited(block) for block in blocks], target, seed)
        return self

    def predict(self, blocks: Blocks, spread: bool) -> Prediction:
        """See `Learner`; the spread is the posterior's."""
        return self.process.predict([limited(block) for block in blocks], spread)

    def left_out(self) -> np.ndarray:
        """What it says of each training cell from the others alone."""
        return self.process.left_out()

    def state(self) -> dict[str, np.ndarray]:
        """See `BlockProcess`."""
        return self.process.state()

    def restore(self, state: Mapping[str, np.ndarray]) -> "ProcessLearner":
        """Take up what `state` gave, and return itself."""
        self.process.restore(state)
        return self


class Forest:
    """Fitted trees as plain arrays, which need no scikit-learn: each node's feature (-1: a leaf), threshold, children, value."""

    ARRAYS = ("roots", "feature", "threshold", "left", "right", "value")

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        self.arrays = {name: arrays[name] for name in self.ARRAYS}

    @classmethod
    def of(cls, trees: Sequence[Any]) -> "Forest":
        """Trees of scikit-learn (`tree_` of a fitted one), one after the other."""
        roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        pairs = list(zip(trees, roots, strict=True))
        arrays = {
            "roots": roots.astype(np.int32),
            "feature": np.concatenate([np.maximum(tree.feature, -1) for tree in trees]).astype(np.int32),
            "threshold": np.concatenate([tree.threshold for tree in trees]),
            "left": np.concatenate([tree.children_left + root for tree, root in pairs]).astype(np.int32),
            "right": np.concatenate([tree.children_right + root for tree, root in pairs]).astype(np.int32),
            "value": np.concatenate([tree.value[:, 0, 0] for tree in trees]),
        }
        return cls(arrays)

    def leaves(self, x: np.ndarray) -> np.ndarray:
        """int64[trees, n], the leaf that each tree takes features float[n, D] to: a place in `value`."""
        roots, feature, threshold, left, right, _ = (self.arrays[name] for name in self.ARRAYS)
        x, rows = np.asarray(x, dtype=np.float32), np.arange(len(x))
        node = np.repeat(roots[:, None], len(x), axis=1)
        while (inner := feature[node] >= 0).any():
            goes_left = x[rows, np.maximum(feature[node], 0)] <= threshold[node]
            node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
        return node


class TreesLearner:
    """Extra-trees on accuracy itself, a mean over leaves, then on the scale (of SCALES); the spread is that over trees.

    The trees are those of scikit-learn's ExtraTreesRegressor, grown and asked one by one: each of its 500 would be cloned, and
    would check the same input again, which takes longer than growing or asking it.
    """

    def __init__(self, trees: int, share: float, scale: str = "log error"):
        self.trees, self.share, self.scale = trees, share, SCALES[scale]
        self._trees: list[Any] = []
        self._forest: Forest | None = None  # in their place in a learner that was restored

    def fit(self, blocks: Blocks, accuracy: np.ndarray, seed: int) -> "TreesLearner":
        """See `Learner`."""
        x, draw = np.hstack(blocks), np.random.RandomState(seed)
        seeds = [draw.randint(np.iinfo(np.int32).max) for _ in range(self.trees)]
        grown = [ExtraTreeRegressor(max_features=self.share, random_state=each) for each in seeds]
        self._trees = [one.fit(x, accuracy, check_input=False).tree_ for one in grown]
        return self

    def predict(self, blocks: Blocks, spread: bool) -> Prediction:
        """See `Learner`."""
        x = np.asfortranarray(np.hstack(blocks))  # a tree reads one column after the other
        if self._forest is None:
            values, leaves = [tree.value[:, 0, 0] for tree in self._trees], [tree.apply(x) for tree in self._trees]
        else:
            values, leaves = [self._forest.arrays["value"]], list(self._forest.leaves(x))
        mean = self.scale(_at(values, leaves).mean(axis=0))
        return mean, _at([self.scale(value) for value in values], leaves).std(axis=0) if spread else None

    def state(self) -> dict[str, np.ndarray]:
        """See `Forest`."""
        return (self._forest or Forest.of(self._trees)).arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> "TreesLearner":
        """Take up what `state` gave, and return itself."""
        self._forest = Forest(state)
        return self


def _at(values: Sequence[np.ndarray], leaves: Sequence[np.ndarray]) -> np.ndarray:
    """float64[trees, n], the value of each leaf; values: an array a tree, or one for all."""
    return np.stack([value[leaf] for value, leaf in zip(itertools.cycle(values), leaves, strict=False)])


class Averaged:
    """Several members, whose scores are standardised over the training cells and averaged; the spread is that over members.

    A member is a function from features float32[n, D], within LIMIT, to scores float64[n].
    """

    def _keep(self, members: Sequence[Callable[[np.ndarray], np.ndarray]], x: np.ndarray) -> None:
        """Take the fitted members, and their scales from the training cells."""
        self._members, scores = members, [member(x) for member in members]
        self._scaling = [(each.mean(), each.std() or 1.0) for each in scores]

    def predict(self, blocks: Blocks, spread: bool) -> Prediction:
        """See `Learner`."""
        x, pairs = joined(blocks), zip(self._members, self._scaling, strict=True)
        each = np.stack([(member(x) - mean) / std for member, (mean, std) in pairs])
        return each.mean(axis=0), each.std(axis=0) if spread else None


class MABNLearner(Averaged):
    """The paper's MABN, several of them, on the features in place of one scaled vector a proxy; DiffKendall as printed."""

    def __init__(self, members: int, size: str, steps: int, batch: int, rate: float = 1e-3):
        self.members, self.size, self.steps, self.batch, self.rate = members, size, steps, batch, rate

    def fit(self, blocks: Blocks, accuracy: np.ndarray, seed: int) -> "MABNLearner":
        """See `Learner`."""
        x = joined(blocks)
        sizes = MABNConfig(x.shape[1], **SIZES[self.size])  # type: ignore[arg-type]
        batch = max(2, min(self.batch, len(x) // 3))
        epochs = max(1, self.steps * batch // len(x))
        config = TrainingConfig(ModelConfig(("Mixer", "BN"), sizes), epochs, batch, self.rate)
        seeds = [1000 * seed + member for member in range(self.members)]
        rankers = fit_many([x] * self.members, [accuracy] * self.members, config, seeds)
        self._keep([ranker.predict for ranker in rankers], x)
        return self


def limited(block: np.ndarray) -> np.ndarray:
    """Within LIMIT."""
    return np.clip(block, -LIMIT, LIMIT)


def joined(blocks: Blocks) -> np.ndarray:
    """float32[n, D], the blocks side by side, within LIMIT."""
    return limited(np.hstack(blocks)).astype(np.float32)
