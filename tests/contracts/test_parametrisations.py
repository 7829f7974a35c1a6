"""What every parametrisation of the image promises, with every start and in every way a recovery is used."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sre2l_core import parametrisations, storage
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.config import RecoverConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, DivergenceError
from sre2l_core.registry import catalogue
from sre2l_core.stages.recover import Recovery, loop, plan, recover, stage
from sre2l_core.terms import all_terms

NAMES = sorted(catalogue("parametrisations"))
STARTS = sorted(catalogue("starts"))
CPU = torch.device("cpu")

each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr("sre2l_core.starts.dm.ITERATIONS", 2)


def config(name, **settings):
    return RecoverConfig(**{"ipc": 1, "steps": 6, "alpha_bn": 0.1, "roll": (0, 2), "parametrisation": name, **settings})


def spec_of(channels, size):
    return DatasetSpec("any", ("a", "b"), channels, size, (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels])


def make(name, spec, **settings):
    return parametrisations.find(name)(spec, config(name, **settings), CPU)


def pixels_of(spec, count=3):
    """Random pixels in [0.02, 0.98]."""
    shape = (count, spec.channels, *spec.size)
    return 0.02 + 0.96 * torch.rand(shape, generator=torch.Generator().manual_seed(0))


def run(recovery, steps=None):
    events = []
    while not recovery.done and (steps is None or len(events) < steps):
        events.append(recovery.step())
    return events


@pytest.fixture
def start(tiny_teacher, tiny_data, cpu):
    """Return a function that starts the recovery of all groups of a config."""

    def begin(settings, groups=slice(None), runtime=cpu):
        chosen = plan(settings, tiny_teacher.spec)[groups]
        return Recovery(tiny_teacher, chosen, settings, runtime=runtime, data=tiny_data)

    return begin


def test_the_catalogue_has_the_papers_and_is_open():
    assert {"pixels", "fourier"} <= set(NAMES)
    assert RecoverConfig().parametrisation == "pixels"


def test_an_unknown_name_is_refused_with_the_nearest(start):
    with pytest.raises(ConfigError, match=r"unknown parametrisation 'furier'.*Did you mean 'fourier'"):
        start(config("furier"))


@each
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 7), (3, 16), (3, 9)])
def test_images_go_into_values_and_come_back(name, channels, size):
    spec = spec_of(channels, size)
    made, pixels = make(name, spec), pixels_of(spec)
    values = made.from_images(spec.normalize(pixels))
    images = made.to_images(values)
    assert values.dtype == images.dtype == torch.float32
    assert len(values) == len(pixels)
    torch.testing.assert_close(spec.denormalize(images), pixels, atol=1e-5, rtol=0)
    twice = made.to_images(made.from_images(images))
    torch.testing.assert_close(twice, images, atol=1e-4, rtol=0)


@each
def test_each_image_is_made_of_its_own_values(name):
    spec = spec_of(3, 8)
    made = make(name, spec)
    values = made.from_images(spec.normalize(pixels_of(spec)))
    torch.testing.assert_close(made.to_images(values)[1:2], made.to_images(values[1:2]))
    other = values.clone()
    other[0] += 0.1
    assert made.to_images(other)[1:].equal(made.to_images(values)[1:])


@each
def test_gradients_reach_the_values_and_move_the_images(name):
    spec = spec_of(3, 8)
    made = make(name, spec)
    values = made.from_images(spec.normalize(pixels_of(spec))).requires_grad_()
    goal, adam, losses = pixels_of(spec).flip(0).roll(3, 2), torch.optim.Adam([values], lr=0.02), []
    for _ in range(30):
        loss = (spec.denormalize(made.to_images(values)) - goal).square().sum()
        (values.grad,) = torch.autograd.grad(loss, values)
        assert values.grad.isfinite().all()
        adam.step()
        with torch.no_grad():
            made.bound(values)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


@each
def test_values_far_out_of_range_are_still_pixels(name):
    spec = spec_of(3, 8)
    made = make(name, spec)
    values = 1e4 * make(name, spec).from_images(spec.normalize(pixels_of(spec)))
    made.bound(values)
    visible = spec.denormalize(made.to_images(values))
    assert visible.min() >= -1e-6
    assert visible.max() <= 1 + 1e-6


@each
def test_noise_is_a_function_of_its_generator(name):
    made = make(name, spec_of(3, 8))
    first, again, other = (made.noise(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (3, 8, 8)
    assert first.equal(again)
    assert not first.equal(other)


@each
def test_noise_belongs_to_the_image_id(name, start):
    together, alone = start(config(name, ipc=2)), start(config(name, ipc=2), slice(1, 2))
    first, second = together.images.chunk(2)
    torch.testing.assert_close(alone.images, second)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1])


@each
@pytest.mark.parametrize("init", STARTS)
def test_every_start_is_where_the_recovery_begins(name, init, start, tiny_spec):
    settings = config(name, init=init, ipc=2, group_images=2)
    from_it, as_pixels = start(settings), start(config("pixels", init=init, ipc=2, group_images=2))
    assert from_it.images.shape == (10, 3, 8, 8)
    if init != "noise":
        wanted = tiny_spec.denormalize(as_pixels.images).clamp(0, 1)
        assert (tiny_spec.denormalize(from_it.images) - wanted).abs().max() <= 0.0101
    before = from_it.pixels()
    events = run(from_it)
    assert all(event.metrics["loss"].isfinite() for event in events)
    assert not from_it.pixels().equal(before)


@each
@pytest.mark.parametrize("options", [{}, {"per_image_crop": True}, {"group_size": 5, "ipc": 3}])
def test_a_recovery_lowers_the_loss(name, options, start):
    recovery = start(config(name, steps=60, lr=0.2, crop="none", **options))
    events = run(recovery)
    first, last = (sum(event.value("loss") for event in part) / 5 for part in (events[:5], events[-5:]))
    assert last < 0.6 * first


@each
def test_grey_images_of_odd_size_are_recovered(name, cpu):
    spec = spec_of(1, 9)
    net = empty_network("convnet", spec, {"depth": 1, "width": 4}, seed=0)
    made = recover(Teacher(net, spec, "convnet"), config(name), runtime=cpu)
    assert made.images.shape == (2, 1, 9, 9)
    assert made.images.dtype == torch.uint8


@each
def test_the_seed_fixes_the_bits(name, start):
    first, again, other = (start(config(name, seed=seed)) for seed in (0, 0, 1))
    for recovery in (first, again, other):
        run(recovery)
    assert first.values.equal(again.values)
    assert not first.pixels().equal(other.pixels())


@each
def test_stacked_groups_do_not_see_each_other(name, start):
    settings = config(name, ipc=3, group_size=5)
    together, alone = start(settings), [start(settings, slice(index, index + 1)) for index in range(3)]
    for recovery in (together, *alone):
        run(recovery)
    apart = (together.pixels() != torch.cat([recovery.pixels() for recovery in alone])).float().mean()
    assert apart < 0.02


@each
def test_a_saved_state_continues_bit_for_bit(name, start, tmp_path):
    through, first, second = (start(config(name, steps=9)) for _ in range(3))
    for recovery in (through, first):
        run(recovery, 3)
        recovery.retune(alpha_bn=1.0, lr=0.02, fourier_lr=0.3)
        run(recovery, 2)
    with storage.saving(tmp_path, "condensed_set") as work:
        stage._save_state(work, first.state_dict(), first.ids)
        run(through)
        second.load_state_dict(work.state())
        work.finish({})
    run(second)
    assert second.values.equal(through.values)
    assert not second.values.equal(first.values)


@each
def test_an_interrupted_run_ends_with_the_same_images(name, tiny_teacher, cpu, tmp_path):
    whole = recover(tiny_teacher, config(name), runtime=cpu, out=tmp_path / "whole")

    def interrupt(event):
        if event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(tiny_teacher, config(name), runtime=cpu, out=tmp_path / "cut", on_step=interrupt)
    assert recover(tiny_teacher, config(name), runtime=cpu, out=tmp_path / "cut").id == whole.id


@each
def test_a_term_that_is_not_finite_stops_at_the_last_good_state(name, start, monkeypatch):
    monkeypatch.setattr(loop, "CHECK_EVERY", 2)
    calls, term = [], all_terms()["ce"]

    def fails_in_step_4(seen):
        calls.append(None)
        return term.function(seen) * (float("nan") if len(calls) == 4 else 1)

    monkeypatch.setitem(catalogue("terms"), "ce", replace(term, function=fails_in_step_4))
    recovery = start(config(name, steps=20))
    run(recovery, 2)
    good = recovery.images.detach().clone()
    with pytest.raises(DivergenceError, match="term ce became nan in step 4"):
        run(recovery)
    assert recovery.images.equal(good)
    run(recovery)
    assert recovery.images.isfinite().all()


def test_a_state_of_other_values_is_refused_and_nothing_changes(start):
    recovery = start(config("fourier"))
    before = recovery.values.detach().clone()
    for field, value in (("parametrisation", "pixels"), ("fourier_decay", 1.5), ("fourier_colors", "separate")):
        saved = start(config("fourier").but(**{field: value})).state_dict()
        with pytest.raises(ConfigError, match=rf"saved state has {field}={value!r}.*Start the recovery with"):
            recovery.load_state_dict(saved)
    assert recovery.values.equal(before)


@each
@pytest.mark.parametrize(
    "change",
    [{"fourier_decay": 0.5}, {"fourier_colors": "separate"}, {"fourier_spread": 1.0}, {"parametrisation": "x"}],
)
def test_what_the_values_are_cannot_change_while_they_move(name, change, start):
    recovery = start(config(name))
    with pytest.raises(ConfigError, match=f"{next(iter(change))} cannot change while a recovery runs"):
        recovery.retune(**change)
    recovery.step()


def test_pixels_are_the_leaf_that_adam_moves(start):
    recovery = start(config("pixels"))
    assert recovery.images is recovery.values
    assert recovery.images.is_leaf


@each
def test_the_loss_of_a_step_is_traced_as_one_graph(name, start):
    graphs, recovery = [], start(config(name))

    def note(graph, _):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    recovery._objective = torch.compile(recovery.objective, dynamic=False, backend=note)
    recovery.step()
    assert len(graphs) == 1


@each
def test_no_double_precision_is_asked_of_the_device(name):
    """Devices such as Apple's have none."""
    spec = spec_of(3, 8)
    made = make(name, spec)
    tensors = [value for value in vars(made).values() if isinstance(value, torch.Tensor)]
    assert all(tensor.dtype == torch.float32 for tensor in tensors)


@each
def test_teachers_without_batchnorm_serve_too(name, tiny_spec, cpu):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    settings = config(name, alpha_bn=0)
    recovery = Recovery(Teacher(net, tiny_spec, "linear"), plan(settings, tiny_spec), settings, runtime=cpu)
    assert set(recovery.step().metrics) == {"loss", "ce"}
