"""A stage of the pipeline as a card: what it does, its artifact, and whether that is fresh."""

from __future__ import annotations

import textwrap

from sre2l_core.figures.svg import MUTED, WARNING, Drawing, box, text

WIDTH, HEIGHT = 196, 132
"""CSS pixels of a card."""
LETTERS = 34
"""In a line."""
LINE = 14
"""CSS pixels from one line to the next."""


def stage_card(
    stage: str, about: str, artifact: str, *, number: int, state: str, tint: str, summary: str, reason: str, last: bool
) -> Drawing:
    """One stage.

    Args:
        stage: its name.
        about: what it does.
        artifact: what it makes.
        number: its place, from 1.
        state: of the artifact, with a sign.
        tint: colour of the state.
        summary: of the artifact.
        reason: why it is not fresh; empty where it is.
        last: whether no stage follows.
    """
    parts = [text(f"{number} {stage}", 0, 13, font_size=13, font_weight=600)]
    parts += [] if last else [text("➜", WIDTH - 4, 13, anchor="end", font_size=13)]
    parts += _lines(about, 0, 30, 2, MUTED)
    parts.append(box(0, 54, 4, HEIGHT - 58, fill=tint))
    parts.append(text(state, 12, 67, fill=tint, font_size=12, font_weight=600))
    parts.append(text(artifact, WIDTH - 4, 67, anchor="end", font_size=12, font_weight=600))
    found = _lines(summary, 12, 83, 3 if not reason else 2, MUTED)
    parts += found + _lines(reason, 12, 83 + LINE * len(found), 3 - len(found) + 1, WARNING)
    words = [f"stage {number}, {stage}", f"{artifact} {state}", summary, reason]
    return Drawing(parts, WIDTH, HEIGHT, "; ".join(word for word in words if word))


def _lines(words: str, x: float, y: float, most: int, fill: str) -> list[str]:
    lines = textwrap.wrap(words, LETTERS, max_lines=most, placeholder=" …")
    return [text(line, x, y + LINE * number, fill=fill) for number, line in enumerate(lines)]
