"""Claims: what rules say of made-up rows, for every verdict and at the edges; that sentences and verdicts follow the rows."""

import json
import math
import re
from collections import defaultdict
from typing import Any

import pytest
from claim_cases import CASES, HIGH, LOSS, LOW, Cell, cell, losses, table_1, table_2, table_6
from report_rows import put

from parzc_core import paper, paths
from parzc_core.errors import BadInput
from parzc_core.paper.claims import CLAIMS, claim
from parzc_core.report import claims
from parzc_core.report.claim_outcomes import FAILS, HOLDS, IN_PART, NOT_TESTABLE, VERDICTS, rule, weighed
from parzc_core.report.claims import Judged
from parzc_core.report.evidence import NO, OPEN, YES, Answer, Difference, Evidence, Value, between, number


def write(cells: list[Cell], **manifest: object) -> None:
    tables = defaultdict(list)
    for one in cells:
        tables[one["table"]].append({name: value for name, value in one.items() if name != "table"})
    for table, lines in tables.items():
        put(table, *lines, **manifest)


def judged(name: str) -> Judged:
    (found,) = claims.judged_claims([claim(name)])
    return found


@pytest.mark.parametrize(("name", "cells", "verdict"), CASES, ids=[f"{name}-{verdict}" for name, _, verdict in CASES])
def test_a_rule_says_of_made_up_rows(project: Any, name: str, cells: list[Cell], verdict: str) -> None:
    write(cells)
    found = judged(name)
    assert (found.verdict, found.sentence.endswith(".")) == (verdict, True), found.sentence


def test_every_claim_can_hold_and_can_fail() -> None:
    seen = {(name, verdict) for name, _, verdict in CASES}
    assert {one.id for one in CLAIMS} == {name for name, verdict in seen if verdict == HOLDS}
    assert {one.id for one in CLAIMS} == {name for name, verdict in seen if verdict in (FAILS, IN_PART)}


def test_without_rows_no_claim_is_testable_and_the_sentence_says_what_is_lacking(project: Any) -> None:
    for found in claims.judged_claims():
        assert (found.verdict, found.preliminary, found.minutes) == (NOT_TESTABLE, (), None)
        assert re.match(r"Not run yet: results/full", found.sentence), found.claim.id


def test_a_quoted_row_decides_nothing(project: Any) -> None:
    printed = paper.printed("table07").query("metric == 'kendall'")
    write([cell("table07", line["row"], LOSS, line["value"], 0, origin="quoted") for line in printed.to_dict("records")])
    assert judged("loss").verdict == NOT_TESTABLE


def test_several_comparisons_are_weighed() -> None:
    expected = {
        (YES,): HOLDS,
        (NO,): FAILS,
        (OPEN,): NOT_TESTABLE,
        (YES, NO): IN_PART,
        (YES, OPEN): IN_PART,
        (NO, OPEN): FAILS,
        (OPEN, OPEN): NOT_TESTABLE,
    }
    assert {names: weighed([Answer(name, "") for name in names]) for names in expected} == expected
    with pytest.raises(BadInput, match="no comparison"):
        weighed([])


def test_a_difference_and_its_gain_at_the_edges() -> None:
    assert [Difference(1, low, 2, True).answer for low in (0.1, 0.0, -0.1)] == [YES, OPEN, OPEN]
    assert [Difference(-1, -2, high, True).answer for high in (0.1, 0.0, -0.1)] == [OPEN, OPEN, NO]
    assert Difference(1, 0.5, 1.5, True).gain(printed=10) == YES  # a tenth of it
    assert Difference(0.9, 0.5, 1.5, True).gain(printed=10) == NO
    assert Difference(0.5, -1, 2, True).gain(printed=2) == OPEN
    assert Difference(0.5, -1, 2, True).gain(printed=2.1) == NO
    assert between(Value("a", "c", 5, 4, 6), Value("b", "c", 3)) == Difference(2, 1, 3, False)
    assert Difference(0.04, -0.03, 0.15, True).told() == "+0.04 [-0.03, +0.15]"  # the sign of an end is seen
    assert Difference(1.04, 0.5, 1.5, True).told() == "+1.0 [+0.5, +1.5]"
    assert [number(value) for value in (-0.01, 1234.56, math.pi)] == ["0.0", "1,234.6", "3.1"]


