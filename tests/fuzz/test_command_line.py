"""Options typed wrongly: what the parser takes is what a config takes, the rest is told beside the option's name."""

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
FEW = settings(max_examples=max(6, settings().max_examples // 4))
"""A command line takes a third of a second to parse."""


def typed(words):
    """The command that words stand for, or None; the exit status; and what was said."""
    with redirect_stderr(StringIO()) as said, redirect_stdout(said):
        try:
            return parse(words), 0, ""
        except SystemExit as stop:
            return None, stop.code, said.getvalue()
        except SRe2LError as error:
            return None, 2, str(error)


@FEW
@given(st.sampled_from(OPTIONS), WORDS)
def test_an_option(option, words):
    line, kind, name = option
    flag = f"--{name.replace('_', '-')}"
    with counted("command lines"), deadline(PATIENCE):
        made, code, said = typed([*shlex.split(line), flag, *words])
        if made is None:
            named = (flag, name, *words, *(repr(word)[1:-1] for word in words))
            assert code == 2, said
            assert any(word in said for word in named if word.strip()), said
            assert len(said.splitlines()) <= LONGEST, said
            assert "Traceback" not in said, said
        else:
            config = made.data if kind is DataConfig else made.config
            assert kind.of(config.model_dump(mode="json")) == config
        TALLY.count("command lines", "refused" if made is None else "held")


@FEW
@given(st.sampled_from(sorted(COMMANDS)), st.lists(PLAIN, max_size=3))
def test_anything_behind_a_command(command, words):
    with counted("command lines"), deadline(PATIENCE):
        made, code, said = typed([command, *words])
        assert code in (0, 2, None), said
        assert "Traceback" not in said, said
        assert len(said.splitlines()) > 1 or code == 0 or not unclear(said), said
        TALLY.count("command lines", "refused" if made is None else "held")


@given(PLAIN, st.lists(PLAIN, max_size=2))
def test_a_command_that_is_none(command, words):
    if command not in (*COMMANDS, "help", "version") and not command.startswith("-"):
        answer("command lines", lambda: parse([command, *words]), "command", "Known", right=lambda made: False)


@FEW
@given(st.sampled_from(["presets", "presets digits --against", "relabel --dry-run --preset"]), PLAIN)
def test_the_name_of_a_preset(line, name):
    if name.removesuffix("/smoke") in presets.PRESETS or name in ("", "none"):
        return
    with counted("names"), deadline(PATIENCE), redirect_stderr(StringIO()) as said, redirect_stdout(said):
        assert main([*shlex.split(line), name]) == 2
        shown = said.getvalue()
        assert name[:20] in shown or repr(name)[1:20] in shown, shown
        assert len(shown.splitlines()) <= LONGEST, shown
        TALLY.count("names", "refused")
