"""The grids of single entries: what their rows say is what their recipes do."""

import pytest

from sre2l_core import paper
from sre2l_core.runs.store import Store

# Appendix, Table 8: R_TV, R_l2, random crop.
ROWS_8 = {
    "R_TV, R_ℓ2": (True, True, False),
    "R_TV": (True, False, False),
    "R_ℓ2": (False, True, False),
    "none": (False, False, False),
    "random crop": (False, False, True),
}


@pytest.mark.parametrize("budget", ["laptop", "gpu"])
def test_rows_of_table_8_are_recovered_as_they_are_called(budget):
    for cell in paper.get("table-8").budget(budget).cells:
        for recover in (recipe.recover for recipe in cell.recipes):
            assert (recover.alpha_tv > 0, recover.alpha_l2 > 0, recover.crop == "resized") == ROWS_8[cell.row]


def test_table_8_changes_nothing_else(tmp_path):
    for budget in paper.get("table-8").budgets.values():
        for column in budget.columns:
            first, *others = [cell.recipes[0] for cell in budget.cells if cell.column == column]
            for other in others:
                named = {"recover.alpha_tv", "recover.alpha_l2", "recover.crop"}
                assert first.differences(other).keys() <= named


@pytest.mark.parametrize("budget", ["laptop", "gpu"])
def test_all_temperatures_of_figure_4_share_a_teacher_its_images_and_their_labels(budget, tmp_path):
    chosen = paper.get("figure-4").budget(budget)
    datasets = {recipe.data.data for cell in chosen.cells for recipe in cell.recipes}
    places = [Store(tmp_path).places(recipe) for cell in chosen.cells for recipe in cell.recipes]
    for part in ("teacher", "condensed", "labels"):
        assert len({getattr(place, part) for place in places}) == len(datasets)
    assert len({place.score for place in places}) == 5 * len(datasets)
    for cell in chosen.cells:
        assert cell.row == f"T = {cell.recipes[0].validate.temperature:g}"


def test_figure_4_is_drawn_with_a_point_for_each_temperature_that_is_there():
    entry = paper.get("figure-4")
    values = {("T = 1", "digits"): (90.0, 92.0), ("T = 10", "digits"): (95.0,)}
    figure = entry.draw(paper.Results(entry, "laptop", entry.budget("laptop"), None, values))
    (axes,) = figure.axes
    line = axes.containers[0].lines[0]
    assert line.get_xydata().tolist() == [[1, 91], [10, 95]]
    assert "laptop" in axes.get_title()
