"""The result tables of the paper, row by row: each varies what the table compares and nothing else.

They build on the reference's recipes, which is what the authors ran. `paper/` runs whole tables of them.
"""

from __future__ import annotations

from typing import Any

from sre2l_core.presets import imagenet, tiny_imagenet
from sre2l_core.presets.cifar import reference as cifar100
from sre2l_core.presets.recipe import Recipe

REFERENCE = {"tiny-imagenet": tiny_imagenet.reference, "imagenet-1k": imagenet.reference}
ABLATION_STEPS = {"tiny-imagenet": 1000, "imagenet-1k": 2000}
"""Iterations of ablations, Appendix A.3."""
RESNETS = ("resnet18", "resnet50", "resnet101")

SQUEEZING: dict[str, dict[str, Any]] = {  # Table 2
    **{str(epochs): {"epochs": epochs} for epochs in (50, 100, 200, 400)},
    # The strengths are unpublished: those of torchvision's script, from which the authors' came.
    "mixup": {"mix": "mixup", "mix_alpha": 0.2},
    "cutmix": {"mix": "cutmix", "mix_alpha": 1.0},
}
BUDGETS = {"0.5k": 500, "1k": 1000, "2k": 2000, "4k": 4000}
"""Recovery budgets of Table 3."""
IPCS = {"tiny-imagenet": (50, 100), "imagenet-1k": (10, 50, 100, 200), "cifar100": (10, 50, 100, 200)}
"""Images per class of Tables 4 and 11."""
TEACHERS: dict[str, dict[str, Any]] = {  # Table 5
    "resnet18": {},
    "bn_vit": {  # DeiT's recipe, as far as these settings go: no RandAugment, no erasing, no label smoothing
        "backbone": "bn_vit",
        "backbone_options": {"ffn_bias": False},  # the authors' training log counts the parameters of this model
        "pretrained": None,
        "optimizer": "adamw",
        "lr": 1e-3,  # 5e-4 for every 512 images, as their log shows
        "batch_size": 1024,
        "weight_decay": 0.05,
        "decay_1d": False,
        "epochs": 300,
        "warmup_epochs": 5,
        "mix": "cutmix",  # DeiT alternates with Mixup
    },
}
ALPHA_TV = {"tiny-imagenet": 6e-6, "imagenet-1k": 2e-6}
"""Equation 6's weight whose gradient on noise is that of the reference's 1e-4, the default of its option --tv-l2.

Its term is four norms over the batch, ours a sum of squares: 1e-4 sqrt(B / 2C) / H for B images of C x H x H pixels.
"""
ALPHA_L2 = 1e-5
"""Default of the reference's option --l2-scale: the weights of Table 8's rows are unpublished."""
TABLE_8 = {"tv-l2": (True, True, False), "tv": (True, False, False), "l2": (False, True, False),
           "none": (False, False, False), "crop": (False, False, True)}  # fmt: skip
"""Rows of Table 8: R_TV, R_l2, random crop. Flip and roll stay, so that a row differs in what it names alone."""
PLUGINS: dict[str, Recipe] = {}


def _ablation(dataset: str) -> Recipe:
    """What ablations start from: their iterations, ResNet-18 as student."""
    return REFERENCE[dataset].but(recover={"steps": ABLATION_STEPS[dataset]})


for _network in ("resnet18", "resnet50"):
    for _name, _squeeze in SQUEEZING.items():
        PLUGINS[f"table-2/tiny-imagenet/{_network}/{_name}"] = _ablation("tiny-imagenet").but(
            squeeze={"backbone": _network, **_squeeze}
        )
    for _dataset in REFERENCE:
        for _name, _steps in BUDGETS.items():
            PLUGINS[f"table-3/{_dataset}/{_network}/{_name}"] = REFERENCE[_dataset].but(
                squeeze={"backbone": _network}, recover={"steps": _steps}
            )
for _dataset in REFERENCE:
    for _ipc in IPCS[_dataset]:
        PLUGINS[f"table-4/{_dataset}/ipc{_ipc}"] = REFERENCE[_dataset].but(
            recover={"ipc": _ipc}, validate={"students": RESNETS}
        )
    for _name, (_tv, _l2, _crop) in TABLE_8.items():
        PLUGINS[f"table-8/{_dataset}/{_name}"] = _ablation(_dataset).but(
            recover={
                "alpha_tv": ALPHA_TV[_dataset] if _tv else 0.0,
                "alpha_l2": ALPHA_L2 if _l2 else 0.0,
                "crop": "resized" if _crop else "none",
            }
        )
for _name, _squeeze in TEACHERS.items():  # its ResNet-18 row has the accuracies of 2,000 iterations (Table 3)
    PLUGINS[f"table-5/imagenet-1k/{_name}"] = _ablation("imagenet-1k").but(
        squeeze=_squeeze, validate={"students": ("deit_tiny", *RESNETS)}
    )
for _resolution in (64, 112, 224):
    _base = imagenet.PLUGINS[f"imagenet-1k{'' if _resolution == 224 else f'-{_resolution}'}/resnet18/reference"]
    PLUGINS[f"table-9/imagenet-1k/{_resolution}"] = _base.but(validate={"students": RESNETS})
for _ipc in IPCS["cifar100"]:
    PLUGINS[f"table-11/cifar100/ipc{_ipc}"] = cifar100.but(recover={"ipc": _ipc})
