"""Images of the mixed-precision benchmark: Fashion-MNIST from a folder, or scikit-learn's digits, which need nothing."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from parzc_core.downloads import PinnedFile
from parzc_core.errors import BadInput

SIDE = 32
_COMMIT = "b2617bb6d3ffa2e429640350f613e3291e10b141"
_FASHION = (  # file, sha256, bytes, what it holds
    (
        "train-images-idx3-ubyte.gz",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        26421880,
        "60,000 training images",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        29515,
        "60,000 training labels",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        4422102,
        "10,000 test images",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        5148,
        "10,000 test labels",
    ),
)
FASHION_FILES = tuple(
    PinnedFile(
        f"fashion-mnist/{file}",
        f"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/{_COMMIT}/data/fashion/{file}",
        sha256,
        size,
        "MIT",
        f"Fashion-MNIST: {holds}, 28x28 grey",
        ("table11",),
        "the network that is quantized is trained on Fashion-MNIST instead of scikit-learn's digits",
    )
    for file, sha256, size, holds in _FASHION
)


@dataclass(frozen=True, eq=False)
class Images:
    """Images float32[n, 1, 32, 32] of mean 0 and deviation 1 over the training set, labels int64[n]; name: the data set."""

    name: str
    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    classes: int = 10


def fashion_mnist(folder: Path) -> Images:
    """Fashion-MNIST (Xiao et al., 2017) from a folder with the four published files, gzipped or not (as Debian's package).

    28x28 images, two zeros added on each side. Raises BadInput for a file that is missing or is not what it should be.
    """
    read = {}
    for file, _, _, _ in _FASHION:
        rank = 3 if "images" in file else 1
        read[file] = _idx(Path(folder), file, rank)
    train, train_labels, test, test_labels = (read[file] for file, *_ in _FASHION)
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


def _normalised(
    name: str, train: torch.Tensor, labels: np.ndarray, test: torch.Tensor, test_labels: np.ndarray
) -> Images:
    mean, std = train.mean(), train.std()
    as_tensors = (torch.from_numpy(part.astype(np.int64)) for part in (labels, test_labels))
    return Images(name, (train - mean) / std, next(as_tensors), (test - mean) / std, next(as_tensors))


def _idx(folder: Path, file: str, rank: int) -> np.ndarray:
    """An IDX file of bytes, uint8 of `rank` axes: two zero bytes, 8, the rank, the lengths (big-endian), the values."""
    plain = folder / file.removesuffix(".gz")
    path = folder / file if (folder / file).is_file() else plain
    if not path.is_file():
        names = ", ".join(name for name, *_ in _FASHION)
        raise BadInput(f"no {file} (or {plain.name}) in {folder}; expected the files of Fashion-MNIST: {names}")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path} cannot be unpacked ({error}); get it again") from None
    shape = np.frombuffer(data[4 : 4 + 4 * rank], dtype=">i4").tolist()
    if data[:4] != bytes((0, 0, 8, rank)) or len(data) != 4 + 4 * rank + int(np.prod(shape)):
        raise BadInput(f"{path} is no IDX file of {rank} axes of bytes, or is cut short; get it again")
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)
