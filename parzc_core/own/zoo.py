"""Networks that people use: torchvision's ImageNet classifiers, with published accuracies and committed node statistics.

    zoo = load()                                                    # reads what is committed; needs no torchvision
    NetworkRanker.fit(zoo.networks, zoo.top1[:20]).ranking          # the other networks, from 20 accuracies

    python -m parzc_core.own.zoo --jobs 1                           # collects what is missing; needs torchvision

Names, accuracies, sizes and recipes are those of torchvision's own weights. No weights are loaded: every network has random ones.
Each network sees the same 16 photographs at the size of its published evaluation. Networks above MOST_GFLOPS or MOST_SIDE are
left out: what one of them needs grows to more memory than an ordinary machine has.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from parzc_core import paths
from parzc_core.errors import BadInput, ParzcError, whole
from parzc_core.images.batch import minibatch
from parzc_core.own.networks import COUNTS, Described, collect_space, stored
from parzc_core.proxies import NODE_PROXIES

FOLDER = paths.STATISTICS / "zoo"
CATALOGUE = "networks.csv"
MOST_GFLOPS, MOST_SIDE = 12.0, 300  # published, of one image; pixels. EfficientNet-B4 at 380 pixels needs more than 16 GB
SEED = 0
COMMAND = "python -m parzc_core.own.zoo"
ABOUT = {"space": "torchvision", "dataset": "imagenet", "images": "foolbox", "scores": list(COUNTS), "command": COMMAND}
# GraSP needs second derivatives, and the hard sigmoid of MobileNetV3 has none in PyTorch.
PROXIES = tuple(name for name in NODE_PROXIES if name != "grasp")
# First letters of a network's name -> its family; the first that fits.
FAMILIES = {
    "alexnet": "AlexNet", "vgg": "VGG", "squeezenet": "SqueezeNet", "inception": "Inception", "googlenet": "Inception",
    "resnet": "ResNet", "resnext": "ResNet", "wide_resnet": "ResNet", "densenet": "DenseNet", "mobilenet": "MobileNet",
    "mnasnet": "MNASNet", "shufflenet": "ShuffleNet", "efficientnet": "EfficientNet", "regnet": "RegNet",
    "convnext": "ConvNeXt", "vit": "ViT", "swin": "Swin", "maxvit": "MaxViT",
}  # fmt: skip
MODERN = ("EfficientNet", "ConvNeXt", "ViT", "Swin", "MaxViT")  # their papers train with mixed images and long schedules
# first: plain training, to 2020. improved: torchvision's later recipe, with long training, mixed images and averaged weights.
# own: that of the network's own paper, of MODERN.
RECIPES = ("first", "improved", "own")
_IMPROVED = ("issues/3995", "pull/5906", "pull/5935", "pull/6019")


@dataclass(frozen=True, eq=False)
class Zoo:
    """n networks: what is published of them, and what their statistics are.

    catalogue: a row for each network, indexed by name: see `published`. networks: in the same order.
    """

    catalogue: pd.DataFrame
    networks: Described

    @property
    def top1(self) -> pd.Series:
        """float64[n], published top-1 accuracy on ImageNet, percent, of the network's best weights trained on ImageNet alone."""
        return self.catalogue["top1"]

    def scores(self) -> pd.DataFrame:
        """A row for each network; columns params, flops and each proxy's sum over nodes, as `Described.frame` has them."""
        return self.networks.frame().drop(columns=["nodes", "not_finite"])


def load(folder: Path = FOLDER) -> Zoo:
    """The networks whose statistics are there, smallest first. Raises BadInput where there are none."""
    catalogue = read_catalogue(folder)
    parts = [stored(store) for store in sorted(folder.glob("side*")) if (store / "manifest.json").is_file()]
    if not parts:
        raise BadInput(f"no statistics of the zoo in {folder}; `{COMMAND}` collects them")
    names = [str(name) for part in parts for name in part.names]
    found = Described(
        tuple(names),
        tuple(one for part in parts for one in part.statistics),
        np.concatenate([part.counts for part in parts]),
        tuple(modules for part in parts for modules in part.modules),
        None,
        "-".join(part.batch for part in parts),
    )
    order = [names.index(str(name)) for name in catalogue.index if name in names]
    networks = found[order]
    return Zoo(catalogue.loc[list(networks.names)], networks)


def read_catalogue(folder: Path = FOLDER) -> pd.DataFrame:
    """The committed table of `published`. Raises BadInput where it is not there."""
    file = folder / CATALOGUE
    if not file.is_file():
        raise BadInput(f"{file} is not there; `{COMMAND}` writes it")
    return pd.read_csv(file, index_col="name")


