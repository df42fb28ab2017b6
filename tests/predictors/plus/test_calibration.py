"""Coverage, scales learned out of fold, and the choice of the next cells."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from parzc_core.errors import BadInput, UnknownName
from parzc_core.predictors.plus.calibration import (
    CHOICES,
    LEVELS,
    Scale,
    acquisition,
    coverage,
    log_density,
    out_of_fold,
    select_next,
)
from parzc_core.predictors.plus.learners import CEILING, log_error


def accuracy_of(u: np.ndarray) -> np.ndarray:
    """Percent, the inverse of `log_error`."""
    return CEILING - np.exp(-u)


@pytest.fixture
def gaussian() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, spreads that differ, and truths that were drawn by them."""
    generator = np.random.default_rng(0)
    mean, spread = generator.normal(size=40_000), generator.uniform(0.1, 2, 40_000)
    return mean, spread, mean + spread * generator.normal(size=40_000)


def test_a_calibrated_gaussian_is_covered_as_often_as_it_says(gaussian: tuple[np.ndarray, ...]) -> None:
    mean, spread, truth = gaussian
    for level, percent in coverage(mean, spread, truth).items():
        assert percent == pytest.approx(level, abs=1)


def test_a_spread_too_small_by_half_is_found_out(gaussian: tuple[np.ndarray, ...]) -> None:
    mean, spread, truth = gaussian
    expected = 100 * (2 * norm.cdf(norm.ppf(0.975) / 2) - 1)
    assert coverage(mean, spread / 2, truth, [95])[95] == pytest.approx(expected, abs=1)
    assert log_density(mean, spread / 2, truth) < log_density(mean, spread, truth)
    assert log_density(mean, 2 * spread, truth) < log_density(mean, spread, truth)


def test_coverage_of_three_cells_by_hand() -> None:
    assert coverage(np.zeros(3), np.ones(3), np.array([0.5, 0.7, 3.0]), [50])[50] == pytest.approx(100 / 3)


@given(st.floats(-5, 5), st.floats(0.01, 20))
@settings(max_examples=30)
def test_coverage_does_not_mind_shift_and_unit(shift: float, unit: float) -> None:
    generator = np.random.default_rng(1)
    mean, spread, truth = generator.normal(size=50), generator.uniform(0.5, 1, 50), generator.normal(size=50)
    moved = coverage(shift + unit * mean, unit * spread, shift + unit * truth)
    assert moved == pytest.approx(coverage(mean, spread, truth), abs=2.1)  # one cell of 50 may sit on an edge


def test_wider_intervals_hold_more(gaussian: tuple[np.ndarray, ...]) -> None:
    found = list(coverage(*gaussian, (10, 50, 80, 95)).values())
    assert found == sorted(found)


def test_log_error_and_back() -> None:
    accuracy = np.array([0.0, 9.7, 91.2, 100.0])
    u = log_error(accuracy)
    assert accuracy_of(u) == pytest.approx(accuracy)
    assert (np.diff(u) > 0).all()
    assert u[0] == pytest.approx(-np.log(100.5))


def test_a_scale_finds_line_and_widening() -> None:
    generator = np.random.default_rng(2)
    score, spread = generator.normal(size=20_000), generator.uniform(0.05, 0.15, 20_000)
    u = -3 + 0.5 * (score + 3 * spread * generator.normal(size=20_000))
    scale = Scale.learn(score, spread, accuracy_of(u))
    assert scale.curve == pytest.approx((0, 0.5, -3), abs=0.02)
    assert (scale.slope, scale.widening) == pytest.approx((0.5, 3), rel=0.03)
    assert coverage(*scale.apply(score, spread), u)[80] == pytest.approx(80, abs=1.5)
    assert coverage(*scale.apply(score, spread, widen=False), u)[80] < 50
    assert scale.constant == pytest.approx(np.std(u + 3 - 0.5 * score), rel=0.01)


def test_a_scale_follows_a_bend_and_reversed_scores() -> None:
    score = np.linspace(-1, 1, 50)
    u = -3 + 0.2 * score - 0.1 * score**2
    wiggle = 0.001 * np.sin(np.arange(50))
    for sign in (1, -1):
        mean, spread = Scale.learn(sign * score, np.full(50, 0.1), accuracy_of(u + wiggle)).apply(
            sign * score, np.full(50, 0.1)
        )
        assert mean == pytest.approx(u, abs=0.002)
        assert spread == pytest.approx(np.std(wiggle), rel=0.1)


@pytest.mark.parametrize("kind", ["normal", "exponential", "heavy tails"])
def test_conformal_intervals_hold_what_they_claim_whatever_the_errors_are(kind: str) -> None:
    generator, inside = np.random.default_rng(4), []
    heavy = partial(generator.standard_t, 2)
    noise = {"normal": generator.normal, "exponential": generator.exponential, "heavy tails": heavy}[kind]
    for _ in range(150):
        score, spread = generator.normal(size=578), generator.uniform(0.05, 0.5, 578)
        u = -3 + 0.5 * score + 0.1 * score**2 + spread * noise(size=578)
        accuracy = accuracy_of(u[:78])
        scale = Scale.learn(score[:78], spread[:78], accuracy)
        mean, _ = scale.apply(score[78:], spread[78:])
        inside.append([100 * np.mean(np.abs(u[78:] - mean) <= scale.conformal(spread[78:], level)) for level in (50, 80, 95)])
    assert np.mean(inside, axis=0) == pytest.approx((50, 80, 95), abs=2)


