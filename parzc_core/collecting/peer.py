"""The two sides of the collector's benchmark, timed in turn: this project, and a checkout of the peer that the user has.

The peer is SamsungLabs/zero-cost-nas (Abdelfattah et al., ICLR 2021, [1]). It is imported from the path that is given and from
nowhere else; nothing of it is part of this project.
"""

import contextlib
import copy
import gc
import hashlib
import importlib
import io
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core import metrics
from parzc_core.collecting.fast import passes_of
from parzc_core.collector import collect_statistics, statistics_of
from parzc_core.errors import BadInput
from parzc_core.images.batch import MiniBatch
from parzc_core.passes import nodes_of
from parzc_core.scores import registry
from parzc_core.spaces import nb201

# The peer's names; ours calls one of them jacov.
PROXIES = ("grad_norm", "snip", "grasp", "fisher", "jacob_cov", "plain", "synflow")
PEER_SOURCE = "https://github.com/SamsungLabs/zero-cost-nas"
COMPARISONS = ("float32", "float64", "peer_rounding", "our_rounding")
_PEER_FILE = "foresight/pruners/predictive.py"
Values = dict[str, complex]  # an eigenvalue that rounding made complex makes the peer's jacob_cov complex
T = TypeVar("T")


@dataclass(frozen=True)
class Ours:
    """This project, as `parzc collect` runs it. channels, depth: of the network (depth: cells in each stage)."""

    channels: int = 16
    depth: int = 5

    def build(self, arch: str, skip_dead: bool = True) -> nn.Module:
        """The benchmark's published network, the same initial weights each time."""
        torch.manual_seed(0)
        return nb201.build(arch, self.channels, self.depth, skip_dead=skip_dead)

    def seven(self, network: nn.Module, batch: MiniBatch) -> Values:
        """All seven from shared passes."""
        passes = passes_of(network, batch.images, batch.labels, second_order=True)
        values: Values = {**statistics_of(passes, [name for name in PROXIES if name != "jacob_cov"]).sums()}
        values["jacob_cov"] = registry.score_of("jacov", passes)
        return values

    def one(self, network: nn.Module, batch: MiniBatch, proxy: str) -> complex:
        """One alone, through the functions a user calls."""
        if proxy == "jacob_cov":
            return registry.score("jacov", network, batch.images, batch.labels)
        return collect_statistics(network, batch.images, batch.labels, [proxy]).sums()[proxy]


@dataclass(frozen=True)
class Bare:
    """The passes that the seven proxies cannot do without, by torch's own layers, and nothing else; no values come of them.

    One forward and backward for the loss, a Hessian-vector product, a backward of the logits' sum to the images, and one forward
    and backward of an image of ones in float64 without BatchNorm. The network in double precision belongs to the construction.
    """

    ours: Ours

    def build(self, arch: str) -> nn.Module:
        """ModuleList of our network, and of its double-precision copy with absolute weights and without BatchNorm."""
        network = self.ours.build(arch).train()
        flow = copy.deepcopy(network).double().eval()
        for module in flow.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.forward = nn.Identity().forward  # type: ignore[method-assign]
        for model in (network, flow):
            model.requires_grad_(False)
            for node in nodes_of(model).values():
                node.weight.requires_grad_(True)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.abs_()
        return nn.ModuleList([network, flow])

    def seven(self, network: nn.Module, batch: MiniBatch) -> Values:
        """Make the passes."""
        model, flow = network.children()
        self.passes(model, flow, batch)
        return {}

    @staticmethod
    def passes(model: nn.Module, flow: nn.Module, batch: MiniBatch) -> tuple[Any, ...]:
        """(loss gradients, H g, gradient of the logits' sum by the images, synflow's gradients)."""
        images = batch.images.clone().requires_grad_(True)
        weights, flow_weights = ([node.weight for node in nodes_of(each).values()] for each in (model, flow))
        gradient = partial(torch.autograd.grad, allow_unused=True)
        logits = model(images)
        g = gradient(F.cross_entropy(logits, batch.labels), weights, create_graph=True)
        z = torch.stack([(each.detach() * each).sum() for each in g if each is not None]).sum()
        hessian = gradient(z, weights, retain_graph=True)
        (jacobian,) = gradient(logits.sum(), [images])
        ones = torch.ones_like(images[:1], dtype=torch.float64)
        return g, hessian, jacobian, gradient(flow(ones).sum(), flow_weights)


