"""Figure 6: points of curves are cells, made together and found one by one."""

from dataclasses import replace

import pytest

from sre2l_core import paper
from sre2l_core.artifacts import Score
from sre2l_core.paper import Budget, Results
from sre2l_core.paper.figure_6 import ALONE, COLUMNS, CONDENSED_HERE, MEMORIES, NUMBERS, ROWS, figure_6, points
from sre2l_core.presets import get, repeated
from sre2l_core.presets.recipe import smoke
from sre2l_core.runs.store import Store

SMALL = smoke(get("digits")).but(
    data={"num_classes": 4, "resolution": 8},
    squeeze={"epochs": 1, "batch_size": 128},
    validate={**ALONE, "seeds": 1},
    store_labels=False,
)
COLUMNS_HERE = ("digits, 2 classes", "digits, 4 classes")


def small(monkeypatch: pytest.MonkeyPatch) -> paper.Entry:
    monkeypatch.setattr("sre2l_core.paper.figure_6.ORDERS", 2)
    return replace(figure_6, budgets={"laptop": Budget("No time.", points(SMALL, 2, COLUMNS_HERE, MEMORIES[:2]))})


def test_the_papers_numbers_are_the_authors_log_of_five_steps() -> None:
    five = COLUMNS[:5]
    assert five == tuple(f"5 steps, {seen} classes" for seen in (40, 80, 120, 160, 200))
    assert [figure_6.number(CONDENSED_HERE, column) for column in five] == [45.6, 48.5, 49.4, 49.8, 49.9]
    assert {row for row, numbers in NUMBERS.items() if any(numbers)} == {CONDENSED_HERE}
    assert [column.split(", ")[1] for column in COLUMNS[5:]] == [f"{seen} classes" for seen in range(20, 201, 20)]


def test_points_stand_after_each_step_in_the_order_of_their_seed() -> None:
    for cell in figure_6.budget("laptop").cells:
        assert cell.config.but(steps=5) == ROWS[cell.row].but(steps=5)
        assert cell.column == f"{'Tiny-ImageNet' if cell.optional else 'digits'}, {2 * cell.step} classes"
        assert [cell.ordered(recipe).seed for recipe in cell.recipes] == [0, 1, 2]
    gpu = figure_6.budget("gpu").cells
    assert {(cell.config.steps, cell.step) for cell in gpu} == {(5, n) for n in range(1, 6)} | {
        (10, n) for n in range(1, 11)
    }
    assert {recipe.recover.ipc for cell in gpu for recipe in cell.recipes} == {100}
    assert {recipe.validate.students for cell in gpu for recipe in cell.recipes} == {("resnet18",)}


def test_a_curve_is_made_once_and_its_points_are_found(tmp_path, cpu, monkeypatch) -> None:
    entry, said = small(monkeypatch), []
    results = paper.run(entry, "laptop", Store(tmp_path), runtime=cpu, say=said.append)
    assert results.failures == {}
    rows = [row for row, config in ROWS.items() if config.memory in MEMORIES[:2]]
    assert {*results.values} == {(row, column) for row in rows for column in COLUMNS_HERE}
    assert {len(values) for values in results.values.values()} == {2}
    assert said[0] == "1/8  condensed, reference's setting, digits, 2 classes: 0 of 2 runs found"
    assert said[1] == "2/8  condensed, reference's setting, digits, 4 classes: 2 of 2 runs found"
    scores = [Score.load(path) for path in tmp_path.glob("continual-*/step-*")]
    assert len(scores) == 16
    known = {round(100 * score.rows[0].last[0], 9) for score in scores}
    assert {round(value, 9) for values in results.values.values() for value in values} <= known
    again = paper.run(entry, "laptop", Store(tmp_path), runtime=cpu)
    assert again.values == results.values
    (legend,) = entry.draw(results).legends
    assert [text.get_text() for text in legend.get_texts()] == rows
    assert "digits, 2 classes; digits, 4 classes: digits at 8 pixels" in results.markdown()


def test_what_is_missing_is_left_out_of_the_figure() -> None:
    budget = figure_6.budget("laptop")
    values = {(CONDENSED_HERE, "digits, 2 classes"): (99.0, 98.0, 97.0), (CONDENSED_HERE, "digits, 6 classes"): (90.0,)}
    axes = figure_6.draw(Results(figure_6, "laptop", budget, None, values)).axes[0]
    (container,) = axes.containers
    assert container[0].get_xydata().tolist() == [[2.0, 98.0], [6.0, 90.0]]
    assert len(figure_6.draw(Results(figure_6, "gpu", figure_6.budget("gpu"), None, {})).axes) == 2


def test_recipes_of_repetitions_share_their_teacher() -> None:
    (cell, *_) = figure_6.budget("laptop").cells
    assert cell.recipes == repeated(cell.recipes[0], 3)
    assert len({str(recipe.squeeze) for recipe in cell.recipes}) == 1
