"""The rules of `paper.claims` as functions of the result rows: one a claim, under its id.

outcome = RULES["mixer"](Evidence("full"))   # verdict, and a sentence with the numbers
"""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from parzc_core import paper
from parzc_core.errors import BadInput
from parzc_core.paper.findings import down, value
from parzc_core.report.comparison import compare
from parzc_core.report.evidence import NO, OPEN, YES, Answer, Evidence, Lacking, Value, between, number
from parzc_core.report.verdicts import MARGIN, Scale

HOLDS, IN_PART, FAILS, NOT_TESTABLE = VERDICTS = ("holds", "holds in part", "fails", "not testable here")
OURS = "ParZC"
PRUNING = ("Fisher", "GradNorm", "GraSP", "L2Norm", "Plain", "SNIP", "Synflow", "Jacov")
SIZES = ("Params", "FLOPs")
STAND_INS = ("NB301 surrogate", "DARTS on Fashion-MNIST", "ENAS on Fashion-MNIST", "NASNet on Fashion-MNIST")  # for NDS
READINGS = ("ParZC", "ParZC (PINAT)")  # of ParZC in Table 2: statistics and NP, or statistics and PINAT's embedding
SETS = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")
SMALL, FULL_MODEL = "NB201-CF10 78", "NP+Mixer+BN"
NB101_LOSS = "NB101-CF10 178"
START = -5.0  # of rho, before training


class Outcome(NamedTuple):
    """What a rule says: one of VERDICTS, and the sentence with its numbers."""

    verdict: str
    sentence: str


