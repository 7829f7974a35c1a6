"""Finding a network by name, checking its options, drawing its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sre2l_core.backbones import build, names
from sre2l_core.errors import ConfigError


def test_names_are_unique_and_hold_torchvision() -> None:
    assert len(set(names())) == len(names())
    assert {"mobilenet_v2", "vit_b_16", "resnet152"} <= set(names())


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'resnet_18'\. Did you mean 'resnet18'\?.*resnet101"):
        build("resnet_18", num_classes=2, resolution=8)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_unknown_option_names_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown {name} option 'weight'. Did you mean 'weights'"):
        build(name, num_classes=2, resolution=32, weight="IMAGENET1K_V1")


def test_option_of_a_network_without_options() -> None:
    with pytest.raises(ConfigError, match="'convnet3' takes no options"):
        build("convnet3", num_classes=2, resolution=32, depth=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, r"resnet10\.width.*greater than 0 \(got 0\)"),
        ({"width": "wide"}, r"resnet10\.width.*integer"),
        ({"stem": "big"}, r"resnet10\.stem.*'auto', '224' or 'small'"),
    ],
)
def test_option_out_of_bounds(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("resnet10", num_classes=2, resolution=8, **options)


def test_without_a_seed_weights_come_from_the_global_state() -> None:
    def weights() -> torch.Tensor:
        model = build("convnet", num_classes=2, resolution=8, depth=1, width=2)
        return nn.utils.parameters_to_vector(model.parameters())

    with torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        first, second = weights(), weights()
        torch.set_rng_state(state)
        assert torch.equal(weights(), first)
    assert not torch.equal(first, second)


def test_the_global_state_is_restored_when_building_fails() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ConfigError):
        build("convnet", num_classes=2, resolution=8, depth=4, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seeded_network_is_on_the_cpu_whatever_the_default_device() -> None:
    with torch.device("meta"):
        model = build("convnet", num_classes=2, resolution=8, depth=1, width=2, seed=0)
    assert next(model.parameters()).device.type == "cpu"
