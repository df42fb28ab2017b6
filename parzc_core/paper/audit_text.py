"""The text of the paper (numbers, sentences, equations) against its printed tables and against arithmetic."""

import re

import numpy as np

from parzc_core.paper import printed
from parzc_core.paper.findings import Outcome, along, down, finding, listed, value

NB201_CELLS = 15_625
INPUT_SIZES = {"NB201": 294, "NB101": 249, "Amoeba": 2832, "DARTS": 2000, "ENAS": 2752, "NASNet": 2520, "PNAS": 2912}
FIG2_PROXIES = frozenset({"Synflow", "GradNorm", "Fisher"})  # Sec. 1
A2_PROXIES = frozenset({"Plain", "Synflow", "SNIP", "GradNorm", "Fisher", "L2Norm"})
DETAILS_PROXIES = frozenset({"Synflow", "SNIP", "GradNorm", "Fisher"})
A1_PROXIES = frozenset({"Fisher", "GradNorm", "GraSP", "L2Norm", "Plain", "SNIP", "Synflow"})


def printed_diff_kendall(x: np.ndarray, y: np.ndarray, alpha: float = 0.5) -> float:
    """The equation of Sec. 3.4 to the letter: -sum over i != j of sigma(x_i - x_j) sigma(y_i - y_j), over C(L, 2).

    sigma(d) = sigmoid(alpha d) - sigmoid(-alpha d) = tanh(alpha d / 2).
    """
    smooth_x, smooth_y = (
        np.tanh(alpha * (v[:, None] - v[None, :]) / 2) for v in (x, y)
    )  # (L, L), zero on the diagonal
    return float(-(smooth_x * smooth_y).sum() / (len(x) * (len(x) - 1) / 2))


def printed_min_max(values: np.ndarray) -> np.ndarray:
    """The equation of Sec. 3.2 to the letter, with its 0/0."""
    with np.errstate(invalid="ignore"):
        return (values - values.min()) / (values.max() - values.min())


def printed_algorithm1(children: dict[str, tuple[str, ...]]) -> list[str]:
    """Algorithm 1 to the letter, on a graph of parameter-based nodes: the nodes in the order they are collected."""
    visited: set[str] = set()

    def search(node: str) -> list[str]:
        visited.add(node)
        below = [found for child in children[node] if child not in visited for found in search(child)]
        return [*below, node]

    return [found for node in children for found in search(node)]  # line 3 does not ask whether the node was visited


@finding("S3.4-diffkendall")
def _() -> Outcome:
    x = np.arange(8.0)
    ends = [printed_diff_kendall(x, y, alpha=100) for y in (x, -x)]
    text = (
        f"8 values, large alpha: {ends[0]:+.2f} when the orders agree (tau +1), {ends[1]:+.2f} when reversed (tau -1)"
    )
    return Outcome(text, bool(np.allclose(ends, [-2, 2])))


@finding("S3.2-minmax")
def _() -> Outcome:
    scaled = printed_min_max(np.full(5, 3.0))
    return Outcome(f"five equal values give {scaled.tolist()}", bool(np.isnan(scaled).all()))


@finding("Alg1-twice")
def _() -> Outcome:
    found = printed_algorithm1({"a": ("b",), "b": ("c",), "c": ()})
    text = f"a chain of 3 nodes a, b, c gives {len(found)} entries: {', '.join(found)}"
    return Outcome(text, len(found) > len(set(found)))


@finding("S3.3-rho")
def _() -> Outcome:
    rho = -5.0
    softplus, log_variance = np.log1p(np.exp(rho)), np.exp(rho / 2)
    text = (
        f"at rho = {rho:g} the equation gives a standard deviation of {softplus:.4f}, a log variance {log_variance:.4f}"
    )
    return Outcome(text, not np.isclose(softplus, log_variance, rtol=0.1))


@finding("S3.3-mixing")
def _() -> Outcome:
    return Outcome("not a matter of printed numbers: the text against a public implementation", None)


@finding("S3-symbol-L")
def _() -> Outcome:
    return Outcome("not a matter of printed numbers: notation", None)


@finding("S4-judged-on")
def _() -> Outcome:
    return Outcome("not a matter of printed numbers: two sentences, and the benchmark's own 108 epochs", None)


@finding("T7-failed-runs")
def _() -> Outcome:
    return Outcome("not a matter of printed numbers: the text against the public code of PINAT", None)


@finding("A-nb101-spaces")
def _() -> Outcome:
    columns = along("table01", "ParZC", "kendall")
    nds = [name for name in ("ENAS", "DARTS", "NASNet") if f"NDS-{name}" in columns]
    return Outcome(f"Table 1 prints {', '.join(nds)} as spaces of NDS", len(nds) == 3)


@finding("A-time-column")
def _() -> Outcome:
    timed = [t for t in ("table01", "table11") if "Time(s)" in set(printed(t)["column"])]
    return Outcome(f"tables with a time column, of those named there (1, 11): {', '.join(timed)}", timed == ["table11"])


