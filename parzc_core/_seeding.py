"""Random numbers from a seed, and the caller's left as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` inside the block, and restore the caller's generators after it.

        >>> with seeded(0):
        ...     a = torch.rand(1)
        >>> with seeded(0):
        ...     print(torch.equal(a, torch.rand(1)))
        True
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
