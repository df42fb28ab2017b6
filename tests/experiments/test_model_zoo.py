"""What the zoo's tables say, on a made-up zoo whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from figure_checks import check

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.experiments import model_zoo
from parzc_core.own.networks import Described
from parzc_core.own.zoo import PROXIES, Zoo

COUNT = 24


@pytest.fixture(scope="module")
def made() -> Zoo:
    """Networks of which SNIP orders the accuracy, parameters in reverse, and nothing else tells anything."""
    generator = np.random.default_rng(0)
    quality = np.linspace(60, 85, COUNT)
    statistics, counts = [], []
    for place, top1 in enumerate(quality):
        values = np.exp(generator.normal(size=(len(PROXIES), 4)))
        values[PROXIES.index("snip")] = top1 / 4
        order = tuple(range(4))
        statistics.append(NodeStatistics(("a", "b", "c", "d"), PROXIES, values, np.full(4, 9), order))
        counts.append([1000.0 - place, generator.integers(100, 999)])
    names = tuple(f"net{i}" for i in range(COUNT))
    described = Described(names, tuple(statistics), np.array(counts), ({"Linear": 4},) * COUNT, None, "0" * 16)
    recipes = ["first", "improved"] * (COUNT // 2)
    first = [top1 if how == "first" else np.nan for top1, how in zip(quality, recipes, strict=True)]
    catalogue = pd.DataFrame(
        {"family": ["A", "B", "C"] * (COUNT // 3), "recipe": recipes, "top1": quality, "first": first},
        index=pd.Index(names, name="name"),
    )
    return Zoo(catalogue, described)


@pytest.fixture(scope="module")
def free(made) -> pd.DataFrame:
    return model_zoo.taus(made)


@pytest.fixture(scope="module")
def few(made) -> dict[int, pd.DataFrame]:
    return {10: model_zoo.from_few(made, 10, range(2))}


@pytest.fixture(scope="module")
def families(made) -> pd.DataFrame:
    return model_zoo.left_out(made)


def test_taus_are_those_of_scipy_and_within_a_recipe_of_its_networks_alone(made, free):
    found = free.set_index(["group", "score"])
    assert set(found.index.get_level_values("group")) == {"All", "first recipe", "improved recipe"}
    assert found.loc[("All", "snip"), "kendall"] == pytest.approx(100)
    assert found.loc[("All", "params"), "kendall"] == pytest.approx(-100)
    first = made.catalogue["first"].dropna()
    flops = made.scores().loc[first.index, "flops"]
    expected = 100 * scipy.stats.kendalltau(flops, first).statistic
    assert found.loc[("first recipe", "flops"), "kendall"] == pytest.approx(expected)
    assert found.loc[("first recipe", "flops"), "networks"] == len(first) == COUNT // 2


def test_few_labels_teach_what_orders_the_others(made, few):
    assert list(few[10].columns) == [*model_zoo.RANKERS, model_zoo.CHOSEN]
    assert (few[10]["ParZC+"] > 80).all()
    assert few[10]["Params"].tolist() == pytest.approx([-100, -100])
    table = model_zoo.by_labels(few)
    assert table.loc[10, ["draws", "ParZC+ above both (%)"]].tolist() == [2, 100]
    with pytest.raises(BadInput, match="got 20 labels; expected 2 to 19, as 5 networks"):
        model_zoo.from_few(made, 20, [0])


def test_a_family_is_predicted_by_those_that_have_not_seen_it(made, families):
    assert list(families.index) == list(made.catalogue.index)
    tau, low, high = model_zoo.family_tau(families)
    assert low <= tau <= high
    assert tau > 80
    assert model_zoo.by_family(families)["networks"].tolist() == [8, 8, 8]
    changed = made.catalogue.assign(top1=made.top1.where(made.catalogue["family"] != "A", 50.0))
    blind = model_zoo.left_out(Zoo(changed, made.networks))
    own = made.catalogue["family"] == "A"
    pd.testing.assert_series_equal(blind.loc[own, "predicted"], families.loc[own, "predicted"])  # A's labels are never read


def test_rows_sentences_and_picture_say_the_same(made, free, few, families):
    rows = {(row.row, row.column): row for row in model_zoo.rows(free, few, families, "smoke")}
    assert rows["SNIP", "All"].value == pytest.approx(100)
    assert rows["ParZC+, 10 labels", "All"].runs == 2
    assert rows["ParZC+, family left out", "All"].n == COUNT
    said = model_zoo.conclusions(free, few, families)
    assert "the best proxy is SNIP 100 %" in said[0]
    assert "first recipe: SNIP 100 %" in said[1]
    expected = ["top-1 accuracy on ImageNet (%)", "All (24 networks)", "SNIP", "predicted from the other families (%)"]
    check(model_zoo.overview(free, families), expected)


def test_profiles_draw_more_labels_as_they_grow():
    assert model_zoo.draws("smoke") < model_zoo.draws("standard") < model_zoo.draws("full") == model_zoo.draws("paper")
