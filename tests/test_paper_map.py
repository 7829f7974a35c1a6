"""PAPER_MAP.md: every row leads somewhere, and the settings it names are the paper's tables."""

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest
from paper_tables import TABLES

from sre2l_core import presets

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| ([^|]+) \| `([^`|]+):([^`|]+)` \| ([^|]+) \|$", (ROOT / "PAPER_MAP.md").read_text(), re.MULTILINE
)


def test_every_line_of_a_table_is_a_row():
    lines = [line for line in (ROOT / "PAPER_MAP.md").read_text().splitlines() if line.startswith("| ")]
    assert sum("| where |" not in line for line in lines) == len(ROWS)
    assert len({what for what, *_ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("what", "file", "name", "look"), ROWS, ids=[row[0] for row in ROWS])
def test_every_row_leads_to_code(what, file, name, look):
    assert (ROOT / file).is_file()
    found = reduce(getattr, name.split("."), import_module(file.removesuffix(".py").replace("/", ".")))
    home = getattr(found, "__module__", None)
    assert home in (None, file.removesuffix(".py").replace("/", ".")), f"{name} is defined in {home}"
    assert len(look) > 10


def test_no_equation_and_no_table_of_settings_is_missing():
    named = {re.match(r"[^,]+", what).group() for what, *_ in ROWS}
    assert named >= {f"Equation {number}" for number in range(1, 10)}
    assert named >= set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_the_settings_named_are_those_of_the_table(table):
    (look,) = (look for what, _, _, look in ROWS if what == table)
    preset, *stages = look.split("; ")
    name, expected = TABLES[table]
    assert preset == f"`{name}`"
    recipe, named = presets.get(name.format(network="resnet18")), {}
    for words in stages:
        stage, *fields = re.findall(r"`(\w+)`", words)
        named |= {f"{stage}.{field}": getattr(getattr(recipe, stage), field) for field in fields}
    assert named == expected


@pytest.mark.parametrize("mentioned", re.findall(r"Presets? `([^`…]+)`", (ROOT / "PAPER_MAP.md").read_text()))
def test_presets_that_are_mentioned_exist(mentioned):
    pattern = re.sub(r"[A-Z]+", "[^/]+", mentioned)
    assert any(re.fullmatch(pattern, name) for name in presets.PRESETS)
