"""How the networks among the predictors are trained: Adam over shuffled batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from parzc_core._denormals import flushed
from parzc_core.checkpoints import epochs
from parzc_core.errors import BadInput
from parzc_core.training import batches

Objective = Callable[[torch.Tensor], torch.Tensor]
FASTEST = 5.0  # largest factor on a learning rate where epochs are left out


@dataclass(frozen=True)
class Schedule:
    """How a network is trained: Adam, with the learning rate cosine-annealed to zero or constant.

    clip: largest gradient norm. betas: of Adam. drop_last: leave out the last batch of an epoch where it is not full.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    cosine: bool = False
    clip: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0:
            raise BadInput(f"got {self}; expected at least 1 epoch, batches of at least 2, a positive rate")

    def shortened(self, count: int, steps: int) -> "Schedule":
        """The schedule with fewer epochs, so that `count` architectures take no more than so many steps.

        An annealed learning rate grows as epochs shrink, so that their product stays what it was, but at most FASTEST times.
        """
        epochs = max(1, min(self.epochs, steps // -(-count // self.batch_size)))
        faster = min(FASTEST, self.epochs / epochs) if self.cosine else 1.0
        return replace(self, epochs=epochs, learning_rate=self.learning_rate * faster)

    def batches(self, count: int) -> list[torch.Tensor]:
        """Positions of `count` architectures in random order, in the batches of an epoch."""
        order = torch.randperm(count)
        if self.drop_last and count > self.batch_size:
            order = order[: count - count % self.batch_size]
        return batches(order, self.batch_size)


@flushed()
def minimise(
    network: nn.Module,
    objective: Objective,
    count: int,
    schedule: Schedule,
    parts: Mapping[str, Any] = MappingProxyType({}),
    after: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Train in place: objective(rows int64[batch]) -> scalar loss, over shuffled batches of `count` architectures.

    after: called with the number of each epoch once it is done. All that an epoch changes has to be in the network, in `parts` or
    in torch's random state; a training that was killed then goes on where it was (see `checkpoints`).
    """
    adam = torch.optim.Adam(
        network.parameters(),
        lr=schedule.learning_rate,
        betas=schedule.betas,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=schedule.epochs)
    network.train()
    for epoch in epochs(schedule.epochs, {"network": network, "adam": adam, "annealing": annealing, **parts}):
        for rows in schedule.batches(count):
            adam.zero_grad(set_to_none=True)
            objective(rows).backward()
            if schedule.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
            adam.step()
        if schedule.cosine:
            annealing.step()
        after(epoch)
    network.eval()
