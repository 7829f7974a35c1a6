"""One frozen, bounded model per stage: the single source of every default.

A field's bounds, default, meaning, paper source, label and slider stand here once; the command line, the widget that
edits it, the error message and the saved JSON are all made from it; `settings.py` has how. Named settings of the paper
are in `presets/`. Weights of loss terms that the paper does not have come from the files of `terms/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sre2l_core.errors import ConfigError, came, plain
from sre2l_core.settings import Config, setting

__all__ = [
    "Config",
    "DataConfig",
    "MixedViewConfig",
    "RecoverConfig",
    "RelabelConfig",
    "SqueezeConfig",
    "StoredViewConfig",
    "TrainConfig",
    "ValidateConfig",
    "ViewConfig",
    "setting",
]

Range = tuple[float, float]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Options = dict[str, bool | int | float | str]


class DataConfig(Config):
    """Which real data: a name from `sre2l_core/data` and what to take of it."""

    data: str = setting("digits", catalogue="data", description="dataset, a name from sre2l_core/data")
    data_root: Path | None = Field(None, description="where it lies; default $SRE2L_DATA, else ~/.cache/sre2l/data")
    classes: tuple[str, ...] | None = Field(None, description="only these class ids, such as n01443537,n02124075")
    num_classes: int | None = Field(None, ge=2, description="only the first so many classes")
    resolution: int | None = Field(
        None, ge=4, le=1024, description="height and width in pixels; default the dataset's own"
    )
    skip_corrupt: bool = Field(False, description="skip image files that cannot be read instead of stopping")
    holdout: float = Field(
        0.0, ge=0, le=0.9, description="for tuning: share of the training images that judges instead of the test images"
    )
    holdout_seed: int = Field(0, ge=0, lt=2**63, description="fixes which images of each class are held out")


class ViewConfig(Config):
    """How random views of an image are drawn (`views.draw`)."""

    crop: Literal["resized", "padded", "none"] = Field(
        "resized", description="RandomResizedCrop, RandomCrop after zero padding, or the whole image"
    )
    crop_scale: Range = setting(
        (0.08, 1.0),
        slider=(0.01, 1.0),
        step=0.01,
        description="share of the image's area that a resized crop covers",
    )
    crop_ratio: Range = setting(
        (3 / 4, 4 / 3),
        slider=(0.25, 4.0),
        step=0.05,
        description="width / height of a resized crop, drawn log-uniformly",
    )
    padding: int = setting(
        4, ge=0, le=64, unit="pixels", slider=(0, 16), description="zero padding on each side for padded crops"
    )
    flip: float = setting(0.5, ge=0, le=1, slider=(0, 1), description="probability of a horizontal flip")
    roll: tuple[int, int] = setting(
        (0, 0),
        label="jitter",
        unit="pixels",
        slider=(-32, 32),
        step=1,
        description="range of the circular shift after the crop, in pixels",
    )

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_scale {self.crop_scale} must satisfy 0 < low <= high <= 1")
        low, high = self.crop_ratio
        if not 0.1 <= low <= high <= 10:
            raise ValueError(f"crop_ratio {self.crop_ratio} must satisfy 0.1 <= low <= high <= 10")
        if self.roll[0] > self.roll[1]:
            raise ValueError(f"roll {self.roll} must be (low, high) with low <= high")
        return self


class StoredViewConfig(ViewConfig):
    """Views of stored images, and what teachers say of them."""

    formation: int = setting(
        1,
        ge=1,
        le=8,
        later=True,
        description="a stored image holds so many smaller ones along each side, of which a view shows one, enlarged "
        "(multi-formation of IDC, ICML 2022: 2 or 3); the same for recover and relabel",
    )
    vote: Literal["equal", "accuracy"] = setting(
        "equal",
        later=True,
        description="what each of several teachers counts: the same, or softmax(accuracy in % / 5) (CV-DD, 2025), "
        "which lets the images in that measured the accuracy",
    )


class MixedViewConfig(ViewConfig):
    """Views that may also mix two images."""

    mix: Literal["none", "cutmix", "mixup"] = Field("none", description="mix each view with another image's view")
    mix_alpha: float = setting(
        1.0, gt=0, le=10, slider=(0.1, 4), description="both parameters of the Beta distribution of the mixing share"
    )


def network_of(text: str) -> tuple[str, Options]:
    """A network and its options from `NAME:OPTION=VALUE:OPTION=VALUE`; a number that is a text stands in quotes.

    Raises:
        ConfigError: where it is none.
    """
    name, *words = text.split(":")
    parts = [word.partition("=") for word in words]
    if not name or not all(option and equals for option, equals, _ in parts):
        raise ConfigError(f"expected NETWORK:OPTION=VALUE such as convnet:depth=4:width=32 (got {came(text)}).")
    return name, {option: _plain_value(value) for option, _, value in parts}


def network_in_words(name: str, options: Mapping[str, Any]) -> str:
    """The inverse of `network_of`; raises `ConfigError` for an option that cannot be written so."""
    text = ":".join((name, *(f"{option}={_in_words(value)}" for option, value in options.items())))
    with suppress(ConfigError):
        if network_of(text) == (name, dict(options)) and "+" not in text:
            return text
    raise ConfigError(f"the options of {name}, {came(dict(options))}, cannot be written as NAME:OPTION=VALUE.")


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) and _plain_value(value) != value else str(value)


def _plain_value(text: str) -> bool | int | float | str:
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


class TrainConfig(Config):
    """Optimisation of a network: what squeezing and validating have in common."""

    epochs: int = Field(100, ge=1, le=10_000, description="passes over the training images")
    batch_size: int = Field(256, ge=1, le=65_536, description="images per optimiser step")
    micro_batch: int | None = Field(
        None, ge=1, description="split each batch so: gradients add up, BatchNorm sees the part (reference: 512)"
    )
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with momentum, or AdamW")
    lr: float = setting(
        0.2,
        gt=0,
        le=100,
        label="learning rate",
        slider=(1e-4, 10),
        log=True,
        description="peak learning rate (Table 7a)",
    )
    momentum: float = setting(0.9, ge=0, lt=1, slider=(0, 0.99), description="momentum of SGD (Table 7a)")
    betas: tuple[Momentum, Momentum] = Field((0.9, 0.999), description="momentum terms of AdamW (Table 7b)")
    weight_decay: float = setting(1e-4, ge=0, le=1, slider=(1e-6, 0.1), log=True, description="weight decay (Table 7a)")
    decay_1d: bool = Field(True, description="also decay biases and norm parameters (the ImageNet reference does not)")
    schedule: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="cosine to zero, x0.2 at 2/3 and 5/6, or constant"
    )
    cosine_stretch: float = setting(
        1.0,
        ge=1,
        le=10,
        slider=(1, 4),
        description="length of the cosine over the training: 2 ends at half the learning rate",
    )
    schedule_by: Literal["epoch", "step"] = Field("step", description="how often the learning rate moves")
    warmup_epochs: int = Field(0, ge=0, description="epochs of linear warm-up from 1 % of the learning rate")
    seed: int = Field(0, ge=0, lt=2**63, description="fixes initial weights, order of images and random views")

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} must be below epochs {self.epochs}")
        return self


class SqueezeConfig(MixedViewConfig, TrainConfig):
    """Stage 1: a classifier with BatchNorm learns the real data (Equation 4, Table 7a)."""

    backbone: str = setting(
        "resnet18", catalogue="backbones", description="network, a name from torchvision or sre2l_core/backbones"
    )
    backbone_options: Options = Field(default_factory=dict, description="its options, such as depth or weights")
    pretrained: str | None = Field(
        None, description="torchvision weights, such as IMAGENET1K_V1: nothing is trained, accuracy is measured"
    )
    epochs: int = Field(50, ge=1, le=10_000, description="squeezing budget (Table 2: more recovers worse)")
    others: tuple[str, ...] = setting(
        (),
        later=True,
        description="further teachers, squeezed likewise, each a network with its options such as "
        "convnet:depth=4:width=32; together they recover and label (G-VBSM, CVPR 2024)",
    )

    def each(self) -> tuple[Self, ...]:
        """The settings of every teacher, the first one first; a network that comes again has a seed of its own."""
        named = [(self.backbone, self.backbone_options), *map(network_of, self.others)]
        seeds = [self.seed + named[:place].count(network) for place, network in enumerate(named)]
        networks = zip(named, seeds, strict=True)
        return tuple(self.but(backbone=n, backbone_options=o, seed=s, others=()) for (n, o), s in networks)

    @field_validator("others")
    @classmethod
    def _others_are_networks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            network_of(name)
        return names


class RecoverConfig(StoredViewConfig):
    """Stage 2: images are optimised from noise (Equations 5-7, Tables 7c, 7d and 10b)."""

    ipc: int = setting(50, ge=1, le=10_000, label="images / class", slider=(1, 10), description="images per class")
    steps: int = Field(1000, ge=0, le=1_000_000, description="iterations per group (Table 3); 0 keeps the start")
    lr: float = setting(
        0.1,
        gt=0,
        le=100,
        label="learning rate",
        slider=(0.001, 10),
        log=True,
        description="peak learning rate of Adam, cosine to zero (Table 7c)",
    )
    betas: tuple[Momentum, Momentum] = Field((0.5, 0.9), description="momentum terms of Adam (Table 7c)")
    alpha_bn: float = setting(
        1.0,
        ge=0,
        le=1e6,
        label="α_BN",
        slider=(0.001, 100),
        log=True,
        description="weight of R_BN, Equation 7 (Table 7c)",
    )
    alpha_tv: float = setting(
        0.0,
        ge=0,
        le=1e6,
        label="α_TV",
        slider=(1e-6, 0.1),
        log=True,
        description="weight of R_TV, Equation 6 (Table 8: off is better)",
    )
    alpha_l2: float = setting(
        0.0,
        ge=0,
        le=1e6,
        label="α_ℓ2",
        slider=(1e-5, 1),
        log=True,
        description="weight of R_l2, Equation 6 (Table 8: off is better)",
    )
    tv_beta: float = setting(
        2.0, gt=0, le=4, slider=(0.5, 4), description="beta of R_TV: 1 allows sharper edges than 2"
    )
    first_bn_multiplier: float = setting(
        10.0,
        ge=0,
        le=1e4,
        label="first layer ×",
        slider=(0.1, 100),
        log=True,
        description="factor on the first BatchNorm layer's share of R_BN (reference code only)",
    )
    bn_variance: float = setting(
        1.0,
        ge=0,
        le=1e3,
        label="BN variance ×",
        slider=(0.1, 100),
        log=True,
        description="factor on the variances' share of R_BN (DWA: 11, on ImageNet 2)",
    )
    class_bn: float = setting(
        0.0,
        ge=0,
        le=1,
        slider=(0, 1),
        step=0.05,
        label="class-wise BN",
        description="share of the real images of a group's own classes in the statistics that R_BN wants, the rest are "
        "the running ones (LPLD: 1 with group_size 1; EDC: 0.5); needs the real data",
    )
    normalize_bn: bool = Field(
        False,
        description="divide each layer's norms by those of its running statistics: alpha_bn then suits any network",
    )
    group_size: int = Field(
        100,
        ge=1,
        le=10_000,
        description="consecutive classes optimised together (Table 7c: batch size)",
    )
    group_images: int = Field(
        1, ge=1, le=1000, description="images of each class in a group: more steady the statistics of few classes"
    )
    stack: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        1, description="groups that share a forward pass, each on its own; auto: as many as keep the device busy"
    )
    only_classes: tuple[str, ...] | None = Field(None, description="recover only these class ids of the teacher")
    per_image_crop: bool = Field(False, description="a crop of its own for every image instead of one for the group")
    init: str = setting(
        "noise",
        label="start from",
        catalogue="starts",
        description="pixels to begin with, a name from sre2l_core/starts",
    )
    parametrisation: str = setting(
        "pixels",
        label="optimise",
        catalogue="parametrisations",
        description="what stands for an image: pixels (the paper's), fourier (smooth pictures; Distill 2017), or "
        "another name from sre2l_core/parametrisations",
    )
    fourier_lr: float = setting(
        0.5,
        gt=0,
        le=100,
        label="Fourier rate ×",
        slider=(0.01, 10),
        log=True,
        description="learning rate of Fourier coefficients in units of lr",
    )
    fourier_decay: float = setting(
        1.0,
        ge=0,
        le=4,
        label="Fourier decay",
        slider=(0, 2),
        step=0.05,
        description="exponent of 1 / frequency that scales Fourier coefficients: 1 is the spectrum of natural images, "
        "0 treats all frequencies alike",
    )
    fourier_spread: float = setting(
        0.01,
        ge=0,
        le=10,
        label="Fourier spread",
        slider=(0.001, 1),
        log=True,
        description="standard deviation of the Fourier coefficients that noise begins with: 0.01 is nearly grey, "
        "with 1 the images of a class differ more",
    )
    fourier_colors: Literal["natural", "separate"] = setting(
        "natural",
        label="Fourier colors",
        description="colours of Fourier coefficients: decorrelated as in natural images, or each channel for itself",
    )
    crop_curriculum: float = setting(
        0.0,
        ge=0,
        le=1,
        label="curriculum",
        slider=(0, 1),
        step=0.05,
        description="share of the steps in which the smallest crop shrinks from the largest one to its own size "
        "(CDA, TMLR 2024); 0: it does not change",
    )
    blend: float = setting(
        0.0,
        ge=0,
        lt=1,
        slider=(0, 0.9),
        step=0.05,
        label="blend",
        description="share of the start that is blended back into the images between stages (FADRM, NeurIPS 2025: 0.5)",
    )
    blend_stages: int = Field(4, ge=2, le=100, description="stages of equal length that blends part (FADRM: 4)")
    rounds: int = Field(
        1,
        ge=1,
        le=1000,
        description="rounds of equal length at whose beginnings the images of a class join, the first ones first "
        "(DELT, CVPR 2025); 1: all take all steps",
    )
    nudge: float = setting(
        0.0,
        ge=0,
        le=1,
        slider=(0, 0.1),
        step=0.005,
        description="length of the way that each group's copy of the teacher goes up the cross-entropy of its start "
        "(DWA, NeurIPS 2024: 0.015)",
    )
    nudge_steps: int = Field(12, ge=1, le=1000, description="steps of that way (DWA: 12, on ImageNet 15)")
    small_stages: float = setting(
        1.0,
        ge=0.25,
        le=1,
        slider=(0.25, 1),
        step=0.05,
        later=True,
        description="share of the height and width at which every other of the blend_stages, never the last, is "
        "optimised (FADRM, NeurIPS 2025: 200 of 224 pixels, 0.89); networks that take no others see them enlarged",
    )
    teaching: Literal["turns", "one", "pair"] = setting(
        "turns",
        later=True,
        description="of several teachers: one a step in turn (G-VBSM, FADRM+), one for each group, or two for each "
        "group together (CV-DD), drawn by the seed",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="fixes the noise and the crops of every group")
    snapshot_every: int | None = Field(None, ge=1, description="also write the pixels every so many steps")
    image_format: Literal["png", "webp", "jpeg"] = Field(
        "png", description="lossless PNG or WebP; JPEG (quality 75, as the reference) costs 15-24 dB PSNR"
    )

    @model_validator(mode="after")
    def _alone_in_a_pass(self) -> Self:
        if (self.nudge or self.rounds > 1) and self.stack not in (1, "auto"):
            raise ValueError(f"stack {self.stack} must be 1 or auto where rounds or nudge keep groups apart")
        return self


class RelabelConfig(StoredViewConfig, MixedViewConfig):
    """Stage 3: the teacher's logits of many random views of each image (Equation 8)."""

    epochs: int = Field(300, ge=1, le=100_000, description="views per image; a student may train on as many epochs")
    batch_size: int = Field(256, ge=1, le=65_536, description="images per pass of the teacher")
    codec: str = setting("fp16", catalogue="codecs", description="how logits are stored, a name from sre2l_core/codecs")
    codec_options: Options = Field(default_factory=dict, description="its options, such as k")
    teacher_mode: Literal["eval", "batch"] = Field(
        "eval",
        description="BatchNorm on running statistics, or on those of the labelled batch (reference's CIFAR script)",
    )
    batch_split: int = Field(
        1, ge=1, le=1024, description="parts of a batch with statistics of their own (SRe2L++: 2); batch mode only"
    )
    label_by: Literal["all", "first"] = setting(
        "all", later=True, description="of several teachers: all label together, or the first one alone"
    )
    shuffle: int = setting(
        1,
        ge=1,
        le=8,
        later=True,
        description="an image is cut into so many patches along each side, which each view puts in another order "
        "before it crops (RDED, CVPR 2024: as many as its images are made of); 1: it stays whole",
    )
    augment: int = setting(
        0, ge=0, le=8, later=True, description="operations of RandAugment on each view (DELT, CVPR 2025: 2); 0: none"
    )
    augment_strength: float = setting(
        6.0,
        ge=0,
        le=10,
        slider=(0, 10),
        later=True,
        description="their strength, of 10 (RandAugment, 2020: 9; DELT: 6)",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="fixes every view of every epoch")

    def whole(self) -> Self:
        """The same for real images: each is one picture, of which a view neither takes a part nor shuffles any."""
        return self if self.formation == self.shuffle == 1 else self.but(formation=1, shuffle=1)


