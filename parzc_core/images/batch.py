"""The mini-batch on which zero-cost statistics are computed: real images of a package or the user, or noise.

>>> batch = minibatch("cifar10")
>>> tuple(batch.images.shape), batch.classes, batch.manifest["source"]
((16, 3, 32, 32), 10, 'foolbox')
"""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from parzc_core.errors import BadInput, UnknownName, is_whole
from parzc_core.files import pickles


@dataclass(frozen=True, eq=False)
class MiniBatch:
    """images: float32[size, 3, side, side], normalised. labels: int64[size], in [0, classes). classes: of the data set.

    manifest: what a result must record of it: dataset, source, files (below the source's folder), seed, size,
    mean and std, how labels were made, sha256 of the images' bytes (float32, C order).
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: int
    manifest: dict[str, Any]


@dataclass(frozen=True)
class _Dataset:
    """side: pixels. mean, std: of the red, green and blue channel over the training images, in units of 0 to 255."""

    classes: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    files: str  # in the package foolbox: NAME_NUMBER_LABEL.EXTENSION


# The channel statistics are the ones that NAS-Bench-201 was trained with, ImageNet's those of the Vision Transformers,
# Fashion-MNIST's those of its training images.
_DATASETS = {
    "cifar10": _Dataset(10, 32, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7), "cifar10_*.png"),
    "cifar100": _Dataset(100, 32, (129.3, 124.1, 112.4), (68.2, 65.4, 70.4), "cifar100_*.png"),
    "fashion-mnist": _Dataset(10, 32, (72.9,) * 3, (90.0,) * 3, "fashionMNIST_*.png"),
    "imagenet16-120": _Dataset(120, 16, (122.68, 116.66, 104.01), (63.22, 61.26, 65.09), "imagenet_*.jpg"),
    "imagenet": _Dataset(1000, 224, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "imagenet_*.jpg"),
}
_PICKLES = {  # the names in the published archives: folder, training files, key of the labels
    "cifar10": ("cifar-10-batches-py", "data_batch_*", "labels"),
    "cifar100": ("cifar-100-python", "train", "fine_labels"),
}
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True)
class _Item:
    """One image that can be chosen. read() gives uint8[3, side, side]."""

    name: str
    label: int
    read: Callable[[], np.ndarray]


def minibatch(
    dataset: str, size: int = 16, source: str | Path = "foolbox", seed: int = 0, side: int | None = None
) -> MiniBatch:
    """A mini-batch of `size` different images, chosen by `seed`; a smaller one is the front of a larger one.

    dataset: "cifar10", "cifar100", "fashion-mnist", "imagenet16-120" or "imagenet" (in any case of letters).
    source:
        "foolbox": the 20 images a data set that the package foolbox ships. For imagenet16-120 they are whole ImageNet
            images, shrunk to 16x16 by averaging as that data set was made; their classes are not among its 120, so a
            label is the rank of the image's ImageNet class among the classes of the 20 files: equal classes keep
            equal labels, different ones different labels.
        "noise": standard normal images and uniform labels.
        a folder: the published CIFAR archive, unpacked (`cifar-10-batches-py` or `cifar-100-python`, or the folder that
            holds it), or images as CLASS/NAME.png, whose label is the rank of the class in alphabetical order; images
            of another size are shrunk or enlarged.
    side: pixels of the images; None takes the data set's own (32, 32, 16, 224).
    Raises UnknownName for the data set; BadInput for a side below 1, a size below 2 (proxies compare the images of a batch) or
    above the number of images, a folder that is not there or holds no images, and more classes than the data set has.
    """
    name = dataset.lower() if isinstance(dataset, str) else dataset
    if name not in _DATASETS:
        raise UnknownName.of("data set of images", dataset, _DATASETS)
    if not is_whole(size) or size < 2:
        raise BadInput(f"got a mini-batch of {size!r}; expected a whole number of at least 2 images")
    if not is_whole(seed) or seed < 0:
        raise BadInput(f"got the seed {seed!r}; expected a whole number, 0 or above")
    if side is not None and (not is_whole(side) or side < 1):
        raise BadInput(f"got images of side {side!r}; expected a whole number of pixels, 1 or above, or None")
    data = _DATASETS[name] if side is None else replace(_DATASETS[name], side=side)
    generator = np.random.default_rng(seed)
    files: list[str] = []
    if source == "noise":
        images = generator.standard_normal((size, 3, data.side, data.side), dtype=np.float32)
        labels = generator.integers(data.classes, size=size)
        how = "uniform"
    else:
        kind, how, items = _items(name, source, data)
        if size > len(items):
            raise BadInput(
                f"got a mini-batch of {size}; expected at most {len(items)}, all that {kind} holds of {name}"
            )
        chosen = [items[i] for i in generator.permutation(len(items))[:size]]
        files = [item.name for item in chosen]
        images = _normalised(np.stack([item.read() for item in chosen]), data)
        labels = np.array([item.label for item in chosen], dtype=np.int64)
        if labels.min() < 0 or labels.max() >= data.classes:
            raise BadInput(f"got labels {labels.min()} to {labels.max()}; expected 0 to {data.classes - 1} for {name}")
    manifest = {
        "dataset": name,
        "source": source if source in ("noise", "foolbox") else "folder",
        "files": files,
        "labels": how,
        "seed": seed,
        "size": size,
        "mean": None if source == "noise" else data.mean,
        "std": None if source == "noise" else data.std,
        "sha256": hashlib.sha256(images.tobytes()).hexdigest(),
        **({} if side is None else {"side": side}),
    }
    return MiniBatch(torch.from_numpy(images), torch.from_numpy(labels), data.classes, manifest)


def _normalised(pixels: np.ndarray, data: _Dataset) -> np.ndarray:
    """uint8[n, 3, side, side] -> float32, each channel minus its mean, over its standard deviation."""
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (data.mean, data.std))
    return ((pixels.astype(np.float32) - mean) / std).astype(np.float32)


def _items(dataset: str, source: str | Path, data: _Dataset) -> tuple[str, str, list[_Item]]:
    """(what the source is called, how labels are made, every image in it by name)."""
    if source == "foolbox":
        items = _foolbox(data)
        if dataset != "imagenet16-120":
            return "the package foolbox", "class of the data set", items
        ranks = {label: rank for rank, label in enumerate(sorted({item.label for item in items}))}
        items = [_Item(item.name, ranks[item.label], item.read) for item in items]
        return "the package foolbox", "rank of the ImageNet class among the source's classes", items
    folder = Path(source)
    if not folder.is_dir():
        raise BadInput(f'got the source {str(source)!r}; expected "foolbox", "noise" or a folder of images that exists')
    if dataset in _PICKLES and data.side == 32 and (items := _archive(folder, dataset)):
        return "the folder", "class of the data set", items
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and _images_in(path))
    if not classes:
        raise BadInput(f"no images of {dataset} in {folder.name}; expected {_expected(dataset)}")
    if len(classes) > data.classes:
        raise BadInput(f"got {len(classes)} classes in {folder.name}; expected at most the {data.classes} of {dataset}")
    return (
        "the folder",
        "rank of the class folder",
        [
            _Item(f"{path.parent.name}/{path.name}", label, _reader(path, data.side))
            for label, folder_of_class in enumerate(classes)
            for path in _images_in(folder_of_class)
        ],
    )


def _expected(dataset: str) -> str:
    archive = f"the unpacked archive {_PICKLES[dataset][0]}, or " if dataset in _PICKLES else ""
    return f"{archive}images as CLASS/NAME.png (also {', '.join(_IMAGE_ENDINGS[1:])})"


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGE_ENDINGS)


def _reader(path: Path, side: int) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        try:
            with Image.open(path) as image:
                colour = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:  # Pillow raises each of them for a damaged file
            raise BadInput(f"{path.parent.name}/{path.name} cannot be read as an image: {error}") from error
        if colour.size != (side, side):  # averaged over boxes, as the down-sampled ImageNet was made
            colour = colour.resize((side, side), Image.Resampling.BOX)
        return np.asarray(colour, dtype=np.uint8).transpose(2, 0, 1)

    return read


def _foolbox(data: _Dataset) -> list[_Item]:
    """Read straight from the package's folder: importing it would load every framework it knows."""
    found = importlib.util.find_spec("foolbox")
    if found is None or not found.submodule_search_locations:
        raise BadInput('the package foolbox is not installed; `make setup` installs it, or take source="noise"')
    files = sorted((Path(found.submodule_search_locations[0]) / "data").glob(data.files))
    return [_Item(path.name, int(path.stem.rpartition("_")[2]), _reader(path, data.side)) for path in files]


