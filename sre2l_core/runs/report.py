"""The pictures a run leaves."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from sre2l_core import storage
from sre2l_core.figures import plots
from sre2l_core.runs.pipeline import LOG, Outcome
from sre2l_core.runtime import Runtime


def draw_run(outcome: Outcome, out: Path, *, runtime: Runtime | None = None) -> list[str]:
    """Write `condensed.png`, `losses.png` (where recovery was logged) and `embedding.png` into `out`; their names."""
    condensed, data = outcome.condensed, outcome.data
    figures = {"condensed.png": plots.images_figure(condensed, data)}
    if log := read_log(out / LOG, "recover"):
        figures["losses.png"] = plots.losses_figure(log)
    figures["embedding.png"] = plots.embedding_figure(condensed, data, outcome.teacher, runtime=runtime)
    for name, figure in figures.items():
        with storage.replacing(out / name) as partial:
            figure.savefig(partial, format="png", dpi=150)
    return list(figures)


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
