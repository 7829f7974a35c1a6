"""The commands: what the command line offers, one dataclass each, options made from the config models."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import tyro
from tyro.conf import OmitArgPrefixes as Flat

from sre2l_core import presets
from sre2l_core.arguments import REGISTRY, DatasetName, PresetName
from sre2l_core.commands import PROGRAM, Machine, Machines, progress, say
from sre2l_core.config import DataConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.errors import ConfigError
from sre2l_core.registry import catalogue

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sre2l_core.artifacts import Teacher
    from sre2l_core.data import Dataset
    from sre2l_core.data.spec import DatasetSpec

# torch takes seconds to import: what needs it is imported where a command runs, so that --help answers at once.

DESCRIPTION = (
    f"SRe2L condenses an image data set, in four stages. To see all of them in a minute: {PROGRAM} demo. "
    f"Options of a command: {PROGRAM} COMMAND --help. Version: {PROGRAM} --version. "
    "With --traceback, errors show where in the program they arose."
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """What all commands that compute have in common."""

    by_ranks: ClassVar[bool] = False
    """Whether several processes that torchrun starts do it together."""
    preset: PresetName = None
    """settings to start from: a name that `sre2l presets` lists; by default those of the dataset"""
    machine: Flat[Machine] = field(default_factory=Machine)
    wait: bool = False
    """while another process works in the folder, wait for it instead of stopping"""


@dataclass(frozen=True, kw_only=True)
class SharedCommand(Command):
    """What all commands have in common whose work can be shared."""

    machine: Flat[Machines] = field(default_factory=Machines)


@dataclass(frozen=True, kw_only=True)
class Squeeze(Command):
    """Stage 1: train a classifier on real data, or take pretrained weights."""

    by_ranks: ClassVar[bool] = True
    out: Path
    """folder of the teacher; the same command continues an interrupted run"""
    data: Flat[DataConfig]
    config: Flat[SqueezeConfig]

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(out=tyro.MISSING, data=recipe.data, config=recipe.squeeze)

    def __call__(self) -> None:
        """Squeeze."""
        from sre2l_core.committee import members
        from sre2l_core.runs.pipeline import load_data
        from sre2l_core.stages.squeeze import squeeze

        runtime = self.machine.runtime()
        with runtime.ranks.first_of_each_machine_first():
            data = load_data(self.data, say, self.out)
        with progress(self.machine) as on_step:
            teacher = squeeze(data, self.config, runtime=runtime, out=self.out, wait=self.wait, on_step=on_step)
        for one in members(teacher):
            say(f"teacher {one.id}: {one.backbone}, top-1 {100 * one.accuracy['top1']:.2f} %, in {self.out}")
        say_next("recover", teacher=self.out, out=self.out.parent / "condensed")


@dataclass(frozen=True, kw_only=True)
class Recover(SharedCommand):
    """Stage 2: recover images from a teacher."""

    teacher: Path
    """folder of a teacher, or torchvision:NETWORK for one with ImageNet weights, such as torchvision:mobilenet_v2"""
    others: tuple[Path, ...] = ()
    """further teachers, each as --teacher: they recover together, as --teaching says"""
    out: Path
    """folder of the condensed set; the same command continues an interrupted run"""
    verifier: Path | None = None
    """folder of another classifier that watches (no effect on the images)"""
    data: DatasetName = None
    """dataset of real images for an --init that begins with them or for --class-bn, by default the teacher's; otherwise
    its classes are only compared with the teacher's"""
    data_root: Path | None = None
    """where it lies"""
    config: Flat[RecoverConfig]

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(teacher=tyro.MISSING, out=tyro.MISSING, config=recipe.recover)

    def __call__(self) -> None:
        """Recover."""
        from sre2l_core.stages.recover import recover

        runtime, teacher, data = self.machine.runtime(), load_teacher(self.teacher, self.others), None
        if self.config.init != "noise" or self.config.class_bn or self.data is not None:
            config = DataConfig(data=self.data or teacher.spec.name, data_root=self.data_root)
            if held := teacher.origin.get("holdout"):  # what was held out from the teacher is no start either
                config = config.but(holdout=held["share"], holdout_seed=held["seed"])
            data = data_like(teacher.spec, config, self.out)
        verifier = None if self.verifier is None else load_teacher(self.verifier)
        with self.machine.executor() as executor, progress(self.machine) as on_step:
            condensed = recover(
                teacher,
                self.config,
                runtime=runtime,
                out=self.out,
                wait=self.wait,
                executor=executor,
                on_step=on_step,
                data=data,
                verifier=verifier,
            )
        say(f"{len(condensed)} images, {condensed.ipc} a class, in {self.out}")
        say_next("relabel", self.others, teacher=self.teacher, condensed=self.out, out=self.out.parent / "labels")


@dataclass(frozen=True, kw_only=True)
class Relabel(SharedCommand):
    """Stage 3: soft labels of many random views of each image, or only their size (--dry-run)."""

    teacher: Path | None = None
    """folder of the teacher"""
    others: tuple[Path, ...] = ()
    """further teachers, each as --teacher: they label together, as --vote says"""
    condensed: Path | None = None
    """folder of the condensed set"""
    out: Path | None = None
    """folder of the label store; the same command continues an interrupted run"""
    dry_run: bool = False
    """print the size of the store for each codec and stop: for --condensed, or for the numbers of a --preset such as
    imagenet-1k/resnet18/reference"""
    ipc: int
    """images per class of a dry run without --condensed"""
    num_classes: int | None
    """classes of a dry run without --condensed; by default the dataset's"""
    config: Flat[RelabelConfig]

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(ipc=recipe.recover.ipc, num_classes=recipe.num_classes, config=recipe.relabel)

    def __call__(self) -> None:
        """Relabel, or say how much it would be."""
        from sre2l_core.artifacts import CondensedSet
        from sre2l_core.codecs import build_codec
        from sre2l_core.stages.relabel import relabel, store_sizes

        build_codec(self.config.codec, **self.config.codec_options)  # or the nearest name, before anything is loaded
        if self.dry_run:
            for line in store_sizes(*self._numbers(), self.config):
                say(line)
            return
        if self.teacher is None or self.condensed is None or self.out is None:
            raise ConfigError("relabel needs --teacher FOLDER, --condensed FOLDER and --out FOLDER, or --dry-run.")
        runtime, teacher = self.machine.runtime(), load_teacher(self.teacher, self.others)
        condensed = CondensedSet.load(self.condensed)
        with self.machine.executor() as executor, progress(self.machine) as on_step:
            labels = relabel(
                teacher,
                condensed,
                self.config,
                runtime=runtime,
                out=self.out,
                wait=self.wait,
                executor=executor,
                on_step=on_step,
            )
        say(f"{len(labels.shards)} views of {len(condensed)} images, in {self.out}")
        score = self.out.parent / "score"
        say_next("validate", self.others, condensed=self.condensed, labels=self.out, teacher=self.teacher, out=score)

    def _numbers(self) -> tuple[int, int]:
        from sre2l_core.artifacts import CondensedSet

        if self.condensed is not None:
            condensed = CondensedSet.load(self.condensed)
            return len(condensed), condensed.spec.num_classes
        if self.num_classes is None or self.num_classes < 1 or self.ipc < 1:
            raise ConfigError("a dry run needs --condensed FOLDER, or --num-classes N and --ipc N of at least 1.")
        return self.ipc * self.num_classes, self.num_classes


@dataclass(frozen=True, kw_only=True)
class Validate(SharedCommand):
    """Stage 4: train students on the condensed set and on baselines, test them on real data."""

    by_ranks: ClassVar[bool] = True
    condensed: Path
    """folder of the condensed set"""
    labels: Path | None = None
    """folder of a label store; without it the teacher labels on the fly the views that `--views` describes"""
    teacher: Path | None = None
    """folder of the teacher: labels the random real images, and the condensed ones if there is no label store"""
    others: tuple[Path, ...] = ()
    """further teachers, each as --teacher: all that labelled the condensed images"""
    out: Path
    """folder of the score; the same command continues an interrupted run"""
    data: Flat[DataConfig]
    config: Flat[ValidateConfig]
    views: RelabelConfig

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        data = DataConfig(data=recipe.data.data)  # classes and resolution are those of the condensed set
        missing = {"condensed": tyro.MISSING, "out": tyro.MISSING}
        return cls(data=data, config=recipe.validate, views=recipe.relabel, **missing)

    def __call__(self) -> None:
        """Validate."""
        from sre2l_core.artifacts import CondensedSet
        from sre2l_core.stages.labels import LabelSource, LiveLabels, SoftLabels
        from sre2l_core.stages.validate import validate

        runtime, condensed = self.machine.runtime(), CondensedSet.load(self.condensed)
        teacher = None if self.teacher is None else load_teacher(self.teacher, self.others)
        labels: LabelSource
        if self.labels is not None:
            labels = SoftLabels.load(self.labels)
        elif teacher is not None:
            labels = LiveLabels(teacher, condensed, self.views, runtime=runtime)
        else:
            raise ConfigError("validate needs --labels FOLDER, or --teacher FOLDER to make them on the fly.")
        with runtime.ranks.first_of_each_machine_first():
            data = data_like(condensed.spec, self.data, self.out)
        with self.machine.executor() as executor, progress(self.machine) as on_step:
            score = validate(
                condensed,
                labels,
                data,
                self.config,
                teacher=teacher,
                runtime=runtime,
                out=self.out,
                wait=self.wait,
                executor=executor,
                on_step=on_step,
            )
        say(score.table())


@dataclass(frozen=True, kw_only=True)
class Run(SharedCommand):
    """All four stages in order, into one folder; the same command continues an interrupted run."""

    out: Path
    """folder of the run"""
    seed: int | None = None
    """one seed for all stages"""
    store_labels: bool
    """write soft labels to disk instead of making them on the fly"""
    data: Flat[DataConfig]
    squeeze: SqueezeConfig
    recover: RecoverConfig
    relabel: RelabelConfig
    validate: ValidateConfig

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(out=Path("runs", recipe.data.data), **vars(recipe))

    def __call__(self) -> None:
        """Run the stages, draw and print the results."""
        recipe = presets.Recipe(
            self.data, self.squeeze, self.recover, self.relabel, self.validate, store_labels=self.store_labels
        )
        recipe = recipe if self.seed is None else recipe.seeded(self.seed)
        with self.machine.executor() as executor:
            run_and_show(recipe, self.out, self.machine, self.wait, executor)


