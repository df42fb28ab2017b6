"""What this project adds to the paper, in a few sentences with numbers from the committed rows.

    print("\\n".join(added(notebooks="notebooks/")))      # a Markdown list item each, with a link to the notebook
"""

from collections.abc import Callable

from parzc_core.report.evidence import Evidence, Lacking, Value, number

PLUS, ORDERED = "ParZC+", "ParZC+ (ordered start)"
NB201 = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")
ORDERS = (  # rows of `label_free` that several proxies make; the first is the label-free order
    "Label-free order",
    "Votes that agree",
    "Taught by other spaces",
    "Votes that any network has",
    "Layers, NWOT, Jacov, Synflow added",
    "Weights and Jacov, chosen in hindsight",
)
BESIDE = ("ParZC+, from scratch", "ParZC+ and the order")  # two more, with few labels


def added(notebooks: str = "") -> list[str]:
    """A list item a result that is there; none where its rows are not. notebooks: the folder that the links go to."""
    items = []
    for notebook, told in TOLD.items():
        try:
            items.append(f"- {told(Evidence())} [notebook]({notebooks}{notebook}.ipynb)")
        except Lacking:
            continue
    return items


def _ranking(evidence: Evidence) -> str:
    places = {"NB201 S'_78": "78 cells of NAS-Bench-201", "NB101 S_100": "100 of NAS-Bench-101"}
    said = []
    for column, where in places.items():
        ours, other = evidence.cell("table02", PLUS, column), _best_other(evidence, "table02", column)
        said.append(f"{number(ours.value)} from {where} ({other.row}: {number(other.value)})")
    return f"**ParZC+, our ranker, needs few labels**: a tau of {' and '.join(said)}; in brackets the best other of Table 2."


def _searching(evidence: Evidence) -> str:
    found = {
        at: [evidence.cell("search_trainings", ORDERED, f"{name}, {at} trainings", "optimum_found") for name in NB201]
        for at in (60, 100)
    }
    others = [_best_other(evidence, "search_trainings", f"{name}, 100 trainings", "optimum_found") for name in NB201]
    early, late, best = (" / ".join(number(one.value, 0) for one in each) for each in (found[60], found[100], others))
    return (
        f"**It searches, too**: on NAS-Bench-201's three data sets {early} % of its searches find the best cell in 60 trainings, "
        f"{late} % in 100 (best other method: {best} %)."
    )


def _without_labels(evidence: Evidence) -> str:
    said = []
    for column, where in (("NB101-CF10", "NAS-Bench-101"), ("NB201-CF10", "NAS-Bench-201")):
        ours = evidence.cell("label_free", ORDERS[0], column)
        best = evidence.best("label_free", [row for row in evidence.names("label_free", column) if row not in ORDERS], column)
        said.append(f"{number(ours.value)} on {where} ({best.row}: {number(best.value)})")
    plain, both = (number(evidence.cell("label_free", row, f"{column}, 20 labels").value) for row in BESIDE)
    return (
        f"**It orders networks that nobody has trained**, by what it learned on other spaces: a tau of {' and '.join(said)}; in "
        f"brackets the best single proxy in hindsight. With 20 labels of NAS-Bench-201 it lifts ParZC+ from {plain} to "
        f"{both}."
    )


# notebook -> what is told of its rows
TOLD: dict[str, Callable[[Evidence], str]] = {
    "table02_rankers": _ranking,
    "search_trainings": _searching,
    "label_free": _without_labels,
}


def _best_other(evidence: Evidence, table: str, column: str, metric: str = "kendall") -> Value:
    """The highest value of a column among rows that are not ParZC+'s."""
    others = [row for row in evidence.names(table, column, metric) if not row.startswith(PLUS)]
    return evidence.best(table, others, column, metric)
