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
