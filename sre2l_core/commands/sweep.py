"""`sre2l sweep`: a grid of runs from a TOML file or from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes as Flat
from tyro.constructors import PrimitiveConstructorSpec

from sre2l_core import presets
from sre2l_core.arguments import PresetName
from sre2l_core.commands import Machines, progress, say
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.runs.grid import changed, parsed

if TYPE_CHECKING:
    from sre2l_core.runs.grid import Cell
    from sre2l_core.runs.store import Store
    from sre2l_core.runtime import Runtime

IN_A_FILE = {"preset": str, "seeds": int, "zipped": bool, "holdout": float, "set": dict, "grid": dict}
"""What a TOML file may say, and what each is; see `examples/sweep.toml`."""

Assignment = Annotated[
    str,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="STAGE.FIELD=VALUE,VALUE",
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
    ),
]


@dataclass(frozen=True)
class Sweep:
    """Run a grid of settings, and compare what comes out: mean ± std over seeds, differences with their intervals.

    The same command continues an interrupted one; runs that are there are found. For example

        sre2l sweep --preset digits --set recover.alpha_bn=0,0.1,1 --seeds 3 --holdout 0.2 --out runs/sweep

    or, with the same in a file, sre2l sweep FILE.toml (examples/sweep.toml). Values that are lists are written as
    recover.crop_scale=[0.1,1],[0.5,1]. What --set gives a single value is the same in all runs.
    """

    file: tyro.conf.Positional[Path | None] = None
    """a TOML file: preset, seeds, holdout, zipped, and the tables set (the same in all runs) and grid"""
    preset: PresetName = None
    """settings to start from; default digits"""
    set: tyro.conf.UseAppendAction[tuple[Assignment, ...]] = ()
    """values of a setting; again for the next one; what a file says of it is replaced"""
    seeds: int | None = None
    """recover, relabel and train so often, a student each; default: one recovery, with the students of the preset"""
    holdout: float | None = None
    """share of the training images that judges, so that tuning never sees the test images"""
    judge: bool = False
    """have the test images judge the best cell and the first, trained on all training images; needs --holdout"""
    zipped: bool = False
    """first values together, second values together and so on, instead of each with each"""
    dry_run: bool = False
    """list the cells, what is there of them, and how long the rest takes; then stop"""
    out: Path = Path("runs/sweep")
    """folder of the runs, and of the table as NAME.md, NAME.csv and NAME.tex"""
    name: str = ""
    """of the table; default that of the file, else sweep"""
    data_root: Path | None = None
    """where the data lies; default $SRE2L_DATA, else ~/.cache/sre2l/data"""
    machine: Flat[Machines] = field(default_factory=Machines)

    def __call__(self) -> None:
        """Plan, or run and print the table."""
        from sre2l_core.runs.grid import cells
        from sre2l_core.runs.store import Store
        from sre2l_core.runs.sweep import sweep, verdict

        asked = {"preset": "digits", "set": {}, "grid": {}, **(read(self.file) if self.file else {})}
        given = {"preset": self.preset, "seeds": self.seeds, "holdout": self.holdout, "zipped": self.zipped or None}
        asked |= {name: value for name, value in given.items() if value is not None}
        base, grid = start_of(asked, self.set, self.data_root)
        options: dict[str, Any] = {"seeds": asked.get("seeds"), "zipped": asked.get("zipped", False)}
        if self.judge and not base.data.holdout:
            raise ConfigError("--judge needs --holdout: what was tuned on the test images cannot be judged by them.")
        store, name = Store(self.out), self.name or (self.file.stem if self.file else "sweep")
        if self.dry_run:
            for line in planned(cells(base, grid, **options), store, self.machine.runtime()):
                say(line)
            return
        with self.machine.executor() as executor, progress(self.machine) as on_step:
            options |= {"store": store, "runtime": self.machine.runtime(), "executor": executor}
            options |= {"on_step": on_step, "say": say}
            tables = {name: sweep(base, grid, **options)}
            if self.judge:
                del options["zipped"]
                tables[f"{name}-judged"] = verdict(base, tables[name].first_and_best(), **options)
        for title, table in tables.items():
            say(f"\n{table.to_markdown()}\n")
            say(f"in {self.out}: {', '.join(path.name for path in table.write(self.out, title))}")


def read(path: Path) -> dict[str, Any]:
    """What a TOML file says; raises `ConfigError` where it says something else than a sweep."""
    import tomllib

    try:
        content = tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path} cannot be read as TOML ({reason}). See examples/sweep.toml.") from None
    for name, value in content.items():
        if name not in IN_A_FILE:
            raise unknown(f"entry in {path}", name, IN_A_FILE)
        kind = IN_A_FILE[name]
        if type(value) is not kind and not (kind is float and type(value) is int):
            expected = {dict: "a table", str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
            raise ConfigError(f"{path}: {name} must be {expected[kind]} (got {value!r}).")
    return {name: by_setting(value) if isinstance(value, dict) else value for name, value in content.items()}


def by_setting(table: Mapping[str, Any]) -> dict[str, Any]:
    """`stage.field` -> value, whether TOML was given `recover.ipc`, `"recover.ipc"` or a table for each stage."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        inner = value.items() if isinstance(value, dict) and "." not in name else [("", value)]
        found |= {f"{name}.{key}" if key else name: each for key, each in inner}
    return found


