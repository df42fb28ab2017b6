"""Bayesian optimisation in the style of NASBOT (Kandasamy et al., 2018, [27]): a Gaussian process and expected improvement."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from parzc_core.errors import BadInput
from parzc_core.predictors.plus.calibration import expected_improvement
from parzc_core.search.benchmark import Session
from parzc_core.search.method import SearchMethod


@dataclass(frozen=True)
class NASBOT(SearchMethod):
    """Kernel exp(-d/s^2), d = the number of places at which two architectures differ, in place of NASBOT's optimal transport
    between networks: cells of one wiring differ in their operations only. s and the noise are fitted anew at every step.

    start: random architectures before. Expected improvement is maximised as NASBOT does it, by evolution: `rounds` times the
    `parents` best of all candidates so far have mutants, `pool` in all.
    """

    start: int = 10
    rounds: int = 4
    parents: int = 10
    pool: int = 200
    name = "nasbot"
    effort = 1.5

    def __post_init__(self) -> None:
        if min(self.start - 1, self.rounds, self.parents, self.pool // max(self.rounds, 1)) < 1:
            raise BadInput(
                f"got start={self.start}, rounds={self.rounds}, parents={self.parents}, pool={self.pool}; expected at least "
                "2 to start with, 1 round, 1 parent and a pool of 1 a round"
            )

    def search(self, session: Session, generator: np.random.Generator) -> None:
        known = {arch: session.query(arch) for arch in session.shuffled(generator)[: self.start]}
        while len(known) < len(session.archs):
            arch = self._propose(session, known, generator)
            known[arch] = session.query(arch)

    def _propose(self, session: Session, known: Mapping[str, float], generator: np.random.Generator) -> str:
        """The new architecture with the highest expected improvement that evolution finds."""
        process = self._fit(session, list(known), np.array(list(known.values())))
        best = sorted(known, key=lambda arch: -known[arch])[: self.parents]
        gain: dict[str, float] = {}
        for _ in range(self.rounds):
            mutants = [
                session.choices.mutate(best[i % len(best)], generator) for i in range(max(self.pool // self.rounds, 1))
            ]
            new = [arch for arch in dict.fromkeys(mutants) if arch not in known and arch not in gain]
            if new:
                gain |= dict(zip(new, self._expected(process, session, new, max(known.values())), strict=True))
            best = sorted(gain, key=lambda arch: -gain[arch])[: self.parents] or best
        if not gain:  # all near ones are known
            left = [arch for arch in session.archs if arch not in known]
            return left[int(generator.integers(len(left)))]
        return best[0]

    def _fit(self, session: Session, archs: Sequence[str], accuracy: np.ndarray) -> GaussianProcessRegressor:
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(2.0, (0.3, 30.0)) + WhiteKernel(0.1, (1e-4, 1.0))
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a bound of the kernel was reached
            return process.fit(session.choices.one_hot(archs), accuracy)

    def _expected(
        self, process: GaussianProcessRegressor, session: Session, archs: Sequence[str], best: float
    ) -> np.ndarray:
        """Expected improvement over `best`, points of accuracy; float64[n]."""
        mean, std = process.predict(session.choices.one_hot(archs), return_std=True)
        return expected_improvement(mean, std, best)
