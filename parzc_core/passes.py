"""Forward and backward passes of one network on one batch; each is made once, when it is first asked for.

The collector and the network-level scores share them. A node is a convolution, a Linear layer or an input projection of
attention; a call is one use of its weight in a forward pass.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core import _fast_layers, _networks, _watch
from parzc_core._graph import gradients_of, no_second_derivative, second_derivatives_missing
from parzc_core._nested import clone_of, has_values, mapped, positive, tensors, total
from parzc_core._networks import NODE_TYPES, Node, nodes_of, weight_nodes
from parzc_core._state import Step, kept, ordinary_mode, random_numbers, restored, same_start, switch, told_apart
from parzc_core._watch import Call, CallsTheOriginal, Watch, recorded, run_watched
from parzc_core.errors import BadInput

__all__ = ["NODE_TYPES", "Call", "Passes", "nodes_of", "weight_nodes"]
Gradients = dict[str, torch.Tensor | None]  # by node; None where the node does not reach what is derived
Batch = torch.Tensor | Sequence[Any] | Mapping[str, Any]
Loss = Callable[[Any, Any], torch.Tensor]
T = TypeVar("T")


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

    model: a copy of the network, prepared for the passes. nodes: its nodes by module path.
    inputs, labels: the batch, where the network is. images: the first tensor of the inputs.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Batch,
        labels: Any,
        consume: bool = False,
        second_order: bool = False,
        loss: Loss | None = None,
        foreign: frozenset[int] = frozenset(),
        copyable: bool = True,
    ):
        """images, labels, loss: see `collector.collect_statistics`.

        consume: allow the network to be changed, which saves a copy. second_order: allow `hessian_gradients`.
        foreign: ids of tensors that no pass may touch (see Watch). copyable: whether a copy of the network would do.
        Raises BadInput: what is no network that can be run, a batch of one, other shapes or types, no node.
        """
        _networks.check_network(network)
        check_batch(images, labels, loss)
        if not consume:
            foreign, self._given = _networks.parts_of(network), network  # held: a tensor made later could get a freed one's id
            copied = _networks.copied(network)
            if copied is None:
                raise BadInput(f"{type(network).__name__} cannot be copied; use collect_statistics or network_proxies")
            network = copied
        self.model = _networks.uncompiled(network)
        self.nodes: dict[str, Node] = _networks.prepare(self.model)
        _fast_layers.substitute(self.model)
        self.loss = cross_entropy if loss is None else loss
        self.device = self.weights[0].device
        self.inputs = mapped(images, lambda x: (x.clone() if x.is_inference() else x.detach()).to(self.device))
        self.images = next(tensor for tensor in tensors(self.inputs) if tensor.ndim)
        self.labels = mapped(labels, lambda x: x.to(self.device))
        self._classes = loss is None
        self.foreign, self._second_order, self._copyable = foreign, second_order, copyable

    hessian_products: dict[str, float] | None = None  # <W, H g> by node, where passes give it without H g

    @property
    def weights(self) -> list[torch.Tensor]:
        """Of the nodes, as they are now: a forward pass may have changed or replaced them."""
        return [node.weight for node in self.nodes.values()]

    @contextmanager
    def changeable(self) -> Iterator[nn.Module]:
        """A copy of the model with weights of its own, or the model, restored afterwards, where it cannot be copied."""
        own = _networks.copied(self.model) if self._copyable else None
        if own is not None:
            yield own
        else:
            with _networks.borrowed(self.model) as model:
                yield model

    def part(self, rows: slice) -> Any:
        """The inputs of some of the images."""
        return mapped(self.inputs, lambda tensor: tensor[rows] if tensor.ndim else tensor)

    def run(self, inputs: Any = None, model: nn.Module | None = None) -> Any:
        """Outputs of the model on the inputs, or on others. Raises BadInput: inputs that it cannot take."""
        model = self.model if model is None else model
        given = self.inputs if inputs is None else inputs
        return run_watched(Watch({}, foreign=self.foreign), model, given)

    @functools.cached_property
    def _forward(self) -> tuple[list[torch.Tensor], Any, list[Call]]:
        leaves: list[torch.Tensor] = []

        def leaf(tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_floating_point():
                return tensor
            leaves.append(tensor.detach().requires_grad_(True))
            return leaves[-1]

        inputs = mapped(self.inputs, leaf)
        if "_start" in self.__dict__:
            self._start()
        with same_start():
            outputs, calls = _watch.forward_with_calls(
                self.model, self.nodes, inputs, classes=self._classes, foreign=self.foreign, start=self._start
            )
            self._drawn = random_numbers()
        return leaves, outputs, calls

    @functools.cached_property
    def _start(self) -> Step:
        """Brings back the model as it was before its first pass. It may have written to weights, buffers or attributes."""
        return kept(self.model)

    @contextmanager
    def _from_the_start(self) -> Iterator[None]:
        """Inside, the model is as it was before its first pass. After it, what an earlier pass left is there again."""
        now = kept(self.model) if "_start" in self.__dict__ else self._start
        self._start()
        try:
            yield
        finally:
            now()

    @contextmanager
    def _after_the_forward_pass(self) -> Iterator[None]:
        """Inside, random numbers go on: a loss, and functions in a backward pass, may draw some."""
        _ = self._forward
        with same_start():
            self._drawn()
            yield

    @property
    def logits(self) -> Any:
        """float32[N, classes], or whatever the network gives where a loss was given."""
        return self._forward[1]

    @property
    def calls(self) -> list[Call]:
        """Every call of a node, in execution order."""
        return self._forward[2]

    @functools.cached_property
    def _loss_gradients(self) -> tuple[list[torch.Tensor | None], list[torch.Tensor | None]]:
        with self._after_the_forward_pass():
            watch = Watch(self.nodes, foreign=self.foreign)
            loss = self.loss_of(self.logits, watch=watch)
            self.calls.extend(watch.calls)  # a loss may run the network again
            outputs = [call.output for call in self.calls]
            self._not_differentiable = second_derivatives_missing(loss) if self._second_order else set()
            found = gradients_of(loss, [*self.weights, *outputs], create_graph=self._second_order)
            self._drawn_last = random_numbers()
        return found[: len(self.weights)], found[len(self.weights) :]

    def loss_of(self, outputs: Any, labels: Any = None, watch: Watch | None = None) -> torch.Tensor:
        """The loss of outputs, a scalar. Raises BadInput for one that is no scalar with a gradient.

        A given loss may read the network, in a penalty on weights say: on a copy it raises CallsTheOriginal then. It gets copies
        of outputs and labels, since it may write into them; a module is restored. watch: sees what it calls.
        """
        labels = self.labels if labels is None else labels
        if self._classes:
            return cross_entropy(outputs, labels)
        watch = Watch({}, foreign=self.foreign) if watch is None else watch
        try:
            with watch.hooked(), restored(self.loss if isinstance(self.loss, nn.Module) else None):
                loss = self.loss(mapped(outputs, clone_of), mapped(labels, clone_of))
        except Exception as error:
            kind = CallsTheOriginal if self.foreign else BadInput  # it may read what the network keeps of its forward pass
            raise kind(f"the given loss cannot be computed: {type(error).__name__}: {error}") from error
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.requires_grad:
            got = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise BadInput(f"the given loss returned {got}; expected one number that depends on the network's weights")
        return loss.reshape(())

    @property
    def loss_gradients(self) -> Gradients:
        """dL/dW, L the mean cross-entropy or the given loss."""
        return self._by_node(self._loss_gradients[0])

    @property
    def output_gradients(self) -> list[torch.Tensor | None]:
        """dL/doutput of every call."""
        return [None if gradient is None else gradient.detach() for gradient in self._loss_gradients[1]]

    @functools.cached_property
    def hessian_gradients(self) -> Gradients:
        """H g: the derivative by W of sum over layers of <g, stop(g)>, g = dL/dW. Raises BadInput where there is none.

        The packed projections of torch's attention, which are no layers, have an H g and are left out of the sum.
        """
        if not self._second_order:
            raise BadInput("hessian_gradients needs Passes(..., second_order=True)")
        layers = [node.parameter == "weight" for node in self.nodes.values()]
        found = [g for g, of_layer in zip(self._loss_gradients[0], layers, strict=True) if of_layer]
        live = [g for g in found if g is not None and g.requires_grad]
        if self._not_differentiable:
            raise BadInput(no_second_derivative(", ".join(sorted(self._not_differentiable))))
        if not live:
            return self._by_node([None] * len(self.weights))
        with same_start():
            self._drawn_last()
            z = torch.stack([(g.detach() * g).sum() for g in live]).sum()
            return self._by_node(gradients_of(z, self.weights))

    @functools.cached_property
    def _logit_gradients(self) -> list[torch.Tensor | None]:
        with self._after_the_forward_pass():
            return gradients_of(total(self.logits), [*self._forward[0][:1], *self.weights])

    @functools.cached_property
    def image_gradients(self) -> torch.Tensor | None:
        """d(sum of all logits)/d(images), of the shape of `images`. After `logit_gradients` it costs nothing."""
        leaves = self._forward[0][:1]
        if not leaves:
            return None
        if "_logit_gradients" in self.__dict__:
            return self._logit_gradients[0]
        with self._after_the_forward_pass():
            return gradients_of(total(self.logits), leaves)[0]

    @property
    def logit_gradients(self) -> Gradients:
        """d(sum of all logits)/dW."""
        return self._by_node(self._logit_gradients[len(self._forward[0][:1]) :])

    @functools.cached_property
    def flow(self) -> Flow:
        """Synflow's pass: absolute parameters, BatchNorm bypassed, one image of ones, R = sum of the logits.

        It is made in float64, since sums reach 1e46. A network that takes whole batches only gets one of ones, and R is the
        mean over it. Raises BadInput, which names the pass.
        """
        refused: BadInput | None = None
        for count in (1, len(self.images)):
            try:
                return self._flow(count)
            except CallsTheOriginal:
                raise
            except BadInput as error:
                refused = refused or error
        raise BadInput(
            f"synflow's pass failed ({refused}). It runs the network in eval mode on one image of ones in float64, without "
            "BatchNorm. Leave out synflow, and scores made of its pass, or let the network take such an image"
        ) from refused

    def _flow(self, count: int, copies: bool = False) -> Flow:
        def ones(tensor: torch.Tensor) -> torch.Tensor:
            part = tensor[:count] if tensor.ndim else tensor
            return torch.ones_like(part, dtype=torch.float64) if part.is_floating_point() else part

        with self._from_the_start():
            model, replaced = self.model, dict[int, torch.Tensor]()
            switch(model, "eval")  # some merge weights there
            for module in model.modules():  # whatever its own `parameters` gives
                parameters = (p for p in module._parameters.values() if p is not None)
                replaced |= {id(p): positive(p.detach()).requires_grad_(p.requires_grad) for p in parameters}
                own = (buffer for buffer in module._buffers.values() if buffer is not None)
                replaced |= {id(buffer): buffer.double() if buffer.is_floating_point() else buffer.clone() for buffer in own}
            for weight in self.weights:
                replaced.get(id(weight), weight).requires_grad_(True)
            with _replaced(model, replaced), _fast_layers.without_batch_norm(model), same_start():
                watch = _watch.FlowWatch(self.nodes, replaced, copies, self.foreign)
                outputs, calls = recorded(watch, model, mapped(self.inputs, ones), self._classes)
                if copies or not _watch.overwritten(calls):
                    weights, r = self.weights, total(outputs)
                    gradients = gradients_of(r if count == 1 else r / count, weights, retain_graph=None)
                    flowing = dict(zip(self.nodes, (weight.detach() for weight in weights), strict=True))
                    return Flow(flowing, self._by_node(gradients), calls)
        return self._flow(count, copies=True)

    def _by_node(self, gradients: Sequence[torch.Tensor | None]) -> Gradients:
        return {name: None if each is None else each.detach() for name, each in zip(self.nodes, gradients, strict=True)}


@ordinary_mode()
def with_passes(network: nn.Module, images: Batch, labels: Any, work: Callable[[Passes], T], **options: Any) -> T:
    """work(passes) on a copy of the network; where a copy will not do, on the network, which is restored afterwards.

    options: of Passes. Raises BadInput as Passes, and what work raises.
    """
    with told_apart(network):
        _networks.check_network(network)
        check_batch(images, labels, options.get("loss"))
        copied = _networks.copied(network)
        if copied is not None:
            try:
                return work(Passes(copied, images, labels, consume=True, foreign=_networks.parts_of(network), **options))
            except CallsTheOriginal:
                copied = None
        with _networks.borrowed(network) as own:
            return work(Passes(own, images, labels, consume=True, copyable=False, **options))


def check_batch(images: Any, labels: Any, loss: Loss | None = None) -> None:
    """Raises BadInput unless images float[N, ...] and labels int64[N] are a batch of at least two.

    Several inputs are a tuple or a dict of tensors, of any type. With a loss, labels are whatever it takes.
    """
    hint = "; convert it with torch.from_numpy" if type(images).__module__ == "numpy" else ""
    if not isinstance(images, torch.Tensor | tuple | list | Mapping):
        raise BadInput(f"got images of type {type(images).__name__}; expected a float tensor [N, C, H, W]{hint}")
    found, alone = tensors(images), isinstance(images, torch.Tensor)
    if any(tensor.is_nested or not has_values(tensor) for tensor in found):
        raise BadInput("got inputs of a nested tensor, or on the meta device; expected ordinary tensors that have values")
    found = [tensor for tensor in found if tensor.ndim]
    if not found:
        raise BadInput("got inputs without a tensor [N, ...]; expected one tensor, or a tuple or dict of tensors")
    first = found[0]
    if alone and (first.ndim < 2 or not first.is_floating_point()):
        raise BadInput(
            f"got images of shape {tuple(first.shape)} and {first.dtype}; expected a float batch [N, C, H, W] (tokens and other "
            "integers go in a tuple of inputs)"
        )
    if not len(first):
        raise BadInput("got an empty batch; expected at least two images, the paper uses 16")
    if len(first) < 2:
        raise BadInput("got a batch of one image; BatchNorm in train mode needs at least two, the paper uses 16")
    if loss is not None:
        if not callable(loss):
            raise BadInput(f"got loss {loss!r}; expected a function of the network's outputs and the labels")
        return
    if not isinstance(labels, torch.Tensor):
        raise BadInput(f"got labels of type {type(labels).__name__}; expected an int64 tensor [{len(first)}], one an image")
    if labels.shape != first.shape[:1] or labels.dtype != torch.int64:
        raise BadInput(
            f"got labels of shape {tuple(labels.shape)} and {labels.dtype}; expected int64 [{len(first)}], one an image"
        )


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits [N, classes], a scalar. Raises BadInput for a label that is no class of the network."""
    if len(logits) != len(labels):
        raise BadInput(f"got {len(logits)} rows of logits for {len(labels)} labels; expected one row an image")
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise BadInput(f"got labels from {int(labels.min())} to {int(labels.max())}; the network has {logits.shape[1]} classes")
    return F.cross_entropy(logits, labels)


@contextmanager
def _replaced(model: nn.Module, replaced: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """Inside, the modules hold other parameters and buffers; train mode after it. replaced: by the id of the tensor."""
    holders: list[Any] = [held for module in model.modules() for held in (module._parameters, module._buffers)]
    before = [dict(held) for held in holders]
    for held in holders:
        held.update({name: replaced.get(id(tensor), tensor) for name, tensor in held.items()})
    try:
        yield
    finally:
        for held, earlier in zip(holders, before, strict=True):
            held.update(earlier)
        model.train()
