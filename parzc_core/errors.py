"""Named errors. Each message says what was got, what was expected and what to do next."""

import math
import numbers
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST_SEED = 2**32 - 1  # that numpy's and scikit-learn's generators take


class ParzcError(Exception):
    """Base of every error this project raises on purpose."""


class BadInput(ParzcError, ValueError):
    """A value with the wrong shape, range or meaning."""


class UnknownName(ParzcError, ValueError):
    """A name (proxy, profile, table, data set, loss, ...) that is not in its registry."""

    @classmethod
    def of(cls, kind: str, got: object, known: Iterable[object]) -> "UnknownName":
        """The error with the usual message.

            >>> print(UnknownName.of("loss", "hinge", ["mse", "rank"]))
            unknown loss 'hinge'; expected one of: mse, rank
            >>> print(UnknownName.of("figure", "fig7", ["fig02_importance", "fig07_weights"]))
            unknown figure 'fig7' (did you mean fig07_weights?); expected one of: fig02_importance, fig07_weights
        """
        import difflib  # not above: the command line imports this file, and its help is to be quick

        names = list(map(str, known))
        by_part = {name.partition("_")[0]: name for name in reversed(names)} | {name: name for name in names}
        close = dict.fromkeys(by_part[part] for part in difflib.get_close_matches(str(got), by_part, n=3, cutoff=0.75))
        meant = f" (did you mean {' or '.join(close)}?)" if close else ""
        rest = f"expected one of: {', '.join(names)}" if names else "there is none; leave it out"
        return cls(f"unknown {kind} {got!r}{meant}; {rest}")


class LabelsMissing(ParzcError, RuntimeError):
    """Benchmark labels that are not on this machine; the message names the command that gets them."""


class CorruptDownload(ParzcError, RuntimeError):
    """A downloaded file whose checksum is not the pinned one."""


class CorruptShard(ParzcError, RuntimeError):
    """A statistics shard that is truncated or altered; the message names it."""


class NotStored(ParzcError, RuntimeError):
    """Runs that are not stored, where nothing may be computed; the message says how many and what they would take."""


class WorkerDied(ParzcError, RuntimeError):
    """A worker process was killed; what was finished is kept."""


def is_whole(got: Any) -> bool:
    """Whether it is a whole number; numpy's integers are, True and 1.0 are not."""
    try:
        operator.index(got)
    except TypeError:
        return False
    return not isinstance(got, bool) and type(got).__name__ not in ("bool", "bool_")


def whole(name: str, got: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number as an int; numpy's integers are whole numbers, True and 1.0 are not. Raises BadInput.

        >>> whole("channels", 16, least=1)
        16
    """
    number = operator.index(got) if is_whole(got) else None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        limits = f" of at least {least}" if most is None and least is not None else f" from {least} to {most}"
        raise BadInput(f"got {name}={_shown(got)}; expected a whole number{limits if least is not None else ''}")
    return number


def _shown(got: Any, most: int = 80) -> str:
    """As it is written in Python, cut off; of what cannot be written (an int of thousands of digits) its type."""
    try:
        text = repr(got)
    except ValueError:
        return f"a {type(got).__name__} that is too long to be written"
    return text if len(text) <= most else f"{text[:most]}…"


def seed_of(got: Any) -> int:
    """A seed: a whole number that every library's random generator takes. Raises BadInput."""
    return whole("seed", got, 0, MOST_SEED)


def real(name: str, got: Any, least: float = -math.inf, most: float = math.inf, above: bool = False) -> float:
    """A finite number as a float, `least` itself left out where `above`. Raises BadInput.

        >>> real("dropout", 0.1, 0, 1)
        0.1
    """
    try:
        number = float(got) if isinstance(got, numbers.Real) and not isinstance(got, bool) else math.nan
    except OverflowError:  # an int beyond float64
        number = math.inf
    if not math.isfinite(number) or not least <= number <= most or (above and number == least):
        low = f" {'above' if above else 'of at least'} {least:g}" if least > -math.inf else ""
        high = f"{' and' if low else ' of'} at most {most:g}" if most < math.inf else ""
        raise BadInput(f"got {name}={_shown(got)}; expected a {'finite ' if not low + high else ''}number{low}{high}")
    return number


def floats(name: str, got: Any) -> "np.ndarray":
    """Numbers as float64, of any shape; text, True and None are none. Raises BadInput."""
    import numpy as np  # not above: the command line imports this file, and its help is to be quick

    try:
        kind = np.asarray(got).dtype.kind
        values = np.asarray(got, dtype=np.float64) if kind != "c" else np.empty(0)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        kind, values = "O", np.empty(0)
    if kind not in "fiu" and not (kind == "O" and isinstance(getattr(got, "dtype", None), np.dtype) and values.size):
        raise BadInput(f"got {name} {_shown(got)}; expected numbers")
    return values


def names_of(kind: str, got: Any) -> tuple[str, ...]:
    """Names as a tuple; one name may be given alone. Raises BadInput for what holds no names."""
    if isinstance(got, str):
        return (got,)
    try:
        found = tuple(got)
    except TypeError:
        found = (None,)
    if not all(isinstance(name, str) for name in found):
        raise BadInput(f"got {list(found) if isinstance(got, Mapping) else got!r} as {kind}; expected a list of names")
    return found
