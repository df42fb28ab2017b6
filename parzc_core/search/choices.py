"""Architectures as independent choices, one of a few options at each place: what most search methods need to know of a space."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from parzc_core.errors import UnknownName
from parzc_core.spaces import nb201


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


def choices(space: str) -> Choices:
    """The choices of a space: "nb201", the operation on each of its six edges. Raises UnknownName."""
    if space != "nb201":
        raise UnknownName.of("space to search in (published training times are needed)", space, ["nb201"])
    return Choices("nb201", (nb201.OPERATIONS,) * len(nb201.EDGES), nb201.to_string, nb201.parse)
