"""NP, the graph-convolutional neural predictor (Wen et al., ECCV 2020, [58]), which Table 6 adds to MABN (A.4)."""

from dataclasses import dataclass

import torch
from torch import nn

from parzc_core.errors import BadInput, real, whole


@dataclass(frozen=True)
class NPConfig:
    """Sizes of NP.

        >>> NPConfig(operations=7, width=144, hidden=128).depth  # the sizes of [58]
        3

    operations: number of kinds of graph node. width, depth: of the graph convolutions. hidden: width of the fully connected
    head. dropout: probability. outputs: 1 gives scores [n]; more gives an embedding [n, outputs].
    Raises BadInput for a size below 1.
    """

    operations: int
    width: int = 64
    depth: int = 3
    hidden: int = 64
    dropout: float = 0.05
    outputs: int = 1

    def __post_init__(self) -> None:
        for name in ("operations", "width", "depth", "hidden", "outputs"):
            whole(name, getattr(self, name), 1)
        real("dropout", self.dropout, 0, 1)


def normalised(adjacency: torch.Tensor) -> torch.Tensor:
    """D^-1/2 (A + I) D^-1/2 of Eq. 1 (A.4): float[n, N, N] -> float[n, N, N].

        >>> normalised(torch.zeros(1, 2, 2))
        tensor([[[1., 0.],
                 [0., 1.]]])

    A: the adjacency. D: the diagonal matrix of the row sums of A + I.
    """
    a_hat = adjacency + torch.eye(adjacency.shape[-1], dtype=adjacency.dtype, device=adjacency.device)
    d = a_hat.sum(dim=-1).rsqrt()
    return d.unsqueeze(-1) * a_hat * d.unsqueeze(-2)


class GraphConvolution(nn.Module):
    """Eq. 1 (A.4) along the edges and against them, averaged: (n, N, C_in) -> (n, N, C_out).

    along, against: normalised adjacency float[n, N, N] and that of the reversed graph.
    """

    def __init__(self, features_in: int, features_out: int):
        super().__init__()
        self.forward_weight = nn.Linear(features_in, features_out, bias=False)
        self.backward_weight = nn.Linear(features_in, features_out, bias=False)

    def forward(self, h: torch.Tensor, along: torch.Tensor, against: torch.Tensor) -> torch.Tensor:
        return 0.5 * (torch.relu(along @ self.forward_weight(h)) + torch.relu(against @ self.backward_weight(h)))


class NP(nn.Module):
    """A graph of operations -> its score.

        >>> model = NP(NPConfig(operations=7)).eval()
        >>> model(torch.zeros(10, 6, 6), torch.zeros(10, 6, dtype=torch.int64)).shape
        torch.Size([10])

    forward: adjacency float32[n, N, N] (row i feeds column j), operations int64[n, N], from 0 to config.operations - 1.
    Returns float32[n], or an embedding [n, outputs]. The order of the nodes does not matter. Raises BadInput for other shapes.
    """

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
        if not isinstance(adjacency, torch.Tensor) or not isinstance(operations, torch.Tensor):
            got = f"{type(adjacency).__name__} and {type(operations).__name__}"
            raise BadInput(f"got adjacency and operations of type {got}; expected two tensors")
        if adjacency.ndim != 3 or operations.shape != adjacency.shape[:2]:
            got = f"{tuple(adjacency.shape)} and {tuple(operations.shape)}"
            raise BadInput(f"got adjacency and operations of shape {got}; expected [n, N, N] and [n, N]")
        along, against = normalised(adjacency.transpose(1, 2)), normalised(adjacency)  # row i gathers what feeds i
        try:
            h = self.embedding(operations)  # (n, N, width)
        except (IndexError, RuntimeError) as error:
            raise BadInput(f"got operations that are not int64 from 0 to {self.config.operations - 1}: {error}") from error
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = norm(layer(h, along, against))
        y = self.head(h.mean(dim=1))  # (n, outputs)
        return y.squeeze(1) if self.config.outputs == 1 else y
