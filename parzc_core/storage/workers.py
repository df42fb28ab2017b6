"""Run one function over many arguments: in processes on this machine, or on a Dask cluster; results as they come."""

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from parzc_core import __version__
from parzc_core.errors import BadInput, WorkerDied
from parzc_core.storage.run_store import RunStore

if TYPE_CHECKING:
    from parzc_core.proxies import NodeProxy
    from parzc_core.scores.registry import Score

Item = TypeVar("Item")
Result = TypeVar("Result")
SCHEDULER = "PARZC_SCHEDULER"  # environment variable: address of the Dask scheduler whose workers train, for notebooks too
STORED = "PARZC_STORED"  # environment variable: read stored runs and compute none, for notebooks too
_ALONE = threading.Lock()
_WATCH = "follows its parent"


def scheduler() -> str | None:
    """The address in SCHEDULER, which `parzc run --scheduler` sets; None for processes on this machine."""
    return os.environ.get(SCHEDULER) or None


def stored_alone() -> bool:
    """Whether STORED is set, which `parzc run --stored` does."""
    return bool(os.environ.get(STORED))


def run(
    function: Callable[..., Result],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int = 1,
    scheduler: str | None = None,
    in_order: bool = False,
) -> Iterator[Result]:
    """function(*arguments[i]) for every i, in the order in which they end, or on this machine `in_order` of i.

    jobs: processes on this machine; each ends soon after this one, even if this one was killed. scheduler: address of a Dask
    scheduler ("tcp://host:8786") whose workers do it instead; a worker that dies there has its work given to another.
    Raises WorkerDied where a local process was killed, the scheduler was lost or one piece of work killed four workers; BadInput
    where the scheduler cannot be reached or a worker has another version.
    """
    if any(own := _own_proxies()):
        function, arguments = _with_proxies, [(own, function, *each) for each in arguments]
    if scheduler is None:
        work = (delayed(function)(*each) for each in arguments)
        watched = {"initializer": _follow_from, "initargs": (os.getpid(),)}  # before a worker waits for work
        try:
            yield from Parallel(jobs, return_as="generator" if in_order else "generator_unordered", **watched)(work)
        except TerminatedWorkerError as error:
            raise WorkerDied(
                "a worker process was killed, by a signal or for want of memory; what was finished is kept: "
                "run the same command again, with fewer --jobs if memory is short"
            ) from error
        return
    client = _client(scheduler)
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, as_completed
    from distributed.comm import CommClosedError

    try:
        futures = [client.submit(_on_worker, _versions(), function, *each, pure=False, retries=3) for each in arguments]
        for future in as_completed(futures):
            yield future.result()
            future.release()
    except (CancelledError, CommClosedError) as error:
        raise WorkerDied(
            f"the Dask scheduler at {scheduler} was lost; what was finished is kept: start it again, then run the same command"
        ) from error
    except KilledWorker as error:
        raise WorkerDied(
            f"one piece of work ended four Dask workers, perhaps for want of memory ({error}); what was finished is kept: "
            "run the same command again with workers of more memory"
        ) from error
    finally:
        client.close()


def _own_proxies() -> "tuple[dict[str, NodeProxy], dict[str, Score]]":
    """The proxies and scores that are not this package's, such as those of a script: another process does not know them."""
    from parzc_core.proxies import NODE_REGISTRY  # with torch, which commands that run nothing do without
    from parzc_core.scores.registry import REGISTRY

    proxies = {name: one for name, one in NODE_REGISTRY.items() if _is_own(one.formula)}
    return proxies, {name: one for name, one in REGISTRY.items() if _is_own(one)}


def _is_own(function: Callable[..., Any]) -> bool:
    return not str(function.__module__).startswith("parzc_core.")


