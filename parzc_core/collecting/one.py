"""What is collected of an architecture: its node statistics and network-level scores, and those of its isomorphic twins."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from parzc_core import labels
from parzc_core.collecting.fast import forget, passes_of
from parzc_core.collector import NodeStatistics, node_order, statistics_of
from parzc_core.errors import BadInput, UnknownName, names_of, whole
from parzc_core.images.batch import MiniBatch, minibatch
from parzc_core.passes import Passes
from parzc_core.proxies import NODE_PROXIES, NODE_REGISTRY, NodeTensors, check_node_proxies, passes_read
from parzc_core.scores import registry
from parzc_core.spaces import Isomorphism
from parzc_core.spaces import space as space_named
from parzc_core.storage.statistics import Record, round_mantissa

OWN_PASSES = ("zen", "zico")  # scores that read no pass that others share
COUNTING_SCORES = (  # see dead operations too, as in the published networks
    "params", "flops", "nwot", "zen", "eznas", "swap", "meco", "vkdnw", "trainable_layers",
)  # fmt: skip


@dataclass(frozen=True)
class CollectionConfig:
    """What is collected; two collections with equal configurations hold equal values.

    space, dataset: names. images: "foolbox", "noise" or a folder of images (see parzc_core.images.batch).
    cells: size of the sample. seed: of the sample. batch_seed: of the image draw. init_seed: of every network's initial weights.
    batch: images in the mini-batch (the paper uses 16). proxies: node-wise ones. scores: network-level ones.
    share_isomorphic: architectures that are the same function of their weights are computed once.
    width: channels of the networks' first stage, or where the space's WIDTH is "image_size" the side of the images in pixels;
        None takes the benchmark's own.
    sample: None for a random sample of the space; "labelled" for the first `cells` architectures that have labels.
    variant: of the space's VARIANTS, other networks of the same architectures; None takes the space's own.
    most_parameters: only architectures with at most so many parameters (a random sample of autoformer).
    sums: True keeps one number an architecture and node-wise proxy, its sum over nodes, among the scores, and no nodes.
    """

    space: str = "nb201"
    dataset: str = "cifar10"
    images: str = "foolbox"
    cells: int = 3000
    seed: int = 0
    batch_seed: int = 0
    init_seed: int = 0
    batch: int = 16
    proxies: tuple[str, ...] = NODE_PROXIES
    scores: tuple[str, ...] = ("params", "flops", "jacov", "nwot", "zen", "zico")
    share_isomorphic: bool = False
    width: int | None = None
    sample: str | None = None
    variant: str | None = None
    most_parameters: float | None = None
    sums: bool | None = None

    def __post_init__(self) -> None:
        space_named(self.space)
        for name in ("proxies", "scores"):
            object.__setattr__(self, name, names_of(name, getattr(self, name)))
        check_node_proxies(self.proxies)
        if not self.proxies and not self.scores:
            raise BadInput("got neither proxies nor scores; expected a name of either: there is nothing to collect")
        for name in self.scores:
            if name not in registry.REGISTRY:
                raise UnknownName.of("network-level proxy", name, registry.REGISTRY)
        for name, least in (("cells", None), ("batch", None), ("seed", 0), ("batch_seed", 0), ("init_seed", 0)):
            whole(name, getattr(self, name), least)
        if self.width is not None:
            whole("width", self.width, 1)
        if self.cells < 1 or self.batch < 2:
            raise BadInput(f"got cells={self.cells}, batch={self.batch}; expected at least 1 cell and 2 images")
        if self.sample not in (None, "labelled"):
            raise UnknownName.of("sample", self.sample, ("labelled",))
        if self.variant is not None and self.variant not in _variants(self.space):
            raise UnknownName.of(f"variant of {self.space}'s networks", self.variant, _variants(self.space))
        if self.most_parameters is not None and (self.space != "autoformer" or self.sample is not None):
            raise BadInput(
                f"got most_parameters={self.most_parameters:g} for {self.sample or 'a random sample'} of {self.space}; "
                "only a random sample of autoformer can be limited so"
            )

    def plain(self) -> dict[str, Any]:
        """As JSON knows it: lists for tuples, what is None left out."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if value is not None}


def _variants(space: str) -> dict[str, dict[str, Any]]:
    """Name -> arguments of the space's `build`, for other networks of the same architectures; most spaces have none."""
    return getattr(space_named(space), "VARIANTS", {})


def architectures(config: CollectionConfig) -> list[str]:
    """The sample, in its order. Raises BadInput where there are fewer architectures, LabelsMissing, CorruptDownload."""
    if config.sample == "labelled":
        known = labels.architectures(config.space, config.dataset)
        if config.cells > len(known):
            raise BadInput(
                f"got cells={config.cells}; expected at most {len(known)}, the labelled ones of {config.space}"
            )
        return known[: config.cells]
    limit = {} if config.most_parameters is None else {"most_parameters": config.most_parameters}
    return space_named(config.space).sample(config.cells, config.seed, **limit)


def batch_of(config: CollectionConfig) -> MiniBatch:
    """The mini-batch; a network built for another image size sees images of that size. Raises BadInput."""
    side = config.width if space_named(config.space).WIDTH == "image_size" else None
    return minibatch(config.dataset, config.batch, config.images, config.batch_seed, side)


