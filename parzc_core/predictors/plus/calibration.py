"""What a predictor's spread is worth: coverage of its intervals, and which cells to evaluate next.

Scores have no unit. `Scale` learns one from out-of-fold scores of the training cells, so without a further label: the unit is
u = -log(100.5 - accuracy) (`log_error`), on which errors are alike along the whole range; an interval in u is one in accuracy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from parzc_core.errors import BadInput, UnknownName, floats, real, whole
from parzc_core.predictors.plus.learners import log_error

LEVELS = (50, 80, 95)  # percent
CHOICES = ("random", "most uncertain", "highest score", "upper confidence", "expected improvement")
# From positions of learned cells and of asked ones, and a seed, to scores and spreads of the asked ones.
FitPredict = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def coverage(
    mean: np.ndarray, spread: np.ndarray, truth: np.ndarray, levels: Sequence[float] = LEVELS
) -> dict[float, float]:
    """{level: percent of truths inside the central interval of that level of Normal(mean, spread)}, all float[n].

    A calibrated prediction has coverage equal to the level. Raises BadInput: shapes, a negative or missing spread, a level not
    between 0 and 100.
    """
    mean, spread, truth = _alike(mean, spread, truth)
    asked = floats("levels", list(levels))
    if not ((asked > 0) & (asked < 100)).all():
        raise BadInput(f"got levels {tuple(levels)}; expected percent, each between 0 and 100")
    distance = np.abs(truth - mean)
    return {level: 100 * float(np.mean(distance <= norm.ppf(0.5 + level / 200) * spread)) for level in levels}


def log_density(mean: np.ndarray, spread: np.ndarray, truth: np.ndarray) -> float:
    """Mean over n of the logarithm of Normal(mean, spread)'s density at the truth: higher is better, for both at once."""
    mean, spread, truth = _alike(mean, spread, truth)
    return float(norm.logpdf(truth, mean, np.maximum(spread, 1e-12)).mean())


