"""The two sides of the collector's benchmark: how they are timed and compared, and what it says of a peer that is none."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.collecting import peer as benchmark_peer
from parzc_core.collecting.peer import PROXIES, Bare, Ours, Peer, relative_difference, summary
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.images.batch import MiniBatch, minibatch
from parzc_core.passes import Passes
from parzc_core.scores import registry
from parzc_core.spaces import nb201

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
NOTHING = nb201.to_string(["none"] * 6)
NODE_WISE = [name for name in PROXIES if name != "jacob_cov"]
NO_GC = SimpleNamespace(collect=lambda: None)  # collecting takes longer than the work on tiny networks

PREDICTIVE = """
import warnings
from parzc_core.collecting.peer import Ours
from parzc_core.images.batch import MiniBatch

def find_measures(net, loader, info, device, measure_names=None):
    [(images, labels)] = loader
    assert info == ("random", 1, 10) and str(device) == "cpu"
    warnings.warn("old hook")
    print("noise")
    batch = MiniBatch(images, labels, 10, {})
    scales = {"snip": 1.01, "grasp": FACTOR}
    if "fisher" in measure_names and FAILS:
        raise AttributeError("no grad")
    return {name: Ours().one(net, batch, name) * scales.get(name, 1.0) for name in measure_names}
"""
NASBENCH2 = """
from parzc_core.spaces import nb201

def get_model_from_arch_str(arch_str, num_classes):
    return nb201.build(arch_str, 2, 1, num_classes)
"""


def checkout(folder: Path, factor: float = 1.0, fails: bool = False) -> Path:
    """A peer with the file names of the real one, whose snip is 1 % more than ours and whose grasp `factor` times ours."""
    for package in ("foresight", "foresight/pruners", "foresight/models"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    text = PREDICTIVE.replace("FACTOR", repr(factor)).replace("FAILS", repr(fails))
    (folder / "foresight" / "pruners" / "predictive.py").write_text(text)
    (folder / "foresight" / "models" / "nasbench2.py").write_text(NASBENCH2)
    return folder


@pytest.fixture(scope="module")
def batch() -> MiniBatch:
    return minibatch("cifar10", 4)


class Clock:
    """Stands in for the module `time`: CPU-seconds pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def process_time(self) -> float:
        return self.now

    perf_counter = process_time

    def install(self, monkeypatch: pytest.MonkeyPatch, *modules: Any) -> "Clock":
        """Be the clock of these modules."""
        for module in modules:
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(benchmark_peer, "gc", NO_GC)
        return self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().install(monkeypatch, benchmark_peer)


def acting(kind: type, name: str, clock: Clock, log: list[str], seconds: Callable[[str], float]) -> Any:
    """A side that computes nothing and takes the seconds given for each task."""

    class Acting(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def _do(self, task: str) -> None:
            log.append(f"{name} {task}")
            clock.now += seconds(task)

        def build(self, arch: str, skip_dead: bool = True) -> torch.nn.Module:
            self._do("construction")
            return torch.nn.Linear(1, 1)

        def seven(self, network: torch.nn.Module, batch: MiniBatch) -> dict[str, complex]:
            self._do("seven")
            return dict.fromkeys(PROXIES, 1.0)

        def one(self, network: torch.nn.Module, batch: MiniBatch, proxy: str) -> complex:
            self._do(proxy)
            return 1.0

    return Acting()


class TestPeer:
    def test_is_imported_from_the_path_given_though_another_was_before(self, tmp_path: Path, batch: MiniBatch) -> None:
        before = list(sys.path)
        for factor in (2.0, 3.0):
            peer = Peer(checkout(tmp_path / str(factor), factor))
            network = peer.build(CELL)
            ratio = peer.one(network, batch, "grasp") / Ours().one(network, batch, "grasp")
            assert ratio == pytest.approx(factor)
        assert sys.path == before

    def test_is_quiet(self, tmp_path: Path, batch: MiniBatch, capsys: pytest.CaptureFixture[str]) -> None:
        peer = Peer(checkout(tmp_path))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert set(peer.seven(peer.build(CELL), batch)) == set(PROXIES)
        assert capsys.readouterr().out == ""

    def test_failing_is_one_clear_error(self, tmp_path: Path, batch: MiniBatch) -> None:
        peer = Peer(checkout(tmp_path, fails=True))
        with pytest.raises(BadInput, match="the peer failed on fisher: AttributeError: no grad"):
            peer.one(peer.build(CELL), batch, "fisher")

    @pytest.mark.parametrize("damage", ["gone", "not a function", "not Python's"])
    def test_what_is_none_is_named(self, tmp_path: Path, damage: str) -> None:
        file = checkout(tmp_path) / "foresight" / "pruners" / "predictive.py"
        file.unlink()
        if damage != "gone":
            file.write_text("x = 1" if damage == "not a function" else "import no_such_module_at_all")
        with pytest.raises(BadInput, match=r"git clone https://github.com/SamsungLabs/zero-cost-nas") as error:
            Peer(tmp_path)
        assert str(tmp_path) in str(error.value)
        if damage == "gone":
            assert "holds no foresight/pruners/predictive.py" in str(error.value)

    def test_version_is_commit_and_sources(self, tmp_path: Path) -> None:
        plain = Peer(checkout(tmp_path / "a"))
        assert plain.commit is None
        assert plain.sha256 == Peer(checkout(tmp_path / "b")).sha256 != Peer(checkout(tmp_path / "c", 2.0)).sha256
        git = ["git", "-C", str(tmp_path / "a"), "-c", "user.name=a", "-c", "user.email=a@b"]
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *arguments], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        assert Peer(tmp_path / "a").commit == head


