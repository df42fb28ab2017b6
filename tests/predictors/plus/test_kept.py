"""What ParZC+ keeps of a fit, and what it says of training cells as if it had not seen them."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from parzc_core.errors import BadInput, UnknownName
from parzc_core.metrics import kendall
from parzc_core.predictors.plus.features import PlusInputs
from parzc_core.predictors.plus.learners import Forest
from parzc_core.predictors.plus.model import ParZCPlus, PlusConfig
from parzc_core.predictors.plus.process import BlockProcess

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 6)).astype(np.float32)
Y = X[:, 0] * 3 + X[:, 4] - 20 + 0.3 * GENERATOR.normal(size=40)  # no percentages
BLOCKS = {"snip": X[:, :3], "scores": X[:, 3:]}
SMALL = PlusConfig(parts=("scores", "statistics"), isomorphic=False, trees=20, steps=20)


def inputs(rows: slice) -> PlusInputs:
    blocks = {name: block[rows] for name, block in BLOCKS.items()}
    return PlusInputs(blocks, blocks, np.arange(len(X))[rows])


def test_trees_as_arrays_are_the_model() -> None:
    model = ExtraTreesRegressor(15, max_features=0.5, random_state=0).fit(X[:30], Y[:30])
    forest = Forest.of([tree.tree_ for tree in model.estimators_])
    each = np.stack([tree.predict(X) for tree in model.estimators_])
    np.testing.assert_array_equal(forest.arrays["value"][forest.leaves(X)], each)


def test_labels_of_any_scale_are_learned_and_kept() -> None:
    plus = ParZCPlus(SMALL, "unchanged").fit(inputs(slice(30)), Y[:30], seed=0)
    score, spread = plus.predict(inputs(slice(30, 40)), samples=1)
    assert kendall(score, Y[30:]) > 40
    plain, arrays = plus.state()
    again = ParZCPlus.from_state(plain, arrays)
    for made, expected in zip(again.predict(inputs(slice(30, 40)), samples=1), (score, spread), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-9)
    np.testing.assert_allclose(again.predict(inputs(slice(30, 40))), score, rtol=1e-9)
    with pytest.raises(BadInput, match="expected percent"):
        ParZCPlus(SMALL).fit(inputs(slice(30)), Y[:30], seed=0)
    with pytest.raises(UnknownName, match="scale of labels 'logit'"):
        ParZCPlus(SMALL, "logit")
    with pytest.raises(BadInput, match="before it was fitted"):
        ParZCPlus(SMALL).state()


def test_what_a_process_says_of_a_cell_it_left_out_is_exact() -> None:
    target = (Y[:30] - Y[:30].mean()) / Y[:30].std()
    process = BlockProcess(steps=10).fit([X[:30, :3], X[:30, 3:]], target)
    state = process.state()
    for row in (0, 17):
        kept = np.arange(30) != row
        part = {name: value[kept] if name in ("target", "block0", "block1") else value for name, value in state.items()}
        other = BlockProcess().restore(part)
        mean, spread = other.predict([X[[row], :3], X[[row], 3:]], spread=True)
        assert spread is not None
        np.testing.assert_allclose(process.left_out()[row], mean[0], rtol=1e-6)
        np.testing.assert_allclose(process.left_out_spread()[row], spread[0], rtol=1e-6)


def test_left_out_scores_rank_and_do_not_see_the_label() -> None:
    plus = ParZCPlus(SMALL, "unchanged").fit(inputs(slice(30)), Y[:30], seed=0)
    score, spread = plus.left_out(inputs(slice(30)), Y[:30], seed=0)
    assert 30 < kendall(score, Y[:30]) < kendall(plus.predict(inputs(slice(30))), Y[:30])
    assert (spread > 0).all()
    trees = PlusConfig(parts=("scores", "statistics"), learners=("trees",), isomorphic=False, trees=20)
    moved = Y[:30].copy()
    moved[4] += 50
    known = [ParZCPlus(trees, "unchanged").fit(inputs(slice(30)), y, seed=0) for y in (Y[:30], moved)]
    raw = [
        made.left_out(inputs(slice(30)), y, seed=0)[0] * made._scales[0][1] + made._scales[0][0]
        for made, y in zip(known, (Y[:30], moved), strict=True)
    ]
    assert raw[0][4] == pytest.approx(raw[1][4])
    with pytest.raises(BadInput, match="at least 4 cells"):
        plus.left_out(inputs(slice(3)), Y[:3], seed=0)