@dataclass(frozen=True)
class Scale:
    """From scores and spreads to u = `log_error`: a parabola of the score, and a factor of the spread.

    curve: its coefficients, highest power first. slope: steepness of the best straight line. widening: what spreads are
    multiplied by beyond it. constant: one standard deviation for all, the root mean square of what the parabola leaves over.
    errors: of each cell from the parabola through the others, over its spread; ascending.
    """

    curve: tuple[float, float, float]
    slope: float
    widening: float
    constant: float
    errors: tuple[float, ...]

    @classmethod
    def learn(cls, score: np.ndarray, spread: np.ndarray, accuracy: np.ndarray) -> "Scale":
        """From out-of-fold scores and spreads and the accuracy (percent) of the same cells, at least four. Raises BadInput.

        Both lines are those of least squares with weights 1 / spread^2; widening is such that the errors over their spreads have
        a mean square of one.
        """
        score, spread, u = _alike(score, spread, log_error(accuracy))
        if len(u) < 4 or len(np.unique(score)) < 3 or not (spread > 0).all():
            raise BadInput(f"got {len(u)} scores; expected at least 4, three of them different, with spreads above 0")
        curve = np.polyfit(score, u, 2, w=1 / spread)
        slope = abs(float(np.polyfit(score, u, 1, w=1 / spread)[0])) or 1e-12
        error = u - np.polyval(curve, score)
        widening = np.sqrt(np.mean((error / (slope * spread)) ** 2))
        # How much the parabola gave way to each cell.
        powers = np.vander(score, 3) / spread[:, None]
        leverage = np.einsum("ij,ji->i", powers, np.linalg.pinv(powers))
        errors = np.sort(np.abs(error) / (1 - np.minimum(leverage, 0.9)) / spread)
        return cls(tuple(curve.tolist()), slope, float(widening), float(np.sqrt(np.mean(error**2))), tuple(errors.tolist()))

    def apply(self, score: np.ndarray, spread: np.ndarray, widen: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """(mean, spread) in u; without `widen` the spread as the predictor gives it, in that unit."""
        factor = self.slope * (self.widening if widen else 1.0)
        return np.polyval(self.curve, score), factor * spread

    def conformal(self, spread: np.ndarray, level: float) -> np.ndarray:
        """float64[n], half the width in u of intervals that hold `level` percent, whatever the distribution of errors is.

        Split conformal prediction with errors over spreads (Lei et al., 2018), between two errors in proportion; a level beyond
        the largest error, with n cells above 100 n / (n + 1), gets the largest. Raises BadInput: a level not from 0 to 100,
        spreads that are negative or not finite.
        """
        share, spread = real("level", level, 0, 100) / 100, floats("spread", spread)
        if not (np.isfinite(spread) & (spread >= 0)).all():
            raise BadInput("got spreads that are negative or not finite; expected numbers of at least 0")
        return float(np.quantile(self.errors, share, method="weibull")) * spread


def out_of_fold(fit_predict: FitPredict, train: np.ndarray, seed: int, folds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Scores and spreads of the training cells, each from a fit to the other folds. Raises BadInput for too few cells.

    train: positions of the training cells. Scores of different fits are comparable where predictors standardise them.
    """
    if folds < 2 or len(train) < 2 * folds:
        raise BadInput(f"got {len(train)} training cells and folds={folds}; expected at least 2 folds of 2 cells")
    fold = np.random.default_rng(seed).permutation(len(train)) % folds
    score, spread = np.empty(len(train)), np.empty(len(train))
    for k in range(folds):
        score[fold == k], spread[fold == k] = fit_predict(train[fold != k], train[fold == k], seed)
    return score, spread


def expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """float64[n], E[max(f - best, 0)] for f normal with that mean and standard deviation; of std 0, what is certain."""
    std = np.asarray(std, dtype=np.float64)
    z = np.divide(mean - best, std, out=np.zeros_like(std), where=std > 0)
    return np.where(std > 0, (mean - best) * norm.cdf(z) + std * norm.pdf(z), np.maximum(mean - best, 0.0))


def acquisition(choice: str, score: np.ndarray, spread: np.ndarray, best: float, seed: int = 0) -> np.ndarray:
    """float64[n], how much each cell is worth evaluating, by a choice of CHOICES. Raises UnknownName.

    best: score of the best cell so far. "upper confidence" is score + spread; "expected improvement" is that over `best`.
    """
    if choice == "random":
        return np.random.default_rng(seed).random(len(score))
    if choice == "most uncertain":
        return np.asarray(spread, dtype=np.float64)
    if choice == "highest score":
        return np.asarray(score, dtype=np.float64)
    if choice == "upper confidence":
        return score + spread
    if choice == "expected improvement":
        return expected_improvement(score, spread, best)
    raise UnknownName.of("choice of the next cells", choice, CHOICES)


def select_next(
    choice: str, open_: np.ndarray, score: np.ndarray, spread: np.ndarray, best: float, count: int, seed: int = 0
) -> np.ndarray:
    """`count` of the open cells to evaluate next, the worthiest first. Raises BadInput.

    open_: int64[n] positions; score, spread: what a predictor fitted to the known cells says of them; best: see `acquisition`.
    """
    open_, score, spread = np.asarray(open_), floats("score", score), floats("spread", spread)
    if not 0 < whole("count", count) <= len(open_) or not len(open_) == len(score) == len(spread):
        raise BadInput(
            f"got count={count}, {len(score)} scores and {len(spread)} spreads; expected 1 to {len(open_)}, the number of "
            "open cells, and as many scores and spreads"
        )
    return open_[np.argsort(-acquisition(choice, score, spread, best, seed), kind="stable")[:count]]


def _alike(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """As float64. Raises BadInput: shapes that differ, no values, not finite, a negative second one."""
    found = tuple(np.asarray(array, dtype=np.float64) for array in arrays)
    shapes = [array.shape for array in found]
    finite = all(np.isfinite(array).all() for array in found)
    if len(set(shapes)) > 1 or found[0].ndim != 1 or not len(found[0]) or not finite or (found[1] < 0).any():
        raise BadInput(
            f"got mean, spread and truth of shapes {shapes}; expected the same [n], finite, spreads not below 0"
        )
    return found
