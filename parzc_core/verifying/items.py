"""What can be recomputed: a cell of a collection, a run of a store; each says what it costs and how it compares.

    found = draw(cells(paths.STATISTICS, seed=0), 10)
    found.chosen[0].check()                       # Checked("nb201/cifar10", "|nor_conv_3x3~0|+…", comparisons of its proxies)
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from parzc_core.collecting.one import CollectionConfig, batch_of, record
from parzc_core.errors import BadInput, CorruptDownload, CorruptShard, LabelsMissing, ParzcError
from parzc_core.images.batch import MiniBatch
from parzc_core.runs.rankers import GROUP
from parzc_core.storage.run_store import RunStore, plain
from parzc_core.storage.statistics import KEPT_BITS, StatisticsStore
from parzc_core.verifying import verdicts
from parzc_core.verifying.again import again
from parzc_core.verifying.verdicts import Compared

CHEAP_CELL, CHEAP_RUN = 4.0, 12.0  # CPU-seconds; what takes longer is drawn with `expensive` alone
# What tells a run from the others of its table, in this order.
TELLING = (
    *("predictor", "method", "proxy", "encoding", "space", "dataset", "train", "split", "seed", "partition", "first"),
    *("ranker", "repeat", "arch"),
)
READING = 3.0  # CPU-seconds, of the statistics and labels of a table's runs


@dataclass(frozen=True)
class Checked:
    """One item as it came out. name: of its collection or table. of: the architecture, or the run in a few words.

    note: why it could not be recomputed here, where nothing was compared; or what went wrong.
    """

    name: str
    of: str
    found: tuple[Compared, ...] = ()
    note: str = ""

    @property
    def verdict(self) -> str:
        """Of all that was compared; "skipped" where nothing was."""
        return verdicts.worst(self.found) if self.found else "skipped"


@dataclass(frozen=True)
class Item:
    """Something that can be recomputed. seconds: of CPU, as its maker says."""

    name: str
    seconds: float
    check: Callable[[], Checked] = field(compare=False)


@dataclass(frozen=True)
class Source:
    """A collection or a table. items: endless, drawn at random, or the whole in random order.

    skipped: why it has none. left: what of it is never among its items, and why.
    """

    name: str
    items: Iterator[Item] = field(compare=False, default_factory=lambda: iter(()))
    skipped: str = ""
    left: str = ""


@dataclass(frozen=True)
class Drawn:
    """What is recomputed, and {name: why not} of what is left out, a source or a part of one."""

    chosen: tuple[Item, ...]
    skipped: Mapping[str, str]


def draw(sources: Sequence[Source], count: int) -> Drawn:
    """`count` items, one of each source in turn, so that a large one does not crowd out the small ones."""
    chosen: list[Item] = []
    skipped = {one.name: one.skipped or one.left for one in sources if one.skipped or one.left}
    open_ = [one for one in sources if not one.skipped]
    while open_ and len(chosen) < count:
        for one in list(open_):
            if len(chosen) == count:
                break
            if (item := next(one.items, None)) is None:
                open_.remove(one)
            else:
                chosen.append(item)
    return Drawn(tuple(chosen), skipped)


def cells(folder: Path, seed: int, expensive: bool = False, wanted: Callable[[str], bool] = lambda name: True) -> list[Source]:
    """Every collection below a folder, in an order drawn by the seed. expensive: also of more than CHEAP_CELL seconds a cell."""
    return [_collection(name, path.parent, own, expensive) for name, path, own in named(folder, "**/manifest.json", seed, wanted)]


def named(
    folder: Path, pattern: str, seed: int, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, Path, tuple[int, int]]]:
    """(name, file, its own seed) of the files that a pattern finds below a folder, in an order drawn by the seed. A name is that
    of the file's folder, as "nb201/cifar10"."""
    found = {path.parent.relative_to(folder).as_posix(): path for path in folder.glob(pattern)}
    kept = sorted(name for name in found if wanted(name))
    for i in np.random.default_rng(seed).permutation(len(kept)):
        yield kept[i], found[kept[i]], (seed, int(i))


