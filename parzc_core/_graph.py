"""Derivatives, and what autograd's graph tells of a tensor: whether it can be derived twice, what it reads."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import torch

from parzc_core._nested import tensors
from parzc_core.errors import BadInput

FASTER = "parzc_core._fast_layers"  # whose functions all have a second derivative
_JOINED = ("StackBackward0", "CatBackward0")
_NEGATIVE = 2**63  # the graph keeps axes below 0 as numbers above


def gradients_of(
    of: torch.Tensor, by: Sequence[torch.Tensor], retain_graph: bool | None = True, create_graph: bool = False
) -> list[torch.Tensor | None]:
    """The derivatives of a scalar; None by what it does not depend on, or what has no gradient. Raises BadInput.

    A function with a backward pass of its own inside (of reversible layers, say) leaves gradients at the weights: they are added.
    """
    live = [tensor for tensor in by if tensor.requires_grad]
    if not live or not of.requires_grad:
        return [None] * len(by)
    leaves = {id(tensor): tensor for tensor in live if tensor.is_leaf}
    for leaf in leaves.values():
        leaf.grad = None
    try:
        found = torch.autograd.grad(of, live, retain_graph=retain_graph, create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        if "not implemented" in str(error) or "twice" in str(error):
            raise BadInput(no_second_derivative(str(error))) from error
        raise BadInput(f"the network's backward pass failed: {error}") from error
    left = [leaves[id(tensor)].grad if id(tensor) in leaves else None for tensor in live]
    given = iter([g if more is None else more if g is None else g + more for g, more in zip(found, left, strict=True)])
    return [next(given) if tensor.requires_grad else None for tensor in by]


def no_second_derivative(what: str) -> str:
    return f"grasp needs second derivatives, and the network uses a function that has none ({what}); leave out grasp"


def second_derivatives_missing(loss: torch.Tensor) -> set[str]:
    """The names of custom functions that turn out to have no second derivative; filled while `loss` is differentiated.

    Such a function's gradient is marked by torch as an error that nothing meets, or has lost its own graph.
    """
    missing: set[str] = set()

    def watch(node: Any, name: str) -> None:
        def check(results: Any, given: Any) -> None:
            if not any(g is not None and g.requires_grad for g in given):
                return
            for g in results:
                if g is not None and (type(g.grad_fn).__name__ == "Error" or (not g.requires_grad and bool(g.any()))):
                    missing.add(name)

        node.register_hook(check)

    for node in functions_behind([loss.grad_fn]):
        kind = getattr(type(node), "_forward_cls", None)
        if kind is not None and kind.__module__ != FASTER:
            watch(node, kind.__name__)
    return missing


def functions_behind(starts: Iterable[Any], stops: Collection[Any] = ()) -> Iterator[Any]:
    """These functions of the graph, where they are not None, and those behind them, each once; nothing behind `stops`."""
    stack, seen = list(starts), set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if node not in stops:
            stack.extend(after for after, _ in node.next_functions)


def operations_counted() -> int:
    """How many operations autograd has counted in this thread."""
    with torch.inference_mode(False), torch.enable_grad():
        one: Any = torch.ones((), requires_grad=True).clone().grad_fn
    return one._sequence_nr() + 1


def made_since(
    counted: int, outputs: Any, weights: Callable[[], Collection[int]], known: Collection[Any], norms: bool
) -> Any:
    """The outputs. Raises BadInput where they depend on a weight by an operation that is none of this thread's since then.

    counted: of `operations_counted`, at the start. weights: gives their ids. known: operations that gave outputs of layers
    since then, in whatever thread. norms: whether another thread may normalise what they gave.
    """
    stack: list[tuple[Any, str]] = [(tensor.grad_fn, "") for tensor in tensors(outputs)]  # and an operation of elsewhere
    now, seen = operations_counted(), set[tuple[Any, bool]]()
    while stack:
        operation, other = stack.pop()
        if operation is None or (operation, bool(other)) in seen:
            continue
        seen.add((operation, bool(other)))
        if operation in known and (norms or "BatchNorm" not in other):
            other = ""
            seen.update((each, False) for each, _ in operation.next_functions if _is_of_one_leaf(each))
        elif type(operation).__name__ == "AccumulateGrad":  # a leaf has no number
            if other and id(operation.variable) in weights():
                raise BadInput(
                    f"the outputs depend on weights by a tensor that was computed before this forward pass, or by another thread "
                    f"({other}); expected a forward that computes all of it anew, in one thread, and keeps none in a cache"
                )
        elif not counted <= operation._sequence_nr() < now:
            other = other or type(operation).__name__
        stack.extend((each, other) for each, _ in operation.next_functions)
    return outputs


def _is_of_one_leaf(operation: Any) -> bool:
    """Whether it gives a leaf in another form, such as a layer's weight transposed."""
    return [type(each).__name__ for each, _ in getattr(operation, "next_functions", ())] == ["AccumulateGrad"]


def reaches(output: torch.Tensor, leaf: torch.Tensor, beyond: Collection[Any]) -> bool:
    """Whether the output depends on a leaf in another way than through the functions of the graph in `beyond`."""
    return any(getattr(node, "variable", None) is leaf for node in functions_behind([output.grad_fn], beyond))


def of_other_images(reads: Sequence[torch.Tensor | None], count: int) -> bool:
    """Whether two of these tensors were computed from other parts, along the first axis, of one tensor [count, ...].

    What parts were put together to is of all images again.
    """
    parts = [{} if read is None or len(reads) < 2 else _parts(read, count) for read in reads]
    return any(a[source] != b[source] for a, b in combinations(parts, 2) for source in a.keys() & b.keys())


def _parts(read: torch.Tensor, count: int) -> dict[Any, set[Any]]:
    """{function that gave a tensor [count, ...]: which parts of it were read}."""
    found: dict[Any, set[Any]] = {}
    stack, seen = [(read.grad_fn, read.output_nr)], set[Any]()
    while stack:
        node, output = stack.pop()
        if node is None or (node, output) in seen or node.name() in _JOINED:
            continue
        seen.add((node, output))
        place = _place(node, output, count)
        if place is None:
            stack.extend(node.next_functions)
        else:
            found.setdefault(node.next_functions[0][0], set()).add(place)
    return found


def _place(node: Any, output: int, count: int) -> Any:
    """Which part of a tensor [count, ...] the function gives; None where it gives no such part."""
    kind = node.name()
    if kind == "UnbindBackward0":
        return output if node._saved_dim == 0 and len(node._input_metadata) == count else None
    if kind not in ("SelectBackward0", "SliceBackward0", "SplitBackward0"):
        return None
    sizes, axis = node._saved_self_sym_sizes, node._saved_dim
    if not sizes or sizes[0] != count or axis not in (0, 2 * _NEGATIVE - len(sizes)):
        return None
    if kind == "SelectBackward0":
        return node._saved_index % count
    whole = node._input_metadata[0].shape[0] == count
    return None if whole else (output if kind == "SplitBackward0" else (node._saved_start, node._saved_step))
