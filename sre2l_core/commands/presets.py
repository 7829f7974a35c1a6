"""`sre2l presets`: the settings that have a name, and what two of them have not in common."""

from __future__ import annotations

import json
from dataclasses import dataclass

import tyro

from sre2l_core import presets
from sre2l_core.commands import say
from sre2l_core.errors import ConfigError
from sre2l_core.presets.recipe import word


@dataclass(frozen=True)
class Presets:
    """List the presets, show one as JSON, or what is not the same in two: why stands beside it in `presets/`.

    `/smoke` behind any name shrinks it to a minute on a CPU.
    """

    name: tyro.conf.Positional[str] = ""
    """a preset to show"""
    against: str = ""
    """another preset: show only the settings in which the two differ"""

    def __call__(self) -> None:
        """Print names, settings or differences."""
        if self.against and not self.name:
            raise ConfigError(f"against {self.against!r}, what? Give the name of a preset before --against.")
        if self.against:
            say(differences(self.name, self.against))
        elif self.name:
            say(json.dumps(presets.get(self.name).to_json(), indent=2))
        else:
            say("\n".join(sorted(presets.PRESETS)))


def differences(name: str, against: str) -> str:
    """The settings in which two presets differ, as a table with aligned columns."""
    found = presets.get(name).differences(presets.get(against))
    if not found:
        return f"{name} and {against} have the same settings."
    rows = [("", name, against), *((setting, word(ours), word(theirs)) for setting, (ours, theirs) in found.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


PLUGINS = {"presets": Presets}
