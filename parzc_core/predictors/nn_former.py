"""NN-Former, a transformer whose heads attend along edges and between siblings (Xu et al., CVPR 2025).

    predictor("NN-Former", "nb201").fit(inputs[train], accuracy[train], seed=0).predict(inputs)

A token for each live node (its operation, one-hot), one for their number, one for the class. Twelve blocks of width 160 with four
heads; a head each attends to the nodes that a node feeds, that feed it, that are fed by the same node, that feed the same node,
and to itself. In the feed-forward network of 640 half of the hidden units also gather what a node feeds, half what feeds it
(BGIFFN, bidirectional graph isomorphism). The class token gives the score.

Training as published (https://github.com/XuRuihan/NNFormer): accuracy as a fraction, 3,000 epochs in batches of up to 128 graphs
of one size; each batch is read twice, with other dropout. Loss: squared error + 0.2 x mean distance of the difference of two
random scores from that of their accuracies + mean distance of a graph's two scores. AdamW 1e-4, decay 0.01; the rate rises for
a tenth of the steps, then falls along a cosine to a tenth. Weights are averaged over steps (0.99).

In that code the class and the number are joined to every token before siblings are found, so that any two tokens are siblings and
the two sibling heads attend to all. `NNFormerConfig.open_siblings=False` finds siblings among nodes alone, as the paper has it.

Differs: the last averaged weights are used. The public code keeps those that rank 1,024 further labelled architectures best.
"""

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from parzc_core._denormals import flushed
from parzc_core.checkpoints import epochs
from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Objective, Schedule
from parzc_core.ranker import Inputs
from parzc_core.training import z_score

SIZES = 5  # batches of an epoch that are not full, at most about: one for each size of graph


