"""Presets: the paper's tables, the reference's departures from them, and every recipe at toy size from end to end."""

import json
from pathlib import Path

import pytest
import torch
from paper_tables import TABLES
from stand_ins import CIFAR_FOLDERS, write_cifar, write_imagenet, write_pictures, write_tiny_imagenet
from torch.utils.flop_counter import FlopCounterMode

from sre2l_core import backbones, data, presets
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import DataConfig, ValidateConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.groups import plan
from sre2l_core.presets import PRESETS, Recipe
from sre2l_core.runs.pipeline import run


def value(recipe, name):
    stage, field = name.split(".")
    return getattr(getattr(recipe, stage), field)


@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
@pytest.mark.parametrize("table", TABLES)
def test_paper_presets_are_the_papers_tables(table, network):
    name, expected = TABLES[table]
    recipe = presets.get(name.format(network=network))
    assert {field: value(recipe, field) for field in expected} == expected


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("/paper")])
def test_paper_presets_have_nothing_the_paper_does_not_mention(name):
    recipe = presets.get(name)
    assert recipe.recover.first_bn_multiplier == 1.0
    assert recipe.recover.roll == (0, 0)
    assert recipe.recover.flip == recipe.relabel.flip == 0.0
    assert recipe.squeeze.warmup_epochs == recipe.validate.warmup_epochs == 0
    assert recipe.recover.image_format == "png"
    assert recipe.relabel.teacher_mode == "eval"
    assert recipe.validate.decay_1d


COMMON = {
    "recover.first_bn_multiplier": 10.0,
    "recover.image_format": "jpeg",
    "recover.ipc": 50,
    "recover.init": "noise",
}
REFERENCE = {
    "tiny-imagenet/{network}/reference": {
        "squeeze.epochs": 50,
        "squeeze.warmup_epochs": 5,
        "squeeze.schedule_by": "epoch",
        "squeeze.flip": 0.5,
        "squeeze.decay_1d": True,
        "recover.steps": 4000,
        "recover.alpha_bn": 1.0,
        "recover.lr": 0.1,
        "recover.roll": (-4, 4),
        "recover.flip": 0.5,
        "relabel.flip": 0.5,
        "relabel.mix": "none",
        "relabel.teacher_mode": "eval",
        "validate.optimizer": "sgd",
        "validate.lr": 0.2,
        "validate.batch_size": 256,
        "validate.warmup_epochs": 5,
        "validate.epochs": 100,
        "validate.temperature": 20.0,
        "validate.loss": "kl_t2",
    },
    "imagenet-1k/{network}/reference": {
        "squeeze.pretrained": "IMAGENET1K_V1",
        "recover.steps": 4000,
        "recover.alpha_bn": 0.01,
        "recover.lr": 0.25,
        "recover.roll": (0, 32),
        "recover.flip": 0.5,
        "relabel.epochs": 300,
        "relabel.batch_size": 1024,
        "relabel.mix": "cutmix",
        "relabel.flip": 0.5,
        "validate.optimizer": "adamw",
        "validate.decay_1d": False,
        "validate.micro_batch": 512,
        "validate.schedule_by": "epoch",
        "validate.loss": "kl",
        "validate.temperature": 20.0,
    },
    "cifar100/resnet18/reference": {
        "squeeze.epochs": 200,
        "squeeze.optimizer": "sgd",
        "squeeze.flip": 0.5,
        "recover.steps": 1000,
        "recover.crop": "none",
        "recover.flip": 0.0,
        "recover.roll": (0, 4),
        "relabel.crop": "padded",
        "relabel.padding": 4,
        "relabel.mix": "mixup",
        "relabel.mix_alpha": 0.8,
        "relabel.teacher_mode": "batch",
        "relabel.batch_size": 128,
        "validate.optimizer": "adamw",
        "validate.lr": 1e-3,
        "validate.weight_decay": 0.01,
        "validate.decay_1d": True,
        "validate.batch_size": 128,
        "validate.epochs": 400,
        "validate.temperature": 30.0,
        "validate.loss": "kl",
    },
}


