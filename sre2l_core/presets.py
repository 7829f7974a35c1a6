"""The paper's settings by name: `dataset/network/source`.

`paper` is what Tables 7 and 10 say and nothing else; `reference` is what the authors' code does where it differs or
says more; `modern` trains students by today's recipes. `/smoke` behind any name shrinks it to a minute on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sre2l_core.config import Config, DataConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.errors import ConfigError, unknown


@dataclass(frozen=True)
class Recipe:
    """All four stages of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    squeeze: SqueezeConfig = field(default_factory=SqueezeConfig)
    recover: RecoverConfig = field(default_factory=RecoverConfig)
    relabel: RelabelConfig = field(default_factory=RelabelConfig)
    validate: ValidateConfig = field(default_factory=ValidateConfig)
    store_labels: bool = False
    """Write soft labels to disk instead of making them on the fly while students train."""

    def check(self) -> None:
        """Raise `ConfigError` where the stages do not fit one another: before any work is done."""
        if self.store_labels and self.validate.epochs > self.relabel.epochs:
            raise ConfigError(
                f"students would train for {self.validate.epochs} epochs on labels of {self.relabel.epochs}: "
                "set --relabel.epochs to as many, or make labels on the fly (--no-store-labels)."
            )

    @property
    def num_classes(self) -> int | None:
        """Classes of the data; None where only the data itself can tell."""
        chosen = None if self.data.classes is None else len(self.data.classes)
        return self.data.num_classes or chosen or CLASSES.get(self.data.data)

    def seeded(self, seed: int) -> Self:
        """The same with one seed for all stages."""
        return replace(self, **{name: getattr(self, name).but(seed=seed) for name in _STAGES if name != "data"})

    def to_json(self) -> dict[str, Any]:
        """Plain values, by stage."""
        stages = {name: getattr(self, name).model_dump(mode="json") for name in _STAGES}
        return {**stages, "store_labels": self.store_labels}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; what is left out has its default."""
        for name in values:
            if name not in (*_STAGES, "store_labels"):
                raise unknown("part of a recipe", name, (*_STAGES, "store_labels"))
        parts: dict[str, Any] = {name: _STAGES[name].of(values[name]) for name in _STAGES if name in values}
        return cls(**parts, store_labels=values.get("store_labels", False))


_STAGES: dict[str, type[Config]] = {
    "data": DataConfig,
    "squeeze": SqueezeConfig,
    "recover": RecoverConfig,
    "relabel": RelabelConfig,
    "validate": ValidateConfig,
}
CLASSES = {
    "digits": 10,
    "drawings": 10,
    "cifar10": 10,
    "cifar100": 100,
    "imagenette": 10,
    "tiny-imagenet": 200,
    "imagenet-1k": 1000,
}
"""Classes of the datasets that always have as many."""


def _digits() -> Recipe:
    """scikit-learn's digits at 16 pixels: all four stages in a minute; one group of 100 images, as in Table 7c."""
    net = {"depth": 3, "width": 32}
    return Recipe(
        DataConfig(data="digits", resolution=16),
        SqueezeConfig(
            backbone="convnet", backbone_options=net, epochs=15, batch_size=64, lr=0.05, weight_decay=5e-4,
            crop="padded", padding=2, flip=0.0,
        ),
        RecoverConfig(
            ipc=10, steps=300, lr=0.1, alpha_bn=1.0, first_bn_multiplier=1.0, group_images=10,
            crop_scale=(0.5, 1.0), flip=0.0,
        ),
        RelabelConfig(epochs=100, crop_scale=(0.3, 1.0), flip=0.0),
        ValidateConfig(
            students=("convnet",), student_options=net, epochs=100, batch_size=50, optimizer="adamw", lr=2e-3,
            weight_decay=0.01, temperature=5.0, seeds=3, against=("random", "full"), eval_every=10,
        ),
        store_labels=True,
    )  # fmt: skip


def _drawings(parametrisation: str) -> Recipe:
    """Coloured drawings at 32 pixels: a teacher in seconds, and pictures that can be named (docs/LOG.md).

    *Departs from the paper*: strong weight decay for a smooth teacher, no flips and, but for `/pixels`, Fourier
    coefficients instead of pixels.
    """
    net = {"depth": 3, "width": 32}
    return Recipe(
        DataConfig(data="drawings"),
        SqueezeConfig(
            backbone="convnet", backbone_options=net, epochs=12, batch_size=64, lr=0.05, weight_decay=5e-3,
            crop_scale=(0.6, 1.0),
        ),
        RecoverConfig(
            ipc=10, steps=200, lr=0.1, alpha_bn=0.2, first_bn_multiplier=1.0, group_images=10, per_image_crop=True,
            crop_scale=(0.5, 1.0), flip=0.0, parametrisation=parametrisation, fourier_lr=1.0, fourier_spread=0.3,
        ),
        RelabelConfig(epochs=100, crop_scale=(0.3, 1.0)),
        ValidateConfig(
            students=("convnet",), student_options=net, epochs=100, batch_size=50, optimizer="adamw", lr=2e-3,
            weight_decay=0.01, temperature=5.0, seeds=3, against=("random", "full"), eval_every=10,
        ),
        store_labels=True,
    )  # fmt: skip


