"""No float64 where the device computes: Apple's GPUs have none. Every tensor that a step makes here is looked at."""

from __future__ import annotations

import pytest
import torch
from small_students import config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sre2l_core.config import RecoverConfig, RelabelConfig, SqueezeConfig
from sre2l_core.groups import plan
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.squeeze import Squeezing
from sre2l_core.stages.students import CondensedLesson, Student


class WithoutFloat64(TorchDispatchMode):
    """Refuses every tensor of double precision that an operation takes or makes."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, made)):
            if isinstance(value, torch.Tensor) and value.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{operation} computes in float64")
        return made


def test_float64_is_refused():
    with WithoutFloat64():
        torch.ones(2).sum()
        for make in (lambda: torch.ones(1).double(), lambda: torch.tensor([1.0], dtype=torch.float64)):
            with pytest.raises(TypeError, match="computes in float64"):
                make()


@pytest.mark.parametrize(
    "settings",
    [
        {"alpha_tv": 1e-4, "alpha_l2": 1e-5, "normalize_bn": True},
        {"crop": "padded", "roll": (-1, 1), "per_image_crop": True},
        {"parametrisation": "fourier", "tv_beta": 1.5, "alpha_tv": 1e-3},
    ],
)
def test_a_recovery_step(settings, tiny_teacher, cpu):
    asked = RecoverConfig(ipc=1, steps=2, **settings)
    groups = plan(asked, tiny_teacher.spec)
    with WithoutFloat64():
        recovery = Recovery(tiny_teacher, groups, asked, runtime=cpu)
        for _ in recovery:
            recovery.pixels()
        recovery.load_state_dict(recovery.state_dict())
        recovery.measure()


@pytest.mark.parametrize("codec", ["fp16", "int8", "topk"])
@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_an_epoch_of_labels(codec, mode, tiny_teacher, tiny_condensed, cpu):
    options = {"k": 3} if codec == "topk" else {}
    asked = RelabelConfig(epochs=1, mix="cutmix", codec=codec, codec_options=options, teacher_mode=mode)
    with WithoutFloat64():
        relabel(tiny_teacher, tiny_condensed, asked, runtime=cpu).logits(0, torch.arange(11))


@pytest.mark.parametrize("loss", ["kl", "kl_t2", "mse_ce", "gift"])
@pytest.mark.parametrize("mix", ["cutmix", "mixup"])
def test_the_steps_of_a_student(loss, mix, tiny_teacher, tiny_condensed, tiny_data, cpu):
    views = RelabelConfig(mix=mix, crop="padded")
    lesson = CondensedLesson("condensed", tiny_condensed, LiveLabels(tiny_teacher, tiny_condensed, views), soft=True)
    settings = config(loss=loss, ema=0.9, optimizer="adamw", epochs=1, eval_every=1)
    with WithoutFloat64():
        student = Student(lesson, tiny_data, "convnet", settings, 0, 3, cpu)
        for _ in student:
            student.state_dict()


def test_an_epoch_of_squeezing(tiny_data, cpu):
    settings = SqueezeConfig(
        backbone="convnet", backbone_options={"depth": 2, "width": 8}, epochs=1, batch_size=20, mix="cutmix"
    )
    with WithoutFloat64():
        training = Squeezing(tiny_data, settings, runtime=cpu)
        for _ in training:
            pass
        training.teacher()
