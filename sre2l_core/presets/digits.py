"""scikit-learn's digits at 16 pixels: all four stages in a minute on a CPU; not in the paper."""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe

_NET = {"depth": 3, "width": 32}

digits = Recipe().but(
    data={"data": "digits", "resolution": 16},
    squeeze={
        "backbone": "convnet",
        "backbone_options": _NET,
        "epochs": 15,
        "batch_size": 64,
        "lr": 0.05,
        "weight_decay": 5e-4,
        "crop": "padded",
        "padding": 2,
        "flip": 0.0,  # a mirrored digit is none
    },
    recover={
        "ipc": 10,
        "steps": 300,
        "lr": 0.1,
        "alpha_bn": 1.0,
        "first_bn_multiplier": 1.0,
        "group_images": 10,  # of each class: 100 images in a group, as in Table 7c
        "crop_scale": (0.5, 1.0),
        "flip": 0.0,
    },
    relabel={"epochs": 100, "crop_scale": (0.3, 1.0), "flip": 0.0},
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

PLUGINS = {"digits": digits}
