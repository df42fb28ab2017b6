"""Recompute a seeded sample of committed cells and stored runs, and say of each whether it is the same here.

    plan = planned(cells=12, runs=6)
    print(plan.announced())
    checked = list(plan.run())
    print(text(checked))                          # counts and the worst difference of each proxy
    assert not any(one.verdict == DIFFERENT for one in checked)
"""

import fnmatch
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from parzc_core import paths
from parzc_core.errors import BadInput
from parzc_core.verifying import items, made_here
from parzc_core.verifying.items import Checked, Drawn
from parzc_core.verifying.verdicts import DIFFERENT, EQUAL, WITHIN, Compared


@dataclass(frozen=True)
class Plan:
    """What is recomputed. cells, runs: as drawn."""

    cells: Drawn
    runs: Drawn

    @property
    def seconds(self) -> float:
        """Of CPU, as those who made the values recorded it."""
        return sum(item.seconds for item in (*self.cells.chosen, *self.runs.chosen))

    @property
    def skipped(self) -> dict[str, str]:
        """{collection or table: why nothing of it is recomputed}."""
        return {**self.cells.skipped, **self.runs.skipped}

    def announced(self) -> str:
        """What will be recomputed, in how long, and what will not."""
        parts = [_counted(drawn, *words) for drawn, words in ((self.cells, _CELLS), (self.runs, _RUNS)) if drawn.chosen]
        lines = [f"recomputes {' and '.join(parts)}: about {_time(self.seconds)} of CPU" if parts else "nothing to recompute"]
        return "\n".join([*lines, *(f"left out: {name}: {why}" for name, why in self.skipped.items())])

    def run(self) -> Iterator[Checked]:
        """Each item, as it is done; in one thread, as all committed values were computed."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                for item in (*self.cells.chosen, *self.runs.chosen):
                    yield item.check()
        finally:
            torch.set_num_threads(threads)


_CELLS, _RUNS = ("cell", "collection"), ("stored run", "folder")


def planned(
    cells: int = 12,
    runs: int = 6,
    seed: int = 0,
    only: Sequence[str] = (),
    expensive: bool = False,
    statistics: Path | None = None,
    results: Path | None = None,
) -> Plan:
    """Draw what is recomputed: `cells` of the collections and `runs` of the tables and ground truths, one of each in turn.

    only: names of collections or tables, patterns (`nb201/seeds/*`) or folders above them (`nb201`). expensive: also what takes
    many seconds. statistics, results: folders; the committed ones without. Ground truths lie beside `results`: truth/ and
    mixed_precision/. Raises BadInput where nothing has such a name, or nothing is asked for.
    """
    statistics = paths.STATISTICS if statistics is None else statistics
    results = paths.ROOT / "results" / "full" if results is None else results
    if cells < 1 and runs < 1:
        raise BadInput(f"got {cells} cells and {runs} runs; expected at least one of either")

    def wanted(name: str) -> bool:
        return not only or any(_matches(name, pattern) for pattern in only)

    if only:
        known = [
            *sorted(path.parent.relative_to(statistics).as_posix() for path in statistics.rglob("manifest.json")),
            *sorted(path.parent.relative_to(results).as_posix() for path in results.rglob("runs.jsonl")),
            *sorted(one.name for one in made_here.truths(results.parent, seed)),
        ]
        for pattern in only:
            if not any(_matches(name, pattern) for name in known):
                raise BadInput(f"got --only {pattern!r}, which is no collection, table or truth; there are {', '.join(known)}")
    of_cells = items.cells(statistics, seed, expensive, wanted) if cells else []
    of_truths = made_here.truths(results.parent, seed, expensive, wanted) if runs else []
    of_runs = [*of_truths, *(items.runs(results, seed, expensive, wanted) if runs else ())]
    return Plan(items.draw(of_cells, cells), items.draw(of_runs, runs))


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or name.startswith(pattern.rstrip("/") + "/")


def line(one: Checked) -> str:
    """One item in a line: its verdict, and what differs or why it was left out."""
    said = f"{one.verdict:16} {one.name:36} {one.of}"
    differs = [f"{each.what} by {_number(each.difference)} (tolerance {each.tolerance:g})" for each in _worst_first(one)]
    return said + "".join(f"\n{'':16} {each}" for each in (*differs, *([one.note] if one.note else ())))


def _worst_first(one: Checked) -> list[Compared]:
    return sorted((each for each in one.found if each.verdict == DIFFERENT), key=lambda each: -each.difference)[:5]


def table(checked: Sequence[Checked]) -> pd.DataFrame:
    """A row a proxy, score or entry of a result: compared, bit-equal, within, different, worst, tolerance."""
    found = [each for one in checked for each in one.found]
    rows = []
    for what in dict.fromkeys(each.what for each in found):
        alike = [each for each in found if each.what == what]
        counts = [sum(each.verdict == verdict for each in alike) for verdict in (EQUAL, WITHIN, DIFFERENT)]
        rows.append((what, len(alike), *counts, max(each.difference for each in alike), alike[0].tolerance))
    return pd.DataFrame(rows, columns=["", "compared", EQUAL, WITHIN, DIFFERENT, "worst", "tolerance"])


def text(checked: Sequence[Checked]) -> str:
    """The table, and the whole in a sentence."""
    rows = table(checked)
    shown = rows.assign(worst=rows["worst"].map(_number), tolerance=rows["tolerance"].map("{:g}".format))
    counts = [f"{sum(one.verdict == verdict for one in checked)} {verdict}" for verdict in (EQUAL, WITHIN, DIFFERENT, "skipped")]
    sentence = f"{len(checked)} recomputed: {', '.join(counts)}"
    return f"{shown.to_string(index=False)}\n\n{sentence}" if len(rows) else sentence


def _counted(drawn: Drawn, one: str, of: str) -> str:
    """ "12 cells of 12 collections"."""
    sources = len({item.name for item in drawn.chosen})
    return f"{_plural(len(drawn.chosen), one)} of {_plural(sources, of)}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("s" if count != 1 else "")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def _number(value: float) -> str:
    return "no number" if math.isinf(value) else f"{value:.1e}" if value else "0"
