"""The baseline that anyone would try first: trees on one-hot operations and edges, or on features of the graph; from
scikit-learn.

Extra-trees (Geurts et al., 2006): 500 trees grown to the end, of which scikit-learn lets each see all training cells and a
third of the features at a split. Gradient boosting (Friedman, 2001): 500 trees of depth 3, learning rate 0.05, each on half
of the cells. GRAF's own predictor is a random forest on its features; extra-trees are as good or better on them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

from parzc_core.errors import BadInput, UnknownName, whole
from parzc_core.predictors.base import Kinds, Scores
from parzc_core.predictors.graph_features import graph_features
from parzc_core.ranker import Inputs
from parzc_core.training import z_score

FEATURES = ("one-hot", "graph")
MODELS = ("extra-trees", "gradient boosting")


@dataclass(frozen=True)
class TreesConfig:
    """kinds: of the space. features: some of FEATURES. model: of MODELS, with so many trees.

    share: of the features that extra-trees look at for a split. depth, learning_rate, subsample: of gradient boosting.
    """

    kinds: Kinds
    features: tuple[str, ...] = ("graph",)
    model: str = "extra-trees"
    trees: int = 500
    share: float = 1 / 3
    depth: int = 3
    learning_rate: float = 0.05
    subsample: float = 0.5

    def __post_init__(self) -> None:
        for name in self.features:
            if name not in FEATURES:
                raise UnknownName.of("kind of features", name, FEATURES)
        if self.model not in MODELS:
            raise UnknownName.of("model of trees", self.model, MODELS)
        if not self.features or self.trees < 1:
            raise BadInput(f"got features={self.features}, trees={self.trees}; expected at least one of each")


def one_hot(inputs: Inputs, kinds: Kinds) -> pd.DataFrame:
    """A row for each architecture: which kind each node is, and which edges there are."""
    adjacency, operations = kinds.check(inputs)
    n, nodes = operations.shape
    is_kind = operations[:, :, None] == np.arange(kinds.total)
    columns = [f"node {node} is {kind}" for node in range(nodes) for kind in range(kinds.total)]
    columns += [f"{i} feeds {j}" for i in range(nodes) for j in range(nodes)]
    values = np.concatenate([is_kind.reshape(n, -1), adjacency.reshape(n, -1)], axis=1)
    return pd.DataFrame(values.astype(np.float64), columns=columns)


class Trees:
    """Extra-trees spread: the standard deviation over trees. Gradient boosting has none."""

    def __init__(self, config: TreesConfig):
        self.config = config
        self.has_spread = config.model == "extra-trees"
        self._model: ExtraTreesRegressor | GradientBoostingRegressor | None = None

    def features(self, inputs: Inputs) -> pd.DataFrame:
        """What the trees read, a row for each architecture."""
        make = {"one-hot": one_hot, "graph": graph_features}
        return pd.concat([make[name](inputs, self.config.kinds) for name in self.config.features], axis=1)

    def fit(self, inputs: Inputs, accuracy: np.ndarray, seed: int, unlabelled: Inputs | None = None) -> "Trees":
        """See `Predictor`; `unlabelled` is not used."""
        c = self.config
        self._nodes = c.kinds.check(inputs)[1].shape[1]
        y = z_score(inputs, accuracy)
        if c.model == "extra-trees":
            model = ExtraTreesRegressor(c.trees, max_features=c.share, random_state=seed)
        else:
            model = GradientBoostingRegressor(
                n_estimators=c.trees,
                max_depth=c.depth,
                learning_rate=c.learning_rate,
                subsample=c.subsample,
                random_state=seed,
            )
        x = self.features(inputs)
        self._varying = x.columns[x.nunique() > 1]
        self._model = model.fit(x[self._varying].to_numpy(), y)
        return self

    def predict(self, inputs: Inputs, samples: int = 0) -> Scores:
        """See `Predictor`; the spread is exact."""
        if self._model is None:
            raise BadInput("Trees were asked to predict before they were fitted; call fit first")
        whole("samples", samples, 0)
        if samples and not self.has_spread:
            raise BadInput(f"got samples={samples}; {self.config.model} has no spread, expected 0")
        self.config.kinds.check(inputs, self._nodes)
        x = self.features(inputs)[self._varying].to_numpy()
        if not samples:
            return self._model.predict(x)
        each = np.stack([tree.predict(x) for tree in self._model.estimators_])
        return each.mean(axis=0), each.std(axis=0)
