"""The commands: what the command line offers, one dataclass each, options made from the config models."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tyro

from sre2l_core import presets
from sre2l_core.config import DataConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.errors import ConfigError

if TYPE_CHECKING:
    from sre2l_core.runtime import Precision, Runtime

Flat = tyro.conf.OmitArgPrefixes
PROGRAM = "python -m sre2l_core"


@dataclass(frozen=True)
class Machine:
    """Where to compute."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: str = "auto"
    """auto, fp32 or bf16."""

    def runtime(self) -> Runtime:
        """The device, as stages take it."""
        from sre2l_core.runtime import Runtime

        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"precision {self.precision!r} is unknown: use auto, fp32 or bf16.")
        precision: Precision = self.precision  # type: ignore[assignment]
        return Runtime.auto(self.device, precision)


@dataclass(frozen=True)
class Squeeze:
    """Stage 1: train a classifier on real data, or take pretrained weights."""

    out: Path
    """folder of the teacher; the same command continues an interrupted run"""
    data: Flat[DataConfig]
    config: Flat[SqueezeConfig]
    machine: Flat[Machine] = field(default_factory=Machine)
    preset: str = "by dataset"
    """settings to start from; `presets` lists them"""

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(out=tyro.MISSING, data=recipe.data, config=recipe.squeeze)

    def __call__(self) -> None:
        from sre2l_core.lab.pipeline import load_data
        from sre2l_core.squeeze import squeeze

        data = load_data(self.data)
        with progress() as on_step:
            teacher = squeeze(data, self.config, runtime=self.machine.runtime(), out=self.out, on_step=on_step)
        say(f"teacher {teacher.id}: top-1 {100 * teacher.accuracy['top1']:.2f} %, in {self.out}")
        say(f"next: {PROGRAM} recover --teacher {self.out} --out {self.out.parent / 'condensed'}")


@dataclass(frozen=True)
class Recover:
    """Stage 2: recover images from a teacher."""

    teacher: Path
    """folder of a teacher, or torchvision:NETWORK for one with ImageNet weights, such as torchvision:mobilenet_v2"""
    out: Path
    """folder of the condensed set; the same command continues an interrupted run"""
    config: Flat[RecoverConfig]
    verifier: Path | None = None
    """folder of another classifier that watches (no effect on the images)"""
    data: str | None = None
    """dataset to start from, for --init real or patches"""
    data_root: Path | None = None
    """where it lies"""
    machine: Flat[Machine] = field(default_factory=Machine)
    preset: str = "by dataset"
    """settings to start from; `presets` lists them"""

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(teacher=tyro.MISSING, out=tyro.MISSING, config=recipe.recover)

    def __call__(self) -> None:
        from sre2l_core.artifacts import Teacher
        from sre2l_core.data import load
        from sre2l_core.recover import recover

        teacher = load_teacher(self.teacher)
        verifier = None if self.verifier is None else Teacher.load(self.verifier)
        data = None
        if self.data is not None:
            data = load(self.data, self.data_root, classes=teacher.spec.classes, resolution=teacher.spec.resolution)
        with progress() as on_step:
            condensed = recover(
                teacher, self.config, runtime=self.machine.runtime(), out=self.out, on_step=on_step, data=data, verifier=verifier
            )  # fmt: skip
        say(f"{len(condensed)} images, {condensed.ipc} a class, in {self.out}")
        say(
            f"next: {PROGRAM} relabel --teacher {self.teacher} --condensed {self.out} --out {self.out.parent / 'labels'}"
        )


@dataclass(frozen=True)
class Relabel:
    """Stage 3: soft labels of many random views of each image."""

    teacher: Path
    """folder of the teacher"""
    condensed: Path
    """folder of the condensed set"""
    out: Path
    """folder of the label store"""
    config: Flat[RelabelConfig]
    dry_run: bool = False
    """print the size of the store for each codec, and stop"""
    machine: Flat[Machine] = field(default_factory=Machine)
    preset: str = "by dataset"
    """settings to start from; `presets` lists them"""

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(teacher=tyro.MISSING, condensed=tyro.MISSING, out=tyro.MISSING, config=recipe.relabel)

    def __call__(self) -> None:
        from sre2l_core.artifacts import CondensedSet
        from sre2l_core.relabel import relabel, store_sizes

        teacher, condensed = load_teacher(self.teacher), CondensedSet.load(self.condensed)
        if self.dry_run:
            for line in store_sizes(len(condensed), condensed.spec.num_classes, self.config):
                say(line)
            return
        with progress() as on_step:
            labels = relabel(
                teacher, condensed, self.config, runtime=self.machine.runtime(), out=self.out, on_step=on_step
            )  # fmt: skip
        say(f"{len(labels.shards)} views of {len(condensed)} images, in {self.out}")
        say(f"next: {PROGRAM} validate --condensed {self.condensed} --labels {self.out} --teacher {self.teacher} \\")
        say(f"        --data {condensed.spec.name} --out {self.out.parent / 'score'}")


