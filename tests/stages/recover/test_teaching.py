"""Recovery with several teachers: in turn, one or two for each group; and images that are smaller for a while."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional as F

from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.committee import join
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.stages.recover import Recovery, plan, recover
from sre2l_core.stages.recover.schedule import resolution_at, stage_ends
from sre2l_core.stages.recover.teaching import drawn, voices


def config(**settings):
    return RecoverConfig(**{"ipc": 2, "steps": 8, "lr": 0.1, "alpha_bn": 0.1, "crop": "none", "flip": 0, **settings})


@pytest.fixture(scope="module")
def three(tiny_teacher, tiny_spec):
    options = [{"width": 4}, {"depth": 1, "width": 6}]
    nets = [empty_network(name, tiny_spec, o, 3) for name, o in zip(("resnet10", "convnet"), options, strict=True)]
    others = [
        Teacher(net, tiny_spec, name, o) for net, name, o in zip(nets, ("resnet10", "convnet"), options, strict=True)
    ]
    return tiny_teacher, *others


def begin(teacher, settings, cpu, groups=slice(1), data=None):
    return Recovery(teacher, plan(settings, teacher.spec)[groups], settings, runtime=cpu, data=data)


def slope(teacher, recovery, settings, cpu):
    """The gradient of one teacher's loss at the images as they are now."""
    alone = Recovery(teacher, recovery.groups, settings, runtime=cpu)
    with torch.no_grad():
        alone.values.copy_(recovery.values)
    alone.step_count = recovery.step_count
    alone.step()
    return alone.values.grad


def test_in_turn_each_step_is_one_teachers(three, cpu):
    settings = config(teaching="turns")
    recovery = begin(join(three), settings, cpu)
    for step in range(7):
        expected = slope(three[step % 3], recovery, settings, cpu)
        recovery.step()
        torch.testing.assert_close(recovery.values.grad, expected)


def test_a_pair_adds_its_losses_by_its_votes(three, cpu):
    settings = config(teaching="pair")
    recovery = begin(join(three), settings, cpu)
    first, second = (number for number, _ in voices(settings, three, recovery.groups[0], 0))
    assert first != second
    expected = (slope(three[first], recovery, settings, cpu) + slope(three[second], recovery, settings, cpu)) / 2
    recovery.step()
    torch.testing.assert_close(recovery.values.grad, expected, rtol=1e-4, atol=1e-7)


def test_one_teacher_of_each_group_stays_the_same(three, cpu):
    settings = config(teaching="one")
    recovery = begin(join(three), settings, cpu)
    (number, share), *others = voices(settings, three, recovery.groups[0], 5)
    assert (share, others) == (1.0, [])
    assert [*recovery]
    assert recovery.pixels().equal(_finished(three[number], recovery, settings, cpu))


def _finished(teacher, recovery, settings, cpu):
    alone = Recovery(teacher, recovery.groups, settings, runtime=cpu)
    for _ in alone:
        pass
    return alone.pixels()


def test_the_seed_and_the_image_draw_teachers_and_all_come_up():
    chosen = [tuple(drawn(0, image, 4)[:2]) for image in range(400)]
    assert chosen == [tuple(drawn(0, image, 4)[:2]) for image in range(400)]
    assert len(set(chosen)) == 12
    assert all(20 <= chosen.count(pair) <= 50 for pair in set(chosen))  # 33 each, six standard deviations
    assert [drawn(1, image, 4)[0] for image in range(40)] != [first for first, _ in chosen[:40]]


@pytest.mark.parametrize("settings", [{"teaching": "turns"}, {"teaching": "pair", "group_images": 1}], ids=str)
def test_a_run_goes_on_bit_for_bit_and_workers_make_the_same_images(three, tiny_data, cpu, settings, tmp_path):
    asked, teacher = config(**settings), join(three)
    whole, first, second = (begin(teacher, asked, cpu) for _ in range(3))
    for _ in range(4):
        first.step()
    second.load_state_dict(first.state_dict())
    assert [*whole]
    assert [*second]
    assert whole.pixels().equal(second.pixels())
    here = recover(teacher, asked, runtime=cpu, out=tmp_path / "set")
    assert here.origin["teachers"] == [one.id for one in three]
    assert here.images[: len(whole.targets)].equal(whole.pixels())
    with ThreadPoolExecutor(1) as workers:
        assert recover(teacher, asked, runtime=cpu, executor=workers).id == here.id