def published() -> pd.DataFrame:
    """What torchvision publishes of its ImageNet classifiers: a row for each, smallest first, indexed by name.

    Columns: family (of FAMILIES); weights, recipe (of RECIPES), link (to that recipe) and top1 (percent), of the best weights
    trained on ImageNet alone; first (percent, NaN without them), of those trained by the "first" recipe; side (pixels, at
    evaluation, of the best weights); params; gflops (multiply-adds of one image, 10^9). Raises BadInput without torchvision.
    """
    models = _torchvision()
    rows = []
    for name in models.list_models(module=models):
        known = []
        for one in models.get_model_weights(name):
            if re.fullmatch(r"IMAGENET1K_V\d", one.name):
                link = str(one.meta["recipe"])
                known.append((float(one.meta["_metrics"]["ImageNet-1K"]["acc@1"]), recipe(name, link), link, one))
        if not known:
            continue
        top1, how, link, best = max(known, key=lambda one: one[0])
        rows.append(
            {
                "name": name,
                "family": family(name),
                "recipe": how,
                "top1": top1,
                "first": next((value for value, kind, *_ in known if kind == "first"), np.nan),
                "side": int(best.transforms.keywords["crop_size"]),
                "params": int(best.meta["num_params"]),
                "gflops": float(best.meta["_ops"]),
                "weights": best.name,
                "link": link,
            }
        )
    return pd.DataFrame(rows).sort_values(["gflops", "name"]).set_index("name")


def small(catalogue: pd.DataFrame) -> pd.Series:
    """Whether each network is collected, bool[n]."""
    return (catalogue["gflops"] <= MOST_GFLOPS) & (catalogue["side"] <= MOST_SIDE)


def family(name: str) -> str:
    """The family of a network, such as "ResNet" of "resnext50_32x4d". Raises BadInput for a name of none."""
    for begin, found in FAMILIES.items():
        if name.startswith(begin):
            return found
    raise BadInput(f"got the network {name!r}; expected a name that begins with one of {', '.join(FAMILIES)}")


def recipe(name: str, link: str) -> str:
    """How weights were trained, of RECIPES. link: to the recipe, as torchvision's metadata has it."""
    if any(issue in link for issue in _IMPROVED):
        return "improved"
    return "own" if family(name) in MODERN else "first"


class Networks:
    """The zoo's networks of one size of image as a space of one's own (`OwnSpace`)."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)

    def sample(self, count: int, seed: int) -> Sequence[str]:
        """The first `count` names."""
        return self.names[:count]

    def build(self, arch: str) -> nn.Module:
        """The network with random weights, without the second classifiers that only training uses."""
        # Unless init_weights is given, torchvision warns that its default will change.
        extra = {"aux_logits": False, "init_weights": True} if family(arch) == "Inception" else {}
        made: nn.Module = _torchvision().get_model(arch, weights=None, **extra)
        return made


def collect(folder: Path = FOLDER, jobs: int = 1) -> Zoo:
    """Write the catalogue and collect PROXIES of every network in it that is small enough; resumes after a kill."""
    catalogue = published()
    paths.write_whole(folder / CATALOGUE, catalogue.to_csv())
    for side, group in catalogue[small(catalogue)].groupby("side"):
        batch = minibatch("imagenet", side=int(str(side)))
        names = [str(name) for name in group.index]
        collect_space(
            Networks(names), batch.images, batch.labels, folder / f"side{side}", len(names),
            proxies=PROXIES, seed=SEED, jobs=jobs, shard_size=1, about=ABOUT,
        )  # fmt: skip
    return load(folder)


def _torchvision() -> Any:
    try:
        from torchvision import models
    except ImportError:
        raise BadInput("torchvision is not installed; docs/setup.md says how to make an environment for the zoo") from None
    return models


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect. Exit code 0: done; 2: bad input."""
    description = "Collect node statistics of torchvision's ImageNet classifiers."
    parser = argparse.ArgumentParser(prog="python -m parzc_core.own.zoo", description=description, allow_abbrev=False)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes; each may need 10 GB (1)")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help="where statistics are kept")
    options = parser.parse_args(arguments)
    try:
        found = collect(options.out, whole("--jobs", options.jobs, 1))
    except ParzcError as error:
        print(f"parzc: {error}", file=sys.stderr)
        return 2
    left_out = read_catalogue(options.out).index.difference(found.catalogue.index)
    print(f"{len(found.networks)} networks are there; too large: {', '.join(left_out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
