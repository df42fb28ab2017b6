"""Files that only the user can bring: no address to download them from is pinned. Each is looked for in PARZC_DATA."""

from dataclasses import dataclass
from pathlib import Path

from parzc_core import downloads, labels_nds, paths, pinned_files
from parzc_core.errors import CorruptDownload, UnknownName


@dataclass(frozen=True)
class OwnFile:
    """name: path below PARZC_DATA. sha256: 64 hex digits, or None: not checked. source: where people get it.

    licence, holds, tables, gain: as in pinned_files.PinnedFile.
    """

    name: str
    sha256: str | None
    source: str
    licence: str
    holds: str
    tables: tuple[str, ...]
    gain: str


NB201_12_EPOCHS = "nasbench201/hp12_accuracies.csv.gz"
NB101_COMPACT = "nasbench101/nb101_all_423624.npz"
NB101_TFRECORD = "nasbench101/nasbench_only108.tfrecord"
MQ_BENCH_101 = "mqbench101/PTQ-GT.pkl"
FILES: tuple[OwnFile, ...] = (
    OwnFile(
        NB201_12_EPOCHS,
        "84daa355d999e4f66c0536f205059d0e4aacf650d57746d12cf01e77ab329cee",
        "the pinned file of 12-epoch trainings, rounded to 4 decimals",
        "MIT",
        "NAS-Bench-201, three data sets: accuracy of 15,625 cells, trained for 12 epochs",
        pinned_files.LOW_FIDELITY_TABLES,
        "nothing that the pinned file does not give; read in its place if it is here",
    ),
    OwnFile(
        NB101_COMPACT,
        "610c690755b6350a03b4bb43955ee46f964d7345b74025140738897eff1ffb4d",
        "the two pinned files of NAS-Bench-101, joined with its cells",
        "MIT",
        "NAS-Bench-101, CIFAR-10: 423,624 cells with mean test accuracy after 108 epochs and parameters",
        pinned_files.NB101_TABLES,
        "nothing that the two pinned files do not give; read in their place if it is here",
    ),
    OwnFile(
        NB101_TFRECORD,
        None,
        "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord (0.5 GB; the host may be gone; sha256 of the "
        "whole, by google-research/nasbench: 4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1, which is "
        "not checked here, as the full table does as well; the checksums of all records are)",
        "Apache-2.0",
        "NAS-Bench-101, CIFAR-10: validation and test accuracy of every run of 423,624 cells after 108 epochs, times",
        pinned_files.NB101_TABLES,
        "rankers learn from validation accuracy instead of the test accuracy of their training cells",
    ),
    OwnFile(
        MQ_BENCH_101,
        None,
        "an asset of the release v1.0 of github.com/lliai/EMQ-series (its name may differ: rename it to this one)",
        "Apache-2.0",
        "MQ-Bench-101: 425 bit configurations of ResNet-18 with their ImageNet accuracy after quantization",
        ("table11",),
        "the size of the weights and a linear model of the bits are judged on the published accuracies as well",
    ),
    *(
        OwnFile(
            f"{labels_nds.FOLDER}/{file}.json",
            None,
            f"{labels_nds.SOURCE}, unpacked (linked by facebookresearch/nds; no checksum is published)",
            "MIT",
            f"Network Design Spaces, {file}: test error of each trained network of {space} on CIFAR-10",
            ("table01", "nds_nb301"),
            "labels of the published networks of that space",
        )
        for space, variants in labels_nds.FILES.items()
        for file in variants.values()
    ),
)


def own(name: str) -> OwnFile:
    """The registry's entry of that name. Raises UnknownName."""
    for file in FILES:
        if file.name == name:
            return file
    raise UnknownName.of("file", name, (file.name for file in FILES))


def place(file: OwnFile) -> Path | None:
    """Where it lies, verified or not; None if it is not here."""
    folder = paths.data_folder()
    return folder / file.name if folder is not None and (folder / file.name).is_file() else None


def locate(name: str) -> Path | None:
    """Path of the file in PARZC_DATA, or None. Raises UnknownName; CorruptDownload if its checksum is wrong."""
    file = own(name)
    path = place(file)
    if path is not None and file.sha256 is not None and (got := downloads.checksum(path)) != file.sha256:
        raise CorruptDownload(
            f"{name} in PARZC_DATA is not the known file: got sha256 {got} ({path.stat().st_size:,} bytes), expected "
            f"{file.sha256}; replace or remove it"
        )
    return path
