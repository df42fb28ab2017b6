"""RoBoT: a weighted sum of training-free scores whose weights Bayesian optimisation finds (He et al., ICLR 2024).

Every score is scaled to [0, 1] over the space. An iteration takes weights from [-1, 1], trains the architecture of the highest
weighted sum, unless it is trained already, and tells the optimiser its accuracy. What is left of the budget goes to the
architectures that the best weights rank next. The optimiser is a Gaussian process with a Matern kernel and the upper confidence
bound, kappa 2.576.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from parzc_core.collecting.labelled import columns_read
from parzc_core.errors import BadInput, UnknownName
from parzc_core.proxies import NODE_PROXIES
from parzc_core.search.benchmark import Session, TabularBenchmark
from parzc_core.search.method import SearchMethod
from parzc_core.search.methods.parzc import read

SCORES = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")  # the six of its experiments
TRANSFORMS = ("raw", "log")


@lru_cache(maxsize=4)
def scaled_scores(space: str, dataset: str, transform: str = "raw") -> tuple[tuple[str, ...], np.ndarray]:
    """(architectures, float64[n, 6] of SCORES, each scaled to [0, 1]); a missing or infinite value counts as the least.

    transform: "raw", or "log" for the sign of a value times log10(1 + its size).
    """
    collection = read(space, dataset).collection
    columns = [
        np.array([one.of(name).sum() for one in collection.statistics])
        if name in NODE_PROXIES
        else collection.scores[name].to_numpy(dtype=np.float64)
        for name in SCORES
    ]
    values = np.stack(columns, axis=1)
    if transform == "log":
        values = np.sign(values) * np.log10(1 + np.abs(values))
    low = np.nanmin(np.where(np.isfinite(values), values, np.nan), axis=0)
    values = np.where(np.isfinite(values), values, low)
    return tuple(collection.archs), (values - low) / np.maximum(values.max(axis=0) - low, 1e-300)


@dataclass(frozen=True)
class RoBoT(SearchMethod):
    """iterations: of Bayesian optimisation, of which those that ask for a known architecture train nothing. transform: of the
    scores, of TRANSFORMS. candidates: random weights among which the next are chosen.
    """

    iterations: int = 20
    transform: str = "raw"
    kappa: float = 2.576
    candidates: int = 10_000
    name = "robot"
    title = "RoBoT"
    effort = 3

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise UnknownName.of("transform of RoBoT's scores", self.transform, TRANSFORMS)
        if min(self.iterations, self.candidates) < 1 or self.kappa < 0:
            raise BadInput(f"got {self}; expected at least one iteration and candidate, and kappa of 0 or more")

    def prepare(self, benchmark: TabularBenchmark) -> None:
        scaled_scores(benchmark.choices.name, benchmark.dataset, self.transform)

    def reads(self, space: str, dataset: str) -> str:
        collection = read(space, dataset).collection
        node = tuple(name for name in SCORES if name in NODE_PROXIES)
        return columns_read(collection, node, tuple(name for name in SCORES if name not in NODE_PROXIES))

    def search(self, session: Session, generator: np.random.Generator) -> None:
        archs, scores = scaled_scores(session.choices.name, session.dataset, self.transform)
        tried: list[np.ndarray] = []
        accuracy: list[float] = []
        for _ in range(self.iterations):
            weights = self._next(tried, accuracy, generator)
            tried.append(weights)
            accuracy.append(session.query(archs[int(np.argmax(scores @ weights))]))
        best = tried[int(np.argmax(accuracy))]
        for i in np.argsort(-(scores @ best), kind="stable"):
            if not session.known(archs[i]):
                session.query(archs[i])

    def _next(self, tried: list[np.ndarray], accuracy: list[float], generator: np.random.Generator) -> np.ndarray:
        """float64[6]: the weights of the highest upper confidence bound; random ones at first."""
        offered = generator.uniform(-1, 1, (self.candidates, len(SCORES)))
        if len(set(accuracy)) < 2:
            return offered[0]
        process = GaussianProcessRegressor(
            Matern(nu=2.5), alpha=1e-6, normalize_y=True, n_restarts_optimizer=2, random_state=int(generator.integers(2**31))
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a length at its bound, which a few points may well ask for
            process.fit(np.stack(tried), np.array(accuracy))
        mean, spread = process.predict(offered, return_std=True)
        return offered[int(np.argmax(mean + self.kappa * spread))]
