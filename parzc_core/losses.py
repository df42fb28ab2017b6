"""Losses that teach ranking: DiffKendall (§3.4), the pairwise rank loss of ReNAS [61], mean squared error, and weighted sums."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from parzc_core.errors import BadInput, UnknownName


def _differences(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """prediction_i - prediction_j and target_i - target_j over the n(n-1)/2 pairs i < j."""
    if prediction.shape != target.shape or prediction.ndim != 1 or len(prediction) < 2:
        raise BadInput(
            f"got prediction {tuple(prediction.shape)} and target {tuple(target.shape)}; expected the same [n], n >= 2"
        )
    i, j = torch.triu_indices(len(prediction), len(prediction), offset=1)
    return prediction[i] - prediction[j], target[i] - target[j]


def diff_kendall(prediction: torch.Tensor, target: torch.Tensor, alpha: float = 0.5) -> torch.Tensor:
    """Differentiable Kendall's tau of §3.4: scalar in [-1, 1], towards +1 at full concordance as alpha grows.

    sigma_alpha(d) = sigmoid(alpha d) - sigmoid(-alpha d) = tanh(alpha d / 2); tau_d is the mean over pairs of
    sigma_alpha(dx) sigma_alpha(dy). The paper sums over i != j, divides by n(n-1)/2 and negates, a range of [-2, 2]; this is
    minus half of that. The training loss is its negative. It depends on the scale of both arguments: see `training`.
    """
    if not alpha > 0:
        raise BadInput(f"got alpha={alpha}; expected a positive number (the paper uses 0.5)")
    dx, dy = _differences(prediction, target)
    return (torch.tanh(alpha * dx / 2) * torch.tanh(alpha * dy / 2)).mean()


def pairwise_rank_loss(prediction: torch.Tensor, target: torch.Tensor, margin: float = 0.1) -> torch.Tensor:
    """ReNAS's hinge [61]: mean over pairs of max(0, margin - sign(target_i - target_j) (prediction_i - prediction_j))."""
    dx, dy = _differences(prediction, target)
    ordered = dy != 0
    return (F.relu(margin - torch.sign(dy) * dx) * ordered).sum() / ordered.sum().clamp(min=1)


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]] = {
    "diff_kendall": lambda prediction, target, alpha: -diff_kendall(prediction, target, alpha),
    "rank": lambda prediction, target, alpha: pairwise_rank_loss(prediction, target),
    "mse": lambda prediction, target, alpha: F.mse_loss(prediction, target),
}


def check_loss(weights: Mapping[str, float]) -> None:
    """Raises UnknownName or BadInput unless `weights` names known losses with positive weights."""
    if not weights:
        raise BadInput(f"got no loss; expected weights for some of {', '.join(LOSSES)}")
    for name, weight in weights.items():
        if name not in LOSSES:
            raise UnknownName.of("loss", name, LOSSES)
        if not weight > 0:
            raise BadInput(f"got weight {weight} for loss {name!r}; expected a positive number")


def loss(
    prediction: torch.Tensor, target: torch.Tensor, weights: Mapping[str, float], alpha: float = 0.5
) -> torch.Tensor:
    """Weighted sum of losses to minimise, e.g. weights {"mse": 1, "diff_kendall": 1}; scalar. prediction, target: [n]."""
    check_loss(weights)
    terms = [weight * LOSSES[name](prediction, target, alpha) for name, weight in weights.items()]
    return torch.stack(terms).sum()
