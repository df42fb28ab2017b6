"""The node-wise zero-cost proxies z_k of §3.1, in one registry.

A new proxy is one decorated function. It names the passes that it needs, and the collector makes each of them once for all
proxies. Formulas follow Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, [1]).

    @node_proxy("gradient")
    def grad_mean(node):
        return float(node.gradient.double().abs().mean())

A node that does not reach the loss has a gradient of zeros.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from parzc_core import _plugins
from parzc_core.errors import UnknownName, names_of


@dataclass(frozen=True)
class NodeTensors:
    """What a proxy reads of one node, such as a Conv2d or Linear layer: weight, gradient, activation and Hessian, S(N_i) of §3.1.

    What comes from a pass is there for the proxies that name it. A formula gets zeros where a node does not reach the loss.

    weight: W. gradient: dL/dW, L being the mean cross-entropy in train mode.
    hessian_gradient: H g, the derivative of sum_nodes <g, stop(g)> by W. hessian_product: <W, H g>, where it is known without.
    outputs, output_gradients: the node's output before BatchNorm, and dL/doutput; one entry for each call of the node, with the
        images along the first axis.
    flow_weight, flow_gradient: |W| and dR/d|W| of Synflow's linearised network, float64.
    channel_axis: axis of `outputs` that counts output channels. channels: how many the whole weight has; None: its first axis.
    rows: first output channel of each call, where calls apply parts of the weight. images: the first image that each call is of;
        None where that cannot be told.
    reached: whether the node reaches the loss.
    """

    weight: torch.Tensor
    gradient: torch.Tensor | None = None
    hessian_gradient: torch.Tensor | None = None
    hessian_product: float | None = None
    outputs: tuple[torch.Tensor, ...] = ()
    output_gradients: tuple[torch.Tensor, ...] = ()
    flow_weight: torch.Tensor | None = None
    flow_gradient: torch.Tensor | None = None
    channel_axis: int = 1
    channels: int | None = None
    rows: tuple[int, ...] = ()
    images: tuple[int | None, ...] = ()
    reached: bool = True


@dataclass(frozen=True)
class NodeProxy:
    """A node-wise proxy z_k: NodeTensors -> float, the sum over the weight's entries. needs: passes whose tensors it reads."""

    name: str
    needs: frozenset[str]
    formula: Callable[[NodeTensors], float]

    def value(self, node: NodeTensors) -> float:
        """The formula's value; zeros stand for the gradients that a node has not got, as it does not reach the loss."""
        missing = [name for need in self.needs for name in _TENSORS[need] if getattr(node, name) is None]
        if not missing:
            return float(self.formula(node))
        zeros: dict[str, Any] = {name: torch.zeros_like(node.weight) for name in missing}
        return float(self.formula(replace(node, reached=node.reached and "gradient" not in missing, **zeros)))


NODE_REGISTRY: dict[str, NodeProxy] = {}
PASSES = ("gradient", "output", "hessian", "flow")
_TENSORS = {  # of NodeTensors, by the pass that gives them
    "gradient": ("gradient",),
    "output": (),
    "hessian": ("hessian_gradient",),
    "flow": ("flow_weight", "flow_gradient"),
}


def node_proxy(*needs: str) -> Callable[[Callable[[NodeTensors], float]], Callable[[NodeTensors], float]]:
    """Register a formula under its own name.

        >>> NODE_REGISTRY["snip"].formula(NodeTensors(weight=torch.ones(2, 2), gradient=torch.full((2, 2), -3.0)))
        12.0

    needs: some of PASSES, or nothing for a formula that reads the weight alone. Raises UnknownName.
    """

    def register(formula: Callable[[NodeTensors], float]) -> Callable[[NodeTensors], float]:
        for need in needs:
            if need not in PASSES:
                raise UnknownName.of("pass", need, PASSES)
        NODE_REGISTRY[formula.__name__] = NodeProxy(formula.__name__, frozenset(needs), formula)
        return formula

    return register


