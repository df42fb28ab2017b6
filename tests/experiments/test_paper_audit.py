"""The notebook's audit: its list, and the figure with both readings of the printed spread."""

import pytest
from figure_checks import check

from parzc_core.experiments import paper_audit
from parzc_core.paper import audit_tables


def test_the_figure_shows_variance_and_standard_deviation() -> None:
    spreads = audit_tables.ablation_spreads()
    figure = paper_audit.what_the_spread_is(spreads)
    check(figure, ["± printed in Table 6", "variance of Table 8's three runs", "their standard deviation"])
    variance, std = figure.axes[0].collections
    assert variance.get_offsets()[:, 1].compressed().tolist() == pytest.approx(spreads["variance"].dropna().tolist())
    assert std.get_offsets()[:, 1].compressed().tolist() == pytest.approx(spreads["std"].dropna().tolist())


def test_the_list_has_a_status_and_a_reading_for_every_line() -> None:
    table = paper_audit.all_findings()
    assert list(table) == ["id", "where", "what", "computed", "status", "reading"]
    assert set(table["status"]) == {"confirmed", "not computable"}
    assert table["id"].is_unique
