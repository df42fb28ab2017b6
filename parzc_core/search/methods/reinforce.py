"""REINFORCE (Williams, 1992) as Dong & Yang (ICLR 2020) ran it: an independent categorical for every edge, no controller."""

from dataclasses import dataclass

import numpy as np
import torch

from parzc_core._seeding import seeded
from parzc_core.errors import BadInput
from parzc_core.search.benchmark import Session
from parzc_core.search.choices import independent
from parzc_core.search.method import SearchMethod


@dataclass(frozen=True)
class Reinforce(SearchMethod):
    """learning_rate of Adam, momentum of the moving average that is the baseline: of NAS-Bench-201's scripts.

    The policy is softmax(theta) at each place; its loss is -log p(architecture) * (accuracy - baseline), one architecture a step.
    """

    learning_rate: float = 1e-3
    momentum: float = 0.9
    name = "reinforce"
    effort = 0.2

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and 0 <= self.momentum < 1):
            raise BadInput(
                f"got learning_rate={self.learning_rate}, momentum={self.momentum}; expected a positive rate, 0 <= momentum < 1"
            )

    def search(self, session: Session, generator: np.random.Generator) -> None:
        choices = independent(session.choices, self.name)
        with seeded(int(generator.integers(2**31))), torch.enable_grad():
            theta = [(1e-3 * torch.randn(len(names))).requires_grad_() for names in choices.options]
            optimizer = torch.optim.Adam(theta, lr=self.learning_rate)
            total, weight = 0.0, 0.0  # of the moving average, so that its first values are not drawn to 0
            while True:
                policy = [torch.distributions.Categorical(logits=logits) for logits in theta]
                actions = [place.sample() for place in policy]
                reward = session.query(choices.decode([int(action) for action in actions]))
                total = self.momentum * total + (1 - self.momentum) * reward
                weight = self.momentum * weight + (1 - self.momentum)
                chance = torch.stack(
                    [place.log_prob(action) for place, action in zip(policy, actions, strict=True)]
                ).sum()
                optimizer.zero_grad()
                (-chance * (reward - total / weight)).backward()
                optimizer.step()
