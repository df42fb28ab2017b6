"""The model zoo: what is committed can be read without torchvision, and collecting needs nothing but names and networks."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.own import zoo
from parzc_core.own.networks import collect_space, stored


def weights(name, top1, link, side=32):
    metrics = {"ImageNet-1K": {"acc@1": top1}}
    meta = {"_metrics": metrics, "recipe": link, "num_params": 100, "_ops": 0.5}
    return SimpleNamespace(name=name, meta=meta, transforms=SimpleNamespace(keywords={"crop_size": side}))


KNOWN = {
    "resnet18": [weights("IMAGENET1K_V1", 70.0, "tree#resnet"), weights("IMAGENET1K_V2", 72.0, "issues/3995#new", 40)],
    "vit_b_32": [weights("IMAGENET1K_V1", 76.0, "tree#vit"), weights("IMAGENET1K_SWAG_E2E_V1", 85.0, "SWAG")],
    "vgg16": [weights("IMAGENET1K_FEATURES", float("nan"), "ssd")],
}


@pytest.fixture
def fake(monkeypatch):
    """torchvision.models with three names and networks of one layer."""

    def built(name, weights, **_):
        return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1000))

    models = SimpleNamespace(list_models=lambda module: list(KNOWN), get_model_weights=KNOWN.get, get_model=built)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))


def test_published_takes_the_best_weights_of_imagenet_alone_and_their_recipe(fake):
    found = zoo.published()
    assert list(found.index) == ["resnet18", "vit_b_32"]
    assert found.loc["resnet18", ["recipe", "top1", "first", "side"]].tolist() == ["improved", 72.0, 70.0, 40]
    assert found.loc["vit_b_32", ["family", "recipe", "top1"]].tolist() == ["ViT", "own", 76.0]
    assert np.isnan(found.loc["vit_b_32", "first"])


def test_what_is_collected_is_what_load_reads(fake, tmp_path):
    made = zoo.collect(tmp_path, jobs=1)
    assert list(made.networks.names) == ["resnet18", "vit_b_32"]
    assert made.top1.tolist() == [72.0, 76.0]
    assert {path.name for path in tmp_path.glob("side*")} == {"side32", "side40"}
    again = zoo.load(tmp_path)
    pd.testing.assert_frame_equal(again.scores(), made.scores())
    before = (tmp_path / "side32" / "shard-00000.npz").stat().st_mtime_ns
    zoo.collect(tmp_path)
    assert (tmp_path / "side32" / "shard-00000.npz").stat().st_mtime_ns == before  # nothing is collected twice


@pytest.mark.parametrize(("limit", "value"), [("MOST_GFLOPS", 0.4), ("MOST_SIDE", 31)])
def test_a_network_above_a_limit_is_in_the_catalogue_alone(fake, tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(zoo, limit, value)
    small = {"MOST_GFLOPS": {"_ops": 0.3}, "MOST_SIDE": {}}[limit]
    monkeypatch.setitem(KNOWN["resnet18"][1].meta, "_ops", small.get("_ops", 0.5))
    monkeypatch.setitem(KNOWN["resnet18"][1].transforms.keywords, "crop_size", 31)
    made = zoo.collect(tmp_path)
    assert list(made.networks.names) == ["resnet18"]
    assert list(zoo.read_catalogue(tmp_path).index) == ["resnet18", "vit_b_32"]


def test_without_torchvision_or_statistics_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(BadInput, match=r"torchvision is not installed; docs/setup.md"):
        zoo.published()
    with pytest.raises(BadInput, match=r"networks.csv is not there"):
        zoo.load(tmp_path)
    with pytest.raises(BadInput, match=r"'lenet'; expected a name that begins with one of alexnet"):
        zoo.family("lenet")


def test_no_worker_at_all_is_one_line(tmp_path, capsys):
    assert zoo.main(["--jobs", "0", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "parzc: got --jobs=0; expected a whole number of at least 1\n"
    assert not (tmp_path / "out").exists()


def test_stored_gives_back_what_collect_space_gave(tmp_path):
    class Space:
        def sample(self, count, seed):
            return [f"{width}" for width in range(1, count + 1)]

        def build(self, arch):
            return nn.Sequential(nn.Flatten(), nn.Linear(12, int(arch)), nn.ReLU(), nn.Linear(int(arch), 3))

    images, labels = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0])
    made = collect_space(Space(), images, labels, tmp_path, 3, shard_size=2)
    assert len(list(tmp_path.glob("shard-*.npz"))) == 2
    read = stored(tmp_path)
    assert (read.names, read.batch, read.modules) == (made.names, made.batch, made.modules)
    pd.testing.assert_frame_equal(read.frame(), made.frame())


def test_the_committed_zoo_has_every_network_up_to_the_limit():
    found, catalogue = zoo.load(), zoo.read_catalogue()
    assert list(found.catalogue.index) == list(catalogue.index[zoo.small(catalogue)])
    assert len(found.networks) >= 50
    assert (found.networks.not_finite == 0).all()
    counted = found.networks.frame()["params"]
    assert (counted == catalogue["params"].reindex(counted.index)).mean() > 0.95  # as published, but for second classifiers
    assert set(catalogue["family"]) == set(zoo.FAMILIES.values())
    assert catalogue["top1"].between(50, 90).all()