def test_conformal_errors_are_those_from_the_parabola_through_the_others() -> None:
    generator = np.random.default_rng(5)
    score, spread, u = generator.normal(size=12), generator.uniform(0.5, 1, 12), generator.normal(size=12) - 3
    found = []
    for i in range(12):
        others = np.arange(12) != i
        curve = np.polyfit(score[others], u[others], 2, w=1 / spread[others])
        found.append(abs(u[i] - np.polyval(curve, score[i])) / spread[i])
    scale = Scale.learn(score, spread, accuracy_of(u))
    assert scale.errors == pytest.approx(sorted(found))
    assert scale.conformal(np.array([2.0]), 99.9) == pytest.approx(2 * max(found))
    assert scale.conformal(np.array([1.0]), 100 * 7 / 13) == pytest.approx(sorted(found)[6])


def test_out_of_fold_never_asks_for_what_it_learned() -> None:
    asked: list[int] = []

    def fit_predict(learned: np.ndarray, ask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        assert not set(learned) & set(ask)
        assert len(learned) + len(ask) == 23
        asked.extend(ask.tolist())
        return 10.0 * ask, ask + 0.5

    train = np.arange(100, 123)
    score, spread = out_of_fold(fit_predict, train, seed=3)
    assert sorted(asked) == train.tolist()
    assert (score == 10.0 * train).all()
    assert (spread == train + 0.5).all()


def test_acquisition_by_formula_and_limits() -> None:
    score, spread = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    expected = acquisition("expected improvement", score, spread, 0.5)
    generator = np.random.default_rng(4)
    sampled = np.maximum(generator.normal(0, 1, 400_000) - 0.5, 0).mean()
    assert expected == pytest.approx([sampled, 0.5], abs=0.005)
    assert acquisition("upper confidence", score, spread, 0.5).tolist() == [1, 1]
    assert acquisition("most uncertain", score, spread, 0.5).tolist() == [1, 0]
    assert (
        acquisition("random", score, spread, 0.5, 1).tolist() != acquisition("random", score, spread, 0.5, 2).tolist()
    )


@pytest.mark.parametrize("choice", CHOICES)
def test_the_next_cells_are_open_ones_and_the_same_each_time(choice: str) -> None:
    open_ = np.arange(5, 40)
    score, spread = np.sin(open_), np.cos(open_) ** 2
    chosen = select_next(choice, open_, score, spread, 0.9, 7, seed=1)
    assert len(set(chosen.tolist())) == 7
    assert set(chosen) <= set(open_)
    assert (chosen == select_next(choice, open_, score, spread, 0.9, 7, seed=1)).all()


def test_the_worthiest_come_first() -> None:
    open_, none = np.array([9, 4, 7]), np.zeros(3)
    assert select_next("most uncertain", open_, none, np.array([0.1, 0.3, 0.2]), 0.0, 2).tolist() == [4, 7]
    assert select_next("upper confidence", open_, np.array([1, 0, 3.0]), none, 0.0, 2).tolist() == [7, 9]


def test_bad_input_is_told() -> None:
    ones = np.ones(3)
    for mean, spread, truth, levels in (
        (ones, ones, np.ones(4), LEVELS),
        (ones, -ones, ones, LEVELS),
        (ones, np.full(3, np.nan), ones, LEVELS),
        (ones[:0], ones[:0], ones[:0], LEVELS),
        (ones, ones, ones, (100,)),
    ):
        with pytest.raises(BadInput):
            coverage(mean, spread, truth, levels)
    with pytest.raises(BadInput, match="above 0"):
        Scale.learn(np.arange(4.0), np.zeros(4), np.full(4, 90.0))
    with pytest.raises(BadInput, match="three of them different"):
        Scale.learn(ones, ones, 90 * ones)
    with pytest.raises(BadInput, match="folds"):
        out_of_fold(lambda a, b, c: (b, b), np.arange(9), 0)
    with pytest.raises(UnknownName):
        acquisition("greedy", ones, ones, 0.0)
    with pytest.raises(BadInput, match="count=5"):
        select_next("random", np.arange(3), ones, ones, 0.0, 5)
    with pytest.raises(BadInput, match="4 spreads"):
        select_next("random", np.arange(3), ones, np.ones(4), 0.0, 2)


def test_levels_spreads_and_counts_that_are_none_are_refused() -> None:
    generator = np.random.default_rng(0)
    score, spread = generator.normal(size=20), np.ones(20)
    scale = Scale.learn(score, spread, 90 + score)
    assert scale.conformal([1.0, 2.0], 90).shape == (2,)  # type: ignore[arg-type]
    for level in (101, -1, math.nan, "50", True):
        with pytest.raises(BadInput, match="got level="):
            scale.conformal(spread, level)  # type: ignore[arg-type]
    for bad in ([-1.0], [math.nan], ["1"]):
        with pytest.raises(BadInput, match="got spread"):
            scale.conformal(bad, 90)  # type: ignore[arg-type]
    for levels in (["50"], [True], [0], [100], [math.nan]):
        with pytest.raises(BadInput, match="got levels"):
            coverage(score, spread, score, levels)  # type: ignore[arg-type]
    assert select_next("highest score", [4, 5, 6], [0.1, 0.3, 0.2], [1, 1, 1], 0.0, 2).tolist() == [5, 6]  # type: ignore[arg-type]
    for count in (1.5, True, "1", 0, 4):
        with pytest.raises(BadInput, match="got count="):
            select_next("random", [4, 5, 6], [0.1, 0.3, 0.2], [1, 1, 1], 0.0, count)  # type: ignore[arg-type]