@dataclass(frozen=True)
class WarmSchedule(Schedule):
    """AdamW whose rate rises linearly and falls along a cosine, step by step; batches hold graphs of one size.

    warm_up: share of the steps in which the rate rises. floor: its last value, as a share of the highest. average: share of the
    averaged weights that a step keeps. Weight decay spares biases and normalisation.
    """

    warm_up: float = 0.1
    floor: float = 0.1
    average: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= value < 1 for value in (self.warm_up, self.floor, self.average)):
            raise BadInput(f"got {self}; expected warm_up, floor and average of at least 0, below 1")

    def shortened(self, count: int, steps: int) -> "WarmSchedule":
        """As of Schedule, with SIZES batches an epoch more, as those of a size are not full; the rate stays what it is."""
        batches = -(-count // self.batch_size) + SIZES
        return replace(self, epochs=max(1, min(self.epochs, steps // batches)))

    def batches_by_size(self, sizes: torch.Tensor) -> list[torch.Tensor]:
        """Positions of architectures in random order, in batches of one size each, the batches in random order.

        sizes: int64[n], the number of live nodes of each.
        """
        order = torch.randperm(len(sizes))
        found = [part for size in sizes.unique() for part in order[sizes[order] == size].split(self.batch_size)]
        return [found[place] for place in torch.randperm(len(found))]

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, as a share of the highest. steps: of the whole training."""
        warm = self.warm_up * steps
        if step < warm:
            return step / max(1.0, warm)
        progress = min(1.0, (step - warm) / max(1.0, steps - warm))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


SCHEDULE = WarmSchedule(3000, 128, 1e-4, weight_decay=0.01, cosine=True)


@dataclass(frozen=True)
class NNFormerConfig:
    """kinds: of the space. width: of a token. hidden: of the feed-forward networks, even. rank, consistency: weights in the loss.

    open_siblings: whether sibling heads attend to all, as in the public code. Raises BadInput.
    """

    kinds: Kinds
    width: int = 160
    depth: int = 12
    heads: int = 4
    hidden: int = 640
    dropout: float = 0.1
    rank: float = 0.2
    consistency: float = 1.0
    open_siblings: bool = True
    schedule: WarmSchedule = SCHEDULE

    def __post_init__(self) -> None:
        if self.heads % 4 or self.width % self.heads or self.hidden % 2:
            raise BadInput(f"got {self}; expected heads in fours that divide the width, and an even hidden width")


def live_nodes(kinds: Kinds, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
    """bool[n, N]: nodes on a path from the input to the output that lets something pass; the input and the output always."""
    live = kinds.without_none(adjacency, operations) > 0
    ends = [operations == end for end in (kinds.input, kinds.output)]
    sides = []
    for end, steps in zip(ends, (live.transpose(1, 2), live), strict=True):  # what the input reaches, what reaches the output
        reached = end
        for _ in range(operations.shape[1] - 1):
            reached = reached | (steps & reached.unsqueeze(1)).any(dim=2)
        sides.append(reached)
    return (sides[0] & sides[1]) | ends[0] | ends[1]


def compact(
    kinds: Kinds, adjacency: torch.Tensor, operations: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Live nodes first, and no more places than the largest graph needs: adjacency [n, M, M], operations [n, M], live [n, M]."""
    live = live_nodes(kinds, adjacency, operations)
    places = live.long().argsort(dim=1, descending=True, stable=True)[:, : int(live.sum(dim=1).max())]
    there = live.gather(1, places)
    rows = adjacency.gather(1, places.unsqueeze(2).expand(-1, -1, adjacency.shape[2]))
    both = rows.gather(2, places.unsqueeze(1).expand(-1, places.shape[1], -1))
    return both * there.unsqueeze(1) * there.unsqueeze(2), operations.gather(1, places), there


class Attention(nn.Module):
    """Each head attends to what its mask allows: (n, T, width), bool[n, heads, T, T] -> (n, T, width)."""

    def __init__(self, config: NNFormerConfig):
        super().__init__()
        self.heads = config.heads
        self.queries_keys_values = nn.Linear(config.width, 3 * config.width, bias=False)
        self.merge = nn.Linear(config.width, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, h: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        n, tokens, width = h.shape
        q, k, v = self.queries_keys_values(h).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        score = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~allowed, -math.inf)
        weights = self.dropout(torch.softmax(score, dim=-1))
        return self.dropout(self.merge((weights @ v).transpose(1, 2).reshape(n, tokens, width)))


class BothWays(nn.Module):
    """BGIFFN, W_o relu(W x + [A V_1 x, A^T V_2 x]): (n, T, width), A [n, T, T] -> (n, T, width)."""

    def __init__(self, config: NNFormerConfig):
        super().__init__()
        self.hidden = config.hidden
        self.own_and_gathered = nn.Linear(config.width, 2 * config.hidden, bias=False)  # W, then V_1 and V_2
        self.back = nn.Linear(config.hidden, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, h: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        own, feeds, fed = self.own_and_gathered(h).split((self.hidden, self.hidden // 2, self.hidden // 2), dim=-1)
        gathered = torch.cat([adjacency @ feeds, adjacency.transpose(1, 2) @ fed], dim=-1)
        return self.dropout(self.back(self.dropout(torch.relu(own + gathered))))


class Block(nn.Module):
    """Attention, then the feed-forward network, each on normalised tokens and added to them."""

    def __init__(self, config: NNFormerConfig):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2))
        self.attention = Attention(config)
        self.feed_forward = BothWays(config)

    def forward(self, h: torch.Tensor, allowed: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        h = h + self.attention(self.norms[0](h), allowed)
        return h + self.feed_forward(self.norms[1](h), adjacency)


class NNFormerNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n], about accuracy as a fraction."""

    def __init__(self, nodes: int, config: NNFormerConfig):
        super().__init__()
        self.config = config
        self.operation = nn.Embedding(config.kinds.total, config.width)
        self.count = nn.Embedding(nodes + 1, config.width)
        self.token = nn.Parameter(torch.empty(1, 1, config.width))
        self.start, self.end = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head = nn.Linear(config.width, 1)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.02)
        nn.init.zeros_(self.head.bias)

    def masks(self, adjacency: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        """bool[n, heads, T, T]: who attends to whom, a row a token: class, nodes, count.

        adjacency [n, M, M], live bool[n, M], of `compact`.
        """
        a = F.pad(adjacency, (1, 1, 1, 1))
        tokens = torch.zeros_like(a[:1])  # links of the two tokens with all
        tokens[:, (0, -1), :] = tokens[:, :, (0, -1)] = 1
        joined = a + tokens
        related = joined if self.config.open_siblings else a
        backwards, related_backwards = joined.transpose(1, 2), related.transpose(1, 2)
        siblings = (related_backwards @ related + tokens, related @ related_backwards + tokens)
        allowed = torch.stack([joined, backwards, *siblings], dim=1) > 0
        allowed &= F.pad(live, (1, 1), value=True)[:, None, None, :]  # nobody attends to an empty place
        allowed |= torch.eye(a.shape[1], dtype=torch.bool)
        return allowed.repeat(1, self.config.heads // 4, 1, 1)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        a, kinds, live = compact(self.config.kinds, adjacency, operations)
        allowed = self.masks(a, live)
        h = torch.cat(
            [
                self.token.expand(len(a), -1, -1),
                self.operation(kinds),
                self.count(live.sum(dim=1, keepdim=True)),
            ],
            dim=1,
        )
        h, edges = self.start(h), F.pad(a, (1, 1, 1, 1))
        for block in self.blocks:
            h = block(h, allowed, edges)
        return self.head(self.end(h[:, 0])).squeeze(1) + 0.5


class NNFormer(NetworkPredictor):
    """Equal scores for graphs that are equal but for the order of their nodes: a token has no position."""

    config: NNFormerConfig

    def build(self, nodes: int) -> nn.Module:
        return NNFormerNetwork(nodes, self.config)

    def target(self, inputs: Inputs, accuracy: np.ndarray) -> np.ndarray:
        """Accuracy as a fraction, which the weights of the loss are published for."""
        z_score(inputs, accuracy)  # refuses what cannot be learned from
        return np.asarray(accuracy, dtype=np.float64) / 100

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        twice = network(adjacency.repeat(2, 1, 1), operations.repeat(2, 1))
        target, other = target.repeat(2), torch.randperm(2 * len(target))
        first, second = twice.chunk(2)
        return (
            F.mse_loss(twice, target)
            + self.config.rank * F.l1_loss(twice - twice[other], target - target[other])
            + self.config.consistency * F.l1_loss(first, second)
        )

    def prepare(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> None:
        self._sizes = live_nodes(self.config.kinds, adjacency, operations).sum(dim=1)

    def optimise(self, network: nn.Module, objective: Objective, count: int) -> nn.Module:
        return averaged(network, objective, self._sizes, self.config.schedule)


@flushed()
def averaged(network: nn.Module, objective: Objective, sizes: torch.Tensor, schedule: WarmSchedule) -> nn.Module:
    """Train in place by a WarmSchedule, over batches of equal sizes; returns the network of averaged weights, in eval mode.

    objective, and what an epoch may change: as for `optimise.minimise`.
    """
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    adam = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=schedule.learning_rate,
        betas=schedule.betas,
        fused=True,
    )
    counts = sizes.unique(return_counts=True)[1].tolist()
    steps = schedule.epochs * sum(math.ceil(count / schedule.batch_size) for count in counts)
    warming = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: schedule.rate(step, steps))
    average, update = copy.deepcopy(network), get_ema_multi_avg_fn(schedule.average)
    network.train()
    for _ in epochs(schedule.epochs, {"network": network, "adam": adam, "rate": warming, "average": average}):
        for rows in schedule.batches_by_size(sizes):
            adam.zero_grad(set_to_none=True)
            objective(rows).backward()
            adam.step()
            warming.step()
            update([*average.parameters()], [*network.parameters()], 0)
    return average.eval()