def test_a_sentence_carries_the_numbers_of_the_rows_and_follows_them(project: Any) -> None:
    write(table_6({"Mixer - MLP": (5.43, 2)}, Mixer=66.66, MLP=61.23), minutes=17.4)
    first = judged("mixer")
    said = "the mixer brings +5.4 [+3.4, +7.4] points, where +7.65 is printed."
    assert first.sentence == f"Mixer 66.7 [65.7, 67.7], MLP 61.2 [60.2, 62.2]: {said}"
    assert first.markdown.startswith("**A mixer ranks better than an MLP** (§4.4, Table 6): *holds.* Mixer 66.7")
    assert first.linked("notebooks/").endswith("printed. [notebook](notebooks/table06_08_ablation.ipynb)")
    assert first.cost == "17 CPU-minutes"
    assert (first.minutes, first.word) == (17.4, HOLDS)
    write(table_6(Mixer=61.0, MLP=64.0))
    second = judged("mixer")
    assert (second.verdict, second.minutes, second.cost) == (FAILS, None, "")
    assert "the mixer brings -3.0 [-5.0, -1.0]" in second.sentence


def test_of_many_comparisons_the_smallest_and_the_largest_lead_are_told(project: Any) -> None:
    write(table_2([61.0, 95.0, *HIGH[:7], 55.0]))
    found = judged("predictors")
    counted = "True in 8 of 10 training sets, false in 1, undecided in 1"
    most = "NB101 S_172, ParZC 95.0 [94.0, 96.0] against 60.0 [59.0, 61.0] of NP"
    least = "NB201 S'_1563, ParZC 55.0 [54.0, 56.0] against 60.0 [59.0, 61.0] of NP"
    assert found.sentence == f"{counted}: furthest behind: {least}; largest lead: {most}."
    assert found.brief == f"{counted}: {most}, but {least}."


def test_where_all_comparisons_say_the_same_the_first_is_told_in_short(project: Any) -> None:
    write(table_2(HIGH))
    found = judged("predictors")
    assert "smallest lead: " in found.sentence
    assert found.brief == f"{found.sentence.split('; ')[0]}."


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"runs": 4}, "fewer than 5 runs in 10 of the 30 rows read"),
        ({"epochs": 30, "published_epochs": 300}, "fewer epochs than published in 10 of the 30 rows read"),
        ({"epochs": 300, "published_epochs": 300, "runs": 5}, ""),
    ],
)
def test_a_claim_is_preliminary_until_its_rows_are_complete(project: Any, more: Cell, said: str) -> None:
    write(table_2(HIGH, **more))
    found = judged("predictors")
    assert "; ".join(found.preliminary) == said
    assert found.word == ("holds, preliminary" if said else "holds")


CUT = {"epochs": 30, "published_epochs": 300}


@pytest.mark.parametrize(
    ("ours", "pinat", "counted"),
    [
        (HIGH, CUT, "True in 0 of 10 training sets, undecided in 10"),  # PINAT may yet rise, though NP is as high
        (LOW, CUT, "True in 0 of 10 training sets, false in 10"),
        (HIGH, {}, "True in 10 of 10 training sets"),
    ],
)
def test_who_is_ahead_of_a_training_that_was_cut_short_is_undecided(
    project: Any, ours: list[float], pinat: Cell, counted: str
) -> None:
    write([{**one, **pinat} if one["row"] == "PINAT" else one for one in table_2(ours)])
    found = judged("predictors")
    assert found.sentence.startswith(f"{counted}: ")
    assert (", with rivals cut short" in found.sentence) == bool(pinat)


def test_who_is_behind_and_was_cut_short_is_undecided(project: Any) -> None:
    write(table_2(LOW, **CUT))
    for name in ("predictors", "ten_points"):
        assert judged(name).sentence.startswith("True in 0 of ")
        assert judged(name).verdict == NOT_TESTABLE


