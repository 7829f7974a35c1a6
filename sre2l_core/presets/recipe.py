"""A recipe: the settings of all four stages, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
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

    def but(self, **changes: Any) -> Self:
        """The same but for `changes`, stage by stage: `recipe.but(recover={"ipc": 10}, validate={"seeds": 1})`.

        A stage that is given as a config, not as a dict of fields, is replaced as a whole. Raises `ConfigError` for
        an unknown stage or field, naming the nearest, and for a value out of bounds.
        """
        _check_parts(changes)
        new = {
            name: getattr(self, name).but(**value) if isinstance(value, Mapping) else value
            for name, value in changes.items()
        }
        return replace(self, **new)

    def on(self, network: str) -> Self:
        """The same with `network` as teacher and as student."""
        return self.but(squeeze={"backbone": network}, validate={"students": (network,)})

    def seeded(self, seed: int) -> Self:
        """The same with one seed for all stages."""
        return self.but(**{name: {"seed": seed} for name in STAGES if name != "data"})

    def settings(self) -> dict[str, Any]:
        """`stage.field` -> plain value."""
        return flat(self.to_json())

    def differences(self, other: Self) -> dict[str, tuple[Any, Any]]:
        """What is not the same in `other`: `stage.field` -> plain value here, plain value there."""
        here, there = self.settings(), other.settings()
        return {name: (value, there[name]) for name, value in here.items() if value != there[name]}

    def check(self) -> None:
        """Raise `ConfigError` where the stages do not fit one another: before any work is done."""
        held, seen = self.recover.formation, self.relabel.formation
        if held != seen:
            raise ConfigError(
                f"recovery puts {held} x {held} smaller images into one, but views would be of {seen} x {seen}: set "
                "--recover.formation and --relabel.formation to the same."
            )
        fewer = self.validate.epochs > self.relabel.epochs
        if self.store_labels and fewer and not self.validate.reuse_labels:
            raise ConfigError(
                f"students would train for {self.validate.epochs} epochs on labels of {self.relabel.epochs}: "
                "set --relabel.epochs to as many, take labels again (--validate.reuse-labels), or make them on the fly "
                "(--no-store-labels)."
            )

    @property
    def num_classes(self) -> int | None:
        """Classes of the data; None where only the data itself can tell."""
        chosen = None if self.data.classes is None else len(self.data.classes)
        return self.data.num_classes or chosen or CLASSES.get(self.data.data)

    def to_json(self) -> dict[str, Any]:
        """Plain values, by stage."""
        stages = {name: getattr(self, name).model_dump(mode="json") for name in STAGES}
        return {**stages, "store_labels": self.store_labels}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; what is left out has its default."""
        _check_parts(values)
        parts: dict[str, Any] = {name: STAGES[name].of(values[name]) for name in STAGES if name in values}
        return cls(**parts, store_labels=values.get("store_labels", False))


STAGES: dict[str, type[Config]] = {
    "data": DataConfig,
    "squeeze": SqueezeConfig,
    "recover": RecoverConfig,
    "relabel": RelabelConfig,
    "validate": ValidateConfig,
}
"""What a recipe consists of, by name."""
CLASSES = {"digits": 10, "drawings": 10, "cifar10": 10, "cifar100": 100, "imagenette": 10}
CLASSES |= {"tiny-imagenet": 200, "imagenet-1k": 1000}
"""Classes of the datasets that always have as many."""


def smoke(recipe: Recipe) -> Recipe:
    """The same recipe at toy size: does it run through? Its accuracies mean nothing."""
    shape: dict[str, Any] = {"backbone": "resnet10", "backbone_options": {"width": 8}, "pretrained": None}
    if recipe.squeeze.backbone == "convnet":
        shape = {"backbone": "convnet", "backbone_options": {"depth": 2, "width": 8}}
    shape["others"] = tuple(f"convnet:depth=1:width={8 + place}" for place, _ in enumerate(recipe.squeeze.others[:2]))
    short = {"epochs": 2, "warmup_epochs": min(recipe.squeeze.warmup_epochs, 1)}
    few = {"classes": recipe.data.classes[:2]} if recipe.data.classes else {"num_classes": 2}
    return recipe.but(
        data={**few, "resolution": min(recipe.data.resolution or 32, 32)},
        squeeze={**shape, **short, "batch_size": 32, "micro_batch": None, "lr": min(recipe.squeeze.lr, 0.05)},
        recover={"ipc": 2, "steps": 4},
        relabel={"epochs": 2, "batch_size": 4},
        validate={
            "students": (shape["backbone"],), "student_options": shape["backbone_options"], **short, "batch_size": 4,
            "micro_batch": None if recipe.validate.micro_batch is None else 2, "seeds": 2,
        },
        store_labels=True,
    )  # fmt: skip


def repeated(recipe: Recipe, times: int, *, teachers: bool = False) -> tuple[Recipe, ...]:
    """Recover, label and train so often, a student each, from one teacher: what chance does to the whole of it.

    The seeds of these stages count on from those of the recipe; with `teachers` that of squeezing too, a teacher each.
    """
    stages = ("squeeze", "recover", "relabel", "validate")[0 if teachers else 1 :]
    first = {stage: getattr(recipe, stage).seed for stage in stages}
    return tuple(
        recipe.but(**{stage: {"seed": seed + number} for stage, seed in first.items()}).but(validate={"seeds": 1})
        for number in range(times)
    )


NONE = "none"
"""How nothing is typed."""


def word(value: Any) -> str:
    """A plain value as it is typed on the command line."""
    if isinstance(value, list):
        return " ".join(word(part) for part in value) or NONE
    if isinstance(value, dict):
        return " ".join(f"{name}={word(part)}" for name, part in value.items()) or NONE
    return NONE if value is None else str(value)


def written(value: Any) -> str:
    """A plain value as people read it: numbers with a point in four significant digits."""
    if isinstance(value, float) and isfinite(value):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return " ".join(map(written, value)) or NONE
    if isinstance(value, dict):
        return " ".join(f"{name}={written(part)}" for name, part in value.items()) or NONE
    return word(value)


def written_apart(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Rows of plain values as people read them; as they are typed where different rows would read alike."""
    typed, read = ([list(map(how, row)) for row in rows] for how in (word, written))
    return read if len(set(map(tuple, read))) == len(set(map(tuple, typed))) else typed


def _check_parts(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in (*STAGES, "store_labels"):
            raise unknown("part of a recipe", name, (*STAGES, "store_labels"))


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flat`."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        stage, _, field = name.partition(".")
        if field:
            found.setdefault(stage, {})[field] = value
        else:
            found[stage] = value
    return found


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """`stage.field` -> value, of values by stage."""
    return {
        f"{stage}.{name}" if name else stage: value
        for stage, fields in values.items()
        for name, value in (fields.items() if isinstance(fields, dict) else [("", fields)])
    }
