"""Collecting Vision Transformers: the labelled architectures, the networks that were labelled, images of another size."""

import numpy as np
import pytest
import torch

from parzc_core import labels
from parzc_core.collecting.one import CollectionConfig, architectures, batch_of
from parzc_core.collecting.sample import collect, command
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.images.batch import minibatch
from parzc_core.spaces.vit import autoformer, pit
from parzc_core.storage.statistics import round_mantissa

LABELLED = autoformer.sample(3, 5)
SMALL = {"space": "autoformer", "dataset": "imagenet", "cells": 2, "batch": 2, "width": 32, "proxies": ("snip",)}


@pytest.fixture
def labelled(monkeypatch):
    monkeypatch.setattr(labels, "architectures", lambda space, dataset: list(LABELLED))


def test_the_labelled_architectures_are_collected_on_the_networks_that_were_labelled(labelled, tmp_path):
    config = CollectionConfig(**SMALL, scores=("params",), sample="labelled", variant="vitbench", init_seed=1)
    found = collect(config, tmp_path, progress=False).read()
    assert found.archs == LABELLED[:2]
    batch = minibatch("imagenet", 2, side=32)
    for arch, statistics, params in zip(found.archs, found.statistics, found.scores["params"], strict=True):
        torch.manual_seed(1)
        network = autoformer.build(arch, image_size=32, head_dim=None, relative=False)
        expected = collect_statistics(network, batch.images, batch.labels, ["snip"])
        assert statistics.nodes == expected.nodes
        np.testing.assert_allclose(statistics.values, round_mantissa(expected.values), rtol=1e-6)
        assert params == sum(p.numel() for p in network.parameters())
    assert found.manifest["image_batch"]["side"] == 32
    assert found.manifest["config"]["variant"] == "vitbench"


def test_other_seeds_of_initialisation_give_other_statistics(labelled, tmp_path):
    found = []
    for seed in (0, 1):
        config = CollectionConfig(**SMALL, scores=(), sample="labelled", init_seed=seed)
        found.append(collect(config, tmp_path / str(seed), progress=False).read().statistics[0].values)
    assert not np.allclose(found[0], found[1], rtol=1e-3)


def test_what_older_collections_lack_is_not_in_their_description():
    assert not {"sample", "variant", "most_parameters"} & set(CollectionConfig().plain())
    said = command(CollectionConfig(**SMALL, sample="labelled", variant="vitbench"))
    assert "--sample labelled --variant vitbench" in said
    assert "--most-parameters 6200000.0" in command(CollectionConfig(space="autoformer", most_parameters=6.2e6))


def test_a_random_sample_within_a_limit_of_parameters():
    archs = architectures(CollectionConfig(space="autoformer", cells=20, seed=3, most_parameters=6.2e6))
    assert archs == autoformer.sample(20, 3, 6.2e6)
    assert max(map(autoformer.parameters, archs)) <= 6.2e6
    assert architectures(CollectionConfig(space="pit", cells=4)) == pit.sample(4, 0)


def test_images_are_of_the_size_that_the_networks_take():
    assert batch_of(CollectionConfig(space="pit", dataset="imagenet", width=48)).images.shape[-1] == 48
    assert batch_of(CollectionConfig(space="pit", dataset="imagenet")).images.shape[-1] == 224
    assert batch_of(CollectionConfig(space="nb101", width=32)).images.shape[-1] == 32


def test_bad_collections_are_refused(labelled):
    with pytest.raises(UnknownName, match="unknown sample 'labeled'"):
        CollectionConfig(sample="labeled")
    with pytest.raises(UnknownName, match="unknown variant of pit's networks 'vitbench'"):
        CollectionConfig(space="pit", variant="vitbench")
    with pytest.raises(BadInput, match="at most 3, the labelled ones of autoformer"):
        architectures(CollectionConfig(space="autoformer", sample="labelled", cells=4))
    with pytest.raises(BadInput, match="only a random sample of autoformer"):
        CollectionConfig(space="pit", most_parameters=6e6)
    with pytest.raises(BadInput, match="only a random sample of autoformer"):
        CollectionConfig(space="autoformer", sample="labelled", most_parameters=6e6)


def test_an_image_size_that_patches_do_not_cover_is_refused(tmp_path):
    with pytest.raises(BadInput, match="image_size=40"):
        collect(CollectionConfig(**{**SMALL, "width": 40}, scores=()), tmp_path, progress=False)
