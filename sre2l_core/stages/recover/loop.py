"""The recovery algorithm (Equations 5-7) as an object that steps; `stage.recover` drives it to the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sre2l_core import parametrisations, starts
from sre2l_core.artifacts import Teacher
from sre2l_core.bn_stats import BatchNormStats, batchnorms, bn_statistics, layer_distances
from sre2l_core.committee import members
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError, DivergenceError
from sre2l_core.events import StepEvent
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import class_statistics
from sre2l_core.stages.recover.nudge import nudged
from sre2l_core.stages.recover.schedule import cosine, crops_at, first_step, resolution_at, stage_ends
from sre2l_core.stages.recover.teaching import apart, voices
from sre2l_core.terms import ForwardPass, active, all_terms
from sre2l_core.views import ViewParams, draw, matrices, resample, resized_to

FIXED = frozenset(("ipc", "group_size", "group_images", "stack", "only_classes", "init", "seed", "image_format"))
FIXED |= frozenset(("rounds", "blend", "blend_stages", "class_bn", "nudge", "nudge_steps", *parametrisations.SETTINGS))
FIXED |= frozenset(("small_stages", "formation", "teaching", "vote"))
"""Settings that are used up when a recovery starts."""
CHECK_EVERY = 25
"""Steps between checks of the loss: each waits for the device and keeps a good state to fall back on."""


class Recovery:
    """Optimises the images of one or several groups; read, retune, save or restore it between any two steps.

    Args:
        teacher: frozen classifier, or a committee of them; each needs BatchNorm where `alpha_bn` > 0.
        groups: groups of equal size, independent of one another; several share a forward pass.
        config: weights, learning rate, crops; see `RecoverConfig`.
        runtime: device and precision.
        data: real data, for starts other than noise.

    Raises:
        ConfigError: if the teacher cannot serve the config, or the groups cannot be stepped together.
    """

    def __init__(
        self,
        teacher: Teacher,
        groups: Sequence[Group],
        config: RecoverConfig,
        *,
        runtime: Runtime | None = None,
        data: Dataset | None = None,
    ) -> None:
        check_teacher(teacher, config)
        self._members = members(teacher)
        _check_groups(groups, config, len(self._members))
        self.teacher, self.groups, self.config = teacher, tuple(groups), config
        self.runtime = runtime or Runtime.auto()
        device = self.runtime.device
        pixels = [starts.first_pixels(teacher, config, group, data, self.runtime) for group in groups]
        begun = torch.cat(pixels).to(device)
        self.start = begun.clone() if config.blend else None  # a step moves pixels in place
        """[S * G, C, H, W] what it began with, where that is blended back."""
        self.targets = torch.tensor([label for group in groups for label in group.labels], device=device)
        self.step_count = first_step(config, groups[0].image_index)
        self._nets = {number: self._net_of(number, begun) for number in self._asked()}
        self._bn_targets = {number: self._class_statistics(data, number) for number in self._nets}
        small = round(config.small_stages * teacher.spec.resolution)
        self._sides = {number: self._nearest(number, small) for number in self._nets}
        self._hold(resized_to(begun, self._due))
        self.changes: list[dict[str, Any]] = []
        """What was retuned: step, field, old and new value."""
        self.snapshots: list[tuple[int, Tensor]] = []
        self._use(config)
        with self._listening() as stats:
            example = (self.values, self._crop(0), self._weights, stats, min(self._nets))
            self._objective = self.runtime.compiled(self.objective, *example)
        self._pending: list[dict[str, Tensor]] = []
        self.checked = self.state_dict()
        """The state after the last step whose loss was checked and found finite."""

    @property
    def ids(self) -> list[int]:
        """Image ids, in the order of the pixels."""
        return [index for group in self.groups for index in group.ids]

    @property
    def net(self) -> nn.Module:
        """The teacher's network; of several the first that these groups have."""
        return next(iter(self._nets.values()))

    @property
    def bn_targets(self) -> Tensor | None:
        """What the statistics in that network should be, where not the running ones; see `class_statistics`."""
        return next(iter(self._bn_targets.values()))

    @property
    @torch.no_grad()
    def images(self) -> Tensor:
        """[S * G, C, H, W] pixels in normalised space; enlarged where a stage is smaller."""
        return resized_to(self.parametrisation.to_images(self.values), self.teacher.spec.resolution)

    @property
    def done(self) -> bool:
        """Whether all steps were taken."""
        return self.step_count >= self.config.steps

    def __iter__(self) -> Iterator[StepEvent]:
        """Take the steps that are left."""
        while not self.done:
            yield self.step()

    def step(self) -> StepEvent:
        """One iteration on all groups: what Equation 5 minimises, its gradient, Adam, the bounds of a pixel."""
        crop, asked = self._crop(self.step_count), self._voices(self.step_count)
        found = [self._look(number, share, crop) for number, share in asked]
        terms, loss, self.values.grad = (sum(parts[1:], parts[0]) for parts in zip(*found, strict=True))
        rate = self.parametrisation.rate(self.config)
        # A formula of the step instead of a scheduler: retuning or restoring leaves no other state to put right.
        self.optimizer.param_groups[0]["lr"] = cosine(self.step_count / self.config.steps) * rate
        self.optimizer.step()
        with torch.no_grad():
            self.parametrisation.bound(self.values)
        self.step_count += 1
        if stage_ends(self.config, self.step_count):
            self._begin_stage()
        return self._report(dict(zip(self._terms, terms.mean(1), strict=True)), loss.mean())

    def _look(self, number: int, share: float, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A teacher's share of the terms [T, S], of the loss [S] and of the gradient of the values."""
        # Hooks live for one pass only: the network is the teacher's own, and another recovery may use it next.
        with self._listening(number) as stats:
            terms, loss = self._objective(self.values, crop, self._weights, stats, number)
        # Groups share no pixel, so the gradient of their sum is that of each group on its own.
        (grad,) = torch.autograd.grad(share * loss.sum(), self.values)
        return share * terms.detach(), share * loss.detach(), grad

    def objective(
        self, values: Tensor, crop: Tensor, weights: Tensor, stats: BatchNormStats, teacher: int
    ) -> tuple[Tensor, Tensor]:
        """What Equation 5 minimises: crop, one pass through the teacher, add up the terms.

        Args:
            values: what stands for the images, such as their pixels.
            crop: `ViewParams.geometry` of a view for each group or each image.
            weights: [T] of the terms.
            stats: what the network's hooks fill.
            teacher: which of several.

        Returns:
            The terms [T, S] of each group, and their weighted sum [S].
        """
        images = self.parametrisation.to_images(values)
        height, width = images.shape[2:]
        # Multi-crop optimisation (section 2.1): only what the crop shows gets a gradient.
        side = height if height == self.teacher.spec.resolution else self._sides[teacher]
        views = resample(images, *matrices(crop, (height, width), side))
        logits = self.runtime.forward(self._nets[teacher], views)
        wanted = self._bn_targets[teacher]
        forward = ForwardPass(views, logits, self.targets, stats, len(self.groups), self.config, wanted)
        terms = torch.stack([term(forward) for term in self._terms.values()])
        return terms, (weights[:, None] * terms).sum(0)

    def _voices(self, step: int) -> list[tuple[int, float]]:
        return voices(self.config, self._members, self.groups[0], step)

    def _asked(self) -> list[int]:
        """The numbers of the teachers that these groups ever have."""
        return sorted({number for step in range(len(self._members)) for number, _ in self._voices(step)})

    def _net_of(self, number: int, begun: Tensor) -> nn.Module:
        net, config = self.runtime.place(self._members[number].net), self.config
        if not config.nudge:
            return net
        return nudged(net, begun, self.targets, config.nudge, config.nudge_steps, self.runtime)

    def _class_statistics(self, data: Dataset | None, number: int) -> Tensor | None:
        if not self.config.class_bn:
            return None
        if data is None:
            raise ConfigError(
                f"class_bn={self.config.class_bn:g} needs the real data: give it (--data), or set it to 0."
            )
        asked = (self._nets[number], self._members[number], data, self.groups, self.config.class_bn, self.runtime)
        return class_statistics.targets(*asked)

    @property
    def _due(self) -> int:
        """Height and width at which the next step is taken."""
        return resolution_at(self.config, self.teacher.spec.resolution, self.step_count)

    def _hold(self, images: Tensor) -> None:
        """Go on from images [S * G, C, R, R], of the resolution of the next steps, with a fresh Adam."""
        config, spec = self.config, replace(self.teacher.spec, resolution=images.shape[-1])
        self._resolution = spec.resolution
        self.parametrisation = parametrisations.find(config.parametrisation)(spec, config, images.device)
        self.values = self.parametrisation.from_images(images).requires_grad_()
        """What Adam moves: the images themselves, or what the parametrisation puts in their place."""
        # One kernel for the whole update: many small ones would take longer than the arithmetic they do.
        self.optimizer = torch.optim.Adam([self.values], lr=config.lr, betas=config.betas, fused=True)

    @torch.no_grad()
    def _begin_stage(self) -> None:
        """FADRM: another size, and part of the start comes back (data residual); Adam begins anew on the cosine."""
        images = resized_to(self.parametrisation.to_images(self.values), self._due)
        if self.start is not None:
            images = torch.lerp(images, resized_to(self.start, self._due), self.config.blend)
        if self._due != self._resolution:
            self._hold(images)
        else:
            self.values.copy_(self.parametrisation.from_images(images))
            self.optimizer.state.clear()

    def _nearest(self, number: int, small: int) -> int:
        """How large the views of small images are: as small, or whole where a network takes no others."""
        spec = self.teacher.spec
        if small < spec.resolution:
            with suppress(RuntimeError, AssertionError, ValueError):
                self.runtime.logits(self._nets[number], torch.zeros(1, spec.channels, small, small))
                return small
        return spec.resolution

    def _listening(self, number: int | None = None) -> AbstractContextManager[BatchNormStats]:
        """Statistics of what enters each BatchNorm layer within each group."""
        return bn_statistics(self.net if number is None else self._nets[number], groups=len(self.groups))

    def retune(self, **changes: Any) -> None:
        """Change settings while it runs; takes effect with the next step and is written to `changes`.

        Raises:
            ConfigError: for an unknown field, a value out of bounds, or one that was already used up at the start.
        """
        fixed = FIXED & changes.keys()
        if fixed:
            raise ConfigError(f"{', '.join(sorted(fixed))} cannot change while a recovery runs: start a new one.")
        config = self.config.but(**changes)
        check_teacher(self.teacher, config)
        for name in changes:
            change = {"step": self.step_count, "field": name, "old": getattr(self.config, name)}
            self.changes.append({**change, "new": getattr(config, name)})
        self._use(config)
        if self._due != self._resolution:  # other steps, other stages
            self._hold(resized_to(self.images, self._due))

    def _use(self, config: RecoverConfig) -> None:
        self.config = config
        self.optimizer.param_groups[0]["betas"] = config.betas
        weights = active(config)
        self._terms = {name: all_terms()[name].function for name in weights}
        # A tensor: as Python numbers the weights would be part of a compiled step, and each change compile a new one.
        self._weights = torch.tensor(list(weights.values()), device=self.runtime.device)

    @torch.no_grad()
    def pixels(self) -> Tensor:
        """[S * G, C, H, W] uint8: the images as they would be saved now."""
        return self.teacher.spec.to_uint8(self.images)

    def predict(self, judge: Teacher | None = None) -> Tensor:
        """[S * G, K] probabilities for the whole, uncropped images, by the teacher or by another network."""
        net = self.net if judge is None else self.runtime.place(judge.net)
        return self.runtime.logits(net, self.images).softmax(1)

    @torch.no_grad()
    def measure(self) -> tuple[Tensor, Tensor]:
        """What the teacher says of the whole, uncropped images, in one pass.

        Returns:
            [S * G, K] probabilities, and [L, S] distances of BatchNorm statistics by layer (Equation 7's summands).
        """
        config = self.config
        with self._listening() as stats:
            logits = self.runtime.forward(self.net, self.images)
        empty = logits.new_empty(0, len(self.groups))
        how = (config.normalize_bn, config.bn_variance, self.bn_targets)
        distances = layer_distances(stats, *how) if stats.layers else empty
        return logits.float().softmax(1), distances

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything a continuation needs."""
        moments = self.optimizer.state.get(self.values, {})
        # Copies: steps change values and moments in place.
        tensors = {"values": self.values, **{name: moments[name] for name in moments}}
        return {
            "tensors": {name: tensor.detach().clone() for name, tensor in tensors.items()},
            "step": self.step_count,
            "config": self.config.model_dump(mode="json"),
            "changes": list(self.changes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken: the same pixels follow, bit for bit on the same kind of device."""
        config, tensors = RecoverConfig.of(state["config"]), dict(state["tensors"])
        parametrisations.check_same(self.config, config)
        due = resolution_at(config, self.teacher.spec.resolution, int(state["step"]))
        if due != self._resolution:
            self._hold(resized_to(self.images, due))
        with torch.no_grad():
            self.values.copy_(tensors.pop("values"))
        self.optimizer.state.clear()
        if tensors:
            device = self.values.device  # also of the step count: fused Adam counts where it computes
            self.optimizer.state[self.values] = {name: t.to(device, copy=True) for name, t in tensors.items()}
        self.step_count, self.changes = int(state["step"]), list(state["changes"])
        self._use(config)
        self._pending, self.checked = [], self.state_dict()

    def views(self, step: int) -> ViewParams:
        """What step `step` (from 0) crops of every image."""
        drawn = self._drawn(step, self.teacher.spec.resolution)
        return drawn[torch.arange(len(drawn)).repeat_interleave(len(self.targets) // len(drawn))]

    def _crop(self, step: int) -> Tensor:
        return self._drawn(step, self._resolution).geometry.to(
            self.runtime.device, non_blocking=True
        )  # no wait for the device

    def _drawn(self, step: int, resolution: int) -> ViewParams:
        """One view for each group (as the reference), or one for each image, of so many pixels each way."""
        size = (resolution, resolution)
        ids = self.ids if self.config.per_image_crop else [group.ids[0] for group in self.groups]
        crops = crops_at(self.config, step)
        return draw(crops, seed=self.config.seed, epoch=step, ids=torch.tensor(ids), size=size)

    def _report(self, terms: dict[str, Tensor], loss: Tensor) -> StepEvent:
        every = self.config.snapshot_every
        if every and (self.step_count % every == 0 or self.done):
            self.snapshots.append((self.step_count, self.pixels().cpu()))
        self._pending.append(terms)
        if len(self._pending) >= CHECK_EVERY or self.done:
            self._check()
        return StepEvent("recover", self.step_count, self.config.steps, {"loss": loss, **terms})

    def _check(self) -> None:
        """Stop at a term that is not finite, back at the last good state."""
        values = torch.stack([value for terms in self._pending for value in terms.values()])
        if values.isfinite().all():  # the only wait for the device
            self._pending, self.checked = [], self.state_dict()
            return
        numbered = enumerate(self._pending, start=self.step_count - len(self._pending) + 1)
        named = ((step, name, value) for step, terms in numbered for name, value in terms.items())
        step, name, value = next(found for found in named if not found[2].isfinite())
        lr = self.config.lr
        self.load_state_dict(self.checked)
        raise DivergenceError(
            f"recover: the term {name} became {float(value)} in step {step}. The state after step {self.step_count} is "
            f"kept. Lower lr ({lr}) or the weight of {name}."
        )


def check_teacher(teacher: Teacher, config: RecoverConfig) -> None:
    """Raise `ConfigError` where a teacher has no BatchNorm to match but `alpha_bn` > 0."""
    for member in members(teacher):
        if config.alpha_bn > 0 and not batchnorms(member.net):
            raise ConfigError(
                f"recover: teacher {member.backbone!r} has no BatchNorm layer but alpha_bn={config.alpha_bn}. "
                "Use a network with BatchNorm (such as bn_vit), or alpha_bn=0."
            )


def _check_groups(groups: Sequence[Group], config: RecoverConfig, teachers: int) -> None:
    if (config.nudge or apart(config, teachers)) and len(groups) > 1:
        why = f"nudge={config.nudge:g}" if config.nudge else f"teaching={config.teaching}"
        raise ConfigError(
            f"recover: with {why} every group has a teacher of its own, but {len(groups)} were to "
            "share a pass. Use stack=1, or in a panel as few classes and images as make one group."
        )
    begins = {first_step(config, group.image_index) for group in groups}
    if len(begins) > 1:
        raise ConfigError(
            f"recover: with rounds={config.rounds} these groups begin at steps {', '.join(map(str, sorted(begins)))} "
            "and cannot be stepped together. Use stack=1, or in a panel one image per class or rounds=1."
        )
