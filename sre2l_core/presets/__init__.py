"""The paper's settings by name: `dataset/network/source`; one file per dataset, in the catalogue by its `PLUGINS`.

`paper` is what Tables 7 and 10 say and nothing else; `reference` is written as what the authors' code does otherwise,
or says more; `modern` as how today's recipes train students. Where it lies in their code and why it matters stands
beside each difference; `sre2l presets NAME --against OTHER` prints them. `/smoke` behind any name
shrinks it to a minute on a CPU.

No preset says a precision. bf16, which `auto` takes where the hardware multiplies it, cost students nothing that three
recoveries show (docs/LOG.md, 2026-11-25); `--precision fp32` is the arithmetic of the paper's own code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sre2l_core.errors import ConfigError, unknown
from sre2l_core.presets.recipe import Recipe, repeated, smoke
from sre2l_core.registry import catalogue

__all__ = ["PRESETS", "Recipe", "about", "default_for", "get", "over", "repeated", "smoke"]

PRESETS: dict[str, Recipe] = catalogue("presets")


def get(name: str) -> Recipe:
    """The recipe called `name`; `/smoke` behind it for a shrunken one. Raises `ConfigError` naming the nearest."""
    base = name.removesuffix("/smoke")
    if base not in PRESETS:
        raise unknown("preset", base, PRESETS)
    return PRESETS[base] if base == name else smoke(PRESETS[base])


def default_for(dataset: str) -> Recipe:
    """The recipe a dataset gets where none is named: the reference's for ResNet-18; without one, that of `folder`."""
    for name in (dataset, f"{dataset}/resnet18/reference"):
        if name in PRESETS:
            return PRESETS[name]
    from sre2l_core import data

    if dataset not in data.names():
        raise unknown("dataset", dataset, data.names())
    return PRESETS["folder"]


def over(recipe: Recipe, data_root: str | Path | None) -> Recipe:
    """The recipe with data that lie in this folder; unchanged without one.

    Raises:
        ConfigError: for one's own pictures of which nobody says where they are.
    """
    if data_root:
        return recipe.but(data={"data_root": Path(data_root).expanduser()})
    if recipe.data.data == "folder" and recipe.data.data_root is None:
        raise ConfigError(
            "the preset `folder` is for your own pictures: say where they are (DATA_ROOT in a notebook, --data-root on "
            "the command line), a folder with a subfolder of pictures for each class."
        )
    return recipe


def about(name: str) -> str:
    """What a preset is, in a line: the first of the file that offers it, and what is settled in it."""
    recipe, base = get(name), name.removesuffix("/smoke")
    files: list[Any] = [module for path, module in sys.modules.items() if path.startswith(f"{__name__}.")]
    (home,) = (module for module in files if base in getattr(module, "PLUGINS", {}))
    recovery, first = recipe.recover, home.__doc__.split("\n")[0].rstrip(".")
    return f"{first}. Teacher {recipe.squeeze.backbone}, {recovery.steps:,} steps, α_BN {recovery.alpha_bn:g}."
