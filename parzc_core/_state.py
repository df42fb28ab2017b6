"""States that are brought back: what hangs on a network, bit for bit, and the caller's random numbers and modes of torch."""

import contextlib
import functools
import random
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from parzc_core.errors import BadInput

_TURN = threading.RLock()  # random numbers and flags of torch are of the process
Step = Callable[[], None]
_FIXED = frozenset({str, bytes, int, float, bool, complex, type(None), type, torch.dtype, torch.device, torch.Size, slice, range})
_BARE = frozenset({dict, list, set, tuple, deque, OrderedDict, types.MethodType, types.BuiltinFunctionType})  # without attributes
_GENERATORS: dict[type, tuple[str, str]] = {
    torch.Generator: ("get_state", "set_state"),
    random.Random: ("getstate", "setstate"),
    np.random.RandomState: ("get_state", "set_state"),
}


def kept(network: Any) -> Step:
    """A step that brings back the state of everything that can be reached from the network; it may be taken several times.

    Brought back: modules with their attributes and hooks; other objects, with __dict__ or __slots__; lists, sets, dictionaries,
    deques, bytearrays; tensors, numpy arrays; generators of torch, numpy and Python; what functions close over. Not brought
    back: sparse tensors; globals; what C code keeps to itself (iterators, generator functions under way, itertools, open files,
    locks, queues, caches of functools).
    """
    undo: list[Step] = []
    memories: set[int] = set()
    seen: dict[int, Any] = {}
    empty: list[Any] = []  # most dictionaries are: a module has a dozen, of hooks
    stack: list[Any] = [network]
    while stack:
        thing = stack.pop()
        kind = type(thing)
        if kind in _FIXED or id(thing) in seen or isinstance(thing, type | types.ModuleType):
            continue
        seen[id(thing)] = thing
        if (kind is dict or kind is OrderedDict) and not thing:
            empty.append(thing)
            continue
        if isinstance(thing, torch.Tensor):
            undo.extend(_tensor_as_it_is(thing, memories))
            stack.append(thing.grad if thing.is_leaf else None)
        elif isinstance(thing, dict):
            undo.append(functools.partial(_refill, thing, dict(thing)))
            stack.extend(thing.values())
        elif isinstance(thing, list | set | deque):
            undo.append(functools.partial(_refill, thing, list(thing)))
            stack.extend(thing)
        elif isinstance(thing, bytearray):
            undo.append(functools.partial(thing.__setitem__, slice(None), bytes(thing)))
        elif isinstance(thing, np.ndarray):
            if thing.flags.writeable:
                undo.append(functools.partial(np.copyto, thing, thing.copy()))
            stack.extend(thing.ravel() if thing.dtype.hasobject else ())
        elif isinstance(thing, np.random.Generator):
            undo.append(functools.partial(setattr, thing.bit_generator, "state", thing.bit_generator.state))
        elif isinstance(thing, tuple(_GENERATORS)):
            get, put = next(names for each, names in _GENERATORS.items() if isinstance(thing, each))
            undo.append(functools.partial(getattr(thing, put), getattr(thing, get)()))
        elif isinstance(thing, tuple | frozenset):
            stack.extend(thing)
        elif isinstance(thing, functools.partial):
            stack.extend((thing.func, thing.args, thing.keywords))
        elif isinstance(thing, types.MethodType):
            stack.extend((thing.__self__, thing.__func__))
        elif isinstance(thing, types.FunctionType):
            stack.extend((thing.__defaults__, thing.__kwdefaults__))
            for cell in thing.__closure__ or ():
                values: list[Any] = []
                with contextlib.suppress(ValueError):  # a variable without value
                    values.append(cell.cell_contents)
                undo.append(functools.partial(_set_cell, cell, values))
                stack.extend(values)
        if kind in _BARE:
            continue
        if isinstance(getattr(thing, "__dict__", None), dict):
            undo.append(functools.partial(_set_class, thing, kind))
            stack.append(thing.__dict__)
        for slot in _slots(type(thing)):  # type: ignore[arg-type]
            value = slot.__get__(thing) if _is_set(slot, thing) else _slots
            undo.append(functools.partial(_set_slot, slot, thing, value))
            stack.append(value)
    return functools.partial(_take, [functools.partial(_empty, empty), *undo])


@contextmanager
def restored(network: Any) -> Iterator[None]:
    """After it, all that hangs on the network is as it was, see `kept`."""
    undo = kept(network)
    try:
        yield
    finally:
        undo()


def switch(network: torch.nn.Module, mode: str) -> None:
    """Put a network into "train" or "eval" mode, whatever its method gives back. Raises BadInput where it refuses that."""
    try:
        getattr(network, mode)()
    except Exception as error:
        raise BadInput(f"{type(network).__name__} refuses {mode} mode, which the proxies need: {error}") from error


