"""When a recomputed value is the same: bit-equal, within the rounding of another CPU, or different.

    of_nodes("snip", stored, computed).verdict            # "bit-equal"

Float32 rounds otherwise on a CPU with other vector instructions, so the same code gives other last bits there. TOLERANCES say how
far that goes, for each proxy. They rest on 70 cells of 35 collections, computed with SSE4.1 in place of the AVX-512 that made the
committed values; on the float32 errors that `parzc benchmark collector` measures; and on recollections on another CPU, whose sums
differed by 1e-8 to 5e-5, once by .2 (GraSP on NAS-Bench-101). They are about four times the worst that was seen.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from parzc_core.metrics import spearman
from parzc_core.storage.statistics import KEPT_BITS, Record, round_mantissa

EQUAL, WITHIN, DIFFERENT = "bit-equal", "within tolerance", "different"

TOLERANCES = {
    # Of nodes and of their sums; beside each the worst that was seen. A sign that flips in a ReLU moves them most.
    "fisher": 0.05,  # .016
    "grad_norm": 0.05,  # .010
    "snip": 0.05,  # .012
    "plain": 0.05,  # of Snip, the same terms without signs: before a BatchNorm they cancel, and Plain is nothing but rounding
    "grasp": 0.5,  # .14 of nodes, .2 of sums, .39 beside zero-cost-nas: a second derivative, whose nodes cancel in the sum
    "synflow": 1e-5,  # 1.8e-6, one step of the kept mantissa: computed in float64
    "l2_norm": 4e-6,  # 0; two steps of the kept mantissa: only the initial weights enter
    # Network-level scores.
    "params": 0.0,
    "flops": 0.0,
    "jacov": 0.1,  # 3.0e-2 of a DARTS network, 8.7e-5 of others: divides by eigenvalues near 0
    "nwot": 1e-5,  # 2.9e-7: a ReLU's sign in some thousands
    "zen": 1e-5,  # 2.0e-6
    "zico": 0.1,  # .027: divides by the standard deviation of two gradients
    "eznas": 0.01,  # .0028
    "gradsign": 0.005,  # 1.8e-4
    "knas": 0.005,  # 6.8e-4
    "nasi": 0.005,  # 1.0e-3
    "ntk_condition": 0.005,  # 6.4e-4
    "logsynflow": 1e-6,  # 2.0e-10
    "dss": 1e-6,  # 6.0e-8
    "synaptic_diversity": 1e-6,  # 6.2e-8
    "synaptic_saliency": 1e-6,  # 4.5e-8
}
OTHERS = 0.05  # of a proxy that is not named above
SIGNED = {"plain": "snip", "grasp": None}  # sums of terms that cancel -> the proxy that they are measured by; None: the mean size


@dataclass(frozen=True)
class Compared:
    """One proxy, score or result, stored and recomputed.

    difference: the largest, in the unit of `tolerance`: a share of the value, or points; inf where what differs is no number.
    """

    what: str
    verdict: str
    difference: float
    tolerance: float


def compared(what: str, equal: bool, difference: float, tolerance: float) -> Compared:
    """The verdict of a difference."""
    verdict = EQUAL if equal else WITHIN if difference <= tolerance else DIFFERENT
    return Compared(what, verdict, 0.0 if equal else difference, tolerance)


def worst(found: Iterable[Compared]) -> str:
    """The verdict of all of them together."""
    return max((one.verdict for one in found), key=(EQUAL, WITHIN, DIFFERENT).index, default=EQUAL)


def largest(stored: Any, computed: Any, scale: Any) -> float:
    """The largest difference over its scale; inf where one is NaN or infinite and the other is not the same.

    stored, computed, scale: float64 of one shape.
    """
    a, b = np.asarray(stored, dtype=np.float64), np.asarray(computed, dtype=np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(all="ignore"):
        away = np.where(same, 0.0, np.abs(a - b) / scale)
    return float(np.nan_to_num(away, nan=math.inf, posinf=math.inf).max(initial=0.0))


def of_nodes(
    proxy: str, stored: np.ndarray, computed: np.ndarray, snip: np.ndarray | None = None, bits: int = KEPT_BITS
) -> Compared:
    """A proxy at the nodes of an architecture: float64[L], stored and computed.

    snip: stored Snip of these nodes, if it is there. bits: of mantissa that are kept; what is computed is rounded alike.
    """
    rounded = round_mantissa(computed, bits)
    scale = np.abs(stored)
    if proxy in SIGNED:
        scale = scale + (snip if SIGNED[proxy] == "snip" and snip is not None else scale.mean())
    equal = bool(np.array_equal(stored, rounded, equal_nan=True))
    return compared(proxy, equal, largest(stored, rounded, scale), TOLERANCES.get(proxy, OTHERS))


def of_record(stored: Record, computed: Record, bits: int = KEPT_BITS) -> Iterator[Compared]:
    """Every proxy and score of an architecture. bits: as in `of_nodes`."""
    mine, there = computed.statistics, stored.statistics
    if (mine.nodes, mine.proxies, mine.execution_order) != (there.nodes, there.proxies, there.execution_order) or (
        mine.numel.tolist() != there.numel.tolist()
    ):
        yield Compared("nodes", DIFFERENT, math.inf, 0.0)
        return
    snip = dict(zip(there.proxies, there.values, strict=True)).get("snip")
    for proxy, row, again in zip(there.proxies, there.values, mine.values, strict=True):
        yield of_nodes(proxy, row, again, snip, bits)
    for name, value in stored.scores.items():
        yield _of_score(name, value, computed.scores.get(name, math.nan), stored.scores)


def _of_score(name: str, stored: float, computed: float, scores: Mapping[str, float]) -> Compared:
    """A score, or a sum over nodes. The terms of Plain and GraSP cancel in it, so that it is measured beside their size.

    Behind a BatchNorm GraSP is the squared norm of the gradient, whose sum over 100 nodes is at least that of the norms squared,
    over 100.
    """
    size = {"plain": abs(scores.get("snip", 0.0)), "grasp": scores.get("grad_norm", 0.0) ** 2 / 100}
    scale = abs(stored) + size.get(name, 0.0)
    equal = stored == computed or (math.isnan(stored) and math.isnan(computed))
    return compared(name, equal, largest(stored, computed, scale), TOLERANCES.get(name, OTHERS))


def of_result(kind: str, stored: Mapping[str, Any], computed: Mapping[str, Any]) -> Iterator[Compared]:
    """Every entry of a run's result, but what it took. kind: of the run, which names the entries."""
    for name in sorted(stored):
        if name == "seconds" or name not in computed:  # an entry of an earlier version decides nothing today
            continue
        yield _of_entry(f"{kind}: {name}", name, _leaves(stored[name]), _leaves(computed[name]))


