"""What a network computes on one batch, written down operation by operation, and passes over it without autograd's graph.

A `Tape` sees every torch function of one forward pass. Its passes:

    backward    gradients of the loss L by the images, the weights and the layers' outputs
    along       how these change as the weights move along a direction: Hessian-vector products

In the code, x is what an operation reads, g = dL/dvalue, dx = dL/dx, dw = dL/dW, and v is a layer's part of the direction. R{a}
is the derivative of a along the direction (Pearlmutter, "Fast exact multiplication by the Hessian", 1994); t = R{x}, rg = R{g},
rdx = R{dx}. Operations come first, then the tape, then a rule for each torch function. A function without a rule raises NoRule;
the plain passes, which define the values, take over. Synflow's pass is in `tape_flow`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from parzc_core._fast_layers import batch_norm_backward, batch_norm_second, channel_sums
from parzc_core._nested import mapped, tensors

Tensors: TypeAlias = tuple[torch.Tensor, ...]
_convolution, _convolution_backward = torch.ops.aten.convolution, torch.ops.aten.convolution_backward


class NoRule(Exception):
    """The network calls a function that a tape cannot write down."""


@dataclass(eq=False)
class Sweep:
    """What one backward pass keeps: g of layers and BatchNorms, dw of layers, and sum(g z), sum(g) of a BatchNorm's channels.

    keep: False keeps nothing, where only the images' gradient is asked for.
    """

    keep: bool = True
    outputs: dict["Operation", torch.Tensor] = field(default_factory=dict)
    weights: dict["Layer", torch.Tensor] = field(default_factory=dict)
    sums: dict["BatchNorm", list[torch.Tensor]] = field(default_factory=dict)


@dataclass(eq=False)
class Along:
    """How a sweep changes as weights move along a direction, given by name of node.

    readers: how many operations read a value. values: R{value}. products: R{<W, dL/dW>} of layers. sums: sum(t z), sum(t) of a
    BatchNorm's channels.
    """

    direction: Mapping[str, torch.Tensor]
    readers: Mapping["Value", int]
    values: dict["Value", torch.Tensor] = field(default_factory=dict)
    products: dict["Layer", float] = field(default_factory=dict)
    sums: dict["BatchNorm", list[torch.Tensor]] = field(default_factory=dict)


class Value:
    """The images, or a constant. inputs: what an operation read to compute it."""

    def __init__(self, value: torch.Tensor, inputs: "tuple[Value, ...]" = ()):
        self.value, self.inputs = value, inputs

    @property
    def next_functions(self) -> "tuple[tuple[Value, int], ...]":
        """Named as in autograd's graph, from which the collector reads the order of a network's nodes."""
        return tuple((one, 0) for one in self.inputs)


class Operation(Value, ABC):
    """One call of a function. Its value is empty until it is computed."""

    def __init__(self, inputs: tuple[Value, ...]):
        super().__init__(torch.empty(0), inputs)

    @abstractmethod
    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        """The value."""

    @abstractmethod
    def backward(self, g: torch.Tensor, sweep: Sweep) -> Tensors:
        """dx of each input, from g."""

    @abstractmethod
    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        """R{value}, from t."""

    def backward_along(self, rg: torch.Tensor, sweep: Sweep, along: Along) -> Tensors:
        """rdx of each input, from rg. sweep: the pass that gave g.

        An operation that is linear, or linear in pieces as ReLU is, maps rg to rdx as it maps g to dx.
        """
        return self.backward(rg, Sweep(keep=False))

    def positive(self, inputs: tuple[Value, ...]) -> "Operation | None":
        """The operation in Synflow's pass (`tape_flow`), not computed yet; None where its value is its input there."""
        return None


class Linear(Operation):
    """A linear function, whose transpose autograd knows."""

    def __init__(self, inputs: tuple[Value, ...], function: Callable[..., Any]):
        super().__init__(inputs)
        self.function = function

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            self.read = [each.detach().requires_grad_() for each in x]
            self.given = self.function(*self.read)
        return self.given.detach()

    def backward(self, g: torch.Tensor, sweep: Sweep) -> Tensors:
        return torch.autograd.grad(self.given, self.read, g, retain_graph=True)

    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        return self.function(*t)

    def positive(self, inputs: tuple[Value, ...]) -> Operation:
        return type(self)(inputs, self.function)


class Relu(Operation):
    """max(x, 0)."""

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x[0])

    def backward(self, g: torch.Tensor, sweep: Sweep) -> Tensors:
        return (torch.ops.aten.threshold_backward(g, self.value, 0),)

    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.threshold_backward(t[0], self.value, 0)


