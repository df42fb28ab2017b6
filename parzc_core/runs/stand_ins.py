"""What stands in for the published trainings of the Network Design Spaces, which have no pinned download (Table 1).

NAS-Bench-301's cells with a surrogate's accuracy, and the small networks that are trained here (`runs.nds_networks`). Proxies
and ParZC are judged on each; columns are named after what judges, and never set against the printed ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from parzc_core.collecting.labelled import Data, judgeable, load
from parzc_core.labels import nds
from parzc_core.profiles import profile as profile_named
from parzc_core.runs import nds_networks
from parzc_core.runs.proxies import EPOCHS, RANKERS, ranker_rows, rows_of_proxies
from parzc_core.runs.rankers import RankerRun, run_rankers
from parzc_core.spaces import nds as spaces_nds
from parzc_core.storage.rows import Row

LEAST = 20  # architectures below which nothing is said
WIDTH = 12  # channels of NAS-Bench-301's networks here
SHARE = 0.6  # of the architectures, to learn from: the paper's
MOST = 100  # of these, outside the profiles "full" and "paper"
ENCODINGS = {"ParZC": "paper", "ParZC (aligned)": "aligned"}
_COLLECT = "parzc collect --space {space} --dataset {dataset} --sample labelled --cells {cells}"


@dataclass(frozen=True, eq=False)
class StandIn:
    """A truth and what was collected for it. data: None where that is not there, and `note` says how to get it.

    ceiling: Kendall's tau between two trainings of the same networks, percent; None where there are no two.
    """

    column: str
    space: str
    dataset: str
    width: int | None
    origin: str
    note: str
    data: Data | None
    ceiling: float | None = None


def nb301(cells: int | None = None, width: int = WIDTH) -> StandIn:
    """NAS-Bench-301's cells that are collected at that width, at most `cells`."""
    there, data = judgeable("nb301", "cifar10", width), None
    collect = _COLLECT.format(space="nb301", dataset="cifar10", cells=725)
    note = (
        f"{there} cells with statistics and labels; get the labels (`parzc data fetch`) and the statistics "
        f"(`{collect} --width {width} --scores params flops jacov nwot`)"
    )
    if there >= LEAST:
        data = load("nb301", "cifar10", min(there, cells or there), width)
        note = (
            f"accuracy as NAS-Bench-301's surrogate predicts it, no training; networks of {width} channels and 8 cells"
        )
    return StandIn("NB301 surrogate", "nb301", "cifar10", width, "reproduced" if data else "unavailable", note, data)


def made_here(space: str) -> StandIn:
    """The small networks of a space of `runs.nds_networks`, trained on Fashion-MNIST."""
    column = f"{spaces_nds.SPACES[space].family.title} on Fashion-MNIST"
    dataset = nds.RECREATED_DATASET
    if (there := judgeable(space, dataset)) >= LEAST:
        data = load(space, dataset, there)
        tau = nds_networks.ceiling(space)
        return StandIn(column, space, dataset, None, "recreated", data.note, data, tau)
    collect = f"{_COLLECT.format(space=space, dataset=dataset, cells=60)} --seed 0"
    note = f"{there} networks trained and collected; python -m parzc_core.runs.nds_networks --images FOLDER; {collect}"
    return StandIn(column, space, dataset, None, "unavailable", note, None)


def truths(cells: int | None = None, width: int = WIDTH) -> list[StandIn]:
    """All of them. cells, width: of NAS-Bench-301."""
    return [nb301(cells, width), *map(made_here, nds.RECREATED_SPACES)]


def ranker_runs(one: StandIn, profile: str) -> dict[str, list[RankerRun]]:
    """{row: runs} of ParZC: the paper's encoding and the aligned one; statistics of four proxies, no graph, 296 epochs.

    Five splits at most, ten where the architectures are few; of few, outside the profiles "full" and "paper", the paper's
    encoding alone, as the aligned one takes minutes. Nothing where there are no data.
    """
    if one.data is None:
        return {}
    sizes, count = profile_named(profile), len(one.data)
    whole, few = profile in ("full", "paper"), count <= MOST
    train = min(round(SHARE * count), count if whole else MOST)
    epochs = sizes.epochs(EPOCHS["nds_darts"], train)
    base = RankerRun(
        one.space, one.dataset, count, train, size=sizes.model, epochs=epochs, width=one.width,
        **RANKERS["nds_darts"],
    )  # fmt: skip
    splits = min(sizes.splits, 10 if few else 5)
    return {
        name: [replace(base, encoding=encoding, split=split) for split in range(splits)]
        for name, encoding in ENCODINGS.items()
        if whole or not few or encoding == "paper"
    }


def ranked(ones: Sequence[StandIn], profile: str, store: Path, jobs: int = 1) -> pd.DataFrame:
    """A row a run of `ranker_runs`, as `run_rankers` gives it, with its `row` and `column`; only what `store` lacks is run."""
    runs = [(one.column, name, run) for one in ones for name, each in ranker_runs(one, profile).items() for run in each]
    found = run_rankers([run for _, _, run in runs], store, jobs) if runs else pd.DataFrame(columns=["seconds"])
    found["column"], found["row"] = [column for column, _, _ in runs], [name for _, name, _ in runs]
    return found


def rows(table: str, ones: Sequence[StandIn], results: pd.DataFrame, profile: str) -> list[Row]:
    """Proxies, ParZC and the ceiling of every stand-in as rows of that table. results: of `ranked`."""
    made: list[Row] = []
    for one in ones:
        if one.data is None:
            made.append(
                Row(
                    table,
                    "every proxy",
                    one.column,
                    "kendall",
                    None,
                    n=0,
                    profile=profile,
                    origin=one.origin,
                    note=one.note,
                )
            )
            continue
        made += rows_of_proxies(table, one.column, one.data, profile, one.note, one.origin)
        learned, about = results[results["column"] == one.column], "trained on {train}, judged on {n} networks"
        made += ranker_rows(table, learned, {one.column: one.note}, about, profile=profile, origin=one.origin)
        if one.ceiling is not None:
            note = "between the two seeds of a network: about what one training can be predicted to"
            made.append(
                Row(
                    table, "ceiling", one.column, "kendall", one.ceiling, n=len(one.data), profile=profile, origin=one.origin,
                    note=note,
                )
            )  # fmt: skip
    return made


def overview(made: Sequence[Row]) -> pd.DataFrame:
    """Kendall's tau of every row (index) on every stand-in (columns), in the order of the rows."""
    there = [row for row in made if row.metric == "kendall" and row.value is not None]
    columns = list(dict.fromkeys(row.column for row in there))
    frame = pd.DataFrame(np.nan, index=list(dict.fromkeys(row.row for row in there)), columns=columns)
    for row in there:
        frame.loc[row.row, row.column] = row.value
    return frame
