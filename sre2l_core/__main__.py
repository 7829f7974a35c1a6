"""`sre2l COMMAND`, also `python -m sre2l_core COMMAND`: arguments in, exit status out.

The commands themselves are in `cli.py` and `commands/`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro

from sre2l_core import __version__, presets
from sre2l_core.arguments import NONE, REGISTRY
from sre2l_core.cli import COMMANDS, PROGRAM, of_all_commands
from sre2l_core.commands import say
from sre2l_core.config import DataConfig
from sre2l_core.errors import ConfigError, SRe2LError, unknown

HELP = ("help", "-h", "--help")
OUT_OF_MEMORY = (
    "What was finished is kept. Use smaller batches (batch_size, micro_batch) or groups (group_size, stack)."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for something the user can mend, 130 when interrupted."""
    with warnings.catch_warnings():
        warnings.showwarning = _in_one_line
        try:
            parse(sys.argv[1:] if arguments is None else arguments)()
        except SystemExit as stop:  # the parser has said what there was to say
            return int(stop.code or 0)
        except (SRe2LError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
                raise
            print(f"error: {str(error).splitlines()[0]} {OUT_OF_MEMORY}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nstopped; the same command continues where it was.", file=sys.stderr)
            return 130
    return 0


def parse(arguments: Sequence[str]) -> Any:
    """The command asked for, its defaults taken from `--preset`, else from the preset of the dataset."""
    name, rest = (arguments[0], list(arguments[1:])) if arguments else ("help", [])
    if name in ("version", "-V", "--version"):
        return lambda: say(f"sre2l_core {__version__}")
    if name in HELP:
        topic = [word for word in rest if word not in HELP]
        return parse([*topic, "--help"]) if topic else of_all_commands(["--help"])
    if name.startswith("-"):
        raise ConfigError(f"the command comes first, then its options: {PROGRAM} COMMAND {name} ... (got {name!r}).")
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    kind = COMMANDS[name]
    default = kind.start(starting_recipe(rest)) if hasattr(kind, "start") else None
    return tyro.cli(kind, default=default, prog=f"{PROGRAM} {name}", args=rest, registry=REGISTRY)


def starting_recipe(arguments: Sequence[str]) -> presets.Recipe:
    """The preset that `--preset` names, on the dataset that `--data` names or an artifact was made from.

    Options of a network go with it: where another network is asked for, those of the preset's do not apply.
    """
    made_from = value_of(arguments, "--condensed", "--teacher")
    data = value_of(arguments, "--data") or (made_from and dataset_of(made_from))
    preset = value_of(arguments, "--preset")
    recipe = presets.get(preset) if preset else presets.default_for(data or "digits")
    if data not in (None, recipe.data.data):
        recipe = replace(recipe, data=DataConfig(data=data))
    if value_of(arguments, "--squeeze.backbone", "--backbone") not in (None, recipe.squeeze.backbone):
        recipe = replace(recipe, squeeze=recipe.squeeze.but(backbone_options={}))
    if value_of(arguments, "--validate.students", "--students") not in (None, ",".join(recipe.validate.students)):
        recipe = replace(recipe, validate=recipe.validate.but(student_options={}))
    return recipe


def value_of(arguments: Sequence[str], *flags: str) -> str | None:
    """The value of the first of `flags` that is given, as `--flag value` or `--flag=value`; None also for `none`."""
    for flag in flags:
        for position, argument in enumerate(arguments):
            name, equals, value = argument.partition("=")
            if name == flag:
                value = value if equals else next(iter(arguments[position + 1 :]), NONE)
                return None if value == NONE else value
    return None


def dataset_of(artifact: str) -> str | None:
    """The dataset that a teacher or condensed set belongs to; None if there is no such artifact."""
    if artifact.startswith("torchvision:"):
        return "imagenet-1k"
    from sre2l_core import storage

    try:
        return str(storage.read_manifest(Path(artifact))["spec"]["name"])
    except (SRe2LError, KeyError):
        return None  # the command itself says what is wrong with the folder


def _in_one_line(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
