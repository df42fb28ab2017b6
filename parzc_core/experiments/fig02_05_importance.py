"""Figures 2 and 5: which nodes matter, by boosted trees that regress accuracy from one proxy's node-wise values (§1, A.2).

    found = run(labelled.load(), settings("full"))
    table = summary(found[ALL])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from parzc_core import metrics
from parzc_core.collecting.labelled import Data
from parzc_core.collector import NodeStatistics
from parzc_core.drawing.style import BACKDROP, BLUE, draw_stages, expect, new_figure, stages
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.spaces import nb201
from parzc_core.spaces.nb201_cells import expression
from parzc_core.storage import workers
from parzc_core.storage.rows import Row

FIGURES = {  # figure -> proxies, a panel each
    "fig02_importance": ("synflow", "grad_norm", "fisher"),
    "fig05_importance": ("plain", "synflow", "snip", "grad_norm", "fisher", "l2_norm"),
}
PROXIES = FIGURES["fig05_importance"]
STAGES = ("stem", "stage 1", "reduction 1", "stage 2", "reduction 2", "stage 3", "head")
ALL, CONNECTED = "All cells", "Connected cells only"
# Metric and unit of what `summary` has beside the shares of importance.
_METRICS = {
    "nodes with half of it": ("nodes", "1"),
    "depth trend": ("spearman", "%"),
    "held-out R2": ("r2", "%"),
    "held-out tau": ("kendall", "%"),
}


@dataclass(frozen=True)
class GBDTConfig:
    """The regressor of A.2 (the defaults) and of the check on it.

    estimators, learning_rate, depth: of the boosted trees. test_share: held-out share. seed: random state of split and trees.
    repeats: permutations a node, and a group of nodes, is judged by.
    """

    estimators: int = 500
    learning_rate: float = 0.05
    depth: int = 3
    test_share: float = 0.2
    seed: int = 42
    repeats: int = 5

    def __post_init__(self) -> None:
        if min(self.estimators, self.depth, self.repeats) < 1 or not 0 < self.test_share < 1:
            raise BadInput(f"got {self}; expected positive numbers and a test share between 0 and 1")


@dataclass(frozen=True, eq=False)
class Importance:
    """Importance of the L slots of a space for one proxy.

    slots: names, along depth. impurity: float64[L], sum 1: share of the reduction of squared error over all splits.
    permutation: float64[L], fall of the held-out R2 (in percent) when one slot's values are shuffled among the cells.
    groups: a row a group of slots, along depth: nodes, impurity (sum, in percent), permutation (sum of the single ones),
        together (fall of the held-out R2, in percent, when all its slots are shuffled together: what no other slot can replace).
    r2: of the held-out cells, percent, on the accuracy that was learned. kendall: percent, on the accuracy judged on.
    trained, held_out: numbers of cells.
    """

    slots: tuple[str, ...]
    impurity: np.ndarray
    permutation: np.ndarray
    groups: pd.DataFrame
    r2: float
    kendall: float
    trained: int
    held_out: int

    @property
    def rho_with_permutation(self) -> float:
        """Spearman's rho between both importances over the slots, percent; NaN where one of them is constant."""
        return metrics.correlations(self.impurity, self.permutation).spearman

    @property
    def depth_trend(self) -> float:
        """Spearman's rho between place along depth and impurity importance, percent; positive: deeper slots matter more."""
        return metrics.correlations(np.arange(len(self.impurity)), self.impurity).spearman

    def shared_top(self, k: int = 5) -> int:
        """How many of the k slots of highest impurity importance are among the k of highest permutation importance."""
        return len(set(np.argsort(-self.impurity)[:k].tolist()) & set(np.argsort(-self.permutation)[:k].tolist()))

    @property
    def half_of_it(self) -> int:
        """The smallest number of slots that hold half of the impurity importance."""
        return int(np.searchsorted(np.cumsum(np.sort(self.impurity)[::-1]), 0.5)) + 1


def slotted(statistics: Sequence[NodeStatistics], proxy: str, slots: Sequence[str]) -> np.ndarray:
    """float64[n, L]: one proxy's values, min-max scaled per architecture as in §3.2, every node in its own slot.

    An absent node is 0, as is the architecture's smallest value; all are 0 where they are equal or one is not finite.
    Raises BadInput: no statistics, a proxy that was not collected, a node without slot.
    """
    if not statistics:
        raise BadInput("got no statistics; expected at least one architecture")
    place = {name: i for i, name in enumerate(slots)}
    table = np.zeros((len(statistics), len(place)))
    for row, one in zip(table, statistics, strict=True):
        if unknown := [name for name in one.nodes if name not in place]:
            raise BadInput(f"got node {unknown[0]!r}, which has no slot; give all slots of the space")
        z = one.of(proxy)
        if 0 < np.ptp(z) < np.inf:
            row[[place[name] for name in one.nodes]] = (z - z.min()) / np.ptp(z)
    return table


