"""SRe²L's successors on ten Tiny-ImageNet classes at a time: each from settings of this engine, all under one recipe.

Set `a` is for tuning: a fifth of its training images is held out and judges in place of the test images. Sets `b`, `c`
and `d` are for reports, and nothing is tuned on them. A method has its paper's settings where they carry over to a
hundred images of 64 pixels; teacher, soft labels and students are the same for all. What the authors do otherwise:
DELT, EDC and FADRM train students for longer, EDC on the mean of several teachers with its own loss. CV-DD and FADRM+
recover with three teachers of different families, CV-DD with equal votes, for accuracies are those on the images that
judge; the first of them alone labels, as for all others.
"""

from __future__ import annotations

from typing import Any

from sre2l_core.presets.recipe import Recipe
from sre2l_core.presets.tiny_imagenet import ten_from_noise

SETS = {
    "a": ("n01641577", "n02058221", "n02236044", "n02730930", "n02927161", "n03388043", "n03804744", "n04099969",
          "n04417672", "n07711569"),
    "b": ("n01774750", "n02113799", "n02403003", "n02808440", "n03014705", "n03544143", "n03930313", "n04254777",
          "n04532106", "n07768694"),
    "c": ("n01784675", "n02123045", "n02410509", "n02814533", "n03026506", "n03584254", "n03937543", "n04259630",
          "n04532670", "n07871810"),
    "d": ("n01984695", "n02226429", "n02666196", "n02906734", "n03250847", "n03763968", "n04067472", "n04376876",
          "n07614500", "n12267677"),
}  # fmt: skip
"""Every twentieth of the sorted ids, from the places 2, 9, 10 and 19, counting from 0."""
HELD_OUT = 0.2
"""Of the training images of set `a`."""

_FROM_REAL = {"lr": 0.05, "steps": 100}
"""As the recipe `tiny-imagenet-10/resnet10/real`, which was tuned on yet other classes."""
_FADRM = {"init": "medium", "blend": 0.5, "small_stages": 0.89}
METHODS: dict[str, dict[str, Any]] = {
    "sre2l": {},
    "cda": {"crop_curriculum": 1.0},
    "rded": {"init": "rded", "steps": 0},
    "delt": {"init": "median", "rounds": 4, "group_images": 1, "crop_curriculum": 1.0, **_FROM_REAL},
    "dwa": {"init": "real", "nudge": 0.015, "bn_variance": 11.0, "group_images": 1, **_FROM_REAL},
    "lpld": {"class_bn": 1.0, "group_size": 1},
    "edc": {"init": "rded", "class_bn": 0.5, **_FROM_REAL},
    "cv-dd": {"init": "medium", "teaching": "pair", "group_images": 1},
    "fadrm": _FADRM,
    "fadrm+": _FADRM,
}
"""Method -> what it changes of the recovery of `ten_from_noise`."""


COMMITTEE = ("mobilenet_v2", "shufflenet_v2_x0_5")
"""Further teachers."""
WITH_COMMITTEE = ("cv-dd", "fadrm+")
"""Methods that need several."""


def recipe(classes: str, method: str) -> Recipe:
    """The recipe of a method on a set of classes."""
    data: dict[str, Any] = {"classes": SETS[classes]} | ({"holdout": HELD_OUT} if classes == "a" else {})
    made = ten_from_noise.but(data=data, recover=METHODS[method])
    if method not in WITH_COMMITTEE:
        return made
    return made.but(squeeze={"others": COMMITTEE}, relabel={"label_by": "first"})


PLUGINS = {f"beyond-{classes}/{method}": recipe(classes, method) for classes in SETS for method in METHODS}
