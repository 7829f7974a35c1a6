"""Figure 5: condensed images of Tiny-ImageNet and ImageNet-1K, MTT's and SRe2L's."""

from __future__ import annotations

from functools import partial

from sre2l_core.paper.entry import Budget, Claim, Entry, number
from sre2l_core.paper.rivals import LAPTOP, NOTE, STARTS, UNIT, Recognised, gallery, published, rivals

COLUMNS = ("Tiny-ImageNet", "ImageNet-1K")
SRE2L = {"SRe2L": ""}

figure_5 = Entry(
    name="figure-5",
    title="Figure 5: condensed images beside those of a bilevel method",
    rows_are="images",
    columns=COLUMNS,
    numbers={row: (None, None) for row in STARTS},
    claims=(
        Claim("SRe2L's images show more of the class than a bilevel method's (MTT there, DM here).", "SRe2L", "DM"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 2 minutes on 2 CPU cores; 10 more where Tiny-ImageNet is.",
            note=NOTE,
            cells=tuple(rivals(Recognised, LAPTOP)),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: 17 and 9 hours.",
            note=f"{NOTE} DM is left out on ImageNet-1K, which it was never tried on.",
            cells=(
                *rivals(Recognised, {"Tiny-ImageNet": published("table-4/tiny-imagenet/ipc50")}, times=1),
                *rivals(
                    partial(Recognised, judge="resnet50"),
                    {"ImageNet-1K": published("table-4/imagenet-1k/ipc10")},
                    times=1,
                    rows={"SRe2L": "", "random real": "random"},
                ),
            ),
        ),
    },
    measure=number,
    unit=UNIT,
    draw=gallery,
)

PLUGINS = {"figure-5": figure_5}