@contextmanager
def told_apart(network: Any) -> Iterator[None]:
    """Inside, the network's modules are told apart by identity, where an __eq__ of theirs left them no hash, or equal ones.

    Else torch cannot walk through the network, or skips layers that equal others. The classes are restored after it.
    """
    modules: dict[int, Any] = {}
    stack: list[Any] = [network] if isinstance(network, torch.nn.Module) else []
    while stack:
        module = stack.pop()
        if module is not None and id(module) not in modules:
            modules[id(module)] = module
            stack.extend(module._modules.values())
    of_kind: dict[type, list[Any]] = {}
    for module in modules.values():
        if type(module).__hash__ is not object.__hash__:
            of_kind.setdefault(type(module), []).append(module)
    odd = [kind for kind, found in of_kind.items() if kind.__hash__ is None or len(set(found)) < len(found)]
    changed = {c: vars(c)["__hash__"] for kind in odd for c in kind.__mro__ if "__hash__" in vars(c) and _is_of_python(c)}
    try:
        for c in changed:
            setattr(c, "__hash__", object.__hash__)  # noqa: B010
        yield
    finally:
        for c, before in changed.items():
            setattr(c, "__hash__", before)  # noqa: B010


@contextmanager
def ordinary_mode() -> Iterator[None]:
    """Inside, gradients are on, and numbers are of the types that the network has: no inference mode, no autocast.

    One thread is inside at a time.
    """
    with _TURN, ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def same_start() -> Iterator[None]:
    """Inside, random numbers of torch, numpy and Python start from one seed, in torch's ordinary mode.

    The caller's generators are restored after it. They are of the process: another thread that draws meanwhile draws from here.
    """
    with ordinary_mode():
        undo = random_numbers()
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            undo()


def random_numbers() -> Step:
    """A step that brings back the state of torch's, numpy's and Python's random numbers."""
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002

    def undo() -> None:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002
        if on_devices:
            torch.cuda.set_rng_state_all(on_devices)

    return undo


def _empty(containers: list[Any]) -> None:
    for container in containers:
        if container:
            container.clear()


def _take(steps: list[Step]) -> None:
    for step in steps:
        step()


def _refill(container: Any, before: Any) -> None:
    """Give a container what it had, in its order. One that still has it is not touched."""
    pairs = isinstance(container, dict)
    if len(container) == len(before):
        now, then = (container.items(), before.items()) if pairs else ((), ())
        if pairs and all(a[0] is b[0] and a[1] is b[1] for a, b in zip(now, then, strict=True)):
            return
        if not pairs and all(a is b for a, b in zip(container, before, strict=True)):
            return
    container.clear()
    (container.extend if isinstance(container, list | deque) else container.update)(before)


def _set_class(thing: Any, kind: type) -> None:
    if type(thing) is not kind:
        thing.__class__ = kind


def _is_of_python(kind: type) -> bool:
    """Whether a class is written in Python, not in C."""
    return bool(kind.__flags__ & 1 << 9)


@functools.cache
def _slots(kind: type) -> tuple[Any, ...]:
    """The descriptors of what objects of that type keep in __slots__."""
    classes = [c for c in kind.__mro__ if "__slots__" in vars(c) and _is_of_python(c)]
    return tuple(slot for c in classes for slot in vars(c).values() if isinstance(slot, types.MemberDescriptorType))


def _is_set(slot: Any, thing: Any) -> bool:
    try:
        slot.__get__(thing)
    except AttributeError:
        return False
    return True


def _set_slot(slot: Any, thing: Any, value: Any) -> None:
    """value: what the slot had, or `_slots` where it had nothing."""
    if value is not _slots:
        slot.__set__(thing, value)
    elif _is_set(slot, thing):
        slot.__delete__(thing)


def _set_cell(cell: Any, values: list[Any]) -> None:
    """values: what a variable that a function closes over had; nothing where it had none."""
    if values:
        cell.cell_contents = values[0]
    else:
        with contextlib.suppress(ValueError):
            del cell.cell_contents


def _tensor_as_it_is(tensor: torch.Tensor, memories: set[int]) -> Iterator[Step]:
    """Steps that give a tensor the memory, the values, the flag and the gradient that it has now.

    memories: addresses of what is kept already, since tensors share memory.
    """
    if tensor.layout != torch.strided or tensor.is_meta:
        return
    memory, flag = tensor.data, tensor.requires_grad
    gradient = tensor.grad if tensor.is_leaf else None
    storage = memory.untyped_storage()
    if storage.data_ptr() not in memories and storage.nbytes():
        memories.add(storage.data_ptr())
        entries = torch.empty(0, dtype=torch.uint8, device=memory.device).set_(storage)
        yield functools.partial(_rewrite, entries, entries.clone())

    def undo() -> None:
        if tensor.data_ptr() != memory.data_ptr() or tensor.shape != memory.shape or tensor.stride() != memory.stride():
            tensor.data = memory
        if tensor.is_leaf:
            if tensor.requires_grad != flag:
                tensor.requires_grad_(flag)
            if tensor.grad is not gradient:
                tensor.grad = gradient

    yield undo


def _rewrite(entries: torch.Tensor, values: torch.Tensor) -> None:
    if not torch.equal(entries, values):
        entries.copy_(values)
