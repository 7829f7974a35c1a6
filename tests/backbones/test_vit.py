"""DeiT-Tiny and its BatchNorm variant."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from sre2l_core.backbones import build
from sre2l_core.backbones.bn_vit import TokenBatchNorm
from sre2l_core.backbones.vit import default_patch_size
from sre2l_core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("deit_tiny", {}, 5_717_416),
        ("bn_vit", {}, 5_735_848),
        ("bn_vit", {"ffn_bias": False}, 5_724_328),
    ],
)
def test_published_numbers_of_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        model = build(name, num_classes=1000, resolution=224, **options)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_deit_computes_what_torchvisions_transformer_does() -> None:
    own = build("deit_tiny", num_classes=5, resolution=16, patch_size=8, seed=0)
    twin = VisionTransformer(16, 8, 12, 3, 192, 768, num_classes=5)
    renamed = {
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        "patch_embed": "conv_proj",
        "norm": "encoder.ln",
        "head": "heads.head",
    }
    inner = {
        "norm1": "ln_1",
        "norm2": "ln_2",
        "attn.qkv.weight": "self_attention.in_proj_weight",
        "attn.qkv.bias": "self_attention.in_proj_bias",
        "attn.proj": "self_attention.out_proj",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.3",
    }
    state = {}
    for key, value in own.state_dict().items():
        if key.startswith("blocks."):
            _, index, rest = key.split(".", 2)
            old = next(old for old in inner if rest.startswith(old))
            state[f"encoder.layers.encoder_layer_{index}.{rest.replace(old, inner[old], 1)}"] = value
        else:
            old = next(old for old in renamed if key.startswith(old))
            state[key.replace(old, renamed[old], 1)] = value
    twin.load_state_dict(state)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own(images), twin(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("resolution", "patch"), [(224, 16), (64, 4), (32, 2), (28, 2), (8, 1), (7, 1), (384, 24)])
def test_default_patches_make_about_14_by_14_tokens(resolution: int, patch: int) -> None:
    assert default_patch_size(resolution) == patch


def test_patch_size_must_divide() -> None:
    with pytest.raises(
        ConfigError, match=r"patch_size 5 does not divide resolution 16\. Use one of \[1, 2, 4, 8, 16\]"
    ):
        build("deit_tiny", num_classes=2, resolution=16, patch_size=5)


def test_bn_vit_has_a_batch_norm_for_each_layer_norm_and_one_per_feed_forward() -> None:
    with torch.device("meta"):
        model = build("bn_vit", num_classes=2, resolution=16)
    sizes = [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    assert sizes == [192, 192, 768] * 12 + [192]
    assert not any(isinstance(m, nn.LayerNorm) for m in model.modules())


def test_token_batch_norm_is_over_images_and_tokens() -> None:
    tokens = 3 * torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)) + 2
    norm = TokenBatchNorm(6)
    mean = tokens.mean((0, 1))
    squares = (tokens - mean).square()
    torch.testing.assert_close(norm(tokens), (tokens - mean) / (squares.mean((0, 1)) + 1e-5).sqrt())
    torch.testing.assert_close(norm.bn.running_mean, 0.1 * mean)
    torch.testing.assert_close(norm.bn.running_var, 0.9 + 0.1 * squares.sum((0, 1)) / 19)


def test_batch_norm_stands_between_the_first_layer_and_gelu() -> None:
    mlp = build("bn_vit", num_classes=2, resolution=16, seed=0).blocks[0].mlp
    tokens = torch.randn(2, 5, 192, generator=torch.Generator().manual_seed(0))
    hidden = tokens @ mlp.fc1.weight.T
    normed = (hidden - hidden.mean((0, 1))) / (hidden.var((0, 1), correction=0) + 1e-5).sqrt()
    active = 0.5 * normed * (1 + torch.erf(normed / 2**0.5))
    torch.testing.assert_close(mlp(tokens), active @ mlp.fc2.weight.T)
