"""What the transformers TNASP and PINAT share: Laplacian positions and encoder blocks (Lu et al., NeurIPS 2021 and AAAI 2023)."""

import torch
from torch import nn


def laplacian(adjacency: torch.Tensor) -> torch.Tensor:
    """D - A, [n, N, N], with the number of nodes that each feeds on the diagonal of D; row i is the position of node i."""
    return torch.diag_embed(adjacency.sum(dim=-1)) - adjacency


class SelfAttention(nn.Module):
    """Scaled dot-product attention of every node to every node: (n, N, width) -> (n, N, heads * size)."""

    def __init__(self, width: int, heads: int, size: int, dropout: float):
        super().__init__()
        self.heads, self.size = heads, size
        self.queries_keys_values = nn.Linear(width, 3 * heads * size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        n, nodes, _ = h.shape
        q, k, v = self.queries_keys_values(h).view(n, nodes, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        weights = self.dropout(torch.softmax(q @ k.transpose(-1, -2) / self.size**0.5, dim=-1))  # (n, heads, N, N)
        return (weights @ v).transpose(1, 2).reshape(n, nodes, self.heads * self.size)


class FeedForward(nn.Module):
    """LayerNorm(h + W_2 relu(W_1 h)): (n, N, width) -> (n, N, width)."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.norm(h + self.layers(h))


def regressor(width: int, hidden: int, dropout: float, outputs: int = 1) -> nn.Sequential:
    """[n, width] -> [n, outputs]: two linear layers with nothing but dropout between them, as published."""
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False), nn.Dropout(dropout), nn.Linear(hidden, outputs, bias=False)
    )
