"""Whatever is put into `paper/`: a whole grid, recipes that run, and a row in PAPER_MAP.md."""

import re
from pathlib import Path

import pytest

from sre2l_core import paper
from sre2l_core.presets import smoke
from sre2l_core.runs.pipeline import check, load_data

PAPER_MAP = (Path(__file__).parents[2] / "PAPER_MAP.md").read_text(encoding="utf-8")
STAGES = ("squeeze", "recover", "relabel", "validate")
each_entry = pytest.mark.parametrize("entry", paper.entries().values(), ids=paper.entries())
each_budget = pytest.mark.parametrize(
    ("entry", "name"),
    [(entry, name) for entry in paper.entries().values() for name in entry.budgets],
    ids=lambda value: value if isinstance(value, str) else value.name,
)


def seeds(recipe):
    return tuple(getattr(recipe, stage).seed for stage in STAGES)


@each_entry
def test_it_is_found_by_its_name_and_in_the_map(entry):
    assert paper.get(entry.name) is entry
    kind, number = re.fullmatch(r"(table|figure)-(\d+)(?:-\d+)?", entry.name).groups()
    words = f"{kind.title()} {number}"
    assert entry.title.startswith(f"{words}: ")
    rows = [line for line in PAPER_MAP.splitlines() if line.startswith(f"| {words} ")]
    assert any(f"`sre2l paper {entry.name}`" in row for row in rows)


@each_entry
def test_the_papers_numbers_fill_its_grid(entry):
    assert entry.numbers
    for row, numbers in entry.numbers.items():
        assert len(numbers) == len(entry.columns), row
        assert [entry.number(row, column) for column in entry.columns] == list(numbers)
    if entry.name.startswith("table"):  # most figures have none
        assert any(number is not None for numbers in entry.numbers.values() for number in numbers)
    assert entry.number(next(iter(entry.numbers)), "a column that the paper has not") is None


@each_entry
def test_its_claims_compare_two_of_its_rows(entry):
    for claim in entry.claims:
        assert {claim.better, claim.worse} <= entry.numbers.keys()
        assert claim.better != claim.worse
        assert claim.text.endswith(".")


@each_entry
def test_it_has_a_laptop_budget_whose_columns_are_not_the_papers(entry):
    assert {"laptop", "gpu"} <= entry.budgets.keys()
    assert not {*entry.budgets["laptop"].columns} & {*entry.columns}
    assert {*entry.budgets["gpu"].columns} <= {*entry.columns}


@each_budget
def test_its_cells_stand_in_the_grid_once_and_in_the_papers_budget_wherever_it_has_a_number(entry, name):
    budget = entry.budget(name)
    found = [(cell.row, cell.column) for cell in budget.cells]
    assert len(found) == len(set(found))
    assert {*found} <= {(row, column) for row in entry.numbers for column in budget.columns}
    ours = {row for row, _ in found}  # other methods are not run
    if name == "gpu":
        assert {(r, c) for r in ours for c in budget.columns if entry.number(r, c) is not None} <= {*found}
    for claim in entry.claims:
        columns = [column for column in budget.columns if claim.where in column]
        if name == "laptop":  # a trend that nothing could show
            assert any({(claim.better, column), (claim.worse, column)} <= {*found} for column in columns), claim.text
        assert any(claim.where in column for column in entry.columns)


@each_budget
def test_what_is_left_out_without_its_data_is_more_than_digits_alone(entry, name):
    budget = entry.budget(name)
    always = [cell for cell in budget.cells if not cell.optional]
    assert always
    if name == "laptop":
        assert {cell.recipes[0].data.data for cell in always} <= {"digits", "drawings", "tiny-imagenet"}
        assert all(cell.recipes[0].data.data == "tiny-imagenet" for cell in budget.cells if cell.optional)
    else:
        assert always == [*budget.cells]


@each_budget
def test_its_recipes_fit_and_repetitions_differ_by_seeds_alone(entry, name):
    for cell in entry.budget(name).cells:
        assert cell.recipes
        assert len({seeds(recipe) for recipe in cell.recipes}) == len(cell.recipes)
        assert len({str(recipe.seeded(0)) for recipe in cell.recipes}) == 1
        for recipe in cell.recipes:
            recipe.check()
            smoke(recipe).check()
            assert cell.student in (None, *recipe.validate.students)
            assert cell.student or len(recipe.validate.students) == 1


@each_budget
def test_cells_of_a_column_have_the_same_seeds_so_that_they_can_be_paired(entry, name):
    budget = entry.budget(name)
    for column in budget.columns:
        cells = [cell for cell in budget.cells if cell.column == column]
        assert len({tuple(map(seeds, cell.recipes)) for cell in cells}) == 1
        assert len({cell.recipes[0].validate.seeds for cell in cells}) == 1


@each_entry
def test_its_laptop_recipes_suit_their_data(entry):
    for cell in entry.budget("laptop").cells:
        if cell.recipes[0].data.data == "digits":
            check(cell.recipes[0], load_data(cell.recipes[0].data).spec)
