"""BN-ViT (Appendix A.2): a DeiT-Tiny that can be recovered from, because every LayerNorm became a BatchNorm."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from sre2l_core.backbones.vit import VisionTransformer


class TokenBatchNorm(nn.Module):
    """BatchNorm over features: statistics over all images and all tokens, the class token included."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(features, eps=1e-5, momentum=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, N, features]`, normalised."""
        # The inner module sees [B * N, features]: a hook finds its channels in dimension 1, as in any other BatchNorm.
        out: Tensor = self.bn(tokens.flatten(0, 1)).view_as(tokens)
        return out


def bn_vit(
    num_classes: PositiveInt,
    channels: PositiveInt,
    resolution: PositiveInt,
    *,
    patch_size: PositiveInt | None = None,
    ffn_bias: bool = True,
) -> nn.Module:
    """DeiT-Tiny-BN: 37 BatchNorm layers, one of them in each feed-forward part between its first layer and GELU.

    The paper's formula has biases in the feed-forward parts. The authors' training log counts 5,724,328 parameters
    (1,000 classes, 224 pixels), which is the model without them: `ffn_bias=False`.
    """
    return VisionTransformer(num_classes, channels, resolution, patch_size, TokenBatchNorm, TokenBatchNorm, ffn_bias)


PLUGINS = {"bn_vit": bn_vit}
