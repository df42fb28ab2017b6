"""Table 11's ground truth, made here: one trained network, seeded bit configurations, their accuracies, layer sensitivities.

    made = recreate(PLANS["fashion-mnist"], FOLDER / "fashion-mnist")

computes the files that are missing in the folder: checkpoint.npz (the network, 8 bits a weight), manifest.json (how it
was trained), runs.jsonl (an accuracy a configuration), sensitivities.jsonl (what the proxies read, a line a mini-batch).
Killed at any moment, the same call goes on; training alone starts again from its beginning.
"""

import functools
import hashlib
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from parzc_core import paths
from parzc_core.errors import BadInput, UnknownName
from parzc_core.files import json_files
from parzc_core.images import fashion_mnist as data_
from parzc_core.images.fashion_mnist import Images, accuracy
from parzc_core.quantization import network as checkpoint
from parzc_core.quantization.bits import BitConfiguration, sample, size_in_bits
from parzc_core.quantization.network import Recipe, ResNet18, train
from parzc_core.quantization.quantizer import Quantizer, Ranges, calibrate
from parzc_core.quantization.ranges import least_error_ranges, renormalize
from parzc_core.quantization.sensitivities import Sensitivities
from parzc_core.runs.protocol import run_all
from parzc_core.storage import workers
from parzc_core.storage.run_store import RunStore

FOLDER = paths.ROOT / "results" / "mixed_precision"  # where what is committed lies, whatever PARZC_RESULTS says


@dataclass(frozen=True)
class Evaluation:
    """Post-training quantization. calibration: training images, the first so many; test: test images, the first so many.

    clipping: "max" or "mse", of weights and activations alike; with "max", activations are cut at the quantile `clip`.
    renormalize: BatchNorm's statistics are measured again in each quantized network, over the calibration images.

    The defaults were chosen for the spread of accuracies alone, on ten configurations of the network for digits: measured
    again, its BatchNorm leaves all of them within two points (standard deviation 0.6), as trained, over thirty (10.3).
    """

    calibration: int = 512
    test: int = 2000
    clipping: str = "mse"
    clip: float = 0.999
    batch: int = 256
    renormalize: bool = False


@dataclass(frozen=True)
class Plan:
    """All that decides the result.

    data: "fashion-mnist" or "digits". count, seed: of the sample of configurations. batches, batch: mini-batches of training
    images that the proxies read, and their size; iterations, draws: of power iteration and of Hutchinson.
    """

    data: str
    recipe: Recipe = field(default_factory=Recipe)
    evaluation: Evaluation = field(default_factory=Evaluation)
    count: int = 430
    seed: int = 0
    batches: int = 3
    batch: int = 32
    iterations: int = 20
    draws: int = 30

    def images(self, folder: Path | None = None) -> data_.Images:
        """The images, from `folder` or wherever they are found. Raises BadInput where they are not, UnknownName."""
        if self.data == "digits":
            return data_.digits()
        if self.data != "fashion-mnist":
            raise UnknownName.of("data set of the mixed-precision benchmark", self.data, ("fashion-mnist", "digits"))
        found = data_.folder_of_fashion_mnist(folder)
        if found is None:
            raise BadInput(
                "Fashion-MNIST is not here; expected its four files in PARZC_DATA/fashion-mnist, in "
                f"{data_.DEBIAN} (Debian's package dataset-fashion-mnist), or got by `parzc data fetch`"
            )
        return data_.fashion_mnist(found)


PLANS = {
    "fashion-mnist": Plan("fashion-mnist"),
    "fashion-mnist-width32": Plan("fashion-mnist", Recipe(width=32)),
    "digits": Plan(
        "digits", Recipe(epochs=15, batch=64, width=16, flip=False), Evaluation(calibration=512, test=599), batch=32
    ),
    "tiny": Plan(
        "digits",
        Recipe(epochs=4, batch=64, width=8, flip=False),
        Evaluation(calibration=256, test=200),
        count=40,
        batches=2,
        batch=16,
        iterations=3,
        draws=3,
    ),
}


