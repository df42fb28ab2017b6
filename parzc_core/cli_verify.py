"""The command `parzc verify`: a sample of what is committed, recomputed here."""

import argparse
from collections.abc import Callable

from parzc_core import paths
from parzc_core.cli_checks import count, seed


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add it. command: (name, function, help) to the new command's parser."""
    about = "Recompute a sample of the committed statistics and stored runs: bit-equal, within tolerance, or different."
    verify = command("verify", _verify, about)
    verify.add_argument("--cells", type=count, default=12, metavar="N", help="cells of committed statistics (12)")
    verify.add_argument("--runs", type=count, default=6, metavar="N", help="stored runs (6)")
    verify.add_argument("--seed", type=seed, default=0, help="of the sample (0)")
    verify.add_argument(
        "--only", nargs="+", default=(), metavar="PATTERN", help="collections or tables, such as nb201/cifar10, nb101 or table02"
    )
    verify.add_argument("--expensive", action="store_true", help="also cells and runs that take more than some seconds")


def _verify(options: argparse.Namespace) -> int:
    """0 if nothing is different, 1 if something is."""
    from tqdm import tqdm

    from parzc_core.verifying import verify
    from parzc_core.verifying.verdicts import DIFFERENT

    paths.checkout("the committed statistics and stored runs")
    plan = verify.planned(options.cells, options.runs, options.seed, options.only, options.expensive)
    print(plan.announced(), flush=True)
    found = []
    total = len(plan.cells.chosen) + len(plan.runs.chosen)
    with tqdm(total=total, unit="item", disable=None) as bar:
        for one in plan.run():
            found.append(one)
            bar.write(verify.line(one))
            bar.update()
    print(f"\n{verify.text(found)}")
    return 1 if any(one.verdict == DIFFERENT for one in found) else 0
