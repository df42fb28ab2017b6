"""Forward and backward passes of one network on one batch; each is made once, when it is first asked for.

The collector and the network-level scores share them. A node is a Conv2d or Linear layer; a call is one use of it in a forward
pass.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core import _fast_layers
from parzc_core.errors import BadInput

NODE_TYPES = (nn.Conv2d, nn.Linear)
Gradients = dict[str, torch.Tensor | None]  # by node; None where the node does not reach what is derived


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a node: its output, which version of that memory it was, and its place in the autograd graph."""

    name: str
    output: torch.Tensor
    version: int
    grad_fn: Any


@dataclass(frozen=True, eq=False)
class Flow:
    """Synflow's pass: |W| and dR/d|W| by node, float64, and the calls of its forward."""

    weights: dict[str, torch.Tensor]
    gradients: Gradients
    calls: list[Call]


class Passes:
    """The passes of one network, in train mode, on one batch. Each starts from the same random state.

        passes = Passes(network, images, labels)
        passes.logits, passes.loss_gradients["stem.0"], passes.flow.gradients["stem.0"]

    model: a copy of the network, prepared by `prepare`. nodes: its Conv2d/Linear layers by module path.
    images, labels: the batch.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        consume: bool = False,
        second_order: bool = False,
    ):
        """images: float32[N, channels, height, width], N >= 2. labels: int64[N].

        consume: allow the network to be changed, which saves a copy. second_order: allow `hessian_gradients`.
        Raises BadInput: a batch of one, other shapes or types, no Conv2d/Linear node.
        """
        check_batch(images, labels)
        self.model = prepare(network if consume else _copy_sharing_weights(network)).train()
        self.nodes = nodes_of(self.model)
        self.weights = [module.weight for module in self.nodes.values()]
        self.images, self.labels = images, labels
        self._second_order = second_order

    def copy(self) -> nn.Module:
        """A copy with weights of its own, for a score that changes them."""
        return copy.deepcopy(self.model)

    @functools.cached_property
    def _forward(self) -> tuple[torch.Tensor, torch.Tensor, list[Call]]:
        images = self.images.detach().requires_grad_(True)
        with same_start():
            return images, *forward_with_calls(self.model, self.nodes, images)

    @property
    def logits(self) -> torch.Tensor:
        """float32[N, classes]."""
        return self._forward[1]

    @property
    def calls(self) -> list[Call]:
        """Every call of a node, in execution order."""
        return self._forward[2]

    @functools.cached_property
    def _loss_gradients(self) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
        outputs = [call.output for call in self.calls]
        with torch.enable_grad():
            loss = cross_entropy(self.logits, self.labels)
            found = torch.autograd.grad(
                loss,
                [*self.weights, *outputs],
                retain_graph=True,
                create_graph=self._second_order,
                allow_unused=True,
            )
        return list(found[: len(self.weights)]), list(found[len(self.weights) :])

    @property
    def loss_gradients(self) -> Gradients:
        """dL/dW, L the mean cross-entropy."""
        return self._by_node(self._loss_gradients[0])

    @property
    def output_gradients(self) -> list[torch.Tensor | None]:
        """dL/doutput of every call."""
        return [None if gradient is None else gradient.detach() for gradient in self._loss_gradients[1]]

    @functools.cached_property
    def hessian_gradients(self) -> Gradients:
        """H g: the derivative by W of sum over nodes of <g, stop(g)>, g = dL/dW."""
        if not self._second_order:
            raise BadInput("hessian_gradients needs Passes(..., second_order=True)")
        live = [g for g in self._loss_gradients[0] if g is not None and g.requires_grad]
        with torch.enable_grad():
            z = torch.stack([(g.detach() * g).sum() for g in live]).sum()
            return self._by_node(torch.autograd.grad(z, self.weights, retain_graph=True, allow_unused=True))

    @functools.cached_property
    def _logit_gradients(self) -> tuple[Any, ...]:
        inputs = [self._forward[0], *self.weights]
        return torch.autograd.grad(self.logits.sum(), inputs, retain_graph=True, allow_unused=True)

    @functools.cached_property
    def image_gradients(self) -> torch.Tensor | None:
        """d(sum of all logits)/d(images), of the shape of `images`. After `logit_gradients` it costs nothing."""
        if "_logit_gradients" in self.__dict__:
            return self._logit_gradients[0]
        return torch.autograd.grad(self.logits.sum(), self._forward[0], retain_graph=True, allow_unused=True)[0]

    @property
    def logit_gradients(self) -> Gradients:
        """d(sum of all logits)/dW."""
        return self._by_node(self._logit_gradients[1:])

    @functools.cached_property
    def flow(self) -> Flow:
        """Synflow's pass: absolute parameters, BatchNorm bypassed, one image of ones, R = sum of the logits.

        It is made in float64, since sums reach 1e46.
        """
        model = self.model
        tensors = {name: p.detach().double().abs() for name, p in model.named_parameters()}
        for name in self.nodes:
            tensors[f"{name}.weight"].requires_grad_(True)
        buffers = {name: b.double() if b.is_floating_point() else b.clone() for name, b in model.named_buffers()}
        ones = torch.ones_like(self.images[:1], dtype=torch.float64)
        with _without_batch_norm(model), same_start():
            logits, calls = forward_with_calls(
                model, self.nodes, ones, lambda x: torch.func.functional_call(model, {**tensors, **buffers}, (x,))
            )
            weights = {name: tensors[f"{name}.weight"] for name in self.nodes}
            gradients = torch.autograd.grad(logits.sum(), list(weights.values()), allow_unused=True)
        return Flow({name: weight.detach() for name, weight in weights.items()}, self._by_node(gradients), calls)

    def _by_node(self, tensors: Any) -> Gradients:
        return {
            name: None if tensor is None else tensor.detach() for name, tensor in zip(self.nodes, tensors, strict=True)
        }


def nodes_of(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The Conv2d and Linear layers by module path, in module order. Raises BadInput if there is none."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, NODE_TYPES)}
    if not found:
        raise BadInput(
            f"{type(network).__name__} has no Conv2d or Linear layer, so it has no node to take statistics of"
        )
    return found


def check_batch(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Raises BadInput unless images float[N, ...] and labels int64[N] are a batch of at least two."""
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


