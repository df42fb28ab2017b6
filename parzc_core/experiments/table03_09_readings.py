"""ParZC's own rows of Table 3: under which reading of what the paper does not say does the printed accuracy come out?

    found = run("full", RESULTS / "full")
    made = rows(found, "full", Judge())

The paper says neither how many cells are trained to learn from (LABELS), nor how many of the best-ranked are trained at the end
(FINAL). One search on CIFAR-10 with so many labels and the most final trainings has all readings of those labels in it. Beside
them stand ceilings: what a perfect ranker would find.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core import paper
from parzc_core.labels.nb201 import DATASETS
from parzc_core.profiles import profile as profile_named
from parzc_core.report import told
from parzc_core.search.benchmark import FULL
from parzc_core.search.judge import Judge
from parzc_core.search.runs import SearchRun, benchmark, run_planned
from parzc_core.storage.rows import Row, row_of_runs, summarise

TABLE, DATASET = "table03", DATASETS[0]
COLUMNS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
LABELS, FINAL = (20, 39, 78, 156, 300), (1, 5, 20)
_SEEDS = {"smoke": 1, "standard": 1, "full": 5, "paper": 5}


def planned(profile: str) -> list[SearchRun]:
    """A search for each number of labels and each seed; of the smallest profile only the two smallest numbers."""
    sizes = profile_named(profile)
    shared = (("size", sizes.model), ("epochs", sizes.epochs(200)), ("cells", sizes.cells))
    return [
        SearchRun("parzc", DATASET, FULL, evaluations=labels + max(FINAL), seed=seed, settings=(("train", labels), *shared))
        for seed in range(_SEEDS[sizes.name])
        for labels in (LABELS[:2] if sizes.name == "smoke" else LABELS)
    ]


def run(profile: str, folder: Path, jobs: int = 1, complete: bool | None = None) -> pd.DataFrame:
    """The searches of a profile, a row each. folder: of its results. complete: see `run_planned`."""
    return run_planned(profile, planned(profile), folder / "table03" / "runs.jsonl", jobs, complete)


def readings(results: pd.DataFrame) -> dict[tuple[int, int], list[str]]:
    """{(labels, final trainings): what the searches with so many have found by validation accuracy}. results: of `run`."""
    archs = benchmark("nb201", DATASET, FULL).table.archs
    found: dict[tuple[int, int], list[str]] = {}
    for search in results.to_dict("records"):
        labels = dict(search["settings"])["train"]
        for final in FINAL:
            best = [place for (place, _, _), at in zip(search["incumbents"], search["at"], strict=True) if at <= labels + final]
            found.setdefault((labels, final), []).append(archs[best[-1]])
    return dict(sorted(found.items()))


def ceilings(judge: Judge) -> dict[str, str]:
    """{name: cell}: of the k cells of highest test accuracy on CIFAR-10 the best by validation, for k of FINAL; and the optimum
    by validation, which a ranker that is perfect there finds with every k.
    """
    table = benchmark("nb201", DATASET, FULL).table
    seen, truth = table.fidelities[FULL].accuracy, judge.accuracy(table.archs, DATASET, "test")
    order = np.argsort(-truth, kind="stable")
    made = {f"Perfect on test, {k} final": table.archs[max(order[:k], key=lambda i: seen[i])] for k in FINAL}
    return {"Perfect on validation": table.archs[int(np.argmax(seen))], **made}


def rows(results: pd.DataFrame, profile: str, judge: Judge) -> Iterator[Row]:
    """Test accuracy of every reading and ceiling, searched on CIFAR-10 and judged on each data set whose labels are at hand."""
    about: dict[str, Any] = {"profile": profile, "origin": "ours"}
    for dataset in (name for name in DATASETS if judge.has(name, "test")):
        for (labels, final), archs in readings(results).items():
            values = judge.accuracy(archs, dataset, "test").tolist()
            note = f"searched on {COLUMNS[DATASET]}; {judge.notes[dataset, 'test']}"
            yield row_of_runs(TABLE, name_of(labels, final), COLUMNS[dataset], "test_accuracy", values, note=note, **about)
        if judge.has(DATASET, "test"):
            for name, arch in ceilings(judge).items():
                value = float(judge.accuracy([arch], dataset, "test")[0])
                note = "ceiling of ParZC's search: no search, but what a perfect ranker of CIFAR-10 would find"
                yield Row(TABLE, name, COLUMNS[dataset], "test_accuracy", value, note=note, **about)


def name_of(labels: int, final: int) -> str:
    """The row of a reading."""
    return f"ParZC, {labels} labels, {final} final"


def printed() -> Mapping[str, tuple[float, float]]:
    """{column: the printed accuracy of ParZC and its spread}."""
    cells = paper.printed(TABLE)
    own = cells[(cells["row"] == "ParZC") & (cells["metric"] == "test_accuracy")]
    return {line["column"]: (line["value"], line["spread"]) for line in own.to_dict("records")}


def sentences(results: pd.DataFrame, judge: Judge) -> list[str]:
    """Which readings reach the printed accuracy: it lies in our 95 % interval, widened by the printed spread.

    A reading of one search has no interval, and its value is taken.
    """
    if not len(results) or not judge.has(DATASET, "test"):
        return []
    column = COLUMNS[DATASET]
    value, spread = printed()[column]
    means, inside = {}, []
    for (labels, final), archs in readings(results).items():
        mean, _, low, high = summarise(judge.accuracy(archs, DATASET, "test").tolist())
        low, high = (mean if math.isnan(end) else end for end in (low, high))
        means[labels, final] = mean
        if low - spread <= value <= high + spread:
            inside.append(f"{labels} labels and {final} final")
    most = max(means, key=lambda pair: means[pair])
    said = [
        f"**The printed {value:.2f} ± {spread:.2f}** on {column} is reached by {len(inside)} of {len(means)} readings"
        + (f": {'; '.join(inside)}." if inside else ".")
        + f" The highest mean, of {most[0]} labels and {most[1]} final trainings, is {means[most]:.2f}."
    ]
    tops = [float(judge.accuracy([arch], DATASET, "test")[0]) for arch in ceilings(judge).values()]
    finals = told.numbers(FINAL, 0)
    said.append(
        f"**A perfect ranker** of validation accuracy finds {tops[0]:.2f} there; a perfect ranker of test accuracy, with "
        f"{finals} final trainings, finds {told.numbers(tops[1:], 2)}."
    )
    return said
