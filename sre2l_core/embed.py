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
    head = head_of(teacher)
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.append(inputs[0].detach().float().flatten(1).cpu())

    hook = head.register_forward_pre_hook(keep)
    try:
        for part in images.split(batch_size):
            runtime.forward(net, part)
    finally:
        hook.remove()
    return torch.cat(found)


def head_of(teacher: Teacher) -> nn.Linear:
    """The teacher's last linear layer; raises `ConfigError` where there is none."""
    heads = [module for module in teacher.net.modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise ConfigError(f"{teacher.backbone} has no linear layer to take features from.")
    return heads[-1]


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


class LiveTSNE:
    """Exact t-SNE that goes on from where it stands: points may move in feature space while their picture is drawn.

    scikit-learn's cannot start from known coordinates and exaggerate less; this one can be called for a few iterations
    a frame. It is meant for up to about a thousand points.

    Args:
        points: [N, D] features, N >= 4; float32 is quick, float64 exact.
        perplexity: effective number of neighbours, lowered to (N - 1) / 3 for few points.

    The start is the first two principal components, so there is nothing random.
    """

    early = 100
    """Iterations from the start in which attraction is multiplied by `exaggeration`, which lets clusters form."""
    exaggeration = 12.0

    def __init__(self, points: npt.ArrayLike, *, perplexity: float = 30.0) -> None:
        points = np.atleast_2d(np.asarray(points))
        if len(points) < 4:
            raise DataError(f"t-SNE needs at least 4 points (got {len(points)}).")
        self.perplexity = min(perplexity, (len(points) - 1) / 3)
        self.iterations = 0
        centred = points - points.mean(0)
        left, scale, _ = np.linalg.svd(centred, full_matrices=False)
        start = np.pad(left[:, :2] * scale[:2], ((0, 0), (0, max(0, 2 - len(scale)))))
        self.coordinates: npt.NDArray[Any] = start * (1e-4 / max(float(start.std()), 1e-12))
        """[N, 2]: the picture as it is now."""
        self._velocity, self._gain = np.zeros_like(start), np.ones_like(start)
        self.move(points)

    def move(self, points: npt.ArrayLike) -> None:
        """Take new features [N, D] of the same points; the picture stays where it is until the next steps."""
        points = np.asarray(points, dtype=self.coordinates.dtype)
        if len(points) != len(self.coordinates):
            raise DataError(f"{len(self.coordinates)} points are drawn, got features of {len(points)}: start anew.")
        self.affinities = joint_affinities(points, self.perplexity)

    def place(self, rows: npt.NDArray[Any], coordinates: npt.NDArray[Any]) -> None:
        """Put some points elsewhere, at rest."""
        self.coordinates[rows] = coordinates
        self._velocity[rows], self._gain[rows] = 0, 1

    def step(self, iterations: int = 10, *, hold: int = 0) -> None:
        """Descend for so many iterations; the first `hold` points attract and repel but keep their place."""
        rate = max(len(self.coordinates) / self.exaggeration / 4, 10.0)
        for _ in range(iterations):
            early = self.iterations < self.early
            slope = self.gradient(self.exaggeration if early else 1.0)
            same = (slope > 0) == (self._velocity > 0)
            self._gain = np.maximum(np.where(same, self._gain * 0.8, self._gain + 0.2), 0.01)
            self._velocity = (0.5 if early else 0.8) * self._velocity - rate * self._gain * slope
            self._velocity[:hold] = 0
            self.coordinates = self.coordinates + self._velocity
            self.iterations += 1

    def gradient(self, exaggeration: float = 1.0) -> npt.NDArray[Any]:
        """[N, 2] gradient of the divergence, 4 sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2)."""
        closeness, share = self._closeness()
        pull = (exaggeration * self.affinities - share) * closeness
        slope: npt.NDArray[Any] = 4 * (pull.sum(1)[:, None] * self.coordinates - pull @ self.coordinates)
        return slope

    def _closeness(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """[N, N] Student-t closeness of every pair in the picture, and its share of all pairs (Q)."""
        closeness = 1 / (1 + _squared_distances(self.coordinates))
        np.fill_diagonal(closeness, 0)
        return closeness, closeness / closeness.sum()


def joint_affinities(points: npt.NDArray[Any], perplexity: float) -> npt.NDArray[Any]:
    """[N, N] symmetric P of t-SNE: Gaussian neighbourhoods of equal perplexity over the 3 x perplexity nearest points.

    Args:
        points: [N, D] features.
        perplexity: exp of the entropy of each point's neighbourhood, below N - 1.
    """
    count = len(points)
    distances = _squared_distances(points)
    np.fill_diagonal(distances, np.inf)
    reach = min(count - 1, int(3 * perplexity) + 1)
    near = np.argpartition(distances, reach - 1, axis=1)[:, :reach]
    away = np.take_along_axis(distances, near, axis=1)
    away = away - away.min(1, keepdims=True)
    away = away / np.maximum(away.mean(1, keepdims=True), 1e-12)
    low, high = np.full((count, 1), -10.0), np.full((count, 1), 10.0)  # log of the inverse width, by bisection
    for _ in range(30):
        middle = (low + high) / 2
        weight = np.exp(-away * np.exp(middle))
        total = weight.sum(1, keepdims=True)
        entropy = np.log(total) + np.exp(middle) * (away * weight).sum(1, keepdims=True) / total
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    directed = np.zeros_like(distances)
    np.put_along_axis(directed, near, (weight / total).astype(distances.dtype), axis=1)
    joint: npt.NDArray[Any] = (directed + directed.T) / (2 * count)
    return joint


def _squared_distances(points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    norms = (points * points).sum(1)
    distances: npt.NDArray[Any] = np.maximum(norms[:, None] + norms - 2 * points @ points.T, 0)
    return distances
