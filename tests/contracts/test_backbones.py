"""What every network of this package's own catalogue promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sre2l_core.backbones import build, names
from sre2l_core.errors import ConfigError
from sre2l_core.registry import catalogue

OWN = sorted(catalogue("backbones"))
WITHOUT_BATCH_NORM = {"deit_tiny"}
SMALLEST = {"convnet4": 16}  # every other network takes 8x8 images, the embedded default dataset's


@contextmanager
def on_meta() -> Iterator[None]:
    """Shapes without arithmetic, so that a ResNet-101 at 224 pixels costs nothing."""
    with torch.device("meta"):
        yield


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def test_the_catalogue_is_what_the_paper_needs() -> None:
    assert {"resnet10", "resnet18", "resnet50", "resnet101", "convnet4", "bn_vit", "deit_tiny"} <= set(OWN)
    assert names()[: len(OWN)] == tuple(OWN)


@pytest.mark.parametrize("resolution", [224, 64, 32, 8])
@pytest.mark.parametrize("name", OWN)
def test_logits_have_a_column_per_class(name: str, resolution: int) -> None:
    if resolution < SMALLEST.get(name, 8):
        with pytest.raises(ConfigError, match="16 pixels"):
            build(name, num_classes=7, resolution=resolution)
        return
    with on_meta():
        model = build(name, num_classes=7, resolution=resolution)
        logits = model(torch.empty(2, 3, resolution, resolution))
    assert logits.shape == (2, 7)
    assert model.training


@pytest.mark.parametrize("name", OWN)
def test_grey_images(name: str) -> None:
    with on_meta():
        model = build(name, num_classes=2, channels=1, resolution=16)
        assert model(torch.empty(2, 1, 16, 16)).shape == (2, 2)


@pytest.mark.parametrize("name", OWN)
def test_a_seed_fixes_the_weights_and_leaves_the_global_state_alone(name: str) -> None:
    before = torch.get_rng_state()
    one, same, other = (build(name, num_classes=3, resolution=16, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))

    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    logits = one(images)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert torch.equal(logits, same(images))
    assert not torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize("name", OWN)
def test_batch_norms_are_there_and_see_channels_in_dimension_1(name: str) -> None:
    seen: list[tuple[int, int]] = []
    with on_meta():
        model = build(name, num_classes=2, resolution=16)
        for module in batch_norms(model):
            module.register_forward_pre_hook(lambda module, args: seen.append((args[0].shape[1], module.num_features)))
        model(torch.empty(2, 3, 16, 16))
    assert len(seen) == len(batch_norms(model))
    assert all(found == expected for found, expected in seen)
    assert bool(seen) == (name not in WITHOUT_BATCH_NORM)


@pytest.mark.parametrize("name", OWN)
def test_gradients_reach_every_pixel_in_eval_mode(name: str) -> None:
    model = build(name, num_classes=3, resolution=16, seed=0).eval()
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert (images.grad != 0).any(dim=1).all()


@pytest.mark.parametrize("name", OWN)
def test_values_out_of_bounds_name_the_field(name: str) -> None:
    for field in ("num_classes", "channels", "resolution"):
        sizes = {"num_classes": 2, "channels": 3, "resolution": 16} | {field: 0}
        with pytest.raises(ConfigError, match=f"{name}.{field}.*greater than 0"):
            build(name, **sizes)
