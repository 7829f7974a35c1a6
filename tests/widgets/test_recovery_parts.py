"""What panels of recoveries are made of: curves with gaps, and a teacher that is asked seldom."""

import math
import time

import pytest
import torch

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.events import StepEvent
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import SideBySide
from sre2l_core.widgets.recovery.charts import Curves, losses_chart
from sre2l_core.widgets.recovery.frame import columns_of
from sre2l_core.widgets.recovery.view import ThrottledTeacher


def test_a_term_that_was_switched_off_leaves_a_gap() -> None:
    curves = Curves()
    for step, metrics in enumerate(({"ce": 3.0, "r_bn": 1.0}, {"ce": 2.0}, {"ce": 1.0, "r_bn": 0.5, "r_tv": 9.0}), 1):
        curves.note(StepEvent("recover", step, 3, metrics))
    found = curves.points()
    assert found["ce"] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert [step for step, _ in found["r_bn"]] == [1, 2, 3]
    assert math.isnan(found["r_bn"][1][1])
    assert found["r_tv"] == [(3, 9.0)]
    assert curves.points() == found
    drawn = losses_chart({"r_bn": [(1, 1.0), (2, 0.8), (3, math.nan), (4, 0.5), (5, 0.4)]}, 5)
    assert drawn.count("<polyline") == 2


class Asked:
    """Stands for a recovery that counts how often its images are measured, which takes a while."""

    def __init__(self) -> None:
        self.times = 0

    def measure(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.times += 1
        begun = time.thread_time()
        while time.thread_time() - begun < 0.005:
            pass
        return torch.tensor(self.times), torch.zeros(0)


def test_the_teacher_is_asked_no_more_than_its_share_of_the_time_unless_it_has_to_be_now() -> None:
    asked = Asked()
    teacher = ThrottledTeacher(asked)  # type: ignore[arg-type]
    begun = time.monotonic()
    while time.monotonic() - begun < 0.2:  # shorter than the half second that the first answer is good for
        assert teacher.ask(now=False)[0] == 1
    assert asked.times == 1
    assert teacher.ask(now=True)[0] == 2
    teacher.SHARE = 1e9
    teacher.ask(now=True)
    assert teacher.ask(now=False)[0] == 4


@pytest.mark.parametrize(
    ("classes", "each", "resolution", "columns"),
    [(3, 2, 16, 3), (3, 2, 64, 3), (10, 3, 16, 10), (20, 1, 16, 20), (2, 4, 16, 8), (1, 30, 16, 10), (5, 2, 64, 5),
     (10, 2, 64, 5), (25, 1, 16, 10), (1, 2, 64, 2)],
)  # fmt: skip
def test_a_class_has_a_column_where_that_is_a_sensible_width(
    classes: int, each: int, resolution: int, columns: int
) -> None:
    assert columns_of([*range(classes)] * each, resolution) == columns


def test_the_right_side_keeps_what_it_differs_in(tiny_teacher: Teacher, cpu: Runtime) -> None:
    pair = SideBySide(tiny_teacher, RecoverConfig(ipc=1, steps=40), {"alpha_bn": 0}, runtime=cpu)
    told = pair.retuned({"alpha_bn": 5.0, "lr": 0.5, "ipc": 3})
    assert told == {"left.alpha_bn": 5.0, "left.lr": 0.5, "right.lr": 0.5}
    pair.close()
