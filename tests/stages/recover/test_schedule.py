"""What the number of a step decides: crop curriculum, blends, images that join later; and nudges."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.stages.recover import Recovery, plan, recover, replay
from sre2l_core.stages.recover.nudge import nudged
from sre2l_core.stages.recover.schedule import cosine, crops_at, first_step, stage_ends


def config(**settings):
    return RecoverConfig(**{"ipc": 1, "steps": 8, "lr": 0.1, "alpha_bn": 0.1, **settings})


@pytest.fixture
def start(tiny_teacher, tiny_data, cpu):
    def make(**settings):
        made = config(**settings)
        return Recovery(tiny_teacher, plan(made, tiny_teacher.spec)[:1], made, runtime=cpu, data=tiny_data)

    return make


@pytest.mark.parametrize("milestone", [0.25, 0.5, 1.0])
def test_the_smallest_crop_shrinks_by_a_cosine_until_the_milestone(milestone):
    settings = config(steps=100, crop_scale=(0.08, 1.0), crop_curriculum=milestone)
    for step in range(100):
        share = min(step / (milestone * 100), 1)
        expected = 0.08 + 0.92 * (1 + math.cos(math.pi * share)) / 2
        low, high = crops_at(settings, step).crop_scale
        assert low == pytest.approx(expected)
        assert high == 1.0


def test_without_a_curriculum_the_crops_are_those_of_the_config_itself():
    settings = config()
    assert all(crops_at(settings, step) is settings for step in range(9))


def test_a_curriculum_begins_with_whole_images_and_can_be_changed_meanwhile(start):
    recovery = start(crop_scale=(0.1, 1.0), crop_ratio=(1, 1), crop_curriculum=1.0)
    assert recovery.views(0).box.tolist() == [[0, 0, 8, 8]] * len(recovery.targets)
    plainly = start(crop_scale=(0.1, 1.0), crop_ratio=(1, 1))
    recovery.retune(crop_curriculum=0.0)
    assert all(recovery.views(step).box.equal(plainly.views(step).box) for step in range(8))


def test_blends_lie_between_stages_of_equal_length():
    settings = config(steps=10, blend=0.5, blend_stages=4)
    assert [step for step in range(12) if stage_ends(settings, step)] == [2, 5, 7]
    assert not any(stage_ends(config(steps=10), step) for step in range(12))


@pytest.mark.parametrize("parametrisation", ["pixels", "fourier"])
def test_a_blend_is_between_images_and_start(start, parametrisation):
    settings = {"init": "real", "parametrisation": parametrisation, "blend_stages": 2}
    blended, plainly = start(blend=0.25, **settings), start(**settings)
    began = plainly.images.clone()  # steps move pixels in place
    for _ in range(4):
        blended.step(), plainly.step()
    assert (plainly.images - began).abs().mean() > 0.03
    expected = 0.75 * plainly.images + 0.25 * (began if parametrisation == "pixels" else blended.start)
    inside = blended.teacher.spec.to_uint8(expected).float() - blended.pixels().float()
    assert inside.abs().max() <= (1 if parametrisation == "pixels" else 3)  # a sigmoid does not reach black and white
    assert not blended.optimizer.state


def test_a_blended_recovery_continues_bit_for_bit(start):
    settings = {"init": "real", "blend": 0.5, "blend_stages": 2, "crop_curriculum": 0.5}
    whole, first, second = (start(**settings) for _ in range(3))
    for _ in range(4):
        first.step()
    second.load_state_dict(first.state_dict())
    list(whole), list(second)
    assert whole.pixels().equal(second.pixels())


def test_images_join_by_rounds():
    settings = config(ipc=5, steps=100, rounds=3)
    assert [first_step(settings, index) for index in range(5)] == [0, 0, 33, 33, 66]
    assert [first_step(config(ipc=5, steps=100), index) for index in range(5)] == [0] * 5


def test_later_images_meet_later_rates_and_crops_and_are_finished_together(tiny_teacher, cpu, tmp_path):
    settings = config(ipc=2, rounds=2, group_size=100)
    early, late = plan(settings, tiny_teacher.spec)
    recovery = Recovery(tiny_teacher, [late], settings, runtime=cpu)
    assert recovery.step_count == 4
    recovery.step()
    assert recovery.optimizer.param_groups[0]["lr"] == pytest.approx(settings.lr * cosine(4 / 8))
    events = []
    recover(tiny_teacher, settings, runtime=cpu, out=tmp_path / "set", on_step=lambda event: events.append(event.step))
    assert events == [*range(1, 9), *range(13, 17)]
    assert Recovery(tiny_teacher, [early], settings, runtime=cpu).step_count == 0


@pytest.mark.parametrize("settings", [{"rounds": 2}, {"nudge": 0.1}], ids=str)
def test_groups_that_need_passes_of_their_own_are_not_stacked(tiny_teacher, cpu, settings):
    asked = config(ipc=2, group_size=2, steps=2, **settings)
    alone = recover(tiny_teacher, asked, runtime=cpu)
    assert recover(tiny_teacher, asked.but(stack="auto"), runtime=cpu).images.equal(alone.images)
    with pytest.raises(ConfigError, match="stack 4 must be 1 or auto"):
        asked.but(stack=4)
    with pytest.raises(ConfigError, match="stack=1"):
        replay.replay(tiny_teacher, asked, runtime=cpu)


@pytest.mark.parametrize("field", ["rounds", "blend", "blend_stages", "nudge", "nudge_steps"])
def test_what_a_start_used_up_cannot_be_changed(start, field):
    with pytest.raises(ConfigError, match=f"{field} cannot change"):
        start().retune(**{field: 2 if field not in ("blend", "nudge") else 0.5})


def test_a_nudge_is_a_way_up_the_loss_of_the_start(tiny_teacher, cpu):
    net = cpu.place(tiny_teacher.net)
    images, targets = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3])
    by_hand = copy.deepcopy(net).requires_grad_(True)
    for _ in range(3):
        by_hand.zero_grad()
        F.cross_entropy(by_hand(images), targets).backward()
        norm = sum(float((weight.grad**2).sum()) for weight in by_hand.parameters()) ** 0.5
        with torch.no_grad():
            for weight in by_hand.parameters():
                weight += 0.2 / 3 * weight.grad / norm
    before = copy.deepcopy(net.state_dict())
    moved = nudged(net, images, targets, 0.2, 3, cpu)
    for name, value in moved.state_dict().items():
        assert torch.allclose(value, by_hand.state_dict()[name], atol=1e-5), name
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    assert F.cross_entropy(moved(images), targets) > F.cross_entropy(net(images), targets)
    assert not any(weight.requires_grad for weight in moved.parameters())


def test_a_nudge_changes_the_images_and_leaves_the_teacher_as_it_is(start, tiny_teacher):
    before = tiny_teacher.id
    nudged_one, plainly = start(nudge=0.5), start()
    list(nudged_one), list(plainly)
    assert not nudged_one.pixels().equal(plainly.pixels())
    assert tiny_teacher.id == before


def test_variances_can_weigh_more(start):
    heavy, plainly = start(bn_variance=11.0), start()
    assert heavy.step().value("r_bn") > plainly.step().value("r_bn")
    with pytest.raises(ConfigError, match="bn_variance"):
        config(bn_variance=-1)
