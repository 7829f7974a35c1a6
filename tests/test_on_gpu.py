"""What only a GPU can show; skipped where there is none."""

import copy

import pytest
import torch
from torch.nn import functional as F

from sre2l_core import recover, relabel, squeeze, validate
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return Runtime(torch.device("cuda"))


@pytest.fixture
def teacher(tiny_teacher):
    """Return a copy: placing a network moves it."""
    return Teacher(copy.deepcopy(tiny_teacher.net), tiny_teacher.spec, tiny_teacher.backbone, tiny_teacher.options)


def start(teacher, runtime, **settings):
    config = RecoverConfig(**{"ipc": 2, "steps": 8, "alpha_bn": 0.1, "roll": (0, 2), **settings})
    return Recovery(teacher, plan(config, teacher.spec), config, runtime=runtime)


def finished(recovery):
    while not recovery.done:
        recovery.step()
    return recovery.images.detach().float().cpu()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_does_not_wait_for_the_device(gpu, teacher, precision):
    recovery = start(teacher, Runtime(gpu.device, precision))
    recovery.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            recovery.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert recovery.step_count == 6


def test_the_gpu_recovers_what_the_cpu_does(gpu, cpu, teacher):
    there = finished(start(teacher, gpu))
    here = finished(start(teacher, cpu))
    assert F.cosine_similarity(there.flatten(), here.flatten(), dim=0) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_equals_eager(gpu, teacher, precision):
    eager = finished(start(teacher, Runtime(gpu.device, precision)))
    compiled = finished(start(teacher, Runtime(gpu.device, precision, compile=True)))
    assert F.cosine_similarity(compiled.flatten(), eager.flatten(), dim=0) > (0.9999 if precision == "fp32" else 0.99)


def test_a_saved_state_continues_bit_for_bit(gpu, teacher):
    through, first, second = (start(teacher, gpu) for _ in range(3))
    for _ in range(3):
        first.step()
    second.load_state_dict(first.state_dict())
    assert finished(second).equal(finished(through))


def test_all_groups_are_stacked_where_they_fit(gpu, teacher):
    config = RecoverConfig(ipc=3, steps=4, stack="auto")
    together = recover(teacher, config, runtime=gpu)
    alone = recover(teacher, config.but(stack=1), runtime=gpu)
    assert gpu.stack(5 * 8 * 8) >= 3
    assert (together.images != alone.images).float().mean() < 0.02


def test_the_four_stages_run(tiny_data):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    runtime = Runtime.auto()
    squeezed = squeeze(tiny_data, SqueezeConfig(backbone="convnet", epochs=3, batch_size=20), runtime=runtime)
    condensed = recover(squeezed, RecoverConfig(ipc=2, steps=5), runtime=runtime)
    labels = relabel(squeezed, condensed, RelabelConfig(epochs=3), runtime=runtime)
    config = ValidateConfig(epochs=3, seeds=1, students=("convnet",), batch_size=5)
    score = validate(condensed, labels, tiny_data, config, teacher=squeezed, runtime=runtime)
    assert 0 <= score.row("condensed", "soft").mean_std()[0] <= 1
