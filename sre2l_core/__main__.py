"""`sre2l COMMAND`, also `python -m sre2l_core COMMAND`: arguments in, exit status out.

The commands themselves are in `cli.py` and `commands/`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sre2l_core.interrupts import INTERRUPTS, Interrupted
from sre2l_core.torchrun import among_ranks, another_ended, check, program, told_once

if TYPE_CHECKING:
    from sre2l_core import presets

# Everything else is imported where it is used: a signal in the first second is answered like any later one.

HELP = ("help", "-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0; 1 for a defect of this package; 2 for something the user can mend; 128 + n when signal n ended it, as 130 after
    Ctrl-C and 143 after SIGTERM; 141 when nobody read what it said any more.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    shown = "--traceback" in words
    words = [word for word in words if word != "--traceback"]
    with warnings.catch_warnings(), INTERRUPTS.handled():
        warnings.showwarning = _in_one_line
        try:
            with among_ranks():
                command = parse(words)
                check(command, words[0] if words else "help")
                command()
                sys.stdout.flush()
        except SystemExit as stop:  # the parser has said what there was to say
            return int(stop.code or 0)
        except BaseException as error:
            if shown and not isinstance(error, KeyboardInterrupt):
                raise
            with told_once():
                return _answer(error, words)
    return 0


def _answer(error: BaseException, words: Sequence[str]) -> int:
    """Say what went wrong in one line; returns the exit status."""
    import os
    import shlex

    from sre2l_core.commands import PROGRAM
    from sre2l_core.errors import SRe2LError, out_of_memory, refused

    if isinstance(error, BrokenPipeError):  # as in `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be flushed has nowhere to go
        return 141
    if isinstance(error, KeyboardInterrupt):
        line = f"\nstopped. The same command goes on where it was:\n  {program(PROGRAM)} {shlex.join(words)}"
        print(line, file=sys.stderr)
        return error.status if isinstance(error, Interrupted) else 130
    if isinstance(error, OSError) and not isinstance(error, SRe2LError):
        error = refused(error.filename or "where this command writes", error)
    known = out_of_memory(error) or (error if isinstance(error, SRe2LError) else another_ended(error))
    if known is None:
        line = f"{type(error).__name__}: {error}. This is a defect of the program; what was finished is kept"
        print(f"error: {line}. Add --traceback to see where it arose.", file=sys.stderr)
        return 1
    print(f"error: {known}", file=sys.stderr)
    return 2


def parse(arguments: Sequence[str]) -> Any:
    """The command asked for, its defaults taken from `--preset`, else from the preset of the dataset."""
    import tyro

    from sre2l_core import __version__
    from sre2l_core.arguments import REGISTRY
    from sre2l_core.cli import COMMANDS, of_all_commands
    from sre2l_core.commands import PROGRAM, say
    from sre2l_core.errors import ConfigError, unknown

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
    for place, (before, word) in enumerate(pairwise(arguments), start=1):
        if not word.strip() and not before.startswith("-"):  # the parser would show nothing where this word is
            asked = " ".join(map(repr, arguments[:place]))
            raise ConfigError(f"an empty word ({word!r}) comes after {asked}: take it away, or name its option.")
    kind = COMMANDS[name]
    default = kind.start(starting_recipe(rest)) if hasattr(kind, "start") else None
    return tyro.cli(kind, default=default, prog=f"{PROGRAM} {name}", args=rest, registry=REGISTRY)


def starting_recipe(arguments: Sequence[str]) -> presets.Recipe:
    """The preset that `--preset` names, on the dataset that `--data` names or an artifact was made from.

    Options of a network go with it: where another network is asked for, those of the preset's do not apply.
    """
    from dataclasses import replace

    from sre2l_core import presets
    from sre2l_core.config import DataConfig

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
    from sre2l_core.presets.recipe import NONE

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
    from pathlib import Path

    from sre2l_core import storage
    from sre2l_core.errors import SRe2LError

    try:
        return str(storage.read_manifest(Path(artifact))["spec"]["name"])
    except (SRe2LError, KeyError):
        return None  # the command itself says what is wrong with the folder


def _in_one_line(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
