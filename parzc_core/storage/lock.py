"""One process at a time: a lock file beside what it guards, let go when its process ends, by a kill too.

    with locked(folder / ".lock"):
        ...

filelock takes the system's own lock (flock, or msvcrt on Windows), so the file that stays behind locks nothing. Lock files of
results have hidden names, which git ignores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from parzc_core.errors import ParzcError

POLL_SECONDS = 0.02


class Locked(ParzcError, RuntimeError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of this file, made where it is not there; its folder too. Not to be taken twice by one thread.

    wait: until it is free, else raise Locked at once. Raises OSError where no file can be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, poll_interval=POLL_SECONDS)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        raise Locked(f"another process holds {path}") from None
    try:
        yield
    finally:
        lock.release()


def beside(path: Path) -> Path:
    """The lock file of a file: hidden, in the same folder."""
    return path.with_name(f".{path.name}.lock")
