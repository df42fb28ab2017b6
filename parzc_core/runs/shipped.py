"""The trained rankers that come with the project: one for each of DATASETS, and what three rankers say of all its cells.

    ranker = load("nb201", "cifar10")        # ParZC; it reads node statistics: ranker.predict(statistics, samples=20)
    known = scored("nb201", "cifar10")       # scores of ParZC, ParZC+ and NP for every collected cell; nothing is trained
    known.unseen                             # bool[n]: the cells that none of them has learned from, on which they are judged

`parzc ranker --space nb201 --dataset cifar10` makes both files again: results/rankers/nb201_cifar10.npz, and _scores.npz.
The three learn from the same TRAIN cells, drawn by SPLIT. Of ParZC+ and NP the scores alone are kept.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from parzc_core import metrics, paths
from parzc_core.encoding import Encoder
from parzc_core.errors import BadInput
from parzc_core.npz import Format, joined, making_sense, read_arrays, write_arrays
from parzc_core.ranker import Inputs
from parzc_core.runs.proxies import EPOCHS
from parzc_core.runs.rankers import RankerRun, train_ranker
from parzc_core.spaces import nb201
from parzc_core.spaces import space as space_named
from parzc_core.storage.statistics import archs_sha256
from parzc_core.training import FittedRanker, load_ranker

# (space, data set) -> channels of the networks whose statistics are read; None stands for the benchmark's own.
DATASETS: dict[tuple[str, str], int | None] = {
    ("nb201", "cifar10"): None,
    ("nb201", "cifar100"): None,
    ("nb201", "imagenet16-120"): None,
    ("nb101", "cifar10"): 32,
}
RANKERS = ("ParZC", "ParZC+", "NP")
TRAIN, SPLIT, DRAWS = 600, 0, 20  # training cells, as ParZC has in Table 1; seed of their choice; draws of a spread
FOLDER = paths.ROOT / "results" / "rankers"  # in the checkout, whatever PARZC_RESULTS says
FORMAT = Format("parzc scores", 1, "scores of rankers", "make it with: parzc ranker")


def planned(space: str = "nb201", dataset: str = "cifar10", **changes: Any) -> RankerRun:
    """How the ranker is trained: the full model, on aligned statistics. changes: of the RankerRun. Raises BadInput."""
    if (space, dataset) not in DATASETS:
        raise BadInput(f"got {space}, {dataset}; rankers come for {', '.join(f'{s} {d}' for s, d in DATASETS)}")
    plan = RankerRun(space=space, dataset=dataset, train=TRAIN, split=SPLIT, encoding="aligned", epochs=EPOCHS[space])
    return dataclasses.replace(plan, width=DATASETS[space, dataset], **changes)


def file_of(space: str, dataset: str) -> Path:
    """Where the ranker is kept."""
    return FOLDER / f"{space}_{dataset}.npz"


def scores_beside(file: Path) -> Path:
    """Where the scores of all cells are kept, beside the ranker's file."""
    return file.with_name(f"{file.stem}_scores.npz")


def train_and_save(run: RankerRun, file: Path | None = None) -> tuple[Path, float]:
    """Train the ranker of `run` and keep it in a file; its path, and Kendall's tau (percent) on the cells it has not seen.

    The file also holds the fitted encoder and, as `trained_on`, the space, the data set, the labels and every training cell.
    """
    ranker, inputs, learned, unseen = train_ranker(run)
    data, slots = run.data, space_named(run.space).SLOTS
    encoder = Encoder(run.encoding, run.proxies, slots).fit([data.statistics[i] for i in learned])
    tau = metrics.kendall(ranker.predict(inputs[unseen]), data.judged[unseen])
    about: dict[str, Any] = {"space": run.space, "dataset": run.dataset, "split": run.split, "kendall": round(tau, 2)}
    about |= {"width": run.width, "learned_from": data.learned_from, "judged_on": data.judged_on}
    about["cells"] = [_short(run.space, data.collection.archs[i]) for i in learned]
    made = dataclasses.replace(ranker, encoder=encoder, trained_on=about)
    return made.save(file or file_of(run.space, run.dataset)), tau


