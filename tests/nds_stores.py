"""Made-up cells of a network design space, with statistics of which it is known how they rank."""

import numpy as np
import pandas as pd

from parzc_core.collecting.labelled import Data
from parzc_core.collector import NodeStatistics
from parzc_core.storage.statistics import Collection

ARCHS = [f"arch{i}" for i in range(30)]
TRUTH = np.linspace(80, 95, len(ARCHS))


def data() -> Data:
    """snip and synflow rise with accuracy, as one node each; params is constant but for one network, nwot has a NaN."""
    statistics = [
        NodeStatistics(
            ("a", "b"), ("snip", "synflow"), np.array([[i, 1.0], [2.0 * i, i]]), np.ones(2, dtype=np.int64), (0, 1)
        )
        for i in range(len(ARCHS))
    ]
    scores = pd.DataFrame({"params": [1.0] * 29 + [2.0], "nwot": [np.nan, *range(29)]}, index=ARCHS, dtype=float)
    collection = Collection(ARCHS, statistics, scores, {})
    none = np.zeros(0)
    return Data(collection, TRUTH, TRUTH, "val", "judged on made-up accuracy", none, none)
