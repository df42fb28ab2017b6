"""Small benchmarks with known answers for the tests of searches, and NAS-Bench-201 with made-up accuracies."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from parzc_core.collector import NodeStatistics
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.predictors.plus.features import graph_inputs
from parzc_core.search.benchmark import FULL, Fidelity, Table, TabularBenchmark
from parzc_core.search.choices import NB201, Choices
from parzc_core.search.methods.parzc import Pool
from parzc_core.search.methods.parzc_plus import PlusPool
from parzc_core.spaces import nb201

SIX = Choices("toy", (("a", "b", "c"), ("x", "y")), "-".join, lambda arch: arch.split("-"))


def table(space: Choices, accuracy: Callable[[Sequence[str]], float], second: float = 10.0, low: bool = False) -> Table:
    """Accuracy is a function of the options; the i-th architecture takes second + i seconds, for SHORT epochs 12/200 of that.

    low: with a training of SHORT epochs, whose accuracy is ten points less.
    """
    archs = tuple(space.archs())
    values = np.array([accuracy(space.to_options(arch)) for arch in archs], dtype=float)
    seconds = second + np.arange(len(archs))
    fidelities: Mapping[int, Fidelity] = {FULL: Fidelity(values, seconds)}
    if low:
        fidelities = {**fidelities, EPOCHS: Fidelity(values - 10, seconds * EPOCHS / FULL)}
    return Table(space, archs, fidelities)


def six(low: bool = False) -> TabularBenchmark:
    """Six architectures, accuracies 50 to 55 in order, 10 to 15 seconds; the best is "c-y"."""
    order = SIX.archs()
    return TabularBenchmark("toy", "made-up", table=table(SIX, lambda o: 50 + order.index("-".join(o)), low=low))


def separable(low: bool = False, dataset: str = "cifar10") -> TabularBenchmark:
    """NAS-Bench-201's cells with accuracy the sum of what each operation is worth at each edge; see BEST. 10 seconds and more."""
    worth = np.random.default_rng(5).uniform(0, 8, size=(6, 5))
    worth[np.arange(6), [3, 3, 3, 1, 3, 2]] = 12
    number = {name: i for i, name in enumerate(nb201.OPERATIONS)}
    made = table(NB201, lambda o: 20 + sum(worth[i, number[name]] for i, name in enumerate(o)), second=1e4, low=low)
    return TabularBenchmark("nb201", dataset, table=made)


BEST = nb201.to_string([nb201.OPERATIONS[i] for i in (3, 3, 3, 1, 3, 2)])


def tiny_plus_pool(benchmark: TabularBenchmark, cells: int = 200) -> PlusPool:
    """Cells with the features of their graphs alone, for ParZC+."""
    archs = tuple(benchmark.table.archs[i] for i in np.random.default_rng(1).permutation(len(benchmark.table.archs))[:cells])
    return PlusPool(archs, graph_inputs("nb201", archs), collecting=7.0)


def tiny_pool(benchmark: TabularBenchmark, cells: int = 60) -> Pool:
    """Cells with statistics that tell their accuracy, for ParZC."""
    archs = [benchmark.table.archs[i] for i in np.random.default_rng(1).permutation(len(benchmark.table.archs))[:cells]]
    nodes = nb201.SLOTS[:8]
    statistics = []
    for arch in archs:
        values = np.linspace(1, 2, 8) ** (benchmark.full_accuracy(arch) / 10)
        statistics.append(
            NodeStatistics(nodes, PAPER_PROXIES, np.stack([values] * 3), np.ones(8, int), tuple(range(8)))
        )
    graphs = [nb201.graph(arch) for arch in archs]
    return Pool(
        tuple(archs),
        tuple(statistics),
        np.stack([g.adjacency for g in graphs]),
        np.stack([g.operations for g in graphs]),
        collecting=7.0,
    )
