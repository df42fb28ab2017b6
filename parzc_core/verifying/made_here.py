"""What can be recomputed of the ground truths that were made here: trained NDS networks, Table 11's bit configurations.

    found = draw(truths(paths.ROOT / "results", seed=0), 4)
    found.chosen[0].check()                       # Checked("truth/nds", "Training: space nds_darts, …", comparisons)

Accuracies have the tolerance of other trained results, 2 points; how far another CPU takes these trainings was not measured.
What needs Fashion-MNIST is named where its files are not here. Layer sensitivities are not recomputed: power iteration and random
signs carry rounding on, and how far was not measured.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from parzc_core.errors import BadInput, ParzcError
from parzc_core.experiments.table11_mixed_precision import LINEAR, RepeatRun
from parzc_core.files import json_files
from parzc_core.images.fashion_mnist import SHAPE, Images, accuracy, folder_of_fashion_mnist
from parzc_core.quantization import ground_truth
from parzc_core.quantization.bits import BitConfiguration, configuration, sample
from parzc_core.quantization.ground_truth import Evaluation, Plan
from parzc_core.quantization.network import ResNet18, load, train
from parzc_core.quantization.rankers import bits_alone, features, linear, parzc
from parzc_core.quantization.sensitivities import Sensitivities
from parzc_core.runs.nds_networks import Recipe, Training
from parzc_core.runs.protocol import Run
from parzc_core.storage.run_store import RunStore
from parzc_core.verifying import verdicts
from parzc_core.verifying.again import of
from parzc_core.verifying.items import (
    CHEAP_RUN,
    Checked,
    Item,
    Source,
    damaged,
    different,
    named,
    other,
    said,
    too_expensive,
)

Line = Mapping[str, Any]
NEEDS_IMAGES = "Fashion-MNIST is not here (`parzc data fetch` gets it)"
NOT_SAMPLED = "layer sensitivities have no measured tolerance"


def truths(folder: Path, seed: int, expensive: bool = False, wanted: Callable[[str], bool] = lambda name: True) -> list[Source]:
    """Every ground truth below `folder`, as truth/nds and mixed_precision/digits. expensive: also of more than CHEAP_RUN."""
    sources = []
    for place, file, source in (("truth", "runs.jsonl", _trainings), ("mixed_precision", "manifest.json", _benchmark)):
        for name, path, own in named(folder, f"{place}/*/{file}", seed, wanted):
            sources.append(source(name, path.parent, own, expensive))
    return sources


def _trainings(name: str, folder: Path, seed: tuple[int, int], expensive: bool) -> Source:
    """The networks of runs.nds_networks."""
    store = RunStore(folder / "runs.jsonl")
    if (found := damaged(name, store)) is not None:
        return found
    here = folder_of_fashion_mnist()
    lines = [one for one in store if one["config"]["data"] == "digits" or here is not None]
    cheap = [one for one in lines if expensive or one["result"]["seconds"] <= CHEAP_RUN]
    if not cheap:
        return Source(name, skipped=too_expensive([one["result"]["seconds"] for one in lines]) if lines else NEEDS_IMAGES)

    def make(config: Mapping[str, Any]) -> Run:
        images = None if config["data"] == "digits" else here
        return Training(config["space"], config["arch"], config["seed"], of(Recipe, config), images)

    return Source(name, _of_lines(name, "Training", cheap, make, np.random.default_rng(seed)))


def _of_lines(
    name: str, kind: str, lines: Sequence[Line], make: Callable[[Mapping[str, Any]], Run], generator: np.random.Generator
) -> Iterator[Item]:
    """Stored lines in random order. make: the run of a configuration."""
    for i in generator.permutation(len(lines)):
        yield Item(name, float(lines[i]["result"]["seconds"]), functools.partial(_check_line, name, kind, lines[i], make))


def _check_line(name: str, kind: str, line: Line, make: Callable[[Mapping[str, Any]], Run]) -> Checked:
    words = said({"kind": kind, **line["config"]})
    try:
        run = make(line["config"])
        if RunStore.key(key := run.key()) != line["key"]:
            return Checked(name, words, different(kind), f"it is another run here: {other(line['config'], key)}")
        return Checked(name, words, tuple(verdicts.of_result(kind, line["result"], run.evaluate())))
    except ParzcError as error:  # it went well when it was stored
        return Checked(name, words, different(kind), str(error))


@dataclasses.dataclass(frozen=True)
class _Benchmark:
    """A folder that `parzc mixed-precision` made. facts: of its manifest. here: whether its images can be read."""

    folder: Path
    facts: Mapping[str, Any]
    here: bool

    @functools.cached_property
    def plan(self) -> Plan:
        return of(Plan, self.facts["plan"])

    @functools.cached_property
    def images(self) -> Images:
        return self.plan.images()

    @functools.cached_property
    def network(self) -> nn.Module:
        """Raises BadInput for a damaged file."""
        return load(ResNet18(10, 1, self.plan.recipe.width), self.folder / "checkpoint.npz").eval()

    @functools.cached_property
    def shared(self) -> dict[str, Any]:
        """What decides the accuracy of a configuration beside its bits."""
        of_network = {"network": ground_truth.fingerprint(self.network), "data": self.plan.data}
        return {**of_network, **dataclasses.asdict(self.plan.evaluation)}

    def store(self, kind: str) -> RunStore:
        return RunStore(self.folder / f"{kind}.jsonl")

    def measured(self, config: Mapping[str, Any]) -> Run:
        """A bit configuration, calibrated anew."""
        return _Measured(self, configuration(self.network, config["bits"]), of(Evaluation, config))

    def ranked(self, config: Mapping[str, Any]) -> Run:
        """A repeat of a ranker, which learns from stored accuracies. Raises BadInput where one is not stored."""
        drawn = sample(self.network, config["count"], config["seed"], activations=config["activations"])
        store = self.store("runs")
        known = [store.get({**self.shared, "bits": bits.plain()}) for bits in drawn]
        batch = {name: getattr(self.plan, name) for name in ("batch", "iterations", "draws")}
        of_network = {name: self.shared[name] for name in ("network", "data")}
        read = self.store("sensitivities").get({**of_network, **batch, "batch_seed": 0})
        if read is None or None in known:
            raise BadInput(f"{known.count(None)} of its {len(known)} accuracies are not stored, or the sensitivities are not")
        measured = np.array([one["accuracy"] for one in known if one], dtype=np.float64)
        if config["ranker"] == LINEAR:
            learn, inputs = linear, bits_alone(drawn)
        else:
            learn = functools.partial(parzc, epochs=config["epochs"], size=config["size"])
            inputs = features(Sensitivities.restored(self.network, read, config["clipping"], SHAPE).statistics, drawn)
        given = {name: value for name, value in config.items() if name not in ("folds", "repeat")}
        given |= {name: value for name, value in self.shared.items() if name in config}
        return RepeatRun(inputs, measured, learn, config["repeat"], config["folds"], given)


@dataclasses.dataclass(frozen=True)
class _Measured:
    """The accuracy of a bit configuration, measured as the stored ones were, but kept nowhere."""

    of: _Benchmark
    bits: BitConfiguration
    evaluation: Evaluation

    def key(self) -> dict[str, Any]:
        """As it is stored."""
        return {**self.of.shared, **dataclasses.asdict(self.evaluation), "bits": self.bits.plain()}

    def evaluate(self) -> Mapping[str, Any]:
        """{"accuracy", "size", "seconds"}."""
        with tempfile.TemporaryDirectory() as folder:
            store = RunStore(Path(folder) / "runs.jsonl")
            plan = self.of.plan
            (row,) = ground_truth.evaluate_all(
                self.of.network, plan.data, [self.bits], store, lambda: self.of.images, self.evaluation
            )
        return row


def _benchmark(name: str, folder: Path, seed: tuple[int, int], expensive: bool) -> Source:
    """The network, its bit configurations and their rankers, one of each in turn."""
    try:
        facts = json_files.load(folder / "manifest.json")
        benchmark = _Benchmark(folder, facts, facts["plan"]["data"] == "digits" or folder_of_fashion_mnist() is not None)
        training = float(facts["training_cpu_minutes"]) * 60
    except (BadInput, OSError, KeyError, TypeError) as error:
        return Source(name, iter([Item(name, 0.0, functools.partial(_fault, name, f"manifest.json: {error}"))]))
    generator = np.random.default_rng(seed)
    kinds: list[Iterator[Item]] = []
    left = []
    if benchmark.here:
        kinds.append(iter([Item(name, 5.0, functools.partial(_check_network, name, benchmark))]))
        if training <= CHEAP_RUN or expensive:
            kinds.append(iter([Item(name, training, functools.partial(_check_training, name, benchmark))]))
        else:
            left.append(f"its training takes {training:.0f} CPU-seconds; --expensive recomputes it too")
    else:
        left.append(f"network and accuracies: {NEEDS_IMAGES}")
    for kind, make in (("runs", benchmark.measured), ("rankers", benchmark.ranked)):
        store = benchmark.store(kind)
        if (found := damaged(name, store)) is not None:
            return found
        lines = [one for one in store if kind == "rankers" or benchmark.here]
        if cheap := [one for one in lines if expensive or one["result"]["seconds"] <= CHEAP_RUN]:
            kinds.append(_of_lines(name, kind, cheap, make, generator))
        if len(cheap) < len(lines):
            left.append(f"{kind}.jsonl: {too_expensive([x['result']['seconds'] for x in lines])}")
    if len(benchmark.store("sensitivities")):
        left.append(NOT_SAMPLED)
    turns = [kinds[int(i)] for i in generator.permutation(len(kinds))]
    items = (item for turn in zip_longest(*turns) for item in turn if item is not None)
    return Source(name, items if kinds else iter(()), left="; ".join(left))


def _fault(name: str, why: str) -> Checked:
    return Checked(name, "manifest.json", different("manifest.json"), why)


def _check_network(name: str, benchmark: _Benchmark) -> Checked:
    """The stored network on all test images."""
    try:
        images = benchmark.images
        found = {"stored_accuracy": accuracy(benchmark.network, images.test, images.test_labels)}
    except BadInput as error:
        return Checked(name, "checkpoint.npz", different("checkpoint"), str(error))
    return _of_facts(name, "checkpoint.npz", benchmark, found)


def _check_training(name: str, benchmark: _Benchmark) -> Checked:
    """The network trained again."""
    return _of_facts(name, "training", benchmark, {"float_accuracy": train(benchmark.images, benchmark.plan.recipe)[1].accuracy})


def _of_facts(name: str, what: str, benchmark: _Benchmark, found: Mapping[str, float]) -> Checked:
    if benchmark.images.digest != benchmark.facts["images"]:
        return Checked(name, what, note="other images are here (their digest differs)")
    stored = {entry: benchmark.facts[entry] for entry in found}
    return Checked(name, what, tuple(verdicts.of_result("network", stored, found)))
