"""The pictures a run leaves."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Callable
from math import inf
from pathlib import Path

from matplotlib.figure import Figure

from sre2l_core import storage
from sre2l_core.figures import plots
from sre2l_core.runs.pipeline import LOG, Outcome
from sre2l_core.runtime import Runtime


def draw_run(outcome: Outcome, out: Path, *, runtime: Runtime | None = None) -> list[str]:
    """Write `condensed.png`, `losses.png` (where recovery was logged) and `embedding.png` into `out`; their names.

    A figure that is newer than what it shows stays as it is: a finished run may lie on a disc that is read-only.
    """
    condensed, data, drawn = outcome.condensed, outcome.data, []
    figures: dict[str, Callable[[], Figure]] = {"condensed.png": lambda: plots.images_figure(condensed, data)}
    if log := read_log(out / LOG, "recover"):
        figures["losses.png"] = lambda: plots.losses_figure(log)
    figures["embedding.png"] = lambda: plots.embedding_figure(condensed, data, outcome.teacher, runtime=runtime)
    shows = max((path.stat().st_mtime for path in out.glob(f"*/{storage.MANIFEST}")), default=inf)
    for name, figure in figures.items():
        path = out / name
        if path.exists() and (path.stat().st_mtime >= shows or not os.access(out, os.W_OK)):
            drawn.append(name)
        elif os.access(out, os.W_OK):
            with storage.replacing(path) as partial:
                figure().savefig(partial, format="png", dpi=150)
            drawn.append(name)
    return drawn


def read_log(path: Path, stage: str) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (step, value) pairs of a stage, from the CSV that a run leaves; empty where there is none."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    if not path.exists():
        return found
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["stage"] == stage:
                found[row["metric"]].append((int(row["step"]), float(row["value"])))
    return found