@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
@pytest.mark.parametrize("name", REFERENCE)
def test_reference_presets_are_what_the_authors_run(name, network):
    recipe, expected = presets.get(name.format(network=network)), COMMON | REFERENCE[name]
    assert {field: value(recipe, field) for field in expected} == expected


def test_result_tables_vary_what_they_compare_and_nothing_else():
    for dataset in ("tiny-imagenet", "imagenet-1k"):
        for network in ("resnet18", "resnet50"):
            rows = [presets.get(f"table-3/{dataset}/{network}/{steps}") for steps in ("0.5k", "1k", "2k", "4k")]
            assert [row.recover.steps for row in rows] == [500, 1000, 2000, 4000]
            assert {row.recover.but(steps=1).model_dump_json() for row in rows} == {
                presets.get(f"{dataset}/{network}/reference").recover.but(steps=1).model_dump_json()
            }
            assert {row.validate.students for row in rows} == {("resnet18",)}
    four = {name: recipe for name, recipe in PRESETS.items() if name.startswith("table-4/")}
    assert {name: recipe.recover.ipc for name, recipe in four.items()} == {
        "table-4/tiny-imagenet/ipc50": 50,
        "table-4/tiny-imagenet/ipc100": 100,
        **{f"table-4/imagenet-1k/ipc{ipc}": ipc for ipc in (10, 50, 100, 200)},
    }
    assert {recipe.validate.students for recipe in four.values()} == {("resnet18", "resnet50", "resnet101")}
    eleven = [recipe.recover.ipc for name, recipe in PRESETS.items() if name.startswith("table-11/")]
    assert eleven == [10, 50, 100, 200]


def varied(table, base):
    """What the rows of a table change of the recipe they start from: row -> setting -> value."""
    rows = {name.removeprefix(table): recipe for name, recipe in PRESETS.items() if name.startswith(table)}
    return {row: {name: there for name, (_, there) in base.differences(recipe).items()} for row, recipe in rows.items()}


@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
def test_table_2_varies_squeezing_alone(network):
    base = presets.get("tiny-imagenet/resnet18/reference").but(recover={"steps": 1000})
    found = varied(f"table-2/tiny-imagenet/{network}/", base)
    for row in found.values():
        assert row.pop("squeeze.backbone", "resnet18") == network
    assert found == {
        "50": {},
        "100": {"squeeze.epochs": 100},
        "200": {"squeeze.epochs": 200},
        "400": {"squeeze.epochs": 400},
        "mixup": {"squeeze.mix": "mixup", "squeeze.mix_alpha": 0.2},
        "cutmix": {"squeeze.mix": "cutmix"},
    }


