"""Table 2: squeezing longer, or with mixed images, makes teachers that are harder to recover from."""

from __future__ import annotations

from sre2l_core import presets
from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry, small
from sre2l_core.presets import repeated
from sre2l_core.presets.tables import SQUEEZING

COLUMNS = {"Tiny-ImageNet, ResNet-18": "resnet18", "Tiny-ImageNet, ResNet-50": "resnet50"}
"""By the network that is squeezed."""
ROWS = {"epochs × 1": "50", "epochs × 2": "100", "epochs × 4": "200", "epochs × 8": "400", "Mixup": "mixup"}
ROWS["CutMix"] = "cutmix"
"""As they are called here -> in the names of the presets."""
NUMBERS = {
    "epochs × 1": (37.88, 39.19),
    "epochs × 2": (37.49, 33.63),
    "epochs × 4": (32.18, 30.65),
    "epochs × 8": (23.88, 26.43),
    "Mixup": (35.59, 36.95),
    "CutMix": (25.90, 29.61),
}
digits = small("digits")


def squeezed(row: str) -> dict[str, object]:
    """How the teacher of a row is squeezed on digits: 15 epochs where the paper has 50."""
    changes = dict(SQUEEZING[ROWS[row]])
    return {**changes, "epochs": 15 * changes.get("epochs", 50) // 50}


table_2 = Entry(
    name="table-2",
    title="Table 2: squeezing budget, Mixup and CutMix",
    rows_are="squeezed with",
    columns=tuple(COLUMNS),
    numbers=NUMBERS,
    claims=(
        Claim("Images of a teacher that was squeezed longer are worse.", "epochs × 1", "epochs × 8"),
        Claim("Mixup while squeezing makes them worse.", "epochs × 1", "Mixup"),
        Claim("CutMix makes them worse.", "epochs × 1", "CutMix"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 8 minutes on 2 CPU cores.",
            note="× 1 are 50 epochs in the paper and 15 here; each repetition has a teacher of its own.",
            cells=tuple(
                Cell(row, "digits", repeated(digits.but(squeeze=squeezed(row)), times=5, teachers=True)) for row in ROWS
            ),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: 2 hours a row for ResNet-18, 8 for ResNet-50.",
            note="× 1 are 50 epochs.",
            cells=tuple(
                Cell(row, column, (presets.get(f"table-2/tiny-imagenet/{network}/{preset}").but(validate=ALONE),))
                for column, network in COLUMNS.items()
                for row, preset in ROWS.items()
            ),
        ),
    },
)

PLUGINS = {"table-2": table_2}
