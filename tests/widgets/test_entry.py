"""Fields beside sliders: every value that a setting allows can be typed, all others are named beside the field."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from widget_tree import inside

from sre2l_core.artifacts import Teacher
from sre2l_core.config import Config, RecoverConfig, setting
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import RecoverStudio, RelabelPanel, SideBySide
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.entry import NumberEntry

CONFIG = RecoverConfig(ipc=1, steps=20, crop_scale=(0.5, 1.0), lr=0.1, alpha_bn=1.0)
SOON = 60.0


@pytest.fixture
def studio(tiny_teacher: Teacher, cpu: Runtime, tmp_path: Path) -> Iterator[RecoverStudio]:
    studio = RecoverStudio(tiny_teacher, CONFIG, runtime=cpu, folder=tmp_path / "kept")
    yield studio
    studio.close()


def entry(panel: Any, field: str) -> NumberEntry:
    return panel.entry_of(field)


def typed(panel: Any, field: str, text: str, end: int = 0) -> str:
    """Type into a field as a browser does; what is said beside it."""
    entry(panel, field).fields[end].set_state({"value": text})
    return entry(panel, field)._said.value


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("alpha_bn", "0.37", 0.37),
        ("alpha_bn", " 3e-1 ", 0.3),
        ("alpha_bn", "off", 0.0),
        ("alpha_bn", "Off", 0.0),
        ("alpha_bn", "250", 250.0),
        ("steps", "1", 1),
        ("steps", "4000", 4000),
        ("steps", "7.0", 7),
    ],
)
def test_every_value_that_a_setting_allows_can_be_typed(
    studio: RecoverStudio, field: str, text: str, value: float
) -> None:
    assert typed(studio, field, text) == ""
    assert getattr(studio, field) == studio.controls[field].value == value
    assert entry(studio, field).fields[0].value == ("off" if value == 0 else f"{value:g}")
    assert studio.error == ""


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("steps", "0", "steps: a whole number of at least 1, not 0"),
        ("steps", "-5", "not -5"),
        ("steps", "\N{MINUS SIGN}5", "not \N{MINUS SIGN}5"),
        ("steps", "2.5", "steps: a whole number"),
        ("steps", "", "not nothing"),
        ("lr", "0", "learning rate: a number of more than 0"),
        ("lr", "off", "not off"),
        ("lr", "nan", "not nan"),
        ("alpha_bn", "inf", "not inf"),
        ("alpha_bn", "-1", "α_BN: a number of at least 0"),
        ("alpha_bn", "1,5", "not 1,5"),
        ("alpha_bn", "<b>", "not &lt;b&gt;"),
    ],
)
def test_all_others_are_named_beside_the_field(studio: RecoverStudio, field: str, text: str, said: str) -> None:
    before = getattr(studio, field)
    assert said in typed(studio, field, text)
    assert 'role="alert"' in entry(studio, field)._said.value
    assert getattr(studio, field) == studio.controls[field].value == before
    assert entry(studio, field).fields[0].value == f"{before:g}"
    assert studio._error.layout.display == "none"
    assert typed(studio, field, "2") == ""


def test_a_range_has_a_field_for_each_end(studio: RecoverStudio) -> None:
    assert typed(studio, "crop_scale", "0.123", 0) == ""
    assert studio.crop_scale == (0.123, 1.0)
    assert typed(studio, "crop_scale", "0.05", 1) != ""
    assert studio.crop_scale == (0.123, 1.0)
    assert [field.value for field in entry(studio, "crop_scale").fields] == ["0.123", "1"]
    assert [field.description for field in entry(studio, "crop_scale").fields] == ["crop scale", "to"]


def test_the_field_follows_the_slider_and_code(studio: RecoverStudio) -> None:
    studio.controls["alpha_bn"].set_state({"index": 0})
    assert entry(studio, "alpha_bn").fields[0].value == "off"
    studio.alpha_bn = 1 / 3
    assert float(entry(studio, "alpha_bn").fields[0].value) == pytest.approx(1 / 3, rel=1e-11)
    assert studio.alpha_bn == 1 / 3


def test_what_cannot_change_during_a_run_cannot_be_typed(studio: RecoverStudio) -> None:
    studio.steps = 100_000
    studio.start()
    assert entry(studio, "ipc").fields[0].disabled
    assert not entry(studio, "alpha_bn").fields[0].disabled
    assert typed(studio, "alpha_bn", "0.25") == ""
    studio.stop()
    studio.wait(SOON)
    assert not entry(studio, "ipc").fields[0].disabled
    assert [change["new"] for change in studio.log["changes"]] in ([0.25], [])


class Bounded(Config):
    share: float = setting(0.5, gt=0, lt=1, label="share", slider=(0.1, 0.9))
    weight: float = setting(1.0, ge=0, le=10_000, label="w", slider=(0.1, 10), log=True)


@pytest.mark.parametrize(
    ("name", "typed", "limits"),
    [("share", "1", "more than 0, less than 1"), ("weight", "10001", "at least 0, at most 10,000")],
)
def test_bounds_are_said_in_words(name: str, typed: str, limits: str) -> None:
    made = NumberEntry(control(Bounded(), name), Bounded(), name)
    with pytest.raises(ValueError, match=limits):
        made.parsed(0, typed)
    made.close()


def test_a_slider_keeps_its_own_steps_and_the_present_value() -> None:
    widget = control(CONFIG, "alpha_bn")
    steps = len(widget.options)
    for value in (0.37, 0.38, 0.39):
        set_value(widget, value)
    assert (widget.value, len(widget.options)) == (0.39, steps + 1)


def test_a_side_of_its_own_and_a_temperature_have_fields_too(
    tiny_teacher: Teacher, tiny_condensed: Any, cpu: Runtime, tmp_path: Path
) -> None:
    pair = SideBySide(tiny_teacher, CONFIG, {"lr": 0.2}, runtime=cpu, folder=tmp_path)
    right = next(one for one in pair._entries if one.widget is pair.right_controls["lr"])
    right.fields[0].set_state({"value": "0.33"})
    assert (pair.right_config.lr, pair.lr) == (0.33, 0.1)
    pair.close()
    from sre2l_core.config import RelabelConfig

    relabel = RelabelPanel(tiny_teacher, tiny_condensed, RelabelConfig(), runtime=cpu)
    (warm,) = (one for one in relabel._entries if one.widget is relabel._slider)
    warm.fields[0].set_state({"value": "7.5"})
    assert relabel.temperature == 7.5
    warm.fields[0].set_state({"value": "0"})
    assert (relabel.temperature, warm.fields[0].value) == (7.5, "7.5")
    assert "more than 0" in warm._said.value
    relabel.close()


def press(panel: Any, css: str) -> str:
    """Press the button that saves or exports; what is said beside it."""
    button = next(one for one in inside(panel) if css in one._dom_classes)
    button.click()
    return panel.kept.said.value


@pytest.mark.parametrize("css", ["sre-save", "sre-export"])
def test_a_failed_save_takes_the_last_success_away(studio: RecoverStudio, tmp_path: Path, css: str) -> None:
    assert "press Start" in press(studio, css)
    studio.start()
    studio.wait(SOON)
    assert str(tmp_path) in press(studio, css)
    (tmp_path / "file").write_text("in the way")
    studio.kept.folder.value = str(tmp_path / "file" / "below")
    said = press(studio, css)
    assert 'role="alert"' in said
    assert "Not a directory" in said
    assert str(tmp_path / "kept") not in said
    assert "--out" not in said
    studio.kept.folder.value = str(tmp_path / "kept")
    assert str(tmp_path / "kept") in press(studio, css)
    assert 'role="alert"' not in studio.kept.said.value


def test_a_class_that_is_not_known_is_named_beside_the_tags(studio: RecoverStudio) -> None:
    studio._classes.set_state({"value": ["bee", "unicorn"]})
    said = studio._choosers.said.value
    assert "unknown class &#x27;unicorn&#x27;" in said
    assert studio.only_classes == studio.teacher.spec.classes
    assert list(studio._classes.value) == list(studio.teacher.spec.classes)
    studio._classes.set_state({"value": ["bee", "bee"]})
    assert "class bee is chosen already" in studio._choosers.said.value
    studio._classes.set_state({"value": ["bee"]})
    assert (studio._choosers.said.value, studio.only_classes) == ("", ("bee",))
    studio._classes.set_state({"value": []})
    assert "at least one class" in studio._choosers.said.value
