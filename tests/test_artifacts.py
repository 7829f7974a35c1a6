"""What the stages exchange: round trips, and folders that a stranger can read."""

from __future__ import annotations

import copy
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torchvision.datasets import ImageFolder

from sre2l_core import pictures, storage
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow, Teacher, empty_network
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ArtifactError, ConfigError, DataError
from sre2l_core.stages.labels import SoftLabels
from sre2l_core.stages.relabel import relabel

ROW = ScoreRow("condensed", "soft", "convnet", 11, 40, (0.5, 0.61, 0.7), (0.6, 0.62, 0.75), (0.9, 0.9, 0.95))


@pytest.fixture
def saved(tmp_path, tiny_teacher, tiny_condensed, cpu):
    """Return a function that saves an artifact of a kind and loads it."""

    def go(kind):
        made = {
            "teacher": lambda: tiny_teacher,
            "condensed_set": lambda: tiny_condensed,
            "soft_labels": lambda: relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=2), runtime=cpu),
            "score": lambda: Score((ROW, replace(ROW, labels="hard")), {"config": {"seeds": 3}}),
        }[kind]()
        made.save(tmp_path / kind)
        return made, type(made).load(tmp_path / kind), tmp_path / kind

    return go


@pytest.mark.parametrize("kind", storage.KINDS)
def test_folders_are_complete_and_hold_no_pickle(saved, kind):
    folder = saved(kind)[2]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert storage.verify(folder) == len(files) - 1
    assert storage.read_manifest(folder)["kind"] == kind
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".png", ".md", ".csv", ".tex"}
    with pytest.raises(ArtifactError, match=f"holds a {kind}, expected a"):
        (Score if kind == "teacher" else Teacher).load(folder)


def test_a_teacher_comes_back_with_its_outputs(saved, tiny_condensed):
    made, loaded, _ = saved("teacher")
    assert loaded.id == made.id
    assert (loaded.spec, loaded.backbone, loaded.options) == (made.spec, made.backbone, made.options)
    images = made.spec.normalize(tiny_condensed.images)
    assert loaded.net(images).equal(made.net(images))
    assert not any(module.training for module in loaded.net.modules())
    assert not any(parameter.requires_grad for parameter in loaded.net.parameters())


def test_the_id_of_a_teacher_sees_weights_and_running_statistics(tiny_teacher, tiny_spec):
    ids = {tiny_teacher.id}
    for name in ("classifier.bias", "features.1.running_var"):
        net = empty_network("convnet", tiny_spec, tiny_teacher.options)
        net.load_state_dict(tiny_teacher.net.state_dict())
        net.state_dict()[name].add_(1)
        ids.add(Teacher(net, tiny_spec, "convnet").id)
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("classifier.bias"), r"classifier\.bias is missing \(1 in all\)"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra is unknown"),
        (
            lambda w: w.update({"classifier.weight": torch.zeros(4, 32)}),
            r"classifier\.weight is \(4, 32\), expected \(5, 32\)",
        ),
        (
            lambda w: w.update({"classifier.bias": torch.zeros(5).half()}),
            r"classifier\.bias is torch\.float16, expected torch\.float32",
        ),
        (
            lambda w: w.update({"classifier.bias": torch.full((5,), torch.nan)}),
            r"classifier\.bias is infinite or no number",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(saved, tiny_teacher, change, message):
    folder = saved("teacher")[2]
    weights = dict(tiny_teacher.net.state_dict())
    change(weights)
    body = storage.read_manifest(folder)
    with storage.saving(folder, "teacher") as work:
        work.write("weights.safetensors", storage.save_tensors, weights)
        work.finish({name: body[name] for name in ("id", "backbone", "options", "accuracy", "origin", "spec")})
    with pytest.raises(ArtifactError, match=rf"weights\.safetensors does not fit the network: .*{message}"):
        Teacher.load(folder)


def test_a_condensed_set_comes_back_bit_for_bit(saved):
    made, loaded, _ = saved("condensed_set")
    assert loaded.images.equal(made.images)
    assert loaded.labels.equal(made.labels)
    assert (loaded.id, loaded.spec, loaded.origin) == (made.id, made.spec, made.origin)
    assert (len(loaded), loaded.ipc) == (11, 3)


def test_a_condensed_set_is_an_image_folder(saved):
    made, _, folder = saved("condensed_set")
    found = ImageFolder(folder / "images")
    assert [name.split("_")[1] for name in found.classes] == list(made.spec.classes)
    for path, label in found.samples:
        index = int(path.rsplit("/", 1)[1].split(".")[0])
        assert label == made.labels[index]
        picture = found.loader(path)
        assert np.array_equal(np.moveaxis(np.asarray(picture), 2, 0), made.images[index].numpy())


def test_awkward_class_names_become_folders_in_the_order_of_labels(tmp_path, tiny_condensed, tiny_spec):
    spec = replace(tiny_spec, classes=("z/../x", "a b", "ü", ".", "m"), class_names=())
    replace(tiny_condensed, spec=spec).save(tmp_path / "set")
    names = sorted(path.name for path in (tmp_path / "set" / "images").iterdir())
    assert [int(name[:5]) for name in names] == list(range(5))
    assert CondensedSet.load(tmp_path / "set").labels.equal(tiny_condensed.labels)


def test_a_damaged_image_is_named(saved):
    folder = saved("condensed_set")[2]
    path = sorted(folder.rglob("*.png"))[3]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ArtifactError, match=path.name):
        CondensedSet.load(folder)
    path.unlink()
    with pytest.raises(ArtifactError, match=path.name):
        CondensedSet.load(folder)


