"""Algorithm 1 (§3.1): a network and one batch in, the zero-cost statistics of every node out.

Only the passes that the chosen proxies need are made. One forward and one backward pass serve fisher, grad_norm, plain and
snip. Grasp takes a second backward pass, synflow a forward and backward pass of one image of ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from parzc_core._graph import functions_behind, of_other_images
from parzc_core._networks import left_out
from parzc_core._watch import ordered_calls
from parzc_core.errors import BadInput
from parzc_core.passes import Batch, Call, Loss, Passes, with_passes
from parzc_core.proxies import NODE_PROXIES, NODE_REGISTRY, NodeTensors, check_node_proxies, is_unseen, passes_read


@dataclass(frozen=True, eq=False)
class NodeStatistics:
    """Node-wise statistics of one network.

        >>> values = np.array([[2.0, 4.0], [1.0, -3.0]])
        >>> one = NodeStatistics(("fc", "conv"), ("snip", "plain"), values, np.array([10, 27]), (1, 0))
        >>> one.of("snip"), one.sums()
        (array([2., 4.]), {'snip': 6.0, 'plain': -2.0})

    nodes: module paths of the L nodes in Algorithm 1's depth-first order. A node comes after the nodes that read it, so the
        classifier is early and the stem last. Nodes that the forward pass never reaches come at the end, in module order.
    proxies: names of the K proxies.
    values: float64[K, L], each the sum over the node's weight entries. A node that gets no gradient has 0 for gradient-based
        proxies. NaN and inf are kept.
    numel: int64[L], number of weight entries of each node; values / numel is the mean.
    execution_order: indices into `nodes`, in the order in which the forward pass runs them.
    left_out: weights of two axes or more that belong to no node (embeddings, recurrent layers, tokens), and "fisher of NODE"
        where that is NaN, since what the weight gives was not seen.
    """

    nodes: tuple[str, ...]
    proxies: tuple[str, ...]
    values: np.ndarray
    numel: np.ndarray
    execution_order: tuple[int, ...]
    left_out: tuple[str, ...] = ()

    def of(self, proxy: str) -> np.ndarray:
        """Values of one proxy, float64[L]. Raises BadInput if it was not collected."""
        if proxy not in self.proxies:
            raise BadInput(f"proxy {proxy!r} was not collected; there are {', '.join(self.proxies)}")
        return self.values[self.proxies.index(proxy)]

    def sums(self) -> dict[str, float]:
        """Network-level score of each proxy: the sum over its nodes (Abdelfattah et al., 2021, [1])."""
        return {name: float(row.sum()) for name, row in zip(self.proxies, self.values, strict=True)}

    @property
    def not_finite(self) -> int:
        """Number of values that are NaN or infinite."""
        return int((~np.isfinite(self.values)).sum())


def collect_statistics(
    network: nn.Module,
    images: Batch,
    labels: Any,
    proxies: Iterable[str] = NODE_PROXIES,
    *,
    loss: Loss | None = None,
) -> NodeStatistics:
    """Statistics of every node of a network, from one batch (§3.1, Algorithm 1, A.1).

        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10))
        >>> statistics = collect_statistics(network, torch.randn(16, 3, 8, 8), torch.randint(0, 10, (16,)))
        >>> statistics.nodes, statistics.values.shape
        (('3', '0'), (7, 2))

        >>> segmenter, masks = nn.Conv2d(3, 5, 1), torch.randint(0, 5, (16, 8, 8))
        >>> collect_statistics(segmenter, torch.randn(16, 3, 8, 8), masks, loss=nn.functional.cross_entropy).nodes
        ('',)

    network: any module that maps images to logits [N, classes]. It is left as it was: a copy is worked on, or else the network,
        restored as `_state.kept` says. Functions are not copied: hooks, and what writes to globals or to attributes of a class,
        act on the caller's objects. Each pass starts from the network as it was given. Statistics are of train mode, of the
        weights after the forward pass where it changes them, and computed where the network is. A node is a convolution
        (transposed ones too), a Linear layer or an input projection of `nn.MultiheadAttention` ("path.in_proj"), whether its
        module is called or its weight is read. Weights that are derived from others (weight or spectral norm, pruning) count
        as they stand, as in the same network with plain weights. No other thread may draw torch's random numbers meanwhile.
    images: float32[N, channels, height, width], N >= 2; several inputs are a tuple or a dict of tensors. labels: int64[N],
        class indices.
    proxies: names in `proxies.NODE_REGISTRY`. The value of one does not depend on the others.
    loss: function of the network's outputs and the labels to a scalar, for other tasks; both may then be anything. None: the
        mean cross-entropy. Synflow's R is the sum of all outputs.
    Raises BadInput (a batch of one, shapes that the network cannot take, no node, a function without the derivatives that a
    proxy needs, layers that other threads call), UnknownName (proxies).
    """
    names = check_node_proxies(proxies)
    second_order = "hessian" in passes_read(names)
    return with_passes(network, images, labels, lambda passes: statistics_of(passes, names), second_order=second_order, loss=loss)


def statistics_of(passes: Passes, proxies: Iterable[str] = NODE_PROXIES) -> NodeStatistics:
    """`collect_statistics` from passes that other scores use too, so that none is made twice."""
    names = check_node_proxies(proxies)
    records, calls = _tensors(passes, names)
    unseen = [f"fisher of {name}" for name, node in records.items() if "fisher" in names and is_unseen(node)]
    nodes, execution_order = node_order(calls, list(passes.nodes))
    values = np.array([[NODE_REGISTRY[k].value(records[node]) for node in nodes] for k in names], dtype=np.float64)
    return NodeStatistics(
        nodes=nodes,
        proxies=names,
        values=values.reshape(len(names), len(nodes)),
        numel=np.array([records[node].weight.numel() for node in nodes], dtype=np.int64),
        execution_order=execution_order,
        left_out=(*left_out(passes.model, passes.nodes), *unseen),
    )


def node_order(calls: Sequence[Call], modules: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """`nodes` and `execution_order` of NodeStatistics.

    calls: of one forward pass, in execution order. modules: paths of all nodes, in module order.
    """
    children = _children([call.grad_fn for call in calls], [call.name for call in calls])
    executed = list(dict.fromkeys(call.name for call in calls))
    never = [name for name in modules if name not in children]
    nodes = [*depth_first_order(children), *never]
    position = {name: i for i, name in enumerate(nodes)}
    return tuple(nodes), tuple(position[name] for name in [*executed, *never])


def _tensors(passes: Passes, names: tuple[str, ...]) -> tuple[dict[str, NodeTensors], list[Call]]:
    """What the formulas read of each node, and the calls of the forward pass that gives the order of the nodes.

    Weights are those after the forward pass, which may bound their norm, say. Synflow alone needs no such pass.
    """
    needs = passes_read(names)
    calls = passes.flow.calls if all(passes_read([name]) == {"flow"} for name in names) else passes.calls
    tensors: dict[str, dict[str, Any]] = {
        name: {"weight": node.weight.detach(), "channel_axis": node.channel_axis, "channels": node.channels}
        for name, node in passes.nodes.items()
    }

    def add(key: str, values: Mapping[str, torch.Tensor | float | None]) -> None:
        for name, value in values.items():
            tensors[name][key] = value

    if "gradient" in needs:
        add("gradient", passes.loss_gradients)
    if "output" in needs:
        ordered = ordered_calls(passes.calls, passes.model, len(passes.images))
        seen = [(call, d) for call, d in zip(ordered, passes.output_gradients, strict=True) if d is not None]
        untold = {call.name for call, _ in seen if call.row is None}
        alike: dict[Any, list[torch.Tensor | None]] = {}
        for call in (call for call, _ in seen if call.name not in untold):
            alike.setdefault((call.name, call.row, call.images(len(passes.images)), call.output.shape), []).append(call.read)
        untold |= {key[0] for key, reads in alike.items() if of_other_images(reads, len(passes.images))}
        for call, gradient in seen:
            if call.name not in untold:
                axis, (image, one) = passes.nodes[call.name].channel_axis, call.images(len(passes.images))
                of_call = {"outputs": call.arranged(call.output.detach(), axis, one), "rows": call.row, "images": image}
                of_call["output_gradients"] = call.arranged(gradient, axis, one)
                for key, value in of_call.items():
                    tensors[call.name][key] = (*tensors[call.name].get(key, ()), value)
    alone = [name for name in names if "hessian" in passes_read([name])] == ["grasp"]  # which reads products alone
    if alone and passes.hessian_products is not None:
        add("hessian_product", passes.hessian_products)
    elif "hessian" in needs:
        add("hessian_gradient", passes.hessian_gradients)
    if "flow" in needs:
        add("flow_weight", passes.flow.weights)
        add("flow_gradient", passes.flow.gradients)
    return {name: NodeTensors(**slot) for name, slot in tensors.items()}, calls


def _children(grad_fns: Sequence[Any], names: Sequence[str]) -> dict[str, list[str]]:
    """{node: nodes that read its output through parameter-free operations}, keys and values in execution order.

    The autograd graph is read, so this is what ran, whatever the Python code looks like.
    """
    owner = {grad_fn: name for grad_fn, name in zip(grad_fns, names, strict=True) if grad_fn is not None}
    children: dict[str, list[str]] = {name: [] for name in dict.fromkeys(names)}
    for grad_fn, name in zip(grad_fns, names, strict=True):
        read = [function for function, _ in getattr(grad_fn, "next_functions", ())]
        for current in functions_behind(read, owner):
            giver = owner.get(current, name)
            if giver != name and name not in children[giver]:
                children[giver].append(name)
    return children


def depth_first_order(children: dict[str, list[str]]) -> list[str]:
    """Depth-first post-order of Algorithm 1: a node comes after its children. Roots keep the order given.

        >>> depth_first_order({"stem": ["a", "b"], "a": ["fc"], "b": ["fc"], "fc": []})
        ['fc', 'a', 'b', 'stem']
    """
    order: list[str] = []
    visited: set[str] = set()
    for root in children:
        stack = [] if root in visited else [(root, iter(children[root]))]
        visited.add(root)
        while stack:
            child = next((c for c in stack[-1][1] if c not in visited), None)
            if child is None:
                order.append(stack.pop()[0])
            else:
                visited.add(child)
                stack.append((child, iter(children[child])))
    return order