def start_of(
    asked: Mapping[str, Any], words: Sequence[str], data_root: Path | None
) -> tuple[presets.Recipe, dict[str, list[Any]]]:
    """The recipe that all cells begin with, and the grid."""
    recipe = presets.get(asked["preset"])
    grid, fixed = dict(asked["grid"]), dict(asked["set"])
    for text in words:
        name, values = parsed(text, recipe)
        grid.pop(name, None)
        fixed.pop(name, None)
        (fixed if len(values) == 1 else grid)[name] = values[0] if len(values) == 1 else values
    for name in ("validate.hard_labels", "validate.against"):  # which a sweep leaves out where its grid says nothing
        if name in fixed:
            grid[name] = [fixed.pop(name)]
    if twice := grid.keys() & fixed.keys():
        raise ConfigError(f"{', '.join(sorted(twice))} is in both set and grid: leave one of them out.")
    fixed |= {"data.holdout": asked["holdout"]} if "holdout" in asked else {}
    fixed |= {"data.data_root": data_root} if data_root is not None else {}
    return changed(recipe, fixed), grid


def planned(cells: Sequence[Cell], store: Store, runtime: Runtime | None = None) -> Iterator[str]:
    """A line for each cell, then what is still to be made."""
    from sre2l_core.runs.forecast import forecast, tried
    from sre2l_core.runs.inspect import in_bytes

    for cell in cells:
        there = sum(store.finished(recipe) for recipe in cell.recipes)
        yield f"{cell.name}: {there} of {len(cell.recipes)} runs finished"
    yield f"\nin {store.folder}:"
    recipes, trial = [recipe for cell in cells for recipe in cell.recipes], partial(tried, runtime=runtime)
    for part in forecast(recipes, store, trial):
        left = ""
        if part.missing and part.seconds is not None and part.bytes is not None:
            judged = [f"judged by {len(part.measured)} like it"] * bool(part.measured)
            judged += ["tried now on made-up images"] * part.tried
            how = " and ".join(judged)
            left = f"; the rest: about {duration(part.seconds)} and {in_bytes(part.bytes)} for one worker, {how}"
        elif part.missing:
            left = "; none like the rest was timed here, and it cannot be tried: run one cell to know how long it takes"
        yield f"  {part.kind} {part.there} of {part.there + part.missing}{left}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads well."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


PLUGINS = {"sweep": Sweep}
