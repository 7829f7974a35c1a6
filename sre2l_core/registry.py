"""The plug-in rule: a file put into a catalogue folder is in the catalogue.

`data/`, `backbones/`, `terms/`, `starts/`, `parametrisations/`, `codecs/`, `presets/`, `commands/`, `paper/` and
`comparisons/` each hold one thing per file; a file names what it offers in a module-level `PLUGINS` dict. Nothing else
has to be edited to add one.
"""

from __future__ import annotations

import ast
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from sre2l_core.errors import ConfigError, unknown


@cache
def catalogue(package: str) -> dict[str, Any]:
    """Everything the modules of `sre2l_core.<package>` offer, by name; a plug-in may be added to it while it runs.

    Raises:
        ConfigError: if two files offer the same name.
    """
    home = import_module(f"sre2l_core.{package}")
    plugins: dict[str, Any] = {}
    for module in pkgutil.iter_modules(home.__path__):
        found = getattr(import_module(f"{home.__name__}.{module.name}"), "PLUGINS", {})
        if twice := plugins.keys() & found.keys():
            raise ConfigError(f"{home.__name__}.{module.name} offers {sorted(twice)}, which another file offers too.")
        plugins |= found
    return plugins


def names_of(package: str) -> list[str]:
    """The names in a catalogue, read from its files instead of imported, which may take seconds: for help texts.

    A `PLUGINS` that is not written as a plain dict is in the catalogue all the same, but not in the help.
    """
    names = []
    for path in Path(__file__).with_name(package).glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PLUGINS":
                keys = node.value.keys if isinstance(node.value, ast.Dict) else []
                names += [str(key.value) for key in keys if isinstance(key, ast.Constant)]
    return sorted(names)


def lookup(package: str, kind: str, name: str) -> Any:
    """The plug-in called `name`; raises `ConfigError` naming the nearest known one."""
    plugins = catalogue(package)
    if name not in plugins:
        raise unknown(kind, name, plugins)
    return plugins[name]
