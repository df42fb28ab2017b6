"""NPENAS (Wei et al., 2022, [57]): evolution that trains only the children of which a predictor thinks best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parzc_core.errors import BadInput
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.ranker import Inputs, ModelConfig
from parzc_core.search.benchmark import Session
from parzc_core.search.method import SearchMethod
from parzc_core.spaces import space as space_named
from parzc_core.spaces import stacked_graphs
from parzc_core.training import TrainingConfig, fit


@dataclass(frozen=True)
class NPENAS(SearchMethod):
    """start, children, chosen, learning_rate and the squared error are NPENAS-NP's: 10 random architectures, then in every
    generation 100 mutants of the best `parents` known, of which the 10 predicted best are trained.

    The predictor is this project's NP (Wen et al.), in place of a graph isomorphism network; it is trained anew in every
    generation, for 100 epochs in place of 300.
    """

    start: int = 10
    parents: int = 10
    children: int = 100
    chosen: int = 10
    epochs: int = 100
    learning_rate: float = 5e-3
    name = "npenas"
    effort = 10

    def __post_init__(self) -> None:
        if self.start < 2 or self.parents < 1 or not 1 <= self.chosen <= self.children:
            raise BadInput(
                f"got start={self.start}, parents={self.parents}, chosen={self.chosen}, children={self.children}; expected "
                "at least 2 to start with, 1 parent, and 1 <= chosen <= children"
            )

    def search(self, session: Session, generator: np.random.Generator) -> None:
        known = {arch: session.query(arch) for arch in session.shuffled(generator)[: self.start]}
        while len(known) < len(session.archs):
            best = sorted(known, key=lambda arch: -known[arch])[: self.parents]
            mutants = self._mutants(session, generator, best, set(known))
            score = self._predict(session.choices.name, known, mutants, int(generator.integers(2**31)))
            for i in np.argsort(-score, kind="stable")[: self.chosen]:
                known[mutants[i]] = session.query(mutants[i])

    def _mutants(
        self, session: Session, generator: np.random.Generator, parents: Sequence[str], known: set[str]
    ) -> list[str]:
        """`children` new architectures: mutants of the parents in turn, twice mutated and more where that is needed."""
        found: dict[str, None] = {}
        wanted = min(self.children, len(session.archs) - len(known))
        strength, tries = 1, 0
        while len(found) < wanted:
            arch = parents[tries % len(parents)]
            for _ in range(strength):
                arch = session.choices.mutate(arch, generator)
            if arch not in known:
                found[arch] = None
            tries += 1
            if tries % (10 * self.children) == 0:
                strength += 1
        return list(found)

    def _predict(self, space: str, known: dict[str, float], mutants: Sequence[str], seed: int) -> np.ndarray:
        """float64[number of mutants], higher meaning better."""
        inputs = Inputs(None, *stacked_graphs(space, [*known, *mutants]))
        model = ModelConfig(("NP",), MABNConfig(1, **SIZES["tiny"]), operations=space_named(space).GRAPH_KINDS)  # type: ignore[arg-type]
        config = TrainingConfig(model, self.epochs, 16, self.learning_rate, losses={"mse": 1.0})
        train = np.arange(len(known))
        ranker = fit(inputs[train], np.array(list(known.values())), config, seed)
        return ranker.predict(inputs[np.arange(len(known), len(known) + len(mutants))])
