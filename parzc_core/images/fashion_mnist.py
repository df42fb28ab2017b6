"""Images of the trainings made here: Fashion-MNIST from a folder, or scikit-learn's digits; accuracy of a network on them."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core import paths
from parzc_core.errors import BadInput
from parzc_core.files import registry

SIDE = 32
SHAPE = (1, SIDE, SIDE)  # of an image, whatever the data set
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
FILES = tuple(file.name.split("/")[1] for file in registry.FASHION_FILES)


@dataclass(frozen=True, eq=False)
class Images:
    """Images float32[n, 1, 32, 32] of mean 0 and deviation 1 over the training set, labels int64[n]; name: the data set."""

    name: str
    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    classes: int = 10

    @property
    def digest(self) -> str:
        """16 hex digits that change with any image or label."""
        parts = (self.train, self.train_labels, self.test, self.test_labels)
        return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]


def folder_of_fashion_mnist(mine: Path | None = None) -> Path | None:
    """The first folder that has all four files: `mine` if given, PARZC_DATA/fashion-mnist, Debian's, the cache; else None.

    The files of the cache are the pinned downloads of `parzc data fetch`, which are checked when they arrive. Raises BadInput
    where `mine` is given and lacks a file.
    """
    if mine is not None:
        for file in FILES:
            _place(Path(mine), file)
        return Path(mine)
    data = paths.data_folder()
    candidates = [data / "fashion-mnist"] if data is not None else []
    candidates += [DEBIAN, paths.cache_folder() / "fashion-mnist"]
    return next((folder for folder in candidates if all(_there(folder, file) for file in FILES)), None)


def fashion_mnist(folder: Path) -> Images:
    """Fashion-MNIST (Xiao et al., 2017) from a folder with the four published files, gzipped or not (as Debian's package).

    28x28 images, two zeros added on each side. Raises BadInput for a file that is missing or is not what it should be.
    """
    read = {}
    for file in FILES:
        rank = 3 if "images" in file else 1
        read[file] = _idx(Path(folder), file, rank)
    train, train_labels, test, test_labels = (read[file] for file in FILES)
    for images, labels in ((train, train_labels), (test, test_labels)):
        if len(images) != len(labels) or images.shape[1:] != (28, 28) or labels.max(initial=0) > 9:
            raise BadInput(
                f"got images {images.shape} and labels {labels.shape} up to {labels.max(initial=0)} in {folder}; "
                "expected images [n, 28, 28] and n labels from 0 to 9"
            )
    as_images = [torch.from_numpy(images.astype(np.float32))[:, None] for images in (train, test)]
    padded = [F.pad(images, (2, 2, 2, 2)) for images in as_images]
    return _normalised("fashion-mnist", padded[0], train_labels, padded[1], test_labels)


def digits(seed: int = 0) -> Images:
    """scikit-learn's 1,797 handwritten digits, 8x8, enlarged to 32x32 (each pixel four times); a third of them for testing.

    The fallback that needs no file. The split is drawn by `seed`, classes alike in both parts.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        found.images.astype(np.float32), found.target, test_size=1 / 3, random_state=seed, stratify=found.target
    )
    large = [torch.from_numpy(part)[:, None].repeat_interleave(4, 2).repeat_interleave(4, 3) for part in (train, test)]
    return _normalised("digits", large[0], train_labels, large[1], test_labels)


def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 256) -> float:
    """Percent of images whose largest logit is that of the label, in eval mode. Raises BadInput for no image."""
    if len(images) == 0:
        raise BadInput("got zero test images; expected at least one")
    right = 0
    with torch.no_grad():
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            right += int((network.eval()(x).argmax(dim=1) == y).sum())
    return 100 * right / len(images)


def _normalised(
    name: str, train: torch.Tensor, labels: np.ndarray, test: torch.Tensor, test_labels: np.ndarray
) -> Images:
    mean, std = train.mean(), train.std()
    as_tensors = (torch.from_numpy(part.astype(np.int64)) for part in (labels, test_labels))
    return Images(name, (train - mean) / std, next(as_tensors), (test - mean) / std, next(as_tensors))


def _idx(folder: Path, file: str, rank: int) -> np.ndarray:
    """An IDX file of bytes, uint8 of `rank` axes: two zero bytes, 8, the rank, the lengths (big-endian), the values."""
    path = _place(folder, file)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path} cannot be unpacked ({error}); get it again") from None
    shape = np.frombuffer(data[4 : 4 + 4 * rank], dtype=">i4").tolist()
    if data[:4] != bytes((0, 0, 8, rank)) or len(data) != 4 + 4 * rank + int(np.prod(shape)):
        raise BadInput(f"{path} is no IDX file of {rank} axes of bytes, or is cut short; get it again")
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _there(folder: Path, file: str) -> Path | None:
    """The file, gzipped or not, or None."""
    return next((path for path in (folder / file, folder / file.removesuffix(".gz")) if path.is_file()), None)


def _place(folder: Path, file: str) -> Path:
    path = _there(folder, file)
    if path is None:
        plain = file.removesuffix(".gz")
        raise BadInput(f"no {file} (or {plain}) in {folder}; expected the files of Fashion-MNIST: {', '.join(FILES)}")
    return path
