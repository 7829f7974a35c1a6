"""What people choose beside the settings: the teacher, the classes, the moment that is shown."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.widgets.base.controls import CONTROL_WIDTH, LABEL_WIDTH
from sre2l_core.widgets.base.status import Said

CENTRED = {"flex_flow": "row wrap", "align_items": "center"}


class Choosers(ipywidgets.HBox):
    """A list of teachers, if there are several, and tags with the names of classes."""

    def __init__(self, teachers: Sequence[str]) -> None:
        self._ids: dict[str, str] = {}
        style, layout = {"description_width": LABEL_WIDTH}, {"width": CONTROL_WIDTH}
        self.teacher = ipywidgets.Dropdown(options=teachers, description="teacher", style=style, layout=layout)
        # Of a tag that it does not allow, the page says nothing: any is allowed there, and looked at in `ids`.
        tags = ipywidgets.TagsInput(placeholder="class, then Tab", layout={"flex": "1 1 200px", "width": "auto"})
        self.tags = tags.add_class("sre-classes")
        label = ipywidgets.Label("classes", layout={"min_width": LABEL_WIDTH, "justify_content": "flex-end"})
        row = {"align_items": "center", "flex": "1 1 400px", "max_width": "900px"}
        classes = ipywidgets.HBox([label, self.tags], layout=row)
        self.said = Said()
        """What is wrong with the classes."""
        self.said.layout.flex = "0 0 100%"
        super().__init__([*([self.teacher] if len(teachers) > 1 else []), classes, self.said], layout=CENTRED)
        self.add_class("sre-choosers")

    def ids(self, tags: Sequence[str]) -> list[str]:
        """Class ids of these tags; raises `ConfigError` for one that no class has, or that comes twice."""
        for tag in tags:
            if tag not in self._ids:
                raise unknown("class", tag, self._ids)
            if list(tags).count(tag) > 1:
                raise ConfigError(f"class {tag} is chosen already")
        return [self._ids[tag] for tag in tags]

    def show(self, teacher: str, spec: DatasetSpec, ids: Sequence[str]) -> None:
        """Show a teacher and classes of its dataset."""
        self.teacher.value = teacher
        self._ids = dict(zip(spec.short_names, spec.classes, strict=True))
        tags = {one: tag for tag, one in self._ids.items()}
        self.tags.value = [tags[one] for one in ids]

    def enable(self, enabled: bool) -> None:
        """Let people choose or not; ipywidgets' page lets a disabled TagsInput look and work as ever."""
        self.teacher.disabled = self.tags.disabled = not enabled
        (self.tags.remove_class if enabled else self.tags.add_class)("sre-off")


class Timeline(ipywidgets.HBox):
    """A slider over the moments of a run; at its right end it follows the run."""

    def __init__(self) -> None:
        self.slider = ipywidgets.IntSlider(0, 0, 0, description="timeline", disabled=True, readout=False)
        self.slider.layout.flex, self.slider.layout.max_width, self.slider.layout.width = "1 1 260px", "760px", "auto"
        self.when = ipywidgets.HTML().add_class("sre-caption").add_class("sre-when")
        row = [self.slider.add_class("sre-timeline"), self.when]
        super().__init__(row, layout=CENTRED)

    @property
    def follows(self) -> bool:
        """Whether the present moment is shown."""
        return bool(self.slider.value == self.slider.max)

    def extend(self, last: int, *, follow: bool) -> None:
        """Reach to the moment with this number, and go there if it should follow."""
        self.slider.disabled, self.slider.max = last < 1, last
        if follow:
            self.slider.value = last

    def say(self, words: str) -> None:
        """What the present is, where it is shown."""
        if self.follows:
            self.when.value = words
