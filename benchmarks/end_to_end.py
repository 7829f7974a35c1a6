"""The whole method, stage by stage: the demo (scikit-learn's digits), and ten Tiny-ImageNet classes if they are there.

One student learns the condensed set's soft labels; `--full` trains all students and baselines of the recipe.
Tiny-ImageNet is read from `--data-root` or $SRE2L_DATA, with the small network that suits a CPU, and left out without
them. Accuracies are printed because a fast run that learns nothing is no use.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Row, parser, report, started

from sre2l_core import presets
from sre2l_core.events import StepEvent
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import run
from sre2l_core.runtime import Runtime

ONE_STUDENT = {"seeds": 1, "hard_labels": False, "against": ()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--data-root", type=Path, default=os.environ.get("SRE2L_DATA"), help="folder of tiny-imagenet/")
    made.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of all stages")
    made.add_argument("--full", action="store_true", help="every student and baseline of the recipes")
    made.add_argument("--smoke", action="store_true", help="shrunken recipes: does it run through?")
    options = made.parse_args(arguments)
    device = started(options)
    runtime = Runtime.auto(options.device, options.precision)
    recipes = {"demo": presets.get("digits")}
    if options.data_root:
        ten = presets.get("tiny-imagenet-10/resnet10/noise")
        recipes["ten Tiny-ImageNet classes"] = ten.but(data={"data_root": options.data_root})
    rows = []
    for name, recipe in recipes.items():
        one = recipe if options.full else recipe.but(validate=ONE_STUDENT)
        rows += measure(name, presets.smoke(one) if options.smoke else one, runtime)
    notes = [f"Precision: {runtime.precision}."]
    if not options.data_root:
        notes.append("Tiny-ImageNet was left out: neither --data-root nor SRE2L_DATA says where it is.")
    report("end_to_end", rows, options, device, notes)


def measure(name: str, recipe: Recipe, runtime: Runtime) -> list[Row]:
    """Seconds between the first and the last event of each stage, and of the whole."""
    last: dict[str, tuple[float, int]] = {}

    def note(event: StepEvent) -> None:
        last[event.stage] = (time.perf_counter(), event.step)

    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        outcome = run(recipe, folder, runtime=runtime, on_step=note)
    rows, before = [], start
    for stage, (end, steps) in last.items():
        rows.append({"run": name, "stage": stage, "s": end - before, "steps": steps, "top-1 %": None})
        before = end
    accuracy = {
        "squeeze": outcome.teacher.accuracy["top1"],
        "validate": outcome.score.row("condensed", "soft").mean_std()[0],
    }
    for row in rows:
        row["top-1 %"] = 100 * accuracy[row["stage"]] if row["stage"] in accuracy else None
    return [*rows, {"run": name, "stage": "all", "s": time.perf_counter() - start, "steps": None, "top-1 %": None}]


if __name__ == "__main__":
    sys.exit(main())
