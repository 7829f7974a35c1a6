"""`sre2l plan`: what a run would cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tyro.conf import OmitArgPrefixes as Flat

from sre2l_core import presets
from sre2l_core.arguments import PresetName
from sre2l_core.commands import Machine, say
from sre2l_core.config import DataConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Say what a run would cost, before a day is spent on it: hours, disk and memory by stage, and what will not fit.

    Every stage is measured on a few images of noise on this machine, and the rest is multiplication. The data need not
    be here if it is a dataset that always has as many pictures, such as imagenet-1k.
    """

    preset: PresetName = None
    """settings to start from: a name that `sre2l presets` lists; by default those of the dataset"""
    workers: int = 1
    """that share the work, each like this machine's GPU or, without any, like one of its cores"""
    seconds: float = 60.0
    """for the measurements; large networks take longer than few seconds allow"""
    out: Path = Path()
    """folder the run would go to, whose disk is looked at"""
    machine: Flat[Machine] = field(default_factory=Machine)
    store_labels: bool
    """write soft labels to disk instead of making them on the fly"""
    data: Flat[DataConfig]
    squeeze: SqueezeConfig
    recover: RecoverConfig
    relabel: RelabelConfig
    validate: ValidateConfig

    @classmethod
    def start(cls, recipe: presets.Recipe) -> Self:
        """The command with a preset's settings."""
        return cls(**vars(recipe))

    def __call__(self) -> None:
        """Measure, and print the plan."""
        from sre2l_core.runs.plan import lines_of, misfits, plan_run

        runtime = self.machine.runtime()
        recipe = presets.Recipe(
            self.data, self.squeeze, self.recover, self.relabel, self.validate, store_labels=self.store_labels
        )
        found = list(plan_run(recipe, workers=self.workers, seconds=self.seconds, runtime=runtime))
        name, shared = self.preset or self.data.data, f", shared by {self.workers} workers" if self.workers > 1 else ""
        say(
            f"{name}{shared}. Memory is that of each worker, beside the program itself; images that they share count.\n"
        )
        for line in lines_of(found):
            say(line)
        where = f"{runtime.device.type}, {runtime.precision}"
        say(f"\nSingle passes were measured here ({where}) and multiplied; to decode real pictures is not counted.")
        for line in misfits(found, self.out, self.workers, runtime):
            say(f"will not fit: {line}.")


PLUGINS = {"plan": Plan}
