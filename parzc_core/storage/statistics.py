"""Collected statistics on disk: a folder of shards, each whole or absent, and a manifest that says what they are.

    folder/manifest.json      configuration, versions, image batch, precision, first position and sha256 of every shard
    folder/shard-00000.npz    the statistics of some architectures, each with its position in the sample

A shard's entry MADE_FROM stands for the collection and the versions that it was computed with: one that the manifest does not
know is taken for this collection's only by that. Shards are only ever added. Values are float64 rounded to 20 bits of mantissa
(relative error below 5e-7); the values of a node that several architectures of a shard share are kept once.
"""

import gc
import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, CorruptShard, is_whole, whole
from parzc_core.files import json_files
from parzc_core.files.json_files import brief
from parzc_core.npz import DAMAGED_NPZ
from parzc_core.paths import write_whole
from parzc_core.storage.lock import Locked, locked

KEPT_BITS = 20
MADE_FROM = "made_from"  # entry of a shard
_DECIDING_VERSIONS = ("torch", "parzc")  # those that compute values; python's and numpy's are recorded
_REPLACED = "its shards or its manifest were replaced: bring them back, or remove the folder and run `parzc collect` again"
_IDENTITY = ("config", "image_batch", "archs_sha256", "starts", "kept_mantissa_bits")  # what tells collections apart


@dataclass(frozen=True, eq=False)
class Record:
    """What is stored of one architecture: its node-wise statistics and its network-level scores.

    position: of the architecture in the sample.
    """

    arch: str
    statistics: NodeStatistics
    scores: dict[str, float]
    position: int = 0


@dataclass(frozen=True, eq=False)
class Collection:
    """Everything read from a store, in the order of its sample.

    statistics: one NodeStatistics an architecture. scores: float64, index archs, a column for each network-level score.
    scored: {score: number of architectures from the front that have it}, for those that fewer have; the others are NaN.
    """

    archs: list[str]
    statistics: list[NodeStatistics]
    scores: pd.DataFrame
    manifest: dict[str, Any]
    scored: dict[str, int] = field(default_factory=dict)

    def with_scores(self, other: "Collection") -> "Collection":
        """Also with the scores of another collection that this one lacks. Raises BadInput where its sample is another."""
        names = [str(name) for name in other.scores if name not in self.scores]
        shared = [arch for arch, there in zip(self.archs, other.archs, strict=False) if arch == there]
        if len(shared) < min(len(self.archs), len(other.archs)):
            raise BadInput(
                "scores of another sample were given; expected the front of the same one (same space and --seed)"
            )
        scores = self.scores.join(other.scores.loc[shared][names])
        return replace(self, scores=scores, scored={**self.scored, **dict.fromkeys(names, len(shared))})


