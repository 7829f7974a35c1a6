"""A table of text, and the plain values behind it: Markdown to be read, CSV for programs, LaTeX for papers."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sre2l_core.errors import unknown
from sre2l_core.files import replacing

ENDINGS = {"markdown": "md", "csv": "csv", "latex": "tex"}
"""Form -> ending of its files."""


@dataclass(frozen=True)
class Table:
    """Rows under a head, all of it text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    records: Sequence[Mapping[str, Any]] = ()
    """What the rows are made of, unrounded: name -> plain value. CSV holds these, or the rows where there are none."""
    notes: Sequence[str] = ()
    """Lines of Markdown under the table."""

    def to_markdown(self) -> str:
        """The rows between bars, and the notes."""
        head, *body = ([in_markdown(cell).replace("|", r"\|") for cell in row] for row in (self.head, *self.rows))
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in body)]
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes])

    def to_csv(self) -> str:
        """The records, a line each; no text in it is a formula to a spreadsheet."""
        records = self.records or [dict(zip(self.head, row, strict=True)) for row in self.rows]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(in_csv, records[0] if records else self.head))
        writer.writerows([in_csv(value) for value in record.values()] for record in records)
        return text.getvalue()

    def to_latex(self) -> str:
        """A `tabular` with the rules of the package booktabs."""
        head, *body = (f"{' & '.join(map(in_latex, row))} \\\\" for row in (self.head, *self.rows))
        begin = f"\\begin{{tabular}}{{{'l' * len(self.head)}}}"
        return "\n".join([begin, "\\toprule", head, "\\midrule", *body, "\\bottomrule", "\\end{tabular}"])

    def text(self, form: str) -> str:
        """The table in one of `ENDINGS`; raises `ConfigError` for another form."""
        if form not in ENDINGS:
            raise unknown("form of a table", form, ENDINGS)
        made: str = getattr(self, f"to_{form}")()
        return made

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write `name.md`, `name.csv` and `name.tex` into a folder; their paths."""
        return [self._write(folder / f"{name}.{ending}", form) for form, ending in ENDINGS.items()]

    def text_of_file(self, form: str) -> str:
        """`text`, ending with its last line."""
        return self.text(form).rstrip("\n") + "\n"

    def _write(self, path: Path, form: str) -> Path:
        with replacing(path) as partial:
            partial.write_text(self.text_of_file(form), encoding="utf-8")
        return path


def in_markdown(words: str) -> str:
    """Words that stay words within Markdown: as code where they could be marks, elements or mathematics."""
    words = " ".join(words.split())
    if not re.search(r"[\\`*\[\]<>|&$]", words):
        return words
    fence = "`" * (1 + max(map(len, re.findall("`+", words)), default=0))
    return f"{fence} {words} {fence}"


def in_csv(value: Any) -> Any:
    """A value as it is, but for words that a spreadsheet would compute: an apostrophe before them makes them words."""
    if isinstance(value, str) and re.match(r"[=@\t\r]|[+-].*[^-+\d\s.,eE%±()]", value, re.DOTALL):
        return f"'{value}"
    return value


def in_latex(words: str) -> str:
    """Words that stay words within LaTeX; letters that are not Latin want XeLaTeX or LuaLaTeX."""
    kept = "".join(sign for sign in " ".join(words.split()) if unicodedata.category(sign) not in _UNPRINTABLE)
    return "".join(_IN_LATEX.get(sign, sign) for sign in kept)


_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Categories of Unicode that no font draws: control characters, marks of direction, halves of letters."""
_IN_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # after a \\ these would belong to it
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"{\char34}",
    "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "→": r"$\to$", "ℓ": r"$\ell$",
    "α": r"$\alpha$", "β": r"$\beta$", "σ": r"$\sigma$", "–": "--", "…": r"\dots{}",
}  # fmt: skip
