"""The recreated benchmark: train a network once, then measure the accuracy of seeded bit configurations, resumably.

network, images = trained(folder / "checkpoint.npz", digits(), Recipe(epochs=5))
rows = evaluate_all(network, images, sample(network, 425), RunStore(folder / "runs.jsonl"))
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from parzc_core.errors import BadInput
from parzc_core.mixed_precision import checkpoint
from parzc_core.mixed_precision.bits import BitConfiguration, size_in_bits
from parzc_core.mixed_precision.data import Images
from parzc_core.mixed_precision.quantizer import Range, calibrate, quantize
from parzc_core.mixed_precision.renormalize import renormalize
from parzc_core.mixed_precision.resnet import ResNet18
from parzc_core.run_store import RunStore


@dataclass(frozen=True)
class Recipe:
    """Training of the network. SGD with Nesterov momentum, one-cycle learning rate, images shifted and mirrored.

    epochs, batch: at least 1. rate: the highest learning rate. shift: pixels, at random each way. flip: mirrored half of the
    time (not for digits). width: channels of ResNet-18's first stage. limit: training images, None for all.
    """

    epochs: int = 6
    batch: int = 128
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    shift: int = 2
    flip: bool = True
    width: int = 64
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("shift", 0), ("width", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"got {name}={getattr(self, name)!r}; expected a whole number of at least {least}")


@dataclass(frozen=True)
class Evaluation:
    """Post-training quantization. calibration: training images, the first so many; test: test images, the first so many.

    renormalize: BatchNorm's statistics are measured again in each quantized network, over the calibration images.
    """

    calibration: int = 512
    test: int = 2000
    clip: float = 0.999
    batch: int = 256
    renormalize: bool = False


def train(images: Images, recipe: Recipe) -> tuple[nn.Module, dict[str, Any]]:
    """(network in eval mode, {"minutes", "accuracy"}): accuracy of the float network on all test images, in percent."""
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[]):  # the caller's random state is left alone
        torch.manual_seed(recipe.seed)
        network = ResNet18(images.classes, images.train.shape[1], recipe.width)
        x, y = images.train[: recipe.limit], images.train_labels[: recipe.limit]
        steps = max(1, len(x) // recipe.batch)
        optimizer = torch.optim.SGD(
            network.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=recipe.epochs * steps + 1)
        network.train()
        for _ in tqdm(range(recipe.epochs), desc="training, epochs", disable=None):
            order = torch.randperm(len(x))
            for i in range(steps):
                of_batch = order[i * recipe.batch : (i + 1) * recipe.batch]
                loss = F.cross_entropy(network(_augmented(x[of_batch], recipe)), y[of_batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    network.eval()
    minutes = (time.perf_counter() - start) / 60
    return network, {"minutes": minutes, "accuracy": accuracy(network, images.test, images.test_labels)}


def _augmented(x: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """One shift for the whole batch, mirrored image by image."""
    if recipe.shift:
        down, right = torch.randint(-recipe.shift, recipe.shift + 1, (2,)).tolist()
        pad, side = recipe.shift, x.shape[-1]
        corner = float(x.min())  # the background
        wide = F.pad(x, (pad, pad, pad, pad), value=corner)
        x = wide[:, :, pad + down : pad + down + side, pad + right : pad + right + side]
    if recipe.flip:
        mirrored = torch.rand(len(x)) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x


def trained(path: Path, images: Images, recipe: Recipe) -> nn.Module:
    """The network of a checkpoint, or of a training that then writes it; both ways with float16 parameters.

    Raises BadInput for a checkpoint that is corrupt or of another network.
    """
    if not path.is_file():
        network, _ = train(images, recipe)
        checkpoint.save(network, path)
    return checkpoint.load(ResNet18(images.classes, images.train.shape[1], recipe.width), path).eval()


def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 256) -> float:
    """Percent of images whose largest logit is that of the label, in eval mode. Raises BadInput for no image."""
    if len(images) == 0:
        raise BadInput("got zero test images; expected at least one")
    right = 0
    with torch.no_grad():
        for x, y in zip(images.split(batch), labels.split(batch), strict=True):
            right += int((network.eval()(x).argmax(dim=1) == y).sum())
    return 100 * right / len(images)


def fingerprint(network: nn.Module) -> str:
    """sha256 (hex) of the state of a network: names and bytes."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def evaluate_all(
    network: nn.Module,
    images: Images,
    configurations: Sequence[BitConfiguration],
    store: RunStore,
    evaluation: Evaluation | None = None,
) -> list[dict[str, Any]]:
    """[{"bits", "accuracy", "size", "seconds"}] in the order of `configurations`; those in the store are not computed again.

    accuracy: percent of the test images; size: bits of the weights. The store's key holds the network's fingerprint, the
    data set, the evaluation and the bits, so a result never stands for another network. Killed, it loses the one in flight.
    """
    evaluation = evaluation or Evaluation()
    ranges: dict[str, Range] | None = None
    shared = {"network": fingerprint(network), "data": images.name, **asdict(evaluation)}
    rows = []
    for bits in tqdm(configurations, desc="bit configurations", disable=None):
        config = {**shared, "bits": bits.plain()}
        result = store.get(config)
        if result is None:
            if ranges is None:  # once for all, and only if something is left to do
                calibration = images.train[: evaluation.calibration]
                ranges = calibrate(network, calibration.split(evaluation.batch), evaluation.clip)
            start = time.perf_counter()
            test, labels = images.test[: evaluation.test], images.test_labels[: evaluation.test]
            quantized = quantize(network, bits, ranges)
            if evaluation.renormalize:
                batches = images.train[: evaluation.calibration].split(evaluation.batch)
                quantized = renormalize(quantized, batches)
            measured = accuracy(quantized, test, labels, evaluation.batch)
            seconds = time.perf_counter() - start
            result = store.put(config, {"accuracy": measured, "size": size_in_bits(network, bits), "seconds": seconds})
        rows.append({"bits": bits.plain(), **result})
    return rows
