"""Recovery against Equation 5 written out by hand, and everything a run must survive."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sre2l_core import storage
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError, DivergenceError
from sre2l_core.registry import catalogue
from sre2l_core.stages.recover import Recovery, loop, plan, stage
from sre2l_core.terms import all_terms
from sre2l_core.views import draw


def config(**settings):
    return RecoverConfig(**{"ipc": 1, "steps": 6, "lr": 0.1, "alpha_bn": 0.1, "roll": (0, 2), **settings})


@pytest.fixture
def start(tiny_teacher, cpu, tiny_data):
    """Return a function that starts the recovery of all groups of a config, or of some of them."""

    def make(settings=None, groups=slice(None), teacher=tiny_teacher):
        settings = settings or config()
        return Recovery(teacher, plan(settings, teacher.spec)[groups], settings, runtime=cpu, data=tiny_data)

    return make


def run(recovery, steps=None):
    events = []
    while not recovery.done and (steps is None or len(events) < steps):
        events.append(recovery.step())
    return events


def loss_by_hand(net, images, params, row, labels, settings):
    """Cross-entropy + alpha R_BN of one group under one view."""
    (top, left, h, w), flip, roll = params.box[row].tolist(), bool(params.flip[row]), params.roll[row].tolist()
    x = images[:, :, top : top + h, left : left + w]
    x = F.interpolate(x, (8, 8), mode="bilinear", align_corners=False)
    x = (x.flip(3) if flip else x).roll(roll, (2, 3))
    features, distance = net.features, torch.zeros(())
    for number in (0, 4):
        x, norm = features[number](x), features[number + 1]
        off = (x.mean((0, 2, 3)) - norm.running_mean).norm() + (
            x.var((0, 2, 3), correction=0) - norm.running_var
        ).norm()
        distance = distance + (settings.first_bn_multiplier if number == 0 else 1) * off
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        x = F.avg_pool2d(F.relu(x), 2)
    logits = net.classifier(x.flatten(1))
    return F.cross_entropy(logits, labels) + settings.alpha_bn * distance


@pytest.mark.parametrize("stack", [1, 2])
def test_three_steps_by_formula(start, tiny_teacher, stack):
    settings = config(steps=3, ipc=stack, seed=4)
    recovery = start(settings)
    images = recovery.images.detach().clone()
    mean, std = (torch.tensor(values)[:, None, None] for values in (tiny_teacher.spec.mean, tiny_teacher.spec.std))
    m, v = torch.zeros_like(images), torch.zeros_like(images)
    for step in range(3):
        images.requires_grad_()
        ids = torch.tensor([group.ids[0] for group in recovery.groups])
        params = draw(settings, seed=4, epoch=step, ids=ids, size=(8, 8))
        parts = images.chunk(stack)
        losses = [
            loss_by_hand(tiny_teacher.net, part, params, row, torch.arange(5), settings)
            for row, part in enumerate(parts)
        ]
        (gradient,) = torch.autograd.grad(sum(losses), images)
        event = recovery.step()
        assert event.value("loss") == pytest.approx(sum(losses).item() / stack, rel=1e-4)
        # Adam (Kingma and Ba, 2015) with a cosine learning rate, then the visible range.
        m, v = 0.5 * m + 0.5 * gradient, 0.9 * v + 0.1 * gradient**2
        lr = 0.1 * (1 + math.cos(math.pi * step / 3)) / 2
        update = lr * (m / (1 - 0.5 ** (step + 1))) / ((v / (1 - 0.9 ** (step + 1))).sqrt() + 1e-8)
        images = (images.detach() - update).maximum(-mean / std).minimum((1 - mean) / std)
        sure = v.sqrt() > 1e-5  # elsewhere the sign of rounding errors decides
        torch.testing.assert_close(recovery.images.detach()[sure], images[sure], atol=2e-4, rtol=0)
        images = recovery.images.detach().clone()
    assert recovery.done


def test_learning_rates_follow_the_cosine(start):
    recovery, rates = start(config(steps=8, lr=0.25)), []
    while not recovery.done:
        recovery.step()
        rates.append(recovery.optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, 0.125 * (1 + np.cos(np.pi * np.arange(8) / 8)), rtol=1e-9)


def test_events_count_and_carry_the_terms(start):
    events = run(start(config(alpha_tv=0.01)))
    assert [(event.stage, event.step, event.total) for event in events] == [("recover", n, 6) for n in range(1, 7)]
    for event in events:
        assert set(event.metrics) == {"loss", "ce", "r_bn", "r_tv"}
        total = event.value("ce") + 0.1 * event.value("r_bn") + 0.01 * event.value("r_tv")
        assert event.value("loss") == pytest.approx(total, rel=1e-5)


def test_the_seed_fixes_the_bits(start):
    first, again, other = (start(config(seed=seed)) for seed in (0, 0, 1))
    for recovery in (first, again, other):
        run(recovery)
    assert first.images.equal(again.images)
    assert (first.pixels() != other.pixels()).float().mean() > 0.9


def test_stacked_groups_do_not_see_each_other(start):
    settings = config(ipc=3, group_size=5)
    together = start(settings)
    run(together)
    alone = [start(settings, slice(index, index + 1)) for index in range(3)]
    for recovery in alone:
        run(recovery)
    expected = torch.cat([recovery.images.detach() for recovery in alone])
    assert together.ids == [index for recovery in alone for index in recovery.ids]
    torch.testing.assert_close(together.images.detach(), expected, atol=2e-3, rtol=0)
    assert (together.pixels() != torch.cat([recovery.pixels() for recovery in alone])).float().mean() < 0.01


def test_one_crop_for_the_group_or_one_for_each_image(start):
    for per_image in (False, True):
        recovery = start(config(ipc=2, per_image_crop=per_image, crop_scale=(0.1, 0.3), crop_ratio=(1, 1)))
        before = recovery.images.detach().clamp(*recovery.teacher.spec.bounds()).clone()
        recovery.step()
        moved = (recovery.images.detach() != before).any(1)
        shown = [{tuple(mask.flatten().tolist()) for mask in part} for part in moved.chunk(2)]
        assert [len(masks) > 1 for masks in shown] == [per_image, per_image]
        assert shown[0] != shown[1]


def test_pixels_outside_the_first_crop_do_not_move(start):
    settings = config(crop_scale=(0.1, 0.2))
    recovery = start(settings)
    before = recovery.images.detach().clamp(*recovery.teacher.spec.bounds()).clone()
    recovery.step()
    top, left, h, w = draw(settings, seed=0, epoch=0, ids=torch.tensor([0]), size=(8, 8)).box[0].tolist()
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[top : top + h, left : left + w] = False
    moved = recovery.images.detach() != before
    assert not moved[:, :, outside].any()
    assert moved[:, :, ~outside].float().mean() > 0.5


def test_pixels_stay_within_black_and_white(start):
    recovery = start(config(lr=5.0))
    run(recovery)
    visible = recovery.teacher.spec.denormalize(recovery.images.detach())
    assert visible.min() >= -1e-6
    assert visible.max() <= 1 + 1e-6
    assert ((visible < 1e-6) | (visible > 1 - 1e-6)).any()


def test_the_teacher_is_left_as_it_was(start, tiny_teacher):
    before = {name: tensor.clone() for name, tensor in tiny_teacher.net.state_dict().items()}
    run(start())
    for name, tensor in tiny_teacher.net.state_dict().items():
        assert tensor.equal(before[name]), name
    assert not any(module.training or module._forward_pre_hooks for module in tiny_teacher.net.modules())
    assert all(p.grad is None and not p.requires_grad for p in tiny_teacher.net.parameters())


def test_terms_without_weight_are_never_computed(start, monkeypatch):
    def refuse(seen):
        raise AssertionError("computed")

    for name, term in all_terms().items():
        if term.weight:
            monkeypatch.setitem(catalogue("terms"), name, replace(term, function=refuse))
    start(config(alpha_bn=0)).step()
    for weight in ("alpha_bn", "alpha_tv", "alpha_l2"):
        with pytest.raises(AssertionError, match="computed"):
            start(config(**{"alpha_bn": 0, weight: 0.1})).step()


def test_a_saved_state_continues_bit_for_bit(start, tmp_path):
    through, first, second = (start(config(steps=9)) for _ in range(3))
    for recovery in (through, first):
        run(recovery, 3)
        recovery.retune(alpha_bn=1.0, lr=0.02, betas=(0.8, 0.95))
        run(recovery, 2)
    with storage.saving(tmp_path, "condensed_set") as work:
        stage._save_state(work, first.state_dict(), first.ids)
        run(through)
        second.load_state_dict(work.state())
        work.finish({})
    assert (second.step_count, second.config, len(second.changes)) == (5, first.config, 3)
    run(second)
    assert second.images.equal(through.images)
    assert not second.images.equal(first.images)


def test_retuning_is_logged_and_takes_effect(start):
    plain, tuned = start(), start()
    run(plain, 2)
    run(tuned, 2)
    tuned.retune(alpha_bn=0.0, alpha_tv=0.5)
    assert tuned.changes == [
        {"step": 2, "field": "alpha_bn", "old": 0.1, "new": 0.0},
        {"step": 2, "field": "alpha_tv", "old": 0.0, "new": 0.5},
    ]
    assert set(tuned.step().metrics) == {"loss", "ce", "r_tv"}
    plain.step()
    assert not plain.images.equal(tuned.images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed cannot change while a recovery runs"),
        ({"init": "real", "ipc": 3}, "init, ipc cannot change"),
        ({"alpha_nb": 1.0}, "Did you mean 'alpha_bn'"),
        ({"alpha_bn": -1.0}, r"RecoverConfig\.alpha_bn"),
    ],
)
def test_retuning_is_validated(start, change, message):
    recovery = start()
    with pytest.raises(ConfigError, match=message):
        recovery.retune(**change)
    assert recovery.config == config()
    assert recovery.changes == []


def test_a_teacher_without_batchnorm_serves_only_without_r_bn(start, linear_teacher):
    with pytest.raises(ConfigError, match=r"'linear' has no BatchNorm layer but alpha_bn=0\.1.*alpha_bn=0"):
        start(teacher=linear_teacher)
    recovery = start(config(alpha_bn=0), teacher=linear_teacher)
    assert set(recovery.step().metrics) == {"loss", "ce"}
    with pytest.raises(ConfigError, match="has no BatchNorm layer"):
        recovery.retune(alpha_bn=0.1)
    recovery.step()


@pytest.mark.parametrize("name", ["ce", "r_bn"])
def test_a_term_that_is_not_finite_stops_at_the_last_good_state(start, monkeypatch, name):
    monkeypatch.setattr(loop, "CHECK_EVERY", 2)
    calls, term = [], all_terms()[name]

    def fails_in_step_6(seen):
        calls.append(None)
        return term.function(seen) * (float("nan") if len(calls) == 6 else 1)

    monkeypatch.setitem(catalogue("terms"), name, replace(term, function=fails_in_step_6))
    recovery = start(config(steps=20))
    run(recovery, 4)
    good = recovery.images.detach().clone()
    message = rf"term {name} became nan in step 6\. The state after step 4 is kept\. Lower lr \(0\.1\)"
    with pytest.raises(DivergenceError, match=message):
        run(recovery)
    assert recovery.step_count == 4
    assert recovery.images.equal(good)
    run(recovery)
    assert recovery.images.isfinite().all()


@pytest.mark.parametrize("init", ["real", "patches"])
def test_recovery_starts_from_real_images(start, init, tiny_data):
    recovery = start(config(init=init))
    recovery.step()
    means = [tiny_data.train.images[tiny_data.train.labels == label].double().mean((0, 2, 3)) for label in range(5)]
    if init == "real":
        off = (recovery.pixels().double().mean((2, 3)) - torch.stack(means)).abs().mean()
        assert off < 15
    assert not recovery.images.equal(start(config()).images)


def test_snapshots_are_the_pixels_at_their_step(start):
    recovery, seen = start(config(steps=7, snapshot_every=3)), {}
    while not recovery.done:
        recovery.step()
        seen[recovery.step_count] = recovery.pixels()
    assert [step for step, _ in recovery.snapshots] == [3, 6, 7]
    assert all(pixels.equal(seen[step]) for step, pixels in recovery.snapshots)


def test_predictions_are_of_the_whole_images(start, tiny_teacher, tiny_spec):
    recovery = start()
    recovery.step()
    judge = Teacher(empty_network("convnet", tiny_spec, {"depth": 1, "width": 4}, seed=1), tiny_spec, "convnet")
    for net, found in ((tiny_teacher.net, recovery.predict()), (judge.net, recovery.predict(judge))):
        expected = net(recovery.images.detach()).softmax(1)
        torch.testing.assert_close(found, expected)