def _folder() -> Recipe:
    """A start for one's own pictures: small network, minutes on a CPU for a few hundred images of 64 pixels."""
    net = {"width": 32}
    return Recipe(
        DataConfig(data="folder"),
        SqueezeConfig(
            backbone="resnet10", backbone_options=net, epochs=30, batch_size=64, lr=0.05, weight_decay=5e-4,
            crop_scale=(0.3, 1.0),
        ),
        RecoverConfig(ipc=10, steps=500, lr=0.1, alpha_bn=1.0, group_images=10),
        RelabelConfig(crop_scale=(0.25, 1.0)),
        ValidateConfig(
            students=("resnet10",), student_options=net, epochs=100, batch_size=32, optimizer="adamw", lr=1e-3,
            weight_decay=0.01, eval_every=20,
        ),
    )  # fmt: skip


TEN = ("n01443537", "n02056570", "n02165456", "n02279972", "n03662601", "n04146614", "n07720875", "n07749582",
       "n07873807", "n07920052")  # fmt: skip
"""Goldfish, king penguin, ladybug, monarch, lifeboat, school bus, bell pepper, lemon, pizza, espresso."""


def _tiny_ten(start: str) -> Recipe:
    """Ten Tiny-ImageNet classes on a CPU, tuned here (docs/LOG.md): from noise alone, or from real images."""
    net = {"stem": "224", "width": 32}
    from_noise = {"init": "noise", "steps": 500, "lr": 0.1}
    from_real = {"init": "real", "steps": 100, "lr": 0.05}
    return Recipe(
        DataConfig(data="tiny-imagenet", classes=TEN),
        SqueezeConfig(
            backbone="resnet10", backbone_options=net, epochs=25, batch_size=64, lr=0.1, weight_decay=5e-4,
            warmup_epochs=2, crop_scale=(0.25, 1.0),
        ),
        RecoverConfig(
            ipc=10, alpha_bn=0.05, group_images=10, per_image_crop=True,
            **(from_real if start == "real" else from_noise),
        ),
        RelabelConfig(epochs=100, crop_scale=(0.25, 1.0), mix="cutmix", teacher_mode="batch", batch_size=25),
        ValidateConfig(
            students=("resnet10",), student_options=net, epochs=100, batch_size=25, optimizer="adamw", lr=1e-3,
            weight_decay=0.01, temperature=20.0, loss="kl_t2", eval_every=50,
        ),
    )  # fmt: skip


def _tiny(network: str, source: str) -> Recipe:
    """Tiny-ImageNet: Tables 7a and 7c; reference after the authors' tiny-imagenet repository.

    Table 7a's 100 epochs are those of the students (Appendix A.4); the networks were squeezed for 50 (Appendix A.2).
    """
    reference = source != "paper"
    flip, warmup = (0.5, 5) if reference else (0.0, 0)
    by = {"schedule_by": "epoch"} if reference else {}
    table_7a = {"optimizer": "sgd", "lr": 0.2, "weight_decay": 1e-4, "momentum": 0.9, "batch_size": 256}
    squeeze = SqueezeConfig(backbone=network, epochs=50, flip=flip, warmup_epochs=warmup, **table_7a, **by)
    recover = RecoverConfig(
        alpha_bn=1.0, lr=0.1, betas=(0.5, 0.9), group_size=100, steps=4000 if reference else 1000, ipc=50, flip=flip,
        first_bn_multiplier=10.0 if reference else 1.0, roll=(-4, 4) if reference else (0, 0),
        image_format="jpeg" if source == "reference" else "png",
    )  # fmt: skip
    relabel = RelabelConfig(epochs=100, flip=flip, batch_size=256)
    # The paper does not say whether T^2 is applied; without it gradients are 400 times smaller, SGD at 0.2 crawls.
    validate = ValidateConfig(
        students=(network,), epochs=100, temperature=20.0, loss="kl_t2", warmup_epochs=warmup, **table_7a, **by
    )
    recipe = Recipe(DataConfig(data="tiny-imagenet"), squeeze, recover, relabel, validate)
    return _modern(recipe) if source == "modern" else recipe


