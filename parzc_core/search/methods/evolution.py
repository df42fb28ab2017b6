"""Regularised evolution (Real et al., AAAI 2019, Algorithm 1): the best of a small sample has a child, and the oldest dies."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parzc_core.errors import BadInput
from parzc_core.search.benchmark import Session
from parzc_core.search.method import SearchMethod


class Member(NamedTuple):
    """One of a population. born: the number of members before it."""

    arch: str
    accuracy: float
    born: int


@dataclass(frozen=True)
class RegularisedEvolution(SearchMethod):
    """population and sample as NAS-Bench-201's authors ran it: 10 and 3 (their scripts; Real et al. have 100 and 25).

    The sample is drawn with replacement; a child differs from its parent at one place. A child that is a known architecture
    joins the population without being trained again.
    """

    population: int = 10
    sample: int = 3
    name = "evolution"

    def __post_init__(self) -> None:
        if not 1 <= self.sample <= self.population:
            raise BadInput(
                f"got population={self.population}, sample={self.sample}; expected 1 <= sample <= population"
            )

    def search(self, session: Session, generator: np.random.Generator) -> None:
        for _ in self.generations(session, generator):
            pass

    def generations(self, session: Session, generator: np.random.Generator) -> Iterator[tuple[Member, ...]]:
        """The population, oldest first, once it is complete and after every child."""
        living: deque[Member] = deque()
        for born in range(self.population):
            arch = session.choices.sample(generator)
            living.append(Member(arch, session.query(arch), born))
        yield tuple(living)
        while True:
            rivals = [living[int(i)] for i in generator.integers(len(living), size=self.sample)]
            parent = max(rivals, key=lambda member: member.accuracy)
            child = session.choices.mutate(parent.arch, generator)
            living.append(Member(child, session.query(child), living[-1].born + 1))
            living.popleft()
            yield tuple(living)