def score_and_save(run: RankerRun, file: Path | None = None) -> Path:
    """Let the ranker in the file, ParZC+ and NP score all cells of the run's collection; the path of their scores.

    ParZC+ and NP learn here, from the cells that the ranker in the file learned from.
    """
    from parzc_core.predictors.plus.features import plus_inputs  # slow to import, and only needed here
    from parzc_core.predictors.plus.model import ParZCPlus

    file = file or file_of(run.space, run.dataset)
    data, kept = run.data, load_ranker(file)
    train = np.flatnonzero(learned_from(kept, data.collection.archs))
    found = {"ParZC": kept.predict(inputs_of(kept, data), DRAWS)}
    plus = plus_inputs(data)
    fitted = ParZCPlus().fit(plus[train], data.learn[train], run.split, unlabelled=plus)
    both = fitted.predict(plus, samples=1)
    assert isinstance(both, tuple)
    found["ParZC+"] = both
    graph, inputs, _, _ = train_ranker(dataclasses.replace(run, parts=("NP",)))
    found["NP"] = graph.predict(inputs), np.empty(0)  # its weights are no distributions: no spread
    about = {
        **{name: getattr(run, name) for name in ("space", "dataset", "width", "split")},
        "archs_sha256": archs_sha256(data.collection.archs),
        **{"learned_from": data.learned_from, "judged_on": data.judged_on},
    }
    arrays: dict[str, np.ndarray] = {"train": train.astype(np.int32)}
    for name, (score, spread) in found.items():
        arrays |= {f"score/{name}": score.astype(np.float32), f"spread/{name}": spread.astype(np.float16)}
    return write_arrays(scores_beside(file), joined(FORMAT, about, arrays))


def inputs_of(kept: FittedRanker, data: Any) -> Inputs:
    """What a kept ranker reads of the cells of a collection. Raises BadInput for a ranker that was saved without its encoder."""
    if kept.encoder is None:
        raise BadInput("got a ranker without its encoder; expected one that was saved with it")
    return Inputs(kept.encoder.transform(data.statistics), data.adjacency, data.operations)


@lru_cache(maxsize=4)
def load(space: str = "nb201", dataset: str = "cifar10") -> FittedRanker:
    """The ranker of a data set that comes with the project, with its encoder. Raises BadInput where there is none."""
    planned(space, dataset)
    return load_ranker(_there(file_of(space, dataset), space, dataset))


def training_archs(kept: FittedRanker) -> list[str]:
    """The architecture strings of the cells that a kept ranker learned from."""
    return [nb201.arch(cell) if isinstance(cell, int) else str(cell) for cell in kept.trained_on.get("cells", ())]


def learned_from(kept: FittedRanker, archs: Sequence[str]) -> np.ndarray:
    """bool[n]: which of these architectures a kept ranker learned from."""
    seen = set(training_archs(kept))
    return np.array([arch in seen for arch in archs])


@dataclass(frozen=True, eq=False)
class Scored:
    """What the rankers say of the n cells of a collection, positions in its order.

    scores, spreads: {ranker: float64[n]}; a ranker without spread is not among the spreads. train: int[m], positions of the cells
    that all of them learned from, in accuracy `learned_from` ("val" or "test"). archs_sha256: of the collection's cells.
    """

    scores: Mapping[str, np.ndarray]
    spreads: Mapping[str, np.ndarray]
    train: np.ndarray
    learned_from: str
    archs_sha256: str

    @property
    def unseen(self) -> np.ndarray:
        """bool[n]: cells that were not learned from, on which alone a ranker is judged."""
        found = np.ones(len(next(iter(self.scores.values()))), dtype=bool)
        found[self.train] = False
        return found

    def check(self, archs: Sequence[str]) -> None:
        """Raises BadInput if these are not the cells that were scored."""
        if archs_sha256(archs) != self.archs_sha256:
            raise BadInput(f"got {len(archs)} cells that are not those that were scored; make the scores anew with: parzc ranker")


def scored(space: str = "nb201", dataset: str = "cifar10") -> Scored:
    """The scores of all collected cells that come with the project. Raises BadInput where there are none, or of another kind."""
    planned(space, dataset)
    path = _there(scores_beside(file_of(space, dataset)), space, dataset)
    about, arrays = read_arrays(path, FORMAT)
    found: dict[str, dict[str, np.ndarray]] = {"score": {}, "spread": {}}
    with making_sense(path):
        for name, values in arrays.items():
            kind, _, ranker = name.partition("/")
            if kind in found and len(values):
                found[kind][ranker] = values.astype(np.float64)
        return Scored(found["score"], found["spread"], arrays["train"], about["learned_from"], about["archs_sha256"])


def _there(path: Path, space: str, dataset: str) -> Path:
    if not path.is_file():
        paths.checkout("the rankers that come with the project")
        raise BadInput(f"there is no {path}; make it with: parzc ranker --space {space} --dataset {dataset}")
    return path


def _short(space: str, arch: str) -> int | str:
    return nb201.index(arch) if space == "nb201" else arch
