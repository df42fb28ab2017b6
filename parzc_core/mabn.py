"""MABN, the Mixer Architecture with Bayesian Network (§3.3): encoded statistics float32[n, D] -> ranking scores [n]."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops.layers.torch import Rearrange, Reduce
from torch import nn

from parzc_core.errors import BadInput, UnknownName, real, whole

MIXINGS = ("segment", "channel")


class BayesianLinear(nn.Module):
    """A linear layer whose weights are normal random variables (§3.3).

        >>> layer = BayesianLinear(4, 2).eval()
        >>> layer(torch.ones(3, 4)).shape
        torch.Size([3, 2])

    y = x W_b^T with W_b = mu + log(1 + e^rho) * eps and eps ~ N(0, I): (..., features_in) -> (..., features_out), no bias.
    Train mode draws new weights in each forward pass, and so does `sampling(model)`. Eval mode uses the mean mu.
    rho: initial value; -5 is a standard deviation of 0.0067.
    """

    def __init__(self, features_in: int, features_out: int, rho: float = -5.0):
        super().__init__()
        self.mu = nn.Parameter(torch.empty(features_out, features_in))
        self.rho = nn.Parameter(torch.full((features_out, features_in), rho))
        nn.init.kaiming_uniform_(self.mu, a=math.sqrt(5))
        self.sampling = False

    @property
    def sigma(self) -> torch.Tensor:
        """Standard deviation of each weight, log(1 + e^rho), [features_out, features_in]."""
        return F.softplus(self.rho)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        drawn = self.training or self.sampling
        return F.linear(x, self.mu + self.sigma * torch.randn_like(self.mu) if drawn else self.mu)


@contextmanager
def sampling(model: nn.Module) -> Iterator[None]:
    """Draw the weights of every Bayesian layer in eval mode too, for as long as the block lasts.

        with sampling(model), torch.no_grad():
            draws = torch.stack([model(x) for _ in range(20)])  # [20, n]
    """
    layers = [module for module in model.modules() if isinstance(module, BayesianLinear)]
    for layer in layers:
        layer.sampling = True
    try:
        yield
    finally:
        for layer in layers:
            layer.sampling = False


@dataclass(frozen=True)
class MABNConfig:
    """Sizes of a MABN.

        >>> MABNConfig(input_dim=294, **SIZES["printed"]).width
        1600

    input_dim: D, length of the encoded statistics.
    projection: length of X', the projected input. segment: length L of a segment; there are S = projection / segment.
    width: channels of a segment inside the mixer. depth: number of mixer blocks.
    expansion: hidden size of the FFN across segments, as a multiple of S.
    expansion_token: hidden size of the FFN within a segment, as a multiple of width.
    dropout: probability, in [0, 1).
    mixing: "segment" mixes across segments, as the text says; "channel" lets both FFNs act within a segment.
    bayesian: False replaces the Bayesian layers by plain linear ones (ablation of Table 6).
    outputs: 1 gives scores [n]; more gives an embedding [n, outputs].
    Raises BadInput (a size below 1, projection not a multiple of segment, dropout), UnknownName (mixing).
    """

    input_dim: int
    projection: int = 256
    segment: int = 16
    width: int = 64
    depth: int = 2
    expansion: float = 4.0
    expansion_token: float = 0.5
    dropout: float = 0.18
    mixing: str = "segment"
    bayesian: bool = True
    outputs: int = 1

    def __post_init__(self) -> None:
        for name in ("input_dim", "projection", "segment", "width", "depth", "outputs"):
            whole(name, getattr(self, name), 1)
        for name in ("expansion", "expansion_token"):
            real(name, getattr(self, name), 0, above=True)
        if self.projection % self.segment:
            raise BadInput(f"got projection={self.projection}, segment={self.segment}; expected a multiple of the segment")
        if not 0 <= real("dropout", self.dropout) < 1:
            raise BadInput(f"got dropout={self.dropout}; expected a number in [0, 1)")
        if self.mixing not in MIXINGS:
            raise UnknownName.of("mixing", self.mixing, MIXINGS)


SIZES: dict[str, dict[str, int]] = {
    "tiny": {"projection": 64, "segment": 16, "width": 16, "depth": 1},  # smoke profile
    "small": {"projection": 256, "segment": 16, "width": 32, "depth": 1},  # standard profile: half the time of "cpu"
    "cpu": {"projection": 256, "segment": 16, "width": 64, "depth": 2},  # full profile
    "public": {"projection": 256, "segment": 16, "width": 512, "depth": 4},  # the public code's, for NB101 and NB201
    "printed": {"projection": 752, "segment": 16, "width": 1600, "depth": 5},  # A.4: 47 segments of 16, five mixers
}


def linear(features_in: int, features_out: int, bayesian: bool) -> nn.Module:
    """A Bayesian layer, or a plain one without bias: (..., features_in) -> (..., features_out)."""
    return BayesianLinear(features_in, features_out) if bayesian else nn.Linear(features_in, features_out, bias=False)


def feed_forward(features: int, expansion: float, dropout: float) -> nn.Sequential:
    """Linear, ReLU, Dropout, Linear, Dropout on the last axis: (..., features) -> (..., features)."""
    hidden = max(1, round(features * expansion))
    return nn.Sequential(
        nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, features), nn.Dropout(dropout)
    )


class SegmentMixer(nn.Module):
    """One mixer block (§3.3): (n, S, width) -> (n, S, width).

    X'_b = LayerNorm(X_b) on the transposed segments, then X_seg = X'_b + FFN(X'_b) across segments.
    Transposed once more, a second FFN acts within each segment: the paper's Linear, ReLU, Dropout. Its residual connection is
    ours, since blocks do not stack without one.
    """

    def __init__(self, segments: int, config: MABNConfig):
        super().__init__()
        across = config.mixing == "segment"
        self.transpose = Rearrange("n s c -> n c s") if across else nn.Identity()
        features = segments if across else config.width
        self.norm = nn.LayerNorm(features)
        self.mix = feed_forward(features, config.expansion if across else config.expansion_token, config.dropout)
        self.transpose_back = Rearrange("n c s -> n s c") if across else nn.Identity()
        self.norm_within = nn.LayerNorm(config.width)
        self.within = feed_forward(config.width, config.expansion_token, config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.transpose(x))  # (n, width, S)
        h = h + self.mix(h)
        h = self.transpose_back(h)  # (n, S, width)
        return h + self.within(self.norm_within(h))


class MABN(nn.Module):
    """The ranker of §3.3: projection, Bayesian layer, mixer blocks, pooling, Bayesian layer.

        >>> model = MABN(MABNConfig(input_dim=294)).eval()
        >>> model(torch.randn(10, 294)).shape
        torch.Size([10])

    forward: float32[n, D] -> scores float32[n], or an embedding [n, outputs] with more than one output.
    Raises BadInput for another D.
    """

    def __init__(self, config: MABNConfig):
        super().__init__()
        self.config = config
        segments = config.projection // config.segment
        self.project = nn.Linear(config.input_dim, config.projection)
        self.split = Rearrange("n (s l) -> n s l", l=config.segment)
        self.before = linear(config.segment, config.width, config.bayesian)
        self.blocks = nn.Sequential(*(SegmentMixer(segments, config) for _ in range(config.depth)))
        # The text pools N x S x L to N x S; where segments do not mix, they meet in the mean over them instead.
        pooled_away, kept = ("c", "s") if config.mixing == "segment" else ("s", "c")
        self.pool = Reduce(f"n s c -> n {kept}", "mean")
        self.after = linear(segments if pooled_away == "c" else config.width, config.outputs, config.bayesian)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            got = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise BadInput(f"got statistics of type {got}; expected a float tensor [n, {self.config.input_dim}]")
        if x.ndim != 2 or x.shape[1] != self.config.input_dim:
            raise BadInput(f"got statistics of shape {tuple(x.shape)}; expected [n, {self.config.input_dim}]")
        h = self.before(self.split(self.project(x)))  # (n, S, width)
        h = self.pool(self.blocks(h))  # (n, S)
        y = self.after(h)  # (n, outputs)
        return y.squeeze(1) if self.config.outputs == 1 else y
