"""The recreated benchmark: the accuracy of seeded bit configurations of one network, measured resumably.

network = trained(folder / "checkpoint.npz", digits(), Recipe(epochs=5))
rows = evaluate_all(network, "digits", sample(network, 425), RunStore(folder / "runs.jsonl"), digits)
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn
from tqdm import tqdm

from parzc_core.mixed_precision.bits import BitConfiguration, size_in_bits
from parzc_core.mixed_precision.clipping import least_error_ranges
from parzc_core.mixed_precision.data import Images
from parzc_core.mixed_precision.quantizer import Quantizer, Ranges, calibrate
from parzc_core.mixed_precision.renormalize import renormalize
from parzc_core.mixed_precision.training import accuracy
from parzc_core.run_store import RunStore


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


def fingerprint(network: nn.Module) -> str:
    """sha256 (hex) of the state of a network: names and bytes."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


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
    keys = [{**shared, "bits": bits.plain()} for bits in configurations]
    missing = [i for i, key in enumerate(keys) if store.get(key) is None]
    if missing:
        measure = _measuring(network, images(), {a for bits in configurations for a in bits.activations}, evaluation)
        for i in tqdm(missing, desc="bit configurations", disable=None):
            if store.get(keys[i]) is None:  # another process may have been faster
                start = time.process_time()
                measured = measure(configurations[i])
                spent = time.process_time() - start
                size = size_in_bits(network, configurations[i])
                store.put(keys[i], {"accuracy": measured, "size": size, "seconds": spent})
    return [{"bits": key["bits"], **(store.get(key) or {})} for key in keys]


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
