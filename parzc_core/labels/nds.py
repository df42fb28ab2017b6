"""Published trainings of the Network Design Spaces on CIFAR-10, in the official form: nds_data/SPACE.json, one entry a network.

    >>> trainings("nds_darts").accuracy.idxmax()  # doctest: +SKIP

An entry has `net` (genotype, width, depth, aux), `optim`, `params`, `flops`, and the top-1 errors in percent after every epoch,
of which the last one counts: accuracy = 100 - test_ep_top1[-1], as in public evaluations of zero-cost scores. A file is a
list of entries, or an object of two lists, "top" and "mid".
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from parzc_core.errors import BadInput, LabelsMissing, UnknownName, real, whole
from parzc_core.files import fetch, json_files
from parzc_core.files.json_files import brief, shown
from parzc_core.files.registry import NDS_FILES, NDS_FOLDER, NDS_SOURCE
from parzc_core.paths import ROOT
from parzc_core.storage.run_store import RunStore

LARGEST = 100_000  # width and depth; the published ones have at most hundreds
DATASETS = ("cifar10", "fashion-mnist")  # the second is of `runs.nds_networks`, which this project made


def trainings(space: str, variant: str = "") -> pd.DataFrame:
    """A row for each published network, in the file's order, indexed by architecture string.

    variant: "" for variable width and depth, "fix-w-d" (darts, enas, pnas), "lr-wd" (darts; several rows an architecture).
    Columns: accuracy (percent, test, last epoch), best (percent, best epoch), epochs, params (of the trained network, which may
    have an auxiliary head), flops (multiply-adds), width, depth, aux, base_lr, weight_decay, seed (NaN where not given).
    `attrs["provenance"]`: source, version, epochs, licence.
    Raises UnknownName; LabelsMissing, saying where the file goes; BadInput if the file cannot be read.
    """
    if space not in NDS_FILES:
        raise UnknownName.of("network design space", space, NDS_FILES)
    if variant not in NDS_FILES[space]:
        raise UnknownName.of(f"variant of {space}", variant, NDS_FILES[space])
    name = f"{NDS_FOLDER}/{NDS_FILES[space][variant]}.json"
    path = fetch.locate(name)
    if path is None:
        raise LabelsMissing(_missing_text(space, DATASETS[0], "test", name))
    state = path.stat()
    table = _read(path, space, state.st_size, state.st_mtime_ns).copy()
    epochs = sorted(set(table["epochs"]))
    table.attrs["provenance"] = {
        "source": name,
        "version": "Network Design Spaces",
        "epochs": epochs[0] if len(epochs) == 1 else epochs,
        "licence": "MIT",
    }
    return table


@lru_cache(maxsize=3)
def _read(path: Path, space: str, size: int, modified: int) -> pd.DataFrame:
    return read(path, space)


_Sources = dict[str, Callable[[str, str], pd.DataFrame]]


def sources(
    space: str,
) -> tuple[dict[str, _Sources], Callable[[str, str, str], str]]:
    """What labels.py needs of a space: its sources (of CIFAR-10, only test accuracy was published), the text of LabelsMissing."""
    made: _Sources = {"recreated": partial(_recreated, space)}
    return {"val": made, "test": {"nds_data": partial(_accuracies, space), **made}}, partial(_missing_text, space)


def _accuracies(space: str, dataset: str, split: str) -> pd.DataFrame:
    """A row an architecture; of one that was trained more than once, the mean."""
    if dataset != DATASETS[0]:
        raise LabelsMissing(_missing_text(space, dataset, split, "nds_data"))
    table = trainings(space)
    found = table.groupby("arch", sort=False)[["accuracy"]].mean().rename(columns={"accuracy": split})
    found.attrs["provenance"] = dict(table.attrs["provenance"])
    return found


def _recreated(space: str, dataset: str, split: str) -> pd.DataFrame:

    if dataset != RECREATED_DATASET:
        raise LabelsMissing(_missing_text(space, dataset, split, "recreated"))
    found = recreated(space, split)
    facts = {"source": "recreated", "version": "small networks trained by this project", "licence": "MIT"}
    found.attrs["provenance"] = facts
    return found


def _missing_text(space: str, dataset: str, split: str, what: str) -> str:
    if dataset != DATASETS[0]:
        return (
            f"no networks of {space} were trained on {dataset}; python -m parzc_core.runs.nds_networks --images FOLDER does it"
        )
    if split != "test":
        return f"no {split} accuracy of {space} was published; there is test accuracy in {NDS_FOLDER}"
    name = f"{NDS_FOLDER}/{NDS_FILES[space]['']}.json" if "/" not in what else what
    return (
        f"no published trainings of {space} on this machine: looked for {name} in the folder that PARZC_DATA names; "
        f"download {NDS_SOURCE} (no checksum of it is known) and unpack it there"
    )


def read(path: Path, space: str) -> pd.DataFrame:
    """The table of a file in the official form, see `trainings`. Raises BadInput, naming the file and the entry."""
    path = Path(path)
    try:
        content = json_files.load(path, object)
    except BadInput as error:
        raise BadInput(
            f"{path.name} is no whole JSON file ({path.stat().st_size:,} bytes; {brief(error, 300)}); it is cut off or altered: "
            f"get it again from {NDS_SOURCE}"
        ) from None
    if isinstance(content, dict) and all(isinstance(content.get(part), list) for part in ("top", "mid")):
        content = [*content["top"], *content["mid"]]
    if not isinstance(content, list) or not content:
        raise BadInput(f"{path.name} holds {type(content).__name__}; expected a list of trained networks, not empty")
    rows = []
    for number, entry in enumerate(content):
        try:
            rows.append(_row(space, entry))
        except (BadInput, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            why = brief(error, 700) if isinstance(error, BadInput) else f"{type(error).__name__}: {brief(error)}"
            raise BadInput(f"entry {number} of {path.name} is not a trained network of {space}: {why}") from None
    return pd.DataFrame(rows).set_index("arch")


def _row(space: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    from parzc_core.spaces.nds import genotype  # with torch, which a look at other labels does not need

    net, errors = entry["net"], entry["test_ep_top1"]
    if not isinstance(errors, list) or not errors or not all(map(_is_error, errors)):
        many = f"{len(errors)} values" if isinstance(errors, list) else f"the value {shown(errors, 60)}"
        raise BadInput(f"test_ep_top1 has {many}; expected errors of 0 to 100 percent, one an epoch")
    for name in ("width", "depth"):
        whole(name, net[name], 1, LARGEST)
    arch = genotype.from_genotype(genotype.FAMILIES[space], net["genotype"], net["width"], net["depth"])
    if not isinstance(aux := net.get("aux", False), bool):
        raise BadInput(f"got aux={shown(aux, 60)}; expected true or false")
    optim = entry.get("optim", {})
    return {
        "arch": str(arch),
        "accuracy": 100.0 - errors[-1],
        "best": 100.0 - min((error for error in errors if not math.isnan(error)), default=math.nan),
        "epochs": len(errors),
        "params": real("params", entry["params"], 0),
        "flops": real("flops", entry["flops"], 0),
        "width": arch.width,
        "depth": arch.depth,
        "aux": aux,
        "base_lr": _given(optim, "base_lr"),
        "weight_decay": _given(optim, "wd"),
        "seed": _given(entry, "rng_seed"),
    }


def _is_error(got: Any) -> bool:
    """Whether it is a top-1 error in percent; NaN of an epoch that diverged."""
    return isinstance(got, int | float) and not isinstance(got, bool) and (0 <= got <= 100 or got != got)


def _given(found: Mapping[str, Any], name: str) -> float:
    """A number that is not in every file; NaN where it is not."""
    return real(name, found[name], 0) if name in found else math.nan


RECREATED_DATASET = "fashion-mnist"

RECREATED_SPACES = ("nds_darts", "nds_enas", "nds_nasnet")

RECREATED_FOLDER = ROOT / "results" / "truth" / "nds"

RECREATED_SPLITS = ("val", "test")


def recreated(space: str, split: str, folder: Path = RECREATED_FOLDER, data: str = RECREATED_DATASET) -> pd.DataFrame:
    """float64, index architectures in the order of training, a column a seed ("seed0", ...): accuracy in percent.

    Only architectures that all seeds were trained of. Raises LabelsMissing where there are none.
    """
    rows: dict[str, dict[str, float]] = {}
    for record in RunStore(folder / "runs.jsonl"):
        if (record["config"]["space"], record["config"]["data"]) == (space, data):
            rows.setdefault(record["config"]["arch"], {})[f"seed{record['config']['seed']}"] = record["result"][split]
    found = pd.DataFrame.from_dict(rows, orient="index", dtype=float).sort_index(axis=1).rename_axis("arch").dropna()
    if found.empty:
        raise LabelsMissing(
            f"no networks of {space} were trained on {data} here; make them with: "
            "python -m parzc_core.runs.nds_networks --images FOLDER (of Fashion-MNIST's four files)"
        )
    return found
