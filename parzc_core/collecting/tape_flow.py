"""Synflow's pass over a tape, in the network's own precision.

Weights and biases are positive and nothing is normalised, so a ReLU gives what it gets, and sums reach 1e46. Values and gradients
are therefore `Scaled`: a tensor near one and a power of two.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import TypeAlias

import torch

from parzc_core.collecting.tape import Layer, Operation, Sweep, Tape, Value

Scaled: TypeAlias = tuple[torch.Tensor, int]  # (a, k): the numbers a 2^k


def flow_of(tape: Tape) -> tuple[dict[Layer, torch.Tensor], list[Layer]]:
    """dR/d|W|, float64, where R is the sum of the outputs for one image of ones; and all calls of nodes."""
    stands_for: dict[Value, Value] = {tape.images: Value(torch.ones_like(tape.images.value[:1]))}
    exponents: dict[Value, int] = defaultdict(int)
    made: list[Operation] = []
    for one in tape.operations:
        x = tuple(stands_for.setdefault(read, Value(read.value[:1])) for read in one.inputs)
        new = one.positive(x)
        stands_for[one] = x[0] if new is None else new
        if new is None:
            continue
        most = max(exponents[each] for each in x)
        scaled = _near_one(new.forward(*(_times(each.value, exponents[each] - most) for each in x)), most)
        if isinstance(one, Layer) and one.bias is not None:
            scaled = _added(scaled, (one.of_channels(one.bias).abs(), 0))
        new.value, exponents[new] = scaled
        made.append(new)
    return _gradients(made, stands_for[tape.output], exponents), [one for one in made if isinstance(one, Layer)]


def _gradients(operations: list[Operation], output: Value, exponents: Mapping[Value, int]) -> dict[Layer, torch.Tensor]:
    """The backward pass. exponents: of the values."""
    found: dict[Layer, torch.Tensor] = {}
    waiting: dict[Value, Scaled] = {output: (torch.ones_like(output.value), 0)}
    for one in reversed(operations):
        if one not in waiting:
            continue
        g, exponent = _near_one(*waiting.pop(one))
        sweep = Sweep()
        for read, part in zip(one.inputs, one.backward(g, sweep), strict=True):
            waiting[read] = _added((part, exponent), waiting[read]) if read in waiting else (part, exponent)
        if isinstance(one, Layer):
            found[one] = sweep.weights[one].double() * 2.0 ** (exponent + exponents[one.inputs[0]])
    return found


def _times(value: torch.Tensor, exponent: int) -> torch.Tensor:
    return value if exponent == 0 else value * 2.0**exponent


def _added(a: Scaled, b: Scaled) -> Scaled:
    most = max(a[1], b[1])
    return _times(a[0], a[1] - most) + _times(b[0], b[1] - most), most


def _near_one(value: torch.Tensor, exponent: int) -> Scaled:
    """The same numbers, none of them negative, with a tensor whose greatest entry lies near one."""
    greatest = float(value.amax()) if value.numel() else 0.0
    k = math.frexp(greatest)[1] if math.isfinite(greatest) else 0
    return (value, exponent) if abs(k) < 20 else (_times(value, -k), exponent + k)
