"""The rules of the claims on the parts of ParZC (Tables 6, 7 and 11) and on the figures, one a claim, under its id.

    outcome = RULES["mixer"](Evidence("full"))   # verdict, a sentence with the numbers, and its comparisons

The words of each rule stand in `paper.claims`; what is computed here follows them.
"""

import itertools
import statistics

from parzc_core import paper
from parzc_core.paper.findings import down, value
from parzc_core.report.claim_outcomes import (
    FAILS,
    HOLDS,
    IN_PART,
    NOT_TESTABLE,
    OURS,
    Outcome,
    above,
    counted,
    for_and_against,
    left_open,
    listed,
    printed_rivals,
    rule,
    told,
    weighed,
)
from parzc_core.report.evidence import NO, OPEN, YES, Answer, Bar, Evidence, Lacking, Value, between, number
from parzc_core.report.verdicts import MARGIN
from parzc_core.spaces import nb201_cells

SMALL, FULL_MODEL = "NB201-CF10 78", "NP+Mixer+BN"
NB101_LOSS = "NB101-CF10 178"
UNSCALED = {  # rows of ParZC on values that are not min-max scaled -> what these are
    "ParZC (raw values)": "raw values",
    "ParZC (log values)": "logarithms",
    "ParZC without Synflow (raw values)": "raw values without Synflow",
}
START = -5.0  # of rho, before training
GAINS, LEADS = ("gain, points", "printed"), ("lead of DiffKendall, points", "")


def _gain(evidence: Evidence, one: str, other: str, what: str) -> Answer:
    """Whether a part of Table 6 brings the gain that is printed."""
    printed = value("table06", one, SMALL, "kendall") - value("table06", other, SMALL, "kendall")
    difference = evidence.difference("table06", one, other, SMALL)
    text = f"{what} {difference.told()} points, where {number(printed, 2, '+')} is printed"
    bar = Bar(f"{one} over {other}", difference.span, (printed,) * 3)
    return Answer(difference.gain(printed), text, difference.value, bar)


def _both(evidence: Evidence, one: str, other: str) -> str:
    return (
        f"{one} {evidence.cell('table06', one, SMALL).told()}, {other} {evidence.cell('table06', other, SMALL).told()}"
    )


@rule("mixer")
def _mixer(evidence: Evidence) -> Outcome:
    answer = _gain(evidence, "Mixer", "MLP", "the mixer brings")
    verdict = weighed([answer])
    sentence = f"{_both(evidence, 'Mixer', 'MLP')}: {answer.text}{left_open(verdict)}."
    return Outcome(verdict, sentence, (answer,), GAINS)


@rule("bayes")
def _bayes(evidence: Evidence) -> Outcome:
    answers = [
        _gain(evidence, "Mixer+BN", "Mixer", "in the mixer"),
        _gain(evidence, FULL_MODEL, "NP+Mixer", "beside NP"),
    ]
    return told(answers, "comparisons", legend=GAINS)


@rule("np")
def _np(evidence: Evidence) -> Outcome:
    printed = value("table06", FULL_MODEL, SMALL, "kendall") - value("table06", "Mixer+BN", SMALL, "kendall")
    gain = evidence.difference("table06", FULL_MODEL, "Mixer+BN", SMALL)
    as_printed = gain.low - MARGIN <= printed <= gain.high + MARGIN
    verdict = FAILS if gain.answer != YES else HOLDS if as_printed else IN_PART
    bar = Bar(f"{FULL_MODEL} over Mixer+BN", gain.span, (printed,) * 3)
    answer = Answer(gain.answer, f"NP adds {gain.told()} points to MABN", gain.value, bar)
    return Outcome(verdict, f"{answer.text}, where {number(printed, 2, '+')} is printed.", (answer,), GAINS)


@rule("all_parts")
def _all_parts(evidence: Evidence) -> Outcome:
    answers = [_over(evidence, "table06", FULL_MODEL, other, SMALL) for other in printed_rivals("table06", FULL_MODEL)]
    return told(answers, "comparisons", legend=("lead of all parts, points", ""))


def _over(evidence: Evidence, table: str, one: str, other: str, column: str) -> Answer:
    """Whether one row is above another on the same splits."""
    difference = evidence.difference(table, one, other, column)
    return Answer(
        difference.answer, f"{difference.told()} over {other}", difference.value, Bar(f"over {other}", difference.span)
    )


def _unscaled(evidence: Evidence, row: str, what: str, scaled: Value) -> Answer | None:
    """Whether ParZC learns no ranking from such values; None where that was not run."""
    fell = evidence.find("table06", row, SMALL, "runs whose loss fell")
    found = evidence.find("table06", row, SMALL)
    if found is not None:
        learned_none = found.ends[0] <= MARGIN
        return Answer(
            YES if learned_none else NO, f"{what} {found.told()}", -found.value, Bar(what, found.span, scaled.span)
        )
    if not evidence.came_to_nothing("table06", row, SMALL):
        return None
    share = "" if fell is None else f" (the loss fell in {number(fell.value, 0)} % of the runs)"
    return Answer(OPEN if fell is not None and fell.value >= 50 else YES, f"{what} no finite tau{share}", 0.0)


