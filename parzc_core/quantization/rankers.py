"""What learns to rank bit configurations: ParZC, a linear model to compare with, and what both read of a configuration."""

from collections.abc import Sequence

import numpy as np

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.quantization.bits import BitConfiguration
from parzc_core.ranker import ModelConfig
from parzc_core.training import TrainingConfig, fit_many

OF = ("weights", "activations", "both")  # whose bits are multiplied with the statistics


def parzc(
    features: list[np.ndarray],
    accuracy: list[np.ndarray],
    wanted: np.ndarray,
    seeds: list[int],
    size: str = "tiny",
    epochs: int = 150,
) -> list[np.ndarray]:
    """Scores float64[n] of the configurations `wanted`, by each ranker: MABN trained with DiffKendall (§3.3, §3.4, §4.1).

    features, accuracy: float32[m, D] and float[m] of each ranker's training configurations, of `features`;
    wanted: float32[n, D]. Columns are standardised over the training configurations. size: a MABN configuration, by default
    the smallest, for the input has no more freedom than the bits of a few dozen layers. Raises BadInput.
    """
    scaled = []
    for part in features:
        mean, std = part.mean(axis=0), part.std(axis=0)
        std = np.where(std > 0, std, 1)  # the layers whose bits are fixed say nothing
        scaled.append((((part - mean) / std).astype(np.float32), ((wanted - mean) / std).astype(np.float32)))
    mabn = MABNConfig(wanted.shape[1], **SIZES[size])  # type: ignore[arg-type]
    config = TrainingConfig(ModelConfig(parts=("Mixer", "BN"), mabn=mabn), epochs)
    found: dict[int, np.ndarray] = {}
    for length in {len(part) for part in features}:  # rankers of as many configurations are trained in step
        group = [i for i, part in enumerate(features) if len(part) == length]
        parts = [scaled[i][0] for i in group], [accuracy[i] for i in group]
        for i, ranker in zip(group, fit_many(*parts, config, [seeds[i] for i in group]), strict=True):
            found[i] = ranker.predict(scaled[i][1])
    return [found[i] for i in range(len(features))]


def linear(
    features: list[np.ndarray], accuracy: list[np.ndarray], wanted: np.ndarray, seeds: list[int]
) -> list[np.ndarray]:
    """Scores float64[n] of ridge regression, by each ranker, the penalty chosen by leave-one-out. seeds: not used."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    found = []
    for part, target in zip(features, accuracy, strict=True):
        scaler = StandardScaler().fit(part)
        model = RidgeCV(np.logspace(-2, 3, 11)).fit(scaler.transform(part), target)
        found.append(model.predict(scaler.transform(wanted)).astype(np.float64))
    return found


def bits_alone(configurations: Sequence[BitConfiguration]) -> np.ndarray:
    """float32[n, 2 L]: the bits of weights and of activations, layer by layer; no statistics."""
    return np.array([(*one.weights, *one.activations) for one in configurations], dtype=np.float32)


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
