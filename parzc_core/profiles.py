"""Profiles: how much of every experiment is run. One frozen record each; notebooks read it, nothing else decides sizes."""

import math
from dataclasses import dataclass

from parzc_core.errors import UnknownName


@dataclass(frozen=True)
class Profile:
    """Sizes of a run.

    name: "smoke" (every notebook end to end, minutes), "standard" (every table, fewer splits), "full" (the committed
        results), "paper" (the printed hyper-parameters; rankers of that size are trained on a GPU where there is one, see
        `training.device_for`).
    splits: random train/test splits per trained cell of a table.
    cells: architectures of the space that are used, taken from the front of the seeded sample; None takes all.
    epoch_factor: multiplies the paper's number of epochs.
    most_steps: a ranker is trained for at most so many batches of ten; only those with many training cells meet it.
    model: sizes of MABN, by their name in `parzc_core.mabn.SIZES`.
    """

    name: str
    splits: int
    cells: int | None
    epoch_factor: float
    most_steps: int | None
    model: str

    def epochs(self, printed: int, cells: int = 1, batch_size: int = 10) -> int:
        """Epochs to train for on so many training cells where the paper trains for `printed`."""
        wanted = max(1, round(printed * self.epoch_factor))
        if self.most_steps is None:
            return wanted
        return min(wanted, max(1, self.most_steps // math.ceil(cells / batch_size)))


_PROFILES = (
    Profile("smoke", splits=2, cells=300, epoch_factor=0.05, most_steps=None, model="tiny"),
    Profile("standard", splits=5, cells=None, epoch_factor=1.0, most_steps=1_600, model="small"),
    Profile("full", splits=10, cells=None, epoch_factor=1.0, most_steps=None, model="cpu"),
    Profile("paper", splits=3, cells=None, epoch_factor=1.0, most_steps=None, model="printed"),
)
PROFILES = tuple(item.name for item in _PROFILES)


def profile(name: str) -> Profile:
    """The profile of that name. Raises UnknownName."""
    for item in _PROFILES:
        if item.name == name:
            return item
    raise UnknownName.of("profile", name, PROFILES)
