"""The rules of the claims on rankings and searches (Tables 1 to 5 and 9), one a claim, under its id.

    outcome = RULES["proxies"](Evidence("full"))   # verdict, a sentence with the numbers, and its comparisons

The words of each rule stand in `paper.claims`; what is computed here follows them. The other rules: `claim_rules_parts`.
"""

import math
from collections.abc import Sequence

from parzc_core import paper
from parzc_core.paper.findings import value
from parzc_core.report.claim_outcomes import (
    FAILS,
    HOLDS,
    IN_PART,
    NOT_TESTABLE,
    OURS,
    Outcome,
    above,
    counted,
    cut_short,
    for_and_against,
    left_open,
    listed,
    printed_rivals,
    rule,
    told,
    unless_cut,
    weighed,
)
from parzc_core.report.comparison import compare
from parzc_core.report.evidence import NO, OPEN, YES, Answer, Bar, Evidence, Lacking, Value, between, number
from parzc_core.report.verdicts import Scale

PRUNING = ("Fisher", "GradNorm", "GraSP", "L2Norm", "Plain", "SNIP", "Synflow", "Jacov")
SIZES = ("Params", "FLOPs")
STAND_INS = ("NB301 surrogate", "DARTS on Fashion-MNIST", "ENAS on Fashion-MNIST", "NASNet on Fashion-MNIST")  # for NDS
READINGS = ("ParZC", "ParZC (NP)")  # of ParZC in Table 2: statistics and PINAT's embedding, or statistics and NP
SETS = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")


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
        text = f"{column} {better} of {len(proxies)} proxies above {size.row} ({size.told()})"
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
    return told(answers, "columns", legend=("EZNAS", "the best other"))


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
    return told([above(*pair, f"{pair[0].column}, {pair[0].row}") for pair in pairs], "training sets")


@rule("ten_points")
def _ten_points(evidence: Evidence) -> Outcome:
    half, answers = 5.0, []
    columns = [column for column in dict.fromkeys(paper.printed("table02")["column"]) if column.startswith("NB201")]
    for ours, rival in _against_predictors(evidence, columns):
        lead = between(ours, rival)
        name = unless_cut(YES if lead.low >= half else NO if lead.high < half else OPEN, ours, rival)
        text, bar = (
            f"{ours.column}, {ours.row} {lead.told()} ahead of {rival.row}{cut_short(rival)}",
            Bar(f"{ours.column}: {rival.row}", lead.span, (half,) * 3),
        )
        answers.append(Answer(name, text, lead.value, bar))
    return told(answers, "training sets", most=5, legend=("lead of ParZC, points", "five points"))


@rule("half_the_labels")
def _half_the_labels(evidence: Evidence) -> Outcome:
    ours, rival = evidence.best("table02", READINGS, "NB201 S'_78"), evidence.cell("table02", "PINAT", "NB201 S'_156")
    answer = above(ours, rival, ours.row)
    verdict = weighed([answer])
    return Outcome(
        verdict, f"{answer.text} with 156 cells{left_open(verdict)}.", (answer,), ("ParZC", "PINAT, 156 cells")
    )


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
        low, high = (scale.share(end) for end in ours.ends)
        bar = Bar(name, (scale.share(ours.value), low, high), (scale.share(line["paper"]),) * 3)
        answers.append(Answer(said, text, scale.share(ours.value), bar))
    verdict, scales = weighed(answers), "on a scale from random search (0) to the optimum (1)"
    sentence = f"{counted(answers, 'data sets')}: {scales}, {listed(answers)}{left_open(verdict)}."
    brief = for_and_against(answers, "data sets", f"{scales}, ")
    return Outcome(verdict, sentence, tuple(answers), ("ours (0: random, 1: optimum)", "printed"), brief)


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
        best = max(others, key=lambda other: other.value)
        answer = above(ours, best, name, digits=2)  # the data sets have accuracies of their own, so bars show the lead
        answers.append(answer._replace(bar=Bar(f"{name}: {best.row}", between(ours, best).span)))
    return told(answers, "data sets", legend=("lead of ParZC, points", ""))


@rule("search_spread")
def _search_spread(evidence: Evidence) -> Outcome:
    answers = []
    for name in SETS:
        ours, others = _searches(evidence, name)
        least = min((other for other in others if not math.isnan(other.std)), key=lambda other: other.std)
        said = YES if ours.std < least.std else NO
        text = f"{name} {number(ours.std, 2)} against {number(least.std, 2)} of {least.row}"
        bar = Bar(f"{name}: {least.row}", (ours.std,) * 3, (least.std,) * 3)
        answers.append(Answer(said, text, least.std - ours.std, bar))
    return told(answers, "data sets", legend=("ParZC, std in points", "the smallest other"))


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
    said = (
        f"All trainings of its search take {trainings} recorded seconds{whole.row.removeprefix(OURS)}"
        f"{' each' if whole.row != OURS else ''}; the printed {number(printed, 0)} leave them out"
    )
    besides = f"collecting statistics, training the ranker and ranking take {number(rest.value, 0)} CPU-seconds more"
    return Outcome(verdict, f"{said}; {besides}.")


@rule("hours")
def _hours(evidence: Evidence) -> Outcome:
    training, collecting = (
        evidence.cell("table09", OURS, f"Search: {part}", "seconds") for part in ("training", "collecting")
    )
    verdict = HOLDS if training.value <= 0.2 * 3600 else FAILS
    said = f"Training the ranker takes {number(training.value, 0)} CPU-seconds"
    besides = number(collecting.value / 3600)
    return Outcome(verdict, f"{said}; collecting the statistics of the whole space takes {besides} CPU-hours more.")


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
        there = evidence.cell("table01", name, "NB201-CF10")
        for column in evidence.columns("table05", name):
            here = evidence.cell("table05", name, column)
            fall = between(there, here)
            text = f"{name} {here.told()} on {column}, {there.told()} on NAS-Bench-201"
            answers.append(Answer(fall.answer, text, fall.value, Bar(f"{name}, {column}", here.span, there.span)))
    if not answers:
        raise Lacking(f"results/{evidence.profile}/table05/rows.csv has no value of SNIP, Synflow or NWOT")
    return told(answers, "comparisons", legend=("Transformers", "NAS-Bench-201"))


@rule("top1")
def _top1(evidence: Evidence) -> Outcome:
    printed = value("table04", OURS, "Top-1 (%)", "accuracy")
    ours = evidence.find("table04", OURS, "Top-1 (%)", "accuracy")
    if ours is not None:
        verdict = HOLDS if ours.value >= printed - 0.5 else FAILS
        return Outcome(verdict, f"Ours reaches {ours.told()} %, where {number(printed)} % is printed.")
    size = evidence.cell("table04", OURS, "Param (M)", "params")
    said = f"Its accuracy cannot be measured without ImageNet; the one found here has {size.told()} M parameters"
    return Outcome(NOT_TESTABLE, f"{said} where {number(value('table04', OURS, 'Param (M)', 'params'))} M is printed.")
