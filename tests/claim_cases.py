"""Made-up rows of results for the tests of claims, and the verdict that each rule must give of them."""

from typing import Any

from parzc_core import paper
from parzc_core.report.claim_outcomes import FAILS, HOLDS, IN_PART, NOT_TESTABLE

Cell = dict[str, Any]
Case = tuple[str, list[Cell], str]
SPACES = ("NB201-CF10", "NB201-CF100", "NB201-IMG16")
SIZES = list(dict.fromkeys(paper.printed("table02")["column"]))
SMALL, LOSS = "NB201-CF10 78", "NB101-CF10 178"
SETS = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")


def cell(table: str, row: str, column: str, value: float, half: float = 1.0, metric: str = "kendall", **more: Any) -> Cell:
    """A row whose interval reaches `half` to both sides (0: none)."""
    ends = {"ci_low": value - half, "ci_high": value + half} if half else {}
    return {"table": table, "row": row, "column": column, "metric": metric, "value": value, **ends, **more}


def table_1(ours: dict[str, float], rivals: dict[str, float], row: str = "ParZC", rival: str = "NWOT") -> list[Cell]:
    return [cell("table01", row, column, tau) for column, tau in ours.items()] + [
        cell("table01", rival, column, tau) for column, tau in rivals.items()
    ]


def stand_ins(ours: float) -> list[Cell]:
    columns = ("NB301 surrogate", *(f"{space} on Fashion-MNIST" for space in ("DARTS", "ENAS", "NASNet")))
    return [cell("nds_nb301", row, column, tau) for column in columns for row, tau in (("ParZC", ours), ("NWOT", 50.0))]


def proxies_and_sizes(proxies: dict[str, float]) -> list[Cell]:
    found = {"ParZC": 80.0, "Params": 50.0, "FLOPs": 48.0, **proxies}
    return [cell("table01", row, "NB201-CF10", tau) for row, tau in found.items()]


def eznas(nb201: float, nb101: float) -> list[Cell]:
    columns = {"NB101-CF10": nb101} | dict.fromkeys(SPACES, nb201)
    others = table_1(dict.fromkeys(columns, 90.0), dict.fromkeys(columns, 60.0))
    return [*others, *(cell("table01", "EZNAS", column, tau) for column, tau in columns.items())]


def table_2(ours: list[float], **more: Any) -> list[Cell]:
    """ParZC in every column of Table 2, beside 60 of NP, and of PINAT, and 99 of a rival that is printed elsewhere only."""
    made = []
    for column, tau in zip(SIZES, ours, strict=True):
        made.append(cell("table02", "ParZC", column, tau, **more))
        made += [cell("table02", rival, column, 60.0) for rival in ("NP", "PINAT")]
        if column.startswith("NB201"):  # GATES is printed for NAS-Bench-101 alone
            made.append(cell("table02", "GATES", column, 99.0))
    return made


def searches(ours: list[float], std: float = 0.1) -> list[Cell]:
    made = []
    for name, accuracy in zip(SETS, ours, strict=True):
        found = {"Random Sample": (90.0, 0.5), "REA": (92.0, 0.3), "ParZC": (accuracy, std)}
        made += [
            cell("table09", row, f"{name} test", value, 0.2, "accuracy", std=spread, n=5)
            for row, (value, spread) in found.items()
        ]
    return made


def shares(ours: list[float]) -> list[Cell]:
    """Table 3 where random search finds 90.0 and the optimum is just above the printed accuracy."""
    made = []
    for name, share in zip(SETS, ours, strict=True):
        printed = paper.printed("table03").query("row == 'ParZC' and column == @name")["value"].iloc[0]
        best, random = printed + 0.01, printed - 5
        for row, value in (("RS (w/o sharing)", random), ("Optimal", best), ("ParZC", random + share * (best - random))):
            made.append(cell("table03", row, name, value, 0.05, "test_accuracy"))
    return made


def costs(whole: float, rest: float) -> list[Cell]:
    return [
        cell("table03", "ParZC", "Cost", whole, 0, "gpu_seconds", unit="s"),
        cell("table09", "ParZC", "Search", rest, 0, "seconds", unit="s"),
    ]