def _archive(folder: Path, dataset: str) -> list[_Item]:
    """The training images of CIFAR's published Python archive, or nothing if the folder is not that."""
    inner, pattern, label_key = _PICKLES[dataset]
    place = folder / inner if (folder / inner).is_dir() else folder
    items: list[_Item] = []
    for path in sorted(place.glob(pattern)):
        if not path.is_file():
            continue
        content = pickles.load(path, encoding="bytes")
        entries = {key.decode() if isinstance(key, bytes) else key: value for key, value in dict(content).items()}
        if "data" not in entries or label_key not in entries:
            raise BadInput(f"{path.name} has the entries {sorted(entries)}; expected data and {label_key}")
        rows, labels = np.asarray(entries["data"]), np.asarray(entries[label_key])
        if rows.dtype != np.uint8 or rows.shape != (len(labels), 3 * 32 * 32):
            raise BadInput(
                f"{path.name} holds {rows.dtype}{list(rows.shape)} and {len(labels)} labels; "
                "expected uint8[n, 3072] and n labels"
            )
        pixels = rows.reshape(-1, 3, 32, 32)  # a row is the red, the green and the blue plane
        for row, label in enumerate(labels):
            items.append(_Item(f"{path.name}[{row}]", int(label), partial(pixels.__getitem__, row)))
    return items
