"""What learns to rank bit configurations: ParZC, and a linear model of the bits alone to compare with."""

from collections.abc import Sequence

import numpy as np

from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.mixed_precision.bits import BitConfiguration
from parzc_core.model import ModelConfig
from parzc_core.training import TrainingConfig, fit


def parzc(
    features: np.ndarray, accuracy: np.ndarray, wanted: np.ndarray, seed: int, size: str = "cpu", epochs: int = 150
) -> np.ndarray:
    """Scores float64[n] of the configurations `wanted`: MABN trained with DiffKendall on `features` (§3.3, §3.4, §4.1).

    features, wanted: float32[m, D], [n, D] of `mixed_precision.features`. Columns are standardised over the training
    configurations. size: a MABN configuration. Batches of a tenth of the training configurations (at least ten, the
    paper's), so that an epoch is ten steps whatever their number. Raises BadInput.
    """
    mean, std = features.mean(axis=0), features.std(axis=0)
    std = np.where(std > 0, std, 1)  # the layers whose bits are fixed say nothing
    mabn = MABNConfig(features.shape[1], **SIZES[size])  # type: ignore[arg-type]
    config = TrainingConfig(ModelConfig(parts=("Mixer", "BN"), mabn=mabn), epochs, max(10, len(features) // 10))
    ranker = fit(((features - mean) / std).astype(np.float32), accuracy, config, seed)
    return ranker.predict(((wanted - mean) / std).astype(np.float32))


def linear(features: np.ndarray, accuracy: np.ndarray, wanted: np.ndarray, seed: int = 0) -> np.ndarray:
    """Scores float64[n] of ridge regression on the features; the penalty by leave-one-out. seed: not used."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = RidgeCV(np.logspace(-2, 3, 11)).fit(scaler.transform(features), accuracy)
    return model.predict(scaler.transform(wanted)).astype(np.float64)


def bits_alone(configurations: Sequence[BitConfiguration]) -> np.ndarray:
    """float32[n, 2 L]: the bits of weights and of activations, layer by layer; no statistics."""
    return np.array([(*one.weights, *one.activations) for one in configurations], dtype=np.float32)