def test_groups_with_teachers_of_their_own_are_not_stacked(three, cpu):
    asked, teacher = config(teaching="pair", group_images=1), join(three)
    alone = recover(teacher, asked, runtime=cpu)
    assert recover(teacher, asked.but(stack="auto"), runtime=cpu).id == alone.id
    with pytest.raises(ConfigError, match="teaching=pair every group has a teacher of its own"):
        begin(teacher, asked, cpu, slice(None))
    assert len(recover(three[0], asked.but(stack=2), runtime=cpu)) == 10  # a single teacher is not divided
    vit = Teacher(empty_network("deit_tiny", three[0].spec, {}), three[0].spec, "deit_tiny")
    with pytest.raises(ConfigError, match="'deit_tiny' has no BatchNorm"):
        recover(join([three[0], vit]), asked)


@pytest.mark.parametrize("field", ["teaching", "vote", "small_stages", "formation"])
def test_what_a_start_used_up_cannot_be_changed(three, cpu, field):
    value = {"teaching": "one", "vote": "accuracy", "small_stages": 0.5, "formation": 2}[field]
    with pytest.raises(ConfigError, match=f"{field} cannot change"):
        begin(three[0], config(), cpu).retune(**{field: value})


def test_every_other_stage_is_small_and_the_last_is_not():
    settings = config(steps=8, small_stages=0.5, blend_stages=4)
    assert [resolution_at(settings, 8, step) for step in range(9)] == [4, 4, 8, 8, 4, 4, 8, 8, 8]
    assert [resolution_at(settings.but(blend_stages=3), 9, step) for step in range(9)][:3] == [9, 9, 4]
    assert [step for step in range(9) if stage_ends(settings, step)] == [2, 4, 6]
    assert not any(stage_ends(config(), step) for step in range(9))
    assert {resolution_at(config(), 8, step) for step in range(9)} == {8}


@pytest.mark.parametrize("parametrisation", ["pixels", "fourier"])
def test_small_stages_shrink_the_start_and_enlarge_what_they_made(three, tiny_data, cpu, parametrisation):
    settings = config(
        init="real", small_stages=0.5, blend_stages=2, blend=0.25, parametrisation=parametrisation, lr=1e-9
    )
    recovery = begin(three[1], settings, cpu, data=tiny_data)
    began = recovery.start
    small = F.interpolate(began, (4, 4), mode="bilinear", antialias=True)
    assert recovery.values.shape[2] == 4
    assert recovery.images.shape == began.shape
    for _ in range(4):
        recovery.step()
    expected = 0.75 * F.interpolate(small, (8, 8), mode="bilinear", antialias=True) + 0.25 * began
    assert recovery.values.shape[2] == 8
    off = (recovery.pixels().int() - recovery.teacher.spec.to_uint8(expected).int()).abs()
    assert off.max() <= (1 if parametrisation == "pixels" else 4)  # a sigmoid does not reach black and white
    assert not recovery.optimizer.state


@pytest.mark.parametrize("teacher", [0, 1], ids=["only its own size", "any size"])
def test_small_stages_go_on_bit_for_bit_survive_fewer_steps_and_end_whole(three, cpu, teacher):
    settings = config(small_stages=0.5, blend_stages=4, snapshot_every=1)
    whole, first, second = (begin(three[teacher], settings, cpu) for _ in range(3))
    for _ in range(5):
        first.step()
    state = first.state_dict()
    assert state["tensors"]["values"].shape[2] == 4
    second.load_state_dict(state)
    assert [*whole]
    assert [*second]
    assert whole.pixels().equal(second.pixels())
    assert {tuple(image.shape[2:]) for _, image in whole.snapshots} == {(8, 8)}
    first.retune(steps=6)
    assert first.values.shape[2] == 8
    assert [*first]
    assert first.done
