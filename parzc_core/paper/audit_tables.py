"""The printed tables against each other: what should be the same number, and what cannot be."""

import math
import statistics

import pandas as pd

from parzc_core.paper import printed
from parzc_core.paper.findings import Outcome, along, down, finding, listed, value

_HALF = 0.005  # half a unit of the second decimal: what rounding may hide
_ALIASES = {"RS (w/o sharing)": "Random Sample", "ENAS": "ENAS-V2"}  # the name in Table 3 -> the name in Table 9
_DATASETS = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")


def ablation_spreads() -> pd.DataFrame:
    """Table 6's ± beside the spreads of Table 8's three runs; a line for each of the 16 cells of Table 6.

    Columns row, metric, printed_mean, printed_spread, mean, variance (population, ddof 0), sample_variance, std
    (population), sample_std; NaN for the row that Table 8 lacks.
    """
    runs = printed("table08").pivot(index=["row", "metric"], columns="column", values="value")
    cells = printed("table06").set_index(["row", "metric"])
    runs = runs.reindex(cells.index)
    lines = {
        "printed_mean": cells["value"],
        "printed_spread": cells["spread"],
        "mean": runs.mean(axis=1),
        "variance": runs.var(axis=1, ddof=0),
        "sample_variance": runs.var(axis=1, ddof=1),
        "std": runs.std(axis=1, ddof=0),
        "sample_std": runs.std(axis=1, ddof=1),
    }
    return pd.DataFrame(lines).reset_index()


def table3_against_table9() -> pd.DataFrame:
    """The rows that Tables 3 and 9 share, a line for each row and data set.

    Columns row, dataset, table3, spread3; test, spread_test, valid, spread_valid from Table 9; same_value, same_spread:
    which of Table 9's columns has the number of Table 3 ("test", "valid", "both", "neither"); same: the test column has
    value and spread.
    """
    lines = []
    for row in down("table03", "CIFAR-10", "test_accuracy"):
        other = _ALIASES.get(row, row)
        if other not in down("table09", "CIFAR-10 test", "accuracy"):
            continue
        for dataset in _DATASETS:
            here, test, valid = (
                {what: value(table, name, column, metric, what) for what in ("value", "spread")}
                for table, name, column, metric in (
                    ("table03", row, dataset, "test_accuracy"),
                    ("table09", other, f"{dataset} test", "accuracy"),
                    ("table09", other, f"{dataset} valid", "accuracy"),
                )
            )
            found = [_found(here[what], test[what], valid[what]) for what in ("value", "spread")]
            line = {"row": row, "dataset": dataset, "table3": here["value"], "spread3": here["spread"]}
            line |= {"test": test["value"], "spread_test": test["spread"]}
            line |= {"valid": valid["value"], "spread_valid": valid["spread"]}
            line |= {"same_value": found[0], "same_spread": found[1], "same": set(found) <= {"test", "both"}}
            lines.append(line)
    return pd.DataFrame(lines)


def _found(here: float, test: float, valid: float) -> str:
    """Which of the two is the number here; nothing printed (NaN) equals nothing printed."""
    at = [name for name, other in (("test", test), ("valid", valid)) if str(here) == str(other)]
    return "both" if len(at) == 2 else at[0] if at else "neither"


def rank_bounds() -> pd.DataFrame:
    """Every printed pair of KD and SP, against what is possible.

    For n values without ties |3 n tau - 2 (n + 1) rho| <= n - 2 (Daniels, 1950), so |3 tau - 2 rho| <= 1 for many values.
    Columns table, row, column, kendall, spearman (in percent as printed), bound (|3 tau - 2 rho|), possible.
    """
    pairs = []
    for table in ("table01", "table05", "table06", "table07", "table08"):
        wide = printed(table).pivot(index=["row", "column"], columns="metric", values="value").reset_index()
        pairs.append(wide.assign(table=table)[["table", "row", "column", "kendall", "spearman"]])
    frame = pd.concat(pairs, ignore_index=True)
    frame["bound"] = (3 * frame["kendall"] - 2 * frame["spearman"]).abs() / 100
    return frame.assign(possible=frame["bound"] <= 1)


@finding("T6-spread")
def _() -> Outcome:
    cells = ablation_spreads().dropna()
    off = (cells["printed_spread"] - cells["variance"]).abs()
    as_std = cells[["std", "sample_std"]].sub(cells["printed_spread"], axis=0).abs().min(axis=1) <= _HALF
    text = f"|± - population variance| is at most {off.max():.4f} over {len(cells)} shared cells; "
    return Outcome(f"{text}± is a standard deviation in {int(as_std.sum())} of them", bool((off <= _HALF).all()))


