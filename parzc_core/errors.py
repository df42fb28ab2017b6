"""Named errors. Each message says what was got, what was expected and what to do next."""

from collections.abc import Iterable


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
        """
        names = ", ".join(str(name) for name in known)
        return cls(f"unknown {kind} {got!r}; expected one of: {names}")


class LabelsMissing(ParzcError, RuntimeError):
    """Benchmark labels that are not on this machine; the message names the command that gets them."""


class CorruptDownload(ParzcError, RuntimeError):
    """A downloaded file whose checksum is not the pinned one."""


class CorruptShard(ParzcError, RuntimeError):
    """A statistics shard that is truncated or altered; the message names it."""


class WorkerDied(ParzcError, RuntimeError):
    """A worker process was killed; what was finished is kept."""