def archs_sha256(archs: Sequence[str]) -> str:
    """What tells one sample of architectures, in its order, from another."""
    return hashlib.sha256("\n".join(archs).encode()).hexdigest()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Inside, or in a function decorated by it, Python looks for no cycles: a third of the time of making many small objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class StatisticsStore:
    """A folder of shards. Opening it with another configuration, other images or another precision is refused.

    Shards of other versions of torch or parzc are read as they are; adding to them is refused (`check_versions`).
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest. Raises BadInput where the folder holds no store, or what is there is no manifest."""
        path = self.folder / "manifest.json"
        if not path.is_file():
            raise BadInput(f"{self.folder} holds no statistics (no manifest.json); make them with: parzc collect")
        remedy = (
            "bring it back, or remove it: then `parzc collect` writes it anew, keeps the shards that say they are of the same "
            "collection, and computes the others"
        )
        try:
            found = json_files.load(path)
            _check_manifest(found, path)
        except BadInput as error:
            raise BadInput(f"{error}; {remedy}") from None
        return found

    def open(self, description: dict[str, Any], archs: Sequence[str], starts: Sequence[int]) -> None:
        """Create the store, or check that the one there was made alike. Raises BadInput, naming what differs.

        description: "config" and "image_batch" decide, with the sample and the precision. What a manifest does not say is taken
        for alike. A store without any shard is made anew: a first collection that failed leaves nothing behind.
        archs: the sample. starts: for each shard, the lowest position in it; ascending, and every position below the next
        shard's is in this one or an earlier one.
        """
        identity = {"config": description["config"], "image_batch": description.get("image_batch", {})}
        identity |= {"archs_sha256": archs_sha256(archs), "starts": list(starts), "kept_mantissa_bits": KEPT_BITS}
        identity |= {"architectures": len(archs)}
        if (self.folder / "manifest.json").is_file() and (next(self.folder.glob("shard-*.npz"), None) is not None):
            there = self.manifest
            identity = json.loads(json.dumps(identity))  # as a manifest has it
            if (differs := _difference({key: there.get(key, identity[key]) for key in identity}, identity)) is not None:
                key, kept, asked = differs
                raise BadInput(
                    f"{self.folder} holds another collection: its {key} is {brief(kept, 60)}, got {brief(asked, 60)}; "
                    "choose another folder (--out FOLDER), or remove that one"
                )
            return
        self._write_manifest({**description, **identity, "shards": {}})

    def check_versions(self, here: dict[str, str], mix: bool = False) -> None:
        """Before shards are added: raises BadInput where those there were computed by another torch or parzc.

        here: the versions of this process. mix: add all the same; the manifest then lists these versions too.
        """
        manifest = self.manifest
        kept = [manifest.get("versions", here), *manifest.get("other_versions", [])]
        deciding = [{key: versions.get(key) for key in _DECIDING_VERSIONS} for versions in kept]
        ours = {key: here.get(key) for key in _DECIDING_VERSIONS}
        if ours in deciding:
            return
        if not mix:
            key = next(key for key in _DECIDING_VERSIONS if deciding[0][key] != ours[key])
            raise BadInput(
                f"the statistics in {self.folder} were computed with {key} {deciding[0][key]}, here is {ours[key]}, and the "
                "values of the two may differ; install that version, choose another folder (--out FOLDER), or add to it all the "
                "same (--mix-versions, in Python mix_versions=True; the manifest will say so)"
            )
        self._write_manifest({**manifest, "other_versions": [*manifest.get("other_versions", []), here]})

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        flat_lists = re.compile(r"\[\s+([^\[\]{}]*?)\s+\]")  # on one line each
        text = flat_lists.sub(lambda match: f"[{' '.join(match[1].split())}]", json.dumps(manifest, indent=1))
        write_whole(self.folder / "manifest.json", text + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while collecting. Raises BadInput if another process is collecting into this folder."""
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.folder / ".lock", wait=False))
            except Locked as error:
                raise BadInput(
                    f"another process is collecting into {self.folder}; wait for it or choose another folder"
                ) from error
            yield

    def path(self, number: int) -> Path:
        """Where shard `number` is or will be."""
        return self.folder / f"shard-{number:05d}.npz"

    def stamped(self, content: bytes, versions: dict[str, str]) -> bytes:
        """A shard, which from now on says that it is of this collection and of these versions."""
        entry = io.BytesIO()
        np.save(entry, np.array(_made_from(self.manifest, versions)))
        stamped = io.BytesIO(content)
        with zipfile.ZipFile(stamped, "a", zipfile.ZIP_DEFLATED) as file:
            file.writestr(zipfile.ZipInfo(f"{MADE_FROM}.npy"), entry.getvalue())  # ZipInfo: of no time, equal bytes each time
        return stamped.getvalue()

    def add(self, number: int, content: bytes, seconds: float = 0.0, peak_mb: float = 0.0) -> None:
        """Write a finished shard (what `pack` gave) and note it: CPU-seconds add up, of the peak memory the largest stays."""
        write_whole(self.path(number), content)
        self.note(number, content, seconds, peak_mb)

    def note(self, number: int, content: bytes, seconds: float = 0.0, peak_mb: float = 0.0) -> None:
        """Enter a shard that is there in the manifest."""
        manifest = self.manifest
        manifest["shards"][self.path(number).name] = hashlib.sha256(content).hexdigest()
        manifest["cpu_seconds"] = round(manifest.get("cpu_seconds", 0.0) + seconds, 1)
        manifest["peak_memory_mb"] = round(max(manifest.get("peak_memory_mb", 0.0), peak_mb))
        self._write_manifest(manifest)

    def read_shard(self, number: int) -> list[Record]:
        """The records of a shard. Raises CorruptShard if it is truncated, altered or of another collection."""
        return self._read_shard(number, self.manifest)

    def _read_shard(self, number: int, manifest: dict[str, Any]) -> list[Record]:
        return _records(self._arrays(number, manifest))

    def _arrays(self, number: int, manifest: dict[str, Any]) -> dict[str, np.ndarray]:
        """The arrays of a shard. Raises CorruptShard as `read_shard`."""
        path = self.path(number)
        content = path.read_bytes()
        expected = manifest["shards"].get(path.name)
        got = hashlib.sha256(content).hexdigest()
        again = "run the same `parzc collect` again, which computes only that shard anew"
        if expected is not None and got != expected:
            raise CorruptShard(
                f"{path} is damaged: its sha256 is {got[:12]}…, the manifest says {expected[:12]}…; {again}"
            )
        try:
            arrays = _unpacked(content)
        except DAMAGED_NPZ as error:
            raise CorruptShard(f"{path} is damaged ({brief(error)}); {again}") from error
        known = [manifest.get("versions", {}), *manifest.get("other_versions", [])]
        origin = None if MADE_FROM not in arrays else str(arrays[MADE_FROM])
        if origin is None and expected is None:
            raise CorruptShard(f"{path} does not say what it was computed from, and the manifest does not know it; {again}")
        sure = expected is None or "versions" in manifest  # what a manifest does not say is taken for alike
        if sure and origin is not None and origin not in [_made_from(manifest, versions) for versions in known]:
            raise CorruptShard(f"{path} is of another collection or version than the manifest says; {again}")
        return arrays

    def sums(self) -> pd.DataFrame:
        """Every architecture that is there, without its nodes: a fraction of what `read` takes.

        Index archs, in the order of the sample. Columns, float64: each proxy summed over the nodes, each network-level score; and
        "shard", the number with which `read_shard` gives the nodes. Raises BadInput, CorruptShard.
        """
        manifest, parts = self.manifest, []
        for number in range(len(manifest["starts"])):
            if not self.path(number).is_file():
                continue
            data = self._arrays(number, manifest)
            table: dict[str, np.ndarray] = {}
            if len(data["proxies"]):  # else there are scores alone, and perhaps no node
                starts = np.concatenate([[0], np.cumsum(data["lengths"])[:-1]])
                values = np.add.reduceat(data["values"][:, data["column"]], starts, axis=1)
                table = dict(zip(data["proxies"].tolist(), values, strict=True))
            table |= dict(zip(data["score_names"].tolist(), data["scores"].T, strict=True))
            table |= {"shard": np.full(len(data["archs"]), number), "position": data["positions"]}
            parts.append(pd.DataFrame(table, index=data["archs"]))
        if not parts:
            return pd.DataFrame({"shard": []}, dtype=int)
        found = pd.concat(parts).sort_values("position")
        if found["position"].duplicated().any():
            raise BadInput(f"{self.folder} holds an architecture of the sample twice; {_REPLACED}")
        return found.drop(columns="position")

    def damaged(self) -> dict[int, str]:
        """{number: what is wrong with it} of every shard that is there and is not what was written."""
        found: dict[int, str] = {}
        manifest = self.manifest
        for number in range(len(manifest["starts"])):
            if self.path(number).is_file():
                try:
                    self._read_shard(number, manifest)
                except CorruptShard as error:
                    found[number] = str(error)
        return found

    def missing(self) -> list[int]:
        """Numbers of the shards that are not there yet."""
        return [number for number in range(len(self.manifest["starts"])) if not self.path(number).is_file()]

    def complete(self) -> int:
        """Number of architectures that are there without a gap from the front; 0 where there is no store."""
        if not (self.folder / "manifest.json").is_file():
            return 0
        manifest = self.manifest
        gap = next(iter(self.missing()), None)
        return manifest["architectures"] if gap is None else manifest["starts"][gap]

    @gc_paused()
    def read(self, count: int | None = None) -> Collection:
        """The first `count` architectures (None: all that are complete from the front). Raises BadInput, CorruptShard."""
        manifest = self.manifest
        there = self.complete()
        count = None if count is None else whole("count", count, 0)
        wanted = there if count is None else count
        if wanted > there:
            raise BadInput(
                f"{self.folder} holds {there} architectures, {wanted} were asked; `parzc collect` collects more"
            )
        shards = [number for number, start in enumerate(manifest["starts"]) if start < wanted]
        records = [
            record for number in shards for record in self._read_shard(number, manifest) if record.position < wanted
        ]
        records.sort(key=lambda record: record.position)
        if [record.position for record in records] != list(range(wanted)):
            raise BadInput(
                f"{self.folder} holds {len(records)} of the first {wanted} architectures that its manifest tells of, or other "
                f"ones; {_REPLACED}"
            )
        scores = pd.DataFrame(
            [record.scores for record in records], index=[record.arch for record in records], dtype=float
        )
        return Collection([r.arch for r in records], [r.statistics for r in records], scores, manifest)


def _made_from(manifest: dict[str, Any], versions: dict[str, str]) -> str:
    """64 hex digits that stand for the collection that a manifest describes, and for the versions that decide values."""
    said = {key: manifest.get(key) for key in _IDENTITY} | {key: versions.get(key) for key in _DECIDING_VERSIONS}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _check_manifest(found: dict[str, Any], path: Path) -> None:
    """Raises BadInput where it lacks what every manifest has, or an entry is of another kind."""
    def of_texts(got: Any) -> bool:
        return isinstance(got, dict) and all(isinstance(value, str) for value in got.values())

    def counts(got: Any) -> bool:
        return is_whole(got) and got >= 0

    def amount(got: Any) -> bool:
        return isinstance(got, int | float) and not isinstance(got, bool) and 0 <= got < math.inf

    needed = {
        "config": (lambda got: isinstance(got, dict), "an object"),
        "starts": (lambda got: isinstance(got, list) and all(map(counts, got)) and got == sorted(got), "ascending positions"),
        "shards": (of_texts, "a sha256 for each shard"),
        "architectures": (counts, "a whole number"),
    }
    known = {
        "image_batch": (lambda got: isinstance(got, dict), "an object"),
        "versions": (of_texts, "the version of each program"),
        "other_versions": (lambda got: isinstance(got, list) and all(map(of_texts, got)), "a list of versions"),
        "cpu_seconds": (amount, "a number"),
        "peak_memory_mb": (amount, "a number"),
        "computed": (counts, "a whole number"),
    }
    if missing := [key for key in needed if key not in found]:
        raise BadInput(f"{path} is no manifest of statistics (it lacks {', '.join(missing)})")
    for key, (is_right, expected) in {**needed, **known}.items():
        if key in found and not is_right(found[key]):
            raise BadInput(f"{path} is damaged: got {brief(json.dumps(found[key]), 60)} as {key}; expected {expected}")


def _difference(there: Any, here: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """(name, value there, value here) of the first entry that differs, as "config.cells"; None where all is alike."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return None if there == here else (name, there, here)
    names = [key for key in {**here, **there} if there.get(key) != here.get(key)]
    inner = (_difference(there.get(key), here.get(key), f"{name}.{key}".lstrip(".")) for key in names)
    return next(inner, None)


def round_mantissa(values: np.ndarray, bits: int = KEPT_BITS) -> np.ndarray:
    """float64 rounded to `bits` bits of mantissa; NaN, inf and 0 stay what they are."""
    exact = np.asarray(values, dtype=np.float64)
    mantissa, exponent = np.frexp(exact)
    scale = float(1 << bits)
    with np.errstate(over="ignore"):
        rounded = np.ldexp(np.round(mantissa * scale) / scale, exponent)
    return np.where(np.isfinite(rounded), rounded, exact)  # the last binade below infinity must not round up to it


def pack(records: Sequence[Record]) -> bytes:
    """A compressed npz: ragged node axes laid end to end, node names as numbers into one list, equal columns of values once."""
    names = list(dict.fromkeys(node for record in records for node in record.statistics.nodes))
    number = {name: i for i, name in enumerate(names)}
    parts = [record.statistics for record in records]
    score_names = list(records[0].scores)
    values = round_mantissa(np.concatenate([part.values for part in parts], axis=1))
    seen: dict[bytes, int] = {}
    column = [seen.setdefault(values[:, i].tobytes(), len(seen)) for i in range(values.shape[1])]
    different = np.empty((len(values), len(seen)))  # without columns where sums alone are kept
    for i, each in enumerate(seen):
        different[:, i] = np.frombuffer(each, dtype=np.float64)
    arrays = {
        "archs": np.array([record.arch for record in records]),
        "positions": np.array([record.position for record in records], dtype=np.int64),
        "node_names": np.array(names),
        "proxies": np.array(parts[0].proxies, dtype=np.str_),
        "lengths": np.array([len(part.nodes) for part in parts], dtype=np.int32),
        "nodes": np.array([number[node] for part in parts for node in part.nodes], dtype=np.uint16),
        "execution": np.concatenate([np.array(part.execution_order, dtype=np.uint16) for part in parts]),
        "numel": np.concatenate([part.numel for part in parts]),
        "column": np.array(column, dtype=np.int32),
        "values": different,
        "score_names": np.array(score_names, dtype=np.str_),
        "scores": np.array([[record.scores[k] for k in score_names] for record in records], dtype=np.float64),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpacked(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _records(data: dict[str, np.ndarray]) -> list[Record]:
    proxies = tuple(data["proxies"].tolist())
    score_names, values = data["score_names"].tolist(), data["values"][:, data["column"]]
    names, nodes, execution = data["node_names"].tolist(), data["nodes"].tolist(), data["execution"].tolist()
    scores_of, positions, ends = data["scores"].tolist(), data["positions"].tolist(), np.cumsum(data["lengths"]).tolist()
    records = []
    for i, (arch, start, end) in enumerate(zip(data["archs"].tolist(), [0, *ends[:-1]], ends, strict=True)):
        part = slice(start, end)
        statistics = NodeStatistics(
            nodes=tuple([names[n] for n in nodes[part]]),
            proxies=proxies,
            values=values[:, part],
            numel=data["numel"][part],
            execution_order=tuple(execution[part]),
        )
        scores = dict(zip(score_names, scores_of[i], strict=True))
        records.append(Record(arch, statistics, scores, positions[i]))
    return records
