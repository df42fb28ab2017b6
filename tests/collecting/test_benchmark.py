"""The collector's benchmark: what it sums up over the space and as sizes grow, its tables, its file and its command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collecting.test_peer import CELL, NO_GC, NODE_WISE, NOTHING, Clock, checkout

from parzc_core import cli, paths
from parzc_core.collecting import benchmark
from parzc_core.collecting import one as collection
from parzc_core.collecting import peer as benchmark_peer
from parzc_core.collecting.benchmark import BenchmarkConfig
from parzc_core.collecting.peer import Ours
from parzc_core.errors import BadInput
from parzc_core.images.batch import MiniBatch, minibatch
from parzc_core.spaces import nb201, nb201_cells
from parzc_core.storage import blocks, workers

TINY = BenchmarkConfig(cells=2, channels=2, depth=1, batch=4, batches=(2, 4), widths=(1, 2), depths=(1, 2), growing=1)


@pytest.fixture(scope="module")
def batch() -> MiniBatch:
    return minibatch("cifar10", 4)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().install(monkeypatch, benchmark_peer, benchmark)


class TestSample:
    @pytest.mark.parametrize("seed", range(5))
    def test_costs_what_the_space_costs(self, seed: int) -> None:
        every = {arch: benchmark.live_flops(arch) for arch in nb201.all_archs()}
        sample = benchmark.stratified(20, seed)
        assert len(set(sample)) == 20
        mean, spread = np.mean(list(every.values())), np.std(list(every.values()))
        found = [every[arch] for arch in sample]
        assert np.mean(found) == pytest.approx(mean, rel=0.05)
        assert np.std(found) == pytest.approx(spread, rel=0.15)

    def test_is_the_whole_space_at_last_and_no_more(self) -> None:
        assert sorted(benchmark.stratified(nb201.ARCH_COUNT, 1)) == sorted(nb201.all_archs())
        assert benchmark.stratified(7, 1) == benchmark.stratified(7, 1) != benchmark.stratified(7, 2)
        with pytest.raises(BadInput, match="sample of 15626"):
            benchmark.stratified(15626, 0)

    def test_dead_operations_cost_nothing(self) -> None:
        assert benchmark.live_flops("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|") == nb201.flops(NOTHING)
        assert benchmark.live_flops(CELL) == nb201.flops(CELL)


class TestSpace:
    def test_weighs_classes_alike_and_adds_the_carried_over(
        self, monkeypatch: pytest.MonkeyPatch, batch: MiniBatch
    ) -> None:
        def timed(side: Ours, arch: str, batch: MiniBatch, repeats: int) -> tuple[float, float]:
            return 0.5, 2.5 if arch == CELL else 0.5

        monkeypatch.setattr(nb201_cells, "representative", lambda arch: CELL if arch == CELL else NOTHING)
        monkeypatch.setattr(benchmark, "whole_cell", timed)
        monkeypatch.setattr(benchmark, "member_seconds", lambda arch, batch: 0.25)
        records = [
            {"ours": {"seven": 1.5, "construction": 0.5}, "peer": {"seven": s, "construction": 1.0}} for s in (3, 5)
        ]
        found = benchmark.space(replace(TINY, cells=2), records, batch, lambda work, desc: work)
        assert found["peer"]["hours"] == pytest.approx(5 * 15625 / 3600)
        assert found["peer"]["error"] == pytest.approx(1 * 15625 / 3600)
        assert found["ours"]["hours"] == pytest.approx(2 * 15625 / 3600)
        assert (found["classes"]["cpu_seconds"], found["classes"]["times"], found["classes"]["sample"]) == (2.0, 2, 2)
        assert (found["members"]["cpu_seconds"], found["members"]["times"]) == (0.25, 15623)
        shared = (2 * 2 + 0.25 * 15623) / 3600
        assert (found["shared"]["hours"], found["ratio"]) == pytest.approx((shared, 5 * 15625 / 3600 / shared))
        alone = benchmark.space(TINY, [{"ours": record["ours"]} for record in records], batch, lambda work, desc: work)
        assert (alone["ratio"], alone["peer"]["hours"]) == (None, None)

    def test_a_member_costs_what_it_adds(self, monkeypatch: pytest.MonkeyPatch, clock: Clock, batch: MiniBatch) -> None:
        asked: list[Any] = []

        def records(config: Any, representative: str, members: list[tuple[int, str]], batch: MiniBatch) -> None:
            asked.append((config.scores, set(config.proxies), representative, {arch for _, arch in members}))
            clock.now += 7.0 + 0.125 * len(members)

        monkeypatch.setattr(collection, "records", records)
        assert benchmark.member_seconds(CELL, batch) == pytest.approx(0.125)
        one = (("jacov",), set(NODE_WISE), nb201_cells.representative(CELL))
        assert asked == [(*one, set()), (*one, {CELL})]


def test_growth_varies_one_size_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(side: Ours, arch: str, batch: MiniBatch, repeats: int) -> tuple[float, float]:
        return 100.0, side.channels**2 * side.depth * len(batch.images)

    monkeypatch.setattr(benchmark, "whole_cell", timed)
    found = benchmark.growth(replace(TINY, widths=(1, 2, 3)), [CELL])
    assert [(row["axis"], row["value"], row["cpu_seconds"], row["relative"]) for row in found] == [
        ("batch", 2, 8, 1),
        ("batch", 4, 16, 2),
        ("channels", 1, 4, 1),
        ("channels", 2, 16, 4),
        ("channels", 3, 36, 9),
        ("depth", 1, 16, 1),
        ("depth", 2, 32, 2),
    ]


def test_workers_do_the_same_cells_and_starting_them_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    done: list[tuple[int, list[list[str]]]] = []

    def run(function: Any, arguments: list[Any], jobs: int) -> list[Any]:
        clock.now += 1000.0 if len(done) % 2 == 0 else 8.0 / jobs
        done.append((jobs, [archs for _, archs in arguments]))
        return []

    monkeypatch.setattr(workers, "run", run)
    found = benchmark.processes(replace(TINY, workers=(1, 2)), list("abcdefgh"))
    shares = [["a", "e"], ["b", "f"], ["c", "g"], ["d", "h"]]  # dearest first, so each task has its part of those
    assert done == [(1, shares), (1, shares), (2, shares), (2, shares)]
    assert [(row["workers"], row["rate"], row["speedup"]) for row in found] == [(1, 1.0, 1.0), (2, 2.0, 2.0)]
    done.clear()
    benchmark.processes(replace(TINY, workers=(2,)), ["a", "b"])
    assert done[0] == (2, [["a"], ["b"]])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_memory_is_that_of_the_fresh_process_not_of_this_one() -> None:
    ballast = np.ones(100 * 2**20)  # 800 MB
    found = benchmark.peak_memory(replace(TINY, batch=4))
    assert ballast.nbytes / 2**20 > found["peak_mb"] >= found["imported_mb"] > 50


def test_bad_sizes_are_refused() -> None:
    for name, value in (("cells", 0), ("repeats", 0), ("seed", -1)):
        with pytest.raises(BadInput, match=f"got {name}={value}"):
            BenchmarkConfig(**{name: value})


class TestRun:
    @pytest.fixture(scope="class")
    def results(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        """One run with a peer, and what is left of it without one."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(benchmark_peer, "gc", NO_GC)
            patch.setattr(benchmark, "member_seconds", lambda arch, batch: 0.01)
            patch.setattr(benchmark, "peak_memory", lambda config: {"imported_mb": 300.0, "peak_mb": 700.0})
            folder = checkout(tmp_path_factory.mktemp("peer"))
            with_peer = benchmark.run(replace(TINY, workers=(1,)), folder, progress=False)
            return {"with": with_peer, "without": benchmark.run(replace(TINY, workers=(1,)), progress=False)}

    def test_is_written_whole_as_strict_json_without_paths(self, results: dict[str, Any], tmp_path: Path) -> None:
        for kind in ("with", "without"):
            file = benchmark.save(results[kind], tmp_path / kind)
            read = json.loads(file.read_text(), parse_constant=lambda text: pytest.fail(text))
            assert benchmark.text(read) == benchmark.text(results[kind])
        assert str(tmp_path.parent) not in (tmp_path / "with").read_text()

    def test_has_every_part(self, results: dict[str, Any]) -> None:
        found = results["with"]
        assert [record["arch"] for record in found["records"]] == benchmark.stratified(2, 0)
        assert found["agreement"]["snip"]["float64"] == pytest.approx(0.01 / 1.01)
        assert found["bare"]["ratio"] == pytest.approx(found["bare"]["ours"] / found["bare"]["bare"])
        assert found["space"]["classes"]["times"] == len({nb201_cells.representative(arch) for arch in nb201.all_archs()})
        assert found["space"]["ratio"] > 0
        assert found["machine"]["threads"] == 1
        assert all(value > 0 for value in found["cost"]["synflow"].values())

    def test_tables_say_what_was_measured(self, results: dict[str, Any]) -> None:
        said = benchmark.text(results["with"])
        for word in (
            "peer / ours",
            "median of cells",
            "all seven and construction",
            "float64",
            "bias",
            "700 MB",
            "batch 4",
        ):
            assert word in said
        without = benchmark.text(results["without"])
        assert "git clone https://github.com/SamsungLabs/zero-cost-nas" in without
        assert "peer / ours" not in without
        assert "relative difference" not in without

    @pytest.mark.parametrize("kind", ["with", "without"])
    def test_markdown_is_tables_whose_lines_have_as_many_cells(self, results: dict[str, Any], kind: str) -> None:
        blocks = benchmark.markdown(results[kind]).split("\n\n")
        tables = [block.splitlines() for block in blocks if block.startswith("|")]
        assert len(tables) == (6 if kind == "with" else 5)
        for table in tables:
            assert len({line.count("|") for line in table}) == 1
        row = next(line for line in tables[0] if line.startswith("| grasp |")).split("|")
        cost = results[kind]["cost"]["grasp"]
        assert float(row[3 if kind == "with" else 2]) == pytest.approx(cost["ours"], rel=1e-2)


