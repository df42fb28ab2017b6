"""NAS-Bench-101 without its failed trainings: a cell's accuracy over those of its three runs that trained.

One run in 150 ends at chance, 999 of 9,984 images, and a cell's mean over three runs then falls by 27 points or more. PINAT's
public code (https://github.com/ShunLu91/PINAT, nasbench/datasets), on whose pipeline ParZC builds (A.4), leaves such runs out:
of a cell's test accuracy all runs below 30 %; a training cell whose run failed has another of its runs, and one without any that
trained teaches the mean. Where only means are at hand, the failed runs are inferred from them.
"""

import numpy as np
import pandas as pd

FAILED = 30.0  # percent; a run below has failed
RUNS = 3
CHANCE = 100 * 999 / 9984  # percent, what a failed run has: cells whose three runs failed have just this mean
_TRAINED = (80.0, 95.0)  # percent, between which the other runs must lie for a mean to be taken for one with failed runs
_ROUNDING = 1e-9  # percent; of (95 + 95 + chance) / 3 the rest is 95.00000000000001


def trained(table: pd.DataFrame) -> pd.Series:
    """Percent, indexed as the table: the mean of each cell's runs that trained; of a cell without such a run, the mean of all.

    table: percent, a column a run; or a single column, the mean of three, from which failed runs are then inferred:
    attrs["inferred"] of the result says so.
    """
    inferred = table.shape[1] == 1
    series = without_failed(table.iloc[:, 0]) if inferred else _of_runs(table)
    series.attrs["inferred"] = inferred
    return series


def _of_runs(table: pd.DataFrame) -> pd.Series:
    return table.where(table >= FAILED).mean(axis=1).fillna(table.mean(axis=1))


def failed_runs(mean: pd.Series) -> pd.Series:
    """How many of three runs failed, 0 to 3, by their mean in percent, if the others have 80 to 95 %.

    A poor cell whose runs all trained, with a mean of 57 to 67 or of 33 to 38 %, is mistaken for one with failed runs.
    """
    count = pd.Series(np.where(mean < FAILED, RUNS, 0), index=mean.index)
    least, most = _TRAINED
    for failed in (1, 2):
        count[_rest(mean, failed).between(least - _ROUNDING, most + _ROUNDING)] = failed
    return count


def without_failed(mean: pd.Series) -> pd.Series:
    """The mean of the runs that trained, percent, inferred from the mean of three; as it is where none or all three failed."""
    result = mean.copy()
    counts = failed_runs(mean)
    for failed in (1, 2):
        result = result.mask(counts == failed, _rest(mean, failed))
    return result


def _rest(mean: pd.Series, failed: int) -> pd.Series:
    """What the mean of the other runs is if so many of the three are at chance."""
    return (RUNS * mean - failed * CHANCE) / (RUNS - failed)


def taught(series: pd.Series) -> pd.Series:
    """For training cells: one without any run that trained teaches the mean of the others."""
    return series.mask(series < FAILED, series[series >= FAILED].mean())
