"""Half-precision logits, as the reference stores them: 2 bytes per class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from sre2l_core.codecs import Codec, to_fp16


class Fp16(Codec):
    """Logits rounded to float16: relative error up to 2^-11; beyond 65,504 they are refused with an `ArtifactError`."""

    name: ClassVar[str] = "fp16"
    lossy: ClassVar[bool] = False

    def bytes_per_row(self, num_classes: int) -> int:
        """`2 C` bytes."""
        return 2 * num_classes

    def error_bound(self, logits: Tensor) -> Tensor:
        """Half a unit in the last place of float16, near zero half its smallest step."""
        return logits.float().abs().amax(1) * 2**-11 + 2**-25

    def _encode(self, rows: Tensor) -> dict[str, Tensor]:
        return {"logits": to_fp16(rows, self.name)}

    def _decode(self, parts: Mapping[str, Tensor], num_classes: int) -> Tensor:
        return parts["logits"].float()

    def _widths(self, num_classes: int) -> dict[str, int | None]:
        return {"logits": num_classes}


PLUGINS = {"fp16": Fp16}
