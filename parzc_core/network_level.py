"""Network-level scores of Table 1: one number for a whole untrained network, higher meaning better.

A new score is one decorated function `(network, images, labels) -> float` on a private copy of the network that it may change.
"""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from parzc_core.collector import check_batch, cross_entropy, forward_with_calls, nodes_of, prepare
from parzc_core.errors import UnknownName

Score = Callable[[nn.Module, torch.Tensor, torch.Tensor], float]
REGISTRY: dict[str, Score] = {}


def network_score(function: Score) -> Score:
    """Register the decorated score under its own name."""
    REGISTRY[function.__name__] = function
    return function


def score(name: str, network: nn.Module, images: torch.Tensor, labels: torch.Tensor, consume: bool = False) -> float:
    """One score; the network and the caller's random generator are left as they were. Raises UnknownName, BadInput.

    consume: the network may be changed, which saves copying it.
    """
    if name not in REGISTRY:
        raise UnknownName.of("network-level proxy", name, REGISTRY)
    check_batch(images, labels)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        return float(REGISTRY[name]((network if consume else copy.deepcopy(network)).train(), images, labels))


@network_score
def params(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Number of parameters."""
    return float(sum(parameter.numel() for parameter in network.parameters()))


@network_score
def flops(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Floating-point operations of one image, a multiply-add counted as two (PyTorch's own counter)."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(images[:1])
    return float(counter.get_total_flops())


@network_score
def jacov(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Jacobian covariance (Mellor et al., 2020, first version; as in [1]): -sum_i log(v_i + k) + 1/(v_i + k), k = 1e-5.

    v are the eigenvalues of the correlation matrix of the rows J_n = d(sum of logits)/d(image n). NaN where a row is constant.
    """
    x = images.clone().requires_grad_(True)
    (jacobian,) = torch.autograd.grad(forward_with_calls(network, x)[0].sum(), x, allow_unused=True)
    rows = np.zeros((len(x), 1)) if jacobian is None else jacobian.flatten(1).double().numpy()
    if np.any(rows.std(axis=1) == 0):
        return float("nan")
    k = 1e-5
    v = np.linalg.eigvalsh(np.corrcoef(rows))
    return float(-np.sum(np.log(v + k) + 1.0 / (v + k)))


@network_score
def nwot(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """NWOT (Mellor et al., ICML 2021, [36]): log det K, K_nm = sum over ReLUs of the units on which images n and m agree.

    NaN for a network without ReLU modules, -inf where two images switch the same units.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        code = (output.detach() > 0).flatten(1).float()  # (N, units); counts stay below 2^24, so float32 is exact
        kernel.add_((code @ code.T + (1 - code) @ (1 - code).T).double())

    handles = [module.register_forward_hook(add) for module in relus]
    with torch.no_grad():
        forward_with_calls(network, images)
    for handle in handles:
        handle.remove()
    return float(torch.linalg.slogdet(kernel).logabsdet) if relus else float("nan")


@network_score
def zen(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, repeats: int = 1, step: float = 0.01) -> float:
    """Zen-score (Lin et al., ICCV 2021, [30]): log E |f(x) - f(x + step e)| + sum over BatchNorms of log sqrt(mean variance).

    Weights, x and e are standard normal; f is the feature map that the last global pooling (or else the last Linear) reads.
    The images give only their shape. Mean over `repeats` draws.
    """
    for module in nodes_of(network).values():
        nn.init.normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    last = [m for m in network.modules() if isinstance(m, nn.AdaptiveAvgPool2d | nn.Linear)]
    pooled = next((m for m in reversed(last) if isinstance(m, nn.AdaptiveAvgPool2d)), last[-1] if last else None)
    found: dict[str, torch.Tensor] = {}
    log_scale: list[torch.Tensor] = []

    def variance(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        per_channel = inputs[0].var(dim=(0, 2, 3), unbiased=False)
        log_scale.append(0.5 * torch.log(per_channel.double().mean() + 1e-12))

    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.register_forward_pre_hook(variance)
    if pooled is not None:
        pooled.register_forward_pre_hook(lambda module, inputs: found.update(features=inputs[0]))
    scores = []
    with torch.no_grad():
        for _ in range(repeats):
            x = torch.randn_like(images)
            features = []
            for batch in (x, x + step * torch.randn_like(images)):
                log_scale.clear()
                logits = forward_with_calls(network, batch)[0]
                features.append(found.get("features", logits).clone())
                if len(features) == 1:
                    scale = sum(float(term) for term in log_scale)
            difference = (features[0] - features[1]).abs().flatten(1).sum(dim=1).mean().double()
            scores.append(float(torch.log(difference)) + scale)
    return float(np.mean(scores))


@network_score
def zico(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """ZiCo (Li et al., ICLR 2023, [29]): sum over nodes of log sum over weights of mean |g| / std g, over mini-batches.

    The two mini-batches are the halves of the batch. Weights whose gradients do not vary are left out of the inner sum, nodes
    without any varying weight out of the outer one.
    """
    gradients: list[tuple[torch.Tensor | None, ...]] = []
    half = len(images) // 2
    model = prepare(network)
    weights = [module.weight for module in nodes_of(model).values()]
    for part in (slice(0, half), slice(half, 2 * half)):
        loss = cross_entropy(forward_with_calls(model.train(), images[part])[0], labels[part])
        gradients.append(torch.autograd.grad(loss, weights, allow_unused=True))
    total = 0.0
    for first, second in zip(*gradients, strict=True):
        if first is None or second is None:
            continue
        pair = torch.stack([first, second]).double()
        spread, size = pair.std(dim=0, unbiased=False), pair.abs().mean(dim=0)
        varying = spread > 0
        if bool(varying.any()):
            total += float(torch.log((size[varying] / spread[varying]).sum()))
    return total
