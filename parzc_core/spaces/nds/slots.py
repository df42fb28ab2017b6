"""Names of the nodes of the Network Design Spaces' networks: which an architecture has, which are live, all there can be."""

from collections.abc import Iterable

from parzc_core.spaces.nds.genotype import INPUTS, LEAST_DEPTH, Architecture, Family, Operation
from parzc_core.spaces.nds.network import Place, inputs_read, live_layers, live_nodes, places

STEM, CLASSIFIER = "stem.0", "classifier"


def node_paths(architecture: Architecture, live: bool = False) -> tuple[str, ...]:
    """Module paths of the network's Conv2d/Linear nodes, in module order; live: only those that reach the classifier."""
    paths = [STEM]
    for place, computed in zip(places(architecture.depth), live_layers(architecture), strict=True):
        if live and not computed:
            continue
        cell = architecture.cell(place.reduction)
        alive = live_nodes(cell)
        names = _projections(place, inputs_read(cell) if live else range(INPUTS))
        for node, pair in enumerate(cell.nodes, start=INPUTS):
            if node in alive or not live:
                for k, operation in enumerate(pair):
                    names += _convolutions(node, k, operation, place.reduction)
        paths += [f"stages.{place.stage}.{place.cell}.{name}" for name in names]
    return (*paths, CLASSIFIER)


def slots(family: Family, depth: int) -> tuple[str, ...]:
    """Every node that a network of at most `depth` cells can have, from the stem to the classifier."""
    found: dict[tuple[int, int], list[Place]] = {}
    for cells in range(LEAST_DEPTH, depth + 1):
        for place in places(cells):
            found.setdefault((place.stage, place.cell), []).append(place)
    paths = [STEM]
    for (stage, cell), same in sorted(found.items()):
        names = [name for i in range(INPUTS) for place in same for name in _projections(place, (i,))]
        for node in range(INPUTS, INPUTS + family.nodes):
            for k in range(2):
                for operation in family.operations:
                    names += _convolutions(node, k, (operation, 0), same[0].reduction)
        paths += [f"stages.{stage}.{cell}.{name}" for name in dict.fromkeys(names)]
    return (*paths, CLASSIFIER)


def _projections(place: Place, inputs: Iterable[int]) -> list[str]:
    halves = ["inputs.0.halves.0", "inputs.0.halves.1"]
    return [name for i in inputs for name in (halves if i == 0 and place.halve_first else [f"inputs.{i}.1"])]


def _convolutions(node: int, k: int, operation: Operation, reduction: bool) -> list[str]:
    """Paths of an operation's convolutions inside its cell."""
    name, source = operation
    parts: tuple[str, ...] = ()
    if name.startswith(("sep_conv", "dil_sep_conv")):
        parts = ("1", "2", "5", "6")  # depthwise, pointwise, twice
    elif name.startswith("dil_conv") or name in ("conv_3x1_1x3", "conv_7x1_1x7"):
        parts = ("1", "2")
    elif name.startswith("conv"):
        parts = ("1",)
    elif name == "skip_connect" and reduction and source < INPUTS:
        parts = ("halves.0", "halves.1")
    return [f"nodes.{node}.{k}_{name}.{part}" for part in parts]
