"""How the command line reads numbers, and what it makes of errors, warnings and signals."""

import argparse
import io
import math
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from parzc_core.errors import MOST_SEED, BadInput, ParzcError

_MOST = 10**9  # of what is counted


class Terminated(KeyboardInterrupt):
    """SIGTERM came; all that Ctrl-C ends, ends."""


def line_of(error: BaseException) -> str | None:
    """What the user is told of an error that is no fault of this project's; None of a fault, whose traceback is wanted."""
    if isinstance(error, ParzcError):
        return str(error)
    if isinstance(error, OSError):
        where = f" {_shortened(error.filename)!r}" if error.filename is not None else ""
        return f"cannot use{where}: {_shortened(error.strerror or error)}; check path, permissions and room on the disk"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error)):
        return "memory ran out; what was finished is kept: run the same command again, with fewer --jobs"
    if type(error).__name__ in ("StorageInternalError", "OperationalError"):  # Optuna's and SQLite's; neither is imported here
        return f"cannot use the study's file: {_shortened(error.__cause__ or error)}; check permissions and room on the disk"
    return None


def _shortened(text: object) -> str:
    said = os.fsdecode(text) if isinstance(text, bytes | os.PathLike) else str(text)
    return said if len(said) <= 160 else f"{said[:60]}…{said[-60:]}"


def print_anything() -> None:
    """What the terminal's encoding lacks is from now on printed as an escape, such as \\xa7, and does not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Inside, a warning is one line on stderr, without the place in the code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **more: print(f"parzc: {message}", file=sys.stderr)
        yield


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Inside, SIGTERM ends what runs as Ctrl-C does. Only a main thread can be told so."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that `error` is, or in whose handling a library raised it, such as over a pipe to an ended worker."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__cause__ or behind.__context__
    return behind


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises BadInput for an argument without text, such as that of an unset variable: as a path it would be this folder; and for
    a ~ that the shell left as it is: a folder of that name would be made here."""
    for before, text in zip(("", *arguments), arguments, strict=False):
        if re.match(r"(--[a-z-]+=)?~", text):
            raise BadInput(
                f"got {_shortened(text)!r}, whose ~ no shell has replaced by a folder; expected the folder's path, or the ~ "
                "neither in quotes nor behind ="
            )
        if not text.strip() or re.fullmatch(r"--[a-z-]+=\s*", text):
            named = text.strip().rstrip("=") or before
            after = f" after {_shortened(named)!r}" if named else ""
            raise BadInput(f"got an empty value{after}; expected a name, number or path")


def positive(text: str) -> int:
    return _whole(text, 1, _MOST)


def count(text: str) -> int:
    return _whole(text, 0, _MOST)


def seed(text: str) -> int:
    return _whole(text, 0, MOST_SEED)


def whole_number(text: str) -> int:
    return _whole(text, -_MOST, _MOST)


def _whole(text: str, least: int, most: int) -> int:
    number = int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else least - 1
    if not least <= number <= most:
        limits = f"of at least {least}" if most == _MOST and number < least else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"got {_shortened(text)!r}; expected a whole number {limits}")
    return number


def number(text: str) -> float:
    """A finite number in plain digits; Python's float() also takes 9_0 and the digits of other scripts."""
    plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
    found = float(text) if plain else math.nan
    if not math.isfinite(found):
        raise argparse.ArgumentTypeError(f"got {_shortened(text)!r}; expected a number")
    return found


def parameters(text: str) -> float:
    if (found := number(text)) <= 0:
        raise argparse.ArgumentTypeError(f"got {_shortened(text)!r}; expected a number above 0")
    return found


