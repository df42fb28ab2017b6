"""Run one function over many arguments: in processes on this machine, or on a Dask cluster; results as they come."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from parzc_core.errors import BadInput, WorkerDied
from parzc_core.storage.run_store import RunStore

Item = TypeVar("Item")
Result = TypeVar("Result")


def run(
    function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], jobs: int = 1, scheduler: str | None = None
) -> Iterator[Result]:
    """function(*arguments[i]) for every i, in the order in which they end.

    jobs: processes on this machine. scheduler: address of a Dask scheduler ("tcp://host:8786") whose workers do it instead; a
    worker that dies there has its work given to another. Raises WorkerDied where a local process was killed, BadInput where
    the scheduler cannot be reached.
    """
    if scheduler is None:
        work = (delayed(function)(*each) for each in arguments)
        try:
            yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(work)
        except TerminatedWorkerError as error:
            raise WorkerDied(
                "a worker process was killed, by a signal or for want of memory; what was finished is kept: "
                "run the same command again, with fewer --jobs if memory is short"
            ) from error
        return
    client = _client(scheduler)
    try:
        from distributed import as_completed

        futures = [client.submit(function, *each, pure=False, retries=3) for each in arguments]
        for future in as_completed(futures):
            yield future.result()
            future.release()
    finally:
        client.close()


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
def lacking(store: RunStore, keys: Mapping[Item, Mapping[str, Any]]) -> Iterator[list[Item]]:
    """The runs whose result is not in the store. Inside, no other process computes them, and what one was computing is done."""
    missing = [run for run, key in keys.items() if store.get(key) is None]
    with store.alone() if missing else nullcontext():
        yield [run for run in missing if store.get(keys[run]) is None]


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, unit: str
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) as each is done, on `jobs` processes, with a progress bar on a terminal."""
    work = [(function, item) for item in items]
    with tqdm(total=len(items), unit=unit, disable=None) as bar:
        for pair in run(_with_its_item, work, jobs):
            yield pair
            bar.update()


def _with_its_item(function: Callable[[Item], Result], item: Item) -> tuple[Item, Result]:
    return item, function(item)
