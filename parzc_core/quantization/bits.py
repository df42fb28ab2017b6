"""Bit configurations: how many bits the weights and activations of each quantizable layer of a network get."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from parzc_core.errors import BadInput, UnknownName, is_whole
from parzc_core.passes import nodes_of

LEAST_BITS, MOST_BITS = 2, 8
CHOICES = (2, 3, 4)
ENDS_BITS = 8  # the usual practice: the first and the last layer keep 8 bits
Bits = int | tuple[int, int]


def quantizable_layers(network: nn.Module) -> tuple[str, ...]:
    """Module paths of the Conv2d and Linear layers, in module order. Raises BadInput where there is none."""
    return tuple(nodes_of(network))


def check_bits(bits: int) -> int:
    """The same number. Raises BadInput unless it is a whole number from 2 to 8."""
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not LEAST_BITS <= bits <= MOST_BITS:
        raise BadInput(
            f"got {bits!r} bits; expected a whole number from {LEAST_BITS} to {MOST_BITS} (one bit has no zero)"
        )
    return int(bits)


@dataclass(frozen=True)
class BitConfiguration(Mapping[str, tuple[int, int]]):
    """Layer name -> (bits of the weights, bits of the layer's input), in module order.

    layers: names; weights, activations: as many whole numbers from 2 to 8. Raises BadInput.
    """

    layers: tuple[str, ...]
    weights: tuple[int, ...]
    activations: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.layers) == len(self.weights) == len(self.activations) == len(set(self.layers)):
            raise BadInput(
                f"got {len(self.layers)} layers ({len(set(self.layers))} names), {len(self.weights)} weight bits and "
                f"{len(self.activations)} activation bits; expected as many of each, every name once"
            )
        for bits in (*self.weights, *self.activations):
            check_bits(bits)

    def __getitem__(self, layer: str) -> tuple[int, int]:
        if layer not in self.layers:
            raise UnknownName.of("layer", layer, self.layers)
        i = self.layers.index(layer)
        return self.weights[i], self.activations[i]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def plain(self) -> dict[str, list[int]]:
        """{layer: [weight bits, activation bits]}, for JSON; `configuration` reads it back."""
        return {name: [w, a] for name, w, a in zip(self.layers, self.weights, self.activations, strict=True)}


def configuration(
    network: nn.Module, bits: Mapping[str, Bits | Sequence[int]], rest: int = ENDS_BITS
) -> BitConfiguration:
    """A configuration by name: bits[layer] is a number, or (weight bits, activation bits); other layers get `rest`.

    Raises UnknownName for a layer that the network does not have, BadInput for bits below 2 or above 8.
    """
    layers = quantizable_layers(network)
    for name in bits:
        if name not in layers:
            raise UnknownName.of("layer", name, layers)
    pairs: list[tuple[int, int]] = []
    for name in layers:
        got = bits.get(name, rest)
        pair = (got, got) if isinstance(got, int | np.integer) else tuple(got)
        if len(pair) != 2:
            raise BadInput(f"got the bits {got!r} for {name}; expected a number, or (weight bits, activation bits)")
        pairs.append((check_bits(pair[0]), check_bits(pair[1])))
    return BitConfiguration(layers, tuple(w for w, _ in pairs), tuple(a for _, a in pairs))


def sample(
    network: nn.Module,
    count: int,
    seed: int = 0,
    choices: Sequence[int] = CHOICES,
    activations: Sequence[int] | None = None,
) -> list[BitConfiguration]:
    """`count` different configurations, uniform over `choices` for the weights and the activations of each layer alike.

    activations: their own choices, where they differ. First and last layer keep 8 bits. The first n of a larger sample are
    the sample of n. Raises BadInput for bits outside 2 to 8, a negative seed, a count below 1 or above the number of
    configurations there are.
    """
    layers = quantizable_layers(network)
    options, others = (
        np.array(sorted({check_bits(bits) for bits in kind}))
        for kind in (choices, choices if activations is None else activations)
    )
    free = max(0, len(layers) - 2)
    there_are = (len(options) * len(others)) ** free
    if not is_whole(count) or not 1 <= count <= there_are:
        raise BadInput(
            f"got a sample of {count!r}; expected 1 to {there_are}, all of {len(layers)} layers' configurations"
        )
    if not is_whole(seed) or seed < 0:
        raise BadInput(f"got the seed {seed!r}; expected a whole number, 0 or above")
    generator = np.random.default_rng(seed)
    found: dict[BitConfiguration, None] = {}
    while len(found) < count:
        drawn = [kind[generator.integers(len(kind), size=free)].tolist() for kind in (options, others)]
        ends = (ENDS_BITS,) * min(1, len(layers)), (ENDS_BITS,) * (len(layers) - free - 1)
        weights, activations = ((*ends[0], *row, *ends[1]) for row in drawn)
        found[BitConfiguration(layers, weights, activations)] = None
    return list(found)


def check_layers(network: nn.Module, bits: BitConfiguration) -> None:
    """Raises UnknownName for a layer of the configuration that the network lacks, BadInput for one that has no bits."""
    layers = quantizable_layers(network)
    for name in bits:
        if name not in layers:
            raise UnknownName.of("layer", name, layers)
    if missing := [name for name in layers if name not in bits.layers]:
        raise BadInput(f"the configuration has no bits for {', '.join(missing)}; expected them for every layer")


def size_in_bits(network: nn.Module, bits: BitConfiguration) -> int:
    """Bits of the quantized weights; biases, BatchNorm and scales, which stay in float, are left out."""
    check_layers(network, bits)
    return sum(node.weight.numel() * bits[name][0] for name, node in nodes_of(network).items())
