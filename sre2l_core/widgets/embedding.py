"""`EmbeddingPanel`: the studio's map first, with its images beside it, and few settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.widgets.base.still import Picture
from sre2l_core.widgets.mapped import MappedStudio


class EmbeddingPanel(MappedStudio):
    """t-SNE of the teacher's features, live: real images hold still, the recovered ones (squares) move.

    Args:
        teacher: recovers the images, and its features make the map.
        data: its validation images make the map.
        config: settings of the recovery.
        folder: where saving and exporting write to, unless told otherwise.
        options: further arguments of `MappedStudio`.
    """

    CONTROLS = ("steps", "lr", "alpha_bn", "crop_scale")

    def __init__(
        self,
        teacher: Teacher,
        data: Dataset,
        config: RecoverConfig,
        *,
        folder: str | Path = "runs/embedding",
        **options: Any,
    ) -> None:
        super().__init__(teacher, config, data=data, folder=folder, **options)

    def picture(self) -> Picture | None:
        """The map as it is now."""
        return None if self.map.moment is None else self.map.drawing()

    def _views(self) -> list[Any]:
        (halves,) = super()._views()
        halves.children = halves.children[::-1]
        return [halves]
