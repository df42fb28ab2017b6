"""What scores read of one forward pass; and which units are on for which image, as NWOT and SWAP do."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from parzc_core._nested import mapped, tensors
from parzc_core._state import restored
from parzc_core._watch import CallsTheOriginal
from parzc_core.errors import BadInput
from parzc_core.passes import Passes

ACTIVATIONS = (nn.ReLU, nn.GELU)


def each_code(passes: Passes, inputs: Any, add: Callable[[torch.Tensor], None]) -> bool:
    """One forward pass; `add` is given the code of each call of a ReLU or GELU module, bool[N, units]: where it is positive.

    Returns whether all is known. It is not where an output is NaN, or where no axis of it is seen to count the images. Of an
    output with N entries along another axis than the first, such as [L, N, C] or [N, L, C] of L = N tokens, a second pass with
    one image more tells. But what has as many axes as the images, at least four, is taken as [N, C, ...].
    Raises BadInput for outputs that are not of N images, such as those of one image at a time.
    """
    images = next(tensor for tensor in tensors(inputs) if tensor.ndim)
    count, known = len(images), True
    sizes: list[torch.Size] = []
    unsure: dict[int, torch.Tensor] = {}  # by place among the calls

    def look(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal known
        on = output.detach() > 0
        known = known and not bool(output.isnan().any())
        if count in output.shape[1:] and not output.ndim == images.ndim > 3:
            unsure[len(sizes)] = on
        elif output.shape[:1] == (count,):
            add(_rows(on))
        sizes.append(output.shape)

    forward_hooked(passes, inputs, ACTIVATIONS, look)
    if odd := [tuple(size) for place, size in enumerate(sizes) if place not in unsure and size[:1] != (count,)]:
        raise BadInput(f"got an output {odd[0]} of a ReLU or GELU for {count} images; expected one row an image, [{count}, ...]")
    more: list[torch.Size] = []
    if unsure:
        try:
            with restored(passes.model):
                forward_hooked(passes, mapped(inputs, _one_more), ACTIVATIONS, lambda *told: more.append(told[2].shape))
        except CallsTheOriginal:
            raise
        except BadInput:  # it takes batches of one size alone
            return False
    for place, on in unsure.items():
        now = more[place] if len(more) == len(sizes) else ()
        grown = [axis for axis, (a, b) in enumerate(zip(on.shape, now, strict=False)) if a != b]
        if len(now) != on.ndim or len(grown) != 1 or (on.shape[grown[0]], now[grown[0]]) != (count, count + 1):
            return False
        add(_rows(on.movedim(grown[0], 0)))
    return known


def _rows(on: torch.Tensor) -> torch.Tensor:
    return on[:, None].flatten(1)  # of one number an image too


def _one_more(tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat([tensor, tensor[:1]]) if tensor.ndim else tensor


def forward_hooked(passes: Passes, inputs: Any, kinds: tuple[type[nn.Module], ...], hook: Callable[..., None]) -> None:
    """One forward pass; after each module of those kinds `hook` gets it, its inputs and its output."""
    handles = [module.register_forward_hook(hook) for module in passes.model.modules() if isinstance(module, kinds)]
    try:
        with torch.no_grad():
            passes.run(inputs)
    finally:
        for handle in handles:
            handle.remove()