def test_the_readme_has_the_committed_results() -> None:
    committed = json.loads((paths.RESULTS / benchmark.FILE).read_text())
    said = "run `parzc benchmark collector --readme`"
    assert blocks.get(paths.ROOT / benchmark.README, "benchmark") == benchmark.markdown(committed).strip(), said


class TestCommand:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
        calls: list[Any] = []
        monkeypatch.setattr(paths, "RESULTS", tmp_path)
        monkeypatch.setattr(benchmark, "run", lambda config, peer: calls.append((config, peer)) or {"a": 1})
        monkeypatch.setattr(benchmark, "text", lambda results: "TABLES")
        return calls

    def test_passes_its_options_on(self, asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--peer", "there", "--cells", "7", "--seed", "3", "--repeats", "2"]
        assert cli.main(["benchmark", "collector", *options, "--output", str(tmp_path / "new" / "a.json")]) == 0
        assert asked == [(BenchmarkConfig(cells=7, seed=3, repeats=2), Path("there"))]
        assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"a": 1}
        assert capsys.readouterr().out.startswith("TABLES\n")

    def test_renews_the_readme_without_measuring(
        self, asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results = json.loads((paths.ROOT / "results" / benchmark.FILE).read_text())
        monkeypatch.setattr(paths, "ROOT", tmp_path)
        assert cli.main(["benchmark", "collector", "--readme"]) == 2
        assert "measure first: parzc benchmark collector" in capsys.readouterr().err
        benchmark.save(results, tmp_path / benchmark.FILE)
        readme = tmp_path / benchmark.README
        readme.parent.mkdir(parents=True)
        readme.write_text("\n".join(blocks.marks("benchmark")))
        assert cli.main(["benchmark", "collector", "--readme"]) == 0
        assert blocks.get(readme, "benchmark") == benchmark.markdown(results).strip()
        assert asked == []

    def test_a_quick_run_does_not_take_the_place_of_a_whole_one(self, asked: list[Any], tmp_path: Path) -> None:
        assert cli.main(["benchmark", "collector"]) == 0
        assert cli.main(["benchmark", "collector", "--quick"]) == 0
        assert asked == [(BenchmarkConfig(), None), (benchmark.QUICK, None)]
        files = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.json")}
        assert files == {"benchmark/collector.json", "smoke/benchmark/collector.json"}
        quick = benchmark.QUICK
        assert (quick.channels, quick.depth) == (16, 5)  # else the ratio would be of unlike networks

    @pytest.mark.parametrize("bad", [["--output", "."], ["--peer", "."], ["--cells", "15626"]])
    def test_bad_input_is_one_line(self, bad: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        options = [str(tmp_path) if option == "." else option for option in bad]
        assert cli.main(["benchmark", "collector", *options]) == 2
        assert capsys.readouterr().err.count("\n") == 1