@rule("encoding")
def _encoding(evidence: Evidence) -> Outcome:
    scaled = evidence.find("table06", OURS, SMALL) or evidence.cell("table06", FULL_MODEL, SMALL)
    every = [_unscaled(evidence, row, what, scaled) for row, what in UNSCALED.items()]
    answers = [answer for answer in every if answer is not None]
    if every[0] is None:
        raise Lacking(f"results/{evidence.profile}/table06/rows.csv has no row {next(iter(UNSCALED))!r} in {SMALL!r}")
    verdict, raw = weighed(answers), evidence.find("table06", next(iter(UNSCALED)), SMALL)
    if verdict == FAILS and raw is not None and between(scaled, raw).answer == YES:
        verdict = IN_PART
    sentence = f"{counted(answers, 'kinds of values')}: {listed(answers)}; on scaled values {scaled.told()}."
    return Outcome(verdict, sentence, tuple(answers), ("ParZC", "on scaled values"))


@rule("loss")
def _loss(evidence: Evidence) -> Outcome:
    answers = [
        _over(evidence, "table07", "DiffKendall", other, NB101_LOSS)
        for other in printed_rivals("table07", "DiffKendall")
    ]
    return told(answers, "comparisons", most=6, legend=LEADS)


@rule("mixed_losses")
def _mixed_losses(evidence: Evidence) -> Outcome:
    mixtures = ("MSE+DiffKendall", "Rank+DiffKendall", "MSE+Rank+DiffKendall")
    answers = [_over(evidence, "table07", "DiffKendall", other, NB101_LOSS) for other in mixtures]
    return told(answers, "comparisons", legend=LEADS)


def _figure_5(evidence: Evidence, column: str, metric: str) -> list[Value]:
    """A column of Figure 5's rows, a value a proxy."""
    every = (evidence.find("fig05_importance", name, column, metric) for name in paper.PROXY_LABELS.values())
    found = [one for one in every if one is not None]
    if not found:
        raise Lacking(f"results/{evidence.profile}/fig05_importance/rows.csv has no value in {column!r}")
    return found


@rule("nodes")
def _nodes(evidence: Evidence) -> Outcome:
    most = len(nb201_cells.SLOTS) / 10
    answers = [
        Answer(
            YES if one.value <= most else NO,
            f"{one.row} {one.value:.0f}",
            -one.value,
            Bar(one.row, one.span, (most,) * 3),
        )
        for one in _figure_5(evidence, "nodes with half of it", "nodes")
    ]
    said = f"nodes that hold half of the importance, of {len(nb201_cells.SLOTS)}: {listed(answers, most=6)}"
    return Outcome(
        weighed(answers), f"{counted(answers, 'proxies')}: {said}.", tuple(answers), ("nodes", "a tenth of all")
    )


@rule("deeper")
def _deeper(evidence: Evidence) -> Outcome:
    answers = []
    for row, how in (("GBDT", "in the paper's encoding"), ("GBDT (own slots)", "with a place for each layer")):
        for column in ("NB201-CF10", "NB101-CF10"):
            one = evidence.cell("fig02_importance", row, column, "depth_trend")
            low, high = one.ends
            name = YES if low > 0 else NO if high < 0 else OPEN
            answers.append(Answer(name, f"{column} {how} {one.told()}", one.value, Bar(f"{column}, {row}", one.span, (0.0,) * 3)))
    together = "correlation of depth and importance (%, mean of Figure 2's proxies): "
    said = f"{counted(answers, 'comparisons')}: {together}{listed(answers, most=4)}"
    why = "The paper's encoding starts with the deepest nodes, which every cell has, and ends with padding"
    brief = for_and_against(answers, "comparisons", together)
    return Outcome(weighed(answers), f"{said}. {why}.", tuple(answers), ("rank correlation with depth", "none"), brief)


@rule("sums")
def _sums(evidence: Evidence) -> Outcome:
    answers = []
    pairs = {"": ("Every node", "Seven sums"), " beside the graph": ("Graph and every node", "Graph and seven sums")}
    for where, (nodes, sums) in pairs.items():
        for column in ("NB201-CF10", "NB101-CF10"):
            lead = evidence.difference("worth", nodes, sums, column)
            bar = Bar(f"{column}{where}", lead.span)
            answers.append(Answer(lead.answer, f"{column}{where} {lead.told()} points", lead.value, bar))
    return told(answers, "comparisons", legend=("lead of nodes over sums, points", ""))


