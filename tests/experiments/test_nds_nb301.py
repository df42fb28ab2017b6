"""Our proxies beside published ones, node counts beside printed lengths, and what is said where something is missing."""

import numpy as np
import pandas as pd
import pytest
from nds_stores import ARCHS, TRUTH, data

from parzc_core.errors import BadInput
from parzc_core.experiments import nds_nb301
from parzc_core.runs import proxies as proxies_
from parzc_core.storage.rows import Row


def published() -> pd.DataFrame:
    """snip turned round, nwot as ours, synflow without relation to it; in another order of the rows, with scores we lack."""
    shuffled = np.random.default_rng(0).permutation(len(ARCHS))
    table = pd.DataFrame(
        {
            "accuracy": TRUTH,
            "snip": -np.arange(30.0),
            "nwot": np.arange(30.0) ** 2,
            "synflow": shuffled,
            "epe_nas": 1.0,
        },
        index=ARCHS,
    )
    return table.iloc[::-1]


def test_each_proxy_is_compared_cell_by_cell() -> None:
    got = nds_nb301.beside_published(data(), published(), resamples=50)
    assert list(got.index) == ["snip", "synflow", "nwot"]  # what both have, as the paper orders them
    assert got.loc["snip", ["kendall", "spearman", "ours", "theirs"]].tolist() == pytest.approx([-100, -100, 100, -100])
    assert got.loc["nwot", ["kendall", "n"]].tolist() == pytest.approx([100, 29])  # one of ours is not a number
    assert abs(got.loc["synflow", "kendall"]) < 40
    assert got.loc["synflow", "ci_low"] < got.loc["synflow", "kendall"] < got.loc["synflow", "ci_high"]
    with pytest.raises(BadInput, match="without 1 of 30 collected architectures, such as arch7"):
        nds_nb301.beside_published(data(), published().drop("arch7"))


def test_rows_say_what_was_compared_with_what() -> None:
    agreement = nds_nb301.beside_published(data(), published(), resamples=50)
    rows = {(r.row, r.column): r for r in nds_nb301.rows_of_published("nds_nb301", agreement, "smoke", "a note")}
    assert len(rows) == 9
    assert rows["SNIP", "ours and published"].value == pytest.approx(-100)
    assert rows["SNIP", "ours and accuracy"].value == pytest.approx(100)
    assert rows["SNIP", "published and accuracy"].value == pytest.approx(-100)
    assert rows["NWOT", "ours and published"].n == 29
    proxies = proxies_.rows_of_proxies("nds_nb301", "NB301", data(), "smoke", "a note", "recreated")
    assert {(r.column, r.origin) for r in proxies} == {("NB301", "recreated")}
    assert {r.row: r.value for r in proxies if r.metric == "kendall"}["Synflow"] == pytest.approx(100)


def test_node_counts_are_those_of_networks() -> None:
    counts = nds_nb301.node_counts(samples=40, seeds=2)
    assert counts["printed"].to_dict() == {"DARTS": 500, "ENAS": 688, "NASNet": 630, "Amoeba": 708, "PNAS": 728}
    assert (counts["longest, least"] <= counts["longest, greatest"]).all()
    assert (counts["longest, greatest"] <= counts["possible"]).all()
    assert (counts["median"] < counts["at 20 cells"]).all()
    assert counts["longer (%)"].between(0, 100).all()
    rows = nds_nb301.rows_of_counts("nds_nb301", counts, "smoke")
    assert [row.unit for row in rows] == ["nodes"] * 5
    assert isinstance(rows[0], Row)
    assert rows[0].value == counts.loc["DARTS", ["longest, least", "longest, greatest"]].mean()
    assert "printed: 500" in rows[0].note


def test_the_figure_shows_both_or_says_why_not() -> None:
    counts = pd.DataFrame({key: [500.0, 600.0] for key in nds_nb301.COUNTS}, index=["DARTS", "ENAS"])
    agreement = nds_nb301.beside_published(data(), published(), resamples=50)
    drawn = nds_nb301.nds_overview(counts, agreement).axes[1]
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["SNIP", "Synflow", "NWOT"]
    widths = [bar.get_width() for bar in drawn.patches]
    assert widths == pytest.approx([*agreement["ours"], *agreement["theirs"]])
    empty = nds_nb301.nds_overview(counts, None, "not collected").axes[1]
    assert [text.get_text() for text in empty.texts] == ["not collected"]
    with pytest.raises(BadInput, match="expected printed"):
        nds_nb301.nds_overview(counts[["printed"]], None)
