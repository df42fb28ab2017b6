"""ParZC+ as a search: rank the space, train what score and uncertainty pick, rank again."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from parzc_core.collecting.labelled import columns_read
from parzc_core.errors import BadInput
from parzc_core.predictors.label_free import committees, together, votes_of_cells
from parzc_core.predictors.plus.features import PlusInputs, columns, graph_inputs, plus_features
from parzc_core.predictors.plus.model import PLUS, ParZCPlus, PlusConfig
from parzc_core.predictors.plus.picking import WEIGHTS, first_picks, picks
from parzc_core.search.benchmark import Session, TabularBenchmark
from parzc_core.search.method import LATER, SearchMethod
from parzc_core.search.methods.parzc import collecting, read

_GRAPH = PlusConfig(parts=("graph", "paths"))  # of architectures without statistics


@dataclass(frozen=True, eq=False)
class PlusPool:
    """The architectures that are ranked, with the features that ParZC+ reads of them; no label is in here.

    collecting: CPU-seconds that their node statistics took. order: float64[n], larger is thought better, of a pool that is given.
    """

    archs: tuple[str, ...]
    inputs: PlusInputs
    collecting: float
    order: np.ndarray | None = None


@lru_cache(maxsize=1)
def plus_pool(space: str, dataset: str, cells: int | None = None) -> PlusPool:
    """The committed statistics of the first `cells` architectures of the sample (None: all). Raises BadInput, CorruptShard."""
    found = read(space, dataset, cells)
    return PlusPool(tuple(found.collection.archs), plus_features(found), collecting(space, dataset, found))


@lru_cache(maxsize=1)
def pool_order(space: str, dataset: str, cells: int | None = None) -> np.ndarray:
    """float64[n], an order of the pool's architectures that no label of their space has a part in; larger is better."""
    found = read(space, dataset, cells)
    return together(votes_of_cells(found.collection, space), committees(space))[0]


