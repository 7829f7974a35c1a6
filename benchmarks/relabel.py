"""Relabelling: images per second of this package's stage 3 against the textbook way, in turns.

Textbook: every epoch decodes every PNG with PIL, crops it on its own, mixes, asks a float32 teacher and writes a pickle
for each batch. Here: `sre2l_core.relabel` into a folder, resident uint8 images, batched views, one shard an epoch.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from itertools import count

import textbook
from harness import Program, alternate, condensed_set, network, parser, picture_files, ratio, report, started

import sre2l_core
from sre2l_core.config import RelabelConfig
from sre2l_core.runtime import Runtime

QUICK = {"convnet@16:32": 500, "resnet10@64": 256, "resnet18@64": 128}
"""Networks for a CPU, and how many images each labels: the demo's, the one for one's own pictures, the paper's."""
PAPER = {"resnet18@64": 10_000, "resnet18@224": 10_000, "resnet50@224": 10_000}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument(
        "--networks", nargs="+", metavar="NAME@PIXELS[:WIDTH]", help=f"default {' '.join(QUICK)} on a CPU"
    )
    made.add_argument("--images", type=int, help="images to label")
    made.add_argument("--epochs", type=int, default=2, help="views of each image in one measured run")
    made.add_argument("--batch", type=int, default=128, help="images per pass of the teacher")
    made.add_argument("--workers", type=int, default=0, help="loader processes of the textbook way")
    options = made.parse_args(arguments)
    device = started(options)
    known = QUICK if device.type == "cpu" else PAPER
    rows = []
    for name in options.networks or known:
        images = options.images or known.get(name, 100)
        teacher = network_of(name)
        config = RelabelConfig(epochs=options.epochs, batch_size=options.batch, mix="cutmix")
        condensed = condensed_set(teacher.spec, images)
        with picture_files(condensed) as (files, folder):
            numbers = count()

            def theirs(teacher=teacher, files=files, folder=folder, config=config, numbers=numbers) -> None:
                out = folder / f"run_{next(numbers)}"
                textbook.relabel(teacher.net, files, teacher.spec, config, out, device, options.workers)

            def ours(
                precision, teacher=teacher, folder=folder, config=config, numbers=numbers, images=condensed
            ) -> None:
                out = folder / f"run_{next(numbers)}"
                sre2l_core.relabel(teacher, images, config, runtime=Runtime(device, precision), out=out)

            programs: dict[str, Program] = {
                "textbook": theirs, "fp32": lambda ours=ours: ours("fp32"), "bf16": lambda ours=ours: ours("bf16")
            }  # fmt: skip
            times = alternate(programs, options.rounds, device)
        for kind, spent in times.items():
            rows.append(
                {
                    "network": name,
                    "images × epochs": f"{images} × {options.epochs}",
                    "program": kind,
                    "images/s": images * options.epochs / statistics.median(spent),
                    "× textbook": ratio(times["textbook"], spent),
                }
            )
    report("relabel", rows, options, device, [f"Loader processes of the textbook way: {options.workers}."])


def network_of(name: str):
    """A network by `name@pixels`, with `:width` behind it for one that is narrower than usual."""
    name, _, width = name.partition(":")
    backbone, pixels = name.split("@")
    options = {"width": int(width)} if width else {}
    return network(backbone, int(pixels), 10 if int(pixels) < 64 else 200 if int(pixels) < 128 else 1000, **options)


if __name__ == "__main__":
    sys.exit(main())
