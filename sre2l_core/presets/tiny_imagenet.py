"""Tiny-ImageNet: 200 classes at 64 pixels by Tables 7a and 7c, and ten of the classes on a CPU."""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe
from sre2l_core.presets.students import sources

TABLE_7A = {  # squeezing; Appendix A.4: students too
    "optimizer": "sgd",
    "lr": 0.2,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "batch_size": 256,  # images
    "schedule": "cosine",
}
TABLE_7C = {  # recovering
    "alpha_bn": 1.0,
    "lr": 0.1,  # of Adam on normalised pixels
    "betas": (0.5, 0.9),
    "group_size": 100,  # images a batch: one of each of 100 consecutive classes
    "steps": 1000,  # iterations a batch
    "crop": "resized",  # RandomResizedCrop
}

paper = Recipe().but(
    data={"data": "tiny-imagenet"},
    squeeze={
        **TABLE_7A,
        "epochs": 50,  # Appendix A.2; the 100 of Table 7a are the students' (Appendix A.4)
        "crop": "resized",
        "flip": 0.0,  # not mentioned
    },
    recover={**TABLE_7C, "ipc": 50, "flip": 0.0, "roll": (0, 0), "first_bn_multiplier": 1.0},
    relabel={"epochs": 100, "crop": "resized", "flip": 0.0, "batch_size": 256},
    validate={
        **TABLE_7A,
        "epochs": 100,
        "temperature": 20.0,
        "loss": "kl_t2",  # T^2 is not mentioned; without it gradients are 400 times smaller, and SGD at 0.2 crawls
    },
)

# File names below are those of the authors' repositories SRe2L (recover) and tiny-imagenet (squeeze, validate).
reference = paper.but(
    squeeze={
        "flip": 0.5,  # classification/train.py: its list of augmentations has a flip
        "warmup_epochs": 5,  # train.py: from 1 % of the learning rate, which at 0.2 is too high for a fresh network
        "schedule_by": "epoch",  # train.py: the scheduler steps once an epoch
    },
    recover={
        "steps": 4000,  # recover_tiny.sh, for Table 4; the table's 1,000 are those of the ablations (Appendix A.3)
        "flip": 0.5,  # recover_tiny.py: one coin for the whole batch, after the one crop
        "roll": (-4, 4),  # recover_tiny.py: pixels, circular; edges move, so no pattern settles on the network's stride
        "first_bn_multiplier": 10.0,  # utils.py, from DeepInversion: colour and contrast count ten times
        "image_format": "jpeg",  # recover_tiny.py: PIL's default quality, 15 to 24 dB that the published images lack
    },
    relabel={"flip": 0.5},  # classification/train_kd.py: views are those of squeezing
    validate={"warmup_epochs": 5, "schedule_by": "epoch"},  # train_kd.py: the schedule of squeezing
)

TEN = ("n01443537", "n02056570", "n02165456", "n02279972", "n03662601", "n04146614", "n07720875", "n07749582",
       "n07873807", "n07920052")  # fmt: skip
"""Goldfish, king penguin, ladybug, monarch, lifeboat, school bus, bell pepper, lemon, pizza, espresso."""
_NET = {"stem": "224", "width": 32}

ten_from_noise = Recipe().but(  # tuned here for two CPU cores, docs/LOG.md
    data={"data": "tiny-imagenet", "classes": TEN},
    squeeze={
        "backbone": "resnet10",
        "backbone_options": _NET,
        "epochs": 25,
        "batch_size": 64,
        "lr": 0.1,
        "weight_decay": 5e-4,
        "warmup_epochs": 2,
        "crop_scale": (0.25, 1.0),
    },
    recover={
        "ipc": 10,
        "steps": 500,
        "lr": 0.1,
        "alpha_bn": 0.05,
        "group_images": 10,
        "per_image_crop": True,
    },
    relabel={"epochs": 100, "crop_scale": (0.25, 1.0), "mix": "cutmix", "teacher_mode": "batch", "batch_size": 25},
    validate={
        "students": ("resnet10",),
        "student_options": _NET,
        "epochs": 100,
        "batch_size": 25,
        "optimizer": "adamw",
        "lr": 1e-3,
        "weight_decay": 0.01,
        "temperature": 20.0,
        "loss": "kl_t2",
        "eval_every": 50,
    },
)
ten_from_real = ten_from_noise.but(recover={"init": "real", "steps": 100, "lr": 0.05})

PLUGINS = {
    f"tiny-imagenet/{network}/{source}": recipe.on(network)
    for network in ("resnet18", "resnet50")
    for source, recipe in sources(paper, reference).items()
} | {
    "tiny-imagenet-10/resnet10/noise": ten_from_noise,
    "tiny-imagenet-10/resnet10/real": ten_from_real,
}
