"""ParZC as a search: train some random architectures, learn to rank from them, train those that rank highest."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from parzc_core import paths
from parzc_core.collecting.labelled import Cells, columns_read, folder_name, training_cells, unlabelled
from parzc_core.collector import NodeStatistics
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.runs.rankers import RankerRun, inputs_for, training_config
from parzc_core.search.benchmark import Session, TabularBenchmark
from parzc_core.search.method import SearchMethod
from parzc_core.storage.statistics import StatisticsStore
from parzc_core.training import fit


@dataclass(frozen=True, eq=False)
class Pool:
    """The architectures that ParZC ranks, with what it reads of them; no label is in here.

    collecting: CPU-seconds that their node statistics took, of the store's manifest; where fewer are used than were collected,
    their share.
    """

    archs: tuple[str, ...]
    statistics: tuple[NodeStatistics, ...]
    adjacency: np.ndarray
    operations: np.ndarray
    collecting: float


WIDTHS = {"nb101": 32}  # channels of the networks whose statistics are read, where they are not the benchmark's own


def read(space: str, dataset: str, cells: int | None = None) -> Cells:
    """The committed statistics that searches read, of the first `cells` architectures. Raises BadInput, CorruptShard."""
    return unlabelled(space, dataset, cells, WIDTHS.get(space))


def collecting(space: str, dataset: str, cells: Cells) -> float:
    """CPU-seconds that these statistics took, of the store's manifest; of a part of what was collected, its share."""
    complete = StatisticsStore(paths.STATISTICS / space / folder_name(dataset, WIDTHS.get(space))).complete()
    return cells.collection.manifest.get("cpu_seconds", 0.0) * len(cells) / max(complete, 1)


@lru_cache(maxsize=1)
def pool(space: str, dataset: str, cells: int | None = None) -> Pool:
    """The committed statistics of the first `cells` architectures of the sample (None: all). Raises BadInput, CorruptShard."""
    found = read(space, dataset, cells)
    return Pool(
        tuple(found.collection.archs),
        tuple(found.statistics),
        found.adjacency,
        found.operations,
        collecting(space, dataset, found),
    )


@dataclass(frozen=True)
class ParZC(SearchMethod):
    """train: architectures to learn from, random ones of the pool: 78, as in the paper's tables. Rest: see RankerRun.

    Where the budget ends before `train` are trained, or pays for no more, the best of those is what is found.
    given: a pool in place of the committed one.
    """

    train: int = 78
    encoding: str = "paper"
    parts: tuple[str, ...] = ("NP", "Mixer", "BN")
    size: str = "cpu"
    epochs: int = 200
    cells: int | None = None
    given: Pool | None = field(default=None, repr=False, compare=False)
    name = "parzc"
    effort = 15

    def __post_init__(self) -> None:
        self._run()  # checks the settings

    def prepare(self, benchmark: TabularBenchmark) -> None:
        self._pool(benchmark.choices.name, benchmark.dataset)

    def reads(self, space: str, dataset: str) -> str:
        return columns_read(read(space, dataset, self.cells).collection, PAPER_PROXIES)

    def _pool(self, space: str, dataset: str) -> Pool:
        return self.given or pool(space, dataset, self.cells)

    def _run(self) -> RankerRun:
        return RankerRun(
            train=self.train, parts=tuple(self.parts), size=self.size, encoding=self.encoding, epochs=self.epochs
        )

    def search(self, session: Session, generator: np.random.Generator) -> None:
        pool = self._pool(session.choices.name, session.dataset)
        session.add("collecting", pool.collecting)
        split, seed = (int(number) for number in generator.integers(2**31, size=2))
        train, others = training_cells(len(pool.archs), self.train, split)
        accuracy = np.array([session.query(pool.archs[i]) for i in train])
        with session.timed("training"):
            run = replace(self._run(), space=session.choices.name, dataset=session.dataset)
            inputs = inputs_for(run, pool, train)
            ranker = fit(inputs[train], accuracy, training_config(run, inputs), seed)
        with session.timed("ranking"):
            score = ranker.predict(inputs[others])
        for i in others[np.argsort(-score, kind="stable")]:
            session.query(pool.archs[i])
