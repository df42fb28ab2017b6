"""Table 1's scores drawn again: the same cells with other initial weights and another mini-batch, both by another seed.

again = correlations("nb201", "cifar100", data)     # a row a proxy, metric and draw
interval_over_draws(value, low, high, sources)      # an interval that covers cells and draws
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from parzc_core import metrics, paths
from parzc_core.collecting.labelled import Data, folder_name
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import command as command_of
from parzc_core.errors import BadInput
from parzc_core.runs import variants
from parzc_core.storage.statistics import StatisticsStore

SEEDS = (1, 2, 3, 4, 5)  # of initial weights and of the mini-batch; the collection of the whole space has 0
CELLS = 1000
LEAST = 250  # cells that every draw must have to be used: with fewer, most of what differs is the noise of few cells
# What is drawn again: (space, data set) -> channels; None stands for the benchmark's own.
DRAWN: dict[tuple[str, str], int | None] = {
    ("nb201", "cifar10"): None,
    ("nb201", "cifar100"): None,
    ("nb201", "imagenet16-120"): None,
    ("nb101", "cifar10"): 32,  # a fifth of the time of the benchmark's 128
}
SCORES = ("jacov", "nwot")  # beside the node-wise ones
SINGLE = {"real, init": "initialisation", "real, batch": "batch"}  # CIFAR-10's variants, which differ in one of both
METRICS = {"spearman": metrics.spearman, "kendall": metrics.kendall}


def config(space: str, dataset: str, seed: int) -> CollectionConfig:
    """What is collected for a draw: sums over nodes alone. Raises BadInput for what is not in DRAWN."""
    if (space, dataset) not in DRAWN:
        raise BadInput(f"got {space}, {dataset}; drawn again are {', '.join(f'{s}, {d}' for s, d in DRAWN)}")
    return CollectionConfig(
        space=space,
        dataset=dataset,
        cells=CELLS,
        batch_seed=seed,
        init_seed=seed,
        scores=SCORES,
        share_isomorphic=space == "nb201",
        width=DRAWN[space, dataset],
        sums=True,
    )


def folder(space: str, dataset: str, seed: int) -> Path:
    """Where a draw is kept."""
    return paths.STATISTICS / space / "seeds" / folder_name(dataset, DRAWN.get((space, dataset))) / f"seed{seed}"


def command(space: str, dataset: str, seed: int) -> str:
    """The command line that collects a draw, or the rest of it."""
    place = folder(space, dataset, seed).relative_to(paths.STATISTICS).as_posix()
    return f"{command_of(config(space, dataset, seed))} --shard-size 100 --out results/statistics/{place}"


def complete(space: str, dataset: str) -> dict[int, int]:
    """{seed: cells that are there}."""
    return {seed: StatisticsStore(folder(space, dataset, seed)).complete() for seed in SEEDS}


def commands_to_collect() -> dict[str, str]:
    """{draw: command that collects it, or the rest of it} of those of which fewer than CELLS cells are there."""
    return {
        folder(space, dataset, seed).relative_to(paths.STATISTICS).as_posix(): command(space, dataset, seed)
        for space, dataset in DRAWN
        for seed, count in complete(space, dataset).items()
        if count < CELLS
    }


def scores(space: str, dataset: str, count: int = CELLS) -> dict[str, dict[str, pd.DataFrame]]:
    """{what differs: {draw: float64, index cells, a column a score}}; the same cells, at most `count`, in all. Empty: none.

    What differs is "initialisation and batch" where every draw of SEEDS has LEAST cells, or as many as are asked. Until all cells
    of CIFAR-10 of NAS-Bench-201 are drawn, its `variants` stand in: "initialisation" and "batch" one by one, the collection of
    the whole space among each.
    Raises BadInput where a folder holds a collection of another kind.
    """
    if (space, dataset) not in DRAWN:
        return {}
    cells = min(count, *complete(space, dataset).values())
    single = (space, dataset) == ("nb201", "cifar10")
    if cells >= min(count, CELLS if single else LEAST):
        return {"initialisation and batch": {f"seed{seed}": _read(space, dataset, seed, cells) for seed in SEEDS}}
    real = tuple(variant for variant in variants.VARIANTS if variant.images == "foolbox")
    cells = min(count, variants.CELLS)
    if not single or variants.commands_to_collect(real, cells):
        return {}
    of_proxy = variants.scores(variants.read(real, cells))
    return {
        what: {
            variant.name: pd.DataFrame({proxy: table[variant.name] for proxy, table in of_proxy.items()})
            for variant in variants.groups(real)[group]
        }
        for group, what in SINGLE.items()
    }


def _read(space: str, dataset: str, seed: int, cells: int) -> pd.DataFrame:
    """The scores of a draw, which must be what `config` says."""
    found = StatisticsStore(folder(space, dataset, seed)).read(cells)
    if found.manifest["config"] != config(space, dataset, seed).plain():
        raise BadInput(
            f"{folder(space, dataset, seed)} holds another collection ({found.manifest['config']}); "
            f"make it with: {command(space, dataset, seed)}"
        )
    return found.scores


def correlations(space: str, dataset: str, data: Data) -> pd.DataFrame:
    """One row a proxy, metric and draw: proxy, metric, source (what differs), draw, value (percent), cells.

    data: the cells that are judged; the draws have the front of them. Empty where nothing was drawn again.
    Raises BadInput for draws of other cells.
    """
    records: list[tuple[Any, ...]] = []
    for source, draws in scores(space, dataset, len(data)).items():
        for draw, table in draws.items():
            if list(table.index) != data.collection.archs[: len(table)]:
                raise BadInput(f"{draw} of {space}, {dataset} has other cells than the collection of the whole space")
            judged = data.judged[: len(table)]
            records += [
                (proxy, metric, source, draw, statistic(column.to_numpy(), judged), len(table))
                for proxy, column in table.items()
                for metric, statistic in METRICS.items()
            ]
    return pd.DataFrame(records, columns=["proxy", "metric", "source", "draw", "value", "cells"])


def interval_over_draws(
    value: float, low: float, high: float, sources: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """95 % interval of a correlation that covers the draw of weights and images as well as the cells; percent.

        low, high = interval_over_draws(46.9, 45.9, 47.9, [[47.1, 46.0, 46.6, 45.8, 47.2]])

    value, low, high: the correlation in one draw, and its interval over cells. sources: for each source of chance, the same
    correlation in k >= 2 draws that differ in it alone, all on the same cells. Widths that belong to independent variances add
    in squares: half the interval is the root of (half over cells)^2 + sum of (t s)^2, s the standard deviation of a source's
    draws (ddof 1) and t the 97.5 % quantile of Student's t with k - 1 degrees of freedom. Each end has its own half over cells.
    What it covers is the mean over cells and draws: `value` is one draw of it.
    It errs on the wide side where the draws have fewer cells than the value: s then holds their own noise, too.
    Raises BadInput: no source, a source of fewer than two draws, values that are not finite.
    """
    tables = [np.asarray(values, dtype=np.float64) for values in sources]
    if not tables or min(map(len, tables)) < 2 or not all(np.isfinite(table).all() for table in tables):
        raise BadInput(
            f"got draws {[table.tolist() for table in tables]}; expected at least two finite values a source"
        )
    drawn = sum(float(scipy.stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1)) ** 2 for v in tables)
    below, above = (float(np.sqrt(max(half, 0.0) ** 2 + drawn)) for half in (value - low, high - value))
    return max(-100.0, value - below), min(100.0, value + above)


def over_draws(again: pd.DataFrame) -> pd.DataFrame:
    """A row a proxy and metric: std, the root of the summed variances of the sources; least, greatest; draws, cells, source."""
    records = []
    for (proxy, metric), part in again.groupby(["proxy", "metric"], sort=False):
        values = part["value"]
        variance = part.groupby("source", sort=False)["value"].var(ddof=1).sum()
        number, source = part["draw"].nunique(), " or ".join(part["source"].unique())
        numbers = (np.sqrt(variance), values.min(), values.max(), number, part["cells"].iloc[0], source)
        records.append((proxy, metric, *numbers))
    return pd.DataFrame(
        records, columns=["proxy", "metric", "std", "least", "greatest", "draws", "cells", "source"]
    ).set_index(["proxy", "metric"])
