"""Tables: every form read back by another program, or by the rules of its language; names stay in their cells."""

import csv
import io
import re
from pathlib import Path

import hostile
import pytest

from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.tabular import ENDINGS, Table, in_latex

NAMES = (
    *hostile.CLASSES,
    hostile.SCRIPT,
    "=1+1",
    "@SUM(A1)",
    "+49 (30) 12",
    "-1 1",
    "-2+cmd|' /C calc'!A0",
    "a\nb",
    "[x] *",
)
TABLE = Table(("name", "top-1 (%)"), [(name, "93.5 ± 1.7") for name in NAMES])
COMMANDS = re.compile(r"\\(?:[&%$#_{}]|[a-z]+\{\}|char34|\\)|\$\\?[a-z-]*\$")
"""What `in_latex` makes of signs that mean something to LaTeX."""


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))


def test_csv_comes_back_and_holds_no_formula() -> None:
    head, *rows = csv.reader(io.StringIO(TABLE.to_csv()))
    assert head == ["name", "top-1 (%)"]
    assert [row[1] for row in rows] == ["93.5 ± 1.7"] * len(NAMES)
    for (found, _), name in zip(rows, NAMES, strict=True):
        assert found in (name, f"'{name}")
        assert found[0] not in "=@\t\r"
    named = dict(zip(NAMES, (row[0] for row in rows), strict=True))
    assert named["-2+cmd|' /C calc'!A0"][0] == "'"
    assert (named["+49 (30) 12"], named["-1 1"]) == ("+49 (30) 12", "-1 1"), "numbers need no apostrophe"


def test_csv_holds_the_records_where_there_are_some() -> None:
    table = Table(("a",), [("1.0",)], [{"a": 1.03, "b": None, "c": "=x"}])
    assert table.to_csv() == "a,b,c\n1.03,,'=x\n"
    assert Table(("a", "b"), []).to_csv() == "a,b\n"


def test_latex_has_as_many_cells_as_the_head_and_no_command_of_a_name() -> None:
    lines = TABLE.to_latex().splitlines()
    assert (lines[0], lines[1], lines[3]) == (r"\begin{tabular}{ll}", r"\toprule", r"\midrule")
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    for line in lines[4:-2]:
        assert line.endswith(r" \\")
        assert len(cells(line)) == 2
        assert not line.startswith(("[", "*")), r"the \\ before would take it for its own"
        bare = COMMANDS.sub("", line.removesuffix(r" \\").replace(" & ", " "))
        assert not re.search(r"[\\%$#_~^&<>|\"]", bare), line
        assert bare.count("{") == bare.count("}")
        assert bare.isprintable()


@pytest.mark.parametrize(
    ("words", "latex"),
    [
        ("93.5 ± 1.7", r"93.5 $\pm$ 1.7"),
        (r"C:\a_b", r"C:\textbackslash{}a\_b"),
        ("α_BN", r"$\alpha$\_BN"),
        ("\u202eabc\x07", "abc"),
        ("a\n b", "a b"),
    ],
)
def test_words_in_latex(words: str, latex: str) -> None:
    assert in_latex(words) == latex


def test_markdown_has_a_row_for_each_name_and_the_notes_below() -> None:
    lines = Table(TABLE.head, TABLE.rows, notes=("who judged",)).to_markdown().splitlines()
    assert len(lines) == 2 + len(NAMES) + 2
    assert lines[-2:] == ["", "who judged"]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:-2]} == {3}


def test_all_forms_are_written(tmp_path: Path) -> None:
    paths = TABLE.write(tmp_path / "new", "mine")
    assert [path.name for path in paths] == [f"mine.{ending}" for ending in ENDINGS.values()]
    assert [path.read_text(encoding="utf-8").rstrip("\n") for path in paths] == [
        TABLE.text(form).rstrip("\n") for form in ENDINGS
    ]


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        TABLE.write(tmp_path / "file", "mine")
    with pytest.raises(ConfigError, match="Did you mean 'latex'"):
        TABLE.text("latx")
