"""A made-up objective for the tests of studies, and a program that runs it in a process of its own."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from parzc_core.tuning import objective
from parzc_core.tuning import study as tuning_study
from parzc_core.tuning.objective import REPORTS, StudyConfig, Undefined
from parzc_core.tuning.spaces import Value, tuning_space

STUDY = StudyConfig("table10", "tiny")


def worth(values: Mapping[str, Value]) -> float:
    """Best at a learning rate of 1e-2; nothing else matters."""
    return 50.0 + 1000 * values["Learning Rate"]


class Toy:
    """In place of `tuning.objective.Objective`. seen: the settings that were tried. slow: seconds a trial takes."""

    def __init__(self, slow: float = 0, undefined: bool = False, failing: Callable[[int], bool] | None = None):
        self.space = tuning_space(STUDY.space, STUDY.size)
        self.slow, self.undefined, self.failing = slow, undefined, failing
        self.seen: list[dict[str, Value]] = []

    def of(self, values: Mapping[str, Value], watch: objective.Watch) -> float:
        self.seen.append(dict(values))
        if self.failing is not None and self.failing(len(self.seen)):
            raise ZeroDivisionError("made to fail")
        if self.undefined:
            raise Undefined
        time.sleep(self.slow)
        for step in (2, 3, REPORTS):
            watch(step, worth(values) * step / REPORTS)
        return worth(values)


def key(study: StudyConfig) -> dict[str, Any]:
    """In place of `StudyConfig.key`, without labels and statistics."""
    return {"what": "toy", "space": study.space, "seed": study.seed, "base": {"train": study.base.train}}


def command(file: Path, trials: int, slow: float) -> list[str]:
    """A process that runs the study of the toy."""
    return [sys.executable, __file__, str(file), str(trials), str(slow)]


if __name__ == "__main__":
    StudyConfig.key = key  # type: ignore[method-assign]
    toy = Toy(float(sys.argv[3]))
    objective.objective = lambda study: toy  # type: ignore[assignment]
    print(len(tuning_study.run_study(STUDY, sys.argv[1], int(sys.argv[2]))), flush=True)