@pytest.mark.parametrize("name", ["images/cat_3/00000001.png", "images/00000001.png"])
def test_an_image_in_a_folder_of_no_class_is_named(saved, name):
    _, _, folder = saved("condensed_set")
    body = storage.read_json(folder / storage.MANIFEST)
    old = min(body["files"])
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / old).rename(folder / name)
    body["files"][name] = body["files"].pop(old)
    storage.write_json(folder / storage.MANIFEST, body)
    with pytest.raises(ArtifactError, match=f"{name} is no image of a class"):
        CondensedSet.load(folder)


def test_a_full_disk_names_the_image(tmp_path, tiny_condensed, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "write", full)
    with pytest.raises(ArtifactError, match=r"cannot write .*00000000\.png: No space left on device"):
        tiny_condensed.save(tmp_path / "set")
    with pytest.raises(ArtifactError, match="is missing"):
        CondensedSet.load(tmp_path / "set")


def test_the_first_images_of_each_class_keep_their_ids(tiny_condensed):
    fewer = tiny_condensed.first(2)
    assert fewer.labels.bincount().tolist() == [2] * 5
    assert fewer.images.equal(tiny_condensed.images[:10])
    assert tiny_condensed.first(1).images.equal(tiny_condensed.images[:5])
    assert tiny_condensed.first(9).id == tiny_condensed.id
    assert fewer.id != tiny_condensed.id


def test_soft_labels_come_back_bit_for_bit(saved):
    made, loaded, folder = saved("soft_labels")
    assert (loaded.config, loaded.teacher_id, loaded.condensed_id) == (made.config, made.teacher_id, made.condensed_id)
    ids = torch.tensor([10, 0, 4])
    for epoch in (1, 0, 1):
        assert loaded.logits(epoch, ids).equal(made.logits(epoch, ids))
        assert loaded.views(epoch).box.equal(made.views(epoch).box)
    (folder / "labels" / "epoch_00001.safetensors").unlink()
    with pytest.raises(ArtifactError, match="epoch_00001"):
        SoftLabels.load(folder).logits(1, ids)


def test_a_score_comes_back_and_prints_mean_and_deviation(saved):
    made, loaded, folder = saved("score")
    assert loaded == made
    last, best = np.array(ROW.last), np.array(ROW.best)
    assert ROW.mean_std() == pytest.approx((last.mean(), last.std(ddof=1)))
    assert ROW.mean_std("best") == pytest.approx((best.mean(), best.std(ddof=1)))
    assert replace(ROW, last=(0.4,)).mean_std() == (0.4, 0.0)
    line = f"| condensed | soft | convnet | 11 | 40 | {100 * last.mean():.1f} ± {100 * last.std(ddof=1):.1f} | "
    assert line + f"{100 * best.mean():.1f} |" in made.table().splitlines()
    assert (folder / "score.md").read_text() == made.table() + "\n"
    assert (folder / "score.csv").read_text() == made.tabulated().to_csv()
    assert (folder / "score.tex").read_text() == made.tabulated().to_latex() + "\n"


def test_rows_are_found_by_what_they_are():
    score = Score((ROW, replace(ROW, student="other"), replace(ROW, data="random real")))
    assert score.row("condensed", "soft") is score.rows[0]
    assert score.row("condensed", "soft", "other") is score.rows[1]
    with pytest.raises(KeyError, match=r"no row condensed \+ hard"):
        score.row("condensed", "hard")


