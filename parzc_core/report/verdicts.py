"""The verdict on a printed number, by its kind: a rule that was fixed before the run, or the reason why there is none.

>>> judge(94.36, Ours(93.1, 93.0, 93.2, runs=20), "searched accuracy", scale=Scale(93.71, 94.37))
Verdict(name='lower', reason='')
"""

import math
from typing import NamedTuple

MARGIN = 2.0  # points beside the interval of a rank correlation
SHARE = 0.1  # of the way from random search to the optimum, beside the interval of a searched accuracy
RELATIVE = 0.02  # of parameters and FLOPs
WIDEST = 10.0  # points; a wider interval of a correlation could not fail
LEAST_RUNS = 5  # of what is trained or searched
JUDGED_PROFILES = ("full", "paper")
NOT_JUDGED = "not judged"
# Kinds of `paper.kinds.KINDS` that no rule judges, and why.
UNJUDGED = {
    "cost": "a cost",
    "constant": "read from the labels; a test holds it",
    "optimum": "read from the labels; a test holds it",
    "random search": "random search is the zero of the scale",
    "accuracy of one training": "the accuracy of one training",
    "size of a found network": "the size of another network than the paper's",
    "setting": "a setting",
}
TRAINED = ("trained correlation", "searched accuracy")
_CORRELATIONS = ("correlation", "trained correlation")
_SLACK = 1e-9  # so that a printed value exactly on the edge does not hang on a rounding error


class Verdict(NamedTuple):
    """ "matches", "higher", "lower" (ours is), or "not judged" with its reason."""

    name: str
    reason: str = ""


class Ours(NamedTuple):
    """Our value of a printed cell, in its unit. ci_low, ci_high: 95 % interval; NaN where there is none."""

    value: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    runs: int = 1
    epochs: int = 0
    published_epochs: int = 0
    profile: str = "full"


class Scale(NamedTuple):
    """Where a column's accuracies lie: mean of our random search, and the optimum of the benchmark; percent."""

    random: float
    optimum: float

    def share(self, accuracy: float) -> float:
        """0 for random search, 1 for the optimum."""
        return (accuracy - self.random) / (self.optimum - self.random)


def judge(printed: float, ours: Ours, kind: str, scale: Scale | None = None) -> Verdict:
    """The verdict on a printed number of that kind (of `paper.kinds.KINDS`).

    It matches if it lies in our interval, widened by 2 points (correlation), by 0.1 on the share scale (searched accuracy), by
    2 % (size). Without an interval our value stands for both its ends. scale: of the column, which a searched accuracy needs.
    """
    reason = reason_against(ours, kind, scale)
    if reason:
        return Verdict(NOT_JUDGED, reason)
    low, high = (ours.value, ours.value) if math.isnan(ours.ci_low) else (ours.ci_low, ours.ci_high)
    margin = MARGIN
    if kind == "size":
        low, high, margin = ours.value, ours.value, RELATIVE * abs(printed)
    if kind == "searched accuracy" and scale is not None:
        printed, low, high, margin = scale.share(printed), scale.share(low), scale.share(high), SHARE
    return Verdict(compared(printed, low, high, margin))


def compared(printed: float, low: float, high: float, margin: float) -> str:
    """ "matches" if printed is in [low - margin, high + margin], else where ours is: "higher" or "lower"."""
    if printed < low - margin - _SLACK:
        return "higher"
    return "lower" if printed > high + margin + _SLACK else "matches"


def reason_against(ours: Ours, kind: str, scale: Scale | None = None) -> str:
    """Why ours is not judged, the first reason that holds; "" if it is."""
    if kind in UNJUDGED:
        return UNJUDGED[kind]
    if ours.profile not in JUDGED_PROFILES:
        return "a profile below full"
    if kind in TRAINED and ours.runs < LEAST_RUNS:
        return f"fewer than {LEAST_RUNS} runs"
    if 0 < ours.epochs < ours.published_epochs:
        return "fewer epochs than published"
    if kind in _CORRELATIONS and ours.ci_high - ours.ci_low > WIDEST:
        return f"an interval wider than {WIDEST:.0f} points"
    if kind == "searched accuracy" and (scale is None or not scale.optimum > scale.random):
        return "no random search or optimum of ours in this column"
    return ""
