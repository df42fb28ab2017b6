"""The mini-batch: real, seeded, normalised, recorded; and one clear error for everything it cannot be made of."""

import hashlib
import importlib.util
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from parzc_core.errors import BadInput, UnknownName
from parzc_core.files.pickles import UnsafePickle
from parzc_core.images import batch as images
from parzc_core.images.batch import minibatch

SHAPES = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16-120": (120, 16), "imagenet": (1000, 224)}


def package_file(name: str) -> Path:
    return Path(importlib.util.find_spec("foolbox").submodule_search_locations[0]) / "data" / name


@pytest.mark.parametrize("source", ["foolbox", "noise"])
@pytest.mark.parametrize("dataset", SHAPES)
def test_shape_types_and_manifest(dataset, source):
    classes, side = SHAPES[dataset]
    batch = minibatch(dataset, source=source)
    assert (batch.images.shape, batch.images.dtype) == ((16, 3, side, side), torch.float32)
    assert (batch.labels.shape, batch.labels.dtype) == ((16,), torch.int64)
    assert batch.classes == classes
    assert 0 <= batch.labels.min() <= batch.labels.max() < classes
    manifest = json.loads(json.dumps(batch.manifest))
    assert (manifest["dataset"], manifest["source"], manifest["seed"], manifest["size"]) == (dataset, source, 0, 16)
    assert len(manifest["files"]) == (16 if source == "foolbox" else 0)
    assert manifest["sha256"] == hashlib.sha256(batch.images.numpy().tobytes()).hexdigest()
    assert not any("/" in name for name in manifest["files"])


@pytest.mark.parametrize("source", ["foolbox", "noise"])
def test_the_seed_decides_and_nothing_else(source):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is what must not matter
    first = minibatch("cifar10", source=source, seed=3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    second = minibatch("CIFAR10", source=source, seed=3)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert first.manifest == second.manifest
    assert first.manifest["sha256"] != minibatch("cifar10", source=source, seed=4).manifest["sha256"]


def test_pixels_and_labels_are_those_of_the_files():
    batch = minibatch("cifar10", size=20)
    mean = torch.tensor([125.3, 123.0, 113.9])[:, None, None]
    std = torch.tensor([63.0, 62.1, 66.7])[:, None, None]
    assert len(set(batch.manifest["files"])) == 20
    for image, label, name in zip(batch.images, batch.labels, batch.manifest["files"], strict=True):
        pixels = np.asarray(Image.open(package_file(name)))  # (height, width, channel)
        np.testing.assert_allclose((image * std + mean).permute(1, 2, 0), pixels, atol=1e-3)
        assert name.removesuffix(".png").split("_")[-1] == str(int(label))


def test_a_smaller_batch_is_the_front_of_a_larger_one():
    small, large = minibatch("cifar100", size=5), minibatch("cifar100", size=20)
    assert torch.equal(small.images, large.images[:5])
    assert torch.equal(small.labels, large.labels[:5])


def test_imagenet_labels_keep_apart_what_is_different():
    batch = minibatch("imagenet16-120", size=20, seed=5)
    published = [int(name.removesuffix(".jpg").split("_")[-1]) for name in batch.manifest["files"]]
    order = sorted(set(published))
    assert batch.labels.tolist() == [order.index(label) for label in published]
    half = minibatch("imagenet16-120", size=10, seed=5)
    assert torch.equal(half.labels, batch.labels[:10])  # whichever images are chosen


def test_imagenet_is_shrunk_by_averaging():
    batch = minibatch("imagenet16-120", size=20)
    name = next(name for name in batch.manifest["files"] if "_00_" in name)  # 512 x 512: boxes of 32 x 32
    pixels = np.asarray(Image.open(package_file(name)), dtype=np.float64)
    boxes = pixels.reshape(16, 32, 16, 32, 3).mean(axis=(1, 3))
    image = batch.images[batch.manifest["files"].index(name)].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(image * [63.22, 61.26, 65.09] + [122.68, 116.66, 104.01], boxes, atol=1.0)


def test_imagenet_keeps_its_own_labels_and_comes_in_any_size():
    whole, half = minibatch("imagenet"), minibatch("imagenet", side=112)
    files = whole.manifest["files"]
    assert whole.labels.tolist() == [int(name.removesuffix(".jpg").split("_")[-1]) for name in files]
    assert (half.images.shape, half.manifest["side"], half.manifest["files"]) == ((16, 3, 112, 112), 112, files)
    assert "side" not in whole.manifest
    boxes = whole.images.reshape(16, 3, 112, 2, 112, 2).mean(dim=(3, 5))  # both are averages of the same 512 pixels
    assert (half.images - boxes).abs().mean() < 0.02
    assert whole.images.mean(dim=(0, 2, 3)).abs().max() < 1  # normalised


@pytest.mark.parametrize("side", [0, -1, 1.5, "64"])
def test_a_side_that_is_no_number_of_pixels_is_refused(side):
    with pytest.raises(BadInput, match="whole number of pixels"):
        minibatch("imagenet", side=side)


def test_noise_is_standard_normal_and_of_any_size():
    batch = minibatch("cifar100", size=500, source="noise")
    assert batch.images.mean() == pytest.approx(0, abs=0.01)
    assert batch.images.std() == pytest.approx(1, abs=0.01)
    assert batch.labels.unique().numel() > 90


# The user's own folder


def write_cifar(folder: Path, files: dict[str, int], label_key: str, classes: int, text: type = bytes) -> np.ndarray:
    """Files as in the published archives, whose keys are Python 2 text; returns all rows."""
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, size=(sum(files.values()), 3072), dtype=np.uint8)
    start = 0
    for name, count in files.items():
        entries = {"data": rows[start : start + count], label_key: [(start + i) % classes for i in range(count)]}
        start += count
        if text is bytes:
            entries = {key.encode(): value for key, value in entries.items()}
        (folder / name).write_bytes(pickle.dumps(entries, protocol=2))
    return rows