def gradient(of):
    """Norm of the gradient of a term at a batch of noise."""
    noise = torch.randn(100, 3, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    return torch.autograd.grad(of(noise), noise)[0].norm().item()


def reference_tv(x):
    """Four norms over the whole batch: of horizontal, vertical and both diagonal differences."""
    falling, rising = x[..., 1:, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, 1:]
    return x.diff(dim=2).norm() + x.diff(dim=3).norm() + falling.norm() + rising.norm()


def equation_6(x):
    """beta = 2: squared differences, summed over an image; mean over images."""
    return (x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()) / len(x)


@pytest.mark.parametrize("dataset", ["tiny-imagenet", "imagenet-1k"])
def test_table_8_varies_regularisers_and_crop(dataset):
    steps, side = {"tiny-imagenet": (1000, 64), "imagenet-1k": (2000, 224)}[dataset]
    base = presets.get(f"{dataset}/resnet18/reference").but(recover={"steps": steps})
    # As strong as the reference's 1e-4 on noise; a norm over the batch weakens as the side of its pictures grows.
    weight = 1e-4 * gradient(reference_tv) / gradient(equation_6) * 64 / side
    tv, l2 = {"recover.alpha_tv": pytest.approx(weight, rel=0.2)}, {"recover.alpha_l2": 1e-5}
    whole = {"recover.crop": "none"}
    rows = {"tv-l2": tv | l2 | whole, "tv": tv | whole, "l2": l2 | whole, "none": whole, "crop": {}}
    assert varied(f"table-8/{dataset}/", base) == rows


def test_tables_5_and_9_vary_teacher_and_resolution():
    base = presets.get("imagenet-1k/resnet18/reference")
    five = varied("table-5/imagenet-1k/", base.but(recover={"steps": 2000}))
    assert five["resnet18"] == {"validate.students": ["deit_tiny", "resnet18", "resnet50", "resnet101"]}
    assert five["bn_vit"].pop("validate.students") == five["resnet18"]["validate.students"]
    assert {name.split(".")[0] for name in five["bn_vit"]} == {"squeeze"}
    assert five["bn_vit"]["squeeze.backbone"] == "bn_vit"
    nine = varied("table-9/imagenet-1k/", base)
    assert nine["224"] == {"validate.students": ["resnet18", "resnet50", "resnet101"]}
    for side in (64, 112):
        assert nine[str(side)] == {
            **varied(f"imagenet-1k-{side}/resnet18/reference", base)[""],
            **nine["224"],
            "data.resolution": side,
        }


@pytest.mark.parametrize(
    "name", [n for n in PRESETS if not n.startswith(("folder", "beyond")) and not n.endswith("lpld")]
)
def test_batchnorm_is_matched_over_a_hundred_images(name):
    """Tables 7c, 7d and 10b: a batch of 100; where there are ten classes, ten images of each."""
    recipe = presets.get(name)
    classes = tuple(map(str, range(recipe.num_classes)))
    spec = DatasetSpec("any", classes, 3, 8, (0.5,) * 3, (0.25,) * 3)
    assert {len(group) for group in plan(recipe.recover.but(ipc=50, only_classes=None), spec)} == {100}


def flops(recipe, side):
    """Of one image's forward pass, counted by torch, not by a formula for stems."""
    network, options = recipe.squeeze.backbone, recipe.squeeze.backbone_options
    net = backbones.build(network, num_classes=1000, resolution=side, **options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, side, side))
    return counter.get_total_flops()


@pytest.mark.parametrize("source", ["paper", "reference", "modern"])
def test_pictures_of_112_pixels_cost_a_quarter_of_224(source):
    small, large = (presets.get(f"imagenet-1k{size}/resnet18/{source}") for size in ("-112", ""))
    assert flops(small, 112) / flops(large, 224) == pytest.approx(0.25, abs=0.03)
    assert small.validate.student_options == small.squeeze.backbone_options


def test_but_changes_what_is_named_and_checks_it():
    recipe = presets.get("digits")
    changed = recipe.but(recover={"ipc": 3}, validate=ValidateConfig(seeds=7), store_labels=False)
    assert changed.recover == recipe.recover.but(ipc=3)
    assert changed.validate == ValidateConfig(seeds=7)
    assert (changed.squeeze, changed.relabel, changed.data) == (recipe.squeeze, recipe.relabel, recipe.data)
    assert not changed.store_labels
    assert recipe == presets.get("digits")
    with pytest.raises(ConfigError, match=r"unknown part of a recipe 'recovery'\. Did you mean 'recover'"):
        recipe.but(recovery={"ipc": 3})
    with pytest.raises(ConfigError, match=r"unknown RecoverConfig field 'icp'.*'ipc'"):
        recipe.but(recover={"icp": 3})
    with pytest.raises(ConfigError, match=r"RecoverConfig\.ipc.*got 0"):
        recipe.but(recover={"ipc": 0})


def test_differences_are_what_turns_one_recipe_into_the_other():
    paper, reference = (presets.get(f"tiny-imagenet/resnet18/{source}") for source in ("paper", "reference"))
    found = paper.differences(reference)
    assert found["recover.roll"] == ([0, 0], [-4, 4])
    values = paper.to_json()
    for name, (here, there) in found.items():
        stage, field = name.split(".")
        assert values[stage][field] == here != there
        values[stage][field] = there
    assert Recipe.of(values) == reference
    assert paper.differences(paper) == {}
    assert paper.differences(paper.but(store_labels=True)) == {"store_labels": (False, True)}


