"""The ground truth made here: who is trained, that networks learn, that a killed run goes on, and the noise ceiling."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from parzc_core import labels as labels_
from parzc_core.errors import LabelsMissing
from parzc_core.images.batch import minibatch
from parzc_core.labels import nds
from parzc_core.runs import nds_networks
from parzc_core.runs.nds_networks import Recipe, Training, trainings
from parzc_core.spaces import nds as spaces_nds
from parzc_core.storage.run_store import RunStore

SMALL = Recipe(width=2, depth=3, side=8, images=96, val=40, test=40, epochs=1, batch=32)


def test_spaces_take_turns_so_that_any_front_is_balanced() -> None:
    todo = trainings(3, 2, SMALL, None)
    assert [(one.space, one.seed) for one in todo[:6]] == [(name, s) for name in nds.RECREATED_SPACES for s in (0, 1)]
    assert len({one.arch for one in todo}) == 9
    assert {(spaces_nds.SPACES[x.space].parse(x.arch).width, spaces_nds.SPACES[x.space].parse(x.arch).depth) for x in todo} == {
        (2, 3)
    }
    assert trainings(2, 2, SMALL, None) == todo[:12]  # more architectures go on where fewer ended


def test_a_network_learns_and_is_the_same_when_trained_again() -> None:
    first = trainings(1, 1, Recipe(4, 3, side=8, images=320, val=10, test=200, epochs=3), None)[0].evaluate()
    assert first["test"] > 30  # of ten classes
    assert first["loss"] < 2.0  # ln 10 = 2.3
    small = trainings(1, 2, SMALL, None)
    again = [one.evaluate() for one in (small[0], small[0], small[1])]
    assert again[0]["loss"] == again[1]["loss"] != again[2]["loss"]
    assert again[0]["test"] == again[1]["test"]


def test_images_are_held_back_from_training_and_have_three_equal_channels() -> None:
    data = nds_networks._images(None, SMALL)
    assert [len(labels) for _, labels in data.values()] == [96, 40, 40]
    for images, _ in data.values():
        assert images.shape[1:] == (3, 8, 8)
        assert torch.equal(images[:, 0], images[:, 2])
    seen = {tuple(image.flatten().tolist()) for image in data["train"][0]}
    assert not any(tuple(image.flatten().tolist()) in seen for split in ("val", "test") for image in data[split][0])


def test_what_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = trainings(1, 2, SMALL, None)
    calls: list[Training] = []

    def count(one: Training) -> dict[str, float]:
        calls.append(one)
        return {"val": 50.0, "test": 60.0 + len(calls), "loss": 1.0, "seconds": 36.0}

    monkeypatch.setattr(Training, "evaluate", count)
    assert nds_networks.make(todo[:4], tmp_path) == 4
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"key": "torn')  # a writer that was killed
    assert nds_networks.make(todo, tmp_path) == 2
    assert calls == todo
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["done"], manifest["trainings"], manifest["networks"]) == (6, 6, 3)
    assert manifest["cpu_hours"] == 0.06
    assert manifest["recipe"]["width"] == 2
    assert nds_networks.make(todo, tmp_path) == 0
    table = nds.recreated("nds_enas", "test", tmp_path, "digits")
    assert table.to_dict("list") == {"seed0": [63.0], "seed1": [64.0]}


def stored(folder: Path, space: str, values: dict[str, tuple[float, ...]]) -> None:
    store = RunStore(folder / "runs.jsonl")
    for arch, seeds in values.items():
        for seed, value in enumerate(seeds):
            config = {"space": space, "arch": arch, "seed": seed, "data": nds.RECREATED_DATASET}
            store.put(config, {"val": value - 1, "test": value, "seconds": 1.0})


def test_the_ceiling_is_the_agreement_of_two_seeds(tmp_path: Path) -> None:
    stored(tmp_path, "nds_darts", {"a": (70.0, 71.0), "b": (75.0, 74.0), "c": (80.0, 73.0), "d": (90.0,)})
    table = nds.recreated("nds_darts", "test", tmp_path)
    assert list(table.index) == ["a", "b", "c"]  # d lacks its second training
    assert nds_networks.ceiling("nds_darts", tmp_path) == pytest.approx(100 / 3)  # two pairs of three agree


def test_it_is_read_as_labels_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nds.recreated, "__defaults__", (tmp_path, nds.RECREATED_DATASET))
    with pytest.raises(LabelsMissing, match=r"nds_enas .*python -m parzc_core\.runs\.nds_networks --images FOLDER"):
        labels_.judged("nds_enas", "fashion-mnist")
    stored(tmp_path, "nds_enas", {"a": (70.0, 71.0), "b": (75.0, 74.0)})
    truth, split, provenance = labels_.judged("nds_enas", "fashion-mnist")
    assert (truth.to_dict(), split) == ({"a": 70.5, "b": 74.5}, "test")
    assert "recreated" in provenance["note"]
    assert labels_.learned("nds_enas", "fashion-mnist")[0].to_dict() == {"a": 69.5, "b": 73.5}
    with pytest.raises(LabelsMissing, match="nds_data/ENAS"):
        labels_.judged("nds_enas", nds.DATASETS[0])  # the published truth is never mixed with it


def test_images_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"x")[:5])
    command = ["--images", str(tmp_path), "--architectures", "1", "--out", str(tmp_path / "out")]
    assert nds_networks.main(command) == 2
    assert "train-images-idx3-ubyte.gz cannot be unpacked" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--architectures", "--seeds", "--epochs", "--jobs"])
def test_none_at_all_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert nds_networks.main([option, "0", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"parzc: got {option}=0; expected a whole number of at least 1\n"
    assert not (tmp_path / "out").exists()


def test_statistics_are_of_real_images() -> None:
    batch = minibatch("fashion-mnist")
    assert batch.images.shape == (16, 3, 32, 32)
    assert torch.equal(batch.images[:, 0], batch.images[:, 1])
    assert len(set(batch.labels.tolist())) > 1
