"""Compose a NAS-Bench-201 cell and see what a trained ranker says of it.

    explorer = opened("cifar10")  # at once, with the ranker that comes with the project; or CellExplorer(planned("full"))
    explorer.show(RESNET)  # six menus; the picture follows them
    explorer.report(RESNET)  # the same picture without widgets
"""

import base64
import dataclasses
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core import labels, metrics, paths
from parzc_core.collecting.labelled import load
from parzc_core.collecting.one import CollectionConfig, record
from parzc_core.collector import NodeStatistics
from parzc_core.drawing.cells import cell_graph, node_statistics_bars
from parzc_core.drawing.style import BLUE, ORANGE, VERMILION, new_figure
from parzc_core.encoding import Encoder
from parzc_core.errors import BadInput, ParzcError
from parzc_core.files.fetch import COMMAND
from parzc_core.images.batch import minibatch
from parzc_core.profiles import profile as profile_named
from parzc_core.proxies import NODE_PROXIES
from parzc_core.ranker import Inputs
from parzc_core.runs.rankers import RankerRun, train_ranker
from parzc_core.spaces import nb201, stacked_graphs
from parzc_core.training import FittedRanker, load_ranker

KEPT, KEPT_TRAIN = paths.ROOT / "results" / "rankers", 600  # rankers that come with the project, and their training cells
SHOWN = 3000  # cells that an explorer with such a ranker opens with
RESNET = ("nor_conv_3x3", "none", "nor_conv_3x3", "skip_connect", "none", "skip_connect")  # its network is a ResNet
ALIKE = 50  # unseen cells from which the ranker's record is read


def planned(profile: str, train: int = 78, graph: bool = False) -> RankerRun:
    """MABN on aligned statistics of `train` cells, in the size of the profile: the ranker that is asked.

    graph: NP's branch beside it, which reads the cell's graph.
    """
    sizes = profile_named(profile)
    return RankerRun(
        cells=sizes.cells,
        train=train,
        parts=("NP", "Mixer", "BN") if graph else ("Mixer", "BN"),
        encoding="aligned",
        size=sizes.model,
        epochs=sizes.epochs(200),
    )


def opened(
    dataset: str = "cifar10",
    train: int = KEPT_TRAIN,
    samples: int = 50,
    profile: str = "standard",
    cells: int = SHOWN,
    graph: bool = False,
) -> "CellExplorer":
    """An explorer: at once with the ranker of `train` cells that comes with the project, else one that is trained here.

    dataset: of NAS-Bench-201. cells: that are shown beside the cell, where nothing is trained. graph: a ranker that reads graphs
    too; none is kept, so that it is trained. Raises as CellExplorer.
    """
    file = KEPT / f"nb201_{dataset}.npz"
    if graph or train != KEPT_TRAIN or not file.is_file():
        return CellExplorer(dataclasses.replace(planned(profile, train, graph), dataset=dataset), samples)
    kept = load_ranker(file)
    run = dataclasses.replace(planned("full", train), dataset=dataset, cells=cells, encoding=_encoder(kept).scheme)
    return CellExplorer(run, samples, kept)


def _encoder(kept: FittedRanker) -> Encoder:
    if kept.encoder is None:
        raise BadInput("got a ranker without its encoder; expected one that was saved with it")
    return kept.encoder


@dataclass(frozen=True, eq=False, repr=False)
class CellReport:
    """What is known and predicted of one cell; a notebook shows it as a picture.

    score, spread: mean and standard deviation of the ranker's score over its weight samples.
    rank: place that the mean takes among the collected cells (1 is best; the cell itself is not counted).
    interval: places of mean + 2 spread and mean - 2 spread, the best first. It holds what the ranker itself is unsure of.
    alike: between them lie the true ranks of 90 % of the unseen cells whose scores are nearest. It holds the ranker's errors.
    facts: what is said in words, label -> text. figures: the cell, its place among the others, its node statistics.
    """

    arch: str
    statistics: NodeStatistics
    score: float
    spread: float
    rank: int
    interval: tuple[int, int]
    alike: tuple[int, int]
    facts: dict[str, str]
    figures: tuple[Figure, Figure, Figure]

    def _repr_html_(self) -> str:
        left, rows = 'style="text-align:left"', ""
        for label, value in self.facts.items():
            rows += f"<tr><th {left}>{html.escape(label)}</th><td {left}>{html.escape(value)}</td></tr>"
        pictures = (_picture(fig, width) for fig, width in zip(self.figures, ("49%", "49%", "100%"), strict=True))
        return f"<table>{rows}</table>{''.join(pictures)}"

    def __repr__(self) -> str:
        return "\n".join(f"{label}: {value}" for label, value in self.facts.items())


