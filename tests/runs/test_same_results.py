"""Equal results whatever the number of processes and threads and the working folder: collecting, a ranker, a search."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.runs.protocol import run_all
from parzc_core.runs.rankers import RankerRun
from parzc_core.search.runs import SearchRun
from parzc_core.storage.statistics import StatisticsStore

CELLS = CollectionConfig(cells=2, width=4, batch=4, scores=("nwot", "jacov"), share_isomorphic=True)
RANKERS = [RankerRun(cells=60, train=12, size="tiny", epochs=2, encoding="aligned")]
PARZC = (("cells", 60), ("train", 10), ("size", "tiny"), ("epochs", 2))
SEARCHES = [SearchRun("evolution", evaluations=30, seed=1), SearchRun("parzc", evaluations=14, settings=PARZC)]


def collected(folder: Path, jobs: int) -> list[Any]:
    """The bytes of every shard; a checksum of each lies in the manifest."""
    store: StatisticsStore = collect(CELLS, folder / "statistics", jobs, progress=False, shard_size=1)
    return [store.manifest["shards"], [store.path(number).read_bytes() for number in range(2)]]


def trained(folder: Path, jobs: int) -> list[Any]:
    return _without_seconds(run_all(RANKERS, folder / "rankers.jsonl", jobs))


def searched(folder: Path, jobs: int) -> list[Any]:
    return _without_seconds(run_all(SEARCHES, folder / "searches.jsonl", jobs))


def _without_seconds(results: dict[Any, dict[str, Any]]) -> list[Any]:
    assert results
    return [{name: value for name, value in result.items() if name != "seconds"} for result in results.values()]


@pytest.fixture(name="threads")
def threads_fixture() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("made", [collected, trained, searched], ids=lambda made: made.__name__)
def test_processes_threads_and_the_working_folder_change_no_result(
    made: Callable[[Path, int], list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    threads(1)
    usual = made(tmp_path / "usual", 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    threads(2)
    assert made(Path("relative"), 1) == usual
    assert made(Path("two"), 2) == usual
