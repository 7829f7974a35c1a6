"""The four stages in order, each in a folder of its own: resumable, and drawn when done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from sre2l_core import data as datasets
from sre2l_core import starts, storage
from sre2l_core.artifacts import CondensedSet, Score, Teacher, empty_network
from sre2l_core.codecs import build_codec
from sre2l_core.config import DataConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError, refused
from sre2l_core.events import CsvLog, Listener, both, ignore
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, LiveLabels
from sre2l_core.stages.recover import check_teacher, plan, recover
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.squeeze import squeeze
from sre2l_core.stages.validate import baselines, validate

LOG = "log.csv"


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    data: Dataset
    teacher: Teacher
    condensed: CondensedSet
    labels: LabelSource
    score: Score


def load_data(config: DataConfig, out: Path | None = None) -> Dataset:
    """The dataset that a config names; raises `ConfigError` where `out` lies in its folder and would become data."""
    root = None if config.data != "folder" or config.data_root is None else config.data_root.expanduser().resolve()
    if root is not None and out is not None and out.resolve().is_relative_to(root):
        raise ConfigError(f"{out} lies within the data, {root}: it would become a class of it. Choose another --out.")
    return datasets.load(
        config.data,
        config.data_root,
        classes=config.classes,
        num_classes=config.num_classes,
        resolution=config.resolution,
        skip_corrupt=config.skip_corrupt,
    )


def check(recipe: Recipe, spec: DatasetSpec) -> None:
    """Raise `ConfigError` for what a later stage would refuse: now, not after hours of squeezing."""
    backbone, options = recipe.squeeze.backbone, recipe.squeeze.backbone_options
    check_teacher(Teacher(empty_network(backbone, spec, options), spec, backbone), recipe.recover)
    plan(recipe.recover, spec)
    starts.find(recipe.recover.init)
    baselines(recipe.validate)
    for name in recipe.validate.students:
        empty_network(name, spec, recipe.validate.student_options)
    if recipe.store_labels:
        build_codec(recipe.relabel.codec, **recipe.relabel.codec_options).bytes_per_row(spec.num_classes)


def run(
    recipe: Recipe,
    out: str | Path,
    *,
    runtime: Runtime | None = None,
    wait: bool = False,
    on_step: Listener = ignore,
    say: Callable[[str], object] = lambda line: None,
) -> Outcome:
    """Squeeze, recover, relabel, validate; into `out/teacher`, `out/condensed`, `out/labels`, `out/score`.

    Calling again continues, or returns what is already there.

    Args:
        recipe: settings of all stages.
        out: folder of the run; its `log.csv` gets every metric.
        runtime: device and precision; the best there is by default.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        on_step: called with every stage's events.
        say: called with a line of text after each stage.
    """
    recipe.check()
    out, runtime = Path(out), runtime or Runtime.auto()
    if _exists(out) and not out.is_dir():
        raise ArtifactError(f"{out} is not a folder. Choose another --out.")
    data = load_data(recipe.data, out)
    spec = data.spec
    check(recipe, spec)
    say(
        f"{spec.name}: {len(data.train)} + {len(data.val)} images, {spec.num_classes} classes, {spec.resolution} pixels"
    )
    # What is finished is only read: it may lie on a disc that nobody can write to.
    with nullcontext() if _is_finished(recipe, out) else storage.held(out, wait=wait):
        return _run_stages(recipe, data, out, runtime, both(on_step, CsvLog(out / LOG)), say)


def _exists(out: Path) -> bool:
    try:
        return out.exists()
    except OSError as error:
        raise refused(out, error) from error


def _is_finished(recipe: Recipe, out: Path) -> bool:
    return all((out / name / storage.MANIFEST).exists() for name in parts(recipe))


def parts(recipe: Recipe) -> list[str]:
    """The folders that a run makes, in the order of the stages."""
    return ["teacher", "condensed", *(["labels"] if recipe.store_labels else []), "score"]


def _run_stages(
    recipe: Recipe, data: Dataset, out: Path, runtime: Runtime, listener: Listener, say: Callable[[str], object]
) -> Outcome:
    teacher = squeeze(data, recipe.squeeze, runtime=runtime, out=out / "teacher", on_step=listener)
    say(f"teacher: {100 * teacher.accuracy['top1']:.1f} % on the validation images")
    condensed = recover(teacher, recipe.recover, runtime=runtime, out=out / "condensed", on_step=listener, data=data)
    say(f"condensed set: {len(condensed)} images, {condensed.ipc} a class")
    labels: LabelSource
    if recipe.store_labels:
        labels = relabel(teacher, condensed, recipe.relabel, runtime=runtime, out=out / "labels", on_step=listener)
        say(f"soft labels: {len(labels.shards)} views of every image")
    else:
        labels = LiveLabels(teacher, condensed, recipe.relabel, runtime=runtime)
        say("soft labels: made on the fly")
    score = validate(
        condensed, labels, data, recipe.validate,
        teacher=teacher, runtime=runtime, out=out / "score", on_step=listener,
    )  # fmt: skip
    return Outcome(data, teacher, condensed, labels, score)
