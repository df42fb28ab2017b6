"""What search methods need to know of a space: to draw an architecture, to change one, and how far apart they are.

Where architectures are independent choices, one of a few options at each place, `Choices` says so; NAS-Bench-101's are not.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from parzc_core.errors import BadInput, UnknownName
from parzc_core.search.choices_nb101 import CellsOfNB101
from parzc_core.spaces import nb201


class SearchSpace(Protocol):
    """A space that can be searched; architectures are strings."""

    @property
    def name(self) -> str: ...
    def __len__(self) -> int: ...
    def sample(self, generator: np.random.Generator) -> str: ...
    def mutate(self, arch: str, generator: np.random.Generator) -> str: ...
    def one_hot(self, archs: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class Choices:
    """A space of P places. name: of the space. options: of each place, as names.

    to_arch: the architecture string of P options; to_options: the P options of an architecture string.
    """

    name: str
    options: tuple[tuple[str, ...], ...]
    to_arch: Callable[[Sequence[str]], str]
    to_options: Callable[[str], Sequence[str]]

    def __len__(self) -> int:
        """Number of architectures."""
        return math.prod(len(names) for names in self.options)

    def archs(self) -> list[str]:
        """Every architecture, in lexicographic order of the options."""
        return [self.to_arch(options) for options in itertools.product(*self.options)]

    def sample(self, generator: np.random.Generator) -> str:
        """An architecture, uniform, drawn with replacement."""
        return self.decode([int(generator.integers(len(names))) for names in self.options])

    def mutate(self, arch: str, generator: np.random.Generator) -> str:
        """The architecture with another option at one place; place and option are uniform."""
        options = list(self.to_options(arch))
        place = int(generator.integers(len(options)))
        others = [name for name in self.options[place] if name != options[place]]
        options[place] = others[int(generator.integers(len(others)))]
        return self.to_arch(options)

    def decode(self, numbers: Sequence[int]) -> str:
        """The architecture whose option at each place has that number."""
        return self.to_arch([names[number] for names, number in zip(self.options, numbers, strict=True)])

    def one_hot(self, archs: Sequence[str]) -> np.ndarray:
        """float64[n, sum of the numbers of options]; a squared distance is twice the number of places that differ."""
        starts = np.cumsum([0, *(len(names) for names in self.options)])
        encoded = np.zeros((len(archs), starts[-1]))
        for row, arch in zip(encoded, archs, strict=True):
            for names, start, option in zip(self.options, starts, self.to_options(arch), strict=False):
                row[start + names.index(option)] = 1
        return encoded


NB201 = Choices("nb201", (nb201.OPERATIONS,) * len(nb201.EDGES), nb201.to_string, nb201.parse)
SPACES: dict[str, SearchSpace] = {"nb201": NB201, "nb101": CellsOfNB101()}


def search_space(name: str) -> SearchSpace:
    """The space of that name: "nb201", an operation on each of six edges, or "nb101", graphs. Raises UnknownName."""
    if name not in SPACES:
        raise UnknownName.of("space to search in", name, SPACES)
    return SPACES[name]


def independent(space: SearchSpace, method: str) -> Choices:
    """The space as independent choices. Raises BadInput, in the name of the method, where it is something else."""
    if not isinstance(space, Choices):
        raise BadInput(
            f"{method} chooses each place for itself; in {space.name} not every combination is an architecture: take "
            "random, evolution, npenas, nasbot or parzc"
        )
    return space