@dataclass(frozen=True)
class Validate:
    """Stage 4: train students on the condensed set and on baselines, test them on real data."""

    condensed: Path
    """folder of the condensed set"""
    out: Path
    """folder of the score"""
    data: Flat[DataConfig]
    config: Flat[ValidateConfig]
    views: RelabelConfig
    teacher: Path | None = None
    """folder of the teacher: labels the random real images, and the condensed ones if there is no label store"""
    labels: Path | None = None
    """folder of a label store; without it the teacher labels on the fly the views that `--views` describes"""
    machine: Flat[Machine] = field(default_factory=Machine)
    preset: str = "by dataset"
    """settings to start from; `presets` lists them"""

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(
            condensed=tyro.MISSING, out=tyro.MISSING, data=recipe.data, config=recipe.validate, views=recipe.relabel
        )

    def __call__(self) -> None:
        from sre2l_core.artifacts import CondensedSet
        from sre2l_core.lab.pipeline import load_data
        from sre2l_core.labels import LabelSource, LiveLabels, SoftLabels
        from sre2l_core.validate import validate

        condensed, runtime = CondensedSet.load(self.condensed), self.machine.runtime()
        teacher = None if self.teacher is None else load_teacher(self.teacher)
        labels: LabelSource
        if self.labels is not None:
            labels = SoftLabels.load(self.labels)
        elif teacher is not None:
            labels = LiveLabels(teacher, condensed, self.views, runtime=runtime)
        else:
            raise ConfigError(
                "validate needs soft labels: give --labels FOLDER, or --teacher FOLDER to make them on the fly."
            )
        with progress() as on_step:
            score = validate(
                condensed, labels, load_data(self.data), self.config,
                teacher=teacher, runtime=runtime, out=self.out, on_step=on_step,
            )  # fmt: skip
        say(score.table())


@dataclass(frozen=True)
class Run:
    """All four stages in order, into one folder; the same command continues an interrupted run."""

    data: Flat[DataConfig]
    squeeze: SqueezeConfig
    recover: RecoverConfig
    relabel: RelabelConfig
    validate: ValidateConfig
    store_labels: bool
    """write soft labels to disk instead of making them on the fly"""
    out: Path = Path("runs/run")
    """folder of the run"""
    seed: int | None = None
    """one seed for all stages"""
    machine: Flat[Machine] = field(default_factory=Machine)
    preset: str = "by dataset"
    """settings to start from; `presets` lists them"""

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(recipe.data, recipe.squeeze, recipe.recover, recipe.relabel, recipe.validate, recipe.store_labels)

    def __call__(self) -> None:
        stages: dict[str, Any] = {name: getattr(self, name) for name in ("squeeze", "recover", "relabel", "validate")}
        if self.seed is not None:
            stages = {name: config.but(seed=self.seed) for name, config in stages.items()}
        recipe = presets.Recipe(data=self.data, **stages, store_labels=self.store_labels)
        show_run(recipe, self.out, self.machine)


@dataclass(frozen=True)
class Demo:
    """The whole method on scikit-learn's handwritten digits, about a minute on two CPU cores."""

    out: Path = Path("runs/demo")
    """folder of the run"""
    seed: int = 0
    """one seed for all stages"""
    machine: Flat[Machine] = field(default_factory=Machine)

    def __call__(self) -> None:
        recipe = presets.get("digits")
        stages = {
            name: getattr(recipe, name).but(seed=self.seed) for name in ("squeeze", "recover", "relabel", "validate")
        }
        show_run(replace(recipe, **stages), self.out, self.machine)
        shown = self.out
        say("\nTo look further:")
        say(f"  {PROGRAM} inspect {shown}/condensed")
        say(f"  {PROGRAM} run --preset digits --recover.ipc 50 --out runs/ipc50")
        say(f"  {PROGRAM} run --preset digits --recover.alpha-bn 0 --out runs/without_bn")
        say(f"  {PROGRAM} run --data folder --data-root DIR --out runs/mine     # your own pictures")
        say("  make lab                                                        # the same, live in a notebook")


@dataclass(frozen=True)
class Inspect:
    """Say what an artifact is, compare its files with their hashes, and show what is in it."""

    folder: tyro.conf.Positional[Path]
    """folder of a teacher, a condensed set, a label store, a score, or of a whole run"""

    def __call__(self) -> None:
        from sre2l_core.lab.inspect import describe

        for line in describe(self.folder):
            say(line)


@dataclass(frozen=True)
class Presets:
    """List the presets, or show one as JSON."""

    name: tyro.conf.Positional[str] = ""
    """a preset to show"""

    def __call__(self) -> None:
        if not self.name:
            for name in sorted(presets.PRESETS):
                say(name)
            return
        recipe = presets.get(self.name)
        names = ("data", "squeeze", "recover", "relabel", "validate")
        say(json.dumps({name: getattr(recipe, name).model_dump(mode="json") for name in names}, indent=2))


def show_run(recipe: presets.Recipe, out: Path, machine: Machine) -> None:
    """Run a recipe with bars, then draw and print what came out."""
    from sre2l_core.lab.pipeline import run
    from sre2l_core.lab.report import draw_run

    with progress() as on_step:
        outcome = run(recipe, out, runtime=machine.runtime(), on_step=on_step, say=say)
    say("\nTop-1 accuracy of fresh students on the real validation images, mean ± std over seeds:\n")
    say(outcome.score.table())
    pictures = draw_run(outcome, out, runtime=machine.runtime())
    say(
        f"\nin {out}: teacher, condensed, {'labels, ' if recipe.store_labels else ''}score, log.csv, {', '.join(pictures)}"
    )


def load_teacher(folder: Path) -> Any:
    """A saved teacher, or `torchvision:NETWORK`."""
    from sre2l_core.artifacts import Teacher
    from sre2l_core.squeeze import from_weights

    source, _, name = str(folder).partition(":")
    return from_weights(name) if source == "torchvision" else Teacher.load(folder)


def progress() -> Any:
    """Bars on the terminal."""
    from sre2l_core.events import progress_bar

    return progress_bar()


def say(line: str) -> None:
    """The one place that prints."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)


COMMANDS: dict[str, Any] = {
    "squeeze": Squeeze,
    "recover": Recover,
    "relabel": Relabel,
    "validate": Validate,
    "run": Run,
    "demo": Demo,
    "inspect": Inspect,
    "presets": Presets,
}