@finding("S4.2-percentage")
def _() -> Outcome:
    share = 100 * 78 / NB201_CELLS
    return Outcome(f"78 / {NB201_CELLS:,} = {share:.3f} %", round(share, 2) == 0.5)


@finding("A-input-size")
def _() -> Outcome:
    rest = {name: size % 4 for name, size in INPUT_SIZES.items()}
    text = "remainder by 4: " + ", ".join(f"{name} {INPUT_SIZES[name]} -> {left}" for name, left in rest.items())
    text += f"; 294 = 3 x {294 // 3}, 249 = 3 x {249 // 3}"
    return Outcome(
        text, {name for name, left in rest.items() if left} == {"NB201", "NB101"} and 294 % 3 == 249 % 3 == 0
    )


@finding("A-proxies")
def _() -> Outcome:
    sizes = [len(names) for names in (A1_PROXIES, A2_PROXIES, DETAILS_PROXIES, FIG2_PROXIES)]
    return Outcome(
        "proxies named in A.1, A.2, the details of A.4, Fig. 2: " + ", ".join(map(str, sizes)), sizes == [7, 6, 4, 3]
    )


@finding("A.2-three-more")
def _() -> Outcome:
    more = sorted(A2_PROXIES - FIG2_PROXIES)
    text = f"{len(A2_PROXIES)} names, of which {len(A2_PROXIES & FIG2_PROXIES)} are in Fig. 2; "
    return Outcome(f"{text}additional: {', '.join(more)}", len(A2_PROXIES) == 6 and more == ["L2Norm", "Plain", "SNIP"])


def searched() -> dict[str, tuple[float, float]]:
    """Table 10 as ranges: name -> (lowest, highest)."""
    ranges = {}
    for cell in printed("table10").itertuples():
        numbers = [float(text) for text in re.findall(r"[\d.]+(?:e-?\d+)?", str(cell.note))]
        ranges[str(cell.row)] = (numbers[0], numbers[-1])
    return ranges


@finding("A.4-T10")
def _() -> Outcome:
    text_ranges = {"Depth": (2, 5), "Dropout": (0.01, 0.5), "Epochs": (20, 300), "Dimension": (256, 1024)}  # A.4
    table = searched()
    differ = {name: (r, table[name]) for name, r in text_ranges.items() if r != table[name]}
    parts = [f"{name} {a[0]:g}-{a[1]:g} / {b[0]:g}-{b[1]:g}" for name, (a, b) in differ.items()]
    return Outcome(f"A.4 / Table 10: {', '.join(parts)}; heads, keys and values only in A.4", len(differ) == 4)


@finding("T10-batch")
def _() -> Outcome:
    low, high = searched()["Batch Size"]
    return Outcome(f"batch 10, searched {low:g} to {high:g}", not low <= 10 <= high)


@finding("A-segment")
def _() -> Outcome:
    length, size, widest = 752, 16, searched()["Dimension"][1]
    text = f"{length} / {size} = {length // size} segments, remainder {length % size}; "
    text += f"{size} x {length} = {size * length:,} > {widest:,.0f}"
    return Outcome(text, length % size == 0 and size * length > widest >= length)


@finding("Fig4-tau")
def _() -> Outcome:
    two = along("table02", "ParZC", "kendall")
    every = {f"Table {n}, {column}": x for n in (1, 2) for column, x in along(f"table0{n}", "ParZC", "kendall").items()}
    nearest = min((name for name in every if "NB201" in name), key=lambda name: abs(every[name] - 78.24))
    elsewhere = [column for column, x in two.items() if x == 78.2]
    text = f"nearest on NB201: {every[nearest]:g} ({nearest}); 78.2 is printed for {', '.join(elsewhere)}"
    return Outcome(text, abs(every[nearest] - 78.24) > 0.05)


@finding("Fig4-S424")
def _() -> Outcome:
    same = [column for column, x in along("table02", "ParZC", "kendall").items() if x == round(78.24, 1)]
    return Outcome(f"78.24 rounds to {round(78.24, 1):g}, which Table 2 has for {', '.join(same)}", same == ["NB101 S_424 (all)"])


@finding("T2-best")
def _() -> Outcome:
    ours, theirs = (along("table02", row, "kendall") for row in ("ParZC", "PINAT"))
    gap = {column: ours[column] - theirs[column] for column in ours if column.startswith("NB101")}
    behind = [column for column, x in gap.items() if x < 0]
    return Outcome(f"ParZC - PINAT: {listed(gap)}", behind == ["NB101 S_424 (100 cells)"])


@finding("T2-ten-percent")
def _() -> Outcome:
    ours, theirs = (along("table02", row, "kendall") for row in ("ParZC", "PINAT"))
    gap = {column: ours[column] - theirs[column] for column in ours if column.startswith("NB201")}
    mean = sum(gap.values()) / len(gap)
    return Outcome(f"ParZC - PINAT: {listed(gap)}; mean {mean:+.1f} points of KD, no SP is printed", mean < 9)


