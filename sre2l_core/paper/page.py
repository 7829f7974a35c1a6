"""All tables and figures on one page, with what each shows in front: `docs/replication.md` is one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import torch

from sre2l_core import storage
from sre2l_core.paper.results import WARNING, Results
from sre2l_core.runs.forecast import seconds_of_parts
from sre2l_core.runtime import Runtime, processor
from sre2l_core.tabular import in_markdown

PICTURES = "images"
"""Folder of the pictures, beside the page."""


def write_page(
    path: Path,
    results: Sequence[Results],
    command: str,
    *,
    runtime: Runtime,
    missing: Mapping[str, str] | None = None,
    title: str,
) -> None:
    """Write the page, and its pictures into `images/` beside it; what is there of both is replaced.

    Args:
        path: of the page, Markdown.
        results: at least one.
        command: that wrote it.
        runtime: that it was run with.
        missing: entry -> why it gave nothing.
        title: of the page.
    """
    sections = []
    for found in results:
        picture = next(iter(found.write_picture(path.parent / PICTURES)), None)
        address = f"{PICTURES}/{picture.name}" if picture is not None else ""
        sections.append(f"{found.markdown(address, '##')}\n\n{_made(found, ' '.join(command.split()[:2]))}")
    lines = [f"# {title}", *_head(results, command, runtime), "", *_summary(results, missing or {}), "", *sections]
    with storage.replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head(results: Sequence[Results], command: str, runtime: Runtime) -> list[str]:
    budgets = list(dict.fromkeys(found.name for found in results))
    return [
        "",
        *(f"**{WARNING.get(budget, budget)}**" for budget in budgets),
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}; {runtime.device_name}, {processor()}, "
        f"{os.cpu_count()} cores, {runtime.precision}, torch {torch.__version__}. Seeds count up from the presets'.",
    ]


def _summary(results: Sequence[Results], missing: Mapping[str, str]) -> list[str]:
    """A row for each trend that the paper claims."""
    rows = [
        f"| {found.entry.title.partition(':')[0]} | {claim.text} |"
        f" {'; '.join(f'{column}{said}' for column, said in found.verdicts(claim).items()) or 'not run'} |"
        for found in results
        for claim in found.entry.claims
    ]
    failed = [f"- {name} gave nothing: {in_markdown(why)}" for name, why in missing.items()]
    return ["| | what is claimed | ours |", "|---|---|---|", *rows, *([""] if failed else []), *failed]


def _made(found: Results, command: str) -> str:
    """The command of a section, and what its runs took."""
    names = {
        part.name
        for cell in found.budget.cells
        for recipe in cell.recipes
        for places in [found.store.places(recipe)]
        for part in (places.teacher, places.condensed, places.labels, places.score)
    }
    took = sum(seconds for name, seconds in seconds_of_parts(found.store).items() if name in names) / 60
    counts = [len(values) for values in found.values.values()]
    return (
        f"`{command} {found.entry.name} --budget {found.name}`; its runs, also those that other sections share, took "
        f"{took:.0f} minutes; {mean(counts):.0f} values a cell.\n"
    )
