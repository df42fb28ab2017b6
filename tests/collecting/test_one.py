"""What is collected of an architecture whose values an isomorphic one gives."""

import pytest
import torch

from parzc_core.collecting import one
from parzc_core.collector import node_order
from parzc_core.passes import Passes
from parzc_core.spaces import nb201
from parzc_core.spaces import space as space_named


def _members(count: int) -> list[str]:
    return [arch for arch in nb201.sample(60, 3) if nb201.isomorphism(arch).representative != arch][:count]


@pytest.mark.parametrize("dataset", ["cifar10", "imagenet16-120"])
def test_carried_over_values_have_the_order_of_the_member_on_whole_images(dataset: str) -> None:
    config = one.CollectionConfig(
        dataset=dataset, images="noise", batch=2, proxies=("l2_norm",), scores=(), share_isomorphic=True
    )
    batch, members = one.batch_of(config), _members(12)
    assert len(members) == 12
    for arch in members:
        found = one.record(config, arch, batch).statistics
        torch.manual_seed(0)
        whole = Passes(nb201.build(arch, classes=batch.classes, skip_dead=False), batch.images, batch.labels)
        live = nb201.isomorphism(arch).nodes
        order = node_order([call for call in whole.calls if call.name in live], list(whole.nodes))
        assert (found.nodes, found.execution_order) == order


@pytest.mark.parametrize(("any_size", "side"), [(True, 8), (False, 32)])
def test_only_a_space_that_says_so_is_ordered_on_small_images(
    any_size: bool, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_named("nb201"), "ANY_IMAGE_SIZE", any_size)
    seen, passes_of = [], one.passes_of

    def watched(network: torch.nn.Module, images: torch.Tensor, *more: object) -> Passes:
        seen.append(images.shape)
        return passes_of(network, images, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(one, "passes_of", watched)
    config = one.CollectionConfig(images="noise", batch=3, proxies=("l2_norm",), scores=(), share_isomorphic=True)
    one.record(config, _members(1)[0], one.batch_of(config))
    assert seen == [(3, 3, 32, 32), (2, 3, side, side)]
