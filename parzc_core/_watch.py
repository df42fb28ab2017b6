"""Forward passes, and what they call: a mode that sees every torch function.

So a node is known by its weight, whether its module is called or the weight is read; a copy that calls the original network is
found out before it changes anything; and Synflow's pass has its parameters, types and missing BatchNorm wherever they are read.
"""

import functools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from parzc_core._graph import made_since, operations_counted, reaches
from parzc_core._nested import mapped, shapes_of, tensors, version_of
from parzc_core._networks import NODE_TYPES, Node, made_layers, parts_of
from parzc_core._state import Step, kept, same_start
from parzc_core.errors import BadInput


class CallsTheOriginal(BadInput):
    """A copy of a network that reads the original's parameters or buffers."""


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a node: its output, which version of that memory it was, and its place in the autograd graph.

    channel_axis: of the output; 0 where it is that of one image, without an axis of images. row: first output channel that it
    computes, where a part of the weight was read; None where images or channels of its output cannot be told. tokens: (L, N)
    where the output is [L, N, C] or [L N, C], as inside torch's attention, not [N, ...]. read: what the node was applied to.
    """

    name: str
    output: torch.Tensor
    version: int
    grad_fn: Any
    channel_axis: int = 1
    row: int | None = 0
    tokens: tuple[int, int] | None = None
    read: torch.Tensor | None = None

    def arranged(self, tensor: torch.Tensor, channel_axis: int, one: bool = False) -> torch.Tensor:
        """The output, or its gradient, with the images along the first axis and the channels along that axis.

        one: it is of one image, and has no axis of images.
        """
        axis = self.channel_axis
        if self.tokens is not None:
            tensor = (tensor if tensor.ndim == 3 else tensor.reshape(*self.tokens, -1)).transpose(0, 1)
        elif one:
            tensor, axis = tensor[None], axis + (axis >= 0)
        return tensor if axis % tensor.ndim == channel_axis % tensor.ndim else tensor.movedim(axis, channel_axis)

    def ordered(self, count: int, sequences_first: bool) -> "Call":
        """The call, told where a network in which sequences come first gives [L, N, C]. row: None where that may be [N, L, C]."""
        shape = self.output.shape
        if self.row is None or self.tokens is not None or self.channel_axis != -1 or len(shape) != 3 or shape[1] != count:
            return self
        if (shape[0] == count) == sequences_first:
            return replace(self, row=None)
        return replace(self, tokens=(shape[0], count)) if sequences_first else self

    def images(self, count: int) -> tuple[int | None, bool]:
        """The first image of a batch of so many that the call is of, and whether it is of one without an axis of images.

        An output of all images, or of several rows for each, is of them in order. One of others is told by what was read, if
        that is a slice of a tensor [count, ...]. None: it cannot be told.
        """
        one = self.channel_axis == 0 or self.output.ndim == 1
        rows = 0 if one else self.output.shape[0]
        read = None if self.tokens is not None else self.read
        base = None if read is None or read._base is None or read._base.dtype != read.dtype else read._base
        if read is not None and base is not None and base.ndim and len(base) == count and base.stride(0) > 0:
            size = base.stride(0)  # of an image
            first, rest = divmod(int(read.storage_offset() - base.storage_offset()), size)
            if not one and read.stride(0) == size:
                return first, False
            if rest + sum((n - 1) * step for n, step in zip(read.shape, read.stride(), strict=True)) < size:  # within an image
                return (None, False) if rows == count else (first, True)
            if first or rest:
                return None, one
        return (0 if self.tokens is not None or (rows and rows % count == 0) else None), one


_WEIGHT_SECOND = {"linear", "matmul", "mm", "bmm", "__matmul__"} | {
    f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3)
}
_MATRIX = {"matmul", "mm", "bmm", "__matmul__"}
_CONTRACTING = {"einsum", "tensordot", "inner", "bilinear"}  # the axes of what they give cannot be told
_PICKING = {"embedding", "gather", "index_select", "take_along_dim", "cdist", "__getitem__"}  # rows, or distances to them
_OWN = {kind.forward for kind in NODE_TYPES}
_FREEZING = (torch.Tensor.requires_grad_, torch.Tensor.requires_grad.__set__, torch.Tensor.detach_)  # type: ignore[attr-defined]
_BARE = torch.Tensor.data.__get__  # type: ignore[attr-defined]
_BATCH_NORMS = (F.batch_norm, torch.batch_norm, torch.native_batch_norm)


class Watch(TorchFunctionMode):
    """Records the calls of nodes in a forward pass.

    nodes: by path. hand_out_copies: the network gets copies of the nodes' outputs, so that it cannot overwrite them.
    foreign: ids of tensors that the pass must not touch; raises CallsTheOriginal before it does.
    """

    def __init__(self, nodes: Mapping[str, Node], hand_out_copies: bool = False, foreign: frozenset[int] = frozenset()):
        super().__init__()
        self.calls: list[Call] = []
        self.led_back = False
        self._nodes, self._copies, self.foreign = nodes, hand_out_copies, foreign
        self._readers: dict[int, _Reader] = {}  # by id
        self._weights = {name: node.weight for name, node in nodes.items()}  # a network may set others for a call
        self._used: dict[str, torch.Tensor | None] = {}  # by node: the weight that it had at its first call
        for name, node in reversed(list(nodes.items())):
            self._add_reader(_Reader(name, node.weight, 0, node.weight_axis))
        self._inside: set[int] = set()  # ids of the weights of torch's own layers that are being called
        self._began: dict[str, int] = {}  # by node whose module is being called: how many calls there were
        self._tokens: tuple[int, int] | None = None

    def _add_reader(self, reader: "_Reader | None") -> None:
        if reader is not None:
            self._readers[id(reader.tensor)] = reader

    @contextmanager
    def hooked(self) -> Iterator["Watch"]:
        """Inside, the nodes' modules tell of their calls, and so does every function that is called; no weight can be frozen."""
        with ExitStack() as stack:
            for name, node in self._nodes.items():
                node.weight.requires_grad_(True)
                if node.parameter == "weight":
                    stack.callback(node.module.register_forward_pre_hook(self._before(name)).remove)
                    stack.callback(node.module.register_forward_hook(self._after(name, node), always_call=True).remove)
            with self:
                yield self

    def check_after(self, model: nn.Module) -> None:
        """Raises BadInput where the forward pass made a layer, or gave one another weight after it had used the first."""
        changed = made_layers(model, self._nodes)
        for name, node in self._nodes.items():
            held = getattr(node.module, node.parameter, None)
            if held is None or not any(held is one for one in (self._weights[name], self._used.get(name, held))):
                changed.append(name)
        if changed:
            raise BadInput(
                f"the forward pass of {type(model).__name__} makes, replaces or deletes the layer {changed[0]!r} or its weight; "
                "expected layers that stay: make them in __init__, or run one batch through the network first"
            )

    def _before(self, name: str) -> Callable[..., None]:
        weight = id(self._weights[name])

        def enter(module: Any, inputs: Any) -> None:
            self._began[name] = len(self.calls)
            if _is_plain(module):
                self._inside.add(weight)

        return enter

    def _after(self, name: str, node: Node) -> Callable[..., torch.Tensor]:
        weight, axis = self._weights[name], node.channel_axis

        def leave(module: Any, inputs: Any, output: Any) -> Any:
            """What the module gives is its node's output, unless a function inside applied the weight and more came after it."""
            self._inside.discard(id(weight))
            began = self._began.pop(name, len(self.calls))
            calls = [replace(c, name=name) if self._weights[c.name] is weight else c for c in self.calls[began:]]
            applied = [c for c in calls if c.name == name]
            beyond = [*(c.grad_fn for c in applied), *(part.grad_fn for part in tensors(inputs))]
            seen = bool(applied) and all(c.row is not None for c in applied)
            if seen and not (isinstance(output, torch.Tensor) and reaches(output, weight, beyond)):
                self.calls[began:] = calls
                return output
            self.calls[began:] = [c for c in calls if c.name != name]
            read = inputs[0] if inputs and isinstance(inputs[0], torch.Tensor) else None
            return self._record(name, output, axis, 0, read) if isinstance(output, torch.Tensor) else output

        return leave

    def _record(self, name: str, output: torch.Tensor, axis: int, row: int | None, read: torch.Tensor | None) -> torch.Tensor:
        kernel = self._weights[name].ndim
        self._used.setdefault(name, getattr(self._nodes[name].module, self._nodes[name].parameter, None))
        if axis == 1 and read is not None and output.ndim == read.ndim == kernel - 1:  # a convolution of one image alone
            axis = 0
        row = None if output.is_nested else row
        self.calls.append(Call(name, output, version_of(output), output.grad_fn, axis, row, self._tokens, read))
        return output.clone() if self._copies else output

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (*args, *kwargs.values()) if kwargs else args
        if self.foreign:
            self._check(given)
        if func is F.multi_head_attention_forward:
            return self._attention(func, args, kwargs or {})
        if func == _BARE:  # what is written there is not counted
            self.calls = [replace(call, version=-1) if call.output is args[0] else call for call in self.calls]
        if func in _FREEZING and (isinstance(args[0], nn.Parameter) or id(args[0]) in self._readers):
            return args[0]
        result = self._called(func, args, kwargs or {})
        for place, value in enumerate(given):
            if id(value) in self._readers:
                return self._read(func.__name__, place, given, self._readers[id(value)], result)
        return result

    def derived_by(self, model: nn.Module) -> frozenset[int]:
        """The ids of what derivatives may be taken by."""
        return frozenset(map(id, self._weights.values())) or parts_of(model)

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def _check(self, given: Any) -> None:
        foreign = self.foreign
        for value in given:
            if id(value) in foreign or (type(value) is list and any(id(part) in foreign for part in value)):
                self.led_back = True
                raise CallsTheOriginal(
                    "the copy of the network uses the original's weights: a function or an object that it keeps refers to it"
                )

    def _attention(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Look inside torch's attention, whose first lines would call this mode again and again."""
        inner = types.FunctionType(
            func.__code__, {**func.__globals__, "has_torch_function": lambda tensors: False}, func.__name__, func.__defaults__
        )
        inner.__kwdefaults__ = func.__kwdefaults__
        query = args[0] if args else kwargs["query"]
        before, self._tokens = self._tokens, (query.shape[0], query.shape[1] if query.ndim == 3 else 1)
        try:
            with self:
                return inner(*args, **kwargs)
        finally:
            self._tokens = before

    def _read(self, function: str, place: int, given: Any, reader: "_Reader", result: Any) -> Any:
        """A function read a node's weight, or what was made of it: it applied it, or made something of it."""
        node, whole, applied = self._nodes[reader.name], self._weights[reader.name], reader.tensor
        matrix = function in _MATRIX or function in ("addmm", "baddbmm")
        second = function in _WEIGHT_SECOND and place == 1
        third = matrix and function not in _MATRIX and place == 2
        first = function in _MATRIX and place == 0
        if isinstance(result, torch.Tensor) and min(result.ndim, applied.ndim) > 1 and (first or second or third):
            if id(whole) in self._inside or (function in _MATRIX and id(given[1 - place]) in self._readers):
                return result
            # The axes of what is applied that count its output channels and what it sums over. The node's are others where its
            # weight is transposed, say, and then the channels are no channels of the node.
            channels = (-2 if first else -1 if matrix else int(function.startswith("conv_transpose"))) % applied.ndim
            inputs = applied.shape[-1 if first else -2] if matrix else applied.numel() // max(1, applied.shape[channels])
            fits = inputs == whole.numel() // max(1, whole.shape[node.weight_axis])
            heads = matrix and any(n > 1 and step for n, step in zip(applied.shape[:-2], applied.stride()[:-2], strict=True))
            axis = 1 if function.startswith("conv") else -2 if first else -1
            if fits and reader.axis in (None, channels):
                return self._record(reader.name, result, axis, None if heads else reader.row, given[1 if third else 1 - place])
            return result
        if function in _CONTRACTING:
            alone = all(id(value) in self._readers for value in given if isinstance(value, torch.Tensor))
            return result if alone else self._record(reader.name, result, -1, None, None)
        for part in result if isinstance(result, list | tuple) else (result,):
            made = isinstance(part, torch.Tensor) and part.requires_grad and part is not applied
            if made and not is_functorch_wrapped_tensor(part):
                self._add_reader(reader.made(part, whole, function))
        return result


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer gives what torch's own forward gives: nothing else was put there, and no other hook changes it."""
    own = isinstance(layer.__dict__.get("forward"), functools.partial | None)
    return own and type(layer).forward in _OWN and len(layer._forward_hooks) == 1


def ordered_calls(calls: list[Call], model: nn.Module, count: int) -> list[Call]:
    """Each as `Call.ordered` tells it; sequences come first where a module of torch's says so."""
    sequences_first = any(getattr(module, "batch_first", True) is False for module in model.modules())
    return [call.ordered(count, sequences_first) for call in calls]


@dataclass(frozen=True, eq=False)
class _Reader:
    """The weight of a node, or what is made of it: a tensor, and what of the weight it holds.

    row: the first output channel. axis: that counts output channels; None where that is not known.
    """

    name: str
    tensor: torch.Tensor
    row: int
    axis: int | None

    def made(self, part: torch.Tensor, whole: torch.Tensor, function: str) -> "_Reader | None":
        """What a function made of it, if that is all of it in another form, or a part of it that shares its memory."""
        tensor, axis = self.tensor, self.axis
        if part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr():
            step = whole.stride(0) if axis is None else tensor.stride(axis)
            same = [a for a in range(part.ndim) if part.stride(a) == step and part.shape[a] > 1]
            row = self.row + (part.storage_offset() - tensor.storage_offset()) // max(1, step)
            return _Reader(self.name, part, row, same[0] if len(same) == 1 else None)
        if part.numel() != tensor.numel() or function in _PICKING:
            return None
        return _Reader(self.name, part, self.row, axis if part.shape == tensor.shape else None)


class FlowWatch(Watch):
    """Synflow's pass as well: parameters and buffers replaced wherever they are read, float64 everywhere, no BatchNorm.

    replaced: by the id of a tensor, what stands in its place; the nodes have theirs already.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        replaced: Mapping[int, torch.Tensor],
        hand_out_copies: bool = False,
        foreign: frozenset[int] = frozenset(),
    ):
        super().__init__(nodes, hand_out_copies, foreign)
        self._replaced = dict(replaced)
        # By address and type: memory that was made elsewhere, what it held, and the copy that is read and written in its place.
        self._memories: dict[tuple[int, torch.dtype], tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def check_after(self, model: nn.Module) -> None:
        """Raises BadInput as well where a parameter is not positive any more: the forward pass wrote into it."""
        super().check_after(model)
        for name, p in nn.Module.named_parameters(model):  # whatever its own method gives
            if p.is_floating_point() and bool((p < 0).any()):
                hint = "run one batch through it first, if it starts from data"
                raise BadInput(f"the forward pass writes negative numbers into {name!r}; {hint}")

    def derived_by(self, model: nn.Module) -> frozenset[int]:
        return parts_of(model) | self._replaced.keys()

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        args = [self._double(value) for value in args]
        if func in _BATCH_NORMS and not (args and id(args[0]) in self._readers):  # where it does not standardise a weight
            return (args[0] if args else self._double(kwargs["input"])).clone()
        return self._double(func(*args, **{name: self._double(value) for name, value in kwargs.items()}))

    def _double(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            value = self._replaced.get(id(value), value)
            if value.dtype in (torch.float64, torch.complex128) or not (value.is_floating_point() or value.is_complex()):
                return value
            wide = torch.complex128 if value.is_complex() else torch.float64
            return value.to(wide) if value.requires_grad or value.layout != torch.strided else self._in_place_of(value, wide)
        if isinstance(value, list | tuple) and any(isinstance(part, torch.Tensor) for part in value):
            parts = [self._double(part) for part in value]
            if all(a is b for a, b in zip(parts, value, strict=True)):
                return value
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    def _in_place_of(self, value: torch.Tensor, wide: torch.dtype) -> torch.Tensor:
        """The same part of one copy of its memory for the whole pass, since the network may write into it."""
        key = value.untyped_storage().data_ptr(), value.dtype
        if key not in self._memories or not torch.equal(*(part.view(torch.uint8) for part in self._memories[key][:2])):
            memory = torch.empty(0, dtype=value.dtype, device=value.device).set_(value.untyped_storage())
            self._memories[key] = memory, memory.clone(), memory.to(wide)
        return self._memories[key][2].as_strided(value.shape, value.stride(), value.storage_offset())


@contextmanager
def ordinary() -> Iterator[None]:
    """Inside, what is called is what can be seen and differentiated twice.

    Attention is made of products, no encoder layer is fused, compiled functions run as they were written, and checkpoints keep
    what they compute.
    """
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        if "torch._dynamo" in sys.modules:  # something was compiled; importing it takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for name, instead in (("CheckpointFunction", _Called), ("_checkpoint_without_reentrant_generator", _nothing)):
            stack.callback(setattr, torch.utils.checkpoint, name, getattr(torch.utils.checkpoint, name))
            setattr(torch.utils.checkpoint, name, instead)
        yield


class _Called:
    """In place of a checkpoint: the function, called."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
    yield


def forward_with_calls(
    model: nn.Module,
    nodes: Mapping[str, Node],
    inputs: Any,
    classes: bool = True,
    foreign: frozenset[int] = frozenset(),
    watch: Callable[[bool], Watch] | None = None,
    start: Step | None = None,
) -> tuple[Any, list[Call]]:
    """Logits [N, classes], or whatever the network gives, and the calls of nodes in execution order.

    classes: expect logits. foreign, watch: see Watch. start: brings back the network as it is now; None: made here, if there
    are nodes. Raises BadInput: inputs that it cannot take, no logits.
    """
    make = watch or (lambda copies: Watch(nodes, copies, foreign))
    if nodes and start is None:
        start = kept(model)
    outputs, calls = recorded(make(False), model, inputs, classes)
    if start is not None and overwritten(calls):
        start()
        with same_start():
            outputs, calls = recorded(make(True), model, inputs, classes)
    return outputs, calls


def overwritten(calls: list[Call]) -> bool:
    """Whether an output is not what its node gave any more, as the network wrote into it: it should be handed copies."""
    return any(version_of(call.output) != call.version for call in calls)


def recorded(watch: Watch, model: nn.Module, inputs: Any, classes: bool) -> tuple[Any, list[Call]]:
    """One forward pass: its outputs, which must be logits where classes are expected, and the calls that the watch saw."""
    outputs = run_watched(watch, model, inputs)
    watch.check_after(model)
    if classes and not (isinstance(outputs, torch.Tensor) and outputs.ndim == 2 and outputs.is_floating_point()):
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise BadInput(
            f"{type(model).__name__} returned {got}; expected logits [N, classes]: wrap it so that it returns them, or give "
            "loss=, a function of its outputs and the labels"
        )
    if not any(tensor.requires_grad for tensor in tensors(outputs)):
        raise BadInput(
            f"the outputs of {type(model).__name__}, {type(outputs).__name__}, hold no tensor that depends on a weight; expected "
            "a tensor, or a tuple, list, dict or dataclass of them, of a forward that is not under torch.no_grad()"
        )
    return outputs, watch.calls


def run_watched(watch: Watch, model: nn.Module, inputs: Any) -> Any:
    """model(inputs), several inputs by place or by name. The network gets copies of them, since it may write into its input.

    Raises BadInput: inputs that it cannot take.
    """
    counted, given = operations_counted(), mapped(inputs, torch.Tensor.clone)
    try:
        with ordinary(), watch.hooked():
            if isinstance(given, Mapping):
                outputs = model(**given)
            else:
                outputs = model(*given) if isinstance(given, tuple | list) else model(given)
    except (CallsTheOriginal, MemoryError):
        raise
    except Exception as error:
        kind = "" if isinstance(error, RuntimeError | ValueError) else f"{type(error).__name__}: "
        lost = isinstance(error, AttributeError | LookupError) and watch.foreign  # what the copy has not got?
        raised = CallsTheOriginal if lost else BadInput
        raise raised(f"{type(model).__name__} cannot process {shapes_of(inputs)}: {kind}{error}") from error
    if watch.led_back:  # and the network caught the error
        raise CallsTheOriginal(f"the copy of {type(model).__name__} uses the original's weights")
    weights, known = functools.partial(watch.derived_by, model), {call.grad_fn for call in watch.calls}
    return made_since(counted, outputs, weights, known, norms=not isinstance(watch, FlowWatch))
