"""A sample recomputed: what is untouched is bit-equal, what was altered is found, what cannot be recomputed is named."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from parzc_core import cli, paths
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.errors import BadInput
from parzc_core.images import batch
from parzc_core.search.runs import SearchRun
from parzc_core.storage.run_store import RunStore
from parzc_core.storage.statistics import StatisticsStore
from parzc_core.verifying import items, verdicts, verify
from parzc_core.verifying.verdicts import DIFFERENT, EQUAL, WITHIN

SMALL = CollectionConfig(cells=2, images="noise", width=4, batch=4, scores=("params",), share_isomorphic=True)
RUN = SearchRun("random", evaluations=5)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collected")
    collect(SMALL, folder / "nb201" / "small", progress=False)
    return folder


@pytest.fixture
def statistics(collected: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    for file in (collected / "nb201" / "small").iterdir():
        target = tmp_path / "statistics" / "nb201" / "small" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    return tmp_path / "statistics"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """One stored run."""
    RunStore(tmp_path / "full" / "table03" / "runs.jsonl").put(RUN.key(), RUN.evaluate())
    return tmp_path / "full"


def check(statistics: Path, results: Path, cells: int = 1, runs: int = 0) -> list[items.Checked]:
    return list(verify.planned(cells, runs, statistics=statistics, results=results).run())


def altered(statistics: Path, factor: float, proxy: str = "snip") -> None:
    """Every value of a proxy, as if it had been written so."""
    store = StatisticsStore(statistics / "nb201" / "small")
    data = dict(np.load(io.BytesIO(store.path(0).read_bytes())))
    data["values"][data["proxies"].tolist().index(proxy)] *= factor
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **data)
    store.add(0, buffer.getvalue())


def test_what_is_untouched_is_bit_equal(statistics: Path, results: Path) -> None:
    before = {file: file.read_bytes() for file in (*statistics.rglob("*.*"), *results.rglob("*.*")) if file.is_file()}
    found = check(statistics, results, cells=2, runs=1)
    assert [one.verdict for one in found] == [EQUAL] * 3
    assert {one.what for one in found[0].found} == {*SMALL.proxies, "params"}
    assert {file: file.read_bytes() for file in before} == before
    assert "3 recomputed: 3 bit-equal, 0 within tolerance, 0 different, 0 skipped" in verify.text(found)


@pytest.mark.parametrize("proxy", ["snip", "plain", "synflow"])
def test_an_altered_value_is_different_and_one_within_rounding_is_not(statistics: Path, results: Path, proxy: str) -> None:
    altered(statistics, 1 + 1e-9, proxy)
    (near,) = check(statistics, results)
    assert near.verdict == WITHIN
    assert {one.what for one in near.found if one.verdict != EQUAL} == {proxy}
    assert max(one.difference for one in near.found) < 2e-9
    altered(statistics, 3.0, proxy)
    (far,) = check(statistics, results)
    if proxy == "plain":  # before a BatchNorm it is rounding, and Snip, which it is measured by, is larger by far
        return
    assert far.verdict == DIFFERENT
    assert [one.what for one in far.found if one.verdict == DIFFERENT] == [proxy]
    assert f"{proxy} by " in verify.line(far)


def test_a_single_altered_node_is_different() -> None:
    stored = np.array([1.0, 2.0, 4.0])
    assert verdicts.of_nodes("snip", stored, stored).verdict == EQUAL
    assert verdicts.of_nodes("snip", stored * [1.2, 1, 1], stored).verdict == DIFFERENT
    assert verdicts.of_nodes("plain", stored * [2, 1, 1], stored, snip=stored).verdict == DIFFERENT
    assert verdicts.of_nodes("plain", np.full(3, 1e-9), np.full(3, -1e-9), snip=stored).verdict == WITHIN
    assert verdicts.of_nodes("snip", stored, np.array([1.0, 2.0, math.nan])).difference == math.inf
    assert verdicts.of_nodes("snip", np.full(3, math.nan), np.full(3, math.nan)).verdict == EQUAL


def test_a_sum_of_grasp_is_measured_beside_the_gradient() -> None:
    """Its terms cancel: on another CPU this sum moved by its own size."""
    beside = {"grad_norm": 781.1}
    assert verdicts._of_score("grasp", -1785.8, -3525.7, beside).verdict == WITHIN
    assert verdicts._of_score("grasp", -1785.8, -9000.0, beside).verdict == DIFFERENT
    assert verdicts._of_score("grasp", -1785.8, -3525.7, {"grad_norm": 10.0}).verdict == DIFFERENT


def test_a_damaged_shard_and_an_edited_line_are_different(statistics: Path, results: Path) -> None:
    shard, file = statistics / "nb201" / "small" / "shard-00000.npz", results / "table03" / "runs.jsonl"
    shard.write_bytes(shard.read_bytes()[:-1])
    file.write_text(file.read_text().replace('"trainings": 5', '"trainings": 6'))
    with pytest.warns(UserWarning, match="its sha256 is not that of its result"):
        cell, run = check(statistics, results, runs=1)
    assert (cell.verdict, run.verdict) == (DIFFERENT, DIFFERENT)
    assert "is damaged" in cell.note
    assert "line 1: its sha256" in run.note


@pytest.mark.parametrize("change", [{"cost": 1.0}, {"ended": "bored"}, {"incumbents": [[1, 200, 1.0]]}])
def test_a_run_stored_with_another_result_is_different(statistics: Path, results: Path, change: dict[str, object]) -> None:
    RunStore(results / "table03" / "runs.jsonl").put(RUN.key(), RUN.evaluate() | change)
    (run,) = check(statistics, results, cells=0, runs=1)
    assert [one.what for one in run.found if one.verdict == DIFFERENT] == [f"SearchRun: {name}" for name in change]


def test_a_run_of_other_labels_is_named_and_not_judged(statistics: Path, tmp_path: Path) -> None:
    RunStore(tmp_path / "other" / "table03" / "runs.jsonl").put(RUN.key() | {"labels": "others"}, RUN.evaluate())
    RunStore(tmp_path / "other" / "table06" / "runs.jsonl").put({"method": 1}, {"kendall": 1.0})
    plan = verify.planned(0, 2, statistics=statistics, results=tmp_path / "other")
    (run,) = plan.run()
    assert run.verdict == "skipped"
    assert "another run here: its labels is" in run.note
    assert "table06: runs of an earlier version, which stored no kind and which nothing reads (1)" in plan.announced()


def test_missing_and_other_images_are_named(statistics: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StatisticsStore(statistics / "nb201" / "small")
    manifest = json.loads((store.folder / "manifest.json").read_text())
    for images, said in (("/nowhere", "its images are not here: got the source '/nowhere'"), ("noise", "their sha256 differs")):
        changed = manifest | {"config": manifest["config"] | {"images": images}}
        changed["image_batch"] = manifest["image_batch"] | {"sha256": "0"}
        (store.folder / "manifest.json").write_text(json.dumps(changed))
        plan = verify.planned(1, 0, statistics=statistics, results=results)
        assert list(plan.run()) == []
        assert f"left out: nb201/small: {said}" in plan.announced() or said in plan.announced()
    (store.folder / "manifest.json").write_text(json.dumps(manifest | {"config": manifest["config"] | {"images": "foolbox"}}))
    monkeypatch.setattr(batch.importlib.util, "find_spec", lambda name: None)
    said = verify.planned(1, 0, statistics=statistics, results=results).announced()
    assert "the package foolbox is not installed" in said


def test_a_sample_is_drawn_by_its_seed_from_each_in_turn() -> None:
    def names(seed: int, count: int, beginning: str = "nb201/stability/noise") -> list[str]:
        sources = items.cells(paths.STATISTICS, seed, wanted=lambda name: name.startswith(beginning))
        return [item.name for item in items.draw(sources, count).chosen]

    assert names(0, 7) == names(0, 7) != names(1, 7)
    assert len(set(names(0, 7))) == 7
    assert names(0, 3, "nb201/stability/noise-batch2") == ["nb201/stability/noise-batch2-init0"] * 3


def test_what_is_expensive_is_named_and_taken_on_demand(statistics: Path, tmp_path: Path) -> None:
    result = RUN.evaluate() | {"seconds": {"search": 1000.0, "collecting": 1e6}}
    RunStore(tmp_path / "expensive" / "table03" / "runs.jsonl").put(RUN.key(), result)
    given = {"statistics": statistics, "results": tmp_path / "expensive"}
    assert "table03: runs of 1000 CPU-seconds and more (1); --expensive" in verify.planned(0, 1, **given).announced()
    plan = verify.planned(0, 1, expensive=True, **given)
    assert [one.verdict for one in plan.run()] == [EQUAL]
    assert "recomputes 1 stored run of 1 folder: about 17 minutes" in plan.announced()


def test_bad_input_is_one_clear_error(statistics: Path, results: Path) -> None:
    with pytest.raises(BadInput, match=r"--only 'nb999', which is no collection, table or truth; there are nb201/small, table03"):
        verify.planned(only=["nb999"], statistics=statistics, results=results)
    with pytest.raises(BadInput, match="got 0 cells and 0 runs; expected at least one of either"):
        verify.planned(0, 0, statistics=statistics, results=results)


def test_only_is_a_name_a_pattern_or_a_folder(statistics: Path, results: Path) -> None:
    for pattern, names in (("nb201", ["nb201/small"]), ("nb2*", ["nb201/small"]), ("table03", ["table03"])):
        plan = verify.planned(1, 1, only=[pattern], statistics=statistics, results=results)
        assert [item.name for item in (*plan.cells.chosen, *plan.runs.chosen)] == names


def test_the_command_ends_with_1_where_something_is_different(
    statistics: Path, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "STATISTICS", statistics)
    command = ["verify", "--cells", "1", "--runs", "0"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("recomputes 1 cell of 1 collection: about ")
    assert said[-1] == "1 recomputed: 1 bit-equal, 0 within tolerance, 0 different, 0 skipped"
    altered(statistics, 3.0)
    assert cli.main(command) == 1
    assert "0 bit-equal, 0 within tolerance, 1 different" in capsys.readouterr().out
