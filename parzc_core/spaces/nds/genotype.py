"""Architectures of the Network Design Spaces: their strings, the rules they keep, and their numbers (no network here).

A cell has two inputs, nodes 0 and 1 (the outputs of the cell before the last one and of the last one), and intermediate nodes
2, 3, ...; each is the sum of two operations, and each operation reads an earlier node. The output is a concatenation of nodes.
An architecture is a normal cell, a reduction cell, a width (channels of the first stage) and a depth (number of cells):

    WIDTHxDEPTH/NORMAL/REDUCTION, a cell being OP~FROM|OP~FROM+OP~FROM|OP~FROM+...>NODE,NODE,...
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parzc_core.errors import BadInput, is_whole

INPUTS = 2
WIDTHS, DEPTHS = (16, 24, 32), (4, 8, 12, 16, 20)  # of the CIFAR-10 networks (Radosavovic et al., ICCV 2019, §5)
LEAST_WIDTH, LEAST_DEPTH = 2, 3
CELLS = ("normal", "reduction")

Operation = tuple[str, int]  # its name, the node it reads


@dataclass(frozen=True)
class Family:
    """A space's rules (Radosavovic et al., ICCV 2019, §5).

    title: name in the papers. operations: what an operation can be. nodes: intermediate nodes of a cell.
    loose: a sampled cell concatenates the nodes that no other reads ("L"), otherwise all of them ("A").
    """

    title: str
    operations: tuple[str, ...]
    nodes: int
    loose: bool

    @property
    def cells(self) -> int:
        """How many cells there are: for each of a node's two operations, its kind and the node it reads."""
        count = 1
        for node in range(self.nodes):
            count *= (len(self.operations) * (node + INPUTS)) ** 2
        return count


_SEPARABLE = ("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7")
FAMILIES: dict[str, Family] = {
    "nds_darts": Family(
        "DARTS",
        ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", *_SEPARABLE[:2], "dil_conv_3x3", "dil_conv_5x5"),
        nodes=4,
        loose=False,
    ),
    "nds_enas": Family("ENAS", ("skip_connect", *_SEPARABLE[:2], "avg_pool_3x3", "max_pool_3x3"), nodes=5, loose=True),
    "nds_nasnet": Family(
        "NASNet",
        (
            *("skip_connect", "conv_3x1_1x3", "conv_7x1_1x7", "dil_conv_3x3", "avg_pool_3x3"),
            *("max_pool_3x3", "max_pool_5x5", "max_pool_7x7", "conv_1x1", "conv_3x3", *_SEPARABLE),
        ),
        nodes=5,
        loose=True,
    ),
    "nds_amoeba": Family(
        "Amoeba",
        ("skip_connect", *_SEPARABLE, "avg_pool_3x3", "max_pool_3x3", "dil_sep_conv_3x3", "conv_7x1_1x7"),
        nodes=5,
        loose=True,
    ),
    "nds_pnas": Family(
        "PNAS",
        (*_SEPARABLE, "conv_7x1_1x7", "skip_connect", "avg_pool_3x3", "max_pool_3x3", "dil_conv_3x3"),
        nodes=5,
        loose=False,
    ),
}


@dataclass(frozen=True)
class Cell:
    """operations: two for each intermediate node, in order. concat: the nodes that the output joins, in order."""

    operations: tuple[Operation, ...]
    concat: tuple[int, ...]

    @property
    def nodes(self) -> tuple[tuple[Operation, Operation], ...]:
        """The pair of operations of each intermediate node."""
        return tuple(zip(self.operations[::2], self.operations[1::2], strict=True))

    def __str__(self) -> str:
        nodes = ("|".join(f"{name}~{source}" for name, source in pair) for pair in self.nodes)
        return "+".join(nodes) + ">" + ",".join(map(str, self.concat))


@dataclass(frozen=True)
class Architecture:
    """normal, reduction: its cells. width: channels of the first stage. depth: number of cells."""

    normal: Cell
    reduction: Cell
    width: int
    depth: int

    def cell(self, reduction: bool) -> Cell:
        """The cell of a normal or of a reduction layer."""
        return self.reduction if reduction else self.normal

    def __str__(self) -> str:
        return f"{self.width}x{self.depth}/{self.normal}/{self.reduction}"