class MaxPool(Linear):
    """The greatest of each window. function: gives it, and its place."""

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            self.read = [x[0].detach().requires_grad_()]
            self.given, self.places = self.function(*self.read)
        return self.given.detach()

    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        return t[0].flatten(2).gather(2, self.places.flatten(2)).view_as(self.places)


class Layer(Operation):
    """value = W x + bias. name: of its node. form: what follows the bias in aten.convolution; None: a product of matrices."""

    def __init__(self, x: Value, name: str, weight: torch.Tensor, bias: torch.Tensor | None, form: Any = None):
        super().__init__((x,))
        self.name, self.weight, self.bias, self.form = name, weight, bias, form

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return self._apply(x[0], self.weight, self.bias)

    def backward(self, g: torch.Tensor, sweep: Sweep) -> Tensors:
        dx, dw = self._transposed(g, self.inputs[0].value, self.weight, sweep.keep)
        if sweep.keep:
            sweep.outputs[self], sweep.weights[self] = g, dw
        return (dx,)

    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        """W t + v x."""
        moved, v = self._apply(t[0], self.weight), along.direction.get(self.name)
        return moved if v is None else moved.add_(self._apply(self.inputs[0].value, v))

    def backward_along(self, rg: torch.Tensor, sweep: Sweep, along: Along) -> Tensors:
        """W^T rg + v^T g; and the product: with y = W x, <W, dL/dW> = <y, g>, whose derivative is <R{y}, g> + <y, rg>."""
        (x,), v, g, y = self.inputs, along.direction.get(self.name), sweep.outputs[self], self.value
        if self not in along.products:  # a BatchNorm that reads this layer has a more exact one
            y = y if self.bias is None else y - self.of_channels(self.bias)
            along.products[self] = _product(along.values[self], g) + _product(y, rg)
        rdx = self._transposed(rg, x.value, self.weight, False)[0]
        return (rdx if v is None else rdx.add_(self._transposed(g, x.value, v, False)[0]),)

    def positive(self, inputs: tuple[Value, ...]) -> Operation:
        return Layer(inputs[0], self.name, self.weight.abs(), None, self.form)

    def of_channels(self, bias: torch.Tensor) -> torch.Tensor:
        """The bias, in the shape in which it is added to the value."""
        return bias.view(-1, *[1] * (self.weight.ndim - 2))

    def _apply(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        return F.linear(x, weight, bias) if self.form is None else _convolution(x, weight, bias, *self.form)

    def _transposed(self, g: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, of_weight: bool) -> Any:
        """W^T g; and, if of_weight, the derivative of <g, W x> by W, else None."""
        if self.form is None:
            return g @ weight, g.T @ x if of_weight else None
        return _convolution_backward(g, x, weight, None, *self.form, [True, of_weight, False])[:2]


class BatchNorm(Operation):
    """value = weight z + bias, z = (x - mean) r, r = 1 / sqrt(variance + eps), by the statistics of the batch."""

    def __init__(self, x: Value, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float):
        super().__init__((x,))
        self.weight, self.bias, self.eps = weight, bias, eps

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        y, self.mean, self.r = torch.native_batch_norm(x[0], self.weight, self.bias, None, None, True, 0.0, self.eps)
        return y

    def _jacobian(self, g: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """dx, a symmetric linear map of g; then sum(g z) and sum(g) of each channel."""
        return batch_norm_backward(g, self.inputs[0].value, self.weight, self.mean, self.r, self.eps)

    def backward(self, g: torch.Tensor, sweep: Sweep) -> Tensors:
        dx, *sums = self._jacobian(g)
        if sweep.keep:
            sweep.outputs[self], sweep.sums[self] = g, sums
        return (dx,)

    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        moved, *along.sums[self] = self._jacobian(t[0])
        return moved

    def backward_along(self, rg: torch.Tensor, sweep: Sweep, along: Along) -> Tensors:
        (x,), g = self.inputs, sweep.outputs[self]
        t, sums = along.values[x], sweep.sums[self]
        rdx, sum_rgz, _ = self._jacobian(rg)
        sum_tg = channel_sums(t, g)
        if isinstance(x, Layer) and x.bias is None and along.readers[x] == 1:
            along.products[x] = self._product_of_layer(x, along, sums, sum_rgz, sum_tg)
        second = batch_norm_second(g, t, x.value, self.weight, self.mean, self.r, sums, along.sums[self], sum_tg)
        return (second.add_(rdx),)

    def _product_of_layer(
        self, layer: Layer, along: Along, sums: list[torch.Tensor], sum_rgz: torch.Tensor, sum_tg: torch.Tensor
    ) -> float:
        """R{<W, dL/dW>} of a layer without a bias that nothing else reads.

        The value hardly depends on the scale of W, only through eps. So <W, dL/dW> = eps sum_channels weight r^2 S, S = sum(g z),
        and its derivative has no large terms that cancel.
        """
        sum_gz, sum_g = sums
        mean_tz, mean_t = (each * layer.value.shape[1] / layer.value.numel() for each in along.sums[self])
        along_s = sum_rgz + self.r * (sum_tg - mean_t * sum_g - mean_tz * sum_gz)
        of_channels = self.r**2 * (along_s - 2 * sum_gz * self.r * mean_tz)
        of_channels = of_channels if self.weight is None else of_channels * self.weight
        return self.eps * float(of_channels.sum(dtype=torch.float64))


class Sum(Operation):
    """x + y."""

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return x[0] + x[1]

    def backward(self, g: torch.Tensor, sweep: Sweep) -> Tensors:
        return g, g

    def forward_along(self, along: Along, *t: torch.Tensor) -> torch.Tensor:
        return t[0] + t[1]

    def positive(self, inputs: tuple[Value, ...]) -> Operation:
        return Sum(inputs)


def _product(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum(dtype=torch.float64))


class Tape(TorchFunctionMode):
    """The operations of a forward pass.

        tape = Tape(network, {id(node.weight): path for path, node in nodes.items()}, images)
        sweep = tape.backward(gradient_of_the_loss_by(tape.output))

    names: of the nodes, by the id of their weights. Raises NoRule.
    """

    def __init__(self, network: nn.Module, names: Mapping[int, str], images: torch.Tensor):
        super().__init__()
        self._names = names
        # By the id of the tensor that the network knows it by, which is kept so that no other gets that id.
        self._known: dict[int, tuple[Value, torch.Tensor]] = {}
        self._rectified: dict[Value, torch.Tensor] = {}
        self.operations: list[Operation] = []
        given = _channels_last(images)
        self.images = self._constant(given)
        try:
            with torch.no_grad(), self:
                output = network(given)
        except NoRule:
            raise
        except Exception as error:  # the plain passes say what is wrong
            raise NoRule(str(error)) from error
        if not isinstance(output, torch.Tensor) or id(output) not in self._known or output.ndim != 2:
            raise NoRule("outputs that are no logits [N, classes]")
        self.output = self._known[id(output)][0]
        self._forget()

    def _forget(self) -> None:
        """Let go of values that no pass reads: all but those of layers and ReLUs, and what layers and BatchNorms read."""
        self._known, self._rectified = {}, {}
        read = {value for one in self.operations if isinstance(one, Layer | BatchNorm) for value in one.inputs}
        for one in {*self.operations} - read - {self.output}:
            if not isinstance(one, Layer | Relu):
                one.value = torch.empty(0)

    @property
    def layers(self) -> list[Layer]:
        """The calls of nodes, in execution order."""
        return [one for one in self.operations if isinstance(one, Layer)]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = _RULES.get(func.__name__)
        if rule is not None:
            return rule(self, func, *args, **kwargs)
        if func not in _OF_SHAPES and any(id(each) in self._known for each in tensors((args, kwargs))):
            raise NoRule(func.__name__)
        return func(*args, **kwargs)

    def _constant(self, value: torch.Tensor) -> Value:
        if not value.is_floating_point():
            raise NoRule(f"a tensor of {value.dtype}")
        made = Value(value)
        self._known[id(value)] = made, value
        return made

    def _value_of(self, value: torch.Tensor) -> Value:
        """What gave this tensor: an operation, the images, or a constant."""
        return self._known[id(value)][0] if id(value) in self._known else self._constant(value)

    def _add(self, operation: Operation, stands_for: torch.Tensor | None = None) -> torch.Tensor:
        """Compute an operation and write it down. stands_for: the tensor that the network goes on with; None: its value."""
        operation.value = operation.forward(*(one.value for one in operation.inputs))
        self.operations.append(operation)
        known = operation.value if stands_for is None else stands_for
        self._known[id(known)] = operation, known
        return known

    def backward(self, g: torch.Tensor, keep: bool = True) -> tuple[Sweep, torch.Tensor | None]:
        """From g = dL/doutput: the sweep, and dL/dimages, None if they do not reach the output. keep: see `Sweep`."""
        sweep = Sweep(keep)
        return sweep, self._swept(g, lambda one, given: one.backward(given, sweep))

    def along(self, sweep: Sweep, direction: Mapping[str, torch.Tensor], rg: Callable[[torch.Tensor], torch.Tensor]) -> Along:
        """How a sweep changes as the weights move along a direction, by name of node. rg: gives R{dL/doutput} from R{output}."""
        along = Along(direction, Counter(read for one in self.operations for read in one.inputs))
        last_reader = {read: one for one in self.operations for read in one.inputs}
        norms = [one for one in self.operations if isinstance(one, BatchNorm)]
        needed: set[Value] = {*self.layers, *(read for norm in norms for read in norm.inputs)}  # by `backward_along`
        for one in self.operations:
            for read in one.inputs:
                if read not in along.values:
                    along.values[read] = torch.zeros_like(read.value)
            along.values[one] = one.forward_along(along, *(along.values[read] for read in one.inputs))
            for read in one.inputs:
                if last_reader[read] is one and read not in needed:
                    along.values.pop(read, None)
        self._swept(rg(along.values[self.output]), lambda one, given: one.backward_along(given, sweep, along))
        return along

    def _swept(self, g: torch.Tensor, back: Callable[[Operation, torch.Tensor], Tensors]) -> torch.Tensor | None:
        """What g at the output becomes at the images, by `back` of each operation; sums where several read a value."""
        waiting: dict[Value, torch.Tensor] = {self.output: g}
        for one in reversed(self.operations):
            if one in waiting:
                for read, part in zip(one.inputs, back(one, waiting.pop(one)), strict=True):
                    waiting[read] = waiting[read] + part if read in waiting else part
        return waiting.get(self.images)


def _channels_last(value: torch.Tensor) -> torch.Tensor:
    """In the order of memory in which convolutions of few channels, pooling and BatchNorm are faster on a CPU."""
    return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


# Rules: each has the tape, the torch function and its arguments, writes down an operation and gives its value.


def _linear_rule(tape: Tape, func: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    read = tuple(map(tape._value_of, tensors((args, kwargs))))

    def function(*x: torch.Tensor) -> Any:
        given = iter(x)
        return func(*mapped(args, lambda _: next(given)), **mapped(kwargs, lambda _: next(given)))

    return tape._add(Linear(read, function))


def _pad_rule(tape: Tape, func: Any, x: torch.Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    if value:
        raise NoRule("padding with a number")
    return _linear_rule(tape, func, x, pad, mode)


def _sum_rule(tape: Tape, func: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    if not any(id(value) in tape._known for value in tensors((args, kwargs))):
        return func(*args, **kwargs)
    if kwargs or not all(isinstance(each, torch.Tensor) for each in args) or args[0].shape != args[1].shape:
        raise NoRule(f"{func.__name__} of other than two tensors of one shape")
    return tape._add(Sum(tuple(map(tape._value_of, args))))


def _layer_rule(tape: Tape, func: Any, x: torch.Tensor, weight: torch.Tensor, bias: Any = None, *form: Any, **named: Any) -> Any:
    if named or id(weight) not in tape._names or x.ndim != weight.ndim or (form and isinstance(form[1], str)):
        raise NoRule(func.__name__)
    full_form = None
    if func is F.conv2d:
        stride, padding, dilation, groups = form
        full_form = stride, padding, dilation, False, [0, 0], groups
    w, b = _channels_last(weight.detach()), None if bias is None else bias.detach()
    return tape._add(Layer(tape._value_of(x), tape._names[id(weight)], w, b, full_form))


def _norm_rule(
    tape: Tape, func: Any, x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> torch.Tensor:  # fmt: skip
    if not training:
        raise NoRule("batch_norm by running statistics")
    w, b = (None if each is None else each.detach() for each in (weight, bias))
    return tape._add(BatchNorm(tape._value_of(x), w, b, eps))


def _relu_rule(tape: Tape, func: Any, x: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    read = tape._value_of(x)
    if inplace:
        return tape._add(Relu((read,)), stands_for=x)
    if read not in tape._rectified:  # edges of a cell rectify the same sum
        tape._rectified[read] = tape._add(Relu((read,)))
    return tape._rectified[read]


def _max_pool_rule(tape: Tape, func: Any, x: torch.Tensor, *args: Any, return_indices: bool = False, **kwargs: Any) -> Any:
    if return_indices:
        raise NoRule("max_pool2d that also gives places")

    def with_places(value: torch.Tensor) -> Any:
        return F.max_pool2d(value, *args, **kwargs, return_indices=True)

    return tape._add(MaxPool((tape._value_of(x),), with_places))


_RULES: dict[str, Callable[..., torch.Tensor]] = {
    **dict.fromkeys(("cat", "mean", "flatten", "__getitem__", "avg_pool2d", "adaptive_avg_pool2d"), _linear_rule),
    **dict.fromkeys(("add", "__add__"), _sum_rule),
    **dict.fromkeys(("conv2d", "linear"), _layer_rule),
    "batch_norm": _norm_rule,
    "max_pool2d": _max_pool_rule,
    "pad": _pad_rule,
    "relu": _relu_rule,
}
_OF_SHAPES = {  # functions that read a tensor's shape alone
    *(torch.Tensor.shape.__get__, torch.Tensor.ndim.__get__, torch.Tensor.size, torch.Tensor.dim),  # type: ignore[attr-defined]
    *(torch.Tensor.new_zeros, torch.zeros_like),
}
