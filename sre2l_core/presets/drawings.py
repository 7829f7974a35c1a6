"""Coloured drawings at 32 pixels: a teacher in seconds, and pictures whose things can be told; not in the paper.

Strong weight decay makes a smooth teacher. While recovering, shifts instead of resized crops keep each thing in its
place, and Fourier coefficients take the place of pixels, but for `drawings/pixels` (docs/LOG.md).
"""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe

_NET = {"depth": 3, "width": 32}

drawings = Recipe().but(
    data={"data": "drawings"},
    squeeze={
        "backbone": "convnet",
        "backbone_options": _NET,
        "epochs": 12,
        "batch_size": 64,
        "lr": 0.05,
        "weight_decay": 5e-3,
        "crop_scale": (0.6, 1.0),
    },
    recover={
        "ipc": 10,
        "steps": 200,
        "lr": 0.1,
        "alpha_bn": 0.2,
        "first_bn_multiplier": 1.0,
        "group_images": 10,
        "per_image_crop": True,
        "crop": "padded",
        "padding": 4,
        "flip": 0.0,
        "parametrisation": "fourier",
        "fourier_lr": 1.0,
        "fourier_spread": 0.3,
        "fourier_colors": "separate",
    },
    relabel={"epochs": 100, "crop_scale": (0.3, 1.0)},
    validate={
        "students": ("convnet",),
        "student_options": _NET,
        "epochs": 100,
        "batch_size": 50,
        "optimizer": "adamw",
        "lr": 2e-3,
        "weight_decay": 0.01,
        "temperature": 5.0,
        "seeds": 3,
        "against": ("random", "full"),
        "eval_every": 10,
    },
    store_labels=True,
)

PLUGINS = {"drawings": drawings, "drawings/pixels": drawings.but(recover={"parametrisation": "pixels"})}
