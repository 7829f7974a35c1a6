"""What `inspect` says about artifacts, finished, unfinished and damaged."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ArtifactError
from sre2l_core.runs.inspect import describe
from sre2l_core.stages.relabel import relabel


@pytest.fixture
def home(tmp_path, tiny_teacher, tiny_condensed, cpu):
    """A run's folder with one artifact of each kind."""
    tiny_teacher.save(tmp_path / "teacher")
    tiny_condensed.save(tmp_path / "condensed")
    relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=3, codec="int8"), runtime=cpu, out=tmp_path / "labels")
    row = ScoreRow("condensed", "soft", "convnet", 11, 40, (0.5, 0.75), (0.6, 0.8))
    Score((row,), {"config": {"epochs": 7, "temperature": 20.0}}).save(tmp_path / "score")
    for part, kind in (("teacher", "teacher"), ("condensed", "condensed_set"), ("score", "score")):
        storage.write_json(tmp_path / part / storage.REQUEST, {"kind": kind})
    return tmp_path


def said(folder):
    return "\n".join(describe(folder))


def test_a_teacher(home):
    text = said(home / "teacher")
    assert "teacher: teacher, 1 file," in text
    assert "all hashes match" in text
    assert "convnet (depth=2, width=8): 1,005 parameters" in text
    assert "2 BatchNorm layers, 16 channels" in text
    assert "knows tiny: 5 classes, 8x8 RGB" in text
    assert "accuracy not measured" in text


def test_a_condensed_set_is_described_and_drawn(home, tiny_condensed):
    text = said(home / "condensed")
    assert "condensed set, 11 files" in text
    assert "11 images of 5 classes, 2-3 a class" in text
    assert f"pixels: mean {tiny_condensed.images.float().mean() / 255:.3f}" in text
    assert "first images: ant, bee, cat, dog, eel, ant" in text
    drawn = text.splitlines()[-6:]
    assert all(len(row) == 2 + 6 * 12 + 5 * 3 for row in drawn)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made."""

    nbytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        sizes = [leaf.nbytes for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        self.nbytes = max([self.nbytes, *sizes])
        return made


def test_pixels_are_measured_without_copies_wider_than_they_are(tmp_path, tiny_spec):
    images = torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:7] //= 3
    CondensedSet(images, torch.arange(40) % 5, replace(tiny_spec, resolution=64)).save(tmp_path)
    with Largest() as largest:
        text = said(tmp_path)
    assert largest.nbytes == images[:6].float().nbytes  # those that are drawn, however many there are
    assert f"pixels: mean {images.numpy().mean() / 255:.3f}, std {images.numpy().std() / 255:.3f} (0..1)" in text


def test_characters_go_from_dark_to_bright(tmp_path, tiny_condensed):
    images = tiny_condensed.images.clone()
    images[0], images[1] = 0, 255
    type(tiny_condensed)(images, tiny_condensed.labels, tiny_condensed.spec).save(tmp_path)
    row = said(tmp_path).splitlines()[-1]
    assert row[2:14] == " " * 12
    assert row[17:29] == "@" * 12


def test_labels_and_their_size(home):
    text = said(home / "labels")
    assert "3 views of 11 images, 5 classes" in text
    assert "codec int8: 13 bytes a label" in text
    assert "RelabelConfig(epochs=3, codec=int8), otherwise defaults" in text


def test_a_score(home):
    text = said(home / "score")
    assert "| condensed | soft | convnet | 11 | 40 | 62.5 ± 17.7 | 70.0 |" in text
    assert "ValidateConfig(epochs=7), otherwise defaults" in text


def test_a_run_is_described_in_the_order_of_its_stages(home):
    kinds = [line.split(": ")[1].split(",")[0] for line in describe(home) if line.startswith(str(home))]
    assert kinds == ["teacher", "condensed set", "soft labels", "score"]


def test_unfinished_work_is_said_to_be_so(home):
    (home / "condensed" / storage.MANIFEST).unlink()
    assert "condensed: unfinished condensed set; the command that began it continues it" in said(home)
    assert "unfinished condensed set" in said(home / "condensed")


@pytest.mark.parametrize("part", ["teacher/weights.safetensors", "score/score.md"])
def test_altered_files_are_named(home, part):
    (home / part).write_bytes((home / part).read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=rf"altered or added .*: {(home / part).name}"):
        said(home)


@pytest.mark.parametrize("part", ["teacher", "labels"])
def test_a_part_of_a_run_that_lost_its_manifest_is_not_passed_over(home, part):
    (home / part / storage.MANIFEST).unlink()
    (home / part / storage.REQUEST).unlink(missing_ok=True)
    with pytest.raises(
        ArtifactError, match=rf"{part}/artifact\.json is missing.*Delete the folder {home / part} and run"
    ):
        said(home)


def test_what_is_no_artifact_is_refused(home):
    with pytest.raises(ArtifactError, match="there is no folder"):
        said(home / "nothing")
    with pytest.raises(ArtifactError, match="holds no artifact"):
        said(home / "condensed" / "images")
    (home / "score" / storage.MANIFEST).unlink()
    storage.write_json(home / "score" / storage.REQUEST, {"kind": "scone"})
    with pytest.raises(ArtifactError, match="asks for a scone, expected teacher or"):
        said(home)