class CellExplorer:
    """Trains the ranker of `run` once, or takes a kept one, then reports on any cell of the space, collected or not.

    run: its collection also gives the images and the initialisation with which new cells are measured. Its parts may be any:
    those that read graphs get those of the cells; without a Bayesian one there is no spread.
    kept: a ranker with its encoder, whose `trained_on` names its training cells by index ("cells").
    samples: weight samples of a prediction. Raises BadInput for another space.
    """

    def __init__(self, run: RankerRun, samples: int = 50, kept: FittedRanker | None = None):
        if run.space != "nb201" or samples < 2:
            raise BadInput(f"got space={run.space!r}, samples={samples}; expected nb201 and at least 2 samples")
        self.run, self.samples, self.data = run, samples, load(run.space, run.dataset, run.cells)
        statistics = self.data.collection.statistics
        if kept is None:
            self.ranker, inputs, self.trained_on, self.unseen = train_ranker(run)
            self.encoder = Encoder(run.encoding, run.proxies, nb201.SLOTS).fit([statistics[i] for i in self.trained_on])
        else:
            self.ranker, self.encoder = kept, _encoder(kept)
            seen = {nb201.arch(index) for index in kept.trained_on.get("cells", ())}
            known = np.array([arch in seen for arch in self.data.collection.archs])
            self.trained_on, self.unseen = np.flatnonzero(known), np.flatnonzero(~known)
            inputs = Inputs(self.encoder.transform(statistics), self.data.adjacency, self.data.operations)
        self.scores, self.spreads = self.ranker.predict(inputs, samples)  # float64[n], of the collected cells
        made_with: dict[str, Any] = {**self.data.collection.manifest["config"], "proxies": NODE_PROXIES, "scores": ()}
        self.config = CollectionConfig(**made_with)
        self.batch = minibatch(run.dataset, self.config.batch, self.config.images, self.config.batch_seed)

    def table(self) -> pd.DataFrame:
        """A row for each collected cell, the best predicted first, indexed by its string.

        Columns: score, spread, predicted rank, true rank, accuracy (%, what is judged), params, trained on (bool).
        """
        found = pd.DataFrame(
            {
                "score": self.scores,
                "spread": self.spreads,
                "predicted rank": 1 + _better(self.scores, self.scores),
                "true rank": 1 + _better(self.data.judged, self.data.judged),
                "accuracy": self.data.judged,
                "params": self.data.collection.scores["params"].to_numpy(dtype=int),
                "trained on": np.isin(np.arange(len(self.data)), self.trained_on),
            },
            index=pd.Index(self.data.collection.archs, name="cell"),
        )
        return found.sort_values("predicted rank")

    def best_under(self, params: float, count: int = 10) -> pd.DataFrame:
        """The rows of `table` of the cells with fewer parameters, the best predicted first. Raises BadInput where none is."""
        found = self.table()
        found = found[found["params"] < params]
        if found.empty:
            least = int(self.data.collection.scores["params"].min())
            raise BadInput(f"got params={params:g}; no cell has fewer, the smallest has {least:,}")
        return found.head(count)

    def statistics(self, arch: str) -> NodeStatistics:
        """The cell's statistics, collected now, as those of the collection were (a second or two)."""
        return record(self.config, arch, self.batch).statistics

    def predict(self, arch: str, statistics: NodeStatistics) -> tuple[float, float]:
        """Mean and standard deviation of the cell's score, by the weight samples with which the collected cells are scored."""
        inputs = Inputs(self.encoder.transform([statistics]), *stacked_graphs(self.run.space, [arch]))
        mean, std = self.ranker.predict(inputs, self.samples)
        return float(mean[0]), float(std[0])

    def tau(self) -> float:
        """Kendall's tau, percent, of the scores of the unseen collected cells with their accuracy."""
        return metrics.kendall(self.scores[self.unseen], self.data.judged[self.unseen])

    def coverage(self) -> float:
        """Percent of the unseen collected cells whose true rank lies in the interval that is given for them."""
        best, worst = (1 + _better(self.scores, self.scores + sign * 2 * self.spreads) for sign in (1, -1))
        truth = 1 + _better(self.data.judged, self.data.judged)
        return 100.0 * float(((best <= truth) & (truth <= worst))[self.unseen].mean())

    def report(self, operations: Sequence[str]) -> CellReport:
        """Everything about the cell of six operations, given in the order of `nb201.EDGES`. Raises BadInput."""
        arch = nb201.to_string(operations)
        score, spread = self.predict(arch, statistics := self.statistics(arch))
        archs, judged = self.data.collection.archs, self.data.judged
        others = np.array([name != arch for name in archs])
        best, rank, worst = (1 + _better(self.scores[others], score + spread * np.array([2, 0, -2]))).tolist()
        near = self.unseen[others[self.unseen]]
        near = near[np.argsort(np.abs(self.scores[near] - score), kind="stable")[:ALIKE]]
        low, high = np.percentile(1 + _better(judged[others], judged[near]), (5, 95)).round().astype(int).tolist()
        truth, judged_on, _ = labels.judged(self.run.space, self.run.dataset)
        true_rank = 1 + int(_better(judged[others], truth.loc[[arch]].to_numpy())[0])
        name = {"val": "validation", "test": "test"}[judged_on]
        test = f"{truth.loc[arch]:.2f} %" if judged_on == "test" else f"not on this machine; `{COMMAND}` gets it"
        dead = [f"{i} → {j}" for (i, j), live in zip(nb201.EDGES, nb201.live_edges(arch), strict=True) if not live]
        trained = self.ranker.trained_on.get("cells", self.trained_on)  # of a kept ranker, some are not shown here
        met = f"trained on, one of {len(trained)}" if arch in (archs[i] for i in self.trained_on) else "unseen"
        facts = {
            "Cell": arch,
            "To the ranker": met if arch in archs else "unseen, and not in the collection",
            "Predicted rank": f"{rank:,} among {int(others.sum()):,} other collected cells",
            "Its own doubt": f"{best:,} to {worst:,}: mean ± 2 standard deviations over {self.samples} weight samples",
            "Its record": f"of the {len(near)} unseen cells scored most alike, 90 % truly rank from {low:,} to {high:,}",
            "True rank": f"{true_rank:,}, by {name} accuracy",
            "Validation accuracy": f"{labels.accuracy(self.run.space, self.run.dataset, 'val').loc[arch]:.2f} %",
            "Test accuracy": test,
            "Edges without effect": ", ".join(dead) or "none",
        }
        if statistics.not_finite:
            facts["Not finite"] = f"{statistics.not_finite} node statistics, which tell the ranker nothing"
        place = self._place(rank, (best, worst), true_rank, (low, high))
        figures = cell_graph(arch), place, node_statistics_bars(statistics)
        return CellReport(arch, statistics, score, spread, rank, (best, worst), (low, high), facts, figures)

    def show(self, operations: Sequence[str] = RESNET) -> Any:
        """An ipywidgets.VBox that begins with `operations`: a menu an edge, buttons that set all six, and the report."""
        import ipywidgets as widgets

        menus = [
            widgets.Dropdown(options=nb201.OPERATIONS, value=operation, description=f"{i} → {j}")
            for operation, (i, j) in zip(operations, nb201.EDGES, strict=True)
        ]
        status, view = widgets.Label(), widgets.HTML()
        best = nb201.parse(self.data.collection.archs[int(np.argmax(self.scores))])
        choices = {"ResNet cell": RESNET, "predicted best": best, "random cell": ()}

        def refresh(_change: object = None) -> None:
            status.value = "collecting the node statistics …"
            try:
                view.value = self.report([menu.value for menu in menus])._repr_html_()
            except ParzcError as error:
                view.value = html.escape(str(error))
            status.value = ""

        def choose(wanted: Sequence[str], _button: object) -> None:
            wanted = wanted or np.random.default_rng().choice(nb201.OPERATIONS, len(menus)).tolist()
            for menu, operation in zip(menus, wanted, strict=True):
                menu.unobserve(refresh, "value")  # all six change at once: the cells in between are not asked for
                menu.value = operation
                menu.observe(refresh, "value")
            refresh()

        for menu in menus:
            menu.observe(refresh, "value")
        buttons = [widgets.Button(description=name) for name in choices]
        for button, wanted in zip(buttons, choices.values(), strict=True):
            button.on_click(partial(choose, wanted))
        refresh()
        rows = [widgets.HBox(menus[:3]), widgets.HBox(menus[3:]), widgets.HBox([*buttons, status])]
        return widgets.VBox([*rows, view])

    def _place(self, rank: int, interval: tuple[int, int], true_rank: int, alike: tuple[int, int]) -> Figure:
        """Every collected cell by predicted and true rank, the best at the upper right, and this one with both intervals."""
        x, y = (1 + _better(values, values) for values in (self.scores, self.data.judged))
        ax = (figure := new_figure(6.4, 4.6)).subplots()
        for cells, colour, label in ((self.unseen, BLUE, "unseen cells"), (self.trained_on, ORANGE, "trained on")):
            ax.scatter(x[cells], y[cells], s=9, color=colour, linewidth=0, label=label, rasterized=True)
        ax.plot(rank, true_rank, "*", color=VERMILION, markersize=17, markeredgecolor="white", label="this cell")
        ax.plot((rank, rank), alike, color="black", linewidth=1.5, label="its record")
        ax.plot(interval, (true_rank, true_rank), color=VERMILION, linewidth=4, label="its own doubt")
        ends = (1.03 * len(x), -0.03 * len(x))
        ax.set(xlabel="predicted rank (1 = best)", ylabel="true rank", xlim=ends, ylim=ends)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=5, handletextpad=0.4, columnspacing=1)
        return figure


def _better(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """int[m]: for each of `values` [m], how many of `scores` [n] are larger."""
    return len(scores) - np.searchsorted(np.sort(scores), values, side="right")


def _picture(figure: Figure, width: str) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    data = base64.b64encode(content.getvalue()).decode()
    return f'<img style="display:inline;max-width:{width}" src="data:image/png;base64,{data}"/>'
