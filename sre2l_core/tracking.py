"""Events for other programs: `TensorBoard` writes the format that `tensorboard --logdir` draws.

A tracker is a listener, any callable that takes a `StepEvent`: docs/tracking.md has another one in a few lines.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sre2l_core.errors import ConfigError, refused
from sre2l_core.events import StepEvent


class TensorBoard:
    """Listener that writes each metric of each stage as a curve over its steps.

    When a stage begins anew, as it does in the next run of a sweep, the curves go into the next folder: `001`, `002`, …

    Args:
        folder: for `tensorboard --logdir`.
        every: steps between two points of a curve; the last of a stage is always written.

    Raises:
        ConfigError: if TensorBoard is not installed.
        ArtifactError: if the folder cannot be written to.
    """

    def __init__(self, folder: str | Path, every: int = 10) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError("--tensorboard needs TensorBoard: pip install 'sre2l-core[tracking]'.") from None
        self._make, self.folder, self._every = SummaryWriter, Path(folder), every
        self._writer: Any = None
        self._last: dict[str, int] = {}
        self._number = 1 + sum(1 for path in self.folder.glob("[0-9]*/") if path.is_dir())

    def __call__(self, event: StepEvent) -> None:
        """Write an event's metrics."""
        if not event.metrics or (event.step % self._every and event.step != event.total):
            return
        try:
            if event.step < self._last.get(event.stage, 0):
                self.close()
                self._number, self._last = self._number + 1, {}
            if self._writer is None:
                self._writer = self._make(str(self.folder / f"{self._number:03d}"))
            for name in event.metrics:
                self._writer.add_scalar(f"{event.stage}/{name}", event.value(name), event.step)
        except OSError as error:
            raise refused(self.folder, error) from error
        self._last[event.stage] = event.step

    def close(self) -> None:
        """Write what waits; later events open the file anew."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