def _imagenet(network: str, source: str, resolution: int = 224) -> Recipe:
    """ImageNet-1K: torchvision's V1 weights, Tables 7b and 7d; Table 9 at 64 and 112 pixels."""
    reference = source != "paper"
    flip = 0.5 if reference else 0.0
    if resolution == 224:
        squeeze = SqueezeConfig(backbone=network, pretrained="IMAGENET1K_V1")
    else:  # Table 9's networks are unpublished: torchvision's recipe for ResNets, named in Appendix A.2
        squeeze = SqueezeConfig(backbone=network, epochs=90, lr=0.1, batch_size=256, weight_decay=1e-4)
    recover = RecoverConfig(
        alpha_bn=0.01, lr=0.25, betas=(0.5, 0.9), group_size=100, steps=4000 if reference else 2000, ipc=50, flip=flip,
        first_bn_multiplier=10.0 if reference else 1.0, roll=(0, resolution // 7) if reference else (0, 0),
        image_format="jpeg" if source == "reference" else "png",
    )  # fmt: skip
    relabel = RelabelConfig(epochs=300, flip=flip, mix="cutmix", mix_alpha=1.0, batch_size=1024)
    validate = ValidateConfig(
        students=(network,), epochs=300, optimizer="adamw", lr=1e-3, weight_decay=0.01, betas=(0.9, 0.999),
        batch_size=1024, temperature=20.0, loss="kl", decay_1d=not reference,
        micro_batch=512 if source == "reference" else None, schedule_by="epoch" if reference else "step",
    )  # fmt: skip
    recipe = Recipe(DataConfig(data="imagenet-1k", resolution=resolution), squeeze, recover, relabel, validate)
    return _modern(recipe) if source == "modern" else recipe


def _cifar(dataset: str, source: str) -> Recipe:
    """CIFAR: Table 10; reference after the authors' CIFAR scripts. For CIFAR-10 no recipe is published: CIFAR-100's."""
    reference = source != "paper"
    table_10a = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 128}
    flip, by = (0.5, {"schedule_by": "epoch"}) if reference else (0.0, {})
    squeeze = SqueezeConfig(backbone="resnet18", epochs=200, crop="padded", padding=4, flip=flip, **table_10a, **by)
    recover = RecoverConfig(
        alpha_bn=0.01, lr=0.25, betas=(0.5, 0.9), group_size=100, steps=1000, ipc=50, crop="none", flip=0.0,
        first_bn_multiplier=10.0 if reference else 1.0, roll=(0, 4) if reference else (0, 0),
        image_format="jpeg" if source == "reference" else "png",
    )  # fmt: skip
    validate = ValidateConfig(epochs=400, temperature=30.0, loss="kl_t2", **table_10a)
    relabel = RelabelConfig(epochs=400, crop="padded", padding=4, flip=flip, batch_size=128)
    if reference:
        relabel = relabel.but(mix="mixup", mix_alpha=0.8, teacher_mode="batch")
        validate = validate.but(optimizer="adamw", lr=1e-3, weight_decay=0.01, loss="kl", **by)
    recipe = Recipe(DataConfig(data=dataset), squeeze, recover, relabel, validate)
    return _modern(recipe) if source == "modern" else recipe


def _imagenette(source: str) -> Recipe:
    """Ten ImageNet classes: ImageNet-1K's recipe with a network of its own, and batches that suit 500 images."""
    recipe = _imagenet("resnet18", source)
    squeeze = SqueezeConfig(backbone="resnet18", epochs=60, lr=0.05, batch_size=128, weight_decay=5e-4)
    validate = recipe.validate.but(batch_size=64, micro_batch=None)
    return replace(recipe, data=DataConfig(data="imagenette"), squeeze=squeeze, validate=validate)


def _modern(recipe: Recipe) -> Recipe:
    """Today's student recipe: small batches, AdamW, CutMix, T = 20, a cosine that ends at half, averaged weights.

    It raises SRe2L's published images by many points (CIM's and FADRM's tables), so it belongs beside every comparison.
    """
    validate = recipe.validate.but(
        optimizer="adamw", lr=1e-3, weight_decay=0.01, decay_1d=False, batch_size=64, micro_batch=None, epochs=300,
        schedule="cosine", schedule_by="step", cosine_stretch=2.0, warmup_epochs=0, loss="kl", temperature=20.0,
        ema=0.99,
    )  # fmt: skip
    relabel = recipe.relabel.but(epochs=300, mix="cutmix", mix_alpha=1.0, teacher_mode="eval")
    return replace(recipe, relabel=relabel, validate=validate)