@pytest.mark.parametrize("kind", storage.KINDS)
def test_one_altered_byte_of_any_file_is_named_when_it_is_loaded(saved, kind):
    made, _, folder = saved(kind)
    for path in sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".md", ".csv", ".tex")
    ):
        whole = path.read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            with pytest.raises(ArtifactError, match=re.escape(path.name)):
                use(type(made), folder)
        path.write_bytes(whole)
    use(type(made), folder)


def use(kind, folder):
    """Load an artifact and read all of it: labels are read when they are needed."""
    found = kind.load(folder)
    if kind is SoftLabels:
        for epoch in range(2):
            found.logits(epoch, torch.arange(2))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_teacher_with_infinite_statistics_is_not_saved(tiny_teacher, tmp_path, value):
    sick = copy.deepcopy(tiny_teacher)
    sick.net.state_dict()["features.1.running_var"][0] = value
    with pytest.raises(
        ArtifactError, match=r"features\.1\.running_var is infinite or no number.*lower lr or more warmup"
    ):
        sick.save(tmp_path / "teacher")
    assert not (tmp_path / "teacher" / storage.MANIFEST).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.full((11,), 5)}, r"labels must be within 0\.\.4 \(got 5\.\.5\)"),
        ({"labels": torch.full((11,), -1)}, "labels must be within"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, r"takes uint8 images \[3, 3, 8, 8\]"),
        ({"images": torch.zeros(11, 3, 8, 7, dtype=torch.uint8)}, r"\[11, 3, 8, 7\]"),
        ({"images": torch.zeros(11, 3, 8, 8)}, "float32"),
        ({"images": None}, r"CondensedSet\.images: .* instance of Tensor \(got None\)"),
        ({"labels": [0] * 11}, r"CondensedSet\.labels: .* instance of Tensor"),
        ({"labels": torch.zeros(11)}, r"labels must be int64 \[N\] \(got torch\.float32, \[11\]\)"),
        ({"labels": torch.zeros(11, 1, dtype=torch.long)}, r"labels must be int64 \[N\]"),
    ],
)
def test_a_condensed_set_that_fits_no_dataset_is_refused(tiny_condensed, change, message):
    with pytest.raises(DataError, match=message):
        replace(tiny_condensed, **change)


@pytest.mark.parametrize("change", [{"net": None}, {"spec": {}}, {"backbone": 5}, {"options": [1]}, {"accuracy": 0.5}])
def test_a_teacher_of_other_parts_is_refused(tiny_teacher, change):
    with pytest.raises(ArtifactError, match=rf"Teacher\.{next(iter(change))}: .*\(got "):
        replace(tiny_teacher, **change)


@pytest.mark.parametrize("row", [None, {}, {"data": "x"}, {**asdict(ROW), "more": 1}, {**asdict(ROW), "last": ()}])
def test_a_row_that_is_none_is_refused(row):
    with pytest.raises(ArtifactError, match=r"a row of a score has best, data, |ScoreRow\.last: .* at least 1"):
        ScoreRow.from_json(row)


def test_options_that_the_dataset_decides_are_refused(tiny_spec):
    with pytest.raises(ConfigError, match="num_classes comes from the dataset"):
        empty_network("convnet", tiny_spec, {"num_classes": 3})


def test_saving_again_replaces_the_images(tiny_condensed, tmp_path):
    tiny_condensed.save(tmp_path)
    tiny_condensed.first(1).save(tmp_path)
    assert CondensedSet.load(tmp_path).id == tiny_condensed.first(1).id
    assert len(list(tmp_path.rglob("*.png"))) == storage.verify(tmp_path) == 5


def test_a_table_names_its_precision():
    assert Score((ROW,), {"precision": "bf16"}).table().endswith("\n\nstudents trained in bf16")


@pytest.mark.parametrize("counts", [torch.zeros(2, 3), torch.zeros(2, 2), torch.full((2, 2), -1), torch.ones(4).int()])
def test_what_is_no_confusion_matrix_is_refused(tmp_path, counts):
    Score((ROW,), {}, {"good": torch.eye(2).int(), "bad": counts}).save(tmp_path / "score")
    with pytest.raises(ArtifactError, match=r"confusions.safetensors: bad is no confusion matrix, \[K, K\] counts"):
        Score.load(tmp_path / "score")
