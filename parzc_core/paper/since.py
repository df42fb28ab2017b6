"""What papers since ParZC print for NAS-Bench-201 without a label: Kendall's tau, percent.

From Table 1 of Tybl & Neumann (CVPR 2025), in the order CIFAR-10, CIFAR-100, ImageNet16-120. They judge on the cells of GRAF
(ICML 2024), 9,445 without an operation that leads nowhere (`nb201.leads_nowhere`). Their FLOPs leave pooling out, so
that they order cells as numbers of parameters do: on these cells those have 62.1, 58.6 and 54.7.
"""

import math

THEIRS = ", cells of VKDNW"  # behind a column: what is judged on these cells
ORDERED_AS = {"FLOPs": "Params"}  # printed -> what orders cells in the same way here

PRINTED = {
    "Trainable layers": (62.6, 64.6, 62.3),
    "VKDNW": (61.8, 63.4, 62.2),
    "AZ-NAS": (71.2, 69.6, 67.3),
    "VKDNW aggregate": (75.0, 75.3, 74.3),
    "FLOPs": (62.3, 58.6, 54.5),
    "Synflow": (56.1, 55.3, 53.1),
    "NWOT": (57.1, 60.7, 60.5),
    "Jacov": (61.6, 63.9, 60.2),
}


def beside(value: float, low: float, high: float, printed: float = math.nan) -> str:
    """Ours, its interval and the printed value: "70.1 [68.8, 71.5] (71.2)"; NaN where nothing is printed."""
    return f"{value:.1f} [{low:.1f}, {high:.1f}]" + ("" if math.isnan(printed) else f" ({printed:.1f})")