def nodes_and_sums(alone: float, beside: float) -> list[Cell]:
    """Leads of nodes over sums, without the graph and beside it, with intervals of half a point to both sides."""
    made = []
    for lead, nodes, sums in ((alone, "Every node", "Seven sums"), (beside, "Graph and every node", "Graph and seven sums")):
        for column in ("NB201-CF10", "NB101-CF10"):
            made += [cell("worth", sums, column, 70.0), cell("worth", nodes, column, 70.0 + lead)]
            made.append(cell("worth", f"{nodes} - {sums}", column, lead, 0.5, "kendall_difference"))
    return made


def training(seconds: float) -> list[Cell]:
    parts = {"training": seconds, "collecting": 3600.0}
    return [cell("table09", "ParZC", f"Search: {part}", spent, 0, "seconds", unit="s") for part, spent in parts.items()]


def transformers(ours: list[float]) -> list[Cell]:
    columns = [f"AutoFormer, {name}" for name in ("a", "b")[: len(ours)]]
    rivals = [cell("table05", row, column, tau) for column in columns for row, tau in (("TF-TAS", 20.0), ("Params", 99.0))]
    return rivals + [cell("table05", "ParZC, 80/20", column, tau) for column, tau in zip(columns, ours, strict=True)]


def cnn_proxies(snip: float, on_pit: float = 10.0) -> list[Cell]:
    """Three proxies on two ground truths of Transformers, 10 where nothing else is said; 50 of each on NAS-Bench-201."""
    made = [cell("table01", name, "NB201-CF10", 50.0) for name in ("SNIP", "Synflow", "NWOT")]
    for column, first in (("AutoFormer, ImageNet supernet", snip), ("PiT, Flowers distilled", on_pit)):
        made += [cell("table05", name, column, tau) for name, tau in (("SNIP", first), ("Synflow", 10.0), ("NWOT", 10.0))]
    return made


def table_6(differences: dict[str, tuple[float, float]] | None = None, **taus: float) -> list[Cell]:
    """Tau of combinations ("NP_Mixer": "_" stands for "+"), and paired differences {"a - b": (value, half)}."""
    rows = [cell("table06", row.replace("_", "+"), SMALL, tau) for row, tau in taus.items()]
    return rows + [
        cell("table06", row, SMALL, value, half, "kendall_difference", origin="ours")
        for row, (value, half) in (differences or {}).items()
    ]


def all_parts(full: float) -> list[Cell]:
    rows = [row for row in dict.fromkeys(paper.printed("table06")["row"]) if row != "NP+Mixer+BN"]
    return [cell("table06", row, SMALL, 60.0) for row in rows] + [cell("table06", "NP+Mixer+BN", SMALL, full)]


def losses(**others: float) -> list[Cell]:
    rows = dict.fromkeys(dict.fromkeys(paper.printed("table07")["row"]), 60.0)
    taus = {**rows, "DiffKendall": 70.0, **{row.replace("_", "+"): tau for row, tau in others.items()}}
    return [cell("table07", row, LOSS, tau) for row, tau in taus.items()]


def raw(tau: float | None, fell: float = 0.0, **others: float) -> list[Cell]:
    """ParZC on raw values (None: no finite tau, and the loss fell in so many runs), and on other values that are not scaled."""
    names = {"log": "ParZC (log values)", "without_synflow": "ParZC without Synflow (raw values)"}
    made = [*table_6(NP_Mixer_BN=69), *(cell("table06", names[name], SMALL, one) for name, one in others.items())]
    if tau is not None:
        return [*made, cell("table06", "ParZC (raw values)", SMALL, tau)]
    lost = cell("table06", "ParZC (raw values)", SMALL, 0, 0) | {"value": None, "note": "ended in NaN", "origin": "ours"}
    return [*made, lost, cell("table06", "ParZC (raw values)", SMALL, fell, 0, "runs whose loss fell", origin="ours")]


