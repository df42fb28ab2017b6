"""How well the statistics of narrower, cheaper networks stand in for those of the benchmark's own width."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.encoding import slotted_logs
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs.predictions import Prediction
from parzc_core.runs.proxies import network_scores


def of_proxies(narrow: Data, wide: Data, slots: Sequence[str], proxies: Sequence[str] = NODE_PROXIES) -> pd.DataFrame:
    """A row a node-wise proxy; percent. The cells of `wide` must be the front of `narrow`'s, else BadInput.

    narrow, wide: Kendall's tau of the sum over nodes with accuracy. agreement: tau between the two sums.
    nodes: median over the slots of Spearman's rho between the two values of a node over the cells that have it (log |value|).
    """
    n = len(wide)
    if narrow.collection.archs[:n] != wide.collection.archs:
        raise BadInput("the two collections hold other cells; expected the same sample (same space and --seed)")
    sums = [network_scores(data).iloc[:n] for data in (narrow, wide)]
    logs = [slotted_logs(data.collection.statistics[:n], proxies, slots) for data in (narrow, wide)]  # float64[n, K, L]
    lines = {}
    for k, proxy in enumerate(proxies):
        few, many = (table[proxy].to_numpy() for table in sums)
        nodes = [_rho(logs[0][:, k, slot], logs[1][:, k, slot]) for slot in range(len(slots))]
        taus = (metrics.kendall(few, wide.judged), metrics.kendall(many, wide.judged), metrics.kendall(few, many))
        lines[proxy] = (*taus, float(np.nanmedian(nodes)) if np.isfinite(nodes).any() else np.nan)
    return pd.DataFrame.from_dict(lines, orient="index", columns=["narrow", "wide", "agreement", "nodes"])


def _rho(few: np.ndarray, many: np.ndarray) -> float:
    """Spearman's rho over the cells in which both are there; NaN for fewer than ten of them."""
    both = np.isfinite(few) & np.isfinite(many)
    return metrics.spearman(few[both], many[both]) if both.sum() >= 10 else np.nan


def of_rankers(narrow: Sequence[Prediction], wide: Sequence[Prediction]) -> pd.DataFrame:
    """A row a split; Kendall's tau, percent, of the ranker on narrow and on wide statistics, and between their scores.

    Raises BadInput where the two were not judged on the same cells.
    """
    lines = []
    for few, many in zip(narrow, wide, strict=True):
        if few.archs != many.archs:
            raise BadInput(
                f"the rankers of split {few.run.split} were judged on other cells; give both the same cells and split"
            )
        taus = (metrics.kendall(p.score, p.truth) for p in (few, many))
        lines.append((few.run.split, *taus, metrics.kendall(few.score, many.score)))
    return pd.DataFrame(lines, columns=["split", "narrow", "wide", "agreement"]).set_index("split")
