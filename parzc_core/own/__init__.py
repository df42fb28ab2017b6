"""Your own networks, spaces and labels: describe, order, rank, search.

    from parzc_core.own import order_networks, rank_networks, search_networks, NetworkRanker, load_ranker, describe, collect_space
"""

from parzc_core.own.networks import Described, OwnSpace, collect_space, describe
from parzc_core.own.ordering import order_networks
from parzc_core.own.ranking import NetworkRanker, load_ranker, rank_networks
from parzc_core.own.searching import NetworkSearch, search_networks

__all__ = [
    "Described",
    "NetworkRanker",
    "NetworkSearch",
    "OwnSpace",
    "collect_space",
    "describe",
    "load_ranker",
    "order_networks",
    "rank_networks",
    "search_networks",
]
