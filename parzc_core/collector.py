"""Algorithm 1: a network and one batch in, the zero-cost statistics of every Conv2d/Linear node out.

As few passes as the asked proxies need: one forward and one backward for fisher, grad_norm, plain and snip, one more backward
through that graph for grasp, and one forward and backward of a single image of ones for synflow.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES, NODE_REGISTRY, NodeTensors, check_node_proxies

NODE_TYPES = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True, eq=False)
class NodeStatistics:
    """Node-wise statistics of one network.

    nodes: module paths of the L nodes in Algorithm 1's depth-first order (a node comes after the nodes that read it, so the
        classifier is early and the stem last; nodes that the forward pass never reaches come at the end, in module order).
    proxies: the K proxies.
    values: float64[K, L], each the sum over the node's weight entries. A node that gets no gradient has 0 for gradient-based
        proxies. NaN and inf are kept.
    numel: int64[L], weight entries of each node; values / numel is the mean.
    execution_order: indices into `nodes`, in the order in which the forward pass runs them.
    """

    nodes: tuple[str, ...]
    proxies: tuple[str, ...]
    values: np.ndarray
    numel: np.ndarray
    execution_order: tuple[int, ...]

    def of(self, proxy: str) -> np.ndarray:
        """float64[L], the values of one proxy. Raises BadInput if it was not collected."""
        if proxy not in self.proxies:
            raise BadInput(f"proxy {proxy!r} was not collected; there are {', '.join(self.proxies)}")
        return self.values[self.proxies.index(proxy)]

    def sums(self) -> dict[str, float]:
        """The network-level score of each proxy as [1] aggregates it: the sum over nodes."""
        return {name: float(row.sum()) for name, row in zip(self.proxies, self.values, strict=True)}

    @property
    def not_finite(self) -> int:
        """How many values are NaN or infinite."""
        return int((~np.isfinite(self.values)).sum())


def collect_statistics(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, proxies: Iterable[str] = NODE_PROXIES
) -> NodeStatistics:
    """Statistics of every Conv2d/Linear node of a network from one batch (§3.1, Algorithm 1, A.1).

    network: maps images to logits [N, classes]; it is copied, never touched. Statistics are those of train mode.
    images: float32[N, channels, height, width], N >= 2. labels: int64[N], class indices.
    proxies: node-wise proxies of `parzc_core.proxies`; a value does not depend on which others are asked with it.
    Raises BadInput (batch of one, shapes that the network cannot take, no Conv2d/Linear node), UnknownName.
    """
    names = check_node_proxies(proxies)
    check_batch(images, labels)
    modules = nodes_of(network)
    needs = frozenset().union(*(NODE_REGISTRY[name].needs for name in names))

    tensors: dict[str, dict[str, Any]] = {
        name: {"weight": module.weight.detach(), "channel_axis": 1 if isinstance(module, nn.Conv2d) else -1}
        for name, module in modules.items()
    }
    calls: list[_Call] = []
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)  # layers such as dropout then act alike each time, and the caller's generator is untouched
        if needs & {"gradient", "output", "hessian"} or "flow" not in needs:
            calls = _batch_pass(network, images, labels, needs, tensors)
        if "flow" in needs:
            flow_calls = _flow_pass(network, images, tensors)
            calls = calls or flow_calls

    children = _children([call.grad_fn for call in calls], [call.name for call in calls], list(modules))
    order = depth_first_order(children)
    executed = list(dict.fromkeys(call.name for call in calls))
    nodes = [name for name in order if name in executed] + [name for name in modules if name not in executed]
    records = [NodeTensors(**tensors[name]) for name in nodes]
    values = np.array([[NODE_REGISTRY[k].formula(record) for record in records] for k in names], dtype=np.float64)
    return NodeStatistics(
        nodes=tuple(nodes),
        proxies=names,
        values=values.reshape(len(names), len(nodes)),
        numel=np.array([modules[name].weight.numel() for name in nodes], dtype=np.int64),
        execution_order=tuple(nodes.index(name) for name in [*executed, *(n for n in modules if n not in executed)]),
    )


def nodes_of(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The parameter nodes by module path, in module order. Raises BadInput where there is none."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, NODE_TYPES)}
    if not found:
        raise BadInput(
            f"{type(network).__name__} has no Conv2d or Linear layer, so it has no node to take statistics of"
        )
    return found


def check_batch(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Raises BadInput unless images and labels are a batch of at least two."""
    if images.ndim < 2 or not images.is_floating_point():
        raise BadInput(
            f"got images of shape {tuple(images.shape)} and {images.dtype}; expected a float batch [N, C, H, W]"
        )
    if images.shape[0] < 2:
        raise BadInput("got a batch of one image; BatchNorm in train mode needs at least two, the paper uses 16")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise BadInput(
            f"got labels of shape {tuple(labels.shape)} and {labels.dtype}; expected int64 [{images.shape[0]}], one an image"
        )