@finding("ok-T6-means")
def _() -> Outcome:
    cells = ablation_spreads().dropna()
    off = (cells["printed_mean"] - cells["mean"]).abs().max()
    return Outcome(f"largest difference over {len(cells)} cells: {off:.4f}", bool(off <= _HALF + 1e-9))


@finding("S4.4-run1")
def _() -> Outcome:
    runs = [
        {f"Run{i}": value("table08", "NP+Mixer+BN", f"Run{i}", metric) for i in (1, 2, 3)}
        for metric in ("kendall", "spearman")
    ]
    means = [statistics.fmean(run.values()) for run in runs]
    best = all(max(run, key=lambda name: run[name]) == "Run1" for run in runs)
    text = f"run 1 = {runs[0]['Run1']:.2f} / {runs[1]['Run1']:.2f}, {'' if best else 'not '}the largest in both; "
    text += f"mean of three = {means[0]:.2f} / {means[1]:.2f}"
    return Outcome(text, best and (runs[0]["Run1"], runs[1]["Run1"]) == (69.98, 87.90))


@finding("T8-missing-row")
def _() -> Outcome:
    lacking = [row for row in down("table06", "NB201-CF10 78", "kendall") if row not in set(printed("table08")["row"])]
    return Outcome(f"rows of Table 6 that Table 8 lacks: {', '.join(lacking)}", lacking == ["Mixer+BN"])


@finding("T1-sign")
def _() -> Outcome:
    odd = rank_bounds().query("not possible")
    text = "; ".join(
        f"{line.row} {line.column}: SP {line.spearman:g}, KD {line.kendall:g}, |3 KD - 2 SP| = {line.bound:.2f} > 1"
        for line in odd.itertuples()
    )
    return Outcome(text, list(odd["row"] + " " + odd["column"]) == ["GradNorm NB201-CF100", "SNIP NB201-CF100"])


@finding("ok-bounds")
def _() -> Outcome:
    pairs = rank_bounds()
    rest = pairs[~((pairs["table"] == "table01") & (pairs["spearman"] == -63))]
    text = f"{len(rest)} other pairs, largest |3 KD - 2 SP| = {rest['bound'].max():.2f}"
    return Outcome(text, bool(rest["possible"].all()))


@finding("T2-metric")
def _() -> Outcome:
    two = value("table02", "NP", "NB201 S'_78", "kendall")
    kendall, spearman = (value("table06", "NP", "NB201-CF10 78", metric) for metric in ("kendall", "spearman"))
    text = f"NP, 78 samples: Table 2 {two:g}; Table 6 KD {kendall:g}, SP {spearman:g}"
    return Outcome(text, abs(two - kendall) < 0.05 < abs(two - spearman))


@finding("T2-duplicate-column")
def _() -> Outcome:
    few, every = (down("table02", f"NB101 S_424 ({judged})", "kendall") for judged in ("100 cells", "all"))
    gap = {row: few[row] - every[row] for row in few if row in every}
    text = f"first - second: {listed(gap)}; in the first only: {', '.join(row for row in few if row not in every)}"
    return Outcome(text, all(gap.values()))


@finding("T2-T6-78")
def _() -> Outcome:
    two = value("table02", "ParZC", "NB201 S'_78", "kendall")
    six = value("table06", "NP+Mixer+BN", "NB201-CF10 78", "kendall")
    return Outcome(f"Table 2 {two:g}, Table 6 {six:g}: {six - two:+.2f} points", two != six)


@finding("T3-T9-parzc")
def _() -> Outcome:
    lines = table3_against_table9().query("row == 'ParZC'").set_index("dataset").drop("CIFAR-10")
    text = "; ".join(
        f"{line.Index}: Table 3 {line.table3:.2f}±{line.spread3:.2f}, "
        f"Table 9 test {line.test:.2f}±{line.spread_test:.2f}, valid {line.valid:.2f}±{line.spread_valid:.2f}"
        for line in lines.itertuples()
    )
    return Outcome(text, list(lines["same_spread"]) == ["valid"] * 2 and list(lines["same_value"]) == ["valid", "test"])