def _of_entry(what: str, name: str, stored: list[Any], computed: list[Any]) -> Compared:
    unit, tolerance = unit_of(name)
    if len(stored) != len(computed) or any(a != b for a, b in zip(stored, computed, strict=True) if not _numbers(a, b)):
        return Compared(what, DIFFERENT, math.inf, tolerance)
    numbers = [(a, b) for a, b in zip(stored, computed, strict=True) if _numbers(a, b)]
    a, b = np.array(numbers, dtype=np.float64).reshape(-1, 2).T
    if unit == "order":
        difference = float(np.nan_to_num(100 - spearman(a, b), nan=math.inf))  # NaN where one is constant
    else:
        span = float(np.ptp(a[np.isfinite(a)])) if np.isfinite(a).any() else 0.0
        difference = largest(a, b, {"points": 1.0, "cells": 1.0, "span": span}.get(unit, np.abs(a)))
    return compared(what, bool(np.array_equal(a, b, equal_nan=True)), difference, tolerance)


# A training of some hundred steps in float32 carries rounding on, so that two CPUs end at two rankers. The rules of verdicts
# widen an interval by 2 points for what matters to no conclusion, and the same holds here. With SSE4.1 in place of AVX-512 the
# tau of rankers, predictors and ParZC+ moved by less than .01 points. Single scores moved by a third of their range, their order
# by half a point.
POINTS = 2.0
UNITS = {
    "exact": ("n", "n_no_twin", "not_finite", "judged_on", "trained", "held_out", "labels", "size"),
    "searched": ("cost", "trainings", "repeats", "ended", "incumbents", "at"),  # whole numbers, or published times
    "order": ("scores", "predicted"),  # points of rank correlation short of 100
    "span": ("importance", "impurity", "permutation", "groups", "spread", "mean"),  # a share of the values' range
    "relative": ("training_loss", "loss"),
    "cells": ("top10",),  # percent of ten cells: one is 10
}
_TOLERANCE = {"exact": 0.0, "searched": 0.0, "order": 5.0, "span": 0.05, "relative": 0.1, "cells": 20.0}


def unit_of(name: str) -> tuple[str, float]:
    """(unit, tolerance) of an entry of a result: of UNITS, else "points" of percent."""
    unit = next((unit for unit, names in UNITS.items() if name in names), None)
    return (unit, _TOLERANCE[unit]) if unit else ("points", POINTS)


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _leaves(value: Any) -> list[Any]:
    """The numbers and texts of nested JSON or arrays, in order; not what it took."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) if key != "seconds" for leaf in _leaves(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value]