@finding("ok-T2-78")
def _() -> Outcome:
    ours = value("table02", "ParZC", "NB201 S'_78", "kendall")
    theirs = value("table02", "PINAT", "NB201 S'_156", "kendall")
    return Outcome(f"{ours:g} against {theirs:g}", ours > theirs)


@finding("T1-eznas")
def _() -> Outcome:
    parts = []
    for column, eznas in along("table01", "EZNAS", "spearman").items():
        others = down("table01", column, "spearman")
        ahead = {row: x for row, x in others.items() if row not in ("EZNAS", "ParZC") and x > eznas}
        if ahead and column != "NB101-CF10":
            parts.append(f"{column}: EZNAS {eznas:g}, {listed(ahead, 'g')}")
    return Outcome(f"SP on {'; '.join(parts)}", len(parts) == 3)


@finding("T1-margin")
def _() -> Outcome:
    gaps = {}
    for name, metric in (("SP", "spearman"), ("KD", "kendall")):
        cells = down("table01", "NDS-DARTS", metric)
        gaps[name] = cells["ParZC"] - max(cells["Params"], cells["FLOPs"])
    return Outcome(f"ParZC - best of Params and FLOPs on NDS-DARTS: {listed(gaps)}", max(gaps.values()) < 1)


@finding("S1-eznas-nwot")
def _() -> Outcome:
    eznas, nwot = (along("table01", row, "spearman") for row in ("EZNAS", "NWOT"))
    gap = {column: eznas[column] - nwot[column] for column in eznas}
    return Outcome(f"SP, EZNAS - NWOT: {listed(gap)}", min(gap.values()) < 0.5 and max(gap.values()) > 7.5)


@finding("T1-missing-proxies")
def _() -> Outcome:
    lacking = sorted({"Jacov", "Plain"} - set(printed("table01")["row"]))
    return Outcome(f"not in Table 1: {', '.join(lacking)}", lacking == ["Jacov", "Plain"])


@finding("T3-cost")
def _() -> Outcome:
    three, nine = value("table03", "ParZC", "Cost", "gpu_seconds"), value("table09", "ParZC", "Search", "seconds")
    days = value("table04", "ParZC", "GPU Days", "gpu_days")
    seconds = {"0.2 hours": 720, "Table 3": three, "Table 9": nine, "Table 4": days * 86_400}
    return Outcome(f"in seconds: {listed(seconds, 'g')}", len(set(seconds.values())) == 4 and round(nine) != three)


@finding("T3-gradsign")
def _() -> Outcome:
    cost = value("table03", "GradSign", "Cost", "gpu_seconds")
    return Outcome(f"cost of GradSign in Table 3: {'-' if np.isnan(cost) else cost}", bool(np.isnan(cost)))


@finding("S4.3-cost")
def _() -> Outcome:
    days = down("table04", "GPU Days", "gpu_days")
    times = {row: x / days["ParZC"] for row, x in days.items() if row in ("AutoFormer-Ti", "VITAS-C")}
    return Outcome(f"times the cost of ParZC: {listed(times, '.0f')}", min(times.values()) > 100)


@finding("S1-nasnet-cost")
def _() -> Outcome:
    days = 2000 / 24
    return Outcome(f"2,000 GPU hours = {days:.1f} GPU days; 800 are {800 / days:.1f} times as many", 800 / days > 2)


@finding("ok-S4.4")
def _() -> Outcome:
    kendall, spearman = (down("table06", "NB201-CF10 78", metric) for metric in ("kendall", "spearman"))
    steps = (kendall["Mixer"] - kendall["MLP"], spearman["Mixer"] - spearman["MLP"])
    last = kendall["NP+Mixer+BN"] - kendall["Mixer+BN"]
    run1 = value("table08", "NP+Mixer+BN", "Run1", "kendall") - kendall["Mixer+BN"]
    text = f"{steps[0]:.2f} KD, {steps[1]:.2f} SP; NP on top: {last:.2f} KD (from run 1 it would be {run1:.2f})"
    return Outcome(text, bool(np.allclose((*steps, last), (7.65, 6.69, 1.2))))


@finding("S4.4-np")
def _() -> Outcome:
    kendall = down("table06", "NB201-CF10 78", "kendall")
    gain = {base: kendall[f"NP+{base}"] - kendall[base] for base in ("Mixer", "BN", "Mixer+BN")}
    return Outcome(f"KD with NP minus without: {listed(gain, '+.2f')}", gain["Mixer"] < 0)


@finding("ok-T7")
def _() -> Outcome:
    margins = {}
    for name, metric in (("KD", "kendall"), ("SP", "spearman")):
        cells = down("table07", "NB101-CF10 178", metric)
        margins[name] = cells.pop("DiffKendall") - max(cells.values())
    return Outcome(f"ahead of the next by {listed(margins, '.2f')}", min(margins.values()) > 0)