Rule = Callable[[Evidence], Outcome]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Registers the function that decides the claim of that id."""

    def register(function: Rule) -> Rule:
        if name in RULES:
            raise BadInput(f"two rules for the claim {name!r}; give each claim one")
        RULES[name] = function
        return function

    return register


def weighed(answers: Sequence[Answer]) -> str:
    """The verdict of several comparisons: all yes, some yes, none and one no, or all open. Raises BadInput without one."""
    if not answers:
        raise BadInput("got no comparison; expected at least one")
    names = [answer.name for answer in answers]
    if set(names) == {YES}:
        return HOLDS
    return IN_PART if YES in names else FAILS if NO in names else NOT_TESTABLE


def listed(answers: Sequence[Answer], most: int = 4) -> str:
    """The numbers of the comparisons; of more than `most` those with the smallest and the largest lead alone."""
    if len(answers) > most:
        ordered = sorted(answers, key=lambda answer: answer.lead)
        return f"smallest lead {ordered[0].text}; largest {ordered[-1].text}"
    return "; ".join(answer.text for answer in answers)


def counted(answers: Sequence[Answer], what: str) -> str:
    """ "True in 3 of 4 columns, undecided in 1". what: "columns"."""
    names = [answer.name for answer in answers]
    rest = [f"{word} in {names.count(name)}" for name, word in ((NO, "false"), (OPEN, "undecided")) if name in names]
    return ", ".join([f"True in {names.count(YES)} of {len(names)} {what}", *rest])


def told(answers: Sequence[Answer], what: str, most: int = 4) -> Outcome:
    """The outcome of several comparisons, with how many say yes in front."""
    verdict = weighed(answers)
    return Outcome(verdict, f"{counted(answers, what)}: {listed(answers, most)}{_open(verdict)}.")


def _open(verdict: str) -> str:
    """What is added to the numbers of comparisons that are all open."""
    return "; the intervals leave it open" if verdict == NOT_TESTABLE else ""


def above(one: Value, other: Value, where: str, digits: int = 1) -> Answer:
    """Whether one value is above another, with both in words: "NB101-CF10 78.7 [77.4, 79.7] against 62.0 of Zen"."""
    difference = between(one, other)
    text = f"{where} {one.told(digits)} against {other.told(digits)} of {other.row}"
    return Answer(difference.answer, text, difference.value)


def printed_rivals(table: str, *without: str, column: str | None = None) -> list[str]:
    """The rows with a number that the paper prints in a table, or in one column, without ParZC and those that are named."""
    cells = paper.printed(table).dropna(subset="value")
    rows = cells["row"] if column is None else cells.loc[cells["column"] == column, "row"]
    return [row for row in dict.fromkeys(rows) if row not in (OURS, *without)]


def _published(evidence: Evidence) -> list[str]:
    """The printed columns of Table 1 in which ParZC was run here."""
    measured = evidence.columns("table01", OURS)
    columns = [column for column in dict.fromkeys(paper.printed("table01")["column"]) if column in measured]
    if not columns:
        raise Lacking(f"results/{evidence.profile}/table01/rows.csv has no value of {OURS!r} in a printed column")
    return columns


@rule("proxies")
def _proxies(evidence: Evidence) -> Outcome:
    proxies = printed_rivals("table01")
    columns = _published(evidence)
    pairs = [(evidence.cell("table01", OURS, column), evidence.best("table01", proxies, column)) for column in columns]
    return told([above(*pair, pair[0].column) for pair in pairs], "columns")


@rule("proxies_nds")
def _proxies_nds(evidence: Evidence) -> Outcome:
    proxies = printed_rivals("table01")
    pairs = [
        (evidence.cell("nds_nb301", OURS, column), evidence.best("nds_nb301", proxies, column)) for column in STAND_INS
    ]
    return told([above(*pair, pair[0].column) for pair in pairs], "stand-ins")


@rule("size")
def _size(evidence: Evidence) -> Outcome:
    answers = []
    for column in _published(evidence):
        size = evidence.best("table01", SIZES, column)
        proxies = [found for name in PRUNING if (found := evidence.find("table01", name, column)) is not None]
        beaten = [one.row for one in proxies if between(one, size).answer == YES]
        share = len(beaten) / len(proxies)
        better = ", ".join(beaten) or "none"
        text = f"{column} {better} of {len(proxies)} above {size.row} ({size.told()})"
        answers.append(Answer(YES if share < 0.5 else NO, text, 0.5 - share))
    return told(answers, "columns")


@rule("eznas")
def _eznas(evidence: Evidence) -> Outcome:
    others = printed_rivals("table01", "EZNAS")
    answers = []
    for column in _published(evidence):
        answer = above(evidence.cell("table01", "EZNAS", column), evidence.best("table01", others, column), column)
        if column.startswith("NB101"):  # there the paper says the opposite
            answer = answer._replace(name={YES: NO, NO: YES, OPEN: OPEN}[answer.name], lead=-answer.lead)
        answers.append(answer)
    return told(answers, "columns")


def _against_predictors(evidence: Evidence, columns: Sequence[str]) -> list[tuple[Value, Value]]:
    """In each column of Table 2 the better reading of ParZC, and the best of the rivals that are printed there."""
    return [
        (
            evidence.best("table02", READINGS, column),
            evidence.best("table02", printed_rivals("table02", column=column), column),
        )
        for column in columns
    ]


@rule("predictors")
def _predictors(evidence: Evidence) -> Outcome:
    columns = list(dict.fromkeys(paper.printed("table02")["column"]))
    pairs = _against_predictors(evidence, columns)
    return told([above(*pair, f"{pair[0].column}:") for pair in pairs], "training sets")


@rule("ten_points")
def _ten_points(evidence: Evidence) -> Outcome:
    half, answers = 5.0, []
    columns = [column for column in dict.fromkeys(paper.printed("table02")["column"]) if column.startswith("NB201")]
    for ours, rival in _against_predictors(evidence, columns):
        lead = between(ours, rival)
        name = YES if lead.low >= half else NO if lead.high < half else OPEN
        answers.append(Answer(name, f"{ours.column} {lead.told()} before {rival.row}", lead.value))
    return told(answers, "training sets", most=5)


@rule("half_the_labels")
def _half_the_labels(evidence: Evidence) -> Outcome:
    answer = above(
        evidence.best("table02", READINGS, "NB201 S'_78"), evidence.cell("table02", "PINAT", "NB201 S'_156"), "ParZC"
    )
    verdict = weighed([answer])
    return Outcome(verdict, f"{answer.text} with 156 cells{_open(verdict)}.")


@rule("search")
def _search(evidence: Evidence) -> Outcome:
    compared = compare("table03", evidence.profile, evidence.folder).to_dict("records")
    lines = {line["column"]: line for line in compared if line["row"] == OURS}
    answers = []
    for name in SETS:
        ours = evidence.cell("table03", OURS, name, "test_accuracy")
        random, optimum = (
            evidence.cell("table03", row, name, "test_accuracy") for row in ("RS (w/o sharing)", "Optimal")
        )
        scale, line = Scale(random.value, optimum.value), lines[name]
        said = {"matches": YES, "higher": YES, "lower": NO}.get(line["verdict"], OPEN)
        shares = [number(scale.share(one), 2) for one in (ours.value, *ours.ends, line["paper"])]
        text = f"{name} {shares[0]} [{shares[1]}, {shares[2]}] where {shares[3]} is printed"
        answers.append(Answer(said, text, scale.share(ours.value)))
    verdict, scales = weighed(answers), "on a scale from random search (0) to the optimum (1)"
    return Outcome(verdict, f"{counted(answers, 'data sets')}: {scales}, {listed(answers)}{_open(verdict)}.")


def _searches(evidence: Evidence, name: str) -> tuple[Value, list[Value]]:
    """What ParZC finds on a data set, and what the other searches of Table 9 find that were run here."""
    names, column = printed_rivals("table09", "Optimal", "ResNet"), f"{name} test"
    others = [found for row in names if (found := evidence.find("table09", row, column, "accuracy")) is not None]
    if not others:
        raise Lacking(f"results/{evidence.profile}/table09/rows.csv has no other search in {column!r}")
    return evidence.cell("table09", OURS, column, "accuracy"), others


@rule("search_rivals")
def _search_rivals(evidence: Evidence) -> Outcome:
    answers = []
    for name in SETS:
        ours, others = _searches(evidence, name)
        answers.append(above(ours, max(others, key=lambda other: other.value), name, digits=2))
    return told(answers, "data sets")


@rule("search_spread")
def _search_spread(evidence: Evidence) -> Outcome:
    answers = []
    for name in SETS:
        ours, others = _searches(evidence, name)
        least = min((other for other in others if not math.isnan(other.std)), key=lambda other: other.std)
        said = YES if ours.std < least.std else NO
        text = f"{name} {number(ours.std, 2)} against {number(least.std, 2)} of {least.row}"
        answers.append(Answer(said, text, least.std - ours.std))
    return told(answers, "data sets")


@rule("seconds")
def _seconds(evidence: Evidence) -> Outcome:
    printed = value("table03", OURS, "Cost", "gpu_seconds")
    every = [evidence.find("table03", row, "Cost", "gpu_seconds") for row in (OURS, f"{OURS}, 12 epochs")]
    found = [cost for cost in every if cost is not None]
    if not found:
        raise Lacking(f"results/{evidence.profile}/table03/rows.csv has no cost of {OURS!r}")
    whole = min(found, key=lambda cost: cost.value)
    rest = evidence.cell("table09", whole.row, "Search", "seconds")
    verdict = HOLDS if whole.value <= printed else IN_PART if rest.value <= printed else FAILS
    trainings = number(whole.value - rest.value, 0)
    said = f"Its labelled cells cost {trainings} recorded seconds of training, which the printed {number(printed, 0)} leaves out"
    return Outcome(verdict, f"{said}; statistics, ranker and ranking take {number(rest.value, 0)} CPU-seconds more.")


@rule("hours")
def _hours(evidence: Evidence) -> Outcome:
    training, collecting = (
        evidence.cell("table09", OURS, f"Search: {part}", "seconds") for part in ("training", "collecting")
    )
    verdict = HOLDS if training.value <= 0.2 * 3600 else FAILS
    said = f"Training the ranker takes {number(training.value, 0)} CPU-seconds"
    besides = number(collecting.value / 3600)
    return Outcome(verdict, f"{said}; the statistics of the whole space take {besides} CPU-hours besides.")


@rule("vit")
def _vit(evidence: Evidence) -> Outcome:
    row = "ParZC, 80/20"
    columns = [column for column in evidence.columns("table05", row) if column.startswith("AutoFormer")]
    if not columns:
        raise Lacking(f"results/{evidence.profile}/table05/rows.csv has no value of {row!r} in AutoFormer")
    rivals = printed_rivals("table05")
    pairs = [(evidence.cell("table05", row, column), evidence.best("table05", rivals, column)) for column in columns]
    return told([above(*pair, f"{pair[0].column}:") for pair in pairs], "ground truths")


@rule("cnn_proxies")
def _cnn_proxies(evidence: Evidence) -> Outcome:
    answers = []
    for name in ("SNIP", "Synflow", "NWOT"):
        here = evidence.cell("table05", name, "AutoFormer, ImageNet supernet")
        there = evidence.cell("table01", name, "NB201-CF10")
        fall = between(there, here)
        answers.append(
            Answer(fall.answer, f"{name} {here.told()} on AutoFormer, {there.told()} on NAS-Bench-201", fall.value)
        )
    return told(answers, "proxies")


@rule("top1")
def _top1(evidence: Evidence) -> Outcome:
    printed = value("table04", OURS, "Top-1 (%)", "accuracy")
    ours = evidence.find("table04", OURS, "Top-1 (%)", "accuracy")
    if ours is not None:
        verdict = HOLDS if ours.value >= printed - 0.5 else FAILS
        return Outcome(verdict, f"Ours reaches {ours.told()} %, where {number(printed)} % is printed.")
    size = evidence.cell("table04", OURS, "Param (M)", "params")
    said = f"Its accuracy needs ImageNet; ours, found without it, has {size.told()} M parameters"
    return Outcome(NOT_TESTABLE, f"{said} where {number(value('table04', OURS, 'Param (M)', 'params'))} M is printed.")


def _gain(evidence: Evidence, one: str, other: str, what: str) -> Answer:
    """Whether a part of Table 6 brings the gain that is printed."""
    printed = value("table06", one, SMALL, "kendall") - value("table06", other, SMALL, "kendall")
    difference = evidence.difference("table06", one, other, SMALL)
    text = f"{what} {difference.told()} points, where {number(printed, 2, '+')} is printed"
    return Answer(difference.gain(printed), text, difference.value)


def _both(evidence: Evidence, one: str, other: str) -> str:
    return (
        f"{one} {evidence.cell('table06', one, SMALL).told()}, {other} {evidence.cell('table06', other, SMALL).told()}"
    )


@rule("mixer")
def _mixer(evidence: Evidence) -> Outcome:
    answer = _gain(evidence, "Mixer", "MLP", "the mixer brings")
    verdict = weighed([answer])
    return Outcome(verdict, f"{_both(evidence, 'Mixer', 'MLP')}: {answer.text}{_open(verdict)}.")


@rule("bayes")
def _bayes(evidence: Evidence) -> Outcome:
    answers = [
        _gain(evidence, "Mixer+BN", "Mixer", "in the mixer"),
        _gain(evidence, FULL_MODEL, "NP+Mixer", "beside NP"),
    ]
    return told(answers, "comparisons")


@rule("np")
def _np(evidence: Evidence) -> Outcome:
    printed = value("table06", FULL_MODEL, SMALL, "kendall") - value("table06", "Mixer+BN", SMALL, "kendall")
    gain = evidence.difference("table06", FULL_MODEL, "Mixer+BN", SMALL)
    as_printed = gain.low - MARGIN <= printed <= gain.high + MARGIN
    verdict = FAILS if gain.answer != YES else HOLDS if as_printed else IN_PART
    return Outcome(verdict, f"NP adds {gain.told()} points to MABN, where {number(printed, 2, '+')} is printed.")


@rule("all_parts")
def _all_parts(evidence: Evidence) -> Outcome:
    answers = [_over(evidence, "table06", FULL_MODEL, other, SMALL) for other in printed_rivals("table06", FULL_MODEL)]
    return told(answers, "comparisons")


def _over(evidence: Evidence, table: str, one: str, other: str, column: str) -> Answer:
    """Whether one row is above another on the same splits."""
    difference = evidence.difference(table, one, other, column)
    return Answer(difference.answer, f"{difference.told()} over {other}", difference.value)


@rule("encoding")
def _encoding(evidence: Evidence) -> Outcome:
    raw = evidence.cell("table06", "ParZC (raw values)", SMALL)
    scaled = evidence.find("table06", OURS, SMALL) or evidence.cell("table06", FULL_MODEL, SMALL)
    verdict = HOLDS if raw.ends[0] <= MARGIN else IN_PART if between(scaled, raw).answer == YES else FAILS
    return Outcome(verdict, f"ParZC ranks with {raw.told()} on raw values and {scaled.told()} on scaled ones.")


@rule("loss")
def _loss(evidence: Evidence) -> Outcome:
    answers = [
        _over(evidence, "table07", "DiffKendall", other, NB101_LOSS)
        for other in printed_rivals("table07", "DiffKendall")
    ]
    return told(answers, "comparisons", most=6)


@rule("mixed_losses")
def _mixed_losses(evidence: Evidence) -> Outcome:
    mixtures = ("MSE+DiffKendall", "Rank+DiffKendall", "MSE+Rank+DiffKendall")
    answers = [_over(evidence, "table07", "DiffKendall", other, NB101_LOSS) for other in mixtures]
    return told(answers, "comparisons")


def _figure_5(evidence: Evidence, column: str, metric: str) -> list[Value]:
    """A column of Figure 5's rows, a value a proxy."""
    every = (evidence.find("fig05_importance", name, column, metric) for name in paper.PROXY_LABELS.values())
    found = [one for one in every if one is not None]
    if not found:
        raise Lacking(f"results/{evidence.profile}/fig05_importance/rows.csv has no value in {column!r}")
    return found


