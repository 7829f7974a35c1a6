"""Recovered images on a map of the real ones, moving while they are recovered (Figure 7, live)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.data import Dataset
from sre2l_core.embed import LiveTSNE, features, tsne
from sre2l_core.runtime import Runtime

COMPONENTS = 30
"""Principal components of the real features that t-SNE sees."""
NEIGHBOURS = 5
"""Real images that say where a moving one belongs."""
ASTRAY = 0.5
"""Distance from there at which t-SNE has left a point behind, in standard deviations of the real images' places."""
ITERATIONS, LAST_ITERATIONS = 20, 150
"""Of t-SNE each time that recovered images are placed, and after their last step."""


class LiveMap:
    """t-SNE of a teacher's features of real images, on which other images can move.

    The map of the real images is made once and then holds still, so that whatever moves is what was recovered. The
    last picture of a run is better made by `final`: scikit-learn's t-SNE of everything from scratch.

    Args:
        teacher: whose features.
        data: its validation images make the map.
        labels: classes to show.
        per_class: real images of each class.
        perplexity: of t-SNE.
        iterations: spent on the real images alone.
        runtime: device and precision.
    """

    def __init__(
        self,
        teacher: Teacher,
        data: Dataset,
        *,
        labels: tuple[int, ...] | None = None,
        per_class: int = 25,
        perplexity: float = 20.0,
        iterations: int = 400,
        runtime: Runtime | None = None,
    ) -> None:
        self.teacher, self.runtime = teacher, runtime or Runtime.auto()
        labels = tuple(data.val.labels.unique().tolist()) if labels is None else labels
        rows = torch.cat([(data.val.labels == label).nonzero()[:per_class, 0] for label in labels])
        self.pixels = data.val.take(rows).cpu()
        """[R, C, H, W] uint8: the real images."""
        self.labels = data.val.labels[rows].cpu()
        """[R] their classes."""
        self._real = features(teacher, data.spec.normalize(self.pixels), runtime=self.runtime)
        self._centre = self._real.mean(0)
        self._basis = torch.linalg.svd(self._real - self._centre, full_matrices=False).Vh[:COMPONENTS].T
        self._perplexity, self._iterations = perplexity, iterations
        self._moving = torch.empty(0)
        self._live: LiveTSNE | None = None
        with threadpool_limits(1):
            base = LiveTSNE(self._project(self._real), perplexity=perplexity)
            base.step(iterations)
        self.real: npt.NDArray[Any] = base.coordinates - base.coordinates.mean(0)
        """[R, 2]: where the real images are."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def moving(self) -> npt.NDArray[Any]:
        """[M, 2]: where the moving images are; empty before the first `place`."""
        return self.real[:0] if self._live is None else self._live.coordinates[len(self) :]

    def place(self, images: Tensor, iterations: int = 10) -> npt.NDArray[Any]:
        """Take the present state of the moving images [M, C, H, W] (normalised) and move their points a little.

        A new point starts among its nearest real neighbours. So does one that t-SNE left behind: it cannot cross an
        island of other points, however clear its features have become.
        """
        self._moving = features(self.teacher, images.detach(), runtime=self.runtime)
        points = np.concatenate([self._project(self._real), self._project(self._moving)])
        home = self.real[self.nearest(NEIGHBOURS).numpy()].mean(1).astype(self.real.dtype)
        with threadpool_limits(1):
            if self._live is None or len(self._live.coordinates) != len(points):
                self._live = LiveTSNE(points, perplexity=self._perplexity)
                self._live.iterations = self._live.early
                self._live.coordinates = np.concatenate([self.real, home])
            else:
                self._live.move(points)
                away = np.linalg.norm(self.moving - home, axis=1) > ASTRAY * self.real.std()
                self._live.place(np.flatnonzero(away) + len(self), home[away])
            self._live.step(iterations, hold=len(self))
        return self.moving

    def nearest(self, count: int) -> Tensor:
        """[M, count] rows of the real images with features nearest to those of each moving one, in order."""
        return torch.cdist(self._moving, self._real).topk(min(count, len(self)), largest=False).indices

    def forget(self) -> None:
        """Take the moving images off the map."""
        self._live, self._moving = None, torch.empty(0)

    def final(self, seed: int = 0) -> npt.NDArray[np.float32]:
        """[R + M, 2]: scikit-learn's t-SNE of the real images and the moving ones as they were placed last."""
        return tsne(torch.cat([self._real, self._moving.reshape(-1, self._real.shape[1])]), seed=seed)

    def _project(self, found: Tensor) -> npt.NDArray[Any]:
        projected: npt.NDArray[Any] = ((found - self._centre) @ self._basis).numpy()
        return projected
