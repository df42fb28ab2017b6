"""Describing networks and spaces of one's own; comparing proxies on them; plugins of other packages."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from parzc_core import _plugins
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.own import NetworkRanker, collect_space, describe, rank_networks
from parzc_core.own.models import summaries
from parzc_core.own.networks import batch_digest
from parzc_core.proxies import NODE_REGISTRY, NodeTensors, check_node_proxies, node_proxy
from parzc_core.runs.compare import compare_proxies
from parzc_core.spaces import Graph, nb201
from parzc_core.storage.filling import versions
from parzc_core.storage.statistics import StatisticsStore

IMAGES = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(6) % 3


class Depths:
    """Perceptrons of 1 to 12 layers, named by their depth."""

    def __init__(self, builds: list[str] | None = None):
        self.builds = builds if builds is not None else []

    def sample(self, count: int, seed: int) -> list[str]:
        return [str(i) for i in 1 + np.random.default_rng(seed).permutation(12)][:count]

    def build(self, arch: str) -> nn.Module:
        self.builds.append(arch)
        hidden = [x for _ in range(int(arch)) for x in (nn.ReLU(), nn.Linear(8, 8))]
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), *hidden, nn.Linear(8, 3))


@dataclass
class Wide(Depths):
    width: int = 8

    def build(self, arch: str) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, self.width), nn.ReLU(), nn.Linear(self.width, 2 + int(arch)))


class Smoothed(nn.Module):
    """A loss with a loss in it."""

    def __init__(self, by: float):
        super().__init__()
        self.inner = nn.CrossEntropyLoss(label_smoothing=by)

    def given(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.inner(out, y)

    forward = given


def cooled(by: float) -> Any:
    return lambda out, y: nn.functional.cross_entropy(out / by, y)


class Drawn(Depths):
    """The same with a graph: a chain."""

    OPERATIONS = ("linear",)

    def graph(self, arch: str) -> Graph:
        kinds = [1, *[0 if i < int(arch) else 3 for i in range(12)], 2]
        return Graph(np.eye(14, k=1, dtype=np.float32), np.array(kinds, dtype=np.int64))

    GRAPH_KINDS = 4


def test_a_space_is_collected_once_and_as_its_networks_are(tmp_path: Path) -> None:
    space = Depths()
    first = collect_space(space, IMAGES, LABELS, tmp_path, 8)
    assert space.builds == list(first.names) == space.sample(8, 0)
    again = collect_space(space, IMAGES, LABELS, tmp_path, 8)
    assert len(space.builds) == 8  # nothing is built anew
    torch.manual_seed(0)
    alone = describe({first.names[0]: space.build(str(first.names[0]))}, IMAGES, LABELS)
    np.testing.assert_allclose(again.statistics[0].values, alone.statistics[0].values, rtol=1e-6)
    assert (again.modules[0], again.batch) == (alone.modules[0], alone.batch)
    assert again.counts[0].tolist() == alone.counts[0].tolist()
    assert again.graphs is None
    with pytest.raises(BadInput, match="another collection"):
        collect_space(space, IMAGES + 1, LABELS, tmp_path, 8)
    with pytest.raises(BadInput, match="no build"):
        collect_space(object(), IMAGES, LABELS, tmp_path, 8)
    with pytest.raises(BadInput, match=r"got 12 different architectures from sample\(20, 0\)"):
        collect_space(space, IMAGES, LABELS, tmp_path / "more", 20)


def test_a_space_with_other_settings_is_another(tmp_path: Path) -> None:
    collect_space(Wide(8), IMAGES, LABELS, tmp_path, 3)
    with pytest.raises(BadInput, match=r"another collection: its config\.settings"):
        collect_space(Wide(16), IMAGES, LABELS, tmp_path, 3)
    modules = [ModuleType(name) for name in ("one", "other")]
    for module in modules:
        module.sample, module.build = Depths().sample, Depths().build  # type: ignore[attr-defined]
    collect_space(modules[0], IMAGES, LABELS, tmp_path / "module", 3)
    with pytest.raises(BadInput, match=r"another collection: its config\.space is one, got other"):
        collect_space(modules[1], IMAGES, LABELS, tmp_path / "module", 3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((IMAGES, LABELS.numpy()), (IMAGES, LABELS.numpy() + 1)),
        ((IMAGES, LABELS.tolist()), (IMAGES, LABELS.tolist()[::-1])),
        ((IMAGES, {"class": 1}), (IMAGES, {"class": 2})),
        (((IMAGES, torch.tensor(1.0)), LABELS), ((IMAGES, torch.tensor(2.0)), LABELS)),
        (((IMAGES, 1), LABELS), ((IMAGES, 2), LABELS)),
        (({"left": IMAGES, "right": -IMAGES}, LABELS), ({"right": IMAGES, "left": -IMAGES}, LABELS)),
        (((IMAGES.to_sparse(),), LABELS), ((-IMAGES.to_sparse(),), LABELS)),
    ],
)
def test_other_batches_have_other_digests(first: Any, second: Any) -> None:
    assert batch_digest(*first) == batch_digest(*first)
    assert batch_digest(*first) != batch_digest(*second)


def test_the_digest_of_images_and_labels_is_what_it_was() -> None:
    assert batch_digest(torch.arange(48.0).view(2, 6, 4), torch.arange(2)) == "b14d58e79e91c69f"


def test_another_loss_is_told_by_the_batch(tmp_path: Path) -> None:
    networks = {str(i): Depths().build(str(i)) for i in (1, 2)}
    plain, other, again = (describe(networks, IMAGES, LABELS, loss=loss).batch for loss in (None, cooled(2.0), cooled(2.0)))
    assert plain != other == again
    assert collect_space(Depths(), IMAGES, LABELS, tmp_path, 2, loss=cooled(2.0)).batch == other


class TestWhatIsThereAlready:
    """Eight networks in two shards."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> StatisticsStore:
        collect_space(Depths(), IMAGES, LABELS, tmp_path, 8, shard_size=4)
        return StatisticsStore(tmp_path)

    @staticmethod
    def again(store: StatisticsStore, **options: Any) -> list[str]:
        """What is built when it is collected again."""
        space = Depths()
        collect_space(space, IMAGES, LABELS, store.folder, 8, shard_size=4, **options)
        return space.builds

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (None, nn.CrossEntropyLoss()),
            (nn.CrossEntropyLoss(), None),
            (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)),
            (partial(nn.functional.cross_entropy, label_smoothing=0.1), nn.functional.cross_entropy),
            (partial(nn.functional.cross_entropy, reduction="sum"), partial(nn.functional.cross_entropy, reduction="mean")),
            (nn.functional.cross_entropy, nn.functional.multi_margin_loss),
            (nn.CrossEntropyLoss(weight=torch.ones(3)), nn.CrossEntropyLoss(weight=torch.arange(1.0, 4.0))),
            (Smoothed(0.1), Smoothed(0.2)),
            (Smoothed(0.1).given, Smoothed(0.2).given),
            (cooled(1.0), cooled(2.0)),
            (lambda out, y: out.sum(), lambda out, y: out.mean()),
        ],
    )
    def test_and_was_collected_with_another_loss_is_refused(self, first: Any, second: Any, tmp_path: Path) -> None:
        collect_space(Depths(), IMAGES, LABELS, tmp_path, 4, shard_size=4, loss=first)
        with pytest.raises(BadInput, match=r"another collection: its config\.loss is"):
            collect_space(Depths(), IMAGES, LABELS, tmp_path, 4, shard_size=4, loss=second)
        collect_space(Depths(), IMAGES, LABELS, tmp_path, 4, shard_size=4, loss=first)

    @pytest.mark.parametrize("library", ["torch", "parzc"])
    def test_of_another_version_is_added_to_only_if_asked(
        self, store: StatisticsStore, library: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.rmtree(store.folder)
        with monkeypatch.context() as there:
            older = versions() | {library: "0.0.1", "python": "3.9.0"}
            there.setattr("parzc_core.storage.filling.versions", lambda: older)
            self.again(store)
        assert self.again(store) == []  # complete: nothing is added
        store.path(1).unlink()
        with pytest.raises(BadInput, match=rf"computed with {library} 0\.0\.1, here is .*mix_versions=True"):
            self.again(store)
        assert self.again(store, mix_versions=True) == Depths().sample(8, 0)[4:]
        assert store.manifest["other_versions"] == [versions()]

    def test_and_damaged_is_named_and_collected_anew_alone(
        self, store: StatisticsStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shards = store.manifest["shards"]
        store.path(0).write_bytes(b"\0" * 100)
        assert self.again(store) == Depths().sample(8, 0)[:4]
        assert "shard-00000.npz is damaged" in "".join(capsys.readouterr())
        assert (store.manifest["shards"], store.damaged()) == (shards, {})

    def test_but_was_not_noted_before_a_kill_is_taken_up(self, store: StatisticsStore) -> None:
        shards = store.manifest["shards"]
        store._write_manifest(store.manifest | {"shards": {}})
        assert self.again(store) == []
        assert store.manifest["shards"] == shards

    def test_and_is_not_of_this_collection_is_named_and_collected_anew(
        self, store: StatisticsStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shards = store.manifest["shards"]
        collect_space(Depths(), IMAGES, LABELS, tmp_path / "snip", 8, shard_size=4, proxies=["snip"])
        store._write_manifest(store.manifest | {"shards": {}})
        store.path(1).write_bytes(StatisticsStore(tmp_path / "snip").path(1).read_bytes())
        assert self.again(store) == Depths().sample(8, 0)[4:]
        assert "shard-00001.npz is of another collection" in "".join(capsys.readouterr())
        assert store.manifest["shards"] == shards


@pytest.mark.parametrize(("build", "words"), [(lambda arch: 1 / 0, "failed: ZeroDivisionError"), (lambda arch: 3, "got int")])
def test_a_space_that_builds_no_network_is_told_with_the_architecture(build: Any, words: str, tmp_path: Path) -> None:
    space = Depths()
    space.build = build  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=rf"network '{space.sample(1, 0)[0]}': .*{words}"):
        collect_space(space, IMAGES, LABELS, tmp_path, 4)


def test_names_that_are_no_text_are_told_in_one_line() -> None:
    networks: Any = {1: Depths().build("3"), 2: Depths().build("3")}
    for call in (lambda: describe(networks, IMAGES, LABELS), lambda: rank_networks(networks, IMAGES, LABELS, {1: 1.0, 2: 2.0})):
        with pytest.raises(BadInput, match=r"^got \[1, 2\] as names of networks"):
            call()


def test_a_graph_of_the_space_is_read_where_there_is_one(tmp_path: Path) -> None:
    described = collect_space(Drawn(), IMAGES, LABELS, tmp_path, 12)
    assert described.graphs is not None
    known = pd.Series({name: -float(name) for name in described.names[:8]})
    ranker = NetworkRanker.fit(described, known, ranker="parzc+")
    assert "graph" in summaries(described, described.statistics[0].proxies, ())
    without = describe({"3": Depths().build("3")}, IMAGES, LABELS)
    with pytest.raises(BadInput, match="fitted to networks with one"):
        ranker.rank(without)
    assert np.isfinite(ranker.rank(describe({"3": Depths().build("3")}, IMAGES, LABELS, space=Drawn()))["score"]).all()
    cells = nb201.sample(3, 0)
    nets = {arch: nb201.build(arch, channels=4, cells=1) for arch in cells}
    batch = torch.randn(4, 3, 8, 8), torch.arange(4)
    assert len(describe(nets, *batch, space="nb201").graphs) == 3
    with pytest.raises(BadInput, match="which has no graph"):
        describe(nets, *batch, space=Depths())


def test_summaries_are_those_of_the_logarithms() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    described = describe([network], IMAGES, LABELS, ["snip"])
    blocks = summaries(described, ["snip"], ("Linear", "ReLU", "Conv2d"))
    one = collect_statistics(network, IMAGES, LABELS, ["snip"])
    logs = np.log10(one.of("snip")[list(one.execution_order)])
    expected = [np.log10(one.of("snip").sum()), logs.mean(), logs.std(), logs.min(), logs.max()]
    np.testing.assert_allclose(blocks["snip"][0, :5], expected)
    np.testing.assert_allclose(blocks["snip"][0, 5::3], logs)  # thirds of one node each
    np.testing.assert_allclose(blocks["modules"][0], np.log2([4, 3, 1]))
    np.testing.assert_allclose(10 ** blocks["scores"][0] - 1, [3, 16 * 8 + 8 + 72 + 27, described.counts[0, 1]])


def test_a_registered_proxy_gets_zeros_for_a_node_that_does_not_reach_the_loss() -> None:
    @node_proxy("gradient", "hessian", "flow")
    def all_of_it(node: NodeTensors) -> float:
        return float((node.gradient + node.hessian_gradient + node.flow_gradient).abs().sum()) + node.reached

    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.live, self.dead = nn.Linear(16, 3), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.live(x.flatten(1)) + 0 * self.dead(x.flatten(1)).detach()

    try:
        found = collect_statistics(Dead(), IMAGES, LABELS, ["all_of_it", "fisher", "plain"])
        values = dict(zip(found.nodes, found.values.T.tolist(), strict=True))
        assert values["dead"] == [0, 0, 0]
        assert values["live"][0] > 1
        assert NODE_REGISTRY["all_of_it"].value(NodeTensors(torch.ones(2, 2))) == 0
    finally:
        del NODE_REGISTRY["all_of_it"]


def test_proxies_are_compared_on_networks_of_ones_own(tmp_path: Path) -> None:
    described = collect_space(Depths(), IMAGES, LABELS, tmp_path, 12)
    depth = pd.Series({name: float(name) for name in described.names[:9]})
    found = compare_proxies(described, ["params", "synflow"], accuracies=depth)
    assert found.loc["params", "kendall"] == pytest.approx(100)
    assert found["n"].tolist() == [9, 9]
    with pytest.raises(BadInput, match="was not collected"):
        compare_proxies(described, ["grasp"], accuracies=depth)
    with pytest.raises(BadInput, match="without accuracies"):
        compare_proxies(described, ["params"])
    with pytest.raises(UnknownName, match="proxy 'parmas'"):
        compare_proxies("nb201", ["parmas"])
    with pytest.raises(BadInput, match="each once"):
        compare_proxies("nb201", ["params", "params"])


def test_committed_statistics_are_not_collected_again() -> None:
    found = compare_proxies("nb201", ["synflow", "flops", "params"], cells=200, resamples=10)
    assert (found["kendall"] > 40).all()
    assert found["n"].tolist() == [200] * 3


def test_plugins_are_imported_for_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        name, value = "mine", "my_package.mine"

        def load(self) -> None:
            @node_proxy()
            def of_a_plugin(node: NodeTensors) -> float:
                return 1.0

    class Broken(Found):
        value = "my_package.broken"

        def load(self) -> None:
            raise ImportError("no such thing")

    monkeypatch.setattr(_plugins, "_asked", set())
    monkeypatch.setattr(_plugins, "entry_points", lambda group: [Found(), Broken()] if group == "parzc.plugins" else [])
    try:
        with pytest.warns(UserWarning, match="my_package.broken"):
            assert check_node_proxies("of_a_plugin") == ("of_a_plugin",)
        with pytest.raises(UnknownName):
            check_node_proxies("of_no_plugin")
    finally:
        del NODE_REGISTRY["of_a_plugin"]
