"""Options typed wrongly: what the parser takes is what a config takes; the rest is told beside the name of the option."""

from __future__ import annotations

import shlex
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from fuzzing import PATIENCE, TEXTS, answer, counted, deadline, unclear
from hypothesis import given, settings
from hypothesis import strategies as st
from tally import TALLY

from sre2l_core import presets
from sre2l_core.__main__ import main, parse
from sre2l_core.cli import COMMANDS
from sre2l_core.config import DataConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.errors import SRe2LError

STARTS = {
    "squeeze --out x": (SqueezeConfig, DataConfig),
    "recover --teacher x --out x": (RecoverConfig,),
    "relabel --dry-run": (RelabelConfig,),
    "validate --condensed x --out x": (ValidateConfig,),
}
OPTIONS = [(line, kind, name) for line, kinds in STARTS.items() for kind in kinds for name in kind.model_fields]
PLAIN = TEXTS.map(lambda text: text[:200].replace("\0", "0"))
"""What a shell can pass."""
TYPED = (
    st.integers(-5, 500).map(str) | st.floats().map(str) | st.sampled_from(["adam", "1,2", "a=1", "k=", "=", "depth=3"])
)
WORDS = st.lists((PLAIN | TYPED).filter(lambda word: not word.startswith("-") or word[1:2].isdigit()), max_size=3)
LONGEST = 40
"""Lines of the parser's own answer, which repeats the help of the option."""
FEW = settings(max_examples=max(10, settings().max_examples // 4))
"""A command line takes a third of a second to parse."""


def flag(name):
    return f"--{name.replace('_', '-')}"


def parsed(words):
    """The command; None where the parser has refused it in its own words, naming the option."""
    with redirect_stderr(StringIO()) as said:
        try:
            return parse(words)
        except SystemExit as stop:
            assert stop.code == 2, words
    shown = said.getvalue()
    named = (words[-1], *(word for word in words if word.startswith("--")))
    assert any(word in shown for word in named), shown
    assert len(shown.splitlines()) <= LONGEST, shown
    assert "Traceback" not in shown, shown
    return None


@FEW
@given(st.sampled_from(OPTIONS), WORDS)
def test_an_option(option, words):
    line, kind, name = option
    with counted("command lines"), deadline(PATIENCE):
        try:
            made = parsed([*shlex.split(line), flag(name), *words])
        except SRe2LError as error:
            assert not unclear(str(error)), error
            assert name in str(error) or words[0] in str(error) or repr(words[0])[1:-1] in str(error), error
            made = None
        if made is not None:
            config = made.data if kind is DataConfig else made.config
            assert kind.of(config.model_dump(mode="json")) == config
        TALLY.count("command lines", "refused" if made is None else "held")


@FEW
@given(st.sampled_from(sorted(COMMANDS)), st.lists(PLAIN, max_size=3))
def test_anything_behind_a_command(command, words):
    with counted("command lines"), deadline(PATIENCE), redirect_stderr(StringIO()) as said, redirect_stdout(StringIO()):
        try:
            parse([command, *words])
            TALLY.count("command lines", "held")
        except SystemExit as stop:
            assert stop.code in (0, 2)
            assert "Traceback" not in said.getvalue()
            TALLY.count("command lines", "refused")
        except SRe2LError as error:
            assert not unclear(str(error)), error
            TALLY.count("command lines", "refused")


@given(PLAIN, st.lists(PLAIN, max_size=2))
def test_a_command_that_is_none(command, words):
    if command not in COMMANDS and not command.startswith("-"):
        answer(
            "command lines",
            lambda: parse([command, *words]),
            "command",
            "Known",
            right=lambda made: command in ("help", "version"),
        )


@given(st.sampled_from(["presets", "presets digits --against", "relabel --dry-run --preset"]), PLAIN)
def test_the_name_of_a_preset(line, name):
    known = name.removesuffix("/smoke") in presets.PRESETS
    if known or name in ("", "none"):
        return
    with counted("names"), deadline(PATIENCE), redirect_stderr(StringIO()) as said, redirect_stdout(StringIO()):
        assert main([*shlex.split(line), name]) == 2
        shown = said.getvalue()
        assert name[:20] in shown or repr(name)[1:20] in shown, shown
        assert len(shown.splitlines()) <= LONGEST, shown
        TALLY.count("names", "refused")
