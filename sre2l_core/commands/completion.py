"""`sre2l completion`: what a shell needs in order to complete the command line."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import tyro

from sre2l_core.commands import say

FILES_TOO = """\
# Where there is no other answer, as after `inspect`: files.
_sre2l_or_files() { _tyro_sre2l; [[ -n "${COMPREPLY[0]}" ]] || COMPREPLY=(); }
complete -o default -F _sre2l_or_files sre2l"""


@dataclass(frozen=True)
class Completion:
    """Print a script with which a shell completes commands, options and names at the tab key."""

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """bash: write it to ~/.local/share/bash-completion/completions/sre2l, or source it; zsh: to a file _sre2l in a
    folder of $fpath; fish: to ~/.config/fish/completions/sre2l.fish; then open a new shell"""

    def __call__(self) -> None:
        """Print the script."""
        from sre2l_core.cli import of_all_commands  # which knows this command too

        with suppress(SystemExit):  # tyro has printed, and would leave
            of_all_commands(["--tyro-print-completion", self.shell])
        if self.shell == "bash":
            say(FILES_TOO)


PLUGINS = {"completion": Completion}
