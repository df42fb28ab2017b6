"""The command line on files that a disk or a hand damaged, and on odd words: one line or one word, never a traceback."""

import io
import re
import sys
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


@pytest.mark.parametrize("arguments", [["rank", "nets.py", "--out", "~/order.csv"], ["rank", "nets.py", "--out=~/order.csv"],
                                       ["search", "--method", "random", "--trainings", "1", "--out", "~user"]])  # fmt: skip
def test_a_tilde_that_no_shell_has_replaced_makes_no_folder_of_that_name(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert re.fullmatch(r"parzc: got '.*~.*', whose ~ no shell has replaced by a folder; expected .*\n", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["rank", "nets.py", "--level"], ["ranker", "--split"], ["collect", "--most-parameters"]])
@pytest.mark.parametrize("text", ["1_0", "１", "nan", "inf", "1e999", "0x9", " 9"])
def test_only_plain_digits_are_a_number(option: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli._parser().parse_args([*option, text])
    assert ended.value.code == 2
    assert f"got {text!r}; expected a" in capsys.readouterr().err


def test_a_split_below_0_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli._parser().parse_args(["ranker", "--split", "-1"])
    assert ended.value.code == 2
    assert "got '-1'; expected a whole number from 0 to" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["start=1_0", "start=１０"])
def test_only_plain_digits_are_a_setting(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", "--method", "parzc_plus", "--set", text]) == 2
    assert "has the settings" in capsys.readouterr().err


def test_what_a_terminal_cannot_show_is_printed_as_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {}
    for encoding in ("utf-8", "ascii", "latin-1"):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        assert cli.main(["data", "labels"]) == 0
        sys.stdout.flush()
        told[encoding] = sys.stdout.buffer.getvalue()
    for encoding in ("ascii", "latin-1"):
        assert told[encoding] == told["utf-8"].decode().encode(encoding, "backslashreplace")
        assert told[encoding] != told["utf-8"]


@pytest.mark.parametrize("names", [["--space", "../../elsewhere"], ["--dataset", "a/b"]])
def test_a_search_of_what_there_is_not_makes_no_folder(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["search", "--method", "random", *names, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("parzc: unknown ")
    assert not list(tmp_path.iterdir())
