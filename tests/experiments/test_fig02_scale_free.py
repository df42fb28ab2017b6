"""The picture of GraSP and Plain before a BatchNorm, and the share of importance elsewhere."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core.collecting import labelled
from parzc_core.errors import BadInput
from parzc_core.experiments import fig02_scale_free
from parzc_core.experiments.fig02_05_importance import Importance
from parzc_core.runs.scale_free import identity_table
from parzc_core.spaces import nb201


def test_committed_statistics_lie_on_the_diagonal_and_the_picture_says_so():
    data = labelled.load(cells=30)
    values = fig02_scale_free.values_of(data)
    table = identity_table(values)
    assert table.loc["before a BatchNorm", "GraSP / GradNorm², median"] == pytest.approx(1, abs=0.01)
    assert table.loc["before a BatchNorm", "|Plain| / SNIP, median"] < 1e-5
    check(fig02_scale_free.identity_picture(values), ["GradNorm²", "|GraSP|", "before a BatchNorm", "without one"])


def test_nothing_to_draw_is_refused():
    with pytest.raises(BadInput, match="no node"):
        fig02_scale_free.identity_picture(pd.DataFrame({"grasp": [], "snip": [], "grad_norm2": []}))


def test_importance_outside_is_that_of_the_shortcuts_and_the_classifier():
    weights = np.zeros(len(nb201.SLOTS))
    weights[[nb201.SLOTS.index(name) for name in ("cells.5.downsample.1", "classifier", "stem.0")]] = (0.25, 0.25, 0.5)
    one = Importance(nb201.SLOTS, weights, weights, pd.DataFrame(), 0, 0, 1, 1)
    assert fig02_scale_free.share_outside(one) == pytest.approx(50)
