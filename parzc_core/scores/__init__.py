"""Network-level scores: one number for a whole untrained network, higher meaning better (Table 1).

A score registers itself when its module is imported; all are imported here.
"""

from parzc_core.scores import blocks, counts, eznas, gradients, patterns, transformers, vkdnw
from parzc_core.scores.registry import REGISTRY, network_proxies, network_score, score, score_of

__all__ = [
    "REGISTRY",
    "blocks",
    "counts",
    "eznas",
    "gradients",
    "network_proxies",
    "network_score",
    "patterns",
    "score",
    "score_of",
    "transformers",
    "vkdnw",
]
