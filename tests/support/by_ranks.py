"""A program for several ranks: networks trained together and by one rank alone, and how far apart they end.

`torchrun --nproc-per-node N by_ranks.py FOLDER`: rank 0 writes FOLDER/found.json. One rank takes each batch in
micro-batches of what is a rank's part of it, so that BatchNorm sees the same images at a time.
"""

import json
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import distributed

from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.bn_stats import batchnorms
from sre2l_core.config import RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.data import Dataset, load
from sre2l_core.ranks import ALONE
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.squeeze import Squeezing, squeeze
from sre2l_core.stages.students import CondensedLesson, Student
from sre2l_core.stages.validate import validate

NETWORK = {"depth": 2, "width": 8}
SQUEEZE = {
    "plain": {},
    "adamw": {"optimizer": "adamw", "lr": 0.01},
    "cutmix": {"mix": "cutmix"},
    "micro": {"micro_batch": 4},
}
"""113 images in batches of 24: the last one has 17, of which two ranks have 12 and 5, and three 8, 8 and a last one
that joins them."""


def some_digits():
    """Few digits of five classes."""
    whole = load("digits", num_classes=5, resolution=8)
    return Dataset(whole.spec, whole.train.part(torch.arange(113)), whole.val.part(torch.arange(41)))


def apart(one, other):
    """How far two networks are apart: running means and variances, weights, and passes that BatchNorm has counted."""
    ours, theirs = batchnorms(one), batchnorms(other)
    pairs = [pair for a, b in zip(ours, theirs, strict=True) for pair in ((a.running_mean, b.running_mean),
             (a.running_var, b.running_var))]  # fmt: skip
    weights = zip(one.parameters(), other.parameters(), strict=True)
    return {
        "running": max(float((a - b).abs().max()) for a, b in pairs),
        "weights": max(float((a - b).detach().abs().max()) for a, b in weights),
        "counted": [int(a.num_batches_tracked) - int(b.num_batches_tracked) for a, b in zip(ours, theirs, strict=True)],
    }


def squeezed(data, runtime, settings):
    """A training of one epoch, and its losses."""
    rest = {"backbone": "convnet", "backbone_options": NETWORK, "epochs": 1, "batch_size": 24, "crop_scale": (0.6, 1)}
    training = Squeezing(data, SqueezeConfig(**{**rest, "lr": 0.05, **settings}), runtime=runtime)
    return training, [event.value("loss") for event in training]


def studied(data, condensed, labels, runtime, **settings):
    """A student with averaged weights and soft labels, its losses and its history."""
    rest = {"student_options": NETWORK, "epochs": 4, "batch_size": 6, "lr": 0.01, "ema": 0.9, "eval_every": 2}
    lesson = CondensedLesson("condensed", condensed, labels, soft=True)
    student = Student(lesson, data, "convnet", ValidateConfig(**{**rest, **settings}), 0, 12, runtime)
    return student, [event.value("loss") for event in student]


def continued(data, runtime):
    """Whether a training that was stopped after two steps and goes on in a new one ends with the same bits."""
    rest = {"backbone": "convnet", "backbone_options": NETWORK, "epochs": 2, "batch_size": 24}
    config = SqueezeConfig(**rest, lr=0.05)
    whole, first, second = (Squeezing(data, config, runtime=runtime) for _ in range(3))
    for _ in whole:
        pass
    for _ in islice(first, 2):
        pass
    second.load_state_dict(first.state_dict())
    for _ in second:
        pass
    return whole.teacher().id == second.teacher().id


def main(place):
    distributed.init_process_group("gloo")
    together = Runtime.auto("cpu", "fp32")
    alone, count = replace(together, ranks=ALONE), together.ranks.count
    data, found = some_digits(), {}
    for name, settings in SQUEEZE.items():
        ours, losses = squeezed(data, together, settings)
        theirs, expected = squeezed(data, alone, {"micro_batch": 24 // count, **settings})
        differ = [abs(a - b) for a, b in zip(losses, expected, strict=True)]
        found[name] = {"steps": len(losses), "losses": differ, **apart(ours.net, theirs.net)}
    teacher = Teacher(empty_network("convnet", data.spec, NETWORK), data.spec, "convnet", NETWORK)
    condensed = CondensedSet(data.train.images[:20], data.train.labels[:20], data.spec)
    for mode in ("eval", "batch"):
        labels = LiveLabels(teacher, condensed, RelabelConfig(epochs=4, mix="cutmix", teacher_mode=mode), runtime=alone)
        ours, losses = studied(data, condensed, labels, together)
        theirs, expected = studied(data, condensed, labels, alone, micro_batch=6 // count)
        differ = [abs(a - b) for a, b in zip(losses, expected, strict=True)]
        tested = [a["top1"] - b["top1"] for a, b in zip(ours.history, theirs.history, strict=True)]
        found[f"student, {mode}"] = {"steps": len(losses), "losses": differ, "tested": tested,
                                     **apart(ours.trainer.tested, theirs.trainer.tested)}  # fmt: skip
    config = ValidateConfig(students=("convnet",), student_options=NETWORK, epochs=2, batch_size=6, seeds=2,
                            against=("random", "full"))  # fmt: skip
    options = {"teacher": teacher, "runtime": together}
    scores = [validate(condensed, labels, data, config, out=place / "score", **options) for _ in range(2)]
    parted = config.but(micro_batch=6 // count)
    expected = validate(condensed, labels, data, parted, teacher=teacher, runtime=alone)
    found["validate"] = {
        "the same again": scores[0].rows == scores[1].rows,
        "tested": [a - b for x, y in zip(scores[0].rows, expected.rows, strict=True)
                   for a, b in zip(x.last, y.last, strict=True)],
    }  # fmt: skip
    found["goes on"] = continued(data, together)
    teachers = [squeeze(data, SqueezeConfig(backbone="convnet", backbone_options=NETWORK, epochs=1, batch_size=24),
                        runtime=together, out=place / "teacher").id for _ in range(2)]  # fmt: skip
    found["every rank has the teacher"] = len({t for own in everyone(teachers) for t in own}) == 1
    if together.ranks.first:
        (place / "found.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def everyone(value):
    """The values of all ranks."""
    box = [None] * distributed.get_world_size()
    distributed.all_gather_object(box, value)
    return box


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
