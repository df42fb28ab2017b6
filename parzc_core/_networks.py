"""What a network may be, its nodes, and how to work on it without changing it.

A network is worked on in a copy. Where it cannot be copied, or its copy calls the original (a function that it keeps refers to
it), the network itself is used and its state restored afterwards, bit for bit.
"""

import copy
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from parzc_core._nested import has_values, without_values
from parzc_core._state import _FIXED, restored, same_start, switch
from parzc_core.errors import BadInput

NODE_TYPES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_PROJECTIONS = {
    "in_proj": "in_proj_weight",
    "q_proj": "q_proj_weight",
    "k_proj": "k_proj_weight",
    "v_proj": "v_proj_weight",
}
_WEAK = (weakref.ref, weakref.WeakKeyDictionary, weakref.WeakSet)  # a copy has those of the original
_KEPT = (dict, list, set, deque, torch.Tensor, np.ndarray)
_DERIVING_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)  # they compute a weight before each call, the older way


@dataclass(frozen=True, eq=False)
class Node:
    """A weight that its layer multiplies by: the module that holds it, and the weight's name there."""

    module: nn.Module
    parameter: str = "weight"

    @property
    def weight(self) -> torch.Tensor:
        """W: [out, in / groups, ...], or [in, out / groups, ...] of a transposed convolution."""
        return getattr(self.module, self.parameter)

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.module.out_channels if isinstance(self.module, _ConvTransposeNd) else self.weight.shape[0])  # type: ignore[arg-type]

    @property
    def weight_axis(self) -> int:
        """The axis of the weight that counts them."""
        return 1 if isinstance(self.module, _ConvTransposeNd) else 0

    @property
    def channel_axis(self) -> int:
        """The axis of its output that counts them."""
        return 1 if isinstance(self.module, _ConvNd) else -1


def nodes_of(network: nn.Module) -> dict[str, Any]:
    """The convolutions and Linear layers by module path, in module order. Raises BadInput if there is none."""
    return {name: node.module for name, node in weight_nodes(network).items() if node.parameter == "weight"}


def weight_nodes(network: nn.Module) -> dict[str, Node]:
    """All nodes by module path, in module order: convolutions, Linear layers, and the input projections of attention.

    A layer whose weight is no parameter of its own, but computed elsewhere, is no node. Raises BadInput if there is none.
    """
    found: dict[str, Node] = {}
    for name, module in network.named_modules():
        if isinstance(module, NODE_TYPES) and _is_weight(module, "weight"):
            found[name] = Node(module)
        elif isinstance(module, nn.MultiheadAttention):
            for path, parameter in _PROJECTIONS.items():
                if _is_weight(module, parameter):
                    found[f"{name}.{path}" if name else path] = Node(module, parameter)
    if not found:
        raise BadInput(
            f"{type(network).__name__} has no Conv2d or Linear layer, nor another convolution or attention with weights of its "
            "own, so it has no node to take statistics of; of an exported program give the module that it was made from"
        )
    return found


def _is_weight(module: nn.Module, name: str) -> bool:
    weight = module._parameters.get(name)
    return weight is not None and weight.is_floating_point()


def left_out(network: nn.Module, nodes: dict[str, Node]) -> tuple[str, ...]:
    """Weights, of two axes or more, that belong to no node: embeddings, recurrent layers, tokens, computed weights."""
    known = {id(node.weight) for node in nodes.values()}
    found: dict[int, str] = {}  # by identity: a tied weight is named once
    computed = []
    for path, module in network.named_modules():
        for name, p in module._parameters.items():
            if p is not None and p.ndim > 1 and (p.is_floating_point() or p.is_complex()) and id(p) not in known:
                found.setdefault(id(p), f"{path}.{name}".lstrip("."))
        if isinstance(module, NODE_TYPES) and not _is_weight(module, "weight"):
            computed.append(f"{path}.weight".lstrip("."))
    return (*found.values(), *computed)


def made_layers(network: nn.Module, nodes: Mapping[str, Node]) -> list[str]:
    """Layers that would be nodes and are none: they were made since the nodes were found."""
    known = {id(node.module) for node in nodes.values()}
    layers = ((name, module) for name, module in network.named_modules() if isinstance(module, NODE_TYPES))
    return [name for name, module in layers if nodes and id(module) not in known and _is_weight(module, "weight")]


