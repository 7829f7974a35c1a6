"""SRe²L's successors with their authors' settings on CIFAR-100, Tiny-ImageNet, Imagenette and ImageNet-1K; for a GPU.

`DATASET/resnet18/METHOD` is written as what a method does otherwise than SRe²L's own code (`reference`), with ten
images of each class; the batch sizes of students are those for ten. Settings that an author does not say for a dataset
are those of the nearest that he does. Where this engine departs: RDED has one crop an image up to 64 pixels, EDC has
neither convolution statistics nor flatness, and networks of torchvision are taken as they are also for small pictures.
"""

from __future__ import annotations

from typing import Any

from sre2l_core.presets import cifar, imagenet, tiny_imagenet
from sre2l_core.presets.recipe import Recipe

SMALL, LARGE = "small", "large"
"""Pictures up to 64 pixels, and of 224."""
BASES = {
    "cifar100": cifar.reference,
    "tiny-imagenet": tiny_imagenet.reference,
    "imagenette": imagenet.imagenette(imagenet.reference),
    "imagenet-1k": imagenet.reference,
}
SIZE = {"cifar100": SMALL, "tiny-imagenet": SMALL, "imagenette": LARGE, "imagenet-1k": LARGE}
_RECOVERED: dict[str, Any] = {"ipc": 10, "image_format": "png"}
_CROPPED: dict[str, Any] = {"crop": "resized", "flip": 0.5}
"""What SRe²L does not do on CIFAR, and its successors do."""

RDED_STUDENTS: dict[str, Any] = {  # also DELT's, and with longer training EDC's
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.01,
    "batch_size": 100,  # images, for ten of each class
    "micro_batch": None,
    "epochs": 300,
    "schedule": "cosine",
    "schedule_by": "epoch",
    "cosine_stretch": 2.0,  # ends at half the learning rate
    "warmup_epochs": 0,
    "temperature": 20.0,
    "loss": "kl",
}
BSSL_VIEWS: dict[str, Any] = {  # batch-specific soft labels: CV-DD, SRe2L++, FADRM
    "mix": "cutmix",
    "mix_alpha": 1.0,
    "crop": "resized",
    "crop_scale": (0.08, 1.0),
    "flip": 0.5,
    "teacher_mode": "batch",
    "batch_size": 16,
    "batch_split": 2,  # two halves of eight, each with statistics of its own
}
BSSL_STUDENTS: dict[str, Any] = {**RDED_STUDENTS, "batch_size": 16}
FAMILIES = ("resnet50", "mobilenet_v2", "shufflenet_v2_x1_0", "densenet121")
"""Of CV-DD, beside ResNet-18."""
_RDED_VIEWS: dict[str, Any] = {
    "mix": "cutmix",
    "mix_alpha": 1.0,
    "crop": "resized",
    "flip": 0.5,
    "teacher_mode": "eval",
}


def cda(size: str, dataset: str) -> dict[str, Any]:
    """Curriculum data augmentation (TMLR 2024)."""
    rates = {"tiny-imagenet": {"lr": 0.4, "alpha_bn": 0.05}}
    recover = {**_CROPPED, "crop_curriculum": 1.0, "steps": 4000, **rates.get(dataset, {})}
    return {"recover": recover, "validate": {"batch_size": 128, "micro_batch": None} if size == LARGE else {}}


def rded(size: str, dataset: str) -> dict[str, Any]:
    """Realistic, diverse and efficient distillation (CVPR 2024): crops of real images, nothing is optimised."""
    shuffle = 2 if size == LARGE else 1  # as many patches as an image is made of
    views = {**_RDED_VIEWS, "crop_scale": (0.5, 1.0), "shuffle": shuffle}
    return {"recover": {"init": "rded", "steps": 0}, "relabel": views, "validate": RDED_STUDENTS}


def delt(size: str, dataset: str) -> dict[str, Any]:
    """Diversity by early and late images (CVPR 2025)."""
    recover = {**_CROPPED, "init": "median", "rounds": 8, "steps": 4000, "crop_curriculum": 1.0, "roll": (0, 0)}
    views = {**_RDED_VIEWS, "crop_scale": (0.25, 1.0), "augment": 2, "augment_strength": 6.0}
    return {"recover": recover, "relabel": views, "validate": RDED_STUDENTS}


