"""Every predictor by its name in Table 2, and the tree ensembles beside them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from parzc_core import _plugins
from parzc_core.collecting.labelled import Data
from parzc_core.errors import BadInput, UnknownName
from parzc_core.predictors import pinat
from parzc_core.predictors.arch2vec import Arch2Vec, Arch2VecConfig
from parzc_core.predictors.base import Kinds, Predictor
from parzc_core.predictors.ctnas import CTNAS, CTNASCheckpoints, CTNASConfig
from parzc_core.predictors.gates import GATES, GATESConfig
from parzc_core.predictors.nao import NAO, NAOConfig
from parzc_core.predictors.neural_predictor import PUBLIC_SCHEDULE, NeuralPredictor, NeuralPredictorConfig, PublicNP
from parzc_core.predictors.nn_former import NNFormer, NNFormerConfig
from parzc_core.predictors.pinat import PINAT, PINATConfig
from parzc_core.predictors.plus.features import plus_inputs
from parzc_core.predictors.plus.model import GRAF_LIKE, PLUS, ParZCPlus
from parzc_core.predictors.renas import ReNAS, ReNASConfig
from parzc_core.predictors.tnasp import TNASP, TNASPConfig
from parzc_core.predictors.trees import Trees, TreesConfig
from parzc_core.ranker import Inputs
from parzc_core.spaces import space as space_named


def graphs_alone(data: Data, train: np.ndarray) -> Inputs:
    """The graphs of all cells of a collection."""
    return Inputs(None, data.adjacency, data.operations)


@dataclass(frozen=True)
class Entry:
    """config: from `Kinds` to the published configuration. make: from a configuration to a predictor.

    invariant: whether graphs that are equal but for the order of their nodes get equal scores.
    version: raised when its code changes what a run gives, so that stored runs of it alone are redone.
    reads: from a collection and the positions of the training cells to what the predictor reads of all its cells, which has a
        length and takes [rows].
    """

    config: Callable[[Kinds], Any]
    make: Callable[[Any], Predictor[Any]]
    invariant: bool = False
    reads: Callable[[Data, np.ndarray], Any] = graphs_alone
    version: int = 1

    def columns(self, config: Any, data: Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns of a collection that a predictor of this configuration reads besides the graphs: (proxies, scores)."""
        return config.columns(data) if hasattr(config, "columns") else ((), ())


PREDICTORS: dict[str, Entry] = {
    "NP": Entry(partial(NeuralPredictorConfig, schedule=PUBLIC_SCHEDULE), PublicNP, invariant=True),
    "NP (ours)": Entry(NeuralPredictorConfig, NeuralPredictor, invariant=True),
    "ReNAS": Entry(ReNASConfig, ReNAS),
    "NAO": Entry(NAOConfig, NAO),
    "Arch2Vec": Entry(Arch2VecConfig, Arch2Vec, invariant=True),
    "GATES": Entry(GATESConfig.published, GATES, invariant=True),
    "CTNAS": Entry(CTNASConfig, CTNAS, invariant=True),
    "CTNAS (best checkpoint)": Entry(CTNASConfig, CTNASCheckpoints, invariant=True),
    "TNASP": Entry(TNASPConfig, TNASP),
    "PINAT": Entry(PINATConfig, PINAT, version=pinat.VERSION),
    "NN-Former": Entry(NNFormerConfig, NNFormer, invariant=True),
    "one-hot extra-trees": Entry(partial(TreesConfig, features=("one-hot",)), Trees),
    "one-hot boosting": Entry(partial(TreesConfig, features=("one-hot",), model="gradient boosting"), Trees),
    "graph extra-trees": Entry(TreesConfig, Trees, invariant=True),
    "graph boosting": Entry(partial(TreesConfig, model="gradient boosting"), Trees, invariant=True),
    "GRAF-like + proxies": Entry(lambda kinds: GRAF_LIKE, ParZCPlus, reads=plus_inputs),
    "ParZC+": Entry(lambda kinds: PLUS, ParZCPlus, invariant=True, reads=plus_inputs),
}


def predictor(name: str, space: str, **changes: Any) -> Predictor[Any]:
    """A predictor of PREDICTORS for a space, not fitted. changes: of its configuration. Raises UnknownName, BadInput.

        predictor("PINAT", "nb201", dropout=0.2).fit(inputs[train], accuracy[train], seed=0).predict(inputs)
    """
    return _entry(name).make(configuration(name, space, **changes))


def configuration(name: str, space: str, **changes: Any) -> Any:
    """The configuration that `predictor` gives it. Raises UnknownName, BadInput."""
    published = _entry(name).config(Kinds.of(space))
    known = [field.name for field in fields(published)]
    if "edges" in known:
        published = replace(published, edges=getattr(space_named(space), "EDGES", ()))
    if unknown := set(changes) - set(known):
        raise BadInput(
            f"got changes of {', '.join(sorted(unknown))}; the configuration of {name} has {', '.join(known)}"
        )
    return replace(published, **changes)


def _entry(name: str) -> Entry:
    if not _plugins.known(name, PREDICTORS):
        raise UnknownName.of("predictor", name, PREDICTORS)
    return PREDICTORS[name]
