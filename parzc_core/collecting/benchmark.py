"""What the collector costs: beside a peer's checkout, over the whole of NAS-Bench-201, beside bare passes, and as sizes grow.

Times are CPU-seconds of one process with one thread, unless they are called wall-seconds.
"""

import json
import math
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from parzc_core import __version__, paths
from parzc_core.collecting import one
from parzc_core.collecting.peer import (
    COMPARISONS,
    PEER_SOURCE,
    PROXIES,
    Ours,
    Peer,
    compare,
    cpu_seconds,
    sides,
    summary,
    times_of,
    whole_cell,
    worst_differences,
)
from parzc_core.errors import BadInput
from parzc_core.files import json_files
from parzc_core.images.batch import MiniBatch, minibatch
from parzc_core.paths import write_whole
from parzc_core.spaces import nb201, nb201_cells
from parzc_core.storage import blocks, workers

DEAREST = nb201.to_string(["nor_conv_3x3"] * len(nb201.EDGES))
TASKS = (*PROXIES, "seven", "construction", "in all")
Table = tuple[str, list[str], list[list[str]]]  # title, header, rows
FILE = "benchmark/collector.json"  # below results/
README = "parzc_core/collecting/README.md"  # in the checkout


@dataclass(frozen=True)
class BenchmarkConfig:
    """cells: cells of NAS-Bench-201, `stratified`, that both sides compute. seed: of samples. repeats: the smallest time counts.

    channels, depth (cells in each stage), batch: the setting of the comparison, which is the benchmark's own.
    batches, widths, depths: one of the three is varied, the others stay, on the `growing` dearest cells. workers: processes.
    """

    cells: int = 20
    seed: int = 0
    repeats: int = 1
    channels: int = 16
    depth: int = 5
    batch: int = 16
    batches: tuple[int, ...] = (8, 16, 32)
    widths: tuple[int, ...] = (8, 16, 32)
    depths: tuple[int, ...] = (1, 3, 5)
    growing: int = 4
    workers: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        for name, least in (("cells", 1), ("repeats", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise BadInput(f"got {name}={getattr(self, name)}; expected at least {least}")

    def ours(self) -> Ours:
        """Our side at this size."""
        return Ours(self.channels, self.depth)


QUICK = BenchmarkConfig(cells=2, batches=(8, 16), widths=(8, 16), depths=(1, 5), growing=1)


def run(config: BenchmarkConfig, peer: Path | str | None = None, progress: bool = True) -> dict[str, Any]:
    """Measure everything; `save` writes what is returned. peer: a checkout of the peer. Raises BadInput."""
    theirs = None if peer is None else Peer(peer)
    archs = stratified(config.cells, config.seed)
    facts = {**machine(), "peer": theirs and {"source": PEER_SOURCE, "commit": theirs.commit, "sha256": theirs.sha256}}
    bar = partial(tqdm, unit="cell", disable=None if progress else True)
    with _one_thread():
        batch = minibatch("cifar10", size=config.batch)
        for side in sides(config.ours(), theirs).values():
            whole_cell(side, DEAREST, batch)  # the first call of every kernel is slower
        records = compare(bar(archs, desc="comparison"), config.ours(), theirs, batch, config.repeats)
        dearest_first = [each["arch"] for each in sorted(records, key=lambda each: -each["ours"]["seven"])]
        return {
            "config": asdict(config),
            "sample": "stratified",
            "machine": facts,
            "batch": batch.manifest,
            "cost": {task: summary(records, task) for task in TASKS},
            "agreement": worst_differences(records),
            "space": space(config, records, batch, bar),
            "bare": summary(records, "seven", side="ours", beside="bare"),
            "workers": processes(config, dearest_first),
            "growth": growth(config, bar(dearest_first[: config.growing], desc="growth")),
            "memory": peak_memory(config),
            "records": records,
        }


def stratified(count: int, seed: int) -> list[str]:
    """So many cells, spread over the space by what their live operations cost, in random order.

    All cells are sorted by the FLOPs of their live operations, then by those of all, and cut into `count` parts as equal as can
    be; of each part a random cell is taken that costs what its middle one does. So light and dear cells have their share, which
    20 uniform ones miss by 13 %. Raises BadInput.
    """
    if not 0 < count <= nb201.ARCH_COUNT:
        raise BadInput(f"got a sample of {count} cells; expected 1 to {nb201.ARCH_COUNT}")
    generator, cost = random.Random(seed), {arch: live_flops(arch) for arch in nb201.all_archs()}
    archs = sorted(cost, key=lambda arch: (cost[arch], nb201.flops(arch), generator.random()))
    bounds = [place * len(archs) // count for place in range(count + 1)]
    parts = [archs[a:b] for a, b in pairwise(bounds)]
    found = [generator.choice([arch for arch in part if cost[arch] == cost[part[len(part) // 2]]]) for part in parts]
    generator.shuffle(found)
    return found


def live_flops(arch: str) -> int:
    """Published FLOPs of a cell without its dead operations."""
    live = zip(nb201.parse(arch), nb201.live_edges(arch), strict=True)
    return nb201.flops(nb201.to_string([operation if alive else "none" for operation, alive in live]))


def save(results: dict[str, Any], path: Path) -> Path:
    """Write the results as JSON, whole or not at all."""
    return write_whole(path, json.dumps(results, indent=1, allow_nan=False) + "\n")


def machine() -> dict[str, Any]:
    """What the times depend on. load: how many processes wanted to run in the last minute, before the benchmark began."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {"python": platform.python_version(), "torch": torch.__version__, "parzc": __version__}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cpu": (names or [platform.machine()])[0], "cores": os.cpu_count(), "threads": 1, "load": load, **versions}


def space(
    config: BenchmarkConfig, records: Sequence[dict[str, Any]], batch: MiniBatch, bar: Any = tqdm
) -> dict[str, Any]:
    """CPU-hours of all 15,625 cells, construction included, each from the mean over a random sample.

    peer, ours: every cell computed; from the compared cells. classes: one computed of each class of isomorphic cells, from random
    classes. members: the other cells get its values, from random ones. shared: classes and members; ratio: peer / shared.
    """
    representatives = sorted({nb201_cells.representative(arch) for arch in nb201.all_archs()})
    others = sorted(set(nb201.all_archs()) - set(representatives))
    generator = random.Random(config.seed)
    classes = bar(generator.sample(representatives, min(2 * config.cells, len(representatives))), desc="classes")
    members = bar(generator.sample(others, min(10, config.cells, len(others))), desc="members")
    timed = partial(whole_cell, config.ours(), batch=batch, repeats=config.repeats)
    parts = {
        "peer": _hours(times_of(records, "peer", "in all"), nb201.ARCH_COUNT),
        "ours": _hours(times_of(records, "ours", "in all"), nb201.ARCH_COUNT),
        "classes": _hours([sum(timed(arch)) for arch in classes], len(representatives)),
        "members": _hours([member_seconds(arch, batch) for arch in members], len(others)),
    }
    shared = parts["classes"]["hours"] + parts["members"]["hours"]
    errors = [parts[name]["error"] for name in ("classes", "members")]
    whole = {"hours": shared, "error": None if None in errors else math.hypot(*errors)}
    ratio = None if parts["peer"]["hours"] is None else parts["peer"]["hours"] / shared
    return {**parts, "shared": whole, "ratio": ratio}


def _hours(seconds: Sequence[float], times: int) -> dict[str, Any]:
    """error: standard error of the hours. None is what cannot be told from so few measurements."""
    mean = float(np.mean(seconds)) if seconds else None
    error = float(np.std(seconds, ddof=1)) / math.sqrt(len(seconds)) if len(seconds) > 1 else None
    hours, error_hours = (None if each is None else each * times / 3600 for each in (mean, error))
    found = {"cpu_seconds": mean, "sample": len(seconds), "times": times, "hours": hours, "error": error_hours}
    return found if seconds else dict.fromkeys(found)


def member_seconds(arch: str, batch: MiniBatch, copies: int = 20) -> float:
    """CPU-seconds of giving a cell the values of its representative: of many copies of it, less the representative's own."""
    config = one.CollectionConfig(proxies=tuple(p for p in PROXIES if p != "jacob_cov"), scores=("jacov",))
    work = partial(one.records, config, nb201_cells.representative(arch), batch=batch)
    alone, _ = cpu_seconds(partial(work, members=[]))
    with_copies, _ = cpu_seconds(partial(work, members=[(0, arch)] * copies))
    return max(0.0, with_copies - alone) / copies


def processes(config: BenchmarkConfig, archs: Sequence[str]) -> list[dict[str, float]]:
    """Cells per wall-second of the same cells by each number of processes, several a task as in the collection."""
    # With one cell a task joblib replaces processes on the way: those that have grown much since their first task.
    tasks = min(len(archs), 2 * max(config.workers))
    work = [(config, archs[first::tasks]) for first in range(tasks)]
    found: list[dict[str, float]] = []
    for count in config.workers:
        list(workers.run(_cells, work, count))  # starts the processes
        started = time.perf_counter()
        list(workers.run(_cells, work, count))
        found.append({"workers": count, "cells": len(archs), "rate": len(archs) / (time.perf_counter() - started)})
    return [{**each, "speedup": each["rate"] / found[0]["rate"]} for each in found]


def _cells(config: BenchmarkConfig, archs: Sequence[str]) -> None:
    with _one_thread():
        batch = minibatch("cifar10", config.batch, source="noise")
        for arch in archs:
            config.ours().seven(config.ours().build(arch), batch)


def growth(config: BenchmarkConfig, archs: Sequence[str]) -> list[dict[str, Any]]:
    """Mean CPU-seconds a cell, construction aside, as one size grows; relative to its first value. The images are noise."""
    axes = {"batch": config.batches, "channels": config.widths, "depth": config.depths}
    changes: list[dict[str, int]] = [{axis: value} for axis, values in axes.items() for value in values]
    times: dict[BenchmarkConfig, list[float]] = {replace(config, **change): [] for change in changes}  # type: ignore[arg-type]
    for arch in archs:
        for varied, measured in times.items():
            batch = minibatch("cifar10", varied.batch, source="noise")
            measured.append(whole_cell(varied.ours(), arch, batch, config.repeats)[1])
    found = []
    for axis, values in axes.items():
        means = [float(np.mean(times[replace(config, **{axis: value})])) for value in values]  # type: ignore[arg-type]
        for value, mean in zip(values, means, strict=True):
            found.append({"axis": axis, "value": value, "cpu_seconds": mean, "relative": mean / means[0]})
    return found


def peak_memory(config: BenchmarkConfig) -> dict[str, float]:
    """MB of memory (peak resident set) of a fresh process: with everything imported, and after it computed the dearest cell."""
    code = "import sys; from parzc_core.collecting import benchmark; benchmark._print_peaks(*map(int, sys.argv[1:]))"
    sizes = [str(size) for size in (config.channels, config.depth, config.batch)]
    ended = subprocess.run([sys.executable, "-c", code, *sizes], capture_output=True, text=True, check=True)
    return dict(zip(("imported_mb", "peak_mb"), map(float, ended.stdout.split()), strict=True))


def _print_peaks(channels: int, depth: int, batch: int) -> None:
    print(workers.peak_memory_mb())
    _cells(BenchmarkConfig(channels=channels, depth=depth, batch=batch), [DEAREST])
    print(workers.peak_memory_mb())


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def text(results: dict[str, Any]) -> str:
    """The results as tables for a terminal, with notes on what they were measured on."""
    parts = []
    for title, header, rows in _tables(results):
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [[cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in (header, *rows)]
        parts.append("\n".join([title, *("  ".join([line[0].strip().ljust(widths[0]), *line[1:]]) for line in lines)]))
    return "\n\n".join([*parts, *_notes(results)])


def markdown(results: dict[str, Any]) -> str:
    """The results as Markdown tables under bold titles, with notes on what they were measured on."""
    parts = []
    for title, header, rows in _tables(results):
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join([*parts, *_notes(results)]) + "\n"


def update_readme() -> bool:
    """Put the committed results into README; whether that changed it. Raises BadInput: no results, no such block."""
    if not (paths.RESULTS / FILE).is_file():
        raise BadInput(f"no {paths.RESULTS / FILE}; measure first: parzc benchmark collector")
    results = json_files.load(paths.RESULTS / FILE)
    return blocks.put(paths.ROOT / README, "benchmark", markdown(results))


def _tables(results: dict[str, Any]) -> Iterator[Table]:
    spread = {"low": "from", "high": "to (95 %)", "median": "median of cells", "least": "least", "greatest": "greatest"}
    names = {"seven": "all seven", "in all": "all seven and construction"}
    cost = {names.get(name, name): row for name, row in results["cost"].items()}
    yield _table("CPU-seconds a cell", {"peer": "peer", "ours": "ours", "ratio": "peer / ours", **spread}, cost)
    labels = ("float32", "float64", "peer's rounding", "our rounding", "cells not finite")
    if results["agreement"]:
        columns = dict(zip((*COMPARISONS, "not_finite"), labels, strict=True))
        yield _table("Values: worst relative difference of peer and ours", columns, results["agreement"])
    names = {"peer": "peer", "ours": "ours", "classes": "ours, one a class", "members": "ours, the rest carried over"}
    hours = {label: results["space"][name] for name, label in names.items()}
    hours["ours, shared"] = {**results["space"]["shared"], "ratio": results["space"]["ratio"]}
    columns = {"cpu_seconds": "CPU-seconds each", "sample": "measured", "times": "times", "hours": "CPU-hours"}
    yield _table("All of NAS-Bench-201", {**columns, "error": "standard error", "ratio": "peer / ours"}, hours)
    columns = {"ours": "ours", "bare": "bare", "ratio": "ours / bare", **spread}
    yield _table("CPU-seconds a cell beside bare passes", columns, {"all seven": results["bare"]})
    columns = {"cells": "cells", "rate": "cells a wall-second", "speedup": "speed-up"}
    yield _table("Worker processes", columns, {str(row["workers"]): row for row in results["workers"]})
    rows = {f"{row['axis']} {row['value']}": row for row in results["growth"]}
    title = f"Growth of the cost (mean of the {results['config']['growing']} most expensive cells, on noise)"
    yield _table(title, {"cpu_seconds": "CPU-seconds a cell", "relative": "relative"}, rows)


def _table(title: str, columns: dict[str, str], rows: dict[str, dict[str, Any]]) -> Table:
    """Columns (key: label) and rows of which nothing was measured are left out."""
    used = [key for key in columns if any(row.get(key) is not None for row in rows.values())]
    lines = [[name, *map(_number, map(row.get, used))] for name, row in rows.items()]
    return title, ["", *(columns[key] for key in used)], [line for line in lines if any(line[1:])]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:#.3g}"


def _notes(results: dict[str, Any]) -> list[str]:
    config, facts, memory = results["config"], results["machine"], results["memory"]
    interval = ", its interval from draws of cells" if "low" in results["bare"] else ""
    load = "" if facts["load"] is None else f", load {facts['load']:.1f} before"
    notes = [
        f"Measured on {facts['cpu']}, {facts['cores']} cores, one thread, torch {facts['torch']}{load}: {config['cells']} "
        f"{results.get('sample', 'random')} cells, C={config['channels']}, N={config['depth']}, {config['batch']} images, seed "
        f"{config['seed']}, smallest time of {config['repeats']}. A ratio is of sums over cells{interval}. Bare: the passes that "
        "the seven need, by torch's own layers.",
        f"Memory of a process: {memory['imported_mb']:.0f} MB with all imported, "
        f"{memory['peak_mb']:.0f} MB at the most expensive cell.",
    ]
    if facts["peer"] is None:
        return [*notes, f"Without the peer. To have its columns: git clone {PEER_SOURCE}, then --peer zero-cost-nas."]
    version = facts["peer"]["commit"] or f"sources with sha256 {facts['peer']['sha256'][:12]}"
    return [
        *notes,
        f"The peer is {PEER_SOURCE} ({version}), timed on its own network. Values are compared on ours: the convolutions of its "
        "cells have a bias that the published networks lack. float64: both in double precision, so without rounding; rounding: "
        "one side's float32 against its float64.",
    ]
