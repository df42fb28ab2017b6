"""ParZC's input for a bit configuration: node-wise statistics times the bits of each layer."""

from collections.abc import Sequence

import numpy as np

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mixed_precision.bits import BitConfiguration

OF = ("weights", "activations", "both")


def features(statistics: NodeStatistics, configurations: Sequence[BitConfiguration], of: str = "both") -> np.ndarray:
    """float32[n, D], row by row the statistics of the one network times the bits of a configuration (Table 11).

    statistics: of the trained network, K proxies at L layers. Columns: proxy by proxy, layers in the order of `statistics`.
    Each proxy's statistics are first scaled to an L2 norm of 1 over the layers after log(1 + |z|), signed: their scales
    differ by many powers of ten. of: which bits, "weights", "activations" (D = K L), or "both", one after the other
    (D = 2 K L).
    Raises BadInput without a configuration, for statistics that are not finite or another set of layers; UnknownName for `of`.
    """
    if of not in OF:
        raise UnknownName.of("kind of bits", of, OF)
    if not configurations:
        raise BadInput("got no configuration; expected at least one")
    if statistics.not_finite:
        raise BadInput(f"{statistics.not_finite} of the network's statistics are not finite; expected finite ones")
    for bits in configurations:
        if set(bits.layers) != set(statistics.nodes):
            raise BadInput(
                f"a configuration has the layers {', '.join(bits.layers)}; "
                f"expected those of the statistics: {', '.join(statistics.nodes)}"
            )
    z = np.sign(statistics.values) * np.log1p(np.abs(statistics.values))
    norms = np.linalg.norm(z, axis=1, keepdims=True)
    z = np.divide(z, norms, out=np.zeros_like(z), where=norms > 0)  # a proxy that is zero everywhere says nothing
    pairs = np.array(
        [[bits[name] for name in statistics.nodes] for bits in configurations], dtype=np.float64
    )  # n, L, 2
    kinds = {"weights": [0], "activations": [1], "both": [0, 1]}[of]
    rows = [(z[None] * pairs[:, None, :, kind]).reshape(len(pairs), -1) for kind in kinds]
    return np.concatenate(rows, axis=1).astype(np.float32)
