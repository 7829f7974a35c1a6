"""ImageNet-1K by Tables 7b and 7d from torchvision's weights; Table 9's resolutions; ten classes of it, Imagenette."""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe
from sre2l_core.presets.students import sources

TABLE_7B = {  # validating
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.01,
    "betas": (0.9, 0.999),
    "batch_size": 1024,  # images
    "schedule": "cosine",
    "epochs": 300,
}
TABLE_7D = {  # recovering
    "alpha_bn": 0.01,
    "lr": 0.25,  # of Adam on normalised pixels
    "betas": (0.5, 0.9),
    "group_size": 100,  # images a batch: one of each of 100 consecutive classes
    "steps": 2000,  # iterations a batch
    "crop": "resized",  # RandomResizedCrop
}

paper = Recipe().but(
    data={"data": "imagenet-1k", "resolution": 224},
    squeeze={"pretrained": "IMAGENET1K_V1"},  # Appendix A.2: images recovered from V2 weights are worse
    recover={**TABLE_7D, "ipc": 50, "flip": 0.0, "roll": (0, 0), "first_bn_multiplier": 1.0},
    relabel={
        "epochs": 300,
        "crop": "resized",
        "flip": 0.0,
        "mix": "cutmix",  # Appendix A.4: with probability 1, shares from Beta(1, 1)
        "mix_alpha": 1.0,
        "batch_size": 1024,
    },
    validate={**TABLE_7B, "temperature": 20.0, "loss": "kl"},
)

# File names below are those of the authors' repository SRe2L.
reference = paper.but(
    recover={
        "steps": 4000,  # recover/recover.sh, for Table 4; the table's 2,000 are those of the ablations (Appendix A.3)
        "flip": 0.5,  # recover/data_synthesis.py: one coin for the whole batch, after the one crop
        "roll": (0, 32),  # data_synthesis.py: pixels, circular; no pattern settles on the network's stride of 32
        "first_bn_multiplier": 10.0,  # recover/utils.py, from DeepInversion: colour and contrast count ten times
        "image_format": "jpeg",  # data_synthesis.py: PIL's default quality, 15 to 24 dB that the published images lack
    },
    relabel={"flip": 0.5},  # relabel/generate_soft_label.py: after the crop of each image
    validate={
        "decay_1d": False,  # validate/utils.py: biases and norms do not decay
        "micro_batch": 512,  # validate/train_FKD.py: gradients of two halves add up, but BatchNorm sees one at a time
        "schedule_by": "epoch",  # train_FKD.py: set at the start of each epoch
    },
)


def downsampled(recipe: Recipe, resolution: int) -> Recipe:
    """The recipe for smaller pictures (Table 9), whose networks are unpublished.

    They are squeezed as torchvision squeezed its own (Appendix A.2); the roll shrinks with the picture.
    """
    low, high = recipe.recover.roll
    return recipe.but(
        data={"resolution": resolution},
        squeeze={"pretrained": None, "epochs": 90, "lr": 0.1, "batch_size": 256, "weight_decay": 1e-4},
        recover={"roll": (low * resolution // 224, high * resolution // 224)},
    )


# The stem for small pictures keeps all 112 pixels: 13.6 GFLOPs a forward pass of ResNet-18, four times the 3.6 of
# 224 pixels. torchvision's stem takes 0.97, a quarter of it for a quarter of the pixels. That Table 9's ResNet-18 is no
# better at 112 pixels (34.15) than at 64 (35.27) fits a stem that keeps the detail of the smaller picture only.
STEM_112 = {"squeeze": {"backbone_options": {"stem": "224"}}, "validate": {"student_options": {"stem": "224"}}}


def imagenette(recipe: Recipe) -> Recipe:
    """Ten ImageNet classes: a network of its own, and batches that suit ten classes and 500 condensed images."""
    return recipe.but(
        data={"data": "imagenette", "resolution": None},
        squeeze={"pretrained": None, "epochs": 60, "lr": 0.05, "batch_size": 128, "weight_decay": 5e-4},
        recover={"group_images": 10},  # of each class: the batch of 100 that BatchNorm is matched over
        validate={"batch_size": 64, "micro_batch": None},
    )


LESSON = {  # recovering in minutes on a CPU; see docs/LOG.md, 2026-11-22
    "steps": 150,  # two minutes for ten images on two CPU cores, where 4,000 would take an hour
    "lr": 0.1,  # after so few steps of 0.25 more noise is left
    "alpha_bn": 0.05,
    "crop_scale": (0.25, 1.0),  # one large object rather than several small ones
    "image_format": "png",
}

PLUGINS = {
    "imagenet-1k/mobilenet_v2/lesson": reference.on("mobilenet_v2").but(recover=LESSON),
    **{
        f"imagenet-1k/{network}/{source}": recipe.on(network)
        for network in ("resnet18", "resnet50")
        for source, recipe in sources(paper, reference).items()
    },
}
for _source, _recipe in sources(paper, reference).items():
    PLUGINS[f"imagenet-1k-64/resnet18/{_source}"] = downsampled(_recipe, 64)
    PLUGINS[f"imagenet-1k-112/resnet18/{_source}"] = downsampled(_recipe, 112).but(**STEM_112)
    PLUGINS[f"imagenette/resnet18/{_source}"] = imagenette(_recipe)
