"""Table 3: recovering longer makes better images; a larger teacher is harder to recover from."""

from __future__ import annotations

from sre2l_core import presets
from sre2l_core.paper.entry import ALONE, TEN, TEN_CLASSES, Budget, Cell, Claim, Entry, small
from sre2l_core.presets import Recipe, repeated

COLUMNS = {"Tiny-ImageNet": "tiny-imagenet", "ImageNet-1K": "imagenet-1k"}
STEPS = {"× 1": "0.5k", "× 2": "1k", "× 4": "2k", "× 8": "4k"}
TEACHERS = {"small": "resnet18", "large": "resnet50"}
"""The paper's; here a ConvNet of 32 and one of 64 channels. Students are as the small one."""
NUMBERS = {
    "small, × 1": (34.82, 38.94),
    "small, × 2": (37.88, 43.69),
    "small, × 4": (41.35, 46.71),
    "small, × 8": (41.11, 46.73),
    "large, × 1": (35.92, 21.38),
    "large, × 2": (39.19, 28.69),
    "large, × 4": (39.59, 33.20),
    "large, × 8": (39.29, 35.41),
}
digits = {"small": small("digits"), "large": small("digits", squeeze={"backbone_options": {"depth": 3, "width": 64}})}


def recovered(recipe: Recipe, steps: int, row: str) -> tuple[Recipe, ...]:
    """Repetitions with as many times `steps` as the row says."""
    return repeated(recipe.but(recover={"steps": steps * int(row.rpartition("× ")[2])}), times=3)


table_3 = Entry(
    name="table-3",
    title="Table 3: iterations of recovery, small and large teacher",
    rows_are="teacher, iterations",
    columns=tuple(COLUMNS),
    numbers=NUMBERS,
    claims=(
        Claim("Recovering longer makes better images.", "small, × 4", "small, × 1"),
        Claim("Longer still brings nothing.", "small, × 8", "small, × 4", within=1.0),
        Claim("A larger teacher takes more iterations.", "small, × 4", "large, × 4"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 3 minutes on 2 CPU cores; 11 more where Tiny-ImageNet is.",
            note="× 1 are 500 iterations in the paper, 75 (digits) and 30 (Tiny-ImageNet) here; small and large are "
            "ResNet-18 and -50 in the paper, ConvNets of 32 and 64 channels here.",
            cells=(
                *(Cell(row, "digits", recovered(digits[row.split(",")[0]], 75, row)) for row in NUMBERS),
                *(
                    Cell(row, TEN_CLASSES, recovered(TEN, 30, row), optional=True)
                    for row in NUMBERS
                    if row.startswith("small")
                ),
            ),
        ),
        "gpu": Budget(
            cost="Recovery alone, by the table's times on an RTX 4090: 16, 57, 87 and 273 hours.",
            note="× 1 are 500 iterations; small and large are ResNet-18 and -50.",
            cells=tuple(
                Cell(
                    f"{size}, {times}", column,
                    (presets.get(f"table-3/{dataset}/{network}/{preset}").but(validate=ALONE),),
                )
                for column, dataset in COLUMNS.items()
                for size, network in TEACHERS.items()
                for times, preset in STEPS.items()
            ),
        ),
    },
)  # fmt: skip

PLUGINS = {"table-3": table_3}