@finding("T3-T9-rows")
def _() -> Outcome:
    lines = table3_against_table9()
    differ = lines[~lines["same"]]
    values = differ[differ["same_value"].isin(["valid", "neither"])]
    parts = [f"{line.row} {line.dataset} {line.table3:.2f} / {line.test:.2f}" for line in values.itertuples()]
    text = f"{len(differ)} of {len(lines)} shared cells differ (Table 3 / Table 9 test): {', '.join(parts)}"
    spread_only = differ.drop(values.index)
    text += "; only in the spread: " + ", ".join(f"{line.row} {line.dataset}" for line in spread_only.itertuples())
    costs = [
        f"{row} {value('table03', row, 'Cost', 'gpu_seconds'):g}"
        f" / {value('table09', _ALIASES.get(row, row), 'Search', 'seconds'):g}"
        for row in ("REA", "RS (w/o sharing)", "REINFORCE", "BOHB", "ENAS", "GDAS", "ParZC")
    ]
    text += f"; seconds: {', '.join(costs)}"
    return Outcome(text, set(differ["row"]) == {"REA", "GDAS", "ENAS", "ParZC"})


@finding("ok-optimal")
def _() -> Outcome:
    lines = table3_against_table9().query("row in ['ResNet', 'Optimal']")
    return Outcome(f"{int(lines['same'].sum())} of {len(lines)} cells are the same", bool(lines["same"].all()))


@finding("T7-samples")
def _() -> Outcome:
    best = max(down("table07", "NB101-CF10 178", "kendall").values())
    hundred, more = (value("table02", "ParZC", f"NB101 S_{n}", "kendall") for n in (100, 172))
    text = f"best KD with 178 samples {best:g} (Table 7); with 172 {more:g} and with 100 {hundred:g} (Table 2)"
    return Outcome(text, best < hundred < more)


@finding("T1-T2-parzc")
def _() -> Outcome:
    nb201, nb101 = (value("table01", "ParZC", column, "kendall") for column in ("NB201-CF10", "NB101-CF10"))
    two201, two101 = (value("table02", "ParZC", c, "kendall") for c in ("NB201 S'_469", "NB101 S_424 (all)"))
    same = [column for column, x in along("table02", "ParZC", "kendall").items() if x == nb201]
    text = f"NB201: Table 1 {nb201:g}, Table 2 {two201:g} with 469 samples; NB101: {nb101:g}, {two101:g} with 424; "
    return Outcome(f"{text}{nb201:g} is Table 2's {', '.join(same)}", nb201 < two201 and nb101 < two101)


@finding("T1-S156")
def _() -> Outcome:
    one = value("table01", "ParZC", "NB201-CF10", "kendall")
    same = [column for column, x in along("table02", "ParZC", "kendall").items() if x == one]
    return Outcome(f"Table 1 has {one:g}; Table 2 has it for {', '.join(same) or 'no column'}", same == ["NB201 S'_156"])


@finding("T9-random-valid")
def _() -> Outcome:
    random, bohb = (along("table09", row, "accuracy") for row in ("Random Sample", "BOHB"))
    ahead = {column: random[column] - bohb[column] for column in random}
    behind = [column for column, gap in ahead.items() if gap < 0]
    return Outcome(f"Random Sample - BOHB: {listed(ahead, '+.2f')}", behind == ["CIFAR-10 valid"])


@finding("T9-npenas")
def _() -> Outcome:
    valid, test = (down("table09", f"CIFAR-10 {part}", "accuracy") for part in ("valid", "test"))
    gain = {row: test[row] - valid[row] for row in valid if row in test}
    own = gain.pop("NPENAS")
    text = f"test - valid on CIFAR-10: NPENAS {own:.2f}, the other {len(gain)} rows "
    return Outcome(f"{text}{min(gain.values()):.2f} to {max(gain.values()):.2f}", own < min(gain.values()))


@finding("T9-parzc-spread")
def _() -> Outcome:
    best = value("table09", "Optimal", "CIFAR-100 valid", "accuracy")
    valid = value("table09", "ParZC", "CIFAR-100 valid", "accuracy")
    spreads = [value("table09", "ParZC", f"CIFAR-100 {part}", "accuracy", "spread") for part in ("valid", "test")]
    # three runs as far apart as rounding lets them be: two at the optimum's upper edge, the mean at its lower edge
    widest = statistics.stdev((best + _HALF, best + _HALF, best - 5 * _HALF))
    text = f"valid {valid:.2f}±{spreads[0]:.2f} where the optimum is {best:.2f}, test ±{spreads[1]:.2f}; "
    text += f"rounding allows a standard deviation of {widest:.3f} at most"
    return Outcome(text, valid == best and spreads[0] > widest - _HALF and math.isclose(spreads[1], 0))
