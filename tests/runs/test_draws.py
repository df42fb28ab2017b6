"""Other draws of weights and images: their interval covers a known truth, and stores of made-up scores are read as they are."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from stability_stores import stores_in

from parzc_core import metrics
from parzc_core.collecting import labelled
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.experiments import stability
from parzc_core.experiments import table01_zero_cost_proxies as table01
from parzc_core.runs import draws
from parzc_core.spaces import space as space_named
from parzc_core.storage.statistics import Record, StatisticsStore, pack

CELLS = 40
EMPTY = NodeStatistics((), (), np.empty((0, 0)), np.empty(0, dtype=np.int64), ())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from stores_in(tmp_path / "statistics", monkeypatch)


def pearson(score: np.ndarray, truth: np.ndarray) -> float:
    return 100 * float(np.corrcoef(score, truth)[0, 1])


def coverage(between_draws: float, cells: int, drawn: int, repeats: int = 400) -> tuple[float, float]:
    """Share of simulated experiments whose interval holds the mean correlation, 50 %: (with draws, over cells alone).

    A draw's correlation is 50 % with a standard deviation of `between_draws`; the other draws have `drawn` of the cells.
    """
    rng, inside = np.random.default_rng(0), np.zeros(2)
    for _ in range(repeats):
        truth, rho = rng.normal(size=cells), np.clip(0.5 + between_draws * rng.normal(size=6), -0.99, 0.99)
        scores = rho[:, None] * truth + np.sqrt(1 - rho[:, None] ** 2) * rng.normal(size=(6, cells))
        value, others = pearson(scores[0], truth), [pearson(s[:drawn], truth[:drawn]) for s in scores[1:]]
        alone = metrics.bootstrap_interval(pearson, scores[0], truth, resamples=100, seed=int(rng.integers(1 << 30)))
        both = draws.interval_over_draws(value, *alone, [others])
        inside += [both[0] <= 50 <= both[1], alone[0] <= 50 <= alone[1]]
    return tuple(inside / repeats)


@pytest.mark.parametrize(("between_draws", "cells", "drawn"), [(0.1, 300, 300), (0.15, 300, 100), (0.05, 150, 150)])
def test_the_interval_covers_the_mean_over_cells_and_draws(between_draws: float, cells: int, drawn: int) -> None:
    with_draws, alone = coverage(between_draws, cells, drawn)
    assert 0.93 <= with_draws <= 0.995
    assert alone < 0.9


def test_where_draws_agree_the_interval_is_that_over_cells() -> None:
    assert draws.interval_over_draws(40.0, 37.0, 42.0, [[41.0] * 5]) == (37, 42)
    assert draws.interval_over_draws(99.0, 98.0, 99.5, [[10.0, 90.0, 50.0]])[1] == 100  # no correlation is above


def test_widths_add_in_squares_and_each_source_adds_its_own() -> None:
    values = [1.0, 2.0, 3.0]  # s = 1, k = 3: t = 4.303
    low, high = draws.interval_over_draws(0.0, -3.0, 4.0, [values])
    assert (low, high) == (pytest.approx(-np.hypot(3, 4.303), abs=1e-3), pytest.approx(np.hypot(4, 4.303), abs=1e-3))
    both = draws.interval_over_draws(0.0, -3.0, 4.0, [values, values])
    assert both[0] == pytest.approx(-np.sqrt(9 + 2 * 4.3027**2), abs=1e-3)


@pytest.mark.parametrize("sources", [[], [[1.0]], [[1.0, 2.0], [3.0]], [[1.0, np.nan]]])
def test_too_few_draws_are_refused(sources: list[list[float]]) -> None:
    with pytest.raises(BadInput, match="at least two finite values a source"):
        draws.interval_over_draws(1.0, 0.0, 2.0, sources)


def test_what_is_drawn_has_its_own_seeds_and_a_command() -> None:
    for space, dataset in draws.DRAWN:
        configs = [draws.config(space, dataset, seed) for seed in draws.SEEDS]
        assert [(c.init_seed, c.batch_seed) for c in configs] == [(seed, seed) for seed in draws.SEEDS]
        assert len({draws.folder(space, dataset, seed) for seed in draws.SEEDS}) == 5
        assert {dataclasses.replace(c, init_seed=0, batch_seed=0) for c in configs} == {
            dataclasses.replace(configs[0], init_seed=0, batch_seed=0)
        }
    words = draws.command("nb101", "cifar10", 3)
    assert words.startswith("parzc collect --space nb101 ")
    assert "--sums" in words
    assert words.endswith("--out results/statistics/nb101/seeds/cifar10-width32/seed3")
    with pytest.raises(BadInput, match="drawn again are nb201, cifar10"):
        draws.config("nds_darts", "cifar10", 1)


def write(seed: int, archs: list[str], values: np.ndarray, **odd: object) -> None:
    """A draw of CIFAR-100 with the one score "snip"."""
    store = StatisticsStore(draws.folder("nb201", "cifar100", seed))
    config = draws.config("nb201", "cifar100", seed).plain() | odd
    store.folder.mkdir(parents=True)
    store.open({"config": config}, archs, [0])
    store.add(
        0, pack([Record(a, EMPTY, {"snip": float(v)}, i) for i, (a, v) in enumerate(zip(archs, values, strict=True))])
    )


def judged_data(archs: list[str]) -> labelled.Data:
    truth = np.random.default_rng(1).normal(size=len(archs))
    values = np.random.default_rng(2).normal(size=(len(archs), 1, 1))
    records = [NodeStatistics(("n",), ("snip",), v, np.ones(1, int), (0,)) for v in values]
    frame = pd.DataFrame(
        {"params": np.arange(len(archs), dtype=float), "zen": 1.0 * np.arange(len(archs))}, index=archs
    )
    collection = labelled.Collection(archs, records, frame, {})
    return labelled.Data(collection, truth, truth, "test", "judged on a test", np.empty(0), np.empty(0))


def test_correlations_are_those_of_the_same_cells_in_every_draw(folder) -> None:
    archs = space_named("nb201").sample(CELLS, 0)
    data, scores = judged_data(archs), np.random.default_rng(0).normal(size=(6, CELLS))
    for seed in draws.SEEDS[:-1]:
        write(seed, archs, scores[seed])
    assert draws.correlations("nb201", "cifar100", data).empty  # one draw is not there
    write(5, archs, scores[5])
    again = draws.correlations("nb201", "cifar100", data)
    taus = again[again["metric"] == "kendall"]
    assert taus["value"].tolist() == [pytest.approx(metrics.kendall(scores[s], data.judged)) for s in draws.SEEDS]
    summary = draws.over_draws(again).loc["snip", "kendall"]
    assert summary["std"] == pytest.approx(np.std(taus["value"], ddof=1))
    assert (summary["least"], summary["greatest"], summary["draws"]) == (taus["value"].min(), taus["value"].max(), 5)

    correlations = pd.DataFrame(
        [(p, "kendall", 10.0, 8.0, 12.0, CELLS, 0) for p in ("params", "snip", "zen")],
        columns=["proxy", "metric", "value", "ci_low", "ci_high", "n", "not_finite"],
    )
    params, snip, zen = table01.rows_of_proxies("NB201-CF100", data, correlations, "full", again)
    assert (params.ci_low, params.ci_high, params.std) == (8, 12, None)
    assert params.note.startswith("n cells, interval over cells; judged")
    assert (snip.ci_low, snip.ci_high) == draws.interval_over_draws(10.0, 8.0, 12.0, [taus["value"].tolist()])
    assert (snip.n, snip.runs, snip.std) == (CELLS, 5, summary["std"])
    assert f"5 draws of {CELLS} cells that differ in initialisation and batch" in snip.note
    assert (zen.ci_low, zen.ci_high) == (8, 12)
    assert "interval over cells alone, of one draw of weights and images" in zen.note
    only = table01.rows_of_proxies("NB201-CF100", data, correlations, "full")
    assert all("draws" not in row.note for row in only)


def test_draws_of_other_cells_or_of_another_kind_are_refused(folder) -> None:
    archs = space_named("nb201").sample(CELLS, 0)
    for seed in draws.SEEDS:
        write(seed, archs[::-1], np.arange(CELLS))
    with pytest.raises(BadInput, match="other cells"):
        draws.correlations("nb201", "cifar100", judged_data(archs))


def test_a_draw_of_another_kind_is_refused(folder) -> None:
    archs = space_named("nb201").sample(CELLS, 0)
    for seed in draws.SEEDS:
        write(seed, archs, np.arange(CELLS), batch=8)
    with pytest.raises(BadInput, match=r"another collection.*parzc collect"):
        draws.correlations("nb201", "cifar100", judged_data(archs))


def test_the_picture_has_a_dot_a_draw_and_the_rows_their_spread(folder) -> None:
    archs = space_named("nb201").sample(CELLS, 0)
    for seed in draws.SEEDS:
        write(seed, archs, np.random.default_rng(seed).normal(size=CELLS))
    again = draws.correlations("nb201", "cifar100", judged_data(archs))
    cell = {"row": "SNIP", "column": "NB201-CF100", "metric": "kendall"}
    cell |= {"paper": 47.0, "ours": 46.0, "ci_low": 44.0, "ci_high": 48.0}
    nothing = draws.correlations("nds_darts", "cifar10", judged_data(archs))
    figure = table01.drawn_again(pd.DataFrame([cell]), {"NB201-CF100": again, "NDS-DARTS": nothing})
    (ax,) = figure.axes
    taus = again.loc[again["metric"] == "kendall", "value"]
    assert sorted(ax.lines[0].get_xdata()) == sorted(taus)
    assert [line.get_xdata()[0] for line in ax.lines[2:4]] == [46, 47]
    with pytest.raises(BadInput, match="no draws"):
        table01.drawn_again(pd.DataFrame([cell]), {"NDS-DARTS": nothing})

    spread, std = stability.rows_of_draws(
        {"NB201-CF100": draws.over_draws(again)}, {"NB201-CF100": "judged on x"}, "full"
    )
    assert (spread.value, std.value) == (pytest.approx(np.ptp(taus)), pytest.approx(taus.std(ddof=1)))
    assert (spread.row, spread.column, spread.n, spread.runs) == ("SNIP", "NB201-CF100", 5, 5)
    table = stability.draws_table([spread, std])
    assert table.loc["SNIP", ("NB201-CF100", "range")] == spread.value
    assert spread.note == f"over n draws of {CELLS} cells that differ in initialisation and batch; judged on x"


def test_what_is_not_complete_comes_with_its_command(folder) -> None:
    wanted = draws.commands_to_collect()
    assert len(wanted) == 5 * len(draws.DRAWN)
    assert wanted["nb201/seeds/cifar100/seed2"] == draws.command("nb201", "cifar100", 2)
