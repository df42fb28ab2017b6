"""Network Design Spaces: DARTS, ENAS, NASNet, Amoeba and PNAS, width and depth variable (Radosavovic et al., ICCV 2019).

Five spaces that differ in their operations, in the number of nodes of a cell, and in which nodes a cell's output joins:
`SPACES["nds_darts"]` and so on are what `parzc_core.spaces.space` gives. Architecture strings: see `genotype`.

The input lengths that ParZC prints ("Details for NDS"), divided by its four proxies, are 708 nodes for Amoeba, 500 DARTS,
688 ENAS, 630 NASNet, 728 PNAS. They are no property of the spaces, whose longest networks have 844 nodes (DARTS 684), and fit
the longest of a random sample: in three samples of 1,000 it has 708 to 780, 508 to 572, 668 to 732, 574 to 632, 664 to 700.

Measured with a batch of 16 and the seven node-wise proxies, one thread: 4.0 GB and 14 CPU-seconds for a DARTS network of the
greatest size (32 channels, 20 cells, 312 nodes), without GraSP 2.4 GB and 8; 2.9 GB and 10 for 16 channels, PNAS, 508 nodes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from parzc_core.errors import BadInput, seed_of, whole
from parzc_core.spaces import Graph, Isomorphism
from parzc_core.spaces.nds import genotype, slots
from parzc_core.spaces.nds.genotype import DEPTHS, FAMILIES, INPUTS, WIDTHS, Architecture, Cell, Family, Operation
from parzc_core.spaces.nds.network import Network


@dataclass(frozen=True)
class NdsSpace:
    """One of the five spaces, see `spaces.Space`; name is that of `FAMILIES`. widths, depths: what `sample` draws."""

    name: str
    widths: tuple[int, ...] = WIDTHS
    depths: tuple[int, ...] = DEPTHS
    DEAD_OPERATIONS: bool = True  # an input, or every second cell, that no operation reads; what feeds only `none`
    WIDTH: str = "width"

    @property
    def family(self) -> Family:
        """The space's rules."""
        return FAMILIES[self.name]

    @property
    def OPERATIONS(self) -> tuple[str, ...]:
        """What an operation of a cell can be."""
        return self.family.operations

    @property
    def GRAPH_KINDS(self) -> int:
        """The operations, a cell's two inputs, its output."""
        return len(self.family.operations) + INPUTS + 1

    @property
    def ARCH_COUNT(self) -> int:
        """Pairs of cells, times widths, times depths."""
        return self.family.cells**2 * len(self.widths) * len(self.depths)

    @cached_property
    def SLOTS(self) -> tuple[str, ...]:
        """Every node that a network of at most max(depths) cells can have; deeper ones can be built, and have nodes without."""
        return slots.slots(self.family, max(self.depths))

    @property
    def MAX_NODES(self) -> int:
        """Nodes of a network of max(depths) cells whose every operation is a separable convolution."""
        operation = next(name for name in self.OPERATIONS if name.startswith("sep_conv"))
        cell = Cell(((operation, 0),) * 2 * self.family.nodes, (INPUTS,))
        return len(slots.node_paths(Architecture(cell, cell, self.widths[0], max(self.depths))))

    def parse(self, arch_str: str) -> Architecture:
        """The architecture of a string. Raises BadInput."""
        return genotype.parse(self.family, arch_str)

    def sample(self, count: int, seed: int, width: int | None = None, depth: int | None = None) -> list[str]:
        """`count` different architectures; the first n of a longer sample with the same seed are the sample of n.

        As the published ones were drawn: kind and source of every operation, width and depth, each uniform and by itself.
        width, depth: the same for all, in place of a drawn one; the cells of a seed do not change with them. Raises BadInput.
        """
        count, seed = whole("count", count), seed_of(seed)
        if count < 1:
            raise BadInput(f"got a sample of {count} architectures; expected at least 1")
        rng = np.random.default_rng(seed)
        found: dict[str, None] = {}
        while len(found) < count:
            normal, reduction = self._draw(rng), self._draw(rng)
            drawn = int(rng.choice(self.widths)), int(rng.choice(self.depths))
            chosen = Architecture(
                normal, reduction, drawn[0] if width is None else width, drawn[1] if depth is None else depth
            )
            found.setdefault(str(genotype.checked(self.family, chosen)))
        return list(found)

    def _draw(self, rng: np.random.Generator) -> Cell:
        operations: list[Operation] = []
        for node in range(INPUTS, INPUTS + self.family.nodes):
            for _ in range(2):
                kind, source = int(rng.integers(len(self.OPERATIONS))), int(rng.integers(node))
                operations.append((self.OPERATIONS[kind], source))
        every = tuple(range(INPUTS, INPUTS + self.family.nodes))
        return Cell(tuple(operations), genotype.loose_ends(operations) if self.family.loose else every)

    def resized(self, arch_str: str, width: int | None = None, depth: int | None = None) -> str:
        """The same cells at another width or depth. Raises BadInput."""
        old = self.parse(arch_str)
        new = Architecture(
            old.normal, old.reduction, old.width if width is None else width, old.depth if depth is None else depth
        )
        return str(genotype.checked(self.family, new))

    def build(
        self,
        arch_str: str,
        *,
        classes: int = 10,
        skip_dead: bool = True,
        width: int | None = None,
        depth: int | None = None,
    ) -> Network:
        """The CIFAR network with the framework's own random initialisation.

        width, depth: in place of the architecture's own. skip_dead: see `network.Network`. Raises BadInput.
        """
        classes = whole("classes", classes, 2)
        return Network(self.parse(self.resized(arch_str, width, depth)), classes, skip_dead)

    def parameters(self, arch_str: str, classes: int = 10) -> int:
        """Trainable parameters of the network, without building its weights. Raises BadInput."""
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in self.build(arch_str, classes=classes).parameters())

    def flops(self, arch_str: str, classes: int = 10, side: int = 32) -> int:
        """Floating-point operations of one image of side x side pixels: 2 for a multiply-add of a convolution or the head.

        Of the whole network, dead operations too, as in published numbers (which count a multiply-add once). Raises BadInput.
        """
        counter = FlopCounterMode(display=False)
        with torch.device("meta"), torch.no_grad(), counter:
            self.build(arch_str, classes=classes, skip_dead=False).eval()(torch.empty(1, 3, side, side))
        return int(counter.get_total_flops())

    def graph(self, arch_str: str) -> Graph:
        """Both cells: each its two inputs, the operations of its nodes, its output; 2 (2 nodes + 3) places.

        An operation feeds those that read its node; the normal cell's output feeds the reduction's inputs. `operations` indexes
        OPERATIONS, then the inputs 0 and 1, then the output. Width and depth are not in it.
        """
        architecture, kinds = self.parse(arch_str), len(self.OPERATIONS)
        size = 2 * self.family.nodes + INPUTS + 1
        adjacency = np.zeros((2 * size, 2 * size), dtype=np.float32)
        codes: list[int] = []
        for start, cell in ((0, architecture.normal), (size, architecture.reduction)):
            end = start + size - 1
            codes += [kinds, kinds + 1, *(self.OPERATIONS.index(name) for name, _ in cell.operations), kinds + INPUTS]

            def members(node: int, start: int = start) -> list[int]:
                first = start + INPUTS + 2 * (node - INPUTS)
                return [start + node] if node < INPUTS else [first, first + 1]

            for place, (_, source) in enumerate(cell.operations, start=start + INPUTS):
                adjacency[members(source), place] = 1
            for node in cell.concat:
                adjacency[members(node), end] = 1
        adjacency[size - 1, size : size + INPUTS] = 1
        return Graph(adjacency, np.array(codes, dtype=np.int64))

    def isomorphism(self, arch_str: str) -> Isomorphism:
        """Every architecture stands for itself (cells drawn at random hardly ever coincide); its live nodes."""
        return Isomorphism(arch_str, {path: path for path in slots.node_paths(self.parse(arch_str), live=True)})


SPACES: dict[str, NdsSpace] = {name: NdsSpace(name) for name in FAMILIES}
SPACES["nb301"] = NdsSpace("nds_darts", widths=(32,), depths=(8,))  # NAS-Bench-301's cells, at the size of labels.nb301
