"""Weights in front of a BatchNorm are scale-free: there Plain is zero and GraSP is GradNorm squared (proof: `proxies.plain`)."""

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from parzc_core.collector import NodeStatistics
from parzc_core.passes import nodes_of
from parzc_core.spaces import space as space_named


def scale_free_nodes(network: nn.Module) -> frozenset[str]:
    """Paths of the convolutions that a BatchNorm follows directly, in the order in which their module names its parts."""
    found = set()
    for path, module in network.named_modules():
        for (name, first), (_, second) in itertools.pairwise(module.named_children()):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                found.add(f"{path}.{name}" if path else name)
    return frozenset(found)


def scale_free_slots(space: str, archs: Sequence[str]) -> frozenset[str]:
    """The node paths of a space (its SLOTS) without those that no BatchNorm follows in the networks of these architectures.

    Raises UnknownName, BadInput.
    """
    found = space_named(space)
    narrow: dict[str, Any] = {found.WIDTH: 8}
    networks = [found.build(arch, **narrow) for arch in archs]
    others = frozenset().union(*(frozenset(nodes_of(network)) - scale_free_nodes(network) for network in networks))
    return frozenset(found.SLOTS) - others


def node_values(statistics: Sequence[NodeStatistics], scale_free: Collection[str]) -> pd.DataFrame:
    """A row a node that gets a gradient, of every architecture: node, scale_free (bool), grasp, grad_norm2, plain, snip.

    scale_free: paths of nodes, see `scale_free_nodes`. grad_norm2 is the squared norm of the gradient.
    """
    columns = ("grasp", "grad_norm", "plain", "snip")
    values = np.concatenate([np.stack([one.of(name) for name in columns], axis=1) for one in statistics])
    nodes = [node for one in statistics for node in one.nodes]
    table = pd.DataFrame(values, columns=list(columns))
    table.insert(0, "node", nodes)
    table.insert(1, "scale_free", [node in scale_free for node in nodes])
    table["grad_norm"] = table["grad_norm"] ** 2
    return table[table["grad_norm"] > 0].rename(columns={"grad_norm": "grad_norm2"}).reset_index(drop=True)


def identity_table(values: pd.DataFrame) -> pd.DataFrame:
    """How exactly both identities hold, before a BatchNorm and elsewhere. values: of `node_values`.

    Columns: nodes; GraSP / GradNorm^2, its median and the percent of nodes within 1 % of 1; median of |Plain| / SNIP.
    """
    ratio = values["grasp"] / values["grad_norm2"]
    table = pd.DataFrame(
        {
            "nodes": 1,
            "GraSP / GradNorm², median": ratio,
            "within 1 % of 1 (%)": 100.0 * ((ratio - 1).abs() < 0.01),
            "|Plain| / SNIP, median": values["plain"].abs() / values["snip"],
        }
    )
    how = {"nodes": "sum", "within 1 % of 1 (%)": "mean"}
    found = table.groupby(values["scale_free"]).agg({name: how.get(str(name), "median") for name in table})
    return found.sort_index(ascending=False).rename(index={True: "before a BatchNorm", False: "others"}).rename_axis(None)


def identity_sentence(table: pd.DataFrame) -> str:
    """What `identity_table` says, in one sentence for each kind of node that is there."""
    said = [
        f"{int(line['nodes']):,} nodes {name if name != 'others' else 'without one'}: GraSP is "
        f"{line['GraSP / GradNorm², median']:.3f} times GradNorm squared (median; within 1 % of it at "
        f"{line['within 1 % of 1 (%)']:.0f} % of the nodes), |Plain| is {line['|Plain| / SNIP, median']:.1e} of SNIP (median)."
        for name, line in table.iterrows()
    ]
    return " ".join(said)


def range_outside(statistics: Sequence[NodeStatistics], proxy: str, scale_free: Collection[str]) -> tuple[float, float]:
    """Percent of architectures whose (greatest, least) value of a proxy lies at a node that no BatchNorm follows.

    The two set the scale of the paper's encoding (§3.2). Architectures whose values are all equal are left out; NaN if all are.
    """
    ends = []
    for one in statistics:
        values = one.of(proxy)
        if np.ptp(values) > 0:
            ends.append([one.nodes[place] not in scale_free for place in (int(values.argmax()), int(values.argmin()))])
    if not ends:
        return float("nan"), float("nan")
    greatest, least = (100 * np.mean(np.array(ends), axis=0)).tolist()
    return greatest, least