def _slots() -> int:
    """Places that a node of NAS-Bench-201 can have."""
    from parzc_core.spaces import nb201  # here, since it imports torch

    return len(nb201.SLOTS)


@rule("nodes")
def _nodes(evidence: Evidence) -> Outcome:
    most = _slots() / 10
    answers = [
        Answer(YES if one.value <= most else NO, f"{one.row} {one.value:.0f}", -one.value)
        for one in _figure_5(evidence, "nodes with half of it", "nodes")
    ]
    said = f"of {_slots()} nodes, so many hold half of the importance: {listed(answers, most=6)}"
    return Outcome(weighed(answers), f"{counted(answers, 'proxies')}: {said}.")


@rule("deeper")
def _deeper(evidence: Evidence) -> Outcome:
    chance = 100 * 1.96 / math.sqrt(_slots() - 1)
    answers = [
        Answer(YES if one.value > chance else NO if one.value < -chance else OPEN, f"{one.row} {one.told()}", one.value)
        for one in _figure_5(evidence, "depth trend", "spearman")
    ]
    said = f"rank correlation of depth and importance: {listed(answers, most=6)}; chance stays within {number(chance)}"
    return Outcome(weighed(answers), f"{counted(answers, 'proxies')}; {said}.")


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
        Answer(YES if misplaced.value >= 20 else NO, f"spread and misplacement go together at {misplaced.told()} %"),
        Answer(
            YES if moved >= 0.1 else NO, f"without weight decay rho moves by {number(moved, 3)} from {number(START, 0)}"
        ),
        Answer(
            YES if varied else NO,
            f"a node's spread and the variation of its statistics go together at {spread.told()} %, its mean at {mean.told()} %",
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
        text = f"{name} {found.told()} % of the best found (tau inside the best tenth {tau.told()})"
        answers.append(Answer(said, text, found.value))
    return told(answers, "data sets")


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
            answers.append(Answer(YES if width > gap else NO, f"{name} {number(width)}", width))
    if not answers:
        raise Lacking(f"results/{evidence.profile}/stability/rows.csv has no proxy in several collections")
    said = f"range of tau over initialisations and batches: {listed(answers, most=8)}"
    return Outcome(
        weighed(answers), f"{counted(answers, 'proxies')}; {said}; neighbours in Table 1 are {number(gap)} apart."
    )


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
        said = [above(*pair, pair[0].column).text for pair in zip(ours, best, strict=True)]
        return Outcome(NOT_TESTABLE, f"EMQ could not be run; beside the best other method, {'; '.join(said)}.")
    answers = []
    for one, emq in zip(ours, rivals, strict=True):
        assert emq is not None
        lead = between(one, emq)
        name = YES if lead.low >= -MARGIN else NO if lead.high < -MARGIN else OPEN
        answers.append(Answer(name, f"{one.column} {one.told()} against {emq.told()} of EMQ", lead.value))
    return told(answers, "ground truths")