class TestSides:
    def test_seven_are_those_of_the_collection_and_those_of_one_at_a_time(
        self, batch: MiniBatch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PARZC_PLAIN", "1")  # a tape rounds otherwise
        ours = Ours(2, 1)
        network = ours.build(CELL)
        expected: dict[str, Any] = collect_statistics(network, batch.images, batch.labels, NODE_WISE).sums()
        expected["jacob_cov"] = registry.score("jacov", network, batch.images, batch.labels)
        assert {proxy: ours.one(network, batch, proxy) for proxy in PROXIES} == pytest.approx(expected)
        assert ours.seven(network, batch) == pytest.approx(expected)

    def test_ours_starts_from_the_same_weights_each_time_and_has_the_size_asked_for(self) -> None:
        first, second = (Ours(3, 2).build(CELL).state_dict() for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert first["stem.0.weight"].shape[0] == 3
        assert sum(name.endswith("layers.0.op.1.weight") for name in first) == 6

    def test_bare_passes_are_the_ones_that_the_statistics_need(self, batch: MiniBatch) -> None:
        network = Ours(2, 1).build(CELL)
        known = Passes(network, batch.images, batch.labels, second_order=True)
        model, flow = Bare(Ours(2, 1)).build(CELL).children()
        g, hessian, jacobian, flow_gradients = Bare.passes(model, flow, batch)
        pairs = [*zip(g, known.loss_gradients.values(), strict=True)]
        pairs += [*zip(hessian, known.hessian_gradients.values(), strict=True), (jacobian, known.image_gradients)]
        pairs += [*zip(flow_gradients, known.flow.gradients.values(), strict=True)]
        for found, expected in pairs:
            assert expected is not None
            torch.testing.assert_close(found.detach(), expected, rtol=2e-3, atol=2e-5)
        assert flow_gradients[0].dtype == torch.float64

    def test_bare_passes_can_take_a_cell_that_lets_nothing_through(self, batch: MiniBatch) -> None:
        model, flow = Bare(Ours(2, 1)).build(NOTHING).children()
        assert len(Bare.passes(model, flow, batch)[1]) == 8


class TestComparison:
    def test_times_are_of_the_task_alone_and_sides_take_turns(
        self, clock: Clock, batch: MiniBatch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log: list[str] = []
        ours = acting(Ours, "ours", clock, log, lambda task: {"construction": 0.25, "seven": 2.0}.get(task, 0.5))
        peer = acting(Peer, "peer", clock, log, lambda task: {"construction": 1.0, "seven": 16.0}.get(task, 3.0))
        monkeypatch.setattr(Bare, "build", lambda self, arch: torch.nn.Identity())
        monkeypatch.setattr(Bare, "seven", lambda self, network, batch: log.append("bare seven"))
        monkeypatch.setattr(benchmark_peer, "differences", lambda *_: {"float32": 1})
        records = benchmark_peer.compare([CELL] * 6, ours, peer, batch)
        assert records[0]["ours"] == {"construction": 0.25, "seven": 2.0, **dict.fromkeys(PROXIES, 0.5)}
        assert records[5]["peer"] == {"construction": 1.0, "seven": 16.0, **dict.fromkeys(PROXIES, 3.0)}
        assert (records[0]["bare"], records[0]["difference"]) == ({"construction": 0, "seven": 0}, {"float32": 1})
        assert summary(records, "in all")["ratio"] == 17 / 2.25
        size = len(log) // 6
        cells = [log[number * size : (number + 1) * size] for number in range(6)]
        for task, least in (("seven", 2), ("snip", 3), ("synflow", 3)):  # three sides take turns, or two
            firsts = [next(item for item in cell if item.endswith(task)) for cell in cells]
            assert sorted(firsts.count(first) for first in set(firsts)) == [least] * (6 // least)

    def test_the_smallest_of_the_repeats_counts(self, clock: Clock, batch: MiniBatch) -> None:
        seconds = iter([5.0, 3.0, 4.0, 1.0, 6.0, 2.0])  # construction, seven, construction, seven, ...
        side = acting(Ours, "ours", clock, [], lambda task: next(seconds))
        assert benchmark_peer.whole_cell(side, CELL, batch, repeats=3) == (4.0, 1.0)

    def test_summary_is_the_ratio_of_sums_beside_those_of_cells(self) -> None:
        records = [
            {"ours": {"seven": a, "construction": 0.0}, "peer": {"seven": b, "construction": 1.0}}
            for a, b in ((1.0, 2.0), (1.0, 4.0), (6.0, 6.0))
        ]
        assert summary(records, "seven") == {
            "peer": 4.0,
            "ours": pytest.approx(8 / 3),
            "ratio": 1.5,
            "low": 1.0,  # all draws of the third cell
            "high": 4.0,
            "median": 2.0,
            "least": 1.0,
            "greatest": 4.0,
        }
        assert summary(records, "in all")["ratio"] == 15 / 8
        alone = summary([{"ours": record["ours"]} for record in records], "seven")
        assert {name for name, value in alone.items() if value is not None} == {"ours"}

    def test_differences_of_a_peer_that_is_known(self, tmp_path: Path, batch: MiniBatch) -> None:
        found = benchmark_peer.differences(CELL, Ours(2, 1), Peer(checkout(tmp_path, -1.0, fails=True)), batch)
        assert found["float64"] == pytest.approx(
            {**dict.fromkeys(PROXIES, 0.0), "snip": 0.01 / 1.01, "grasp": 2.0, "fisher": 2.0}, abs=1e-9
        )
        assert found["float32"]["snip"] == pytest.approx(0.01 / 1.01, rel=1e-3)
        assert found["peer_rounding"]["fisher"] is None
        assert 0 < found["our_rounding"]["grad_norm"] < 1e-3

    def test_a_cell_without_a_value_on_either_side_is_left_out(self, tmp_path: Path, batch: MiniBatch) -> None:
        peer = Peer(checkout(tmp_path))
        records = [
            {"difference": benchmark_peer.differences(arch, Ours(2, 1), peer, batch)} for arch in (CELL, NOTHING)
        ]
        assert records[1]["difference"]["float32"]["jacob_cov"] is None
        found = benchmark_peer.worst_differences(records)
        assert found["jacob_cov"]["not_finite"] == 1
        assert found["jacob_cov"]["float64"] == pytest.approx(0, abs=1e-9)
        assert found["snip"]["not_finite"] == 0
        assert found["snip"]["float64"] == pytest.approx(0.01 / 1.01)
        assert benchmark_peer.worst_differences([{}]) == {}

    numbers = st.floats(-1e30, 1e30).filter(lambda x: x == 0 or abs(x) > 1e-30)

    @given(numbers, numbers)
    def test_relative_difference(self, a: float, b: float) -> None:
        found = relative_difference(a, b)
        assert found is not None
        assert 0 <= found <= 2
        assert found == relative_difference(b, a) == pytest.approx(relative_difference(-4 * a, -4 * b))
        assert (found == 0) == (a == b)
        assert found * max(abs(a), abs(b)) == pytest.approx(abs(a - b))

    def test_relative_difference_of_what_is_no_number(self) -> None:
        nan, inf = float("nan"), float("inf")
        assert [relative_difference(a, b) for a, b in ((nan, nan), (nan, inf), (1.0, nan), (inf, 0.0))] == [
            None,
            None,
            2,
            2,
        ]
        assert relative_difference(complex(3, 4), 0) == 1
