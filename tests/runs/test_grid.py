"""Cells of a grid: crossed or zipped, repeated, checked before anything runs."""

import numpy as np
import pytest

from sre2l_core import presets
from sre2l_core.errors import ConfigError
from sre2l_core.presets import Recipe, repeated
from sre2l_core.runs.grid import cells, changed

GRID = {"recover.alpha_bn": [0, 0.1, 1], "recover.crop_scale": [(0.1, 1), (0.5, 1)]}


def values(made, *names):
    return [tuple(cell.recipes[0].settings()[name] for name in names) for cell in made]


def test_each_value_with_each_the_last_setting_fastest():
    made = cells("digits", GRID)
    assert values(made, *GRID) == [(a, [low, 1]) for a in (0, 0.1, 1) for low in (0.1, 0.5)]
    assert made[1].settings == {"recover.alpha_bn": 0.0, "recover.crop_scale": [0.5, 1.0]}
    assert made[1].name == "recover.alpha_bn = 0.0, recover.crop_scale = 0.5 1.0"
    rest = presets.get("digits").but(validate={"hard_labels": False, "against": ()})
    assert {name for cell in made for name in rest.differences(cell.recipes[0])} <= set(GRID)


def test_zipped_values_go_together():
    grid = {"squeeze.epochs": [5, 10], "recover.steps": [7, 8]}
    assert values(cells("digits", grid, zipped=True), *grid) == [(5, 7), (10, 8)]
    with pytest.raises(ConfigError, match=r"as many values each: squeeze\.epochs has 2, recover\.steps has 3"):
        cells("digits", {**grid, "recover.steps": [7, 8, 9]}, zipped=True)


def test_repetitions_have_a_student_each_and_seeds_that_count_on():
    base = presets.get("digits").but(recover={"seed": 5}, relabel={"seed": 7})
    (cell,) = cells(base, {"recover.alpha_bn": [1]}, seeds=3)
    seeds = [(r.squeeze.seed, r.recover.seed, r.relabel.seed, r.validate.seed) for r in cell.recipes]
    assert seeds == [(0, 5, 7, 0), (0, 6, 8, 1), (0, 7, 9, 2)]
    assert {recipe.validate.seeds for recipe in cell.recipes} == {1}
    (cell,) = cells(base, {"recover.alpha_bn": [1]})
    assert [recipe.validate.seeds for recipe in cell.recipes] == [base.validate.seeds]
    assert len(repeated(base, 4)) == 4


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("validate.students", ["resnet18", "resnet50"], [["resnet18"], ["resnet50"]]),
        ("recover.init", ["noise", "real"], ["noise", "real"]),
        ("store_labels", [True, False], [True, False]),
        ("data.classes", [("3", "5"), None], [["3", "5"], None]),
        ("recover.alpha_tv", np.array([0.001, 0.01, 0.1]), [0.001, 0.01, 0.1]),
        ("recover.steps", range(1, 4), [1, 2, 3]),
        ("data.holdout", (value for value in (0.1, 0.2)), [0.1, 0.2]),
        ("relabel.codec_options", [{}, {"k": 3}], [{}, {"k": 3}]),
    ],
)
def test_any_field_of_any_stage(name, given, expected):
    assert [cell.settings[name] for cell in cells("digits", {name: given})] == expected


def test_every_setting_there_is_can_be_swept_over():
    base = presets.get("digits")
    for name, value in base.but(validate={"hard_labels": False, "against": ()}).settings().items():
        (cell,) = cells(base, {name: [value]})
        assert cell.settings == {name: value}


def test_another_network_does_not_get_the_options_of_this_one():
    networks = {"squeeze.backbone": ["convnet", "resnet10"], "validate.students": [("resnet10",), ("convnet",)]}
    made = cells("digits", networks)
    own = presets.get("digits").squeeze.backbone_options
    assert values(made, "squeeze.backbone_options", "validate.student_options") == [
        (own, {}), (own, own), ({}, {}), ({}, own),
    ]  # fmt: skip
    (given,) = cells("digits", {"squeeze.backbone": ["resnet10"], "squeeze.backbone_options": [{"width": 8}]})
    assert given.recipes[0].squeeze.backbone_options == {"width": 8}


def test_baselines_are_trained_where_the_grid_asks_for_them():
    asked = {"validate.against": [("random",)], "validate.hard_labels": [True]}
    assert values(cells("digits", asked), *asked) == [(["random"], True)]


@pytest.mark.parametrize(
    ("grid", "options", "told"),
    [
        ({}, {}, r"settings and a list of values.*got \{\}"),
        (None, {}, "got None"),
        ([("recover.lr", [1])], {}, "settings and a list of values"),
        ({"recover.alpha_bn": []}, {}, r"recover\.alpha_bn has no values: the grid is empty"),
        ({"recover.alpha_bn": 0.1}, {}, r"recover\.alpha_bn: expected a list of values \(got 0\.1\)"),
        ({"recover.init": "noise"}, {}, r"expected a list of values \(got 'noise'\)"),
        ({"recover.alpha_nb": [1]}, {}, r"unknown setting 'recover\.alpha_nb'\. Did you mean 'recover\.alpha_bn'"),
        ({"alpha_bn": [1]}, {}, r"unknown setting 'alpha_bn'\. Did you mean 'recover\.alpha_bn'"),
        ({"recovery.alpha_bn": [1]}, {}, r"Did you mean 'recover\.alpha_bn'"),
        ({7: [1]}, {}, "unknown setting '7'"),
        ({"recover.alpha_bn": [1, -1]}, {}, r"RecoverConfig\.alpha_bn.*got -1"),
        ({"recover.alpha_bn": [1, float("nan")]}, {}, r"RecoverConfig\.alpha_bn"),
        ({"recover.steps": ["many"]}, {}, r"RecoverConfig\.steps.*'many'"),
        ({"recover.crop_scale": [0.1, 1]}, {}, r"RecoverConfig\.crop_scale.*got 0\.1"),
        ({"store_labels": ["yes"]}, {}, r"store_labels: expected true or false \(got 'yes'\)"),
        ({"validate.epochs": [100, 500]}, {}, "500 epochs on labels of 100"),
        ({"recover.alpha_bn": [0, 0.0]}, {}, r"the same: recover\.alpha_bn = 0\.0"),
        ({"recover.steps": range(200), "recover.ipc": range(1, 101)}, {}, "20,000 cells are more than the 10,000"),
        (GRID, {"seeds": 0}, "seeds must be a whole number within 1..1000 .got 0"),
        (GRID, {"seeds": True}, "got True"),
        (GRID, {"seeds": 2.5}, "got 2.5"),
        ({"validate.seeds": [1, 2]}, {"seeds": 3}, "leave one of them out"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(grid, options, told):
    with pytest.raises(ConfigError, match=told):
        cells("digits", grid, **options)


def test_unknown_presets_and_settings_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'digits'"):
        cells("digit", GRID)
    with pytest.raises(ConfigError, match=r"Did you mean 'data\.holdout'"):
        changed(Recipe(), {"data.holdot": 0.2})
