"""What a step's number decides: learning rate, smallest crop, when the start is blended back, when an image joins."""

from __future__ import annotations

import math

from sre2l_core.config import RecoverConfig, ViewConfig


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 over progress 0..1, per step and without warm-up (Tables 7c and 7d)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def crops_at(config: RecoverConfig, step: int) -> ViewConfig:
    """How crops are drawn in step `step` (from 0): the smallest shrinks from the largest to its own size.

    CDA (TMLR 2024): low(t) = l + (h - l) * cosine(t / (m T)) until t = m T, for `crop_scale` (l, h), T steps and
    m = `crop_curriculum`; *not in the paper*, where crops are drawn from (l, h) throughout.
    """
    length = config.crop_curriculum * config.steps
    if step >= length:
        return config
    low, high = config.crop_scale
    # Made without another check of all fields, which would cost every step more than the drawing.
    return config.model_copy(update={"crop_scale": (low + (high - low) * cosine(step / length), high)})


def first_step(config: RecoverConfig, image_index: int) -> int:
    """The step at which the images of an index begin (DELT, EarlyLate); later ones meet smaller learning rates.

    Of `rounds` equal rounds the image i of n per class joins at the beginning of round i * rounds // n.
    """
    return config.steps * (image_index * config.rounds // config.ipc) // config.rounds


def stage_ends(config: RecoverConfig, steps: int) -> bool:
    """Whether after `steps` steps another stage of equal length begins, where stages differ in anything (FADRM)."""
    stages, differ = config.blend_stages, config.blend > 0 or config.small_stages < 1
    return differ and steps in {config.steps * stage // stages for stage in range(1, stages)}


def resolution_at(config: RecoverConfig, whole: int, step: int) -> int:
    """Height and width of the images in step `step` (from 0), where whole ones have `whole` pixels (FADRM).

    Every other stage is small; the last is not.
    """
    if config.small_stages == 1:
        return whole
    stages = config.blend_stages
    over = sum(config.steps * stage // stages <= step for stage in range(1, stages))
    return whole if (stages - 1 - over) % 2 == 0 else round(config.small_stages * whole)
