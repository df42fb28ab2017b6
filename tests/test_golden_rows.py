"""The committed results say what they said: one digest a table in golden/rows.sha256.

A digest covers what tells a cell apart, its value, unit, n, interval, profile and origin, as they stand in rows.csv.
Notes and std are free to change. After results were computed anew, on purpose:

    python tests/test_golden_rows.py     # writes golden/rows.sha256; commit it with the rows
"""

import csv
import hashlib
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden" / "rows.sha256"
RESULTS = Path(__file__).parents[1] / "results" / "full"
COVERED = ("table", "row", "column", "metric", "seed", "value", "unit", "n", "ci_low", "ci_high", "profile", "origin")


def digest(file: Path) -> str:
    """sha256 of the covered columns of a rows.csv, as tab-separated lines in sorted order."""
    with file.open(newline="", encoding="utf-8") as rows:
        lines = sorted("\t".join(row[name] for name in COVERED) for row in csv.DictReader(rows))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digests() -> dict[str, str]:
    return {file.parent.name: digest(file) for file in sorted(RESULTS.glob("*/rows.csv"))}


def test_committed_rows_have_the_golden_values() -> None:
    golden = {table: found for found, table in (line.split() for line in GOLDEN.read_text().splitlines())}
    now = digests()
    changed = sorted(table for table in golden.keys() | now.keys() if golden.get(table) != now.get(table))
    assert not changed, f"values of {', '.join(changed)} changed; if on purpose: python tests/test_golden_rows.py"


def test_a_changed_digit_is_noticed_and_a_changed_note_is_not(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    text = f"{','.join(COVERED)},note\nt,a,b,kendall,-1,34.5,%,5,,,full,reproduced,said\n"
    file.write_text(text)
    before = digest(file)
    file.write_text(text.replace("said", "said otherwise"))
    assert digest(file) == before
    file.write_text(text.replace("34.5", "34.50000001"))
    assert digest(file) != before


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("".join(f"{found}  {table}\n" for table, found in digests().items()))
