"""ParZC: node-wise zero-cost statistics, and a mixer with Bayesian layers that learns to rank architectures from them.

    from parzc_core import collect_statistics, encode, fit

    statistics = [collect_statistics(network, images, labels) for network in networks]
    inputs = encode(statistics)                         # float32[n, D]
    ranker = fit(inputs[:20], accuracies)               # accuracies of the first 20 networks, percent
    scores = ranker.predict(inputs)                     # float64[n], higher means better

**Reading order.** These files are §3 of the paper; none of them imports a folder.

    proxies        what a zero-cost proxy reads of a node, and the formulas of the seven (§3.1)
    passes         the forward and backward passes of one batch that the formulas read
    _networks      what a network may be: its nodes, a copy of it, or its state saved and restored
    _watch         records which nodes a forward pass calls, by module or by weight
    _fast_layers   faster layers for these passes on a CPU, with the same results
    collector      Algorithm 1: the statistics of every node of a network from one batch, in depth-first order
    encoding       min-max scaling of the statistics (§3.2), and an aligned encoding
    mabn           the mixer with Bayesian layers (§3.3)
    gcn            NP, the graph network that Table 6 adds to it (A.4)
    ranker         MABN alone, or the components of Table 6 put together
    losses         DiffKendall (§3.4) and the losses that Table 7 compares it with
    training       fit, predict, save and load a ranker (§4.1)
    metrics        correlations with the published accuracies, and their intervals
    errors         the named errors

**Folders**, from the bottom up. Imports go downwards only.

    files          pinned downloads, safe readers of pickles and TFRecords
    spaces         search spaces: an architecture -> its network, its graph, its nodes
    images         the batch of CIFAR-10 images, and Fashion-MNIST
    paper          what the paper prints: its tables, its claims and their audit
    scores         network-level zero-cost scores: one number for a network
    labels         published accuracies: accuracy(space, dataset, split)
    storage        stored statistics, runs and result rows
    collecting     statistics of a sample of a space, joined with its labels
    predictors     the rival predictors of Table 2, and ParZC+
    own            your own networks, spaces and labels: ordered, ranked and searched
    runs           everything that is trained and judged; each run is stored once
    search         search methods with and without ParZC (Tables 3 and 9)
    tuning         hyper-parameter studies (Table 10)
    quantization   mixed-precision search (Table 11)
    drawing        the style of the figures, and figures that several experiments use
    report         the comparison with the paper, and the report page
    experiments    one module for each notebook
    verifying      recomputes a sample of the committed results
    pipeline       runs the notebooks

Beside the core: `_state` (a network and generators as they were), `_graph` (what autograd's graph tells of a tensor),
`_nested` (tensors in tuples and dicts), `_seeding`, `_denormals` (tiny numbers as zeros), `_resampling` (bootstrap draws of
rank correlations), `paths` (folders), `checkpoints` (of long trainings), `npz` (kept arrays), `profiles` (sizes of a run),
`artifact` (the list of notebooks), `cli` (the command).
The names below are imported at first use, so `import parzc_core` alone is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parzc_core.collecting.labelled import load
    from parzc_core.collector import collect_statistics
    from parzc_core.encoding import encode
    from parzc_core.losses import diff_kendall
    from parzc_core.mabn import MABN, MABNConfig
    from parzc_core.own import (
        NetworkRanker,
        collect_space,
        describe,
        load_ranker,
        order_networks,
        rank_networks,
        search_networks,
    )
    from parzc_core.runs.compare import compare_proxies
    from parzc_core.scores import network_proxies
    from parzc_core.training import FittedRanker, fit

__version__ = "0.1.0"
__all__ = [
    "MABN",
    "FittedRanker",
    "MABNConfig",
    "NetworkRanker",
    "__version__",
    "collect_space",
    "collect_statistics",
    "compare_proxies",
    "describe",
    "diff_kendall",
    "encode",
    "fit",
    "load",
    "load_ranker",
    "network_proxies",
    "order_networks",
    "rank_networks",
    "search_networks",
]

_MODULES = {
    "MABN": "mabn",
    "FittedRanker": "training",
    "MABNConfig": "mabn",
    "NetworkRanker": "own",
    "collect_space": "own",
    "compare_proxies": "runs.compare",
    "describe": "own",
    "collect_statistics": "collector",
    "diff_kendall": "losses",
    "encode": "encoding",
    "fit": "training",
    "load": "collecting.labelled",
    "load_ranker": "own",
    "network_proxies": "scores",
    "order_networks": "own",
    "rank_networks": "own",
    "search_networks": "own",
}


def __getattr__(name: str) -> Any:
    """Import a name of the facade when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
