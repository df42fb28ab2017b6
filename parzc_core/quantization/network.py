"""Train the network that is then quantized: once, seeded, on the CPU."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from parzc_core.errors import BadInput
from parzc_core.mixed_precision import checkpoint
from parzc_core.mixed_precision.data import Images
from parzc_core.mixed_precision.resnet import ResNet18


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, one-cycle learning rate, images shifted and mirrored.

    epochs, batch: at least 1. rate: the highest learning rate. shift: pixels, at random each way. flip: mirrored half of the
    time (not for digits). width: channels of ResNet-18's first stage. limit: training images, None for all.
    """

    epochs: int = 3
    batch: int = 128
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    shift: int = 1
    flip: bool = True
    width: int = 64
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 2), ("shift", 0), ("width", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"got {name}={getattr(self, name)!r}; expected a whole number of at least {least}")


@dataclass(frozen=True)
class Training:
    """How a training went. accuracy: of the float network on all test images, percent; cpu_minutes: of this process."""

    accuracy: float
    cpu_minutes: float


def train(images: Images, recipe: Recipe) -> tuple[nn.Module, Training]:
    """(network in eval mode, how it went). Equal arguments give an equal network; the caller's random state is left alone."""
    start = time.process_time()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(recipe.seed)
        network = ResNet18(images.classes, images.train.shape[1], recipe.width)
        x, y = images.train[: recipe.limit], images.train_labels[: recipe.limit]
        steps = max(1, len(x) // recipe.batch)
        optimizer = torch.optim.SGD(
            network.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=recipe.epochs * steps + 1)
        network.train()
        progress = tqdm(total=recipe.epochs * steps, desc="training, steps", disable=None)
        for _ in range(recipe.epochs):
            order = torch.randperm(len(x))
            for i in range(steps):
                of_batch = order[i * recipe.batch : (i + 1) * recipe.batch]
                loss = F.cross_entropy(network(_augmented(x[of_batch], recipe)), y[of_batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                progress.update()
        progress.close()
    network.eval()
    spent = (time.process_time() - start) / 60
    return network, Training(accuracy(network, images.test, images.test_labels), spent)


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
    """The network of a checkpoint, or of a training that then writes it; both ways as the file gives it back.

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