def test_what_is_not_trained_needs_no_five_runs(project: Any) -> None:
    write([*table_1({"NB201-CF10": 80}, {}), cell("table01", "NWOT", "NB201-CF10", 60, runs=1)])
    assert judged("proxies").preliminary == ()


def test_claims_of_a_notebook_and_those_that_matter_most_are_markdown(project: Any) -> None:
    write(losses(), minutes=0.2)
    text = claims.claims_of("table07_losses")
    assert text._repr_markdown_() == text
    assert [line[:4] for line in text.splitlines()] == ["- **", "- **"]
    assert "*holds.*" in text
    short = claims.in_short("table07_losses").splitlines()
    assert short[0].startswith("**In short**")
    assert [line[:4] for line in short[2:]] == ["- **", "- **"]
    assert all(len(line) < 400 for line in short)
    key = claims.key_claims(notebooks="notebooks/")
    assert len(key.splitlines()) == sum(one.key for one in CLAIMS)
    assert "[notebook](notebooks/table07_losses.ipynb)" in key
    assert all(len(line) < 400 for line in key.splitlines())
    with pytest.raises(BadInput, match="no claim is decided by the notebook 'explore'"):
        claims.claims_of("explore")
    with pytest.raises(BadInput, match="no claim is decided by the notebook 'explore'"):
        claims.in_short("explore")


def test_the_list_counts_verdicts_and_names_each_claim(project: Any) -> None:
    write(losses())
    found = claims.judged_claims()
    assert sum(claims.counts(found).values()) == len(CLAIMS)
    assert tuple(claims.counts(found)) == VERDICTS
    text = claims.table(found)
    assert all(f"[{one.id}]" in text for one in CLAIMS)
    assert text.endswith(f"Of {len(CLAIMS)} claims 2 hold, 0 hold in part, 0 fail and {len(CLAIMS) - 2} are not testable here; "
                         "0 verdicts are preliminary.")  # fmt: skip
    records = json.loads(json.dumps([one.record() for one in found]))
    assert [record["id"] for record in records] == [one.id for one in CLAIMS]
    assert {record["verdict"] for record in records} == {HOLDS, NOT_TESTABLE}


def test_bars_show_each_comparison_and_escape_names(project: Any) -> None:
    write(losses(Rank=72))
    bars = judged("loss").bars
    assert bars.count('class="mine"') == 6 * 2 + 1  # a line and a dot each, and the legend's
    assert "over MSE+Rank+DiffKendall" in bars
    write(table_1({"NB201-CF10": 80}, {"NB201-CF10": 60}))
    assert judged("proxies").bars.count('class="other"') == 3
    assert judged("top1").bars == ""


def test_two_rules_for_a_claim_are_refused() -> None:
    with pytest.raises(BadInput, match="two rules for the claim 'mixer'"):
        rule("mixer")(lambda evidence: None)  # type: ignore[arg-type, return-value]


def test_results_sent_elsewhere_leave_the_committed_ones(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write(losses())
    monkeypatch.setattr(paths, "RESULTS", project / "elsewhere")
    assert judged("loss").verdict == HOLDS
    assert Evidence().folder == project / "results"


def test_numbers_of_the_committed_claims_are_those_of_their_rows() -> None:
    """Every number with an interval in a sentence is a row's, as it is printed."""
    for one in CLAIMS:
        evidence = Evidence()
        (found,) = claims.judged_claims([one])
        try:
            claims.RULES[one.id](evidence)
        except BadInput:
            continue
        known = set()
        for record in evidence.used.values():
            own = Value("", "", *(record[name] for name in ("value", "ci_low", "ci_high")))
            known |= {own.told(digits).replace("+", "") for digits in (1, 2)}
            known |= {Difference(own.value, *own.ends, True).told(digits).replace("+", "") for digits in (1, 2)}
        told = re.findall(r"[-+]?[\d.,]*\d \[[^\]]*\]", found.sentence)
        if one.id not in ("ten_points", "search"):  # leads and shares: of two rows
            assert [text for text in told if text.replace("+", "") not in known] == [], one.id