def best(folder: Path = FOLDER) -> str:
    """Name of the first of PLANS that has been made in `folder`; "tiny", which takes seconds, where none has."""
    needed = ("manifest.json", "checkpoint.npz", "runs.jsonl", "sensitivities.jsonl")
    made = (name for name in PLANS if all((Path(folder) / name / file).is_file() for file in needed))
    return next(made, "tiny")


@dataclass(frozen=True, eq=False)
class Recreated:
    """One set of configurations, measured. accuracy: float64[n], percent; size: float64[n], bits of the weights.

    sensitivities: one a mini-batch. facts: of manifest.json. key: what says whose accuracies these are. seconds: float64[n].
    """

    network: nn.Module
    configurations: list[BitConfiguration]
    accuracy: np.ndarray
    size: np.ndarray
    seconds: np.ndarray
    sensitivities: list[Sensitivities]
    facts: dict[str, Any]
    key: dict[str, Any]


def recreate(
    plan: Plan,
    folder: Path,
    activations: Sequence[int] | None = None,
    source: Path | None = None,
    jobs: int = 1,
) -> Recreated:
    """Compute what is missing in the folder; return all of it. activations: their bits, where not those of the weights.

    source: folder of the images. jobs: processes that measure configurations. Raises BadInput for a damaged checkpoint, or
    where images are needed and not here.
    """

    @functools.cache
    def images() -> data_.Images:
        return plan.images(source)

    folder = Path(folder)
    network, facts = _trained(plan, folder, images)
    configurations = sample(network, plan.count, plan.seed, activations=activations)
    store = RunStore(folder / "runs.jsonl")
    if jobs > 1:
        for _ in workers.run(
            _measure, [(plan, network, configurations[i::jobs], store.path, source) for i in range(jobs)], jobs
        ):
            pass
    rows = evaluate_all(network, plan.data, configurations, store, images, plan.evaluation)
    accuracies, sizes, seconds = (
        np.array([row[name] for row in rows], dtype=np.float64) for name in ("accuracy", "size", "seconds")
    )
    key = {"network": fingerprint(network), **asdict(plan.evaluation), "count": plan.count, "seed": plan.seed}
    key["activations"] = None if activations is None else list(activations)
    sensitivities = _sensitivities(plan, network, folder, images)
    return Recreated(network, configurations, accuracies, sizes, seconds, sensitivities, facts, key)


def _measure(
    plan: Plan, network: nn.Module, configurations: list[BitConfiguration], path: Path, source: Path | None
) -> None:
    """A worker's share; the store takes the lines of several writers."""
    torch.set_num_threads(1)
    evaluate_all(network, plan.data, configurations, RunStore(path), lambda: plan.images(source), plan.evaluation)


def _trained(plan: Plan, folder: Path, images: Any) -> tuple[nn.Module, dict[str, Any]]:
    path, manifest = folder / "checkpoint.npz", folder / "manifest.json"
    network = ResNet18(10, 1, plan.recipe.width)
    if not (path.is_file() and manifest.is_file()):
        made, training = train(images(), plan.recipe)
        checkpoint.save(made, path)
        checkpoint.load(network, path)
        facts = {
            "command": "parzc " + shlex.join(["mixed-precision", "--plan", _name(plan)]),
            "plan": asdict(plan),
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "float_accuracy": training.accuracy,
            "stored_accuracy": accuracy(network, images().test, images().test_labels),
            "training_cpu_minutes": training.cpu_minutes,
            "images": images().digest,
        }
        paths.write_whole(manifest, json.dumps(facts, indent=2) + "\n")
    return checkpoint.load(network, path).eval(), json_files.load(manifest)


def _name(plan: Plan) -> str:
    return next((name for name, known in PLANS.items() if known == plan), plan.data)