def _collection(name: str, folder: Path, seed: tuple[int, int], expensive: bool) -> Source:
    store = StatisticsStore(folder)
    try:
        manifest = store.manifest
        if (other_way := manifest["config"].get("command")) is not None:
            return Source(name, skipped=f"`{other_way}` collects it, not `parzc collect`")
        config = _config(manifest)
        batch = _batch(_of_images(config))
    except (BadInput, LabelsMissing, CorruptDownload, OSError) as error:
        return Source(name, skipped=f"its images are not here: {error}")
    kept = manifest.get("image_batch")
    if kept is not None and (other := _other_images(kept, json.loads(json.dumps(batch.manifest)))):
        return Source(name, skipped=f"other images are here ({other}): it was collected from {config.images}")
    seconds = manifest.get("cpu_seconds", 0.0) / max(1, manifest.get("computed", manifest["architectures"]))
    if seconds > CHEAP_CELL and not expensive:
        return Source(name, skipped=f"{seconds:.1f} CPU-seconds a cell; --expensive recomputes it too")
    numbers = sorted(int(shard.removeprefix("shard-").removesuffix(".npz")) for shard in manifest["shards"])
    generator = np.random.default_rng(seed)

    def items() -> Iterator[Item]:
        while numbers:
            number, place = int(generator.choice(numbers)), generator.random()
            yield Item(name, seconds, partial(_check_cell, name, store, number, place, batch))

    return Source(name, items())


def _of_images(config: CollectionConfig) -> CollectionConfig:
    """What decides the mini-batch, and nothing else."""
    kept = ("space", "dataset", "images", "batch_seed", "batch", "width")
    return CollectionConfig(cells=1, **{name: getattr(config, name) for name in kept})


@lru_cache(maxsize=64)
def _batch(config: CollectionConfig) -> MiniBatch:
    """Read once for all collections that were made from it."""
    return batch_of(config)


def _config(manifest: Mapping[str, Any]) -> CollectionConfig:
    known = CollectionConfig.__dataclass_fields__
    if unknown := set(manifest["config"]) - set(known):
        raise BadInput(f"its configuration has {', '.join(sorted(unknown))}, which this version does not know")
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in manifest["config"].items()}
    return CollectionConfig(**values)