SOURCES = ("paper", "reference", "modern")
BUDGETS = {"0.5k": 500, "1k": 1000, "2k": 2000, "4k": 4000}
"""Recovery budgets of Table 3."""
IPCS = {"tiny-imagenet": (50, 100), "imagenet-1k": (10, 50, 100, 200), "cifar100": (10, 50, 100, 200)}
"""Images per class of Tables 4 and 11."""


def _catalogue() -> dict[str, Recipe]:
    recipes = {"digits": _digits(), "folder": _folder()}
    recipes |= {"drawings": _drawings("fourier"), "drawings/pixels": _drawings("pixels")}
    recipes |= {f"tiny-imagenet-10/resnet10/{start}": _tiny_ten(start) for start in ("noise", "real")}
    for source in SOURCES:
        for network in ("resnet18", "resnet50"):
            recipes[f"tiny-imagenet/{network}/{source}"] = _tiny(network, source)
            recipes[f"imagenet-1k/{network}/{source}"] = _imagenet(network, source)
        recipes[f"imagenet-1k-64/resnet18/{source}"] = _imagenet("resnet18", source, 64)
        recipes[f"imagenet-1k-112/resnet18/{source}"] = _imagenet("resnet18", source, 112)
        recipes[f"imagenette/resnet18/{source}"] = _imagenette(source)
        recipes[f"cifar100/resnet18/{source}"] = _cifar("cifar100", source)
        recipes[f"cifar10/resnet18/{source}"] = _cifar("cifar10", source)
    for dataset in ("tiny-imagenet", "imagenet-1k"):
        for network in ("resnet18", "resnet50"):
            for name, steps in BUDGETS.items():
                base = recipes[f"{dataset}/{network}/reference"]
                recipes[f"table-3/{dataset}/{network}/{name}"] = replace(
                    base, recover=base.recover.but(steps=steps), validate=base.validate.but(students=("resnet18",))
                )
    for dataset, ipcs in IPCS.items():
        for ipc in ipcs:
            base = recipes[f"{dataset}/resnet18/reference"]
            students = ("resnet18",) if dataset == "cifar100" else ("resnet18", "resnet50", "resnet101")
            table = "table-11" if dataset == "cifar100" else "table-4"
            recipes[f"{table}/{dataset}/ipc{ipc}"] = replace(
                base, recover=base.recover.but(ipc=ipc), validate=base.validate.but(students=students)
            )
    return recipes


PRESETS: dict[str, Recipe] = _catalogue()


def get(name: str) -> Recipe:
    """The recipe called `name`; `/smoke` behind it for a shrunken one. Raises `ConfigError` naming the nearest."""
    base = name.removesuffix("/smoke")
    if base not in PRESETS:
        raise unknown("preset", base, PRESETS)
    return PRESETS[base] if base == name else smoke(PRESETS[base])


def default_for(dataset: str) -> Recipe:
    """The recipe a dataset gets where none is named: the reference's for ResNet-18; without one, that of `folder`."""
    for name in (dataset, f"{dataset}/resnet18/reference"):
        if name in PRESETS:
            return PRESETS[name]
    from sre2l_core import data

    if dataset not in data.names():
        raise unknown("dataset", dataset, data.names())
    return PRESETS["folder"]


def smoke(recipe: Recipe) -> Recipe:
    """The same recipe at toy size: does it run through? Its accuracies mean nothing."""
    shape = {"backbone": "resnet10", "backbone_options": {"width": 8}, "pretrained": None}
    if recipe.squeeze.backbone == "convnet":
        shape = {"backbone": "convnet", "backbone_options": {"depth": 2, "width": 8}}
    short = {"epochs": 2, "warmup_epochs": min(recipe.squeeze.warmup_epochs, 1)}
    few = {"classes": recipe.data.classes[:2]} if recipe.data.classes else {"num_classes": 2}
    return Recipe(
        recipe.data.but(**few, resolution=min(recipe.data.resolution or 32, 32)),
        recipe.squeeze.but(**shape, **short, batch_size=32, micro_batch=None, lr=min(recipe.squeeze.lr, 0.05)),
        recipe.recover.but(ipc=2, steps=4),
        recipe.relabel.but(epochs=2, batch_size=4),
        recipe.validate.but(
            students=(shape["backbone"],), student_options=shape["backbone_options"], **short, batch_size=4,
            micro_batch=None if recipe.validate.micro_batch is None else 2, seeds=2,
        ),
        store_labels=True,
    )  # fmt: skip
