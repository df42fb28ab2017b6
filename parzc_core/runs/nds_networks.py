"""A ground truth made here: small random networks of the Network Design Spaces, trained on Fashion-MNIST by one recipe.

It stands in for the published trainings where these are not at hand, and what is judged on it is `recreated`. Every network is
trained once a seed (its initial weights and the order of the images), so that the noise ceiling is known. Made by

    python -m parzc_core.runs.nds_networks --images FOLDER

with the folder of Fashion-MNIST's four files; killed at any moment, it goes on where it was.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from parzc_core import metrics
from parzc_core._seeding import seeded
from parzc_core.errors import ParzcError, whole
from parzc_core.images.fashion_mnist import Images, accuracy, digits, fashion_mnist
from parzc_core.labels.nds import RECREATED_DATASET, RECREATED_FOLDER, RECREATED_SPACES, RECREATED_SPLITS, recreated
from parzc_core.paths import write_whole
from parzc_core.runs.protocol import run_all
from parzc_core.spaces import nds
from parzc_core.storage.rows import versions
from parzc_core.storage.run_store import RunStore


@dataclass(frozen=True)
class Recipe:
    """How every network is trained, and its size.

    width, depth: channels of the first stage, cells. side: pixels, to which images are shrunk by averaging. images: training
    images, from the front; val: the ones after them; test: of the test images. SGD with Nesterov's momentum and weight decay,
    a cosine from learning_rate to 0, neither augmentation nor any other regularisation.
    """

    width: int = 8
    depth: int = 3
    side: int = 16
    images: int = 1500
    val: int = 500
    test: int = 1500
    epochs: int = 2
    batch: int = 32
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class Training:
    """One network, trained once. folder: of the images, None for scikit-learn's digits; it does not decide the result."""

    space: str
    arch: str
    seed: int
    recipe: Recipe = Recipe()
    folder: Path | None = None

    def key(self) -> dict[str, Any]:
        """What decides the result."""
        data = "digits" if self.folder is None else RECREATED_DATASET
        return {"space": self.space, "arch": self.arch, "seed": self.seed, "data": data, **asdict(self.recipe)}

    def evaluate(self) -> dict[str, float]:
        """Train the network: accuracy in percent on "val" and "test", training loss of the last epoch, CPU-seconds."""
        started, recipe = time.process_time(), self.recipe
        data = _images(self.folder, recipe)
        with seeded(self.seed):
            network = nds.SPACES[self.space].build(self.arch)
        order = np.random.default_rng(self.seed)
        images, labels = data["train"]
        steps = recipe.epochs * (len(images) // recipe.batch)
        optimiser = torch.optim.SGD(
            network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(recipe.epochs):
            losses = []
            for chosen in np.array_split(order.permutation(len(images)), len(images) // recipe.batch):
                loss = F.cross_entropy(network(images[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                losses.append(float(loss.detach()))
        found = {split: accuracy(network, *data[split], batch=250) for split in RECREATED_SPLITS}
        return {**found, "loss": float(np.mean(losses)), "seconds": time.process_time() - started}


def trainings(count: int, seeds: int, recipe: Recipe, folder: Path | None) -> list[Training]:
    """`count` random architectures a space, each with every seed; the spaces take turns, so that any front is balanced."""
    archs = {name: nds.SPACES[name].sample(count, 0, recipe.width, recipe.depth) for name in RECREATED_SPACES}
    return [
        Training(name, archs[name][i], seed, recipe, folder)
        for i in range(count) for name in RECREATED_SPACES for seed in range(seeds)
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _images(folder: Path | None, recipe: Recipe) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """{"train", "val", "test"}: float32[n, 3, side, side] and int64[n]; the three channels are the same."""
    images: Images = digits() if folder is None else fashion_mnist(folder)
    pool = F.adaptive_avg_pool2d
    train, test = (pool(part, recipe.side).expand(-1, 3, -1, -1) for part in (images.train, images.test))
    end = min(recipe.images, len(train) // 2)
    held = slice(end, end + recipe.val)
    return {
        "train": (train[:end], images.train_labels[:end]),
        "val": (train[held], images.train_labels[held]),
        "test": (test[: recipe.test], images.test_labels[: recipe.test]),
    }


def make(todo: Sequence[Training], folder: Path = RECREATED_FOLDER, jobs: int = 1) -> int:
    """Train what `folder` lacks of `todo`, on `jobs` processes; returns how many were trained. The manifest is kept up to date.

    Raises BadInput where the images cannot be read.
    """
    store = RunStore(folder / "runs.jsonl")
    missing = [one for one in todo if store.get(one.key()) is None]
    if missing:
        _images(missing[0].folder, missing[0].recipe)  # what is wrong with the images is said before any worker starts
    try:
        run_all(todo, store, jobs, unit="network")
    finally:
        _write_manifest(folder, todo, store)
    return len(missing)


def _write_manifest(folder: Path, todo: Sequence[Training], store: RunStore) -> None:
    done = [result for one in todo if (result := store.get(one.key())) is not None]
    seconds = sum(result["seconds"] for result in done)
    manifest = {
        "command": "python -m parzc_core.runs.nds_networks --images FOLDER",
        "data": todo[0].key()["data"],
        "recipe": asdict(todo[0].recipe),
        "networks": len({one.arch for one in todo}),
        "trainings": len(todo),
        "done": len(done),
        "cpu_hours": round(seconds / 3600, 3),
        "versions": versions(),
    }
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")


def ceiling(space: str, folder: Path = RECREATED_FOLDER) -> float:
    """Kendall's tau, percent, between test accuracies of the first two seeds: about what one training can be predicted to."""
    runs = recreated(space, "test", folder)
    return metrics.kendall(runs["seed0"].to_numpy(), runs["seed1"].to_numpy())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done; 2: bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m parzc_core.runs.nds_networks", description=str(__doc__).partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--images", type=Path, help="folder of Fashion-MNIST (scikit-learn's digits)", metavar="FOLDER")
    parser.add_argument("--architectures", type=int, default=60, help="of each space (60)", metavar="N")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (2)", metavar="N")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs, help=f"({Recipe.epochs})", metavar="N")
    parser.add_argument("--out", type=Path, default=RECREATED_FOLDER, help="output folder (results/truth/nds)", metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes (1)", metavar="N")
    options = parser.parse_args(arguments)
    try:
        for name in ("architectures", "seeds", "epochs", "jobs"):
            whole(f"--{name}", getattr(options, name), 1)
        recipe = dataclasses.replace(Recipe(), epochs=options.epochs)
        todo = trainings(options.architectures, options.seeds, recipe, options.images)
        trained = make(todo, options.out, options.jobs)
    except ParzcError as error:
        print(f"parzc: {error}", file=sys.stderr)
        return 2
    print(f"{trained} networks trained now, {len(todo)} in all, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
