"""DeiT-Tiny (Touvron et al. 2021); its normalisation is an argument, so that `bn_vit` can share it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from sre2l_core.errors import ConfigError

Norm = Callable[[int], nn.Module]  # number of features -> module on [B, N, features]

DEPTH, DIM, HEADS, HIDDEN = 12, 192, 3, 768


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.proj = nn.Linear(DIM, DIM)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, N, DIM]` -> `[B, N, DIM]`."""
        query, key, value = self.qkv(tokens).unflatten(2, (3, HEADS, DIM // HEADS)).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """`GELU(norm(z W1 + b1)) W2 + b2` on each token."""

    def __init__(self, norm: Norm | None, bias: bool) -> None:
        """Without `norm` nothing stands between the first layer and GELU, as usual."""
        super().__init__()
        self.fc1 = nn.Linear(DIM, HIDDEN, bias=bias)
        self.norm = nn.Identity() if norm is None else norm(HIDDEN)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(HIDDEN, DIM, bias=bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, N, DIM]` -> `[B, N, DIM]`."""
        out: Tensor = self.fc2(self.act(self.norm(self.fc1(tokens))))
        return out


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, norm: Norm, ffn_norm: Norm | None, ffn_bias: bool) -> None:
        super().__init__()
        self.norm1 = norm(DIM)
        self.attn = Attention()
        self.norm2 = norm(DIM)
        self.mlp = FeedForward(ffn_norm, ffn_bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, N, DIM]` -> `[B, N, DIM]`."""
        tokens = tokens + self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class VisionTransformer(nn.Module):
    """Patches and a class token through 12 blocks; the class token is classified."""

    def __init__(
        self,
        num_classes: int,
        channels: int,
        resolution: int,
        patch_size: int | None,
        norm: Norm,
        ffn_norm: Norm | None = None,
        ffn_bias: bool = True,
    ) -> None:
        """`norm`, `ffn_norm`: module from number of features; `patch_size` `None` means `default_patch_size`."""
        super().__init__()
        patch = patch_size or default_patch_size(resolution)
        if resolution % patch:
            raise ConfigError(
                f"patch_size {patch} does not divide resolution {resolution}. Use one of {_divisors(resolution)}."
            )
        self.patch_embed = nn.Conv2d(channels, DIM, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.empty(1, 1, DIM))
        self.pos_embed = nn.Parameter(torch.empty(1, (resolution // patch) ** 2 + 1, DIM))
        self.blocks = nn.Sequential(*(Block(norm, ffn_norm, ffn_bias) for _ in range(DEPTH)))
        self.norm = norm(DIM)
        self.head = nn.Linear(DIM, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for token in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` -> logits `[B, num_classes]`."""
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
        logits: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits


def default_patch_size(resolution: int) -> int:
    """The divisor of `resolution` nearest to a 14x14 grid, in pixels: 16 at 224, 4 at 64, 2 at 32."""
    return min(_divisors(resolution), key=lambda patch: abs(patch - resolution / 14))


def _divisors(number: int) -> list[int]:
    return [candidate for candidate in range(1, number + 1) if number % candidate == 0]


def deit_tiny(
    num_classes: PositiveInt,
    channels: PositiveInt,
    resolution: PositiveInt,
    *,
    patch_size: PositiveInt | None = None,
) -> nn.Module:
    """DeiT-Tiny with LayerNorm: a student (Table 5), or a teacher to recover from without R_BN."""
    return VisionTransformer(num_classes, channels, resolution, patch_size, partial(nn.LayerNorm, eps=1e-6))


PLUGINS = {"deit_tiny": deit_tiny}
