"""The commands `parzc collect`, `parzc data` and `parzc benchmark`: statistics, labels, and what collecting costs."""

import argparse
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from parzc_core import paths
from parzc_core.cli_checks import parameters, positive, seed
from parzc_core.errors import BadInput

Command = Callable[..., argparse.ArgumentParser]
Group = Callable[[str, str, str], Any]


def add(command: Command, group: Group) -> None:
    """Add them. command: (name, function, help, under) to a new command's parser. group: (name, help, about) to its `under`."""
    add_collect(command)
    add_data(command, group)
    add_benchmark(command, group)


def add_collect(command: Command) -> None:
    """`parzc collect`."""
    collect = command(
        "collect", _collect, "Compute the node statistics of a sample of a space; resumes where it stopped."
    )
    collect.add_argument("--space", default="nb201", help="search space, such as nb201, nb101 or nds_darts (nb201)")
    collect.add_argument("--dataset", default="cifar10", help="data set of the mini-batch (cifar10)")
    collect.add_argument("--images", default="foolbox", help="foolbox, noise, or a folder of images (foolbox)")
    collect.add_argument("--cells", type=positive, default=3000, help="size of the random sample (3000)")
    collect.add_argument("--seed", type=seed, default=0, help="seed of the sample (0)")
    collect.add_argument("--batch-seed", type=seed, default=0, help="seed of the choice of images (0)")
    collect.add_argument("--init-seed", type=seed, default=0, help="seed of the networks' initial weights (0)")
    collect.add_argument(
        "--width", type=positive, help="channels of the first stage, or pixels of autoformer's and pit's images"
    )
    collect.add_argument("--sample", metavar="labelled", help="labelled: architectures with labels, not random ones")
    collect.add_argument("--variant", metavar="NAME", help="other networks of the architectures (autoformer: vitbench)")
    collect.add_argument("--most-parameters", type=parameters, metavar="N", help="limit of a random sample (autoformer)")
    collect.add_argument("--batch", type=positive, default=16, help="images in the mini-batch (16)")
    collect.add_argument("--proxies", nargs="*", metavar="NAME", help="node-wise proxies (the seven of the paper)")
    collect.add_argument("--scores", nargs="*", metavar="NAME", help="network-level scores (those of Table 1)")
    collect.add_argument("--sums", action="store_true", default=None, help="keep sums over nodes, not nodes (smaller)")
    collect.add_argument("--share-isomorphic", action="store_true", help="compute isomorphic architectures once")
    collect.add_argument("--jobs", type=positive, default=1, help="worker processes (1)")
    collect.add_argument("--shard-size", type=positive, metavar="N", help="architectures written together (50)")
    collect.add_argument(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers compute (tcp://host:8786)"
    )
    collect.add_argument(
        "--mix-versions", action="store_true", help="add also to statistics that another torch or parzc computed"
    )
    where = "results/statistics/SPACE/DATASET, or where that holds another collection results/collected/SPACE/DATASET-..."
    collect.add_argument("--out", type=Path, metavar="FOLDER", help=f"output folder ({where})")


def add_data(command: Command, group: Group) -> None:
    """`parzc data fetch` and the others."""
    about = "Benchmark labels, and the card of the collected statistics."
    actions = group("data", "Get benchmark labels, or list which are there.", about)
    command(
        "fetch", _data_fetch, "Download the labels that are not there yet, each checked against its sha256.", actions
    )
    command(
        "status", _data_status, "List the labels: which are there, from where, their licence, what they add.", actions
    )
    command("labels", _data_labels, "Say which label is which: split, epochs, runs, version, and what people ask.", actions)
    command("card", _data_card, "Renew the card and the metadata of results/statistics from its manifests.", actions)


def add_benchmark(command: Command, group: Group) -> None:
    """`parzc benchmark collector`."""
    kinds = group("benchmark", "Measure what things cost.", "Measure what things cost.")
    collector = command(
        "collector",
        _benchmark_collector,
        "Time the collector, beside a checkout of zero-cost-nas if there is one.",
        kinds,
    )
    collector.add_argument("--peer", type=Path, metavar="PATH", help="a git clone of SamsungLabs/zero-cost-nas (none)")
    collector.add_argument("--cells", type=positive, metavar="N", help="random cells that are compared (20)")
    collector.add_argument("--seed", type=seed, default=0, help="seed of the sample (0)")
    collector.add_argument("--repeats", type=positive, default=1, help="times each is timed; the least counts (1)")
    collector.add_argument("--quick", action="store_true", help="two cells and fewer sizes, to see that it works")
    collector.add_argument(
        "--readme", action="store_true", help="only renew the tables in collecting/README.md; measures nothing"
    )
    collector.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="output file (results/benchmark/collector.json; with --quick under smoke)",
    )


def _collect(options: argparse.Namespace) -> int:
    from parzc_core.collecting.one import CollectionConfig
    from parzc_core.collecting.sample import collect, default_folder

    given = {field.name: getattr(options, field.name) for field in fields(CollectionConfig)}
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    config = CollectionConfig(**{name: value for name, value in (given | lists).items() if value is not None})
    folder = options.out or default_folder(config)
    if os.path.realpath(folder) == os.path.realpath(config.images):
        raise BadInput(f"got {folder} as --out and as --images; expected another folder for the statistics")
    running = {"jobs": options.jobs, "scheduler": options.scheduler, "shard_size": options.shard_size}
    store = collect(config, folder, progress=True, mix_versions=options.mix_versions, **running)
    manifest = store.manifest
    print(
        f"statistics of {options.cells} cells of {options.space} ({manifest.get('computed', '?')} computed, "
        f"{manifest.get('cpu_seconds', 0.0):.0f} CPU-seconds) are in {folder}"
    )
    return 0


def _data_fetch(options: argparse.Namespace) -> int:
    from parzc_core.files import fetch

    outcomes = fetch.fetch()
    print(fetch.explain(outcomes))
    return 1 if any(outcome.status in ("offline", "failed") for outcome in outcomes) else 0


def _data_status(options: argparse.Namespace) -> int:
    from parzc_core.files import status

    print(status.text())
    return 0


def _data_labels(options: argparse.Namespace) -> int:
    from parzc_core.labels import which

    print(which.page(), end="")
    return 0


def _data_card(options: argparse.Namespace) -> int:
    from parzc_core.storage import card

    paths.checkout("the committed statistics")
    print(f"{paths.STATISTICS}: {'card brought up to date' if card.update() else 'card was up to date'}")
    return 0


def _benchmark_collector(options: argparse.Namespace) -> int:
    from parzc_core.collecting import benchmark

    if options.readme:
        paths.checkout("the measured benchmark")
        print(f"{benchmark.README}: {'brought up to date' if benchmark.update_readme() else 'was up to date'}")
        return 0
    name = f"smoke/{benchmark.FILE}" if options.quick else benchmark.FILE
    file = options.output or paths.RESULTS / name
    if file.is_dir():
        raise BadInput(f"got --output {file}, which is a folder; expected the name of a file")
    paths.check_writable(file)
    config = benchmark.QUICK if options.quick else benchmark.BenchmarkConfig()
    config = replace(config, cells=options.cells or config.cells, seed=options.seed, repeats=options.repeats)
    results = benchmark.run(config, options.peer)
    benchmark.save(results, file)
    print(f"{benchmark.text(results)}\n\nresults: {file}")
    return 0
