"""The card of the committed statistics: a table for people, and Croissant metadata for programs, both from the manifests.

    update()        # renews results/statistics/README.md and croissant.json; the command is `parzc data card`

Croissant is schema.org's Dataset with descriptions of files and records (MLCommons, version 1.0). The sha256 of every manifest is
in it, and a manifest has the sha256 of its shards.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from parzc_core import __version__, paths
from parzc_core.errors import BadInput
from parzc_core.files import json_files
from parzc_core.proxies import NODE_REGISTRY
from parzc_core.scores.registry import REGISTRY
from parzc_core.storage import blocks

README, METADATA = "README.md", "croissant.json"
NAME, TITLE = "parzc-node-statistics", "Node-wise zero-cost statistics of untrained networks"
AUTHORS, LICENCE = "the parzc authors", "https://spdx.org/licenses/MIT.html"
DESCRIPTION = (
    "For each architecture of a sample: the value of every node-wise zero-cost proxy at every convolution and linear layer of "
    "its untrained network, from one mini-batch of images, and network-level scores. No accuracies, no weights, no images."
)
# The arrays of a shard: n architectures, L nodes of all of them end to end, U different columns of values, K proxies, S scores.
ARRAYS = {
    "archs": ("text[n]", "architecture, as the space writes it"),
    "positions": ("int64[n]", "place of the architecture in the sample"),
    "lengths": ("int32[n]", "number of its nodes; they sum to L"),
    "node_names": ("text[]", "module paths that occur in the shard"),
    "nodes": ("uint16[L]", "index into node_names, each architecture in depth-first order from the classifier"),
    "execution": ("uint16[L]", "order in which the forward pass runs an architecture's nodes"),
    "numel": ("int64[L]", "weight entries of the node"),
    "proxies": ("text[K]", "names of the node-wise proxies"),
    "values": ("float64[K, U]", "different columns of values, a sum over the node's weight entries, 20 bits of mantissa"),
    "column": ("int32[L]", "index into the columns of values"),
    "score_names": ("text[S]", "names of the network-level scores"),
    "scores": ("float64[n, S]", "network-level scores, higher meaning better"),
}
_FACTS = ("folder", "space", "dataset", "images", "architectures", "cpu_seconds", "bytes", "command")
_TYPES = {"folder": "sc:Text", "architectures": "sc:Integer", "cpu_seconds": "sc:Float", "bytes": "sc:Integer"}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "recordSet": "cr:recordSet",
    "field": "cr:field",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "includes": "cr:includes",
    "key": "cr:key",
    "citeAs": "cr:citeAs",
}


def collections(folder: Path | None = None) -> list[dict[str, Any]]:
    """What each manifest below the folder says, a dict a collection, by folder. Raises BadInput where there is none."""
    folder = folder or paths.STATISTICS
    found = []
    for file in sorted(folder.rglob("manifest.json"), key=lambda file: file.relative_to(folder).as_posix()):
        content = file.read_bytes()
        manifest = json_files.loads(content, str(file))
        config = manifest["config"]
        found.append(
            {
                "folder": file.parent.relative_to(folder).as_posix(),
                "space": config["space"],
                "dataset": config["dataset"],
                "images": config["images"],
                "width": config.get("width"),
                "architectures": manifest["architectures"],
                "proxies": config["proxies"],
                "scores": config["scores"],
                "cpu_seconds": manifest["cpu_seconds"],
                "bytes": sum((file.parent / name).stat().st_size for name in manifest["shards"]),
                "command": manifest.get("command") or config["command"],
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    if not found:
        raise BadInput(f"{folder} holds no collections (no manifest.json below it); make them with: parzc collect")
    return found


def table(found: list[dict[str, Any]]) -> str:
    """The collections as a Markdown table, with totals."""
    lines = ["| folder | architectures | images | node-wise proxies | scores | CPU-hours | MB |"]
    lines.append("|---|---:|---|---:|---|---:|---:|")
    for one in found:
        images = f"{one['dataset']}, {one['images']}" + (f", width {one['width']}" if one["width"] else "")
        cells = (
            f"`{one['folder']}`",
            f"{one['architectures']:,}",
            images,
            str(len(one["proxies"]) or ""),
            ", ".join(one["scores"]),
            f"{one['cpu_seconds'] / 3600:.2f}",
            f"{one['bytes'] / 1e6:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    hours, size = (sum(one[key] for one in found) for key in ("cpu_seconds", "bytes"))
    lines.append(f"| {len(found)} collections | | | | | {hours / 3600:.2f} | {size / 1e6:.1f} |")
    return "\n".join(lines)


def columns(found: list[dict[str, Any]]) -> str:
    """What is measured and how a shard holds it, as two Markdown tables."""
    lines = ["| name | of | what it is |", "|---|---|---|"]
    lines += [f"| `{name}` | {of} | {_escaped(text)} |" for name, of, text in measured(found)]
    lines += ["", "| array of a shard | type and shape | what it holds |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {text} |" for name, (kind, text) in ARRAYS.items()]
    return "\n".join(lines)


def measured(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(name, "node" or "network", first line of its docstring) of every proxy and score that a collection has."""
    proxies = dict.fromkeys(name for one in found for name in one["proxies"])
    scores = dict.fromkeys(name for one in found for name in one["scores"])
    lines = [(name, "node", NODE_REGISTRY[name].formula.__doc__) for name in sorted(proxies)]
    lines += [(name, "network", REGISTRY[name].__doc__) for name in sorted(scores)]
    return [(name, of, (text or "").strip().splitlines()[0]) for name, of, text in lines]


