"""CIFAR-100 by Table 10; for CIFAR-10 no recipe is published: CIFAR-100's, with ten images of each class in a batch."""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe
from sre2l_core.presets.students import sources

TABLE_10A = {  # squeezing and validating
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 128,  # images
    "schedule": "cosine",
}
TABLE_10B = {  # recovering
    "alpha_bn": 0.01,
    "lr": 0.25,  # of Adam on normalised pixels
    "betas": (0.5, 0.9),
    "group_size": 100,  # images a batch: one of each class
    "steps": 1000,  # iterations a batch
}

paper = Recipe().but(
    data={"data": "cifar100"},
    squeeze={**TABLE_10A, "epochs": 200, "crop": "padded", "padding": 4, "flip": 0.0},
    recover={
        **TABLE_10B,
        "ipc": 50,
        "crop": "none",  # the table names no augmentation here, as Tables 7c and 7d do
        "flip": 0.0,
        "roll": (0, 0),
        "first_bn_multiplier": 1.0,
    },
    relabel={"epochs": 400, "crop": "padded", "padding": 4, "flip": 0.0, "batch_size": 128},
    validate={
        **TABLE_10A,
        "epochs": 400,
        "temperature": 30.0,  # stands in Table 10b
        "loss": "kl_t2",  # T^2 is not mentioned; without it gradients are 900 times smaller, and SGD at 0.1 crawls
    },
)

# File names below are those of the small-dataset folder of the authors' repository SRe2L.
reference = paper.but(
    squeeze={
        "flip": 0.5,  # squeeze_cifar.py: beside the padded crop
        "schedule_by": "epoch",  # squeeze_cifar.py: the scheduler steps once an epoch
    },
    recover={
        "roll": (0, 4),  # recover_cifar.py: pixels, circular; all that is left where the crop was dropped
        "first_bn_multiplier": 10.0,  # utils.py, from DeepInversion: colour and contrast count ten times
        "image_format": "jpeg",  # recover_cifar.py: PIL's default quality, 15 to 24 dB that the published images lack
    },
    relabel={
        "flip": 0.5,  # relabel_cifar.py
        "mix": "mixup",  # relabel_cifar.py
        "mix_alpha": 0.8,
        "teacher_mode": "batch",  # relabel_cifar.py: never eval(), so BatchNorm sees the batch, as later in SRe2L++
    },
    validate={
        "optimizer": "adamw",  # relabel_cifar.py, where the table's SGD is commented out
        "lr": 1e-3,
        "weight_decay": 0.01,
        "loss": "kl",  # relabel_cifar.py: no T^2, which AdamW does not care about
        "schedule_by": "epoch",
    },
)

CIFAR_10 = {"data": {"data": "cifar10"}, "recover": {"group_images": 10}}
"""Ten classes: ten images of each make the 100 of Table 10b, where ten alone would give noisy statistics."""

PLUGINS = {}
for _source, _recipe in sources(paper, reference).items():
    PLUGINS[f"cifar100/resnet18/{_source}"] = _recipe
    PLUGINS[f"cifar10/resnet18/{_source}"] = _recipe.but(**CIFAR_10)
