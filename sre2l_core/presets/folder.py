"""One's own pictures: small network, minutes on a CPU for a few hundred images of 64 pixels; not in the paper."""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe

_NET = {"width": 32}

folder = Recipe().but(
    data={"data": "folder"},
    squeeze={
        "backbone": "resnet10",
        "backbone_options": _NET,
        "epochs": 30,
        "batch_size": 64,
        "lr": 0.05,
        "weight_decay": 5e-4,
        "crop_scale": (0.3, 1.0),
    },
    recover={
        "ipc": 10,
        "steps": 500,
        "lr": 0.1,
        "alpha_bn": 1.0,
        "group_images": 10,  # of each class: few classes would match BatchNorm over few images
    },
    relabel={"crop_scale": (0.25, 1.0)},
    validate={
        "students": ("resnet10",),
        "student_options": _NET,
        "epochs": 100,
        "batch_size": 32,
        "optimizer": "adamw",
        "lr": 1e-3,
        "weight_decay": 0.01,
        "eval_every": 20,
    },
)

PLUGINS = {"folder": folder}