def test_another_network_is_teacher_and_student():
    assert presets.get("imagenet-1k/resnet18/paper").on("resnet50") == presets.get("imagenet-1k/resnet50/paper")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_consistent_and_survives_json(name):
    for recipe in (presets.get(name), presets.get(f"{name}/smoke")):
        recipe.check()
        assert Recipe.of(json.loads(json.dumps(recipe.to_json()))) == recipe
        assert recipe.data.data in data.names()
        assert {*recipe.seeded(7).to_json()} == {*recipe.to_json()}
        assert all(
            getattr(recipe.seeded(7), stage).seed == 7 for stage in ("squeeze", "recover", "relabel", "validate")
        )


def test_modern_students_differ_from_the_reference_in_labels_and_students_only():
    modern, reference = presets.get("tiny-imagenet/resnet18/modern"), presets.get("tiny-imagenet/resnet18/reference")
    assert modern.squeeze == reference.squeeze
    assert modern.recover == reference.recover.but(image_format="png")
    assert modern.validate != reference.validate


def test_every_dataset_has_a_recipe_to_start_from():
    assert presets.default_for("digits") == PRESETS["digits"]
    assert presets.default_for("cifar100") == PRESETS["cifar100/resnet18/reference"]
    for name in data.names():
        assert presets.default_for(name).data.data == name
    with pytest.raises(ConfigError, match=r"unknown dataset 'tiny'.*'tiny-imagenet'"):
        presets.default_for("tiny")


def test_a_dataset_without_a_preset_of_its_own_starts_from_folder(monkeypatch):
    monkeypatch.setattr(data, "names", lambda: ["digits", "new"])
    assert presets.default_for("new") == PRESETS["folder"]


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown preset 'digit'\. Did you mean 'digits'"):
        presets.get("digit/smoke")
    with pytest.raises(ConfigError, match=r"unknown part of a recipe 'recovery'\. Did you mean 'recover'"):
        Recipe.of({"recovery": {}})
    with pytest.raises(ConfigError, match="RecoverConfig field 'step'"):
        Recipe.of({"recover": {"step": 1}})


def test_classes_are_counted_without_the_data():
    assert PRESETS["imagenet-1k/resnet18/paper"].num_classes == 1000
    assert PRESETS["folder"].num_classes is None
    assert Recipe(data=DataConfig(data="cifar10", classes=("cat", "dog"))).num_classes == 2
    assert Recipe(data=DataConfig(data="cifar10", num_classes=3)).num_classes == 3


def test_stored_labels_must_last_as_long_as_the_students():
    recipe = presets.get("digits")
    short = Recipe(relabel=recipe.relabel.but(epochs=2), validate=recipe.validate.but(epochs=3), store_labels=True)
    with pytest.raises(ConfigError, match=r"3 epochs on labels of 2: set --relabel\.epochs"):
        short.check()


def stand_in(dataset, folder):
    """Data of the right format for a dataset that is not inside scikit-learn."""
    if dataset in CIFAR_FOLDERS:
        write_cifar(folder / CIFAR_FOLDERS[dataset], dataset, per_file=20)
    elif dataset == "tiny-imagenet":
        write_tiny_imagenet(folder)
    elif dataset in ("imagenet-1k", "imagenette"):
        write_imagenet(folder)
    elif dataset == "folder":
        write_pictures(folder, {"cats": 4, "dogs": 5})
    return folder


FAMILIES = [
    "digits",
    "folder",
    "tiny-imagenet/resnet18/reference",
    "tiny-imagenet/resnet50/modern",
    "imagenet-1k/resnet18/reference",
    "imagenet-1k-64/resnet18/paper",
    "imagenette/resnet18/reference",
    "cifar10/resnet18/paper",
    "cifar100/resnet18/reference",
    "tiny-imagenet/resnet18/fadrm+",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_smoke_recipes_run_from_end_to_end(name, tmp_path, cpu, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())
    recipe = presets.get(f"{name}/smoke")
    recipe = recipe.but(data={"data_root": stand_in(recipe.data.data, tmp_path / "data")})
    outcome = run(recipe, tmp_path / "run", runtime=cpu)
    assert len(outcome.condensed) == 4
    assert {(row.data, row.labels) for row in outcome.score.rows} >= {("condensed", "soft"), ("random real", "hard")}
    assert Teacher.load(tmp_path / "run" / "teacher").id == outcome.teacher.id
    assert CondensedSet.load(tmp_path / "run" / "condensed").id == outcome.condensed.id