@pytest.mark.parametrize("text", [bytes, str])
@pytest.mark.parametrize("inside", [True, False])
def test_cifar10_archive(tmp_path, inside, text):
    folder = tmp_path / "cifar-10-batches-py"
    rows = write_cifar(folder, {"data_batch_1": 15, "data_batch_2": 15}, "labels", 10, text)
    (folder / "test_batch").write_bytes(b"not read")
    batch = minibatch("cifar10", size=30, source=folder if inside else tmp_path)
    assert batch.manifest["source"] == "folder"
    mean, std = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])
    seen = set()
    for image, label, name in zip(batch.images.numpy(), batch.labels, batch.manifest["files"], strict=True):
        file, row = name.removesuffix("]").split("[")
        number = int(row) + (15 if file == "data_batch_2" else 0)
        seen.add(number)
        expected = rows[number].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_allclose(image.transpose(1, 2, 0) * std + mean, expected, atol=1e-3)
        assert label == number % 10
    assert seen == set(range(30))


def test_cifar100_archive_gives_the_fine_labels(tmp_path):
    write_cifar(tmp_path / "cifar-100-python", {"train": 100}, "fine_labels", 100)
    batch = minibatch("cifar100", size=100, source=str(tmp_path))
    assert sorted(batch.labels.tolist()) == list(range(100))


def write_images(folder: Path, classes: int, each: int = 2, side: int = 32) -> None:
    for label in range(classes):
        (folder / f"class{label:03d}").mkdir(parents=True)
        for i in range(each):
            Image.new("RGB", (side, side), (label, 100, i)).save(folder / f"class{label:03d}" / f"{i}.png")


@pytest.mark.parametrize("dataset", SHAPES)
def test_folder_of_classes(tmp_path, dataset):
    write_images(tmp_path, classes=5, side=40)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("not a class")
    batch = minibatch(dataset, size=10, source=tmp_path)
    _, side = SHAPES[dataset]
    assert batch.images.shape == (10, 3, side, side)
    assert [name.split("/")[0] for name in batch.manifest["files"]] == [f"class{int(i):03d}" for i in batch.labels]
    assert str(tmp_path) not in json.dumps(batch.manifest)


# What goes wrong


@pytest.mark.parametrize("size", [1, 0, -3, 2.0, "16"])
@pytest.mark.parametrize("source", ["foolbox", "noise"])
def test_a_batch_needs_two_images(size, source):
    with pytest.raises(BadInput, match="at least 2 images"):
        minibatch("cifar10", size=size, source=source)


def test_more_images_than_there_are():
    with pytest.raises(BadInput, match=r"got a mini-batch of 21; expected at most 20.*the package foolbox"):
        minibatch("cifar10", size=21)


@pytest.mark.parametrize("seed", [-1, None, 0.5])
def test_bad_seed(seed):
    with pytest.raises(BadInput, match="seed"):
        minibatch("cifar10", seed=seed)


@pytest.mark.parametrize("dataset", ["mnist", "", None])
def test_unknown_dataset(dataset):
    with pytest.raises(UnknownName, match="cifar10, cifar100, fashion-mnist, imagenet16-120, imagenet"):
        minibatch(dataset)


@pytest.mark.parametrize("source", ["foolbx", "/nowhere/at/all"])
def test_unknown_source(source):
    with pytest.raises(BadInput, match=r'expected "foolbox", "noise" or a folder'):
        minibatch("cifar10", source=source)


@pytest.mark.parametrize("dataset", SHAPES)
def test_a_folder_without_images(tmp_path, dataset):
    (tmp_path / "class").mkdir()
    (tmp_path / "class/notes.txt").write_text("none here")
    with pytest.raises(BadInput, match=rf"no images of {dataset} in .*CLASS/NAME\.png"):
        minibatch(dataset, source=tmp_path)


def test_more_classes_than_the_dataset_has(tmp_path):
    write_images(tmp_path, classes=11)
    with pytest.raises(BadInput, match=r"got 11 classes.*at most the 10 of cifar10"):
        minibatch("cifar10", source=tmp_path)


def test_a_damaged_image_is_named(tmp_path):
    write_images(tmp_path, classes=2, each=1)
    (tmp_path / "class001/0.png").write_bytes((tmp_path / "class001/0.png").read_bytes()[:60])
    with pytest.raises(BadInput, match=r"class001/0\.png cannot be read"):
        minibatch("cifar10", size=2, source=tmp_path)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({b"data": np.zeros((4, 3072), np.uint8)}, "expected data and labels"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1]}, "2 labels"),
        ({b"data": np.zeros((4, 3000), np.uint8), b"labels": [0] * 4}, r"uint8\[4, 3000\]"),
        ({b"data": np.zeros((4, 3072)), b"labels": [0] * 4}, "float64"),
        ({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 10]}, "labels 0 to 10; expected 0 to 9"),
    ],
)
def test_an_archive_that_is_not_cifar10(tmp_path, entries, named):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(entries, protocol=2))
    with pytest.raises(BadInput, match=named):
        minibatch("cifar10", size=4, source=tmp_path)


def test_a_malicious_archive_runs_nothing(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Malicious()}, protocol=2))
    with pytest.raises(UnsafePickle, match="data_batch_1 is refused"):
        minibatch("cifar10", source=tmp_path)
    assert not (tmp_path / "owned").exists()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="foolbox is not installed"):
        minibatch("cifar10")
