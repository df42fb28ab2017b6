"""The commands `parzc rank` and `parzc compare` for the user's own networks and proxies, and `parzc ranker`."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from parzc_core import paths
from parzc_core.cli_checks import number, positive, seed
from parzc_core.errors import BadInput


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add them. command: (name, function, help) to the new command's parser."""
    rank = command("rank", _rank, "Rank your own networks, from the accuracies of a few of them or from none.")
    rank.add_argument(
        "file", type=Path, metavar="NETWORKS.py", help="defines networks ({name: module}) and batch (images, labels)"
    )
    rank.add_argument("--accuracies", type=Path, metavar="FILE", help="CSV with a heading: name, accuracy (of some networks)")
    rank.add_argument(
        "--ranker", nargs="+", metavar="NAME", help="parzc+, mabn, params, flops; of several, the best on the accuracies"
    )
    rank.add_argument("--level", type=number, default=90.0, metavar="PERCENT", help="of the intervals (90)")
    rank.add_argument("--seed", type=seed, default=0, help="of everything random (0)")
    rank.add_argument("--top", type=positive, default=20, metavar="N", help="networks that are listed (20)")
    rank.add_argument("--out", type=Path, metavar="FILE", help="the whole ranking as CSV")
    rank.add_argument("--save", type=Path, metavar="FILE", help="keep the ranker, for networks to come")
    rank.add_argument("--load", type=Path, metavar="FILE", help="a kept ranker, in place of accuracies")

    compare = command("compare", _compare, "Say how well proxies rank, yours among them: a row like Table 1's for each.")
    compare.add_argument("--proxies", nargs="+", required=True, metavar="NAME", help="such as grad_mean synflow")
    compare.add_argument("--use", nargs="+", type=Path, default=[], metavar="FILE.py", help="files that register your own")
    compare.add_argument("--space", default="nb201", help="search space with labels (nb201)")
    compare.add_argument("--dataset", default="cifar10", help="of the space (cifar10)")
    compare.add_argument("--cells", type=positive, default=300, metavar="N", help="random architectures (300)")
    compare.add_argument("--jobs", type=positive, default=1, metavar="N", help="worker processes (1)")
    compare.add_argument("--out", type=Path, metavar="FOLDER", help="keep what is collected; the same command goes on there")

    ranker = command("ranker", _ranker, "Train a ranker that comes with the project, for 00_start_here and explore (minutes).")
    ranker.add_argument("--space", default="nb201", help="nb201 or nb101 (nb201)")
    ranker.add_argument("--dataset", default="cifar10", help="of nb201 also cifar100 and imagenet16-120 (cifar10)")
    ranker.add_argument("--train", type=positive, default=600, metavar="N", help="training cells (600)")
    ranker.add_argument("--split", type=seed, default=0, help="seed of their choice and of the training (0)")
    ranker.add_argument("--epochs", type=positive, metavar="N", help="passes over them (nb201: 200, nb101: 150)")
    ranker.add_argument("--out", type=Path, metavar="FILE", help="output file (results/rankers/SPACE_DATASET.npz)")


def _rank(options: argparse.Namespace) -> int:
    from parzc_core.own.command import rank_file
    from parzc_core.own.ranking import COMPARED

    ranker = tuple(options.ranker or COMPARED)
    for output, other in ((options.out, options.save), (options.save, None)):
        if output is not None:
            paths.check_writable(output, options.file, options.accuracies, options.load)
            if other is not None and os.path.realpath(output) == os.path.realpath(other):
                raise BadInput(f"got {output} as --out and as --save; expected two files")
    nothing_learned = options.accuracies is None and options.load is None
    if nothing_learned and (options.ranker or options.save):
        raise BadInput("got --ranker or --save and no accuracies; expected --accuracies FILE to learn from, or neither of them")
    chosen = {"load": options.load, "level": options.level, "seed": options.seed}
    ranking, found = rank_file(options.file, options.accuracies, ranker, **chosen)
    shown = ["accuracy", "predicted", "low", "high", "score", "spread", "rank", "params"]
    print(ranking.sort_values("rank")[[name for name in shown if name in ranking]].head(options.top).round(2).to_string())
    if found is None:
        print("\nordered without accuracies; with --accuracies of a few networks the ranking is better and has intervals")
    else:
        held_out = ", ".join(f"{name} {tau:.0f}" for name, tau in found.compared.items())
        told = f"; Kendall's tau (%) on the accuracies, held out: {held_out}" if held_out else ""
        print(f"\nranked by {found.chosen}{told}")
    if options.out is not None:
        print(paths.write_whole(options.out, ranking.to_csv()))
    if options.save is not None and found is not None:
        print(found.save(options.save))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from parzc_core import _plugins
    from parzc_core.runs.compare import compare_proxies

    for file in options.use:
        _plugins.run_file(file)
    given = {"dataset": options.dataset, "cells": options.cells, "folder": options.out, "jobs": options.jobs}
    found = compare_proxies(options.space, options.proxies, **given)
    print(found.round(1).to_string())
    print(f"\nrank correlation (%) with the accuracy of {options.cells} random architectures, {options.space} {options.dataset}")
    return 0


def _ranker(options: argparse.Namespace) -> int:
    from parzc_core.runs import shipped

    given = {"train": options.train, "split": options.split} | ({"epochs": options.epochs} if options.epochs else {})
    if options.out is not None:
        paths.check_writable(options.out)
    run = shipped.planned(options.space, options.dataset, **given)
    if options.out is None:
        paths.checkout("the rankers that come with the project")
    file, tau = shipped.train_and_save(run, options.out)
    print(f"{file}: trained on {run.train} cells, Kendall's tau {tau:.1f} % on the {len(run.data) - run.train:,} others")
    if options.out is None:  # what the explorer reads beside it
        print(f"{shipped.score_and_save(run, file)}: what ParZC, ParZC+ and NP say of all of them")
    return 0
