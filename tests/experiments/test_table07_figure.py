"""The drawing of NAS-Bench-101's failed trainings agrees with what was given."""

import numpy as np
import pandas as pd
import pytest

from parzc_core.errors import BadInput
from parzc_core.experiments.table07_losses import failed_trainings
from parzc_core.labels.nb101_failed import CHANCE

MEAN = pd.Series([90.0, 91.0, 92.0, (2 * 90 + CHANCE) / 3, (90 + 2 * CHANCE) / 3, CHANCE])
TAUS = pd.DataFrame({"printed": [65.0, 66.0], "published labels": [62.0, 69.0]}, index=["MSE", "Rank"])


def test_every_cell_is_in_the_histogram_of_its_failures_and_every_tau_is_drawn() -> None:
    fig = failed_trainings(MEAN, TAUS)
    left, right = fig.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "all three trained: 3 cells",
        "one of three failed: 1 cells",
        "two failed: 1 cells",
        "all failed: 1 cells",
    ]
    assert sum(patch.get_height() for patch in left.patches) == len(MEAN)  # none falls outside the bins
    assert [text.get_text() for text in right.get_yticklabels()] == ["MSE", "Rank"]
    for line, name in zip(right.lines, TAUS, strict=True):
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_xdata(), TAUS[name])


def test_more_kinds_of_label_than_marks_are_refused() -> None:
    with pytest.raises(BadInput, match="got 4 kinds of label"):
        failed_trainings(MEAN, pd.concat([TAUS, TAUS], axis=1))
