"""`sre2l compare`: comparisons that the paper does not have, run like its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from sre2l_core.commands.paper import Paper


@dataclass(frozen=True)
class Compare(Paper):
    """List the comparisons beyond the paper that can be run; or run one, or all.

    The same command continues an interrupted one, and runs that are there already are found, also those of other tables
    in the same folder.
    """

    catalogue: ClassVar[str] = "comparisons"
    title: ClassVar[str] = "Beyond the paper: comparisons of ours"
    name: tyro.conf.Positional[str] = ""
    """such as beyond; all: one after another, whatever becomes of the others"""
    budget: str = "laptop"
    """such as tuning, laptop: each comparison names its own"""
    out: Path = Path("runs/compare")
    """folder of the runs and of the page and the CSV file that come out"""
    page: Path | None = None
    """also write everything on one page, such as docs/beyond.md"""


PLUGINS = {"compare": Compare}