def _other_images(kept: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first entry that differs, "" where all is alike."""
    differs = [name for name in kept if kept[name] != here.get(name)]
    return f"their {differs[0]} differs" if differs else ""


def _check_cell(name: str, store: StatisticsStore, number: int, place: float, batch: MiniBatch) -> Checked:
    try:
        records = store.read_shard(number)
    except (CorruptShard, OSError) as error:  # what is committed is not what was written
        return Checked(name, store.path(number).name, different("shard"), str(error))
    stored, manifest = records[int(place * len(records))], store.manifest
    bits = manifest.get("kept_mantissa_bits", KEPT_BITS)
    try:
        computed = record(_config(manifest), stored.arch, batch)
    except (LabelsMissing, CorruptDownload) as error:
        return Checked(name, stored.arch, note=str(error))
    return Checked(name, stored.arch, tuple(verdicts.of_record(stored, computed, bits)))


def runs(folder: Path, seed: int, expensive: bool = False, wanted: Callable[[str], bool] = lambda name: True) -> list[Source]:
    """Every table with stored runs below a folder, in an order drawn by the seed. expensive: also runs of more than CHEAP_RUN."""
    return [_table(name, file, own, expensive) for name, file, own in named(folder, "**/runs.jsonl", seed, wanted)]


def _table(name: str, file: Path, seed: tuple[int, int], expensive: bool) -> Source:
    store = RunStore(file)
    if (found := damaged(name, store)) is not None:
        return found
    lines = [one for one in store if one["config"].get("kind") is not None]
    older = f"runs of an earlier version, which stored no kind and which nothing reads ({len(store) - len(lines)})"
    if not lines:
        return Source(name, skipped=older)
    left = [older] if len(lines) < len(store) else []
    cost = {one["key"]: seconds_of(one) for one in lines}
    cheap = [one for one in lines if expensive or (cost[one["key"]] or math.inf) <= CHEAP_RUN]
    if not cheap:
        return Source(name, skipped="; ".join([too_expensive(list(cost.values())), *left]))
    if len(cheap) < len(lines):
        left.insert(0, too_expensive([cost[one["key"]] for one in lines]))
    order = np.random.default_rng(seed).permutation(len(cheap))

    def items() -> Iterator[Item]:
        for i in order:
            yield Item(name, (cost[cheap[i]["key"]] or 60.0) + READING, partial(_check_run, name, cheap[i]))

    return Source(name, items(), left="; ".join(left))


def damaged(name: str, store: RunStore) -> Source | None:
    """A source that says which lines of a store are not what was written, if any is."""
    len(store)  # reads it
    if not store.faults:
        return None
    said = "; ".join(f"line {number}: {why}" for number, why in list(store.faults.items())[:3])
    fault = Checked(name, store.path.name, different("line"), said)
    return Source(name, iter([Item(name, 0.0, lambda: fault)]))


def too_expensive(seconds: Sequence[float | None]) -> str:
    """Why runs are not drawn, of CPU-seconds as they say; without those that are cheap."""
    long = sorted(one for one in seconds if one is not None and one > CHEAP_RUN)
    untold = seconds.count(None)
    parts = [f"runs of {long[0]:.0f} CPU-seconds and more ({len(long)})"] if long else []
    parts += [f"runs of unknown cost ({untold})"] if untold else []
    return f"{' and '.join(parts)}; --expensive recomputes them too"


def seconds_of(line: Mapping[str, Any]) -> float | None:
    """CPU-seconds that a stored run takes to make again, those it is trained with included; None where it does not say."""
    result = line["result"]
    spent = result.get("seconds")
    if isinstance(spent, dict):  # of a search; its statistics are not collected again
        return float(sum(value for part, value in spent.items() if part != "collecting"))
    if spent is None and result.get("rows"):
        spent = sum(row.get("seconds", 0.0) for row in result["rows"])
    if spent is None:
        return None
    return float(spent) * (GROUP if line["config"]["kind"] == "RankerRun" else 1)


def _check_run(name: str, line: Mapping[str, Any]) -> Checked:
    config = line["config"]
    of = said(config)
    try:
        run = again(config)
        key = run.key()
        if RunStore.key(key) != line["key"]:
            return Checked(name, of, note=f"it would be another run here: {other(config, key)}")
    except (LabelsMissing, CorruptDownload, BadInput) as error:
        return Checked(name, of, note=str(error))
    try:
        result = run.evaluate()
    except ParzcError as error:  # it went well when it was stored
        return Checked(name, of, different("fails"), str(error))
    return Checked(name, of, tuple(verdicts.of_result(config["kind"], line["result"], result)) or different(config["kind"]))


def different(what: str) -> tuple[Compared, ...]:
    """Something that is no number."""
    return (Compared(what, verdicts.DIFFERENT, math.inf, 0.0),)


def other(stored: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What decides it that is not as it was stored."""
    now = json.loads(json.dumps(here, default=plain))
    names = [name for name in {**stored, **now} if stored.get(name) != now.get(name)]
    return ", ".join(f"its {name} is {now.get(name)!r:.40}, stored is {stored.get(name)!r:.40}" for name in names[:2])


def said(config: Mapping[str, Any]) -> str:
    """A run in a few words: kind, and what tells it from others of its table."""
    parts = [f"{name} {config[name]}" for name in TELLING if config.get(name) not in (None, "", [])]
    return f"{config['kind']}: {', '.join(parts)}"[:110]
