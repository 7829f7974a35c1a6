"""Training of a student on stored soft labels: images per second against the textbook way, in turns.

Textbook: for every batch, unpickle its labels, decode and crop every PNG on its own, mix, one AdamW step of a float32
student, `loss.item()`. Here: `sre2l_core.stages.validate`'s own lesson and trainer on resident uint8 images.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

import textbook
from harness import alternate, condensed_set, parser, picture_files, ratio, report, started
from relabel import network_of

import sre2l_core
from sre2l_core.artifacts import empty_network
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.losses import soft_label_loss
from sre2l_core.runtime import Runtime
from sre2l_core.stages.students import CondensedLesson
from sre2l_core.stages.training import Trainer

QUICK = {"convnet@16:32": 250, "resnet10@64": 150, "resnet18@64": 50}
"""Networks for a CPU, and how many images each learns from: whole batches."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument(
        "--networks", nargs="+", metavar="NAME@PIXELS[:WIDTH]", help=f"default {' '.join(QUICK)} on a CPU"
    )
    made.add_argument("--images", type=int, help="images to train on")
    made.add_argument("--batch", type=int, default=50, help="images per step")
    made.add_argument("--workers", type=int, default=0, help="loader processes of the textbook way")
    options = made.parse_args(arguments)
    device = started(options)
    rows = []
    for name in options.networks or QUICK:
        images, teacher = options.images or QUICK.get(name, 100), network_of(name)
        views = RelabelConfig(epochs=1, batch_size=options.batch, mix="cutmix")
        config = ValidateConfig(epochs=1, batch_size=options.batch, optimizer="adamw", lr=1e-3, weight_decay=0.01)
        condensed = condensed_set(teacher.spec, images)
        fresh = lambda teacher=teacher: empty_network(teacher.backbone, teacher.spec, teacher.options)  # noqa: E731
        with picture_files(condensed) as (files, folder):
            textbook.relabel(teacher.net, files, teacher.spec, views, folder / "labels", device, 0)
            stored = sre2l_core.relabel(teacher, condensed, views, runtime=Runtime(device))
            lesson = CondensedLesson("condensed", condensed, stored, soft=True)

            def theirs(fresh=fresh, files=files, folder=folder, spec=teacher.spec, config=config) -> None:
                for _ in textbook.train(fresh(), files, spec, config, folder / "labels", device, options.workers):
                    pass

            def ours(precision, fresh=fresh, lesson=lesson, config=config) -> None:
                runtime = Runtime(device, precision)
                trainer = Trainer(fresh(), config, runtime)
                for batch in lesson.batches(0, config, 0, runtime):
                    trainer.step(
                        batch.pixels,
                        lambda logits, rows, batch=batch: soft_label_loss(
                            logits, batch.soft[rows], batch.hard[rows], config
                        ),
                        0.0,
                    )

            programs = {
                "textbook": theirs, "fp32": lambda ours=ours: ours("fp32"), "bf16": lambda ours=ours: ours("bf16")
            }  # fmt: skip
            times = alternate(programs, options.rounds, device)
        for kind, spent in times.items():
            rows.append(
                {
                    "student": name,
                    "images": images,
                    "program": kind,
                    "images/s": images / statistics.median(spent),
                    "× textbook": ratio(times["textbook"], spent),
                }
            )
    report("validate", rows, options, device, [f"Loader processes of the textbook way: {options.workers}."])


if __name__ == "__main__":
    sys.exit(main())
