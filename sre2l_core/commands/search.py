"""`sre2l search`: look for settings within ranges, by Optuna; held-out images choose, the test images judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes as Flat

from sre2l_core.arguments import PresetName
from sre2l_core.commands import Machines, progress, say
from sre2l_core.commands.sweep import Assignment, start_of
from sre2l_core.errors import ConfigError
from sre2l_core.runs.grid import parsed

if TYPE_CHECKING:
    from sre2l_core.presets import Recipe
    from sre2l_core.runs.space import Range


@dataclass(frozen=True)
class Search:
    """Look for the settings whose students are best on held-out training images; then the test images judge.

    The same command continues an interrupted one. For example

        sre2l search --range recover.alpha_bn=0.01,10,log --choice recover.crop=resized,none --trials 20

    A study is kept in the folder of its runs (study-NAME), as Optuna's journal.
    """

    range: tyro.conf.UseAppendAction[tuple[Assignment, ...]] = ()
    """all numbers between two, STAGE.FIELD=LOW,HIGH or LOW,HIGH,log; again for the next setting"""
    choice: tyro.conf.UseAppendAction[tuple[Assignment, ...]] = ()
    """values to choose from; again for the next setting"""
    set: tyro.conf.UseAppendAction[tuple[Assignment, ...]] = ()
    """a value that is the same in all trials; again for the next setting"""
    preset: PresetName = None
    """settings to start from, and the first trial; default digits"""
    trials: int = 20
    """how many, those of earlier calls included"""
    seeds: int = 1
    """recover, relabel and train so often in each trial"""
    holdout: float = 0.2
    """share of the training images that chooses"""
    sampler: Literal["tpe", "random", "gp", "qmc"] = "tpe"
    """of Optuna: how the next trial is drawn"""
    pruner: Literal["none", "median", "halving"] = "none"
    """of Optuna: which trials are given up before their last seed"""
    seed: int = 0
    """of the sampler"""
    judge: bool = True
    """at the end, have the test images judge the start and the best settings, trained on all training images"""
    out: Path = Path("runs/search")
    """folder of the runs and of the table"""
    name: str = "search"
    """of the study, and of its table as NAME.md, NAME.csv and NAME.tex"""
    data_root: Path | None = None
    """where the data lies; default $SRE2L_DATA, else ~/.cache/sre2l/data"""
    machine: Flat[Machines] = field(default_factory=Machines)

    def __call__(self) -> None:
        """Search, and print what was found."""
        from sre2l_core.runs.search import search
        from sre2l_core.runs.store import Store

        asked = {"preset": self.preset or "digits", "set": {}, "grid": {}, "holdout": self.holdout}
        base, grid = start_of(asked, self.set, self.data_root)
        if many := [name for name, values in grid.items() if len(values) > 1]:
            raise ConfigError(f"--set takes one value of {many[0]}: give several with --choice.")
        space = space_of(self.range, self.choice, base)
        options: dict[str, Any] = {"sampler": self.sampler, "pruner": self.pruner, "seed": self.seed}
        options |= {"trials": self.trials, "seeds": self.seeds, "name": self.name, "judge": self.judge}
        with self.machine.executor() as executor, progress(self.machine) as on_step:
            options |= {"runtime": self.machine.runtime(), "executor": executor, "on_step": on_step, "say": say}
            found = search(base, space, store=Store(self.out), **options)
        say(f"\n{found.to_markdown()}\n")
        tables = {self.name: found.trials} | ({f"{self.name}-judged": found.verdict} if found.verdict else {})
        names = [path.name for name, table in tables.items() for path in table.write(self.out, name)]
        say(f"in {self.out}: {', '.join(names)}")


def space_of(ranges: Sequence[str], choices: Sequence[str], base: Recipe) -> dict[str, Range | list[Any]]:
    """Setting -> range or values; raises `ConfigError` for what is none, or named twice."""
    from sre2l_core.runs.space import Range

    found: dict[str, Range | list[Any]] = {}
    for text in (*ranges, *choices):
        name, values = parsed(text, base)
        if name in found:
            raise ConfigError(f"{name} is named twice: give one range, or all values to choose from at once.")
        if text in choices:
            found[name] = values
        elif len(values) in (2, 3) and values[2:] in ([], ["log"]):
            found[name] = Range(values[0], values[1], log=len(values) == 3)
        else:
            raise ConfigError(f"--range takes STAGE.FIELD=LOW,HIGH or LOW,HIGH,log (got {text!r}).")
    return found


PLUGINS = {"search": Search}
