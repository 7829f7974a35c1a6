"""Beginnings for the notebooks."""

from dataclasses import replace

from sre2l_core import presets
from sre2l_core.artifacts import Teacher
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.runs.lessons import teacher_for
from sre2l_core.runtime import Runtime


def test_fewer_epochs_than_the_warm_up_are_enough(tiny_data: Dataset, cpu: Runtime) -> None:
    squeeze = SqueezeConfig(backbone="convnet", backbone_options={"depth": 2, "width": 8}, epochs=9, warmup_epochs=5)
    recipe = replace(presets.get("digits"), squeeze=squeeze)
    teacher = teacher_for(recipe, epochs=2, data=tiny_data, runtime=cpu)
    assert isinstance(teacher, Teacher)
    assert teacher.spec == tiny_data.spec
