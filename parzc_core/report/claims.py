"""The paper's claims with their verdicts, computed from the committed result rows (profile "full").

    claims_of("table06_08_ablation")        # a sentence each, as a notebook shows them
    judged = judged_claims()                # all of them, in the order of `paper.claims`
    print(table(judged))

A claim is preliminary where the rows that decide it are not complete: trainings cut short, or fewer than five runs. It then
updates itself as soon as they are.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from parzc_core.errors import BadInput
from parzc_core.paper import claims as stated
from parzc_core.report import claim_rules, claim_rules_parts  # noqa: F401  they register the rules
from parzc_core.report.claim_bars import drawn
from parzc_core.report.claim_outcomes import NOT_TESTABLE, RULES, VERDICTS, Outcome
from parzc_core.report.evidence import Evidence, Lacking
from parzc_core.storage import rows as results


@dataclass(frozen=True)
class Judged:
    """A claim as the rows decide it.

    claim: of `paper.claims`. verdict: one of VERDICTS. sentence: with the numbers and their intervals. preliminary: what is not
    complete, in words; empty if all is. minutes: CPU-minutes of the experiment, None where they were not told. bars: a small
    picture of its comparisons, SVG, or empty. brief: the sentence in short, with what speaks for the claim and against it.
    """

    claim: stated.Claim
    verdict: str
    sentence: str
    preliminary: tuple[str, ...]
    minutes: float | None
    bars: Markup = field(default_factory=Markup)
    brief: str = ""

    @property
    def word(self) -> str:
        """The verdict, with "preliminary" where it is."""
        return f"{self.verdict}, preliminary" if self.preliminary else self.verdict

    @property
    def cost(self) -> str:
        """ "17 CPU-minutes", or "" where they were not told."""
        return "" if self.minutes is None else f"{max(self.minutes, 1):.0f} CPU-minutes"

    @property
    def markdown(self) -> str:
        """ "**A mixer ...** (Table 6): *fails.* Mixer 62.5, MLP 64.1 ..."."""
        return f"**{self.claim.title}** ({self.claim.place}): *{self.word}.* {self.sentence}"

    def linked(self, folder: str = "") -> str:
        """One line: the verdict, `brief`, a link to the notebook in that folder."""
        link = f"[notebook]({folder}{self.claim.notebook}.ipynb)"
        return f"**{self.claim.title}** ({self.claim.place}): *{self.word}.* {self.brief} {link}"

    def record(self) -> dict[str, str | float | None]:
        """The same as plain JSON."""
        one = self.claim
        return {
            "id": one.id, "claim": one.title, "place": one.place, "verdict": self.verdict, "sentence": self.sentence,
            "preliminary": "; ".join(self.preliminary), "rule": one.rule, "notebook": one.notebook, "table": one.table,
            "command": one.command, "minutes": self.minutes,
        }  # fmt: skip


class Text(str):
    """A text that a notebook renders as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)


def judge(one: stated.Claim, evidence: Evidence) -> Judged:
    """The verdict on one claim; evidence: whose rows no other rule has used. Raises BadInput for a claim without a rule."""
    if one.id not in RULES:
        raise BadInput(
            f"no rule for the claim {one.id!r}; add a function with @rule({one.id!r}) to claim_rules or claim_rules_parts"
        )
    try:
        outcome = RULES[one.id](evidence)
    except Lacking as lacking:
        outcome = Outcome(NOT_TESTABLE, f"Not run yet: {lacking}.")
    minutes = None
    if results.has_rows(one.table, evidence.profile, evidence.folder):
        minutes = results.read_manifest(one.table, evidence.profile, evidence.folder).get("minutes")
    spent = None if minutes is None else float(minutes)
    bars = drawn(outcome.answers, outcome.legend)
    brief = outcome.brief or f"{re.split(r'; |[.] ', outcome.sentence)[0].rstrip('.')}."
    return Judged(one, outcome.verdict, outcome.sentence, evidence.incomplete(), spent, bars, brief)


def judged_claims(claims: Sequence[stated.Claim] = stated.CLAIMS) -> list[Judged]:
    """The verdict on each claim, from the committed rows."""
    evidence = Evidence()
    return [judge(one, evidence.afresh()) for one in claims]


def claims_of(notebook: str) -> Text:
    """The sentences of all claims that a notebook's rows decide, a list item each. Raises BadInput if there is none."""
    return Text("\n".join(f"- {one.markdown}" for one in _of_notebook(notebook)))


def in_short(notebook: str) -> Text:
    """The claims of a notebook with their verdicts, a line each, for its top. Raises BadInput if there is none."""
    lines = [f"- **{one.claim.title}** ({one.claim.place}): *{one.word}.* {one.brief}" for one in _of_notebook(notebook)]
    return Text("\n".join(["**In short**, from the committed results:", "", *lines]))


def _of_notebook(notebook: str) -> list[Judged]:
    """All claims that a notebook's rows decide. Raises BadInput if there is none."""
    found = stated.of_notebook(notebook)
    if not found:
        known = ", ".join(sorted({one.notebook for one in stated.CLAIMS}))
        raise BadInput(f"no claim is decided by the notebook {notebook!r}; there are claims of {known}")
    return judged_claims(found)


def key_claims(notebooks: str = "") -> Text:
    """The claims that matter most, a list item each, with links to their notebooks in the folder `notebooks`."""
    judged = judged_claims([one for one in stated.CLAIMS if one.key])
    return Text("\n".join(f"- {one.linked(notebooks)}" for one in judged))


def counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many claims have each verdict, in the order of VERDICTS."""
    found = Counter(one.verdict for one in judged)
    return {verdict: found[verdict] for verdict in VERDICTS}


def summary(judged: Sequence[Judged]) -> str:
    """ "Of 29 claims 6 hold, 10 hold in part, 11 fail and 2 are not testable here; 3 verdicts are preliminary"."""
    one, several = (*VERDICTS[:-1], f"is {NOT_TESTABLE}"), ("hold", "hold in part", "fail", f"are {NOT_TESTABLE}")
    found = counts(judged)
    words = zip(VERDICTS, one, several, strict=True)
    said = [f"{found[name]} {single if found[name] == 1 else more}" for name, single, more in words]
    early = sum(bool(one.preliminary) for one in judged)
    ending = f"{early} verdict{' is' if early == 1 else 's are'} preliminary"
    return f"Of {len(judged)} claims {', '.join(said[:-1])} and {said[-1]}; {ending}"


def table(judged: Sequence[Judged], width: int = 110) -> str:
    """The claims as plain text: a line with verdict, id and title, the sentence indented below."""
    wide = max(len(one.word) for one in judged)
    lines = []
    for one in judged:
        lines.append(f"{one.word.ljust(wide)}  {one.claim.title} ({one.claim.place}) [{one.claim.id}]")
        lines += textwrap.wrap(one.sentence, width, initial_indent=" " * (wide + 2), subsequent_indent=" " * (wide + 2))
    return "\n".join([*lines, "", f"{summary(judged)}."])
