"""A table as dots: where they stand and what is left out."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core.drawing import comparison as comparison_
from parzc_core.errors import BadInput


def comparison() -> pd.DataFrame:
    nan = float("nan")
    return pd.DataFrame(
        [
            ("NP", "A", "kendall", 34.0, 35.0, 33.0, 37.0, "%", "matches"),
            ("Mixer", "A", "kendall", 62.0, 70.0, 69.0, 71.0, "%", "higher"),
            ("MLP", "A", "kendall", 55.0, nan, nan, nan, "%", "quoted"),
            ("extra", "A", "kendall", nan, 40.0, nan, nan, "%", "new"),
            ("NP", "B", "seconds", 3.0, nan, nan, nan, "s", "quoted"),
        ],
        columns=["row", "column", "metric", "paper", "ours", "ci_low", "ci_high", "unit", "verdict"],
    )


def test_dots_stand_at_the_values_and_columns_without_ours_are_left_out():
    fig = comparison_.paper_vs_ours(comparison())
    (ax,) = fig.axes
    assert ax.get_title() == "A"
    offsets = sorted(tuple(dots.get_offsets()[0].tolist()) for dots in ax.collections)
    assert offsets == [(34.0, 0.0), (35.0, 0.0), (40.0, 3.0), (55.0, 2.0), (62.0, 1.0), (70.0, 1.0)]
    with pytest.raises(BadInput):
        comparison_.paper_vs_ours(comparison().assign(paper=np.nan, ours=np.nan))


def test_dots_are_labelled_and_whole():
    said = ["Table 6", "NP", "Mixer", "extra", "paper", "ours: matches", "ours: higher", "ours: new", "kendall (%)"]
    check(comparison_.paper_vs_ours(comparison(), "Table 6"), said)
