"""The one interface of all search methods: `run(benchmark, budget, seed) -> Trajectory`."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.search.benchmark import Budget, BudgetSpent, Session, Step, TabularBenchmark

LATER = "later"  # in the metadata of a setting that came later: at its default it is left out of the keys of stored runs


@dataclass(frozen=True, repr=False)
class Trajectory:
    """One search. steps: its trainings, in order. repeats: requests for what was known. ended: why it ended.

    seconds: CPU-seconds by part: "search", the method's own; ParZC's parts are named apart from it.
    """

    method: str
    space: str
    dataset: str
    epochs: int
    budget: Budget
    seed: int
    steps: tuple[Step, ...]
    repeats: int
    seconds: dict[str, float]
    ended: str

    def __repr__(self) -> str:
        best = self.incumbents()[-1]
        return (
            f"<{self.method} on {self.space} {self.dataset}, seed {self.seed}: {len(self.steps)} trainings, "
            f"{self.cost:,.0f} seconds; found {best.arch} with {best.accuracy:.2f} % after {best.epochs} epochs>"
        )

    @property
    def cost(self) -> float:
        """Simulated seconds of training that were spent."""
        return self.steps[-1].cost

    @property
    def chosen(self) -> str:
        """The architecture that the search ends with: the last of `incumbents`."""
        return self.incumbents()[-1].arch

    def incumbents(self) -> list[Step]:
        """The steps after which the best so far was another one.

        Best is the highest accuracy among the trainings of the most epochs so far: 12 epochs do not compete with 200.
        """
        found: list[Step] = []
        for step in self.steps:
            if not found or (step.epochs, step.accuracy) > (found[-1].epochs, found[-1].accuracy):
                found.append(step)
        return found

    def table(self) -> pd.DataFrame:
        """A row a step, indexed by its number ("training", from 1): arch, epochs, accuracy (percent), cost (seconds), best (of
        `incumbents`, percent).
        """
        index = pd.RangeIndex(1, len(self.steps) + 1, name="training")
        steps = pd.DataFrame(self.steps, columns=["arch", "epochs", "accuracy", "cost"]).set_axis(index)
        best = {id(step): step.accuracy for step in self.incumbents()}
        steps["best"] = pd.Series([best.get(id(step)) for step in self.steps], index, dtype=float).ffill()
        return steps


class SearchMethod(ABC):
    """A search method; a frozen dataclass of its settings. It gets a session and a random generator, and nothing else.

    name: in the registry. title: in tables, of a method that the paper does not have. effort: about how many CPU-seconds a run
    takes, by which the number of runs is chosen.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    effort: ClassVar[float] = 0.01

    @abstractmethod
    def search(self, session: Session, generator: np.random.Generator) -> None:
        """Ask `session.query` for one architecture after the other; it ends the search when the budget is spent."""

    def reads(self, space: str, dataset: str) -> str:
        """What tells apart the files that it reads, for the keys of stored runs; nothing for most."""
        return ""

    def prepare(self, benchmark: TabularBenchmark) -> None:  # noqa: B027 - most have nothing to prepare
        """Read what lies on disk, before the clock starts."""

    def run(
        self, benchmark: TabularBenchmark, budget: Budget, seed: int, told: Callable[[Step], object] | None = None
    ) -> Trajectory:
        """Search once; the same arguments give the same steps. Raises BadInput where the budget buys no training at all.

        told: called with every training as it ends, to show progress.
        """
        session = benchmark.open(budget, told)
        self.prepare(benchmark)
        started, ended = time.process_time(), "has nothing more to ask"
        try:
            self.search(session, np.random.default_rng(seed))
        except BudgetSpent as reason:
            ended = str(reason)
        if not session.steps:
            raise BadInput(
                f"{self.name}: got {budget}, which pays for no training of {session.epochs} epochs; give more"
            )
        measured = sum(session.seconds.values())
        session.add("search", max(time.process_time() - started - measured, 0.0))
        return Trajectory(
            self.name,
            benchmark.space,
            benchmark.dataset,
            benchmark.epochs,
            budget,
            seed,
            tuple(session.steps),
            session.repeats,
            dict(session.seconds),
            ended,
        )
