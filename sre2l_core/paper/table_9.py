"""Table 9: the larger the pictures, the more SRe2L's are worth."""

from __future__ import annotations

from sre2l_core import presets
from sre2l_core.paper.entry import ALONE, TEN, TEN_CLASSES, Budget, Cell, Claim, Entry, small
from sre2l_core.presets import Recipe, repeated

ROWS = {"smallest": 64, "half": 112, "full": 224}
"""The paper's pixels."""
STUDENTS = {"ResNet-18": "resnet18", "ResNet-50": "resnet50", "ResNet-101": "resnet101"}
NUMBERS = {"smallest": (35.27, 42.26, 44.37), "half": (34.15, 42.76, 45.25), "full": (46.75, 55.62, 60.81)}
LAPTOP: dict[str, tuple[Recipe, dict[str, int | None]]] = {
    "drawings": (small("drawings/pixels"), {"smallest": 8, "half": 16, "full": None}),
    TEN_CLASSES: (TEN, {"smallest": 16, "half": 32, "full": None}),
}

table_9 = Entry(
    name="table-9",
    title="Table 9: resolution",
    rows_are="resolution",
    columns=tuple(STUDENTS),
    numbers=NUMBERS,
    claims=(
        Claim("Accuracy grows with resolution.", "full", "smallest"),
        Claim("It grows from half to full.", "full", "half"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 2 minutes on 2 CPU cores; 7 more where Tiny-ImageNet is.",
            note="The paper's pictures have 64, 112 and 224 pixels; here 8, 16 and 32 (drawings) and 16, 32 and 64.",
            cells=tuple(
                Cell(
                    row, column, repeated(recipe.but(data={"resolution": pixels}), times=3),
                    optional=column == TEN_CLASSES,
                )
                for column, (recipe, sizes) in LAPTOP.items()
                for row, pixels in sizes.items()
            ),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: 46 hours at 224 pixels.",
            note="How the authors squeezed at 64 and 112 pixels is unpublished: docs/decisions/0007.",
            cells=tuple(
                Cell(row, name, (presets.get(f"table-9/imagenet-1k/{pixels}").but(validate=ALONE),), student)
                for name, student in STUDENTS.items()
                for row, pixels in ROWS.items()
            ),
        ),
    },
)  # fmt: skip

PLUGINS = {"table-9": table_9}