def loose_ends(operations: Sequence[Operation]) -> tuple[int, ...]:
    """The intermediate nodes that no operation reads."""
    read = {source for _, source in operations}
    return tuple(node for node in range(INPUTS, INPUTS + len(operations) // 2) if node not in read)


def checked(family: Family, architecture: Architecture) -> Architecture:
    """The same architecture, if it is one of the family's. Raises BadInput.

    Any concatenation of different intermediate nodes is taken, as published cells do not all keep the sampler's rule.
    """
    for kind, cell in zip(CELLS, (architecture.normal, architecture.reduction), strict=True):
        _check_cell(family, cell, f"the {kind} cell of {architecture}")
    for name, got, least, why in (
        ("width", architecture.width, LEAST_WIDTH, "a reduction at width 1 has no two halves to join"),
        ("depth", architecture.depth, LEAST_DEPTH, "one cell for each of the two reductions and one before them"),
    ):
        if not is_whole(got) or got < least:
            raise BadInput(f"got {name} {got!r} in {architecture}; expected a whole number of at least {least}: {why}")
    return architecture


def _check_cell(family: Family, cell: Cell, where: str) -> None:
    if len(cell.operations) != 2 * family.nodes:
        raise BadInput(
            f"got {len(cell.operations)} operations in {where}; expected {2 * family.nodes}, two for each of the "
            f"{family.nodes} nodes of a cell of {family.title}"
        )
    for place, (name, source) in enumerate(cell.operations):
        node = INPUTS + place // 2
        if name not in family.operations:
            known = ", ".join(family.operations)
            raise BadInput(f"unknown operation {name!r} in {where}; those of {family.title} are {known}")
        if not 0 <= source < node:
            raise BadInput(f"node {node} reads node {source} in {where}; expected an earlier one, 0 to {node - 1}")
    last = INPUTS + family.nodes - 1
    if (
        not cell.concat
        or len(set(cell.concat)) != len(cell.concat)
        or any(not INPUTS <= node <= last for node in cell.concat)
    ):
        raise BadInput(f"got the output {list(cell.concat)} in {where}; expected different nodes of {INPUTS} to {last}")


_FORM = re.compile(r"(\d+)x(\d+)/([^/]+)/([^/]+)")


def parse(family: Family, arch_str: str) -> Architecture:
    """The architecture of a string (see the top of this file). Raises BadInput."""
    match = _FORM.fullmatch(arch_str) if isinstance(arch_str, str) else None
    if match is None:
        raise BadInput(f"not an architecture of {family.title}: {arch_str!r}; expected the form {example(family)}")
    width, depth, normal, reduction = match.groups()
    architecture = Architecture(
        _parse_cell(family, normal), _parse_cell(family, reduction), width=int(width), depth=int(depth)
    )
    return checked(family, architecture)


def _parse_cell(family: Family, text: str) -> Cell:
    nodes, _, concat = text.partition(">")
    operations = []
    for pair in nodes.split("+"):
        match = re.fullmatch(r"(\w+)~(\d+)\|(\w+)~(\d+)", pair)
        if match is None:
            raise BadInput(
                f"got the node {pair!r} of {family.title}; expected two operations and what each reads, OP~0|OP~1"
            )
        operations += [(match[1], int(match[2])), (match[3], int(match[4]))]
    if not re.fullmatch(r"\d+(,\d+)*", concat):
        raise BadInput(f"got the output {concat!r} of the cell {text!r}; expected nodes after its '>', as in >2,3")
    return Cell(tuple(operations), tuple(map(int, concat.split(","))))


def example(family: Family) -> str:
    """An architecture string of the family."""
    cell = Cell((("skip_connect", 0), ("max_pool_3x3", 1)) * family.nodes, tuple(range(INPUTS, INPUTS + family.nodes)))
    return str(Architecture(cell, cell, WIDTHS[0], DEPTHS[0]))


def from_genotype(family: Family, genotype: Mapping[str, Any], width: int, depth: int) -> Architecture:
    """The architecture of a genotype in the widely used form: normal, normal_concat, reduce, reduce_concat.

    genotype: normal and reduce are lists of (operation, node it reads). Raises BadInput.
    """
    try:
        normal, reduction = (
            Cell(
                tuple((str(name), _whole(source)) for name, source in genotype[key]),
                tuple(_whole(node) for node in genotype[f"{key}_concat"]),
            )
            for key in ("normal", "reduce")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"got a genotype of {family.title} that cannot be read ({type(error).__name__}: {error}); expected normal and "
            "reduce, lists of [operation, node it reads], with normal_concat and reduce_concat, lists of nodes"
        ) from None
    return checked(family, Architecture(normal, reduction, width, depth))


def _whole(number: Any) -> int:
    if not is_whole(number):
        raise TypeError(f"{number!r} is not a whole number")
    return number
