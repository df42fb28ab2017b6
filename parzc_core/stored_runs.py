"""Runs that are computed once: what a store lacks is computed, on several processes, and kept as soon as it is done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from parzc_core import scheduling
from parzc_core.run_store import RunStore

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed(
    evaluate: Callable[[Item], Mapping[str, Any]],
    keys: Mapping[Item, Mapping[str, Any]],
    store: Path,
    jobs: int = 1,
    unit: str = "run",
) -> dict[Item, dict[str, Any]]:
    """{run: its result, as the store gives it}, in the order of `keys`, which map each run to what decides its result.

    Only what `store` (jsonl) lacks is computed, as evaluate(run), on `jobs` processes. unit: of the progress bar.
    """
    kept = RunStore(store)
    with lacking(kept, keys) as missing:
        for run, result in in_parallel(evaluate, missing, jobs, unit):
            kept.put(keys[run], result)
    return {run: kept.get(key) or {} for run, key in keys.items()}


@contextmanager
def lacking(store: RunStore, keys: Mapping[Item, Mapping[str, Any]]) -> Iterator[list[Item]]:
    """The runs whose result the store lacks. Inside, no other process computes them, and what one was computing is done."""
    missing = [run for run, key in keys.items() if store.get(key) is None]
    with store.alone() if missing else nullcontext():
        yield [run for run in missing if store.get(keys[run]) is None]


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, unit: str
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) as each is done, on `jobs` processes, with a progress bar on a terminal."""
    work = [(function, item) for item in items]
    with tqdm(total=len(items), unit=unit, disable=None) as bar:
        for pair in scheduling.run(_with_its_item, work, jobs):
            yield pair
            bar.update()


def _with_its_item(function: Callable[[Item], Result], item: Item) -> tuple[Item, Result]:
    return item, function(item)
