"""The trials of a study in an sqlite file: started, resumed, shared by several processes, never lost with one of them.

Each process takes its next trial under a lock beside the file, together with a note of who it is. A trial whose process is
gone is marked failed when the next one is taken, and its settings are tried again. Own code, because Optuna's JournalStorage has
no heartbeat to tell a killed process by, and counting what is left and taking the next trial has to be one step.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch

from parzc_core._optional import optuna_library
from parzc_core.errors import BadInput
from parzc_core.storage import workers
from parzc_core.storage.lock import beside, locked
from parzc_core.storage.run_store import plain
from parzc_core.tuning import objective
from parzc_core.tuning.objective import REPORTS, Objective, StudyConfig, Undefined
from parzc_core.tuning.spaces import TuningSpace, Value
from parzc_core.tuning.trials import frame, frozen, read_trials, space_of

NAME = "parzc"  # of the study in its file
WARMUP = 3  # reports that a trial may give before it can be ended for being below the median of the others
STARTUP = 10  # random trials before the density of good ones counts


def run_study(
    study: StudyConfig, file: Path | str, trials: int, jobs: int = 1, kept: Path | str | None = None
) -> pd.DataFrame:
    """Run what is missing of `trials` trials, on `jobs` processes; all of the study's trials as `trials_of` gives them.

    file: sqlite, made where it is not there. Trials that it holds count, whoever ran them, and other processes may work on it at
    the same time. kept: a file that `save_trials` wrote, from which a study whose sqlite file is gone goes on.
    Raises BadInput (no trials, a file that cannot be written or holds another study), UnknownName, LabelsMissing, WorkerDied.
    """
    if trials < 1:
        raise BadInput(f"got a budget of {trials} trials; expected at least 1")
    if jobs < 1:
        raise BadInput(f"got {jobs} jobs; expected at least 1")
    study.key()  # reads labels and statistics: where they are missing no file is made
    path = Path(file).absolute()
    with _locked(path):
        opened = _open(study, path)
        if kept is not None and not opened.get_trials(deepcopy=False):
            _restore(opened, study, Path(kept))
    for _ in workers.run(work, [(study, path, trials)] * jobs, jobs):
        pass
    return trials_of(study, path)


def work(study: StudyConfig, path: Path, trials: int) -> None:
    """One process's share: take trials until as many are done, or being run by other processes."""
    optuna = optuna_library("A study")
    torch.set_num_threads(1)
    made = objective.objective(study)
    with _locked(path):
        opened = _open(study, path)
    while True:
        with _locked(path):
            _bury(opened)
            states = [trial.state.name for trial in opened.get_trials(deepcopy=False)]
            if sum(state in ("COMPLETE", "PRUNED", "RUNNING") for state in states) >= trials:
                return
            trial = opened.ask()
            trial.set_user_attr("owner", _me())
            # Each trial has a sampler of its own, so that a study that goes on does not repeat its first draws.
            opened.sampler = _sampler(study.seed, trial.number)
            values = _suggest(trial, made.space)
        try:
            _run(opened, trial, made, values)
        except BaseException:
            opened.tell(trial, state=optuna.trial.TrialState.FAIL)
            opened.enqueue_trial(values)
            raise


def _run(opened: Any, trial: Any, made: Objective, values: dict[str, Value]) -> None:
    optuna = optuna_library("A study")
    started = time.process_time()

    def watch(step: int, tau: float) -> None:
        trial.report(tau, step)
        if step < REPORTS and trial.should_prune():
            raise optuna.TrialPruned

    value, state = None, optuna.trial.TrialState.PRUNED
    try:
        value, state = made.of(values, watch), optuna.trial.TrialState.COMPLETE
    except optuna.TrialPruned:
        pass
    except Undefined:
        trial.set_user_attr("undefined", True)
    trial.set_user_attr("seconds", round(time.process_time() - started, 2))
    opened.tell(trial, value, state=state)


def trials_of(study: StudyConfig, file: Path | str) -> pd.DataFrame:
    """A row a trial, see `trials.frame`. Raises BadInput where the file holds no study of this configuration."""
    path = Path(file).absolute()
    if not path.is_file():
        raise BadInput(f"no study at {path.name}; run_study makes one")
    with _locked(path):
        opened = _open(study, path)
    return frame(study, opened.get_trials(deepcopy=False))


def _restore(opened: Any, study: StudyConfig, kept: Path) -> None:
    opened.add_trials(frozen(space_of(study), read_trials(study, kept)))


def _suggest(trial: Any, space: TuningSpace) -> dict[str, Value]:
    return {
        s.name: trial.suggest_int(s.name, int(s.low), int(s.high), log=s.log, step=s.step)
        if s.step
        else trial.suggest_float(s.name, s.low, s.high, log=s.log)
        for s in space.settings
    }


def _sampler(seed: int, number: int) -> Any:
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna_library("A study").samplers.TPESampler(seed=drawn, n_startup_trials=STARTUP, constant_liar=True)


def _open(study: StudyConfig, path: Path) -> Any:
    """The study in the file, made where it is not there yet. To be called under the lock. Raises BadInput."""
    optuna = optuna_library("A study")
    import sqlalchemy.exc  # comes with optuna

    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        opened = optuna.create_study(
            storage=storage,
            study_name=NAME,
            direction="maximize",
            load_if_exists=True,
            sampler=_sampler(study.seed, 0),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=WARMUP),
        )
    except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadInput(f"{path} cannot be used as a study's file ({reason}); give the name of a new one") from error
    asked = json.loads(json.dumps(study.key(), default=plain))
    stored = opened.user_attrs.get("config")
    if stored is None and not opened.get_trials(deepcopy=False):
        opened.set_user_attr("config", asked)
    elif stored != asked:
        raise BadInput(
            f"{path.name} holds a study of another configuration ({_differences(stored or {}, asked)}); "
            "give the name of a new file, or that study's own settings"
        )
    return opened


def _differences(stored: dict[str, Any], asked: dict[str, Any]) -> str:
    """What differs, as text; one level down into the ranker's settings."""
    flat = [{**{k: v for k, v in item.items() if k != "base"}, **item.get("base", {})} for item in (stored, asked)]
    names = [name for name in {**flat[0], **flat[1]} if flat[0].get(name) != flat[1].get(name)]
    return ", ".join(f"{name} {flat[0].get(name)!r} there, {flat[1].get(name)!r} asked for" for name in names)


def _bury(opened: Any) -> None:
    """Mark trials failed whose process is gone, and line their settings up again. To be called under the lock."""
    optuna = optuna_library("A study")
    for trial in opened.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if not _alive(trial.user_attrs.get("owner")):
            opened.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            if trial.params:
                opened.enqueue_trial(trial.params)


def _me() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def _alive(owner: dict[str, Any] | None) -> bool:
    """Whether the process that took a trial still runs; one on another machine is taken to."""
    if owner is None:  # it was killed while it held the lock
        return False
    if owner["host"] != platform.node():
        return True
    try:
        process = psutil.Process(owner["pid"])
        return abs(process.create_time() - owner["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock is let go by a kill too. Raises BadInput where no file can be written there."""
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        held = ExitStack()
        held.enter_context(locked(beside(path)))
    except OSError as error:
        raise BadInput(f"no study can be written to {path} ({error.strerror or error}); give another path") from error
    with held:
        yield
