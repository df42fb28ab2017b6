"""ReNAS, a convolutional network on the graph as an image, trained to order pairs (Xu et al., CVPR 2021, [61]).

An architecture is a tensor of N x N matrices: the adjacency matrix times a vector that holds a property of each node. The
paper stacks the type, and FLOPs and parameters of each of the network's cells; a graph alone has neither of the last two, so
the tensor here is the adjacency matrix and one matrix for each type (entry (i, j) is 1 where i feeds j and j is of that
type). The rest is as released (https://github.com/huawei-noah/Efficient-Computing, Efficient-NAS/ReNAS): entries standardised
over the training set; LeNet-5 with 3x3 convolutions, twice the channels, then 128, BatchNorm, and layers of 120, 84 and 1;
the mean over pairs of log(1 + exp(-sign(y_i - y_j) (s_i - s_j))), which is the logistic form of the paper's pairwise loss;
Adam 1e-3, 200 epochs, batches of 1024. Left out: the choice of the epoch with the best training tau.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule

SCHEDULE = Schedule(200, 1024, 1e-3)


@dataclass(frozen=True)
class ReNASConfig:
    """kinds: of the space. channels: of the second convolution; hidden: of the fully connected layers."""

    kinds: Kinds
    channels: int = 128
    hidden: tuple[int, int] = (120, 84)
    schedule: Schedule = SCHEDULE


class LeNet(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n]."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, nodes: int, config: ReNASConfig):
        super().__init__()
        self.kinds = config.kinds
        matrices = self.kinds.total + 1
        self.convolutions = nn.Sequential(
            nn.Conv2d(matrices, 2 * matrices, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * matrices),
            nn.ReLU(),
            nn.Conv2d(2 * matrices, config.channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(config.channels),
            nn.ReLU(),
        )
        first, second = config.hidden
        self.head = nn.Sequential(
            nn.Linear(config.channels * nodes**2, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, 1),
        )
        self.register_buffer("mean", torch.zeros(matrices, nodes, nodes))
        self.register_buffer("std", torch.ones(matrices, nodes, nodes))

    def tensor(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """float32[n, kinds + 1, N, N]."""
        types = F.one_hot(operations, self.kinds.total).float().transpose(1, 2)  # (n, kinds, N)
        edges = adjacency.unsqueeze(1)
        return torch.cat([edges, edges * types.unsqueeze(2)], dim=1)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        x = (self.tensor(adjacency, operations) - self.mean) / self.std
        return self.head(self.convolutions(x).flatten(1)).squeeze(1)


class ReNAS(NetworkPredictor):
    """No spread: the network has no dropout."""

    config: ReNASConfig
    has_spread: ClassVar[bool] = False

    def build(self, nodes: int) -> nn.Module:
        return LeNet(nodes, self.config)

    def prepare(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> None:
        assert isinstance(network, LeNet)
        x = network.tensor(adjacency, operations)
        network.mean.copy_(x.mean(dim=0))
        std = x.std(dim=0, unbiased=False)
        network.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        return logistic_rank_loss(network(adjacency, operations), target)


def logistic_rank_loss(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over the ordered pairs of log(1 + exp(-sign(target_i - target_j) (scores_i - scores_j))); a tied pair counts log 2."""
    i, j = torch.triu_indices(len(scores), len(scores), offset=1)
    return F.softplus(-torch.sign(target[i] - target[j]) * (scores[i] - scores[j])).mean()