def _sensitivities(plan: Plan, network: nn.Module, folder: Path, images: Any) -> list[Sensitivities]:
    store = RunStore(folder / "sensitivities.jsonl")
    shared = {"network": fingerprint(network), "data": plan.data}
    shared |= {name: getattr(plan, name) for name in ("batch", "iterations", "draws")}
    found = []
    for seed in tqdm(range(plan.batches), desc="layer sensitivities", disable=None):
        key = {**shared, "batch_seed": seed}
        plain = store.get(key)
        if plain is None:
            x, y = images().train, images().train_labels
            chosen = torch.from_numpy(np.random.default_rng(seed).choice(len(x), plan.batch, replace=False))
            made = Sensitivities(network, x[chosen], y[chosen], seed, plan.iterations, plan.draws)
            plain = store.put(key, made.plain())
        found.append(Sensitivities.restored(network, plain, plan.evaluation.clipping, data_.SHAPE))
    return found


@dataclass(frozen=True, eq=False)
class ConfigurationRun:
    """The accuracy of a network quantized in one way. shared: what decides it beside the bits. measure: gives what measures it,
    calibrated once for all configurations."""

    network: nn.Module
    shared: Mapping[str, Any]
    bits: BitConfiguration
    measure: Callable[[], Callable[[BitConfiguration], float]]

    def key(self) -> dict[str, Any]:
        """Network, data set, evaluation and bits."""
        return {**self.shared, "bits": self.bits.plain()}

    def evaluate(self) -> dict[str, Any]:
        """{"accuracy": percent, "size": bits of the weights, "seconds": CPU}."""
        measure, start = self.measure(), time.process_time()
        accuracy = measure(self.bits)
        seconds = time.process_time() - start
        return {"accuracy": accuracy, "size": size_in_bits(self.network, self.bits), "seconds": seconds}


def evaluate_all(
    network: nn.Module,
    data: str,
    configurations: Sequence[BitConfiguration],
    store: RunStore,
    images: Callable[[], Images],
    evaluation: Evaluation | None = None,
) -> list[dict[str, Any]]:
    """[{"bits", "accuracy", "size", "seconds"}] in the order of `configurations`; those in the store are not computed again.

    data: name of the data set. images: gives its images; called only if something is left to compute. accuracy: percent of
    the test images; size: bits of the weights; seconds: of the CPU. The store's key holds the network's fingerprint, the data
    set, the evaluation and the bits, so a result never stands for another network. Killed, it loses the one in flight.
    """
    evaluation = evaluation or Evaluation()
    shared = {"network": fingerprint(network), "data": data, **asdict(evaluation)}
    activations = {a for bits in configurations for a in bits.activations}
    measure = functools.cache(lambda: _measuring(network, images(), activations, evaluation))
    runs = [ConfigurationRun(network, shared, bits, measure) for bits in configurations]
    results = run_all(runs, store, unit="bit configuration")
    return [{"bits": run.bits.plain(), **results[run]} for run in runs]


def _measuring(
    network: nn.Module, images: Images, activation_bits: set[int], evaluation: Evaluation
) -> Callable[[BitConfiguration], float]:
    """What gives the accuracy of a configuration: calibrated once for all."""
    batches = images.train[: evaluation.calibration].split(evaluation.batch)
    ranges: Ranges
    if evaluation.clipping == "max":
        ranges = calibrate(network, batches, evaluation.clip)
    else:
        ranges = least_error_ranges(network, batches, activation_bits)
    quantizer = Quantizer(network, ranges, evaluation.clipping)
    test, labels = images.test[: evaluation.test], images.test_labels[: evaluation.test]

    def measure(bits: BitConfiguration) -> float:
        quantized = quantizer(bits)
        if evaluation.renormalize:
            quantized = renormalize(quantized, batches)
        return accuracy(quantized, test, labels, evaluation.batch)

    return measure


def fingerprint(network: nn.Module) -> str:
    """sha256 (hex) of the state of a network: names and bytes."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
