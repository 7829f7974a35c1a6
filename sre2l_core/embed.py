"""Where images lie in a network's feature space: features and t-SNE coordinates, numbers only (Figure 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sre2l_core.artifacts import Teacher
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.runtime import Runtime


@torch.no_grad()
def features(teacher: Teacher, images: Tensor, *, runtime: Runtime | None = None, batch_size: int = 256) -> Tensor:
    """[N, D] float32 features on the CPU: what enters the teacher's last linear layer.

    Args:
        teacher: any classifier with a linear head.
        images: [N, C, H, W] normalised.
        runtime: device and precision.
        batch_size: images per pass.
    """
    runtime = runtime or Runtime.auto()
    net = runtime.place(teacher.net)
    heads = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise ConfigError(f"{teacher.backbone} has no linear layer to take features from.")
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].detach().float().flatten(1).cpu())

    hook = heads[-1].register_forward_pre_hook(keep)
    try:
        for part in images.split(batch_size):
            with runtime.autocast():
                net(runtime.batch(part))
    finally:
        hook.remove()
    return torch.cat(found)


def tsne(points: Tensor, *, seed: int = 0, perplexity: float = 30.0) -> npt.NDArray[np.float32]:
    """[N, 2] coordinates by scikit-learn's t-SNE, started from the first two principal components.

    Args:
        points: [N, D] features, N >= 4.
        seed: fixes the picture.
        perplexity: effective number of neighbours, lowered to (N - 1) / 3 for few points.
    """
    if len(points) < 4:
        raise DataError(f"t-SNE needs at least 4 points (got {len(points)}).")
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(perplexity, (len(points) - 1) / 3)
    with threadpool_limits(1):  # on shared cores several threads only wait for one another
        method = TSNE(init="pca", perplexity=perplexity, random_state=seed)
        coordinates: npt.NDArray[np.float32] = method.fit_transform(points.numpy())
    return coordinates