class ValidateConfig(TrainConfig):
    """Stage 4: fresh students learn images and soft labels, real test data judges them (Equation 9, Table 7b)."""

    students: tuple[str, ...] = setting(
        ("resnet18",),
        min_length=1,
        catalogue="backbones",
        description="networks to train (Tables 4 and 5), names from torchvision or sre2l_core/backbones",
    )
    student_options: Options = Field(default_factory=dict, description="options of these networks")
    temperature: float = setting(
        20.0,
        gt=0,
        le=1000,
        slider=(0.1, 100),
        log=True,
        description="softmax temperature of student and labels (Figure 4)",
    )
    loss: Literal["kl", "kl_t2", "mse_ce", "gift"] = Field(
        "kl", description="KL divergence, KL times T^2, MSE on logits + gamma * cross-entropy, or GIFT's cosine"
    )
    gamma: float = setting(0.1, ge=0, le=1, slider=(0, 1), description="share of the hard label in mse_ce and gift")
    ema: float | None = Field(None, gt=0, lt=1, description="test an exponential moving average of the student")
    seeds: int = setting(
        3, ge=1, le=100, slider=(1, 10), description="students trained for mean and standard deviation"
    )
    against: tuple[str, ...] = setting(
        ("random",),
        catalogue="starts",
        description="baselines in the same table: full (all real images), or a start that takes no steps (random: as "
        "many random real images), a name from sre2l_core/starts",
    )
    hard_labels: bool = Field(True, description="also train on the condensed images with hard labels")
    eval_every: int = Field(10, ge=1, description="epochs between evaluations (the last epoch is always evaluated)")

    reuse_labels: bool = Field(
        False,
        description="after the last epoch of labels take the first again, in all rows alike (LPLD, NeurIPS 2024: few "
        "labels serve a long training)",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("students", "against"):
            values = getattr(self, name)
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{name} names {', '.join(map(plain, twice))} more than once")
        return self


import_module("sre2l_core.terms")  # whoever imports a config finds RecoverConfig with the weights of all terms