def figure_5(column: str, metric: str, *values: float) -> list[Cell]:
    names = ("Fisher", "SNIP", "Plain")
    return [cell("fig05_importance", row, column, one, 0, metric) for row, one in zip(names, values, strict=False)]


def depth_trends(encoded: float, own: float) -> list[Cell]:
    """In the paper's encoding, and with a place for each layer; intervals of two points either way."""
    return [
        cell("fig02_importance", row, column, value, 2, "depth_trend", origin="ours")
        for row, value in (("GBDT", encoded), ("GBDT (own slots)", own))
        for column in ("NB201-CF10", "NB101-CF10")
    ]


def spread(misplaced: float, rho: float, varied: float) -> list[Cell]:
    figure, column = "fig07_bayesian_weights", "variation over initialisations"
    return [
        cell(figure, "predicted spread", "rank error", misplaced, 0, "spearman"),
        *(cell(figure, f"{part} layer", "no weight decay", rho, 0, "rho", unit="1") for part in ("first", "last")),
        cell("stability", "MABN's spread, weight decay 0.001", column, varied, metric="spearman", origin="ours"),
        cell("stability", "MABN's mean, weight decay 0.001", column, 5.0, metric="spearman", origin="ours"),
    ]


def best_found(*shares: float) -> list[Cell]:
    made = []
    for name, share in zip(("A", "B"), shares, strict=False):
        made.append(cell("fig08_rank_correlation", "ParZC", f"{name} best 1% in predicted best 10%", share, metric="recall"))
        made.append(cell("fig08_rank_correlation", "ParZC", f"{name} top 10%", 30.0))
    return made


def variants(*widths: float) -> list[Cell]:
    made = []
    for name, width in zip(("SNIP", "Plain"), widths, strict=False):
        made += [cell("stability", name, f"foolbox-batch{i}-init0", 40.0 + i * width, 0, origin="ours") for i in (0, 1)]
        made.append(cell("stability", name, "noise-batch0-init0", 90.0, 0, origin="ours"))  # noise images do not count
    return made


def lines(plain: float, grasp: float, plain_at_ten: float | None = None) -> list[Cell]:
    made = []
    for near, first in (("nearest 2 %", plain), ("nearest 10 %", plain if plain_at_ten is None else plain_at_ten)):
        found = {"Plain": first, "GraSP": grasp, "SNIP": 65.0, "Synflow": 60.0}
        made += [cell("fig06b_tsne", row, near, value, 0, "first_axis_share") for row, value in found.items()]
    return made


def mixed_precision(*ours: float, emq: float | None = 80.0) -> list[Cell]:
    made = []
    for column, rho in zip(("F-MNIST W+A rho@100%", "F-MNIST W rho@100%"), ours, strict=True):
        made += [cell("table11", row, column, one, metric="spearman") for row, one in (("ParZC", rho), ("QE", 60.0))]
        made.append(
            cell("table11", "EMQ", column, emq, metric="spearman")
            if emq is not None
            else {"table": "table11", "row": "EMQ", "column": column, "metric": "spearman", "value": None}
            | {"origin": "unavailable", "note": "no formula"}
        )
    return made