def node_importance(
    values: np.ndarray,
    learn: np.ndarray,
    judged: np.ndarray,
    slots: Sequence[str],
    groups: Sequence[str],
    config: GBDTConfig | None = None,
) -> Importance:
    """Fit the boosted trees and take both importances of every slot.

    values: float64[n, L] of `slotted`. learn, judged: float64[n], percent, see `labelled.Data`.
    slots: L names; groups: the label of each slot ("stage 1"), whose slots need not be neighbours.
    Raises BadInput for shapes that do not fit or fewer than ten cells.
    """
    config = config or GBDTConfig()
    count = len(values)
    if values.shape != (count, len(slots)) or not len(slots) == len(groups) or not len(learn) == len(judged) == count:
        raise BadInput(
            f"got values {values.shape}, {len(learn)} and {len(judged)} accuracies, {len(slots)} slots and {len(groups)} "
            "groups; expected [n, L], n, n, L and L"
        )
    if count < 10:
        raise BadInput(f"got {count} cells; expected at least 10 to train on some and judge on others")
    train, test = train_test_split(np.arange(count), test_size=config.test_share, random_state=config.seed)
    settings = {"n_estimators": config.estimators, "learning_rate": config.learning_rate, "max_depth": config.depth}
    trees = GradientBoostingRegressor(**settings, random_state=config.seed).fit(values[train], learn[train])
    held_out = values[test], learn[test]
    single = permutation_importance(trees, *held_out, scoring="r2", n_repeats=config.repeats, random_state=config.seed)
    impurity, permutation = trees.feature_importances_, 100 * single.importances_mean
    rows = {}
    for label in dict.fromkeys(groups):
        members = np.flatnonzero(np.asarray(groups) == label)
        together = _fall_together(trees, *held_out, members, config)
        rows[label] = (len(members), 100 * impurity[members].sum(), permutation[members].sum(), together)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["nodes", "impurity", "permutation", "together"])
    predicted = trees.predict(held_out[0])
    r2, tau = 100 * r2_score(held_out[1], predicted), metrics.kendall(predicted, judged[test])
    return Importance(tuple(slots), impurity, permutation, table, r2, tau, len(train), len(test))


def _fall_together(
    trees: GradientBoostingRegressor, values: np.ndarray, truth: np.ndarray, members: np.ndarray, config: GBDTConfig
) -> float:
    """Fall of R2, in percent, when the members' columns are shuffled among the cells, all by the same permutation."""
    generator = np.random.default_rng(config.seed)
    falls = []
    for _ in range(config.repeats):
        shuffled = values.copy()
        shuffled[:, members] = values[np.ix_(generator.permutation(len(values)), members)]
        falls.append(r2_score(truth, trees.predict(values)) - r2_score(truth, trees.predict(shuffled)))
    return 100 * float(np.mean(falls))


def settings(profile: str) -> GBDTConfig:
    """The trees of a profile: A.2's 500, fewer in "smoke" and "standard"."""
    trees, repeats = {"smoke": (25, 1), "standard": (200, 2)}.get(profile, (500, 5))
    return GBDTConfig(estimators=trees, repeats=repeats)


def connected(archs: Sequence[str]) -> np.ndarray:
    """bool[n]: whether a path leads through a cell of NAS-Bench-201 from its input to its output."""
    return np.array([bool(expression(arch).output) for arch in archs])


def parts_of_the_network() -> list[str]:
    """The part of STAGES in which each slot of NAS-Bench-201 lies."""
    return [label for label, (_, i, j) in zip(STAGES, stages(nb201.SLOTS), strict=True) for _ in range(i, j)]