def _escaped(text: str) -> str:
    return re.sub(r"([|*])", r"\\\1", text)


def croissant(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The metadata as JSON-LD."""
    facts = [{key: one[key] for key in _FACTS} for one in found]
    arrays = [{"name": name, "type": kind, "description": text} for name, (kind, text) in ARRAYS.items()]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": NAME,
        "alternateName": TITLE,
        "description": DESCRIPTION,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": LICENCE,
        "version": __version__,
        "creator": {"@type": "sc:Organization", "name": AUTHORS},
        "citeAs": f"{AUTHORS}. {TITLE}. Part of parzc, a reproducible artifact of ParZC, version {__version__}.",
        "keywords": ["neural architecture search", "zero-cost proxies", "NAS-Bench-201", "NAS-Bench-101"],
        "variableMeasured": [
            {"@type": "sc:PropertyValue", "name": name, "description": f"of a {of}: {text}"} for name, of, text in measured(found)
        ],
        "distribution": [part for one in found for part in _files(one)],
        "recordSet": [
            _records("collections", "The collections: how each was made, and how large it is.", "folder", facts),
            _records("arrays", "The arrays of a shard (.npz).", "name", arrays),
        ],
    }


def _files(one: dict[str, Any]) -> list[dict[str, Any]]:
    folder = one["folder"]
    return [
        {
            "@type": "cr:FileObject",
            "@id": f"{folder}/manifest.json",
            "name": f"{folder}/manifest.json",
            "description": f"How the collection was made: {one['command']}; with the sha256 of every shard.",
            "contentUrl": f"{folder}/manifest.json",
            "encodingFormat": "application/json",
            "sha256": one["sha256"],
        },
        {
            "@type": "cr:FileSet",
            "@id": f"{folder}/shards",
            "name": f"{folder}/shards",
            "description": f"The statistics of {one['architectures']} architectures; each file's sha256 is in the manifest.",
            "encodingFormat": "application/zip",
            "includes": f"{folder}/shard-*.npz",
        },
    ]


def _records(name: str, description: str, key: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    """A set of records that the metadata itself holds."""
    fields = [
        {"@type": "cr:Field", "@id": f"{name}/{column}", "name": column, "dataType": _TYPES.get(column, "sc:Text")}
        for column in data[0]
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{key}"},
        "field": fields,
        "data": [{f"{name}/{column}": value for column, value in record.items()} for record in data],
    }


def texts(folder: Path | None = None) -> dict[str, str]:
    """{block of the README, or METADATA: its text} as the manifests have it."""
    found = collections(folder)
    metadata = json.dumps(croissant(found), indent=1, ensure_ascii=False) + "\n"
    return {"collections": table(found), "columns": columns(found), METADATA: metadata}


def update(folder: Path | None = None) -> bool:
    """Renew the README's blocks and the metadata; whether a file changed. Raises BadInput: no collections, no such blocks."""
    folder = folder or paths.STATISTICS
    made = texts(folder)
    changed = [blocks.put(folder / README, name, made[name]) for name in ("collections", "columns")]
    file = folder / METADATA
    if not file.is_file() or file.read_text(encoding="utf-8") != made[METADATA]:
        paths.write_whole(file, made[METADATA])
        changed.append(True)
    return any(changed)
