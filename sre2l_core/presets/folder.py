"""One's own pictures: a small network, minutes on a CPU for a few hundred of 64 pixels; not in the paper.

`folder/small` is for a hundred or so, of which a ResNet would take longer and learn no more.
"""

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

_CONVNET = {"depth": 4, "width": 32}

small = folder.but(
    data={"resolution": 48},  # half the work of 64
    squeeze={
        "backbone": "convnet",
        "backbone_options": _CONVNET,
        "epochs": 60,
        "batch_size": 16,  # of few pictures: an epoch is to be some steps
    },
    recover={"steps": 200},
    relabel={"epochs": 60},
    validate={
        "students": ("convnet",),
        "student_options": _CONVNET,
        "epochs": 60,
        "lr": 2e-3,
        "temperature": 5.0,
    },
)

PLUGINS = {"folder": folder, "folder/small": small}
