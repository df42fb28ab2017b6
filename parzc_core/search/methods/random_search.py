"""Random search: architectures in random order, each once."""

from dataclasses import dataclass

import numpy as np

from parzc_core.search.benchmark import Session
from parzc_core.search.method import SearchMethod


@dataclass(frozen=True)
class RandomSearch(SearchMethod):
    """Uniform without replacement, so what n trainings find is the largest of n draws from the space."""

    name = "random"

    def search(self, session: Session, generator: np.random.Generator) -> None:
        for arch in session.shuffled(generator):
            session.query(arch)
