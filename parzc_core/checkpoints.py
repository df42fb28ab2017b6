"""Checkpoints: a training that was killed goes on where it was, and ends with the same bits as one that was not.

    with kept_as(folder / "checkpoints" / name) as kept:    # around a run; its trainings keep name-0.pt, name-1.pt, ...
        result = run.evaluate()
    forget(folder / "checkpoints" / name)                   # once the result is stored

    for epoch in epochs(150, {"network": network, "adam": adam}):   # the epochs of a training that are left to do
        ...

A file holds all that the rest of a training depends on: weights, optimiser, schedule, orders of batches, torch's random
numbers, the number of epochs done. Outside `kept_as` nothing is written. Files may be deleted at any time. Like stored runs, they
know nothing of the code: who changes what a training gives raises its version, and with it the name.
"""

import hashlib
import io
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from parzc_core.paths import write_whole

EVERY = 120.0  # CPU-seconds between two checkpoints, and before the first
_DIGEST = 32  # bytes of sha256, before what torch wrote: torch itself checks no checksum


@dataclass
class Kept:
    """Checkpoints of one run. stem: path that its files begin with. earlier: CPU-seconds of processes before this one."""

    stem: Path
    earlier: float = 0.0
    trainings: int = 0
    saved: float = field(default_factory=time.process_time)

    def next(self) -> Path:
        """The file of the training that begins now. Trainings are known by their order, which is the same in every process."""
        self.trainings += 1
        return self.stem.with_name(f"{self.stem.name}-{self.trainings - 1}.pt")


_KEPT: ContextVar[Kept | None] = ContextVar("checkpoints", default=None)


@contextmanager
def kept_as(stem: Path | None) -> Iterator[Kept]:
    """Inside, trainings of more than EVERY CPU-seconds keep checkpoints, and go on from those that are there; none for None."""
    if stem is None:
        yield Kept(Path())
        return
    kept = Kept(stem)
    token = _KEPT.set(kept)
    try:
        yield kept
    finally:
        _KEPT.reset(token)


def forget(stem: Path) -> None:
    """Delete the checkpoints of a run, half-written ones too, and the folder once it is empty."""
    for path in (*stem.parent.glob(f"{stem.name}-*"), *stem.parent.glob(f".{stem.name}-*")):
        path.unlink(missing_ok=True)
    if stem.parent.is_dir() and not any(stem.parent.iterdir()):
        stem.parent.rmdir()


def epochs(total: int, parts: Mapping[str, Any]) -> Iterator[int]:
    """Numbers of the epochs to train, from 1, less those that a checkpoint has done.

    parts: all that an epoch changes beside torch's random state, by name: modules, optimisers, schedules, generators, tensors, or
    lists of numbers and mappings of such. They are put in place before the first epoch.
    """
    kept = _KEPT.get()
    if kept is None:
        yield from range(1, total + 1)
        return
    path = kept.next()
    parts = {**parts, "random": torch.default_generator}
    digest = hashlib.sha256(f"{torch.__version__} {total} ".encode())
    _absorb(digest, _state(parts))  # another network, configuration or seed begins with other weights or random numbers
    beginning = digest.hexdigest()
    done, seconds = _resume(path, beginning, parts)
    kept.earlier += seconds
    started = time.process_time() - seconds
    for epoch in range(done + 1, total + 1):
        yield epoch
        now = time.process_time()
        if now - kept.saved >= EVERY or (epoch == total and now - started >= EVERY):
            _save(path, {"beginning": beginning, "epoch": epoch, "seconds": now - started, "state": _state(parts)})
            kept.saved = now


def _save(path: Path, record: dict[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(record, content)
    try:
        write_whole(path, hashlib.sha256(content.getvalue()).digest() + content.getvalue())
    except OSError as error:  # a full disk is no reason to lose the training
        warnings.warn(f"no checkpoint was written to {path}: {error}", stacklevel=3)


def _resume(path: Path, beginning: str, parts: Mapping[str, Any]) -> tuple[int, float]:
    """Put the checkpoint in place; returns its epoch and the CPU-seconds that it took, or (0, 0) where there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0, 0.0
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        warnings.warn(f"{path} is damaged or no checkpoint; the training begins anew", stacklevel=3)
        return 0, 0.0
    record = torch.load(io.BytesIO(content[_DIGEST:]), weights_only=True)
    if record.get("beginning") != beginning:
        warnings.warn(f"{path} is the checkpoint of another training; this one begins anew", stacklevel=3)
        return 0, 0.0
    _restore(parts, record["state"])
    return record["epoch"], record["seconds"]


def _state(part: Any) -> Any:
    """What `torch.save` keeps of a part."""
    if hasattr(part, "state_dict"):
        return part.state_dict()
    if isinstance(part, torch.Generator):
        return part.get_state()
    if isinstance(part, Mapping):
        return {name: _state(value) for name, value in part.items()}
    return part.detach() if isinstance(part, torch.Tensor) else part


def _restore(part: Any, state: Any) -> None:
    """In place."""
    if hasattr(part, "load_state_dict"):
        part.load_state_dict(state)
    elif isinstance(part, torch.Generator):
        part.set_state(state)
    elif isinstance(part, Mapping):
        for name, value in part.items():
            _restore(value, state[name])
    elif isinstance(part, torch.Tensor):
        part.detach().copy_(state)
    else:
        part[:] = state


def _absorb(digest: Any, state: Any) -> None:
    """Add a state to a digest: names, numbers, bits of tensors."""
    if isinstance(state, torch.Tensor):
        digest.update(f"{state.dtype} {tuple(state.shape)} ".encode())
        digest.update(state.detach().cpu().contiguous().numpy().tobytes())
    elif isinstance(state, Mapping):
        for name, value in state.items():
            digest.update(f"{name!r} ".encode())
            _absorb(digest, value)
    else:
        digest.update(f"{state!r} ".encode())