def run(data: Data, config: GBDTConfig, jobs: int = 1) -> dict[str, dict[str, Importance]]:
    """{ALL or CONNECTED: {proxy of PROXIES: importance of its nodes}}; data: of NAS-Bench-201."""
    cells = {ALL: np.full(len(data), True), CONNECTED: connected(data.collection.archs)}
    values, groups = {p: slotted(data.collection.statistics, p, nb201.SLOTS) for p in PROXIES}, parts_of_the_network()
    tasks = [(which, p) for which in cells for p in PROXIES]
    work = [
        (values[p][cells[which]], data.learn[cells[which]], data.judged[cells[which]], nb201.SLOTS, groups, config)
        for which, p in tasks
    ]
    grown = tqdm(workers.run(node_importance, work, jobs, in_order=True), total=len(tasks), unit="GBDT", disable=None)
    found: dict[str, dict[str, Importance]] = {which: {} for which in cells}
    for (which, p), importance in zip(tasks, grown, strict=True):
        found[which][p] = importance
    return found


def summary(found: Mapping[str, Importance]) -> pd.DataFrame:
    """A row a proxy: percent of impurity importance by part of the network, and what `Importance` says of the whole."""
    return pd.DataFrame(
        {
            PROXY_LABELS[p]: {
                **one.groups["impurity"],
                "nodes with half of it": one.half_of_it,
                "depth trend": one.depth_trend,
                "held-out R2": one.r2,
                "held-out tau": one.kendall,
            }
            for p, one in found.items()
        }
    ).T


def beside_permutation(found: Mapping[str, Importance]) -> pd.DataFrame:
    """A row a proxy: fall of R2 when a part of the network is shuffled together, and how both importances agree."""
    return pd.DataFrame(
        {
            PROXY_LABELS[p]: {
                **one.groups["together"],
                "rank correlation with impurity": one.rho_with_permutation,
                "of the top 5 nodes shared": one.shared_top(5),
            }
            for p, one in found.items()
        }
    ).T


def same_most_important_part(found: Mapping[str, Importance]) -> int:
    """For how many proxies both importances name the same part of the network as the most important."""
    return sum(one.groups["together"].idxmax() == one.groups["impurity"].idxmax() for one in found.values())


def rows(figure: str, table: pd.DataFrame, data: Data, config: GBDTConfig, profile: str) -> list[Row]:
    """The rows of a figure of FIGURES. table: `summary` of all cells."""
    about: dict[str, Any] = {"seed": config.seed, "n": len(data), "profile": profile, "origin": "reproduced"}
    about["note"] = f"{data.note}; n cells, 80 % of them trained on"
    made = []
    for proxy in (PROXY_LABELS[name] for name in FIGURES[figure]):
        for column, value in table.loc[proxy].to_dict().items():
            metric, unit = _METRICS.get(str(column), ("impurity_share", "%"))
            made.append(Row(figure, proxy, str(column), metric, value, unit=unit, **about))
    return made


def figure_of(figure: str, found: Mapping[str, Importance]) -> Figure:
    """A figure of FIGURES: `importance_along_depth` of its proxies."""
    return importance_along_depth({p: (nb201.SLOTS, found[p].impurity) for p in FIGURES[figure]})


def importance_along_depth(importances: Mapping[str, tuple[Sequence[str], ArrayLike]]) -> Figure:
    """Figures 2 and 5: impurity importance of every node, drawn along depth, a panel a proxy.

    importances: proxy -> (node names in execution order, importance float[L]); stages are marked by light bands.
    """
    expect(len(importances) > 0, "importance_along_depth got no proxy; give at least one")
    columns = 1 if len(importances) <= 3 else 2
    rows = -(-len(importances) // columns)
    fig = new_figure(9 if columns == 1 else 13, 0.9 + 1.9 * rows)
    axes = fig.subplots(rows, columns, squeeze=False)
    for place, ax in enumerate(axes.flat):
        if place >= len(importances):
            ax.set_axis_off()
            continue
        proxy, (nodes, values) = list(importances.items())[place]
        height = np.asarray(values, dtype=float)
        expect(height.shape == (len(nodes),), f"{proxy}: importance of shape {height.shape} for {len(nodes)} nodes")
        draw_stages(ax, nodes, labelled=place < columns)
        ax.bar(np.arange(len(nodes)), height, width=0.85, color=BLUE)
        ax.set_ylim(0, max(float(np.nanmax(height)) * 1.12, 1e-12))
        title = PROXY_LABELS.get(proxy, proxy)
        ax.text(0.012, 0.93, title, transform=ax.transAxes, va="top", fontsize=12, fontweight="bold", bbox=BACKDROP)
        if place + columns >= len(importances):
            ax.set_xlabel("node along depth (execution order)")
    fig.supylabel("GBDT impurity importance", fontsize=11)
    return fig