def private_copy(network: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy that may be changed: nothing overwritten in place, gradients only for the weights of nodes."""
    model = copy.deepcopy(network)
    if dtype is not None:
        model = model.to(dtype)
    return prepare(model)


def prepare(model: nn.Module) -> nn.Module:
    """The model itself, set up as `private_copy` says."""
    model.requires_grad_(False)
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
        if isinstance(module, NODE_TYPES):
            module.weight.requires_grad_(True)
    return model


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of a node in a forward pass."""

    name: str
    output: torch.Tensor
    grad_fn: Any


def forward_with_calls(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, list[_Call]]:
    """Logits, and every call of a node in execution order."""
    calls: list[_Call] = []

    def recorder(name: str) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
        def record(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            calls.append(_Call(name, output, output.grad_fn))
            return output.clone()  # what the network does to it in place must not reach the recorded value

        return record

    handles = [module.register_forward_hook(recorder(name)) for name, module in nodes_of(model).items()]
    try:
        logits = model(images)
    except RuntimeError as error:
        raise BadInput(
            f"{type(model).__name__} cannot process images of shape {tuple(images.shape)}: {error}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise BadInput(
            f"{type(model).__name__} returned {got}; expected logits [N, classes]: wrap it so that it returns them"
        )
    return logits, calls


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy. Raises BadInput for a label that is no class of the network."""
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise BadInput(
            f"got labels from {int(labels.min())} to {int(labels.max())}; the network has {logits.shape[1]} classes"
        )
    return F.cross_entropy(logits, labels)


def _batch_pass(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    needs: frozenset[str],
    tensors: dict[str, dict[str, Any]],
) -> list[_Call]:
    """Forward and backward of the batch in train mode; fills gradient, outputs, output_gradients, hessian_gradient."""
    model = private_copy(network)
    logits, calls = forward_with_calls(model.train(), images)
    loss = cross_entropy(logits, labels)
    names = list(tensors)
    weights = [module.weight for module in nodes_of(model).values()]
    outputs = [call.output for call in calls] if "output" in needs else []
    hessian = "hessian" in needs
    if needs:
        wanted = [*weights, *outputs]
        gradients = torch.autograd.grad(loss, wanted, create_graph=hessian, allow_unused=True)
        for name, gradient in zip(names, gradients, strict=False):
            tensors[name]["gradient"] = None if gradient is None else gradient.detach()
        for call, gradient in zip(calls, gradients[len(weights) :], strict=False):
            if gradient is not None:
                slot = tensors[call.name]
                slot["outputs"] = (*slot.get("outputs", ()), call.output.detach())
                slot["output_gradients"] = (*slot.get("output_gradients", ()), gradient.detach())
    if hessian:
        live = [g for g in gradients[: len(weights)] if g is not None and g.requires_grad]
        z = torch.stack([(g.detach() * g).sum() for g in live]).sum()
        products = torch.autograd.grad(z, weights, allow_unused=True)
        for name, product in zip(names, products, strict=True):
            tensors[name]["hessian_gradient"] = product
    return calls


def _flow_pass(network: nn.Module, images: torch.Tensor, tensors: dict[str, dict[str, Any]]) -> list[_Call]:
    """Synflow's pass: float64 (sums reach 1e46), absolute parameters, BatchNorm bypassed, an image of ones, R = sum of logits."""
    model = private_copy(network, torch.float64)
    for module in model.eval().modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    logits, calls = forward_with_calls(model, torch.ones_like(images[:1], dtype=torch.float64))
    weights = [module.weight for module in nodes_of(model).values()]
    gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    for name, weight, gradient in zip(tensors, weights, gradients, strict=True):
        tensors[name].update(flow_weight=weight.detach(), flow_gradient=gradient)
    return calls


def _children(grad_fns: Sequence[Any], names: Sequence[str], modules: Sequence[str]) -> dict[str, list[str]]:
    """{node: nodes that read its output through parameter-free operations}, keys and values in execution order.

    Read off the autograd graph, so it is the graph that ran, whatever the Python code looks like.
    """
    owner = {grad_fn: name for grad_fn, name in zip(grad_fns, names, strict=True)}
    children: dict[str, list[str]] = {name: [] for name in dict.fromkeys(names)}
    for grad_fn, name in zip(grad_fns, names, strict=True):
        stack, seen = [f for f, _ in grad_fn.next_functions if f is not None], set()
        while stack:
            current = stack.pop()
            if current in seen:
                continue
            seen.add(current)
            if current in owner:
                if owner[current] != name and name not in children[owner[current]]:
                    children[owner[current]].append(name)
            else:
                stack.extend(f for f, _ in current.next_functions if f is not None)
    return children


def depth_first_order(children: dict[str, list[str]]) -> list[str]:
    """Post-order of Algorithm 1's DFS: a node's unvisited children first, then the node; roots in the given order."""
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
