"""Losses for a ranker: DiffKendall (§3.4), the pairwise rank loss of ReNAS [61], mean squared error, and weighted sums."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from parzc_core.errors import BadInput, UnknownName, real


def _differences(prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """prediction_i - prediction_j and target_i - target_j over the n(n-1)/2 pairs i < j."""
    _check_tensors(prediction, target)
    if prediction.shape != target.shape or prediction.ndim != 1 or len(prediction) < 2:
        raise BadInput(
            f"got prediction {tuple(prediction.shape)} and target {tuple(target.shape)}; expected the same [n], n >= 2"
        )
    i, j = torch.triu_indices(len(prediction), len(prediction), offset=1, device=prediction.device)
    return prediction[i] - prediction[j], target[i] - target[j]


def _check_tensors(prediction: object, target: object) -> None:
    for name, got in (("prediction", prediction), ("target", target)):
        if not isinstance(got, torch.Tensor) or not got.is_floating_point():
            kind = got.dtype if isinstance(got, torch.Tensor) else type(got).__name__
            raise BadInput(f"got {name} of type {kind}; expected a float tensor [n]")


def diff_kendall(prediction: torch.Tensor, target: torch.Tensor, alpha: float = 0.5) -> torch.Tensor:
    """Differentiable Kendall's tau (§3.4).

        loss = -diff_kendall(ranker(x), accuracy)

        >>> x = torch.tensor([1.0, 2.0, 3.0])
        >>> print(f"{diff_kendall(x, x, alpha=100):.3f} {diff_kendall(x, -x, alpha=100):.3f}")
        1.000 -1.000

    prediction, target: float[n], n >= 2. Returns a scalar in [-1, 1]; 1 means full agreement as alpha grows.
    It is the mean over pairs of s(dx) s(dy), with s(d) = sigmoid(alpha d) - sigmoid(-alpha d) = tanh(alpha d / 2).
    The paper divides the sum over i != j by n(n-1)/2 and negates it, which has the range [-2, 2]; this is minus half of that.
    The result depends on the scale of both arguments: z-score them first.
    Raises BadInput if the shapes differ, or alpha is not positive.
    """
    if not real("alpha", alpha) > 0:
        raise BadInput(f"got alpha={alpha}; expected a positive number (the paper uses 0.5)")
    dx, dy = _differences(prediction, target)
    return (torch.tanh(alpha * dx / 2) * torch.tanh(alpha * dy / 2)).mean()


def pairwise_rank_loss(prediction: torch.Tensor, target: torch.Tensor, margin: float = 0.1) -> torch.Tensor:
    """Hinge loss on pairs, from ReNAS [61].

        >>> round(float(pairwise_rank_loss(torch.tensor([2.0, 1.0]), torch.tensor([90.0, 94.0]))), 4)
        1.1

    prediction, target: float[n], n >= 2. Returns the mean of max(0, margin - sign(target_i - target_j) (prediction_i -
    prediction_j)) over pairs of different target; 0 if there is none. Raises BadInput if the shapes differ.
    """
    dx, dy = _differences(prediction, target)
    ordered = dy != 0
    return (F.relu(margin - torch.sign(dy) * dx) * ordered).sum() / ordered.sum().clamp(min=1)


def mean_squared_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of (prediction - target)^2 of two float[n], a scalar. Raises BadInput if the shapes differ."""
    _check_tensors(prediction, target)
    if prediction.shape != target.shape:
        raise BadInput(f"got prediction {tuple(prediction.shape)} and target {tuple(target.shape)}; expected the same [n]")
    return F.mse_loss(prediction, target)


# name -> function of (prediction float[n], target float[n], alpha) to a scalar that training minimises
LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]] = {
    "diff_kendall": lambda prediction, target, alpha: -diff_kendall(prediction, target, alpha),
    "rank": lambda prediction, target, alpha: pairwise_rank_loss(prediction, target),
    "mse": lambda prediction, target, alpha: mean_squared_error(prediction, target),
}


def check_loss(weights: Mapping[str, float]) -> None:
    """Check the weights of a sum of losses, as `loss` takes them.

    Raises UnknownName for a loss that is not in LOSSES, BadInput for no loss or a weight that is not positive.
    """
    if not isinstance(weights, Mapping):
        raise BadInput(f"got losses {weights!r}; expected names with weights, such as {{'diff_kendall': 1.0}}")
    if not weights:
        raise BadInput(f"got no loss; expected weights for some of {', '.join(LOSSES)}")
    for name, weight in weights.items():
        if name not in LOSSES:
            raise UnknownName.of("loss", name, LOSSES)
        if not real(f"the weight of {name}", weight) > 0:
            raise BadInput(f"got weight {weight} for loss {name!r}; expected a positive number")


def loss(
    prediction: torch.Tensor, target: torch.Tensor, weights: Mapping[str, float], alpha: float = 0.5
) -> torch.Tensor:
    """Weighted sum of losses, to be minimised.

        value = loss(ranker(x), accuracy, {"mse": 1.0, "diff_kendall": 0.5})

    prediction, target: float[n], n >= 2. weights: names of LOSSES, each with a positive weight. alpha: sharpness of
    DiffKendall. Returns a scalar. Raises UnknownName, BadInput.
    """
    check_loss(weights)
    terms = [weight * LOSSES[name](prediction, target, alpha) for name, weight in weights.items()]
    return torch.stack(terms).sum()
