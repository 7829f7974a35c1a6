"""The command line: `python -m sre2l_core COMMAND --help`; torchrun starts the same entry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tyro

from sre2l_core import presets
from sre2l_core.cli import COMMANDS, PROGRAM
from sre2l_core.config import DataConfig
from sre2l_core.errors import SRe2LError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for something the user can mend, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parse(arguments)()
    except SRe2LError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command continues where it was.", file=sys.stderr)
        return 130
    return 0


def parse(arguments: Sequence[str]) -> Any:
    """The command asked for, its defaults taken from `--preset`, else from the preset of `--data`."""
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:  # prints the list of commands, or the nearest one
        return tyro.extras.subcommand_cli_from_dict(COMMANDS, prog=PROGRAM, description=__doc__, args=arguments)
    kind, rest = COMMANDS[name], arguments[1:]
    default = kind.start(starting_recipe(rest)) if hasattr(kind, "start") else None
    return tyro.cli(kind, default=default, prog=f"{PROGRAM} {name}", args=rest)


def starting_recipe(arguments: Sequence[str]) -> presets.Recipe:
    """The preset that `--preset` names, on the dataset that `--data` names."""
    data, preset = value_of(arguments, "--data"), value_of(arguments, "--preset")
    recipe = presets.get(preset or presets.default_for(data or "digits"))
    return recipe if data in (None, recipe.data.data) else replace(recipe, data=DataConfig(data=data))


def value_of(arguments: Sequence[str], flag: str) -> str | None:
    """The value of `--flag value` or `--flag=value`; None without one."""
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == flag:
            return following
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
    return None


if __name__ == "__main__":
    sys.exit(main())