def _with_proxies(
    own: "tuple[dict[str, NodeProxy], dict[str, Score]]", function: Callable[..., Result], *arguments: Any
) -> Result:
    """function(*arguments), with these proxies and scores registered; joblib and Dask send functions of a script as code."""
    from parzc_core.proxies import NODE_REGISTRY
    from parzc_core.scores.registry import REGISTRY

    NODE_REGISTRY.update(own[0])
    REGISTRY.update(own[1])
    return function(*arguments)


def _follow_from(parent: int) -> None:
    """In a worker that starts: it ends once `parent` is gone, at work or not, and also if that is gone already."""
    threading.Thread(target=follow, args=(parent, partial(os._exit, 1)), name=_WATCH, daemon=True).start()


def follow(parent: int, end: Callable[[], object]) -> None:
    """Call `end` once the process `parent` is not this one's parent any more, even if it had no time to say so."""
    while os.getppid() == parent:
        time.sleep(0.5)
    end()


def end_children() -> None:
    """End the processes that this one and its children started: asked to end at first, then killed."""
    import psutil

    children = [child for child in psutil.Process().children(recursive=True) if not _cleans_up(child)]
    for ask_or_force in ("terminate", "kill"):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                getattr(child, ask_or_force)()
        children = psutil.wait_procs(children, timeout=2)[1]


def _cleans_up(process: Any) -> bool:
    """Whether it is the process that removes what is left of the others in shared memory; it ends after them by itself."""
    import psutil

    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def ask(address: str) -> int:
    """The number of workers of the Dask scheduler at that address. Raises BadInput where none answers."""
    client = _client(address)
    try:
        return len(client.scheduler_info()["workers"])
    finally:
        client.close()


def _versions() -> dict[str, str]:
    import torch  # here, so that a command that runs nothing does not wait for it

    return {"parzc": __version__, "torch": torch.__version__}


def _on_worker(versions: dict[str, str], function: Callable[..., Result], *arguments: Any) -> Result:
    """function(*arguments), on a Dask worker of the same versions; one at a time in a process, as its threads share a seed."""
    if versions != (here := _versions()):
        raise BadInput(f"a Dask worker has {here}, this process {versions}; install the same versions on both")
    with _ALONE:
        return function(*arguments)


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # of this program alone: getrusage's begins with the peak of the process that started it
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource  # of Unix alone

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput("--scheduler needs the package distributed: pip install 'parzc[dask]'") from error
    try:
        return Client(address, timeout="10s")
    except (OSError, ValueError) as error:  # distributed's own errors of a connection are kinds of these
        raise BadInput(
            f"no Dask scheduler answers at {address!r} ({error}); expected an address such as tcp://host:8786, "
            "which `dask scheduler` prints when it starts"
        ) from error


@contextmanager
def lacking(
    store: RunStore, keys: Mapping[Item, Mapping[str, Any]], reads: Callable[[Item], Collection[str]] = lambda item: ()
) -> Iterator[list[Item]]:
    """The items whose result is not in the store. Inside, no other process computes them, and what one was computing is done.

    reads: what a result must hold; an older one without is named in a warning and counts as not there.
    """

    def lacks(item: Item) -> set[str] | None:
        one = store.get(keys[item])
        return None if one is None else set(reads(item)) - set(one)

    found = {item: names for item in keys if (names := lacks(item)) != set()}
    if older := [names for names in found.values() if names is not None]:
        recorded = ", ".join(sorted(set().union(*older)))
        warnings.warn(f"{store.path}: {len(older)} runs, stored before {recorded} was recorded, are computed anew", stacklevel=3)
    with store.alone() if found else nullcontext():
        yield [item for item in found if lacks(item) != set()]


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, unit: str, scheduler: str | None = None
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) as each is done, on `jobs` processes or on a cluster (see `run`); a progress bar on a terminal."""
    work = [(function, item) for item in items]
    with tqdm(total=len(items), unit=unit, disable=None) as bar:
        for pair in run(_with_its_item, work, jobs, scheduler):
            yield pair
            bar.update()


def _with_its_item(function: Callable[[Item], Result], item: Item) -> tuple[Item, Result]:
    return item, function(item)
