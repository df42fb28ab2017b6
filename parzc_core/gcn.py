"""NP, the graph-convolutional neural predictor (Wen et al., ECCV 2020, [58]; the layer is Eq. 1 of A.4)."""

from dataclasses import dataclass

import torch
from torch import nn

from parzc_core.errors import BadInput


@dataclass(frozen=True)
class NPConfig:
    """Sizes of NP. operations: kinds of graph node. width: of a graph convolution, depth: how many. outputs: as in MABNConfig.

    hidden: of the fully connected head. The original uses three layers of 144 and a head of 128.
    """

    operations: int
    width: int = 64
    depth: int = 3
    hidden: int = 64
    dropout: float = 0.05
    outputs: int = 1

    def __post_init__(self) -> None:
        for name in ("operations", "width", "depth", "hidden", "outputs"):
            if getattr(self, name) < 1:
                raise BadInput(f"got {name}={getattr(self, name)}; expected at least 1")


def normalised(adjacency: torch.Tensor) -> torch.Tensor:
    """D^-1/2 (A + I) D^-1/2 of Eq. 1, [n, N, N]; D counts the entries of each row of A + I."""
    a_hat = adjacency + torch.eye(adjacency.shape[-1], dtype=adjacency.dtype)
    d = a_hat.sum(dim=-1).rsqrt()
    return d.unsqueeze(-1) * a_hat * d.unsqueeze(-2)


class GraphConvolution(nn.Module):
    """Eq. 1 along the edges and against them, averaged as NP does: (n, N, C_in) -> (n, N, C_out)."""

    def __init__(self, features_in: int, features_out: int):
        super().__init__()
        self.forward_weight = nn.Linear(features_in, features_out, bias=False)
        self.backward_weight = nn.Linear(features_in, features_out, bias=False)

    def forward(self, h: torch.Tensor, along: torch.Tensor, against: torch.Tensor) -> torch.Tensor:
        return 0.5 * (torch.relu(along @ self.forward_weight(h)) + torch.relu(against @ self.backward_weight(h)))


class NP(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n] (or an embedding [n, outputs])."""

    def __init__(self, config: NPConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.operations, config.width)
        self.layers = nn.ModuleList(GraphConvolution(config.width, config.width) for _ in range(config.depth))
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.depth))
        self.head = nn.Sequential(
            nn.Linear(config.width, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.outputs),
        )

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        if adjacency.ndim != 3 or operations.shape != adjacency.shape[:2]:
            got = f"{tuple(adjacency.shape)} and {tuple(operations.shape)}"
            raise BadInput(f"got adjacency and operations of shape {got}; expected [n, N, N] and [n, N]")
        along, against = normalised(adjacency.transpose(1, 2)), normalised(adjacency)  # row i gathers what feeds i
        h = self.embedding(operations)  # (n, N, width)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = norm(layer(h, along, against))
        y = self.head(h.mean(dim=1))  # (n, outputs)
        return y.squeeze(1) if self.config.outputs == 1 else y
