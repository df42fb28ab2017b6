"""The network that is quantized: ResNet-18, its seeded training on the CPU, and the file that keeps it."""

import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from parzc_core._seeding import seeded
from parzc_core.errors import BadInput
from parzc_core.images.fashion_mnist import Images, accuracy
from parzc_core.npz import DAMAGED_NPZ
from parzc_core.passes import nodes_of
from parzc_core.paths import write_whole
from parzc_core.quantization.quantizer import weight_scale

BITS = 8
_SCALE = "/scale"  # "layer.weight" is int8, "layer.weight/scale" float32[out channels]


class Block(nn.Module):
    """Basic residual block: two 3x3 convolutions, the identity or a 1x1 convolution beside them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    """float32[N, channels, side, side] -> logits [N, classes]. He et al., "Deep Residual Learning" (CVPR 2016), Table 1.

    Stem of 7x7, stride 2, and max-pooling, so a 32x32 image reaches the last stage at 1x1; 21 quantizable layers and, with
    three channels, 1000 classes and width 64, 11,689,512 parameters. width: channels of the first stage, below 64 for tests.
    """

    def __init__(self, classes: int = 10, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width * 2**i for i in range(4)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(before, after, 1 if i == 0 else 2), Block(after, after, 1))
            for i, (before, after) in enumerate(zip([width, *widths], widths, strict=False))
        )
        self.fc = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


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
    with seeded(recipe.seed), torch.enable_grad():
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


def save(network: nn.Module, path: Path) -> Path:
    """Write the state of a network, 8 bits a weight, as one npz file; it appears whole or not at all.

    Weights of Conv2d and Linear layers are kept as whole numbers from -127 to 127 and a scale for each output channel, the finest
    grid of the quantizer; all else is float32. The network whose configurations are measured is the one that `load` gives back,
    so this rounding is part of it. Raises BadInput for values that are not finite.
    """
    weights = {f"{name}.weight" for name in nodes_of(network)}
    arrays = {}
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise BadInput(f"{name} has values that are not finite; expected a trained network")
        if name in weights:
            scale = weight_scale(value, BITS)
            arrays[name + _SCALE] = scale.float().cpu().numpy()
            value = (value / _wide(scale, value)).round().to(torch.int8)
        arrays[name] = value.cpu().numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return write_whole(path, buffer.getvalue())


def load(network: nn.Module, path: Path) -> nn.Module:
    """Fill a network with a state that `save` wrote, and return it. A corrupt file leaves it as it was; nothing is unpickled.

    Raises BadInput, one message whatever is wrong: not there, cut short, altered, of another network.
    """
    expected = network.state_dict()
    try:
        with np.load(path, allow_pickle=False) as file:  # zip: the members' checksums are verified as they are read
            state = {name: torch.from_numpy(file[name]) for name in file.files}
    except DAMAGED_NPZ as error:
        raise BadInput(f"the checkpoint {path} cannot be read ({error}); delete it and train again") from None
    scales = {name: state.pop(name + _SCALE) for name in list(state) if name + _SCALE in state}
    wrong = [name for name in {**expected, **state} if not _alike(expected.get(name), state.get(name))]
    wrong += [name for name, scale in scales.items() if name in expected and scale.shape != expected[name].shape[:1]]
    if wrong:
        raise BadInput(
            f"the checkpoint {path} is not of this {type(network).__name__}: {wrong[0]} is missing, not known or of "
            "another shape; delete it and train again"
        )
    for name, scale in scales.items():
        state[name] = state[name].float() * _wide(scale, state[name])
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()})
    return network


def _wide(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[out channels] -> [out channels, 1, ...], as many axes as the weight has."""
    return scale.view(-1, *[1] * (weight.ndim - 1))


def _alike(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape
