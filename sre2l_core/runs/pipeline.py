"""The four stages in order, each in a folder of its own: resumable, and drawn when done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sre2l_core import data as datasets
from sre2l_core import parametrisations, starts, storage
from sre2l_core.artifacts import CondensedSet, Score, Teacher, empty_network
from sre2l_core.codecs import build_codec
from sre2l_core.committee import join, members
from sre2l_core.config import DataConfig, SqueezeConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError, refused
from sre2l_core.events import CsvLog, Listener, StepEvent, ignore
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, LiveLabels
from sre2l_core.stages.recover import check_teacher, plan
from sre2l_core.stages.recover.stage import recovering
from sre2l_core.stages.relabel import relabelling
from sre2l_core.stages.rows import baselines
from sre2l_core.stages.squeeze import squeezing
from sre2l_core.stages.validate import validating
from sre2l_core.steps import drive, observed, stepwise

LOG = "log.csv"


@dataclass(frozen=True)
class Places:
    """Where the parts of a run lie; runs that share a folder share what is in it."""

    teacher: Path
    condensed: Path
    labels: Path
    score: Path
    log: Path
    members: tuple[Path, ...] = ()
    """Of the teachers of a committee; beside it where none are named."""

    @classmethod
    def in_folder(cls, out: Path) -> Self:
        """All in one folder, which belongs to one run; raises `ArtifactError` where that is a file."""
        try:
            if out.exists() and not out.is_dir():
                raise ArtifactError(f"{out} is not a folder. Choose another --out.")
        except OSError as error:
            raise refused(out, error) from error
        return cls(out / "teacher", out / "condensed", out / "labels", out / "score", out / LOG)

    def finished(self, recipe: Recipe) -> bool:
        """Whether all parts that a recipe asks for are there."""
        parts = (self.teacher, self.condensed, self.score, *((self.labels,) if recipe.store_labels else ()))
        return all((part / storage.MANIFEST).exists() for part in parts)


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    data: Dataset
    teacher: Teacher
    condensed: CondensedSet
    labels: LabelSource
    score: Score


def load_data(config: DataConfig, say: Callable[[str], object] = lambda line: None, out: Path | None = None) -> Dataset:
    """The dataset that a config names; `say` is told what the loader left out or found missing.

    Raises:
        ConfigError: where `out` lies in the folder of the data and would become a class of it.
    """
    root = None if config.data != "folder" or config.data_root is None else config.data_root.expanduser().resolve()
    if root is not None and out is not None and out.resolve().is_relative_to(root):
        raise ConfigError(f"{out} lies within the data, {root}: it would become a class of it. Choose another --out.")
    data = datasets.load(
        config.data,
        config.data_root,
        classes=config.classes,
        num_classes=config.num_classes,
        resolution=config.resolution,
        skip_corrupt=config.skip_corrupt,
        holdout=config.holdout,
        holdout_seed=config.holdout_seed,
    )
    for note in data.notes:
        say(f"{data.name}: {note}")
    return data


def untrained(config: SqueezeConfig, spec: DatasetSpec) -> Teacher:
    """The teacher that squeezing would make, as it begins."""
    return join(
        [
            Teacher(empty_network(one.backbone, spec, options, one.seed), spec, one.backbone, options)
            for one in config.each()
            for options in [dict(one.backbone_options)]
        ]
    )


def check(recipe: Recipe, spec: DatasetSpec) -> None:
    """Raise `ConfigError` for what a later stage would refuse: now, not after hours of squeezing."""
    check_teacher(untrained(recipe.squeeze, spec), recipe.recover)
    plan(recipe.recover, spec)
    starts.find(recipe.recover.init)
    parametrisations.find(recipe.recover.parametrisation)
    baselines(recipe.validate)
    for name in recipe.validate.students:
        empty_network(name, spec, recipe.validate.student_options)
    if recipe.store_labels:
        build_codec(recipe.relabel.codec, **recipe.relabel.codec_options).bytes_per_row(spec.num_classes)


@stepwise
def running(
    recipe: Recipe,
    out: str | Path | Places,
    *,
    runtime: Runtime | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Generator[StepEvent, None, Outcome]:
    """The steps of `run`: those of each stage in turn, and at the end what they made."""
    recipe.check()
    to, runtime = out if isinstance(out, Places) else Places.in_folder(Path(out)), runtime or Runtime.auto()
    data = load_data(recipe.data, say, to.log.parent)
    spec = data.spec
    check(recipe, spec)
    say(
        f"{spec.name}: {len(data.train)} + {len(data.val)} images, {spec.num_classes} classes, {spec.resolution} pixels"
    )
    # What is finished is only read, for it may lie on a disc that nobody can write to; runs that share folders meet
    # where they claim them.
    own = not isinstance(out, Places) and not to.finished(recipe)
    with storage.held(to.log.parent, wait=wait) if own else nullcontext():
        made = yield from observed(_stages(recipe, data, to, runtime, wait, executor, say), CsvLog(to.log))
    assert made is not None  # all stages were asked for
    return made


def run(
    recipe: Recipe,
    out: str | Path | Places,
    *,
    runtime: Runtime | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> Outcome:
    """Squeeze, recover, relabel, validate; into `out/teacher`, `out/condensed`, `out/labels`, `out/score`.

    Calling again continues, or returns what is already there.

    Args:
        recipe: settings of all stages.
        out: folder of the run, whose `log.csv` gets every metric; or the place of each part.
        runtime: device and precision; the best there is by default.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        executor: whose workers recover, relabel and train students; see `work.Workers`. The teacher is trained here.
        on_step: called with every stage's events.
        say: called with a line of text after each stage.
    """
    return drive(running(recipe, out, runtime=runtime, wait=wait, executor=executor, say=say), on_step)


@stepwise
def running_up_to(
    stage: str,
    recipe: Recipe,
    to: Places,
    *,
    runtime: Runtime | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Generator[StepEvent, None, Outcome | None]:
    """The steps of a run up to a stage, such as `recover` where images are enough; `running` goes on from there."""
    recipe.check()
    data, runtime = load_data(recipe.data, say, to.log.parent), runtime or Runtime.auto()
    check(recipe, data.spec)
    steps = _stages(recipe, data, to, runtime, wait, executor, say, until=stage)
    return (yield from observed(steps, CsvLog(to.log)))


def _stages(
    recipe: Recipe,
    data: Dataset,
    to: Places,
    runtime: Runtime,
    wait: bool,
    executor: Executor | None,
    say: Callable[[str], object],
    until: str = "validate",
) -> Generator[StepEvent, None, Outcome | None]:
    """The steps of the stages up to that one; None where that is not the last."""
    options: dict[str, Any] = {"runtime": runtime, "wait": wait}
    teacher = yield from squeezing(data, recipe.squeeze, out=to.teacher, members=to.members, **options)
    options["executor"] = executor
    for one in members(teacher):
        named = "teacher" if one is teacher else f"teacher {one.backbone}"
        say(f"{named}: {100 * one.accuracy['top1']:.1f} % on the validation images")
    if until == "squeeze":
        return None
    condensed = yield from recovering(teacher, recipe.recover, out=to.condensed, data=data, **options)
    say(f"condensed set: {len(condensed)} images, {condensed.ipc} a class")
    if until == "recover":
        return None
    labels: LabelSource
    if recipe.store_labels:
        labels = yield from relabelling(teacher, condensed, recipe.relabel, out=to.labels, **options)
        say(f"soft labels: {len(labels.shards)} views of every image")
    else:
        labels = LiveLabels(teacher, condensed, recipe.relabel, runtime=runtime)
        say("soft labels: made on the fly")
    if until == "relabel":
        return None
    score = yield from validating(condensed, labels, data, recipe.validate, teacher=teacher, out=to.score, **options)
    return Outcome(data, teacher, condensed, labels, score)
