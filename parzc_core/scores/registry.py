"""The registry of network-level scores: one number for a whole untrained network, higher meaning better."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from parzc_core import _plugins
from parzc_core._state import same_start
from parzc_core.errors import BadInput, UnknownName, names_of
from parzc_core.passes import Batch, Loss, Passes, with_passes
from parzc_core.proxies import NODE_REGISTRY

Score = Callable[[Passes], float]
REGISTRY: dict[str, Score] = {}


def network_score(function: Score) -> Score:
    """Register the decorated score under its own name."""
    REGISTRY[function.__name__] = function
    return function


def score(name: str, network: nn.Module, images: Batch, labels: Any, *, loss: Loss | None = None) -> float:
    """One score; the network and the caller's random generator are left as they were. Raises UnknownName, BadInput."""
    return with_passes(network, images, labels, lambda passes: score_of(name, passes), loss=loss)


def score_of(name: str, passes: Passes) -> float:
    """`score` on passes that others share. Raises UnknownName; BadInput for what cannot be computed of such a network."""
    if not _plugins.known(name, REGISTRY):
        raise UnknownName.of("network-level proxy", name, REGISTRY)
    with same_start():
        try:
            return float(REGISTRY[name](passes))
        except (BadInput, MemoryError):
            raise
        except Exception as error:
            raise BadInput(f"{name} cannot be computed of this network: {type(error).__name__}: {error}") from error


def network_proxies(
    network: nn.Module,
    images: Batch,
    labels: Any,
    names: Iterable[str] | None = None,
    *,
    loss: Loss | None = None,
) -> dict[str, float]:
    """Network-level scores, higher meaning better: {name: score}.

    names: of `REGISTRY` (params, flops, jacov, nwot, zen, zico), or node-wise names, which give the sum over
        nodes; None gives every network-level one, without those that are not defined for such a network (a warning names
        them). images float32[N, C, H, W], labels int64[N], loss: see `collector.collect_statistics`. The network is left as it
        was.
    Raises UnknownName, BadInput.
    """
    # Imported here: both build on the registry above.
    from parzc_core import collector

    wanted = tuple(REGISTRY) if names is None else names_of("proxies", names)
    for name in wanted:
        if not _plugins.known(name, REGISTRY) and name not in NODE_REGISTRY:
            raise UnknownName.of("proxy", name, (*REGISTRY, *NODE_REGISTRY))
    node_names = [name for name in wanted if name in NODE_REGISTRY]
    scores: dict[str, float] = {}
    if node_names:
        scores = collector.collect_statistics(network, images, labels, node_names, loss=loss).sums()
    refused: dict[str, BadInput] = {}
    for name in wanted:
        if name in REGISTRY:
            try:
                scores[name] = score(name, network, images, labels, loss=loss)
            except BadInput as error:
                if names is not None:
                    raise
                refused[name] = error
    if refused and not scores:
        raise next(iter(refused.values()))
    if refused:
        reasons = "; ".join(f"{name} ({str(error).partition('; ')[0]})" for name, error in refused.items())
        warnings.warn(f"left out, as not defined for this network: {reasons}", stacklevel=2)
    return {name: scores[name] for name in wanted if name in scores}
