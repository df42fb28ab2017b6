"""Small rankers and ten random architectures for tests."""

import numpy as np

from parzc_core.mabn import MABNConfig
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.pinat import PINATBranch, PINATConfig
from parzc_core.ranker import Inputs, ModelConfig
from parzc_core.training import TrainingConfig

PINAT = PINATBranch(6, PINATConfig(Kinds(5, 7, none=0), depth=1, dropout=0.0))


def toy(n: int = 10) -> tuple[Inputs, np.ndarray]:
    rng = np.random.default_rng(0)
    adjacency = np.triu(rng.integers(0, 2, (n, 6, 6)), 1).astype(np.float32)
    inputs = Inputs(rng.normal(size=(n, 30)).astype(np.float32), adjacency, rng.integers(0, 7, (n, 6)))
    return inputs, rng.normal(size=n) + 90


def small(parts: tuple[str, ...], **more) -> TrainingConfig:
    sizes = MABNConfig(30, projection=64, segment=16, width=16, depth=1, dropout=0.0)
    return TrainingConfig(
        model=ModelConfig(parts, sizes, embedding=16, graph=PINAT if "PINAT" in parts else None),
        learning_rate=3e-3,
        weight_decay=0.0,
        **more,
    )
