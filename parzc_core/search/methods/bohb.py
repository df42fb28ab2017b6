"""BOHB (Falkner et al., ICML 2018): Hyperband whose architectures are drawn from a density of good ones, through Optuna."""

import warnings
from dataclasses import dataclass

import numpy as np

from parzc_core._optional import optuna_library
from parzc_core.errors import BadInput
from parzc_core.search.benchmark import FULL, Session
from parzc_core.search.choices import independent
from parzc_core.search.method import SearchMethod


@dataclass(frozen=True)
class BOHB(SearchMethod):
    """Optuna's multivariate TPE with its HyperbandPruner: the two halves of BOHB; successive halving is asynchronous there.

    two: with two fidelities, 12 and 200 epochs: one of `reduction` architectures goes on to the full training, which is a
    separate one; each is paid in full. Else every architecture has one training, of the session's epochs, so that of BOHB the
    density remains: so NAS-Bench-201's authors ran it, whose budgets of 12 to 200 epochs all stood for the training of 12.
    start: random architectures of each bracket before the density counts.
    """

    two: bool = True
    reduction: int = 16
    start: int = 10
    name = "bohb"
    effort = 1.5

    def __post_init__(self) -> None:
        if self.reduction < 2 or self.start < 1:
            raise BadInput(f"got reduction={self.reduction}, start={self.start}; expected at least 2 and 1")

    def search(self, session: Session, generator: np.random.Generator) -> None:
        choices = independent(session.choices, self.name)
        if self.two and len(session.fidelities) < 2:
            raise BadInput(
                f"BOHB needs a cheaper training than that of {FULL} epochs; the benchmark has "
                f"{', '.join(map(str, session.fidelities))}: get the 12-epoch labels with `parzc data fetch`"
            )
        optuna = optuna_library()
        low, high = (session.fidelities[0], session.fidelities[-1]) if self.two else (session.epochs, session.epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=self.start, multivariate=True, seed=int(generator.integers(2**31))
            )
        pruner = optuna.pruners.HyperbandPruner(low, high, self.reduction) if self.two else optuna.pruners.NopPruner()
        study = optuna.create_study(  # its name decides which bracket a trial is in
            study_name=str(generator.integers(2**31)), direction="maximize", sampler=sampler, pruner=pruner
        )
        places = [[str(i) for i in range(len(names))] for names in choices.options]
        while True:
            trial = study.ask()
            numbers = [int(trial.suggest_categorical(f"place {i}", known)) for i, known in enumerate(places)]
            arch = choices.decode(numbers)
            accuracy = session.query(arch, low)
            trial.report(accuracy, low)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, session.query(arch, high) if self.two else accuracy)


def installed() -> bool:
    """Whether the library is there."""
    try:
        optuna_library()
    except BadInput:
        return False
    return True
