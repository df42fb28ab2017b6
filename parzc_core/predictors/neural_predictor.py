"""NP behind the `Predictor` interface, with the published sizes (Wen et al., ECCV 2020); the network is `parzc_core.gcn.NP`.

Three graph convolutions of 144, a head of 128, dropout 0.1; mean squared error, 300 epochs in batches of 10, Adam 1e-4 with
weight decay 1e-3, cosine: the settings of the public reimplementation (https://github.com/ultmaster/neuralpredictor.pytorch),
which TNASP and PINAT share. Differs from it: adjacency is normalised on both sides, as the paper's
Eq. 1 of A.4 has it, layers are followed by LayerNorm, and there is no dropout inside them. Nodes that let nothing pass stay
in the graph, as a kind of node of their own.
"""

from dataclasses import dataclass

from torch import nn

from parzc_core.gcn import NP, NPConfig
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule

SCHEDULE = Schedule(300, 10, 1e-4, weight_decay=1e-3, cosine=True)


@dataclass(frozen=True)
class NeuralPredictorConfig:
    """kinds: of the space. width, depth: of the graph convolutions; hidden, dropout: of the head."""

    kinds: Kinds
    width: int = 144
    depth: int = 3
    hidden: int = 128
    dropout: float = 0.1
    schedule: Schedule = SCHEDULE


class NeuralPredictor(NetworkPredictor):
    """Equal scores for graphs that are equal but for the order of their nodes."""

    config: NeuralPredictorConfig

    def build(self, nodes: int) -> nn.Module:
        c = self.config
        return NP(NPConfig(c.kinds.total, width=c.width, depth=c.depth, hidden=c.hidden, dropout=c.dropout))
