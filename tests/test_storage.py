"""Folders of artifacts: whole files or none, hashes, claims."""

from __future__ import annotations

import errno
import json
import os

import pytest
import torch
from safetensors.torch import load_file

from sre2l_core import pictures, storage
from sre2l_core.errors import ArtifactError


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "half": torch.randn(3, 4, generator=generator).half(),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "turned": torch.randn(4, 3, generator=generator).T,
        "empty": torch.empty(0, 2),
    }


def full_disk(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_tensors_and_notes_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "deep" / "x.safetensors"
    storage.write_tensors(path, tensors(), {"step": 3})
    for found in (storage.read_tensors(path), load_file(path)):
        assert found.keys() == tensors().keys()
        for name, tensor in tensors().items():
            assert found[name].dtype == tensor.dtype
            assert found[name].equal(tensor)
    assert storage.read_notes(path) == {"step": 3}
    assert storage.fingerprint(storage.read_tensors(path)) == storage.fingerprint(tensors())


@pytest.mark.parametrize(
    "change",
    [
        {"count": torch.tensor(8)},
        {"count": torch.tensor([7])},
        {"count": torch.tensor(7, dtype=torch.int32)},
        {"extra": torch.tensor(0)},
    ],
)
def test_fingerprints_see_values_shapes_and_types(change):
    assert storage.fingerprint(tensors()) != storage.fingerprint(tensors() | change)
    assert len(storage.fingerprint(tensors())) == 16


def test_fingerprints_see_names_but_not_their_order():
    found, renamed = tensors(), tensors()
    renamed["counted"] = renamed.pop("count")
    assert storage.fingerprint(found) != storage.fingerprint(renamed)
    assert storage.fingerprint(found) == storage.fingerprint(dict(reversed(found.items())))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00"])
def test_broken_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"broken\.json"):
        storage.read_json(tmp_path / "broken.json")


def test_missing_and_broken_tensor_files_are_refused_by_name(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    for name in ("broken", "missing"):
        for read in (storage.read_tensors, storage.read_notes):
            with pytest.raises(ArtifactError, match=rf"{name}\.safetensors"):
                read(tmp_path / f"{name}.safetensors")


def write_picture(path):
    with storage.replacing(path) as partial:
        pictures.write(torch.zeros(3, 4, 4, dtype=torch.uint8), partial, "png")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: storage.write_json(path, {"a": 1}),
        lambda path: storage.write_tensors(path, tensors()),
        write_picture,
    ],
)
def test_a_full_disk_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch, write):
    path = tmp_path / "kept"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(ArtifactError, match=r"cannot write .*kept: No space left.* What was finished before is kept"):
        write(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def write_half(path, error):
    with storage.replacing(path) as partial:
        partial.write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_an_interrupted_write_leaves_no_debris(tmp_path, error):
    with pytest.raises(ArtifactError if error is OSError else error):
        write_half(tmp_path / "file", error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"cannot write .*x\.json"):
        storage.write_json(tmp_path / "file" / "x.json", {})


def test_a_folder_is_claimed_for_one_request(tmp_path):
    out, asked = tmp_path / "run", {"config": {"seed": 0, "betas": (0.5, 0.9)}}
    assert storage.begin(out, "score", asked) is False
    (out / "work").write_text("x")
    assert storage.begin(out, "score", asked) is False
    with pytest.raises(
        ArtifactError, match=r"holds another run: config\.seed is 0 there, 1 now\. Choose another --out"
    ):
        storage.begin(out, "score", {"config": {"seed": 1, "betas": (0.5, 0.9)}})
    with pytest.raises(ArtifactError, match="kind is 'score' there, 'teacher' now"):
        storage.begin(out, "teacher", asked)
    storage.finish(out, "score", {})
    assert storage.begin(out, "score", asked) is True


def test_a_claim_without_work_gives_way(tmp_path):
    storage.begin(tmp_path / "run", "score", {"seed": 0})
    (tmp_path / "run" / ".students.json.partial").write_text("{")
    assert storage.begin(tmp_path / "run", "score", {"seed": 1}) is False
    assert storage.read_json(tmp_path / "run" / storage.REQUEST) == {"kind": "score", "seed": 1}


def test_a_foreign_folder_or_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("folder", "file"):
        with pytest.raises(ArtifactError, match="was not made by this package"):
            storage.begin(tmp_path / name, "score", {})
    assert storage.begin(tmp_path / "empty", "score", {}) is False


def finished(folder):
    storage.write_tensors(folder / "a" / "x.safetensors", tensors())
    storage.write_json(folder / "y.json", {"y": 1})
    storage.finish(folder, "teacher", {"id": "0"})
    return folder


def test_finishing_removes_progress_and_debris_but_not_before_the_manifest_is_there(tmp_path, monkeypatch):
    storage.write_tensors(tmp_path / storage.PROGRESS, tensors())
    (tmp_path / ".old.json.partial").write_text("{")
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full_disk)
        with pytest.raises(ArtifactError):
            storage.finish(tmp_path, "teacher", {})
    assert (tmp_path / storage.PROGRESS).exists()
    storage.finish(tmp_path, "teacher", {})
    assert [file.name for file in tmp_path.iterdir()] == [storage.MANIFEST]


def test_verify_counts_intact_files(tmp_path):
    assert storage.verify(finished(tmp_path)) == 2
    manifest = json.loads((tmp_path / storage.MANIFEST).read_text())
    assert {"torch", "python"} <= manifest["versions"].keys()
    assert list(manifest["files"]) == ["a/x.safetensors", "y.json"]


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda folder: (folder / "y.json").write_text("{}"), r"y\.json"),
        (lambda folder: (folder / "y.json").unlink(), r"y\.json"),
        (lambda folder: (folder / "a" / "new").write_text(""), "a/new"),
        (lambda folder: (folder / "y.json").rename(folder / "z.json"), r"y\.json, z\.json"),
    ],
)
def test_verify_names_what_was_altered_removed_or_added(tmp_path, damage, name):
    damage(finished(tmp_path))
    with pytest.raises(ArtifactError, match=f"missing, altered or added since it was finished: {name}"):
        storage.verify(tmp_path)


def test_manifests_of_another_kind_or_none_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"artifact\.json is missing"):
        storage.read_manifest(tmp_path)
    finished(tmp_path)
    with pytest.raises(ArtifactError, match="holds a teacher, expected a score"):
        storage.read_manifest(tmp_path, "score")
    storage.write_json(tmp_path / storage.MANIFEST, {"kind": "cake"})
    with pytest.raises(ArtifactError, match="holds a cake"):
        storage.read_manifest(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_pictures_come_back(tmp_path, channels, image_format):
    pixels = torch.randint(0, 256, (channels, 9, 9), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    pictures.write(pixels, tmp_path / "x", image_format)
    found = pictures.read(tmp_path / "x", channels)
    assert found.shape == pixels.shape
    assert found.equal(pictures.as_stored(pixels, image_format))
    assert found.equal(pixels) == (image_format != "jpeg")
    (tmp_path / "x").write_bytes(b"no picture")
    with pytest.raises(ArtifactError, match="cannot be read as an image"):
        pictures.read(tmp_path / "x", channels)
