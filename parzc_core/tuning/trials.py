"""Trials as a table: of a study in its file, saved as csv, and back into Optuna."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core._optional import optuna_library
from parzc_core.errors import BadInput
from parzc_core.paths import write_whole
from parzc_core.storage.run_store import RunStore
from parzc_core.tuning.objective import StudyConfig
from parzc_core.tuning.spaces import TuningSpace, tuning_space

COLUMNS = ("study", "number", "state", "value", "seconds", "reported")  # before the settings
DONE = ("COMPLETE", "PRUNED")  # a failed trial is done again


def space_of(study: StudyConfig) -> TuningSpace:
    """The space of the study."""
    return tuning_space(study.space, study.size)


def key_of(study: StudyConfig) -> str:
    """16 hex digits that tell studies apart."""
    return RunStore.key(study.key())[:16]


def frame(study: StudyConfig, trials: Sequence[Any]) -> pd.DataFrame:
    """A row a trial: study (see `key_of`), number, state (COMPLETE, PRUNED, FAIL, RUNNING, WAITING), value (tau, percent; of a
    pruned trial the last one reported), seconds (CPU), reported (step:tau of each report), then a column a setting of the space.
    """
    rows = []
    for trial in trials:
        reported = " ".join(f"{step}:{tau:.3f}" for step, tau in sorted(trial.intermediate_values.items()))
        seconds = trial.user_attrs.get("seconds", np.nan)
        value = np.nan if trial.value is None else trial.value
        rows.append((key_of(study), trial.number, trial.state.name, value, seconds, reported, trial.params))
    made = pd.DataFrame([row[:-1] for row in rows], columns=list(COLUMNS))
    for setting in space_of(study).settings:
        made[setting.name] = [row[-1].get(setting.name, np.nan) for row in rows]
    return made


def save_trials(trials: pd.DataFrame, file: Path) -> Path:
    """Write a frame as csv, whole or not at all; what is running or waiting is left out."""
    done = trials[trials["state"].isin(["COMPLETE", "PRUNED", "FAIL"])]
    return write_whole(file, done.to_csv(index=False, lineterminator="\n"))


def read_trials(study: StudyConfig, file: Path) -> pd.DataFrame:
    """What `save_trials` wrote of this study; no row where there is no such file, or none of its trials. Raises BadInput."""
    space = space_of(study)
    names = [*COLUMNS, *(setting.name for setting in space.settings)]
    if not file.is_file():
        return pd.DataFrame(columns=names)
    read = pd.read_csv(file, dtype={"study": str, "reported": str}, keep_default_na=False, na_values={"value": [""]})
    if not set(COLUMNS) <= set(read.columns):
        raise BadInput(f"{file.name} has the columns {', '.join(read.columns)}; expected those of saved trials")
    mine = read[read["study"] == key_of(study)].reindex(columns=names).reset_index(drop=True)
    for setting in space.settings:  # empty in the rows of studies of other spaces, and so text
        mine[setting.name] = pd.to_numeric(mine[setting.name])
    return mine


def study_from(space: TuningSpace, trials: pd.DataFrame) -> Any:
    """An Optuna study in memory with the finished trials of such a frame, for its importances and plots."""
    optuna = optuna_library("A study")
    made = optuna.create_study(direction="maximize")
    made.add_trials(frozen(space, trials))
    return made


def frozen(space: TuningSpace, trials: pd.DataFrame) -> list[Any]:
    """Optuna's trials from the finished rows of a frame (see DONE)."""
    optuna = optuna_library("A study")
    distributions, made = _distributions(space), []
    for row in trials.to_dict("records"):
        if row["state"] not in DONE:
            continue
        taus = {int(step): float(tau) for step, tau in (pair.split(":") for pair in str(row["reported"]).split())}
        params = {s.name: int(row[s.name]) if s.step else float(row[s.name]) for s in space.settings}
        made.append(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[row["state"]],
                value=None if np.isnan(row["value"]) else float(row["value"]),
                params=params,
                distributions=distributions,
                user_attrs={"seconds": float(row["seconds"])},
                intermediate_values=taus,
            )
        )
    return made


def _distributions(space: TuningSpace) -> dict[str, Any]:
    distributions = optuna_library("A study").distributions
    return {
        s.name: distributions.IntDistribution(int(s.low), int(s.high), log=s.log, step=s.step)
        if s.step
        else distributions.FloatDistribution(s.low, s.high, log=s.log)
        for s in space.settings
    }
