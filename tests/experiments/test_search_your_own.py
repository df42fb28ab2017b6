"""What a ranking of one's own networks is worth: its sure pairs, and what its intervals hold."""

import numpy as np
import pandas as pd
import pytest

from parzc_core.errors import BadInput
from parzc_core.experiments.search_your_own import covered, sure_pairs


def test_sure_pairs_are_those_more_than_two_joint_spreads_apart() -> None:
    ranking = pd.DataFrame({"score": [0.0, 1.0, 5.0, 5.1], "spread": [0.3, 0.4, 0.3, 0.4]})
    found = sure_pairs(
        ranking, [1.0, 2.0, 4.0, 3.0]
    )  # two joint spreads are 1.0: the pair (0, 1) is at the edge, not above
    assert found.loc["sure"].tolist() == [4, 100]
    assert found.loc["not sure"].tolist() == [2, 50]
    upside_down = sure_pairs(ranking, [4.0, 4.0, 1.0, 1.0])
    assert upside_down.loc["sure"].tolist() == [4, 0]
    assert upside_down.loc["not sure", "pairs"] == 0
    assert np.isnan(upside_down.loc["not sure", "order right (%)"])
    with pytest.raises(BadInput, match="4 ranked networks"):
        sure_pairs(ranking, [1.0])


def test_intervals_are_counted_where_they_are() -> None:
    ranking = pd.DataFrame({"low": [0.0, 1.0, np.nan, 5.0], "high": [2.0, 2.0, np.nan, 9.0]})
    assert covered(ranking, [1.0, 3.0, 2.0, 5.0]).tolist() == pytest.approx([3, 200 / 3, 7 / 3])
    assert covered(ranking.iloc[2:3], [1.0])["networks"] == 0
    with pytest.raises(BadInput, match="4 ranked networks"):
        covered(ranking, [1.0])