class Peer:
    """The peer's own functions, from its checkout. `commit` is None where the checkout has no git; `sha256` is of its sources."""

    def __init__(self, folder: Path | str) -> None:
        """Raises BadInput where the folder is no such checkout, or its code cannot be imported."""
        folder = Path(folder).resolve()
        advice = f"expected a checkout made by: git clone {PEER_SOURCE}"
        if not (folder / _PEER_FILE).is_file():
            raise BadInput(f"got the peer {folder}, which holds no {_PEER_FILE}; {advice}")
        for name in [name for name in sys.modules if name.partition(".")[0] == "foresight"]:
            del sys.modules[name]  # of another folder
        sys.path.insert(0, str(folder))
        try:
            self._measures = importlib.import_module("foresight.pruners.predictive").find_measures
            self._network = importlib.import_module("foresight.models.nasbench2").get_model_from_arch_str
        except (ImportError, AttributeError) as error:
            raise BadInput(f"the peer in {folder} cannot be imported ({error}); {advice}") from error
        finally:
            sys.path.remove(str(folder))
        self.commit = _commit(folder)
        digest = hashlib.sha256()
        for file in sorted((folder / "foresight").rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        self.sha256 = digest.hexdigest()

    def build(self, arch: str) -> nn.Module:
        """The peer's own network of the cell; it differs from the published one (its convolutions in cells have a bias)."""
        torch.manual_seed(0)
        return self._network(arch, 10)

    def seven(self, network: nn.Module, batch: MiniBatch) -> Values:
        """All seven in one call, as the peer's scripts make it. Raises BadInput where that fails."""
        return self._find(network, batch, PROXIES)

    def one(self, network: nn.Module, batch: MiniBatch, proxy: str) -> complex:
        """One alone. Raises BadInput where that fails."""
        return self._find(network, batch, (proxy,))[proxy]

    def _find(self, network: nn.Module, batch: MiniBatch, names: Sequence[str]) -> Values:
        loader = [(batch.images, batch.labels)]
        device = torch.device("cpu")
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                return dict(self._measures(network, loader, ("random", 1, 10), device, measure_names=list(names)))
            except Exception as error:
                raise BadInput(f"the peer failed on {', '.join(names)}: {type(error).__name__}: {error}") from error


Side = Ours | Peer | Bare


def sides(ours: Ours, peer: Peer | None) -> dict[str, Side]:
    """What is timed, by name."""
    return {"bare": Bare(ours), "ours": ours, **({} if peer is None else {"peer": peer})}


def _commit(folder: Path) -> str | None:
    if not (folder / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def cpu_seconds(work: Callable[[], T]) -> tuple[float, T]:
    """CPU-seconds that the work took in this process, and what it returned; earlier garbage is collected first."""
    gc.collect()
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def whole_cell(side: Side, arch: str, batch: MiniBatch, repeats: int = 1) -> tuple[float, float]:
    """CPU-seconds of building the network and of its seven proxies, each the smallest of the repeats."""
    times = []
    for _ in range(repeats):
        construction, network = cpu_seconds(partial(side.build, arch))
        times.append((construction, cpu_seconds(partial(side.seven, network, batch))[0]))
    return min(first for first, _ in times), min(second for _, second in times)


def compare(
    archs: Iterable[str], ours: Ours, peer: Peer | None, batch: MiniBatch, repeats: int = 1
) -> list[dict[str, Any]]:
    """One record a cell: {"arch", side: CPU-seconds of it, "difference": see `differences`}, the last only with a peer.

    Sides: "bare", "ours", "peer". CPU-seconds: {"construction", "seven"}, and each of PROXIES but for "bare". The sides take
    turns, and each begins as often as the others.
    """
    records: list[dict[str, Any]] = []
    every = sides(ours, peer)
    alone: dict[str, Ours | Peer] = {name: side for name, side in every.items() if isinstance(side, Ours | Peer)}
    for arch in archs:
        record: dict[str, Any] = {"arch": arch, **{name: {} for name in every}}
        for name in _rotated(every, len(records)):
            record[name]["construction"], record[name]["seven"] = whole_cell(every[name], arch, batch, repeats)
        networks = {name: side.build(arch) for name, side in alone.items()}
        for number, proxy in enumerate(PROXIES, start=len(records)):
            for name in _rotated(alone, number):
                work = partial(alone[name].one, networks[name], batch, proxy)
                record[name][proxy] = min(cpu_seconds(work)[0] for _ in range(repeats))
        if peer is not None:
            record["difference"] = differences(arch, ours, peer, batch)
        records.append(record)
    return records


def _rotated(names: Iterable[str], start: int) -> list[str]:
    listed = list(names)
    return listed[start % len(listed) :] + listed[: start % len(listed)]


def differences(arch: str, ours: Ours, peer: Peer, batch: MiniBatch) -> dict[str, dict[str, float | None]]:
    """{comparison: {proxy: relative difference}} of the values of both sides on our network, from the same weights.

    float32: peer and ours as they are used. float64: the same with weights and images in double precision, so without rounding.
    peer_rounding, our_rounding: each side's float32 against its float64. A peer that fails gives NaN; see `relative_difference`.
    """
    double = MiniBatch(batch.images.double(), batch.labels, batch.classes, batch.manifest)
    values: dict[str, Values] = {}
    for kind, images in (("float32", batch), ("float64", double)):
        dtype = images.images.dtype
        values[f"ours {kind}"] = ours.seven(ours.build(arch).to(dtype), images)
        theirs = values[f"peer {kind}"] = {}
        for proxy in PROXIES:
            try:
                theirs[proxy] = peer.one(ours.build(arch, skip_dead=False).to(dtype), images, proxy)
            except BadInput:
                theirs[proxy] = float("nan")
    pairs = (
        ("peer float32", "ours float32"),
        ("peer float64", "ours float64"),
        ("peer float32", "peer float64"),
        ("ours float32", "ours float64"),
    )
    return {
        name: {proxy: relative_difference(values[a][proxy], values[b][proxy]) for proxy in PROXIES}
        for name, (a, b) in zip(COMPARISONS, pairs, strict=True)
    }


def relative_difference(a: complex, b: complex) -> float | None:
    """|a - b| / max(|a|, |b|), in [0, 2]; 2 if only one of them is a finite number, None if none is."""
    finite = bool(np.isfinite(a)), bool(np.isfinite(b))
    if not all(finite):
        return 2.0 if any(finite) else None
    return 0.0 if a == b else float(abs(a - b) / max(abs(a), abs(b)))


def summary(
    records: Sequence[dict[str, Any]], task: str, side: str = "peer", beside: str = "ours"
) -> dict[str, float | None]:
    """Mean CPU-seconds a cell of both sides; side / beside as ratio of the sums, and median, least, greatest ratio of a cell.

    low, high: 95 % interval of the ratio of the sums, from 2,000 draws of as many cells with replacement; None for one cell.
    task: a key of the records' times, or "in all": construction and the seven. Of a side that was not run all is None.
    """
    first, second = np.array(times_of(records, side, task)), np.array(times_of(records, beside, task))
    found: dict[str, float | None] = {side: None, beside: float(second.mean())}
    if not len(first):
        return found | dict.fromkeys(("ratio", "low", "high", "median", "least", "greatest"))
    ratios = first / second
    found |= {side: float(first.mean()), "ratio": float(first.sum() / second.sum()), "median": float(np.median(ratios))}
    ends = metrics.bootstrap_interval(lambda a, b: float(a.sum() / b.sum()), first, second, 2000)
    found |= dict(zip(("low", "high"), ends if len(first) > 1 else (None, None), strict=True))
    return found | {"least": float(ratios.min()), "greatest": float(ratios.max())}


def times_of(records: Sequence[dict[str, Any]], side: str, task: str) -> list[float]:
    """CPU-seconds of a task of each cell, of those where that side was run."""
    keys = ("construction", "seven") if task == "in all" else (task,)
    return [sum(record[side][key] for key in keys) for record in records if side in record]


def worst_differences(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{proxy: {comparison: worst relative difference over the cells, "not_finite": cells left out}}; {} without a peer."""
    compared = [record["difference"] for record in records if "difference" in record]
    found: dict[str, dict[str, Any]] = {}
    for proxy in PROXIES if compared else ():
        rows = {name: [each[name][proxy] for each in compared] for name in COMPARISONS}
        worst = {name: max((v for v in values if v is not None), default=None) for name, values in rows.items()}
        found[proxy] = {**worst, "not_finite": rows["float32"].count(None)}
    return found
