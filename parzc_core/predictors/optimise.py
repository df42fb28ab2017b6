"""How the networks among the predictors are trained: Adam over shuffled batches, with a limit of steps for a CPU."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from parzc_core.checkpoints import epochs
from parzc_core.errors import BadInput
from parzc_core.training import batches

Objective = Callable[[torch.Tensor], torch.Tensor]
FASTEST = 5.0  # largest factor on a learning rate where epochs are left out


@dataclass(frozen=True)
class Schedule:
    """How a network is trained: Adam, with the learning rate cosine-annealed to zero or constant.

    most_steps: at most so many steps, in place of the published number of epochs where the training set is large; None for no
    limit. faster: where that leaves out epochs, the learning rate grows as steps shrink, so that their product stays what it was,
    but no more than so many times. clip: largest gradient norm. betas: of Adam.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    cosine: bool = False
    most_steps: int | None = None
    faster: float = 1.0
    clip: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0 or self.most_steps == 0:
            raise BadInput(f"got {self}; expected at least 1 epoch and step, batches of at least 2, a positive rate")

    def rounds(self, count: int) -> int:
        """Passes over `count` architectures."""
        steps = -(-count // self.batch_size)
        return self.epochs if self.most_steps is None else max(1, min(self.epochs, self.most_steps // steps))

    def rate(self, count: int) -> float:
        """Learning rate for `count` architectures."""
        return self.learning_rate * min(self.faster, self.epochs / self.rounds(count))


def minimise(network: nn.Module, objective: Objective, count: int, schedule: Schedule) -> None:
    """Train in place: objective(rows int64[batch]) -> scalar loss, over shuffled batches of `count` architectures.

    All that an epoch changes has to be in the network or in torch's random state; a training that was killed then goes on where
    it was (see `checkpoints`).
    """
    adam = torch.optim.Adam(
        network.parameters(),
        lr=schedule.rate(count),
        betas=schedule.betas,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    rounds = schedule.rounds(count)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=rounds)
    network.train()
    for _ in epochs(rounds, {"network": network, "adam": adam, "annealing": annealing}):
        for rows in batches(torch.randperm(count), schedule.batch_size):
            adam.zero_grad(set_to_none=True)
            objective(rows).backward()
            if schedule.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
            adam.step()
        if schedule.cosine:
            annealing.step()
    network.eval()
