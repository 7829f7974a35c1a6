"""The recovery algorithm as an object that steps, and `recover`, which drives it to the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sre2l_core import pictures, storage
from sre2l_core.artifacts import CondensedSet, Teacher, condensed_path
from sre2l_core.bn_stats import BatchNormStats, batchnorms, bn_statistics, layer_distances
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError, DivergenceError
from sre2l_core.events import Listener, StepEvent, ignore
from sre2l_core.losses import accuracy
from sre2l_core.recover.groups import Group, initial_images, plan, stacked
from sre2l_core.recover.mosaic import mosaics
from sre2l_core.recover.terms import Seen, active_terms
from sre2l_core.runtime import Runtime
from sre2l_core.views import ViewParams, apply, draw

CHECK_EVERY = 25
"""Steps between looks at the loss: each waits for the device and keeps a good state to fall back on."""
SAVE_EVERY_SECONDS = 30.0


class Recovery:
    """Optimises the images of one or several groups; read, retune, save or restore it between any two steps.

    Args:
        teacher: frozen classifier; needs BatchNorm where `alpha_bn` > 0.
        groups: groups of equal size, independent of one another; several share a forward pass.
        config: weights, learning rate, crops; see `RecoverConfig`.
        runtime: device and precision.
        data: real data, for starts other than noise.

    Raises:
        ConfigError: if the teacher cannot serve the config.
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
        self.teacher, self.groups, self.config = teacher, tuple(groups), config
        self.runtime = runtime or Runtime.auto()
        self.net = self.runtime.place(teacher.net)
        start = torch.cat([self._start(group, data) for group in groups])
        self.images = start.to(self.runtime.device).requires_grad_()
        """[S * G, C, H, W] pixels in normalised space."""
        self.targets = torch.tensor([label for group in groups for label in group.labels], device=self.runtime.device)
        self.optimizer = torch.optim.Adam([self.images], lr=config.lr, betas=config.betas, fused=True)
        self.step_count = 0
        self.changes: list[dict[str, Any]] = []
        """What was retuned: step, field, old and new value."""
        self.snapshots: list[tuple[int, Tensor]] = []
        self._bounds = teacher.spec.bounds(self.runtime.device)
        self._see = self.runtime.compiled(self._forward, torch.zeros_like(self.images, requires_grad=True))
        self._pending: list[dict[str, Tensor]] = []
        self.checked = self.state_dict()
        """The state after the last step whose loss was looked at and found finite."""

    @property
    def ids(self) -> list[int]:
        """Image ids, in the order of the pixels."""
        return [index for group in self.groups for index in group.ids]

    @property
    def done(self) -> bool:
        """Whether all steps were taken."""
        return self.step_count >= self.config.steps

    def step(self) -> StepEvent:
        """One iteration of Equation 5 on all groups: crop, look, add up the terms, move the pixels."""
        config = self.config
        # Multi-crop optimisation (section 2.1): only what the crop shows gets a gradient.
        views = apply(self.images, self._drawn(self.step_count), size=self.teacher.spec.resolution)
        logits, stats = self._see(views)
        seen = Seen(views, logits, self.targets, stats, len(self.groups), config)
        terms = {name: (term(seen), weight) for name, (term, weight) in active_terms(config).items()}
        loss = torch.stack([weight * value for value, weight in terms.values()]).sum(0)
        (self.images.grad,) = torch.autograd.grad(loss.sum(), self.images)
        self.optimizer.param_groups[0]["lr"] = cosine(self.step_count / config.steps) * config.lr
        self.optimizer.step()
        with torch.no_grad():
            self.images.clamp_(*self._bounds)
        self.step_count += 1
        return self._report({name: value.detach().mean() for name, (value, _) in terms.items()}, loss.detach().mean())

    def _forward(self, views: Tensor) -> tuple[Tensor, BatchNormStats]:
        """Logits [S * G, K], and the statistics of what enters each BatchNorm layer within each group."""
        with bn_statistics(self.net, groups=len(self.groups)) as stats, self.runtime.autocast():
            logits: Tensor = self.net(self.runtime.batch(views))
        return logits, stats

    def retune(self, **changes: Any) -> None:
        """Change settings while it runs; takes effect with the next step and is written to `changes`.

        Raises:
            ConfigError: for an unknown field, a value out of bounds, or one that was already used up at the start.
        """
        fixed = {
            "ipc",
            "group_size",
            "group_images",
            "stack",
            "only_classes",
            "init",
            "seed",
            "image_format",
        } & changes.keys()
        if fixed:
            raise ConfigError(f"{', '.join(sorted(fixed))} cannot change while a recovery runs: start a new one.")
        config = self.config.but(**changes)
        check_teacher(self.teacher, config)
        for name in changes:
            change = {"step": self.step_count, "field": name, "old": getattr(self.config, name)}
            self.changes.append({**change, "new": getattr(config, name)})
        self._use(config)

    def _use(self, config: RecoverConfig) -> None:
        self.config = config
        self.optimizer.param_groups[0]["betas"] = config.betas

    @torch.no_grad()
    def pixels(self) -> Tensor:
        """[S * G, C, H, W] uint8: the images as they would be saved now."""
        return self.teacher.spec.to_uint8(self.images)

    @torch.no_grad()
    def predict(self, judge: Teacher | None = None) -> Tensor:
        """[S * G, K] probabilities for the whole, uncropped images, by the teacher or by another network."""
        net = self.net if judge is None else self.runtime.place(judge.net)
        with self.runtime.autocast():
            logits: Tensor = net(self.runtime.batch(self.images.detach()))
        return logits.float().softmax(1)

    @torch.no_grad()
    def look(self) -> tuple[Tensor, Tensor]:
        """What the teacher makes of the whole, uncropped images, in one pass.

        Returns:
            [S * G, K] probabilities, and [L, S] distances of BatchNorm statistics by layer (Equation 7's summands).
        """
        logits, stats = self._forward(self.images)
        empty = logits.new_empty(0, len(self.groups))
        distances = layer_distances(stats, self.config.normalize_bn) if stats.layers else empty
        return logits.float().softmax(1), distances

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything a continuation needs."""
        moments = self.optimizer.state.get(self.images, {})
        tensors = {"images": self.images, **{name: moments[name] for name in moments}}
        return {
            "tensors": {name: tensor.detach().clone() for name, tensor in tensors.items()},
            "step": self.step_count,
            "config": self.config.model_dump(mode="json"),
            "changes": list(self.changes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken: the same pixels follow, bit for bit on the same kind of device."""
        tensors = dict(state["tensors"])
        with torch.no_grad():
            self.images.copy_(tensors.pop("images"))
        self.optimizer.state.clear()
        if tensors:
            device = self.images.device
            self.optimizer.state[self.images] = {name: t.to(device, copy=True) for name, t in tensors.items()}
        self.step_count, self.changes = int(state["step"]), list(state["changes"])
        self._use(RecoverConfig.of(state["config"]))
        self._pending, self.checked = [], self.state_dict()

    def _start(self, group: Group, data: Dataset | None) -> Tensor:
        if self.config.init == "mosaic" and data is not None:
            return mosaics(self.teacher, self.config, group, data, self.runtime)
        return initial_images(self.config, self.teacher.spec, group, data)

    def views(self, step: int) -> ViewParams:
        """What step `step` (from 0) crops of every image."""
        drawn = self._drawn(step)
        return drawn[torch.arange(len(drawn)).repeat_interleave(len(self.targets) // len(drawn))]

    def _drawn(self, step: int) -> ViewParams:
        """One view for each group (as the reference), or one for each image."""
        ids = self.ids if self.config.per_image_crop else [group.ids[0] for group in self.groups]
        return draw(self.config, seed=self.config.seed, epoch=step, ids=torch.tensor(ids), size=self.teacher.spec.size)

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
        for offset, terms in enumerate(self._pending, start=self.step_count - len(self._pending) + 1):
            for name, value in terms.items():
                if not torch.isfinite(value):
                    lr = self.config.lr
                    self.load_state_dict(self.checked)
                    raise DivergenceError(
                        f"recover: the term {name} became {float(value)} in step {offset}. The state after step "
                        f"{self.step_count} is kept. Lower lr ({lr}) or the weight of {name}."
                    )
        self._pending, self.checked = [], self.state_dict()


def check_teacher(teacher: Teacher, config: RecoverConfig) -> None:
    """Raise `ConfigError` where a teacher has no BatchNorm to match but `alpha_bn` > 0."""
    if config.alpha_bn > 0 and not batchnorms(teacher.net):
        raise ConfigError(
            f"recover: teacher {teacher.backbone!r} has no BatchNorm layer but alpha_bn={config.alpha_bn}. "
            "Use a network with BatchNorm (such as bn_vit), or alpha_bn=0."
        )


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 over progress 0..1, per step and without warm-up (Tables 7c and 7d)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def recover(
    teacher: Teacher,
    config: RecoverConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    on_step: Listener | None = None,
    data: Dataset | None = None,
    verifier: Teacher | None = None,
) -> CondensedSet:
    """Stage 2: recover `config.ipc` images per class from a teacher.

    Args:
        teacher: stage 1's result.
        config: settings of the recovery.
        runtime: device and precision; the best there is by default.
        out: folder of the condensed set. Finished groups are written as they come, and calling again continues.
        on_step: called with a `StepEvent` after every step.
        data: real data, needed by starts other than noise.
        verifier: another classifier; its accuracy on the whole images is reported every 100 steps.

    Returns:
        The condensed set: images quantised to uint8, ids ordered by image index, then class.
    """
    groups, listener = plan(config, teacher.spec), on_step or ignore
    folder = None if out is None else Path(out)
    request = {"teacher": teacher.id, "config": config.model_dump(mode="json")}
    if folder is not None and storage.begin(folder, "condensed_set", request):
        return CondensedSet.load(folder)
    origin = {"method": f"SRe2L recovery from {config.init}", "teacher": teacher.id, "config": request["config"]}
    kept: dict[int, Tensor] = {}
    batches = stacked(groups, _stack(config, groups, teacher, runtime))
    with storage.in_background() as do:
        for number, batch in enumerate(batches):
            if folder is not None and _written(folder, teacher, batch, config):
                continue
            recovery = Recovery(teacher, batch, config, runtime=runtime, data=data)
            for event in _drive(recovery, folder):
                metrics = dict(event.metrics)
                if verifier is not None and (event.step % 100 == 0 or recovery.done):
                    metrics["verifier"] = accuracy(recovery.predict(verifier), recovery.targets)
                step, total = number * config.steps + event.step, len(batches) * config.steps
                listener(StepEvent("recover", step, total, metrics, f"images {batch[0].ids[0]}-{batch[-1].ids[-1]}"))
            if folder is not None:
                do(_write_snapshots, recovery.snapshots, recovery.ids, folder)
            for index, label, pixels in zip(
                recovery.ids, recovery.targets.tolist(), recovery.pixels().cpu(), strict=True
            ):
                if folder is None:
                    kept[index] = pictures.as_stored(pixels, config.image_format)
                else:
                    do(CondensedSet.write_image, folder, teacher.spec, index, label, pixels, config.image_format)
    if folder is not None:
        CondensedSet.finish(folder, teacher.spec, origin)
        return CondensedSet.load(folder)
    label_of = {index: label for group in groups for index, label in zip(group.ids, group.labels, strict=True)}
    order = sorted(kept)
    labels = torch.tensor([label_of[index] for index in order])
    return CondensedSet(torch.stack([kept[index] for index in order]), labels, teacher.spec, origin)


def _written(folder: Path, teacher: Teacher, batch: Sequence[Group], config: RecoverConfig) -> bool:
    images = ((index, label) for group in batch for index, label in zip(group.ids, group.labels, strict=True))
    return all(condensed_path(folder, teacher.spec, i, label, config.image_format).exists() for i, label in images)


def _stack(config: RecoverConfig, groups: Sequence[Group], teacher: Teacher, runtime: Runtime | None) -> int:
    if config.stack != "auto":
        return config.stack
    return (runtime or Runtime.auto()).stack(len(groups[0]) * teacher.spec.resolution**2)


def _write_snapshots(snapshots: Sequence[tuple[int, Tensor]], ids: Sequence[int], folder: Path) -> None:
    for step, images in snapshots:
        for index, pixels in zip(ids, images, strict=True):
            with storage.replacing(folder / "snapshots" / f"{step:06d}" / f"{index:08d}.png") as partial:
                pictures.write(pixels, partial, "png")


def _drive(recovery: Recovery, folder: Path | None) -> Iterator[StepEvent]:
    """Step to the end; with a folder, continue a saved state and save one now and then and when interrupted."""
    path = None if folder is None else folder / storage.PROGRESS
    if path is not None and path.exists():
        state = storage.read_notes(path)
        if state["images"] == recovery.ids:
            recovery.load_state_dict({**state, "tensors": storage.read_tensors(path)})
    saved = time.monotonic()
    try:
        while not recovery.done:
            yield recovery.step()
            if path is not None and time.monotonic() - saved > SAVE_EVERY_SECONDS:
                _save_state(recovery.state_dict(), recovery.ids, path)
                saved = time.monotonic()
    except BaseException:  # an interrupt may have cut a step in two: the last checked state is whole
        if path is not None and not recovery.done:
            _save_state(recovery.checked, recovery.ids, path)
        raise


def _save_state(state: Mapping[str, Any], ids: list[int], path: Path) -> None:
    notes = {name: value for name, value in state.items() if name != "tensors"}
    storage.write_tensors(path, state["tensors"], {**notes, "images": ids})