@dataclass(frozen=True)
class Demo:
    """The whole method on scikit-learn's handwritten digits, about a minute on two CPU cores."""

    out: Path = Path("runs/demo")
    """folder of the run"""
    seed: int = 0
    """one seed for all stages"""
    machine: Flat[Machine] = field(default_factory=Machine)
    wait: bool = False
    """while another process works in the folder, wait for it instead of stopping"""

    def __call__(self) -> None:
        """Run the `digits` preset, then say what to try next."""
        run_and_show(presets.get("digits").seeded(self.seed), self.out, self.machine, self.wait)
        say("\nTo look further:")
        if which(PROGRAM) is None:
            say(f"  source {shlex.quote(sys.prefix)}/bin/activate   # so that the shell finds `{PROGRAM}`")
        say(f"  {PROGRAM} inspect {shlex.quote(str(self.out / 'condensed'))}")
        say(f"  {PROGRAM} run --preset digits --recover.ipc 50 --out runs/ipc50")
        say(f"  {PROGRAM} run --preset digits --recover.alpha-bn 0 --out runs/without_bn")
        say(f"  {PROGRAM} run --data folder --data-root DIR --out runs/mine   # your own pictures")
        say("  make lab                                                      # the same, live in a notebook")


@dataclass(frozen=True)
class Inspect:
    """Say what an artifact is, compare its files with their hashes, and show what is in it."""

    folder: tyro.conf.Positional[Path]
    """folder of a teacher, a condensed set, a label store, a score, or of a whole run"""

    def __call__(self) -> None:
        """Print the description."""
        from sre2l_core.runs.inspect import describe

        for line in describe(self.folder):
            say(line)


COMMANDS: dict[str, Any] = {
    "squeeze": Squeeze,
    "recover": Recover,
    "relabel": Relabel,
    "validate": Validate,
    "run": Run,
    "demo": Demo,
    "inspect": Inspect,
    **catalogue("commands"),
}


def of_all_commands(arguments: list[str]) -> None:
    """Let tyro speak of all commands at once: `--help`, or a script for a shell; it ends with `SystemExit`."""
    recipe, kinds = presets.default_for("digits"), []
    for name, kind in COMMANDS.items():
        default = kind.start(recipe) if hasattr(kind, "start") else tyro.MISSING
        kinds.append(Annotated[kind, tyro.conf.subcommand(name, default=default)])
    every: Any = reduce(or_, kinds)
    tyro.cli(every, prog=PROGRAM, description=DESCRIPTION, args=arguments, registry=REGISTRY)


def run_and_show(
    recipe: presets.Recipe, out: Path, machine: Machine, wait: bool = False, executor: Executor | None = None
) -> None:
    """Run a recipe with bars, then draw and print what came out."""
    from sre2l_core.runs.pipeline import run
    from sre2l_core.runs.report import draw_run

    runtime = machine.runtime()
    with progress(machine) as on_step:
        outcome = run(recipe, out, runtime=runtime, wait=wait, executor=executor, on_step=on_step, say=say)
    say("\nTop-1 accuracy of fresh students on the real validation images, mean ± std over seeds:\n")
    say(outcome.score.table())
    pictures = draw_run(outcome, out, runtime=runtime)
    folders = ["teacher", "condensed", "labels", "score"] if recipe.store_labels else ["teacher", "condensed", "score"]
    say(f"\nin {out}: {', '.join([*folders, 'log.csv', *pictures])}")


def load_teacher(folder: Path, others: Sequence[Path] = ()) -> Teacher:
    """A saved teacher, or `torchvision:NETWORK`; with others, which are as it, the committee of all."""
    from sre2l_core.artifacts import Teacher
    from sre2l_core.committee import join
    from sre2l_core.stages.squeeze import from_weights

    sources = [(one, *str(one).partition(":")) for one in (folder, *others)]
    found = (from_weights(name) if kind == "torchvision" else Teacher.load(one) for one, kind, _, name in sources)
    return join([*found])


def data_like(spec: DatasetSpec, config: DataConfig, out: Path) -> Dataset:
    """The real data, with classes and resolution of an artifact where no others are asked for; see `load_data`."""
    from sre2l_core.runs.pipeline import load_data

    classes = None if config.num_classes is not None else config.classes or spec.classes
    return load_data(config.but(classes=classes, resolution=config.resolution or spec.resolution), say, out)


def say_next(command: str, others: Sequence[Path] = (), **folders: Path) -> None:
    """Print the command that goes on from here."""
    options = [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]
    options += ["--others", *map(str, others)] if others else []
    say(f"next: {PROGRAM} {shlex.join([command, *options])}")