@rule("spread")
def _spread(evidence: Evidence) -> Outcome:
    figure = "fig07_bayesian_weights"
    misplaced = evidence.cell(figure, "predicted spread", "rank error", "spearman")
    ends = [evidence.cell(figure, f"{part} layer", "no weight decay", "rho") for part in ("first", "last")]
    moved = max(abs(one.value - START) for one in ends)
    spread, mean = (
        evidence.cell("stability", f"MABN's {what}, weight decay 0.001", "variation over initialisations", "spearman")
        for what in ("spread", "mean")
    )
    varied = spread.ends[0] > 0 and between(spread, mean).answer == YES
    answers = [
        Answer(YES if misplaced.value >= 20 else NO, f"spread and error of the rank correlate at {misplaced.told()} %"),
        Answer(
            YES if moved >= 0.1 else NO, f"without weight decay rho moves by {number(moved, 3)} from {number(START, 0)}"
        ),
        Answer(
            YES if varied else NO,
            f"the spread of a node's weights correlates with the variation of its statistics at {spread.told()} %, their mean at "
            f"{mean.told()} %",
        ),
    ]
    return told(answers, "questions")


@rule("top")
def _top(evidence: Evidence) -> Outcome:
    figure, found_among = "fig08_rank_correlation", " best 1% in predicted best 10%"
    columns = [column for column in evidence.columns(figure, OURS, "recall") if column.endswith(found_among)]
    if not columns:
        raise Lacking(f"results/{evidence.profile}/{figure}/rows.csv has no column that ends in {found_among!r}")
    answers = []
    for column in columns:
        name = column.removesuffix(found_among)
        found, tau = evidence.cell(figure, OURS, column, "recall"), evidence.cell(figure, OURS, f"{name} top 10%")
        low, high = found.ends
        said = YES if low > 50 else NO if high < 50 else OPEN
        text = f"{name} {found.told()} % of the best 1 % found (tau within the best tenth {tau.told()})"
        answers.append(Answer(said, text, found.value, Bar(name, found.span, (50.0,) * 3)))
    return told(answers, "data sets", legend=("% of the best that are found", "half of them"))


@rule("unstable")
def _unstable(evidence: Evidence) -> Outcome:
    printed = sorted(tau for row, tau in down("table01", "NB201-CF10", "kendall").items() if row != OURS)
    gap = statistics.median(b - a for a, b in itertools.pairwise(printed))
    answers = []
    for name in paper.PROXY_LABELS.values():
        columns = [column for column in evidence.columns("stability", name) if column.startswith("foolbox")]
        taus = [evidence.cell("stability", name, column).value for column in columns]
        if len(taus) > 1:
            width = max(taus) - min(taus)
            bar = Bar(name, (width,) * 3, (gap,) * 3)
            answers.append(Answer(YES if width > gap else NO, f"{name} {number(width)}", width, bar))
    if not answers:
        raise Lacking(f"results/{evidence.profile}/stability/rows.csv has no proxy in several collections")
    said = f"range of tau over initialisations and batches: {listed(answers, most=8)}"
    sentence = f"{counted(answers, 'proxies')}; {said}; neighbouring proxies of Table 1 are {number(gap)} apart (median)."
    return Outcome(weighed(answers), sentence, tuple(answers), ("range of tau, points", "gap of neighbours"))


@rule("tsne")
def _tsne(evidence: Evidence) -> Outcome:
    answers = []
    for figure, title in (("fig06a_tsne", "NAS-Bench-101"), ("fig06b_tsne", "NAS-Bench-201")):
        for near in ("nearest 2 %", "nearest 10 %"):
            proxies = paper.PROXY_LABELS.values()
            found = [
                one for name in proxies if (one := evidence.find(figure, name, near, "first_axis_share")) is not None
            ]
            places = {one.row: at for at, one in enumerate(sorted(found, key=lambda one: -one.value), start=1)}
            if {"Plain", "GraSP"} <= places.keys():
                plain, grasp = places["Plain"], places["GraSP"]
                text = f"{title}, {near}: Plain is number {plain} and GraSP number {grasp} of {len(places)}"
                answers.append(Answer(YES if plain + grasp == 3 else NO, text, -plain - grasp))
    if not answers:
        raise Lacking(f"results/{evidence.profile} has no rows of Figure 6")
    return told(answers, "comparisons")


@rule("mq")
def _mq(evidence: Evidence) -> Outcome:
    columns = ("F-MNIST W+A rho@100%", "F-MNIST W rho@100%")
    ours = [evidence.cell("table11", OURS, column, "spearman") for column in columns]
    rivals = [evidence.find("table11", "EMQ", column, "spearman") for column in columns]
    if None in rivals:
        others = printed_rivals("table11", "EMQ")
        best = [evidence.best("table11", others, column, "spearman") for column in columns]
        beside = [above(*pair, pair[0].column) for pair in zip(ours, best, strict=True)]
        sentence = f"EMQ could not be run; beside the best other method, {listed(beside)}."
        return Outcome(NOT_TESTABLE, sentence, tuple(beside), ("ParZC", "the best other"))
    answers = []
    for one, emq in zip(ours, rivals, strict=True):
        assert emq is not None
        lead = between(one, emq)
        name = YES if lead.low >= -MARGIN else NO if lead.high < -MARGIN else OPEN
        text = f"{one.column} {one.told()} against {emq.told()} of EMQ"
        answers.append(Answer(name, text, lead.value, Bar(one.column, one.span, emq.span)))
    return told(answers, "ground truths", legend=("ParZC", "EMQ"))
