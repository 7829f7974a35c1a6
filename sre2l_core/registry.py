"""The plug-in rule: a file put into a catalogue folder is in the catalogue.

`data/`, `backbones/`, `codecs/` and `baselines/` each hold one thing per file; a file names what it offers in a
module-level `PLUGINS` dict. Nothing else has to be edited to add one.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from sre2l_core.errors import unknown


@cache
def catalogue(package: str) -> dict[str, Any]:
    """Everything the modules of `sre2l_core.<package>` offer, by name."""
    home = import_module(f"sre2l_core.{package}")
    plugins: dict[str, Any] = {}
    for module in pkgutil.iter_modules(home.__path__):
        plugins |= getattr(import_module(f"{home.__name__}.{module.name}"), "PLUGINS", {})
    return plugins


def lookup(package: str, kind: str, name: str) -> Any:
    """The plug-in called `name`; raises `ConfigError` naming the nearest known one."""
    plugins = catalogue(package)
    if name not in plugins:
        raise unknown(kind, name, plugins)
    return plugins[name]