def _dot(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor:
    """a * b in float64; 0 where the node got no gradient, since it does not reach the loss."""
    if a is None or b is None:
        return torch.zeros((), dtype=torch.float64)
    return a.double() * b.double()


@node_proxy("output", "gradient")
def fisher(node: NodeTensors) -> float:
    """Fisher pruning (Turner et al., 2020, [53]): 0.5 mean_n (sum_space a dL/da)^2 per channel, times the channel's weights.

    The calls of a shared node are summed before they are squared; calls that are not of the same images or channels after it.
    Calls with a row, or several, for every image are of the same images. Calls of parts of the batch are told apart if each
    reads a slice of one tensor [N, ...]. NaN where they cannot be told apart, and for a node that reaches the loss in a way in
    which its output is not seen. A call of no image adds nothing.
    """
    if is_unseen(node):
        return float("nan")
    saliency: dict[Any, torch.Tensor] = {}  # (N, C), by what tells calls of other images or channels apart
    for a, d, kind in zip(node.outputs, node.output_gradients, _kinds(node), strict=True):
        other = [axis for axis in range(1, a.ndim) if axis != node.channel_axis % a.ndim]
        product = a * d
        s = product.sum(dim=other) if other else product
        saliency[kind] = saliency[kind] + s if kind in saliency else s
    per_call = [float((0.5 * s.double().square().mean(dim=0)).sum()) for s in saliency.values() if len(s)]
    return sum(per_call) * (node.weight.numel() // max(1, node.channels or node.weight.shape[0]))


def _kinds(node: NodeTensors) -> list[tuple[int | None, ...]]:
    """What tells the calls of a node apart: the first image and channel, and how many of each."""
    rows, images = node.rows or [0] * len(node.outputs), node.images or [0] * len(node.outputs)
    shapes = [(len(a), a.shape[node.channel_axis]) for a in node.outputs]
    return [(image, row, *shape) for image, row, shape in zip(images, rows, shapes, strict=True)]


def is_unseen(node: NodeTensors) -> bool:
    """Whether what a node gives was not seen: the loss depends on its weight, but some other function read it, or calls of parts
    of the batch cannot be told apart."""
    kinds = _kinds(node)
    if any(kind[0] is None and kinds.count(kind) > 1 for kind in kinds):
        return True
    return node.reached and node.gradient is not None and not node.outputs


@node_proxy("gradient")
def grad_norm(node: NodeTensors) -> float:
    """Euclidean norm of the gradient, ||dL/dW||_2 ([1])."""
    return 0.0 if node.gradient is None else float(node.gradient.double().norm())


@node_proxy("hessian")
def grasp(node: NodeTensors) -> float:
    """Gradient signal preservation (Wang et al., 2020, [54]): -sum W * (H g), one batch, temperature 1.

    Before a BatchNorm this is the square of `grad_norm`, up to the BatchNorm's eps; `plain` has the proof.
    """
    known = node.hessian_product
    return -(float(_dot(node.weight, node.hessian_gradient).sum()) if known is None else known) + 0.0  # a dead node's -0 is 0


@node_proxy()
def l2_norm(node: NodeTensors) -> float:
    """Euclidean norm of the weight, ||W||_2 ([1])."""
    return float(node.weight.double().norm())


@node_proxy("gradient")
def plain(node: NodeTensors) -> float:
    """sum dL/dW * W, signed (Mozer & Smolensky, 1988, [37]).

    Zero for a weight W that a BatchNorm in train mode follows, and there GraSP says nothing but the gradient's norm. Proof: the
    BatchNorm takes the scale of W away, so L(cW) = L(W) for c > 0. The derivative by c at c = 1 is <W, g> = 0: Plain. That holds
    for every W; its derivative by W is g + H_WW W = 0, and by another node's weight V it is H_VW W = 0. So in
    GraSP, -<W, sum_V H_WV g_V> = -sum_V <H_VW W, g_V>, only V = W is left: <g, g>. Exact but for BatchNorm's eps.
    """
    return float(_dot(node.gradient, node.weight).sum())


@node_proxy("gradient")
def snip(node: NodeTensors) -> float:
    """sum |dL/dW * W| (Lee et al., 2019, [28])."""
    return float(_dot(node.gradient, node.weight).abs().sum())


@node_proxy("flow")
def synflow(node: NodeTensors) -> float:
    """Synaptic flow (Tanaka et al., 2020, [50]): sum |W * dR/dW|, parameters made positive, BatchNorm bypassed, ones as input."""
    return float(_dot(node.flow_weight, node.flow_gradient).abs().sum())


NODE_PROXIES = ("fisher", "grad_norm", "grasp", "l2_norm", "plain", "snip", "synflow")


def check_node_proxies(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple; one name may be given alone. Raises BadInput (no names), UnknownName (not registered)."""
    chosen = names_of("proxies", names)
    for name in chosen:
        if not _plugins.known(name, NODE_REGISTRY):
            raise UnknownName.of("node-wise proxy", name, NODE_REGISTRY)
    return chosen


def passes_read(names: Iterable[str]) -> frozenset[str]:
    """The passes that these proxies need.

        >>> sorted(passes_read(["fisher", "l2_norm"]))
        ['gradient', 'output']
    """
    return frozenset().union(*(NODE_REGISTRY[name].needs for name in names))
