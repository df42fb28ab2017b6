"""ParZC+ in its notebook: what each profile runs, the tables beside the rows, and the rows."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core.experiments import parzc_plus
from parzc_core.experiments.parzc_plus import OURS, RIVAL
from parzc_core.predictors.plus.calibration import CHOICES, LEVELS
from parzc_core.predictors.plus.model import LEARNERS, PLUS

RESULTS = pd.DataFrame(
    [
        {"place": "NB201-CF10", "row": row, "train": 78, "split": split, "kendall": tau + split, "n": 100}
        for row, tau in ((OURS, 70.0), (RIVAL, 68.0))
        for split in range(3)
    ]
)


def coverage() -> pd.DataFrame:
    lines = []
    for row in (OURS, "MABN as printed"):
        line = {f"{name} {level}": float(level) for name in parzc_plus.SPREADS for level in LEVELS}
        line |= {f"{name} width {level}": 0.5 for name in parzc_plus.SPREADS for level in LEVELS}
        line |= {f"{name} density": -1.0 for name in parzc_plus.SPREADS if name != "conformal"}
        about = {"place": parzc_plus.MAIN, "row": row, "train": 78, "split": 0}
        lines.append({**about, **line, "widening": 2.0, "error_of_spread": 1.0})
    return pd.DataFrame(lines)


def grown() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"row": OURS, "choice": choice, "split": split, "labels": labels, "kendall": 60.0 + split, "gap": 1.0}
            for choice in CHOICES
            for split in range(2)
            for labels in (20, 40)
        ]
    )


def test_the_ablation_leaves_out_and_keeps_alone_every_learner() -> None:
    named = parzc_plus.ablation()
    assert len(named) == len({repr(config) for config in named.values()})
    for name in PLUS.learners:
        (without,) = [c for what, c in named.items() if what.startswith("without") and c.learners == tuple(
            x for x in PLUS.learners if x != name)]  # fmt: skip
        assert without.parts == PLUS.parts
    alone = [config.learners for what, config in named.items() if what.endswith("alone")]
    assert {learners for learners in alone if len(learners) == 1} == {(name,) for name in LEARNERS}


def test_the_gain_over_the_rival_is_paired() -> None:
    table = parzc_plus.over_rival(RESULTS)
    assert table["our mean difference"].to_dict() == {f"NB201-CF10 78: {OURS} over the GRAF-like rival": 2.0}


def test_parts_stand_beside_the_whole() -> None:
    parts = RESULTS.replace({"row": {RIVAL: "without node statistics"}})
    ((said, table),) = parzc_plus.by_part(parts).items()
    assert said == "78 training cells; ParZC+ 71.0, 3 splits"
    assert table.loc["without node statistics", ["tau", "our mean difference"]].tolist() == [69.0, -2.0]


def test_coverage_and_the_end_of_growing_are_means_over_splits() -> None:
    table = parzc_plus.coverages(coverage())
    assert table.loc["given 50", (parzc_plus.MAIN, OURS, 78)] == 50
    assert table.loc["conformal width 80", (parzc_plus.MAIN, OURS, 78)] == 0.5
    end = parzc_plus.at_the_end(grown())
    assert end.loc[(OURS, CHOICES[0]), ("mean", "kendall")] == pytest.approx(60.5)


def test_an_interval_misses_by_the_mean_over_splits_with_the_fewest_labels() -> None:
    few, more = coverage().iloc[:1], coverage().iloc[:1].assign(**{"train": 469, "conformal 50": 90.0})
    other = coverage().iloc[:1].assign(place="NB101-CF10", train=100)
    splits = pd.concat([few.assign(**{"conformal 80": 70.0}), few.assign(**{"conformal 80": 86.0}), more, other])
    assert parzc_plus.misses(splits).to_dict() == {parzc_plus.MAIN: 2.0, "NB101-CF10": 0.0}
    assert parzc_plus.least_trained(splits)["train"].tolist() == [78, 78]


def test_the_figure_says_what_was_not_run() -> None:
    figure = parzc_plus.calibration_and_selection(coverage(), grown())
    said = [
        f"{OURS}: coverage\none split",
        f"{OURS}: best cell found\nmean of 2 splits, 95 % interval",
        "MABN as printed: coverage\none split",
        "not run in this profile",
        "as given",
    ]
    check(figure, said)
    found = grown()
    alone = parzc_plus.calibration_and_selection(coverage(), found[found["split"] == 0])
    check(alone, [f"{OURS}: best cell found\none split, so no interval"])
    marks = {tuple(np.asarray(line.get_xdata(), dtype=float)) for line in alone.axes[2].get_lines() if len(line.get_xdata())}
    assert len(marks) == len(CHOICES)  # all are equally good here, and none hides another


def test_conclusions_have_the_numbers_of_the_tables() -> None:
    names = {OURS: 71.0, "without node statistics": 69.0, "without extra-trees": 70.9, "extra-trees alone": 60.0}
    parts = pd.DataFrame(
        [{"row": row, "train": 78, "split": split, "kendall": tau + split} for row, tau in names.items() for split in (0, 1)]
    )
    found = grown()
    found.loc[found["choice"] == "upper confidence", ["kendall", "gap"]] = 50.0, 0.1
    tau, lost, intervals, following = parzc_plus.conclusions(RESULTS, parts, coverage(), found)
    assert f"NB201-CF10 with 78 labels 71.0 ({RIVAL}: 69.0)" in tau
    assert "node statistics (2.0 points), extra-trees (0.1 points)" in lost
    assert f"{OURS} 50 % as given, 50 % widened and 50 % conformal" in intervals
    assert intervals.endswith("that claim 50, 80 and 95 % are off by at most these points: NB201-CF10 0.0.")
    assert "With 40 labels the choice *upper confidence* is 0.10 points below" in following
    assert "*random* 1.00" in following
