"""Tensors in what a network takes and gives: one, or tuples, lists, dicts and dataclasses of them."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch


def mapped(values: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Inputs, outputs or labels with every tensor changed: one tensor, or tuples, lists, dicts and dataclasses of them.

    They are of the same types; what else there is stays.
    """
    if isinstance(values, torch.Tensor):
        return function(values)
    if isinstance(values, tuple):
        parts = [mapped(value, function) for value in values]
        return type(values)._make(parts) if hasattr(values, "_make") else type(values)(parts)
    made: Any
    if isinstance(values, list):
        made = copy.copy(values)
        made[:] = [mapped(value, function) for value in values]
    elif isinstance(values, Mapping):
        made = copy.copy(values) if isinstance(values, MutableMapping) else dict(values)
        made.update({name: mapped(value, function) for name, value in values.items()})
    elif dataclasses.is_dataclass(values) and not isinstance(values, type):
        made = copy.copy(values)
        for name in values.__dataclass_fields__:
            object.__setattr__(made, name, mapped(getattr(values, name), function))
    else:
        return values
    return made


def tensors(values: Any) -> list[torch.Tensor]:
    """All tensors of inputs or outputs, in order."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, Mapping):
        values = values.values()
    elif not isinstance(values, tuple | list):
        values = [getattr(values, name, None) for name in getattr(values, "__dataclass_fields__", ())]
    return [tensor for value in values for tensor in tensors(value)]


def has_values(tensor: torch.Tensor) -> bool:
    """Whether it has numbers: those on the meta device have none, nor have those of FakeTensorMode."""
    return not (tensor.is_meta or type(tensor).__name__ == "FakeTensor")


def without_values() -> str:
    """What the caller is inside of, where torch computes no ordinary numbers; nothing as a rule."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a transform of torch.func"
    return "" if has_values(torch.empty(0, device="cpu")) else "FakeTensorMode"


def version_of(tensor: torch.Tensor) -> int:
    """How often its memory was written to; 0 of a tensor that was made in inference mode, which does not count."""
    return 0 if tensor.is_inference() else tensor._version


def total(outputs: Any) -> torch.Tensor:
    """The sum of all logits, or of all numbers that a network gave."""
    if isinstance(outputs, torch.Tensor):
        return outputs.sum()
    return torch.stack([tensor.sum() for tensor in tensors(outputs) if tensor.is_floating_point()]).sum()


def clone_of(tensor: torch.Tensor) -> torch.Tensor:
    """A copy with the gradient and the attributes of a tensor, which may be written into."""
    made = tensor.clone()
    made.__dict__.update(tensor.__dict__)
    return made


def positive(parameter: torch.Tensor) -> torch.Tensor:
    """|parameter| in float64, a copy; integers, which are no weights, as they are."""
    if parameter.is_complex():
        return parameter.abs().to(torch.complex128)
    return parameter.double().abs() if parameter.is_floating_point() else parameter.clone()


def shapes_of(inputs: Any) -> str:
    """The shapes of inputs, in words."""
    shapes = [str(tuple(tensor.shape)) for tensor in tensors(inputs)]
    return f"images of shape {shapes[0]}" if isinstance(inputs, torch.Tensor) else f"inputs of shapes {', '.join(shapes)}"