def check_network(network: object) -> None:
    """Raises BadInput, with what to do, for what is no module that can be run and differentiated here."""
    kind = type(network).__name__
    if not isinstance(network, nn.Module):
        raise BadInput(f"got {kind} as the network; expected one torch module (for several: rank_networks)")
    if inside := without_values():
        raise BadInput(f"got a call inside {inside}, where tensors are no ordinary ones; make it outside")
    for module in network.modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise BadInput(f"{kind} is compiled by torch.jit, so its layers cannot be seen; give the module it was made from")
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and nn.parameter.is_lazy(tensor):
                raise BadInput(f"{kind} has a lazy layer without sizes ({name}); run one batch through it first")
            if tensor is not None and not has_values(tensor):
                raise BadInput(f"{kind} has no values yet ({name} is a fake tensor, or on the meta device); initialise it first")


def uncompiled(network: nn.Module) -> nn.Module:
    """The module that torch.compile wraps, else the module itself."""
    while type(network).__name__ == "OptimizedModule" and "_orig_mod" in network._modules:
        network = network._modules["_orig_mod"]  # type: ignore[assignment]
    return network


def copied(network: nn.Module) -> nn.Module | None:
    """A copy with everything of its own and the same values; None where the network cannot be copied so."""
    network = uncompiled(network)
    try:
        with same_start():  # a __deepcopy__ may draw random numbers
            own = copy.deepcopy(network)
        alike = all(_equal(a, b) for a, b in zip(_held(own), _held(network), strict=True))
    except MemoryError:
        raise
    except Exception:  # whatever a __deepcopy__ raises
        return None
    parts, held = parts_of(network), [v for module in network.modules() for v in vars(module).values()]
    by_identity = any(isinstance(v, _WEAK) or (type(v) is dict and any(type(k) is int and k in parts for k in v)) for v in held)
    return own if alike and not by_identity and not parts_of(own) & parts else None


def _held(network: nn.Module) -> list[torch.Tensor | None]:
    return [held for module in network.modules() for held in (*module._parameters.values(), *module._buffers.values())]


def _equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.layout == b.layout and (a.layout != torch.strided or (a.dtype == b.dtype and torch.equal(a, b)))


def parts_of(network: nn.Module) -> frozenset[int]:
    """The ids of its modules, parameters and buffers, and of the tensors and containers that are their attributes."""
    modules = list(network.modules())
    kept = [v for module in modules for v in vars(module).values() if type(v) not in _FIXED and isinstance(v, _KEPT)]
    return frozenset(map(id, [*modules, *kept, *(part for part in _held(network) if part is not None)]))


def prepare(model: nn.Module) -> dict[str, Node]:
    """Ready a model for the passes, and give its nodes: train mode, plain weights, nothing frozen of the nodes."""
    switch(model, "train")  # before all else: some networks freeze layers here
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = uncompiled(child)
        _with_plain_weights(module)
        if module.__dict__.get("_compiled_call_impl") is not None:  # of module.compile()
            module._compiled_call_impl = None
        if isinstance(module, nn.DataParallel):
            module.device_ids = []  # it then calls its module, whose layers can be seen
    nodes = weight_nodes(model)
    for node in nodes.values():
        node.weight.requires_grad_(True)
    return nodes


def _with_plain_weights(module: nn.Module) -> None:
    """Turn weights that are derived from others (weight and spectral norm, pruning, any parametrisation) into parameters.

    Each has the value that it has in eval mode: spectral norm takes no further step of its power iteration.
    """
    if not parametrize.is_parametrized(module) and not module._forward_pre_hooks:
        return
    values: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        if parametrize.is_parametrized(module):
            derived: Any = module.parametrizations
            for part in derived.modules():
                part.training = False
            values = {name: getattr(module, name).detach().clone() for name in derived}
            module.__class__ = type(module).__bases__[0]
            del module._modules["parametrizations"]
        training, module.training = module.training, False
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, _DERIVING_HOOKS):
                name = hook._tensor_name if isinstance(hook, BasePruningMethod) else hook.name
                hook(module, None)
                values[name] = getattr(module, name).detach().clone()
                del module._forward_pre_hooks[key]
                for suffix in ("_g", "_v", "_u", "_orig", "_mask"):
                    module._parameters.pop(name + suffix, None)
                    module._buffers.pop(name + suffix, None)
        module.training = training
    for name, value in values.items():
        module.__dict__.pop(name, None)
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


@contextmanager
def borrowed(network: nn.Module) -> Iterator[nn.Module]:
    """The network itself. After it, what hangs on it is as it was (see `_state.kept`, which says what cannot be restored)."""
    with restored(network):
        yield uncompiled(network)
