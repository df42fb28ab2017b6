"""A Gaussian process whose kernel has one length for each block of features (Rasmussen & Williams, 2006).

k(x, x') = a (1 + sqrt(3) r) exp(-sqrt(3) r), Matern 3/2, with r^2 the sum over blocks of |x_b - x'_b|^2 / (D_b l_b^2), D_b the
block's columns: a block of 200 columns weighs no more than one of four. Lengths, scale a and noise maximise the marginal
likelihood times log-normal priors, which is what keeps a fit to a few dozen cells sane; scikit-learn's processes have neither
blocks nor priors.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from parzc_core.errors import BadInput

CHUNK = 2000  # architectures predicted at once
JITTER = 1e-4  # least noise variance, of targets with variance 1
# Prior of the logarithms: (mean, standard deviation).
LENGTH, SCALE, NOISE = (0.5, 1.0), (-1.5, 2.0), (-3.0, 2.0)


class BlockProcess:
    """fit, then predict: blocks float[n, D_b], standardised, and target float[n] with mean 0 and variance 1 or so.

    steps: of Adam on the hyperparameters. most: architectures they are learned from (drawn by the seed); the posterior is
    that of all.
    """

    def __init__(self, steps: int = 60, most: int = 300, rate: float = 0.08):
        if steps < 1 or most < 2:
            raise BadInput(f"got steps={steps}, most={most}; expected at least 1 step and 2 architectures")
        self.steps, self.most, self.rate = steps, most, rate

    def fit(self, blocks: list[np.ndarray], target: np.ndarray, seed: int = 0) -> "BlockProcess":
        """Learn, and return itself; the same arguments give the same process."""
        self._blocks = [np.asarray(block, dtype=np.float64) for block in blocks]
        n = len(target)
        rows = np.random.default_rng(seed).permutation(n)[: self.most]
        target_of = torch.from_numpy(np.asarray(target, dtype=np.float64))
        with torch.enable_grad():
            distances = torch.stack([squared_distances(block[rows], block[rows]) for block in self._blocks])
            self._learn(distances, target_of[rows])
        self._target = target_of
        self._condition()
        return self

    def _condition(self) -> None:
        """The posterior of all architectures, by the hyperparameters that were learned."""
        n, target_of = len(self._target), self._target
        with torch.no_grad():
            kernel = self._kernel(squared_distances(block, block) for block in self._blocks)
            self._factor = torch.linalg.cholesky(kernel + self.noise * torch.eye(n, dtype=torch.float64))
            self._weights = torch.cholesky_solve(target_of[:, None], self._factor)[:, 0]

    def state(self) -> dict[str, np.ndarray]:
        """All of a fitted process as plain arrays, from which `restore` makes it again."""
        learned = {"lengths": self._lengths, "scale": self._scale, "noise": self._noise, "target": self._target}
        blocks = {f"block{i}": block for i, block in enumerate(self._blocks)}
        return {name: tensor.numpy() for name, tensor in learned.items()} | blocks

    def restore(self, state: Mapping[str, np.ndarray]) -> "BlockProcess":
        """Take up what `state` gave, and return itself."""
        names = ("lengths", "scale", "noise", "target")
        made = [torch.from_numpy(np.array(state[name], dtype=np.float64)) for name in names]
        self._lengths, self._scale, self._noise, self._target = made
        self._blocks = [np.asarray(state[f"block{i}"], dtype=np.float64) for i in range(len(self._lengths))]
        self._condition()
        return self

    def predict(self, blocks: list[np.ndarray], spread: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Posterior mean float64[n] and, if asked for, standard deviation of a new target, its noise included."""
        new = [np.asarray(block, dtype=np.float64) for block in blocks]
        parts = [self._predict([block[i : i + CHUNK] for block in new], spread) for i in range(0, len(new[0]), CHUNK)]
        mean = np.concatenate([part for part, _ in parts])
        return mean, np.concatenate([part for _, part in parts if part is not None]) if spread else None

    def _predict(self, new: list[np.ndarray], spread: bool) -> tuple[np.ndarray, np.ndarray | None]:
        with torch.no_grad():
            across = self._kernel(squared_distances(a, b) for a, b in zip(self._blocks, new, strict=True))
            mean = (across.T @ self._weights).numpy()
            if not spread:
                return mean, None
            explained = torch.linalg.solve_triangular(self._factor, across, upper=False).square().sum(dim=0)
            variance = (self._scale.exp() - explained).clamp(min=0) + self.noise
        return mean, variance.sqrt().numpy()

    def left_out(self) -> np.ndarray:
        """float64[n], what the process says of each architecture it learned from had it not seen that one (their eq. 5.12)."""
        inverse = torch.cholesky_inverse(self._factor).diagonal()
        return (self._target - self._weights / inverse).numpy()

    def left_out_spread(self) -> np.ndarray:
        """float64[n], the standard deviation of those predictions, noise included."""
        return torch.cholesky_inverse(self._factor).diagonal().rsqrt().numpy()

    @property
    def noise(self) -> torch.Tensor:
        """Variance of the noise."""
        return self._noise.exp() + JITTER

    @property
    def lengths(self) -> np.ndarray:
        """l_b of each block, in standard deviations of a column: a long one is a block that says little."""
        return self._lengths.exp().numpy()

    def _learn(self, distances: torch.Tensor, target: torch.Tensor) -> None:
        self._lengths = torch.full((len(distances),), 0.3, dtype=torch.float64, requires_grad=True)
        self._scale = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
        self._noise = torch.tensor(-2.5, dtype=torch.float64, requires_grad=True)
        parameters = (self._lengths, self._scale, self._noise)
        adam = torch.optim.Adam(parameters, lr=self.rate)
        identity = torch.eye(len(target), dtype=torch.float64)
        for _ in range(self.steps):
            total = torch.tensordot((-2 * self._lengths).exp(), distances, 1)  # one product for all blocks: half the time
            factor = torch.linalg.cholesky(self._matern(total) + self.noise * identity)
            weights = torch.cholesky_solve(target[:, None], factor)[:, 0]
            loss = 0.5 * target @ weights + factor.diagonal().log().sum()
            for parameter, (mean, std) in zip(parameters, (LENGTH, SCALE, NOISE), strict=True):
                loss = loss + 0.5 * ((parameter - mean) / std).square().sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
        self._lengths, self._scale, self._noise = (parameter.detach() for parameter in parameters)

    def _kernel(self, distances: Iterable[torch.Tensor]) -> torch.Tensor:
        """Of squared distances, a matrix a block, which need not be in memory all at once."""
        total = torch.zeros(())
        for each, length in zip(distances, self._lengths, strict=True):
            total = total + each / length.exp().square()
        return self._matern(total)

    def _matern(self, total: torch.Tensor) -> torch.Tensor:
        """Of the sum of squared distances over squared lengths."""
        r = (3 * total + 1e-10).sqrt()  # the root has no slope at 0
        return self._scale.exp() * (1 + r) * torch.exp(-r)


def squared_distances(a: np.ndarray, b: np.ndarray) -> torch.Tensor:
    """float64[n, m], between the rows of a and b, over the number of columns."""
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None] - 2 * a @ b.T
    return torch.from_numpy(np.maximum(squares, 0) / a.shape[1])