def record(config: CollectionConfig, arch: str, batch: MiniBatch) -> Record:
    """Everything that is stored of one architecture; where isomorphic ones share, computed on their representative's network."""
    if config.share_isomorphic:
        representative = space_named(config.space).isomorphism(arch).representative
        return records(config, representative, [(0, arch)], batch)[0]
    return records(config, arch, [(0, arch)], batch)[0]


def _computed(config: CollectionConfig, arch: str, batch: MiniBatch) -> Record:
    """Computed on the architecture's own network."""
    live = passes_of(_network(config, arch, batch, True), batch.images, batch.labels, "hessian" in passes_read(config.proxies))
    statistics = statistics_of(live, config.proxies)
    of_published = [name for name in config.scores if name in COUNTING_SCORES and space_named(config.space).DEAD_OPERATIONS]
    scores = _scores(live, [name for name in config.scores if name not in of_published])
    if of_published:
        published = Passes(_network(config, arch, batch, False), batch.images, batch.labels, consume=True)
        scores |= _scores(published, of_published)
    return Record(arch, statistics, {name: scores[name] for name in config.scores})


def _scores(passes: Passes, names: Sequence[str]) -> dict[str, float]:
    """Those that make passes of their own come last, when the memory of shared ones is given back."""
    found = {name: registry.score_of(name, passes) for name in names if name not in OWN_PASSES}
    forget(passes)
    return found | {name: registry.score_of(name, passes) for name in names if name in OWN_PASSES}


def records(
    config: CollectionConfig, representative: str, members: Sequence[tuple[int, str]], batch: MiniBatch
) -> list[Record]:
    """Everything that is stored of `members` (position in the sample, architecture), all isomorphic to `representative`.

    One network is computed, the representative's, and every member has its values, as if its layers had been drawn in the
    representative's order. A member's own initial weights count where it has nodes that the representative lacks: for their
    l2_norm, and for the scores that see them (COUNTING_SCORES).
    """
    known = _computed(config, representative, batch)
    found = [_of_member(config, known, position, arch, batch) for position, arch in members]
    return [_summed(one) for one in found] if config.sums else found


def _summed(full: Record) -> Record:
    """The record with sums over nodes in place of nodes, rounded as nodes are in the store."""
    sums = {proxy: float(round_mantissa(np.array(value))) for proxy, value in full.statistics.sums().items()}
    none = NodeStatistics((), (), np.empty((0, 0)), np.empty(0, dtype=np.int64), ())
    return Record(full.arch, none, {**sums, **full.scores}, full.position)


def _of_member(config: CollectionConfig, known: Record, position: int, arch: str, batch: MiniBatch) -> Record:
    if arch == known.arch:
        return Record(arch, known.statistics, known.scores, position)
    isomorphism = space_named(config.space).isomorphism(arch)
    network = _network(config, arch, batch, skip_dead=False)
    order = passes_of(network, _small(config.space, batch.images[:2]), batch.labels[:2])
    statistics = _carried_over(known.statistics, isomorphism, order, config.proxies)
    scores = dict(known.scores)
    own = [name for name in config.scores if name in COUNTING_SCORES]
    if own and len(isomorphism.nodes) < len(order.nodes):
        passes = Passes(network, batch.images, batch.labels, consume=True)
        scores |= {name: registry.score_of(name, passes) for name in own}
    return Record(arch, statistics, scores, position)


def _small(space: str, images: torch.Tensor) -> torch.Tensor:
    """Every fourth row and column of the images, where the space says that the order of nodes is the same on these."""
    return images[:, :, ::4, ::4] if getattr(space_named(space), "ANY_IMAGE_SIZE", False) else images


def _carried_over(
    known: NodeStatistics, isomorphism: Isomorphism, order: Passes, proxies: Sequence[str]
) -> NodeStatistics:
    """The representative's statistics in the node order of the network in `order`; dead nodes last, by their weights alone."""
    live_calls = [call for call in order.calls if call.name in isomorphism.nodes]
    nodes, execution_order = node_order(live_calls, list(order.nodes))
    place = {node: i for i, node in enumerate(known.nodes)}
    columns, numel = [], []
    for node in nodes:
        weight = order.nodes[node].weight.detach()
        numel.append(weight.numel())
        if node in isomorphism.nodes:
            columns.append(known.values[:, place[isomorphism.nodes[node]]])
        else:
            columns.append(np.array([NODE_REGISTRY[k].value(NodeTensors(weight)) for k in proxies]))
    values = np.stack(columns, axis=1).reshape(len(proxies), len(nodes))
    return NodeStatistics(nodes, tuple(proxies), values, np.array(numel, dtype=np.int64), execution_order)


def _network(config: CollectionConfig, arch: str, batch: MiniBatch, skip_dead: bool) -> nn.Module:
    torch.manual_seed(config.init_seed)
    space = space_named(config.space)
    options = {} if config.width is None else {space.WIDTH: config.width}
    if config.variant is not None:
        options |= _variants(config.space)[config.variant]
    return space.build(arch, classes=batch.classes, skip_dead=skip_dead, **options)
