"""What a rule says of a claim, and what the rules share: verdicts of several comparisons, and their numbers in words."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from parzc_core import paper
from parzc_core.errors import BadInput
from parzc_core.report.evidence import NO, OPEN, YES, Answer, Bar, Evidence, Value, between

HOLDS, IN_PART, FAILS, NOT_TESTABLE = VERDICTS = ("holds", "holds in part", "fails", "not testable here")
OURS = "ParZC"


class Outcome(NamedTuple):
    """What a rule says: one of VERDICTS, and the sentence with its numbers.

    answers: the comparisons that were made. legend: what the two marks of their bars are. brief: the sentence in short; empty
    where it ends at the first semicolon or full stop of the sentence.
    """

    verdict: str
    sentence: str
    answers: tuple[Answer, ...] = ()
    legend: tuple[str, str] = ("", "")
    brief: str = ""


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
        least = "furthest behind" if ordered[0].lead < 0 else "smallest lead"
        most_told = "largest lead" if ordered[-1].lead > 0 else "least behind"
        return f"{least}: {ordered[0].text}; {most_told}: {ordered[-1].text}"
    return "; ".join(answer.text for answer in answers)


def counted(answers: Sequence[Answer], what: str) -> str:
    """ "True in 3 of 4 columns, undecided in 1". what: "columns"."""
    names = [answer.name for answer in answers]
    rest = [f"{word} in {names.count(name)}" for name, word in ((NO, "false"), (OPEN, "undecided")) if name in names]
    return ", ".join([f"True in {names.count(YES)} of {len(names)} {what}", *rest])


def told(
    answers: Sequence[Answer], what: str, most: int = 4, legend: tuple[str, str] = ("ParZC", "the best other")
) -> Outcome:
    """The outcome of several comparisons, with how many say yes in front."""
    verdict = weighed(answers)
    sentence = f"{counted(answers, what)}: {listed(answers, most)}{left_open(verdict)}."
    return Outcome(verdict, sentence, tuple(answers), legend, for_and_against(answers, what))


def for_and_against(answers: Sequence[Answer], what: str, before: str = "") -> str:
    """How many say yes; then the numbers that speak most for the claim, and those that speak least for it.

    Empty unless some comparisons say yes, and others do not. before: words between the count and the numbers.
    """
    ordered = sorted(answers, key=lambda answer: answer.lead)
    agree = [answer.text for answer in ordered if answer.name == YES]
    others = [answer.text for name in (NO, OPEN) for answer in ordered if answer.name == name]
    return f"{counted(answers, what)}: {before}{agree[-1]}, but {others[0]}." if agree and others else ""


def left_open(verdict: str) -> str:
    """What is added to the numbers of comparisons that are all open."""
    return "; the intervals leave it open" if verdict == NOT_TESTABLE else ""


def above(one: Value, other: Value, where: str, digits: int = 1) -> Answer:
    """Whether one value is above another, with both in words: "NB101-CF10 78.7 [77.4, 79.7] against 62.0 of Zen".

    Open where the lower one, or one that is not the best yet, was cut short.
    """
    difference = between(one, other)
    text = f"{where} {one.told(digits)} against {other.told(digits)} of {other.row}{cut_short(other)}"
    bar = Bar(f"{one.column}: {other.row}", one.span, other.span)
    return Answer(unless_cut(difference.answer, one, other), text, difference.value, bar)


def cut_short(rival: Value) -> str:
    """What is said behind the best of several rivals, if trainings of some were cut short."""
    return ", with rivals cut short" if rival.cut else ""


def unless_cut(name: str, one: Value, other: Value) -> str:
    """The answer whether `one` is above `other`; OPEN where the one that is behind may yet rise."""
    return OPEN if (name == YES and other.cut) or (name == NO and one.cut) else name


def printed_rivals(table: str, *without: str, column: str | None = None) -> list[str]:
    """The rows with a number that the paper prints in a table, or in one column, without ParZC and those that are named."""
    cells = paper.printed(table).dropna(subset="value")
    rows = cells["row"] if column is None else cells.loc[cells["column"] == column, "row"]
    return [row for row in dict.fromkeys(rows) if row not in (OURS, *without)]