LOW, HIGH, EQUAL = [50.0] * 10, [90.0] * 10, [60.5] * 10
CASES: list[Case] = [
    ("proxies", table_1({"NB201-CF10": 80}, {"NB201-CF10": 60}), HOLDS),
    ("proxies", table_1({"NB201-CF10": 80, "NB101-CF10": 50}, {"NB201-CF10": 60, "NB101-CF10": 60}), IN_PART),
    ("proxies", table_1({"NB201-CF10": 50}, {"NB201-CF10": 60}), FAILS),
    ("proxies", table_1({"NB201-CF10": 62}, {"NB201-CF10": 60}), NOT_TESTABLE),  # the intervals touch
    ("proxies", table_1({"NB201-CF10": 62.1}, {"NB201-CF10": 60}), HOLDS),
    ("proxies", table_1({"NB201-CF10": 80}, {"NB201-CF10": 90}, rival="LogSynflow"), NOT_TESTABLE),  # not of Table 1
    ("proxies_nds", stand_ins(70), HOLDS),
    ("proxies_nds", stand_ins(30), FAILS),
    ("size", proxies_and_sizes({"SNIP": 40, "Synflow": 60, "Plain": 50.5}), HOLDS),
    ("size", proxies_and_sizes({"SNIP": 40, "Synflow": 60}), FAILS),  # half of them is not most
    ("eznas", eznas(70, 40), HOLDS),
    ("eznas", eznas(70, 70), IN_PART),
    ("eznas", eznas(40, 70), FAILS),
    ("predictors", table_2(HIGH), HOLDS),
    ("predictors", table_2([*HIGH[:9], 50.0]), IN_PART),
    ("predictors", table_2(LOW), FAILS),
    ("predictors", table_2(EQUAL), NOT_TESTABLE),
    ("ten_points", table_2([67.0] * 10), HOLDS),  # the smallest lead that both intervals allow is five
    ("ten_points", table_2([66.9] * 10), NOT_TESTABLE),
    ("ten_points", table_2([62.9] * 10), FAILS),
    ("half_the_labels", table_2(HIGH), HOLDS),
    ("half_the_labels", table_2(LOW), FAILS),
    ("half_the_labels", table_2(EQUAL), NOT_TESTABLE),
    ("search", shares([0.95, 0.95, 0.95]), HOLDS),
    ("search", shares([0.95, 0.5, 0.5]), IN_PART),
    ("search", shares([0.5, 0.5, 0.5]), FAILS),
    ("search_rivals", searches([93.0, 93.0, 93.0]), HOLDS),
    ("search_rivals", searches([91.0, 91.0, 91.0]), FAILS),
    ("search_rivals", searches([92.1, 92.1, 92.1]), NOT_TESTABLE),
    ("search_spread", searches([92.0] * 3, std=0.1), HOLDS),
    ("search_spread", searches([92.0] * 3, std=0.4), FAILS),
    ("seconds", costs(60, 50), HOLDS),
    ("seconds", costs(12_000, 60), IN_PART),
    ("seconds", costs(12_000, 4_000), FAILS),
    ("hours", training(720), HOLDS),
    ("hours", training(721), FAILS),
    ("vit", transformers([40.0, 40.0]), HOLDS),
    ("vit", transformers([40.0, 10.0]), IN_PART),
    ("vit", transformers([10.0, 20.0]), FAILS),
    ("cnn_proxies", cnn_proxies(10), HOLDS),
    ("cnn_proxies", cnn_proxies(50), IN_PART),
    ("cnn_proxies", cnn_proxies(10, on_pit=85), IN_PART),
    ("top1", [cell("table04", "ParZC", "Param (M)", 6.2, 0.1, "params", unit="M")], NOT_TESTABLE),
    ("top1", [cell("table04", "ParZC", "Top-1 (%)", 75.1, 0, "accuracy")], HOLDS),
    ("top1", [cell("table04", "ParZC", "Top-1 (%)", 74.9, 0, "accuracy")], FAILS),
    ("mixer", table_6(Mixer=65, MLP=60), HOLDS),
    ("mixer", table_6(Mixer=60, MLP=60), FAILS),  # the interval, two to each side, leaves out the printed 7.65
    ("mixer", table_6({"Mixer - MLP": (4, 5)}, Mixer=60, MLP=60), NOT_TESTABLE),  # it holds both none and the printed one
    ("mixer", table_6({"Mixer - MLP": (0.5, 0.1)}, Mixer=60, MLP=60), FAILS),  # above, by less than a tenth of the printed
    ("mixer", table_6({"Mixer - MLP": (1.0, 0.5)}, Mixer=60, MLP=60), HOLDS),  # paired, though both intervals overlap
    ("bayes", table_6(**{"Mixer_BN": 66, "Mixer": 60, "NP_Mixer_BN": 72, "NP_Mixer": 66}), HOLDS),
    ("bayes", table_6(**{"Mixer_BN": 66, "Mixer": 60, "NP_Mixer_BN": 66, "NP_Mixer": 66}), IN_PART),
    ("bayes", table_6(**{"Mixer_BN": 60, "Mixer": 60, "NP_Mixer_BN": 66, "NP_Mixer": 66}), FAILS),
    ("np", table_6({"NP+Mixer+BN - Mixer+BN": (1.5, 1)}, NP_Mixer_BN=68, Mixer_BN=67), HOLDS),
    ("np", table_6({"NP+Mixer+BN - Mixer+BN": (4, 1)}, NP_Mixer_BN=68, Mixer_BN=64), HOLDS),  # within the two points
    ("np", table_6({"NP+Mixer+BN - Mixer+BN": (6.7, 2)}, NP_Mixer_BN=68, Mixer_BN=62), IN_PART),
    ("np", table_6({"NP+Mixer+BN - Mixer+BN": (0.5, 1)}, NP_Mixer_BN=68, Mixer_BN=67), FAILS),
    ("all_parts", all_parts(70), HOLDS),
    ("all_parts", all_parts(50), FAILS),
    ("all_parts", all_parts(61), NOT_TESTABLE),
    ("encoding", raw(2.5), HOLDS),
    ("encoding", raw(40), IN_PART),
    ("encoding", raw(68), FAILS),
    ("encoding", raw(None), HOLDS),
    ("encoding", raw(None, fell=60), NOT_TESTABLE),  # some of the runs did learn
    ("encoding", raw(None, log=68, without_synflow=69), IN_PART),
    ("encoding", raw(68, log=68), FAILS),
    ("encoding", table_6(NP_Mixer_BN=69), NOT_TESTABLE),
    ("loss", losses(), HOLDS),
    ("loss", losses(Rank=71), IN_PART),
    ("loss", losses(DiffKendall=50), FAILS),
    ("mixed_losses", losses(Rank=99), HOLDS),
    ("mixed_losses", losses(Rank_DiffKendall=71), IN_PART),
    ("nodes", figure_5("nodes with half of it", "nodes", 1, 9), HOLDS),
    ("nodes", figure_5("nodes with half of it", "nodes", 1, 10), IN_PART),  # 98 nodes
    ("nodes", figure_5("nodes with half of it", "nodes", 40, 30), FAILS),
    ("sums", nodes_and_sums(9, 1), HOLDS),
    ("sums", nodes_and_sums(9, 0.3), IN_PART),
    ("sums", nodes_and_sums(9, -2), IN_PART),
    ("sums", nodes_and_sums(-2, -2), FAILS),
    ("sums", nodes_and_sums(0.1, 0.3), NOT_TESTABLE),
    ("deeper", depth_trends(50, 20), HOLDS),
    ("deeper", depth_trends(50, -50), IN_PART),
    ("deeper", depth_trends(-50, 1), FAILS),
    ("deeper", depth_trends(-1, 1), NOT_TESTABLE),
    ("spread", spread(25, -4.0, 40), HOLDS),
    ("spread", spread(25, -5.05, 5), IN_PART),
    ("spread", spread(10, -5.05, 5), FAILS),
    ("top", best_found(90, 60), HOLDS),
    ("top", best_found(90, 10), IN_PART),
    ("top", best_found(10, 50), FAILS),
    ("unstable", variants(5, 10), HOLDS),
    ("unstable", variants(1, 10), IN_PART),
    ("unstable", variants(1, 4), FAILS),  # 4 is the gap itself
    ("tsne", lines(80, 70), HOLDS),
    ("tsne", lines(80, 70, plain_at_ten=50), IN_PART),
    ("tsne", lines(50, 70), FAILS),
    ("tsne", lines(80, 62), FAILS),  # Plain first, GraSP third
    ("mq", mixed_precision(80, 80), HOLDS),
    ("mq", mixed_precision(80, 70), IN_PART),
    ("mq", mixed_precision(70, 70), FAILS),
    ("mq", mixed_precision(70, 70, emq=None), NOT_TESTABLE),
]
