"""Rows and a cell for the tests of reports."""

from pathlib import Path

from parzc_core import paths
from parzc_core.storage import rows as results

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def put(table: str, *rows: dict, profile: str = "full", **manifest: object) -> None:
    """Write rows; what is not told is a reproduced 50.0 of ParZC on CIFAR-10, of five runs."""
    committed = Path(__file__).resolve().parents[1] / "results"
    assert committed != paths.RESULTS, "rows of a test would overwrite the committed ones: ask for the fixture `project`"
    usual = {"row": "ParZC", "column": "NB201-CF10", "metric": "kendall", "value": 50.0, "origin": "reproduced", "runs": 5}
    made = [results.Row(table=table, profile=profile, **usual | row) for row in rows]
    results.write_rows(table, made, profile, manifest, folder=paths.RESULTS)
