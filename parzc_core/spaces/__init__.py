"""Search spaces, each a module behind one interface (`Space`). A new space is a module with these names and a line below."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from parzc_core import _plugins
from parzc_core.errors import UnknownName

if TYPE_CHECKING:
    from torch import nn

NDS = ("nds_amoeba", "nds_darts", "nds_enas", "nds_nasnet", "nds_pnas")

VIT = ("autoformer", "pit")

NAMES = ("autoformer", "nb101", "nb201", "nb301", *NDS, "pit")

OTHERS: dict[str, "Space"] = {}  # spaces of other packages, by name; see `_plugins`


@dataclass(frozen=True)
class Graph:
    """An architecture as a graph of operations.

    adjacency: float32[N, N], entry (i, j) is 1 where operation i feeds operation j.
    operations: int64[N], index of each operation in the space's `OPERATIONS`.
    """

    adjacency: np.ndarray
    operations: np.ndarray


@dataclass(frozen=True)
class Isomorphism:
    """An architecture that computes the same function of its weights as another, and how their nodes correspond.

    representative: the architecture that stands for all that are isomorphic to it.
    nodes: {live node of the architecture: node of the representative}; a node without an entry is dead.
    """

    representative: str
    nodes: dict[str, str]


class Space(Protocol):
    """What the collector, the encodings and the predictors need to know about a space.

    GRAPH_KINDS: kinds of operation that `graph` numbers. SLOTS: node paths that its networks can have, in order.
    MAX_NODES: how many of them one network has at most.
    DEAD_OPERATIONS: whether an architecture can hold operations that do not reach its output.
    WIDTH: the argument of `build` for the channels of the first stage.
    ANY_IMAGE_SIZE, where a space has it and it is True: images of another size give the same nodes in the same order, so that
    `--share-isomorphic` finds the order on small ones.
    """

    ARCH_COUNT: int
    OPERATIONS: tuple[str, ...]
    GRAPH_KINDS: int
    SLOTS: tuple[str, ...]
    MAX_NODES: int
    DEAD_OPERATIONS: bool
    WIDTH: str

    def sample(self, count: int, seed: int) -> list[str]:
        """`count` different architectures, drawn without replacement; a longer sample begins with the shorter one."""

    def build(self, arch_str: str, *, classes: int = 10, skip_dead: bool = True, **width: int) -> "nn.Module":
        """The network with the framework's own random initialisation; skip_dead leaves out what cannot reach the output."""

    def graph(self, arch_str: str) -> Graph:
        """The architecture as a graph of operations."""

    def isomorphism(self, arch_str: str) -> Isomorphism:
        """Which architecture stands for this one when isomorphic ones are computed once (itself, where none are known)."""


def space(name: str) -> Space:
    """The space of that name: a module, one of the Network Design Spaces, or NAS-Bench-301 (DARTS). Raises UnknownName."""
    if name not in NAMES:
        if not _plugins.known(name, OTHERS):
            raise UnknownName.of("space", name, (*NAMES, *OTHERS))
        return OTHERS[name]
    if name in ("nb301", *NDS):
        return cast(Space, import_module("parzc_core.spaces.nds").SPACES[name])
    return cast(Space, import_module(f"parzc_core.spaces.{'vit.' if name in VIT else ''}{name}"))


def representatives(name: str, archs: Sequence[str]) -> list[str]:
    """Of each architecture the one that stands for it, as `Space.isomorphism` says. Raises UnknownName, BadInput."""
    module = space(name)
    found = getattr(module, "representative", None)
    return [module.isomorphism(arch).representative if found is None else found(arch) for arch in archs]


def stacked_graphs(name: str, archs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Adjacency float32[n, N, N] and operations int64[n, N] of architectures of that space. Raises UnknownName, BadInput."""
    module = space(name)
    graphs = [module.graph(arch) for arch in archs]
    return np.stack([graph.adjacency for graph in graphs]), np.stack([graph.operations for graph in graphs])