def prepare(model: nn.Module) -> nn.Module:
    """Change a model for the passes: no in-place layers, gradients for the nodes' weights alone, faster layers."""
    model.requires_grad_(False)
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
        if isinstance(module, NODE_TYPES):
            module.weight.requires_grad_(True)
    _fast_layers.substitute(model)
    return model


@contextmanager
def same_start() -> Iterator[None]:
    """Inside, random numbers start from one seed and gradients are on; the caller's generator is restored after it."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        yield


def forward_with_calls(
    model: nn.Module,
    nodes: Mapping[str, nn.Module],
    images: torch.Tensor,
    forward: Callable[[torch.Tensor], Any] | None = None,
) -> tuple[torch.Tensor, list[Call]]:
    """Logits [N, classes], and the calls of nodes in execution order.

    forward: how to call the model; None calls it as it is. Raises BadInput: images that it cannot take, no logits.
    """
    logits, calls = _recorded(model, nodes, images, forward or model, clone=False)
    if any(call.output._version != call.version for call in calls):
        # The network overwrote the output of a node, so it is not what the node gave any more: hand out copies instead.
        with same_start():
            logits, calls = _recorded(model, nodes, images, forward or model, clone=True)
    return logits, calls


def _recorded(
    model: nn.Module,
    nodes: Mapping[str, nn.Module],
    images: torch.Tensor,
    forward: Callable[[torch.Tensor], Any],
    clone: bool,
) -> tuple[torch.Tensor, list[Call]]:
    calls: list[Call] = []

    def recorder(name: str) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
        def record(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            calls.append(Call(name, output, output._version, output.grad_fn))
            return output.clone() if clone else output

        return record

    handles = [module.register_forward_hook(recorder(name)) for name, module in nodes.items()]
    try:
        logits = forward(images)
    except (RuntimeError, ValueError) as error:
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
    """Mean cross-entropy of logits [N, classes], a scalar. Raises BadInput for a label that is no class of the network."""
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise BadInput(
            f"got labels from {int(labels.min())} to {int(labels.max())}; the network has {logits.shape[1]} classes"
        )
    return F.cross_entropy(logits, labels)


def _copy_sharing_weights(network: nn.Module) -> nn.Module:
    """A copy with modules and buffers of its own. Its parameters are new tensors on the same memory; nothing writes to them."""
    memo = {id(parameter): nn.Parameter(parameter.detach(), requires_grad=False) for parameter in network.parameters()}
    return copy.deepcopy(network, memo)


@contextmanager
def _without_batch_norm(model: nn.Module) -> Iterator[None]:
    """Inside, BatchNorm passes its input on and all layers are in eval mode."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [norm.__dict__.get("forward") for norm in norms]
    model.eval()
    for norm in norms:
        norm.forward = _identity  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        model.train()
        for norm, forward in zip(norms, before, strict=True):
            norm.__dict__.pop("forward")
            if forward is not None:
                norm.forward = forward  # type: ignore[method-assign]


def _identity(x: torch.Tensor) -> torch.Tensor:
    return x
