"""Random small networks of every kind of layer, each beside the same function written with plain layers."""

import copy
import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm
from torch.utils.checkpoint import checkpoint

C = 4  # channels everywhere


class Attention(nn.Module):
    """torch's own attention on [N, T, C]; `plain` is the same by Linear layers."""

    def __init__(self, weights: bool, batch_first: bool):
        super().__init__()
        self.at, self.weights = nn.MultiheadAttention(C, 2, batch_first=batch_first), weights
        nn.init.normal_(self.at.in_proj_bias)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        if not self.at.batch_first:
            t = t.transpose(0, 1)
        y = self.at(t, t, t, need_weights=self.weights)[0]
        return y if self.at.batch_first else y.transpose(0, 1)


class PlainAttention(nn.Module):
    def __init__(self, packed: Attention):
        super().__init__()
        self.at = nn.Module()
        self.at.in_proj, self.at.out_proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.at.in_proj.load_state_dict({"weight": packed.at.in_proj_weight, "bias": packed.at.in_proj_bias})
        self.at.out_proj.load_state_dict(packed.at.out_proj.state_dict())

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        n, length, _ = t.shape
        q, k, v = self.at.in_proj(t).view(n, length, 3, 2, C // 2).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.transpose(-1, -2) / (C // 2) ** 0.5).softmax(-1) @ v
        return self.at.out_proj(mixed.transpose(1, 2).reshape(n, length, C))


class Read(nn.Module):
    """A Linear layer whose weight is read, not called: by F.linear, by a product, or transposed."""

    def __init__(self, how: str):
        super().__init__()
        self.fc, self.how = nn.Linear(C, C, bias=how != "product"), how

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        if self.how == "linear":
            return F.linear(t, self.fc.weight, self.fc.bias)
        return t @ self.fc.weight.T if self.how == "product" else self.fc.forward(t)


class Applied(nn.Module):
    def __init__(self, read: Read):
        super().__init__()
        self.fc = copy.deepcopy(read.fc)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.fc(t)


class NormWithActivation(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(super().forward(x))


class Around(nn.Module):
    """What a part of a network is put into: nothing, a residual, a checkpoint, or the part twice."""

    def __init__(self, part: nn.Module, how: str):
        super().__init__()
        self.part, self.how = part, how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "residual":
            return x + self.part(x)
        if self.how in ("checkpoint", "reentrant"):
            return checkpoint(self.part, x, use_reentrant=self.how == "reentrant")
        return self.part(self.part(x)) if self.how == "twice" else self.part(x)


def blocks(choose: random.Random, dimensions: int) -> tuple[nn.Module, nn.Module]:
    """One block on [N, C, ...] and its plain twin; the shape stays."""
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
    transposed = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dimensions]
    norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions]
    kernel, groups, bias = choose.choice([1, 3]), choose.choice([1, 2, 4]), choose.random() < 0.5
    layer = choose.choice([conv, conv, transposed])(C, C, kernel, padding=kernel // 2, groups=groups, bias=bias)
    twin = copy.deepcopy(layer.double())
    derived = choose.choice(["", "", "", "weight_norm", "old_weight_norm", "prune"])
    if derived == "weight_norm":
        layer = parametrizations.weight_norm(layer)
    elif derived == "old_weight_norm":
        layer = weight_norm(layer)
    elif derived == "prune":
        prune.random_unstructured(layer, "weight", 0.3)
    twin.weight.data.copy_(layer.weight.detach())
    after: list[nn.Module] = [
        choose.choice([norm(C), nn.GroupNorm(2, C), nn.Identity()]),
        choose.choice([nn.ReLU(inplace=True), nn.GELU(), nn.SiLU(inplace=True), nn.Hardtanh(), nn.Softplus()]),
    ]
    plain_after = copy.deepcopy(after)
    if dimensions == 2 and choose.random() < 0.3:
        after, plain_after = [NormWithActivation(C)], [nn.BatchNorm2d(C), nn.Tanh()]
    if dimensions == 2 and choose.random() < 0.3:
        after.append(nn.AvgPool2d(3, 1, 1, count_include_pad=False))
        plain_after.append(nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    how = choose.choice(["", "residual", "checkpoint", "reentrant", "twice"])
    return Around(nn.Sequential(layer, *after), how), _Straight(nn.Sequential(twin, *plain_after), how)


class _Straight(Around):
    """Around, without the checkpoint."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.how = "" if self.how in ("checkpoint", "reentrant") else self.how
        return super().forward(x)


class Net(nn.Module):
    """Stem, blocks on [N, C, ...], parts on tokens [N, T, C], mean, classifier."""

    def __init__(self, stem: nn.Module, body: list[nn.Module], tokens: list[nn.Module], head: nn.Module):
        super().__init__()
        self.stem, self.body, self.tokens, self.head = stem, nn.Sequential(*body), nn.Sequential(*tokens), head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(self.stem(x)).flatten(2).transpose(1, 2)
        return self.head(self.tokens(h).mean(1))


def random_pair(seed: int) -> tuple[nn.Module, nn.Module, torch.Tensor, torch.Tensor]:
    """A network, its plain twin, and a batch, all in float64."""
    choose = random.Random(seed)
    torch.manual_seed(seed)
    dimensions = choose.choice([1, 2, 2, 3])
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
    stem = conv(2, C, 3, padding=1, stride=choose.choice([1, 2]))
    pairs = [blocks(choose, dimensions) for _ in range(choose.randint(1, 3))]
    tokens: list[tuple[nn.Module, nn.Module]] = []
    for _ in range(choose.randint(0, 2)):
        kind = choose.choice(["attention", "linear", "product", "forward", "layer norm"])
        if kind == "attention":
            packed = Attention(choose.random() < 0.5, choose.random() < 0.5)
            tokens.append((packed, PlainAttention(packed)))
        elif kind == "layer norm":
            both = nn.Sequential(nn.LayerNorm(C), nn.Linear(C, C), nn.GELU())
            tokens.append((both, copy.deepcopy(both)))
        else:
            read = Read(kind)
            tokens.append((read, Applied(read)))
    head = nn.Linear(C, 3)
    if len(tokens) > 1 and choose.random() < 0.3:  # one module in two places
        tokens[1] = tokens[0]
    user, plain = (
        Net(copy.deepcopy(stem), [p[i] for p in pairs], [t[i] for t in tokens], copy.deepcopy(head)) for i in (0, 1)
    )
    x = torch.randn(3, 2, *[{1: 8, 2: 5, 3: 3}[dimensions]] * dimensions, dtype=torch.float64)
    return user.double(), plain.double(), x, torch.randint(0, 3, (3,))
