"""t-SNE is repeatable and keeps clusters apart; the numbers about an embedding against shapes that are known."""

import numpy as np
import pytest
from figure_checks import check

from parzc_core.collecting import labelled
from parzc_core.errors import BadInput
from parzc_core.experiments.fig06_tsne import line_likeness, share_between, tsne, tsne_panels, who_sets_the_scale

GENERATOR = np.random.default_rng(0)
SQUARE = GENERATOR.uniform(size=(2000, 2))
TURN = np.sort(GENERATOR.uniform(0, 12, 2000))
SPIRAL = np.c_[TURN * np.cos(TURN), TURN * np.sin(TURN)]


@pytest.fixture(scope="module")
def clusters() -> tuple[np.ndarray, np.ndarray]:
    label = np.repeat([0, 1, 2], 40)
    centres = 10 * np.eye(12)[:3]
    return centres[label] + np.random.default_rng(1).normal(size=(120, 12)), label


def test_tsne_keeps_clusters_apart_and_is_repeatable(clusters: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, label = clusters
    points = tsne(vectors, iterations=500)
    assert points.shape == (120, 2)
    assert share_between(points, label) > 85
    assert np.array_equal(points, tsne(vectors, iterations=500))


def test_a_straight_line_is_all_line() -> None:
    line = np.c_[TURN, 3 * TURN - 1]
    assert [line_likeness(line, share) for share in (1.0, 0.1, 0.01)] == pytest.approx([100, 100, 100])


def test_a_bent_line_is_a_line_only_from_near_by() -> None:
    assert line_likeness(SPIRAL) < 65
    assert line_likeness(SPIRAL, 0.01) > 99


def test_an_even_area_is_no_line_at_any_scale() -> None:
    assert line_likeness(SQUARE) < 55
    assert 55 < line_likeness(SQUARE, 0.1) < line_likeness(SQUARE, 0.005) < 70


def test_line_likeness_knows_no_direction_and_no_unit() -> None:
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    assert line_likeness(100 * SPIRAL @ turn + 7, 0.02) == pytest.approx(line_likeness(SPIRAL, 0.02))


def test_points_in_one_place_count_once() -> None:
    assert line_likeness(np.vstack([SQUARE, SQUARE[:500]]), 0.05) == pytest.approx(line_likeness(SQUARE, 0.05))


def test_share_between_by_hand() -> None:
    points = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [6.0, 0.0]])
    # centre 3; groups at 1 and 5: between 4 x 4 = 16 of 9 + 1 + 1 + 9 = 20
    assert share_between(points, np.array(["a", "a", "b", "b"])) == pytest.approx(80)
    assert share_between(points, np.arange(4)) == pytest.approx(100)
    assert share_between(points, np.zeros(4)) == pytest.approx(0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput, match="perplexity"):
        tsne(np.zeros((30, 4)))
    with pytest.raises(BadInput, match="finite"):
        tsne(np.full((50, 4), np.nan))
    with pytest.raises(BadInput, match="share=0"):
        line_likeness(SQUARE, 0)
    with pytest.raises(BadInput, match="7 different"):
        line_likeness(np.zeros((20, 2)))
    with pytest.raises(BadInput, match="3 labels"):
        share_between(SQUARE, np.arange(3))


def test_the_panels_are_labelled_and_whole():
    rng = np.random.default_rng(0)
    points = {name: rng.normal(size=(300, 2)) for name in ("snip", "grasp", "mine")}
    check(
        tsne_panels(points, rng.normal(90, 2, 300)),
        ["SNIP", "GraSP", "mine", "accuracy (%)", "t-SNE dimension 1 (no unit)"],
    )


def test_an_embedding_of_another_length_is_refused():
    with pytest.raises(BadInput, match="snip"):
        tsne_panels({"snip": np.zeros((4, 2))}, np.zeros(5))


def test_a_node_without_batchnorm_sets_grasps_scale() -> None:
    (said,) = who_sets_the_scale({"fig06b_tsne": labelled.load(cells=40)})
    assert said.startswith("NAS-Bench-201: a node without BatchNorm has the largest and the smallest value of Plain in ")
    assert "and 100 % of the cells, of GradNorm" in said  # GraSP's least value
