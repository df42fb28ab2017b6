"""Search methods behind one interface (`SearchMethod.run`) over tabular benchmarks (`TabularBenchmark`), and their comparison.

    found = method("evolution").run(TabularBenchmark("nb201", "cifar10"), Budget(seconds=200_000), seed=0)
    found.chosen, found.cost

A new method is a subclass of SearchMethod and a line in METHODS, the only list of them: tables 3 and 9, the searches by number of
trainings and their figures have every method that is in it.
"""

from typing import Any

from parzc_core import _plugins
from parzc_core.errors import BadInput, UnknownName
from parzc_core.labels.nb201_12_epochs import EPOCHS as SHORT
from parzc_core.search.benchmark import FULL, Budget, Session, TabularBenchmark
from parzc_core.search.judge import Judge
from parzc_core.search.method import SearchMethod, Trajectory
from parzc_core.search.methods.bohb import BOHB
from parzc_core.search.methods.evolution import RegularisedEvolution
from parzc_core.search.methods.nasbot import NASBOT
from parzc_core.search.methods.npenas import NPENAS
from parzc_core.search.methods.parzc import ParZC
from parzc_core.search.methods.parzc_plus import ParZCPlusSearch
from parzc_core.search.methods.random_search import RandomSearch
from parzc_core.search.methods.reinforce import Reinforce
from parzc_core.search.methods.robot import RoBoT

__all__ = [
    "FULL",
    "METHODS",
    "SHORT",
    "Budget",
    "Judge",
    "SearchMethod",
    "Session",
    "TabularBenchmark",
    "Trajectory",
    "method",
]

METHODS: dict[str, type[SearchMethod]] = {
    kind.name: kind
    for kind in (RandomSearch, RegularisedEvolution, Reinforce, NASBOT, BOHB, NPENAS, ParZC, ParZCPlusSearch, RoBoT)
}


def method(name: str, **settings: Any) -> SearchMethod:
    """The method of that name with those settings. Raises UnknownName, BadInput."""
    if not _plugins.known(name, METHODS):
        raise UnknownName.of("search method", name, METHODS)
    try:
        return METHODS[name](**settings)
    except TypeError as error:
        raise BadInput(f"{name} was given {settings}: {error}") from None
