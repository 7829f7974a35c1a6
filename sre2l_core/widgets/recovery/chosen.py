"""`ChosenPanel`: a `SessionPanel` whose teacher and classes are chosen in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.widgets.recovery.choosers import Choosers
from sre2l_core.widgets.recovery.panel import fitting, own_copy
from sre2l_core.widgets.recovery.session import SessionPanel


class ChosenPanel(SessionPanel):
    """A recovery from one of several teachers, of some of its classes; both may change between runs.

    Args:
        teacher: stage 1's result, or several by name to choose from.
        config: see `RecoveryPanel`; made to fit the first teacher.
        views: see `LivePanel`; the choosers stand above them.
        options: further arguments of `SessionPanel`.
    """

    def __init__(
        self,
        teacher: Teacher | Mapping[str, Teacher],
        config: RecoverConfig,
        views: Sequence[Any],
        **options: Any,
    ) -> None:
        self._teachers = {teacher.backbone: teacher} if isinstance(teacher, Teacher) else dict(teacher)
        self._chosen, first = next(iter(self._teachers.items()))
        self._choosers = Choosers(list(self._teachers))
        self._teacher, self._classes = self._choosers.teacher, self._choosers.tags
        self.listen(self._teacher, self._choose_teacher, "name")
        self.listen(self._classes, self._choose_classes, "tags", self._choosers.said)
        super().__init__(first, fitting(config, first.spec), [self._choosers, *views], **options)
        self._show_config()

    def begin_with(self, teacher: Teacher, config: RecoverConfig, data: Dataset | None) -> None:
        """Forget the run, and be as a panel of this teacher, these settings and data; called under the lock."""
        self.reset()
        self._teachers, self._chosen = {teacher.backbone: teacher}, teacher.backbone
        self._own_teacher, self._data = own_copy(teacher), data
        self.config = fitting(config, teacher.spec)
        with self.moved_by_code():
            self._choosers.teacher.options = list(self._teachers)
        self._show_config()
        self._guarded(self.clear)
        self._render()

    @property
    def teacher(self) -> Teacher:
        """The panel's own copy of the chosen teacher; set it by name."""
        return self._own_teacher

    @teacher.setter
    def teacher(self, name: str) -> None:
        if name not in self._teachers:
            raise unknown("teacher", name, self._teachers)
        with self._lock:
            if self.busy:
                raise ConfigError("the teacher cannot change while a recovery runs: stop it first")
            before, self._own_teacher = self.teacher.spec, own_copy(self._teachers[name])
            self._chosen, spec = name, self.teacher.spec
            if spec.classes != before.classes:
                self.config = self.config.but(only_classes=None)
            self.config = fitting(self.config, spec)
            self._show_config()
            if not self.reset():
                self._guarded(self.clear)

    @property
    def only_classes(self) -> tuple[str, ...]:
        """Class ids that are recovered; may be set between runs."""
        return self.config.only_classes or ()

    @only_classes.setter
    def only_classes(self, ids: Iterable[str]) -> None:
        ids = tuple(ids)
        if not ids:
            raise ConfigError("choose at least one class")
        fitting(self.config.but(only_classes=ids), self.teacher.spec)  # or an unknown class would stop the next run
        with self._lock:
            if self.busy:
                raise ConfigError("the classes cannot change while a recovery runs: stop it first")
            self.change(only_classes=ids, group_size=len(ids))

    def _choose_teacher(self, name: str) -> None:
        self.teacher = name

    def _choose_classes(self, tags: Sequence[str]) -> None:
        self.only_classes = self._choosers.ids(tags)

    def _show_config(self) -> None:
        super()._show_config()
        with self.moved_by_code():
            self._choosers.show(self._chosen, self.teacher.spec, self.only_classes)

    def _render(self) -> None:
        if not self._closed:
            self._choosers.enable(not self.busy)
        super()._render()
