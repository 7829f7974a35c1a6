"""Accuracy in float32 beside bf16: from one teacher, images recovered and labelled and students trained in each.

Digits, and ten Tiny-ImageNet classes if they are there. bf16 gradients differ from float32's by 7 to 14 %; what
that means to students is measured here and nowhere assumed. Runs are kept in `--runs`, so the same command goes on.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from harness import Row, parser, report, started

from sre2l_core import presets
from sre2l_core.artifacts import Score
from sre2l_core.presets import Recipe
from sre2l_core.runs.difference import Difference
from sre2l_core.runs.store import Store
from sre2l_core.runtime import Runtime

ALONE = {"hard_labels": False, "against": ()}
"""Students of the condensed images with soft labels and no others."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--data-root", type=Path, default=os.environ.get("SRE2L_DATA"), help="folder of tiny-imagenet/")
    made.add_argument("--runs", type=Path, default=Path("runs/precision"), help="folder of the runs")
    made.add_argument("--recoveries", type=int, default=3, help="condensed sets in each precision")
    made.add_argument("--students", type=int, default=3, help="students of each condensed set")
    made.add_argument("--smoke", action="store_true", help="shrunken recipes: does it run through?")
    options = made.parse_args(arguments)
    device = started(options)
    recipes = {"digits": presets.get("digits")}
    if options.data_root:
        ten = presets.get("tiny-imagenet-10/resnet10/noise")
        recipes["ten Tiny-ImageNet classes"] = ten.but(data={"data_root": options.data_root})
    rows = []
    for name, recipe in recipes.items():
        chosen = presets.smoke(recipe) if options.smoke else recipe
        alone = chosen.but(validate={**ALONE, "seeds": options.students}, store_labels=False)
        rows.append(compare(name, alone, options.recoveries, options.runs, str(device)))
    report("precision", rows, options, device, [
        f"Top-1 in %, mean ± std over {options.recoveries} recoveries of the mean of {options.students} students; the "
        "interval is Student's t over recoveries, paired by seed. The teacher is one, squeezed in float32.",
    ])  # fmt: skip


def compare(name: str, recipe: Recipe, recoveries: int, folder: Path, device: str) -> Row:
    """Accuracy in both precisions, and their difference."""
    found: dict[str, list[float]] = {"fp32": [], "bf16": []}
    stores = {precision: Store(folder / precision) for precision in found}
    for seed in range(recoveries):
        seeded = recipe.but(recover={"seed": seed}, relabel={"seed": seed}, validate={"seed": seed * 100})
        for precision, store in stores.items():
            if precision == "bf16":
                share_teacher(seeded, stores["fp32"], store)
            places = store.make(seeded, runtime=Runtime.auto(device, precision), say=print)
            found[precision].append(100 * Score.load(places.score).row("condensed", "soft").mean_std()[0])
    shown = {precision: f"{mean(top1):.1f}" for precision, top1 in found.items()}
    if recoveries > 1:
        shown = {precision: f"{text} ± {stdev(found[precision]):.1f}" for precision, text in shown.items()}
    return {"run": name, **shown, "bf16 less fp32": str(Difference.between(found["bf16"], found["fp32"]))}


def share_teacher(recipe: Recipe, source: Store, target: Store) -> None:
    """Give a store the teacher of another, so that nothing but what follows differs."""
    theirs, ours = source.places(recipe).teacher, target.places(recipe).teacher
    if not ours.exists():
        target.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.folder / "store.json", target.folder)
        shutil.copytree(theirs, ours)


if __name__ == "__main__":
    sys.exit(main())
