"""The command line on files that a disk or a hand damaged: one line or one word, never a traceback."""

from pathlib import Path

import pytest

from parzc_core import cli

ROWS = b"table,row,origin,note\ntable06,NP,reproduced,a\ntable06,MLP,quoted,b\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROWS, "1 quoted, 1 reproduced"),
        (ROWS[:-10], "damaged"),
        (ROWS[:12], "damaged"),
        (b"", "damaged"),
        (ROWS[:22], "none"),
        (bytes(range(256)), "damaged"),
        (ROWS.replace(b"NP", b"\xff"), "damaged"),
        (ROWS.replace(b"NP", b"NP,1"), "damaged"),
    ],
)
def test_status_says_of_damaged_rows_that_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    assert cli._origins(tmp_path / "rows.csv") == said


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["--images", ""], "--images"), (["--out", ""], "--out"), (["--out="], "--out"), (["--out", " "], "--out")],
)
def test_an_empty_value_is_refused(arguments: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["collect", "--cells", "2", *arguments]) == 2
    assert capsys.readouterr().err == f"parzc: got an empty value after {option!r}; expected a name, number or path\n"


def test_a_variant_of_a_space_without_any_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["collect", "--variant", "x"]) == 2
    assert "unknown variant of nb201's networks 'x'; there is none" in capsys.readouterr().err


def test_a_claim_that_is_asked_for_twice_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("parzc_core.report.claims.judged_claims", lambda names: asked.append(len(names)) or [])
    monkeypatch.setattr("parzc_core.report.claims.table", lambda judged: "")
    assert cli.main(["claims", "mixer", "mixer"]) == 0
    assert asked == [1]