@dataclass(frozen=True)
class ParZCPlusSearch(SearchMethod):
    """start: architectures of the pool to begin with. `ordered` of them, no two isomorphic, are drawn among the first of an order
    without labels (`predictors.label_free`, `first_picks`), the others among all. Then, again and again, ParZC+ is fitted to
    all that is trained, and for each of `weights` the architecture of highest score + weight x spread is trained, no two of them
    isomorphic.

    Weights that differ keep it from settling on the first good region: with five alike, a few searches never leave it
    (experiments/search_trainings.py).
    Isomorphic cells were trained apart and differ by chance, so the others of a class may follow in later steps.
    mutants: so many mutants of the `parents` best that lie outside the pool compete for every other step, ranked by features of
    their graphs alone: for spaces of which the pool is a part. given: a pool in place of the committed one.
    """

    start: int = 20
    ordered: int = field(default=0, metadata={LATER: True})
    weights: tuple[float, ...] = WEIGHTS
    mutants: int = 0
    parents: int = 10
    cells: int | None = None
    given: PlusPool | None = field(default=None, repr=False, compare=False)
    name = "parzc_plus"
    title = "ParZC+"
    effort = 15

    def __post_init__(self) -> None:
        if (
            self.start < 2
            or self.ordered > self.start
            or self.parents < 1
            or not self.weights
            or min(self.ordered, self.mutants, *self.weights) < 0
        ):
            raise BadInput(
                f"got start={self.start}, ordered={self.ordered}, weights={self.weights}, mutants={self.mutants}, "
                f"parents={self.parents}; expected at least 2 to start with, no more of them ordered, a weight and a parent, "
                "and no negative number"
            )

    def prepare(self, benchmark: TabularBenchmark) -> None:
        self._pool(benchmark.choices.name, benchmark.dataset)
        if self.ordered:
            self._order(benchmark.choices.name, benchmark.dataset)

    def reads(self, space: str, dataset: str) -> str:
        found = read(space, dataset, self.cells)
        proxies, scores = columns(found)
        if not self.ordered:
            return columns_read(found.collection, proxies, scores)
        asked = committees(space)
        votes = sorted({vote for one in asked for vote in one.votes if vote in found.collection.scores and vote not in scores})
        committee = hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
        return f"{columns_read(found.collection, proxies, (*scores, *votes))} {committee}"

    def _pool(self, space: str, dataset: str) -> PlusPool:
        return self.given or plus_pool(space, dataset, self.cells)

    def _order(self, space: str, dataset: str) -> np.ndarray:
        if self.given is None:
            return pool_order(space, dataset, self.cells)
        if self.given.order is None:
            raise BadInput(f"got a pool without an order, and ordered={self.ordered}; expected an order, or ordered=0")
        return self.given.order

    def search(self, session: Session, generator: np.random.Generator) -> None:
        pool = self._pool(session.choices.name, session.dataset)
        session.add("collecting", pool.collecting)
        known: dict[str, float] = {}  # in the order in which they were trained
        for i in self._first(session, generator, pool):
            known[pool.archs[i]] = session.query(pool.archs[i])
        steps = 0
        while True:
            outside = self.mutants > 0 and steps % 2 == 1
            picked = self._outside(session, generator, known) if outside else self._inside(session, generator, known, pool)
            steps += 1
            if not picked and not self.mutants:
                return  # the whole pool is trained
            for arch in picked:
                known[arch] = session.query(arch)

    def _first(self, session: Session, generator: np.random.Generator, pool: PlusPool) -> list[int]:
        """Positions of those to begin with."""
        shuffled = generator.permutation(len(pool.archs)).tolist()
        if not self.ordered:
            return shuffled[: self.start]
        with session.timed("ranking"):
            order = self._order(session.choices.name, session.dataset)
        first = first_picks(order, pool.inputs.classes, shuffled, self.ordered)
        return list(dict.fromkeys([*first, *shuffled]))[: self.start]

    def _inside(
        self, session: Session, generator: np.random.Generator, known: dict[str, float], pool: PlusPool
    ) -> list[str]:
        """The next architectures of the pool."""
        return self._picked(session, generator, known, pool.archs, pool.inputs, PLUS)

    def _outside(self, session: Session, generator: np.random.Generator, known: dict[str, float]) -> list[str]:
        """The next ones among mutants of the best, which may lie anywhere in the space."""
        best = sorted(known, key=lambda arch: -known[arch])[: self.parents]
        found: dict[str, None] = {}
        for tried in range(20 * self.mutants):
            arch = session.choices.mutate(best[tried % len(best)], generator)
            if arch not in known:
                found[arch] = None
            if len(found) == self.mutants:
                break
        if not found:
            return []
        archs = (*known, *found)
        with session.timed("ranking"):
            inputs = graph_inputs(session.choices.name, archs)
        return self._picked(session, generator, known, archs, inputs, _GRAPH)

    def _picked(
        self,
        session: Session,
        generator: np.random.Generator,
        known: dict[str, float],
        archs: tuple[str, ...],
        inputs: PlusInputs,
        config: PlusConfig,
    ) -> list[str]:
        """A new architecture for each weight, as long as there are any; a little chance orders isomorphic ones."""
        seed, chance = int(generator.integers(2**31)), generator.random(len(archs))
        place = {arch: i for i, arch in enumerate(archs)}
        rows = np.array([place[arch] for arch in known if arch in place], dtype=np.int64)
        accuracy = np.array([known[arch] for arch in known if arch in place])
        if len(rows) < 2 or np.ptp(accuracy) == 0:  # nothing to learn from
            return [archs[i] for i in np.argsort(chance) if archs[i] not in known][: len(self.weights)]
        with session.timed("ranking"):
            score, spread = ParZCPlus(config).fit_predict(inputs, rows, accuracy, seed)
        return [archs[i] for i in picks(score, spread, set(rows.tolist()), chance, inputs.classes, self.weights)]
