"""Table 5: images of a BN-ViT and of a ResNet-18, for students of other architectures."""

from __future__ import annotations

from typing import Any

from sre2l_core import presets
from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry, small
from sre2l_core.presets import Recipe, repeated

ROWS = {"BN-ViT": "bn_vit", "ResNet-18": "resnet18"}
STUDENTS = {"DeiT-Tiny": "deit_tiny", "ResNet-18": "resnet18", "ResNet-50": "resnet50", "ResNet-101": "resnet101"}
NUMBERS = {"BN-ViT": (25.36, 24.69, 31.15, 33.16), "ResNet-18": (15.41, 46.71, 55.29, 60.81)}
PATCHES: dict[str, Any] = {"patch_size": 8}
NARROW: dict[str, Any] = {"width": 8}
TEACHERS: dict[str, dict[str, Any]] = {
    "BN-ViT": {
        "backbone": "bn_vit", "backbone_options": PATCHES, "optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05,
        "epochs": 30, "warmup_epochs": 2,
    },
    "ResNet-18": {"backbone": "resnet18", "backbone_options": NARROW},
}  # fmt: skip
"""As they are squeezed on digits."""
OPTIONS = {"DeiT-Tiny": PATCHES, "ResNet-18": NARROW, "ResNet-50": NARROW}


def here(row: str, student: str) -> Recipe:
    """Digits, with the teacher of a row and a student."""
    learns = {"students": (STUDENTS[student],), "student_options": OPTIONS[student]}
    return small("digits").but(squeeze=TEACHERS[row], validate=learns)


table_5 = Entry(
    name="table-5",
    title="Table 5: across architectures, with BN-ViT",
    rows_are="recovered and labelled by",
    columns=tuple(STUDENTS),
    numbers=NUMBERS,
    claims=(
        Claim("A ViT learns more from images of a ViT.", "BN-ViT", "ResNet-18", where="DeiT"),
        Claim("ResNets learn more from images of a ResNet.", "ResNet-18", "BN-ViT", where="ResNet"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 7 minutes on 2 CPU cores.",
            note="ResNets have 8 channels where the paper's have 64; patches are of 8 pixels, four in a digit.",
            cells=tuple(
                Cell(row, f"digits, {student}", repeated(here(row, student), times=3))
                for student in OPTIONS
                for row in ROWS
            ),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: 23 hours from ResNet-18.",
            note="How the authors recover from BN-ViT and train DeiT-Tiny is unpublished: settings are ResNet-18's.",
            cells=tuple(
                Cell(row, name, (presets.get(f"table-5/imagenet-1k/{preset}").but(validate=ALONE),), student)
                for name, student in STUDENTS.items()
                for row, preset in ROWS.items()
            ),
        ),
    },
)

PLUGINS = {"table-5": table_5}