def dwa(size: str, dataset: str) -> dict[str, Any]:
    """Directed weight adjustment (NeurIPS 2024)."""
    large = size == LARGE
    recover = {
        "init": "real",
        "nudge": 0.015,
        "nudge_steps": 15 if large else 12,
        "bn_variance": 2.0 if large else 11.0,
    }
    students = {"batch_size": 128, "micro_batch": None} if large else {}
    if dataset == "tiny-imagenet":
        students = {"batch_size": 64, "epochs": 200}
    epochs = {"relabel": {"epochs": 200}} if dataset == "tiny-imagenet" else {}
    return {"recover": recover, "validate": students, **epochs}


def lpld(size: str, dataset: str) -> dict[str, Any]:
    """Label pruning (NeurIPS 2024): a fortieth of the labels, taken again and again."""
    base = BASES[dataset]
    students = {"batch_size": 128 if size == LARGE else 64, "micro_batch": None} if dataset != "cifar100" else {}
    recover = {**_CROPPED, "class_bn": 1.0, "group_size": 1, "group_images": 10}
    views = {"epochs": -(-base.validate.epochs // 40), "teacher_mode": "eval"}
    return {"recover": recover, "relabel": views, "validate": {**students, "reuse_labels": True}, "store_labels": True}


def edc(size: str, dataset: str) -> dict[str, Any]:
    """Elucidated dataset condensation (NeurIPS 2024), without convolution statistics."""
    recover: dict[str, Any] = {**_CROPPED, "class_bn": 0.5, "lr": 0.05, "crop_scale": (0.5, 1.0)}
    recover |= {"init": "rded", "steps": 1000} if size == LARGE else {"init": "real", "steps": 2000}
    epochs = 300 if size == LARGE else 1000
    students = {**RDED_STUDENTS, "epochs": epochs, "loss": "mse_ce", "gamma": 0.025, "ema": 0.99}
    views = {**_RDED_VIEWS, "augment": 2, "augment_strength": 6.0}
    others = ("mobilenet_v2", "shufflenet_v2_x0_5", "efficientnet_b0")  # G-VBSM's of ImageNet-1K
    return {"squeeze": {"others": others}, "recover": recover, "relabel": views, "validate": students}


def sre2l_plus_plus(size: str, dataset: str) -> dict[str, Any]:
    """SRe²L++ (CV-DD, 2025): one teacher, crops of middling difficulty, batch-specific soft labels."""
    recover = {**_CROPPED, "init": "medium", "steps": 4000, "lr": 0.25, "alpha_bn": 0.01}
    recover |= {"roll": (-4, 4)} if size == SMALL else {}
    return {"recover": recover, "relabel": {**BSSL_VIEWS}, "validate": BSSL_STUDENTS}


def cv_dd(size: str, dataset: str) -> dict[str, Any]:
    """Committee voting (2025): two of five teachers for each image of the classes."""
    made = sre2l_plus_plus(size, dataset)
    made["recover"] |= {"teaching": "pair", "vote": "accuracy"}
    return {**made, "squeeze": {"others": FAMILIES}}


def fadrm(size: str, dataset: str) -> dict[str, Any]:
    """Fast and accurate data residual matching (NeurIPS 2025): four stages of 500 steps."""
    made = sre2l_plus_plus(size, dataset)
    made["recover"] |= {"steps": 2000, "blend": 0.5, "blend_stages": 4, "small_stages": 0.893}  # 200 of 224 pixels
    if dataset == "cifar100":
        made["validate"] = {**BSSL_STUDENTS, "epochs": 1000}
    return made


def fadrm_plus(size: str, dataset: str) -> dict[str, Any]:
    """FADRM with four teachers in turn (NeurIPS 2025)."""
    return {**fadrm(size, dataset), "squeeze": {"others": FAMILIES[1:]}}


METHODS = {
    "cda": cda,
    "rded": rded,
    "delt": delt,
    "dwa": dwa,
    "lpld": lpld,
    "edc": edc,
    "sre2l++": sre2l_plus_plus,
    "cv-dd": cv_dd,
    "fadrm": fadrm,
    "fadrm+": fadrm_plus,
}


def recipe(dataset: str, method: str) -> Recipe:
    """The recipe of a method on a dataset; as many views are labelled as students see."""
    changes = METHODS[method](SIZE[dataset], dataset)
    made = BASES[dataset].but(**changes).but(recover=_RECOVERED)
    return made if made.validate.reuse_labels else made.but(relabel={"epochs": made.validate.epochs})


PLUGINS = {f"{dataset}/resnet18/{method}": recipe(dataset, method) for dataset in BASES for method in METHODS}
