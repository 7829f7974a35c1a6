"""Single files: whole or not at all, on the disk before anybody relies on them, sealed."""

from __future__ import annotations

import errno
import os
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sre2l_core import files, pictures
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
    files.write_tensors(path, tensors(), {"step": 3})
    for found in (files.read_tensors(path), load_file(path)):
        assert found.keys() == tensors().keys()
        for name, tensor in tensors().items():
            assert found[name].dtype == tensor.dtype
            assert found[name].equal(tensor)
    assert files.read_notes(path) == {"step": 3}
    assert files.fingerprint(files.read_tensors(path)) == files.fingerprint(tensors())


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
    assert files.fingerprint(tensors()) != files.fingerprint(tensors() | change)
    assert len(files.fingerprint(tensors())) == 16


def test_fingerprints_see_names_but_not_their_order():
    found, renamed = tensors(), tensors()
    renamed["counted"] = renamed.pop("count")
    assert files.fingerprint(found) != files.fingerprint(renamed)
    assert files.fingerprint(found) == files.fingerprint(dict(reversed(found.items())))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00"])
def test_broken_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"broken\.json"):
        files.read_json(tmp_path / "broken.json")


@pytest.mark.parametrize("mask", [1, 32, 255])
def test_every_flipped_byte_of_sealed_json_is_seen(tmp_path, mask):
    path, content = tmp_path / "sealed.json", {"text": "ü \\n", "zeros": "0" * 64, "number": [1, 2.5, None]}
    files.write_json(path, content)
    assert files.read_json(path) == content
    whole = path.read_bytes()
    for position in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[position] ^= mask
        path.write_bytes(spoilt)
        with pytest.raises(ArtifactError, match=r"sealed\.json .*Delete the folder .* run the command"):
            files.read_json(path)
    path.write_bytes(whole[:-9])
    with pytest.raises(ArtifactError, match=r"sealed\.json"):
        files.read_json(path)


def test_json_that_was_never_sealed_is_refused(tmp_path):
    (tmp_path / "plain.json").write_text('{"a": 1}')
    with pytest.raises(ArtifactError, match=r"plain\.json is damaged or was edited"):
        files.read_json(tmp_path / "plain.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match=r"deep\.json"):
        files.read_json(tmp_path / "deep.json")


def test_a_state_comes_back_or_is_left_aside_with_a_warning(tmp_path):
    path, random = tmp_path / "state", np.random.default_rng(0)
    assert files.read_state(path) is None
    files.write_state(path, tensors(), {"step": 3})
    whole, found = path.read_bytes(), files.read_state(path)
    assert found["step"] == 3
    assert all(found["tensors"][name].equal(tensor) for name, tensor in tensors().items())
    for position in random.integers(len(whole), size=60):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1 << random.integers(8)
        path.write_bytes(spoilt)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = files.read_state(path)
        if found is None:
            assert "state is damaged and left aside" in str(caught[0].message)
        else:  # a blank in the header
            assert all(found["tensors"][name].equal(tensor) for name, tensor in tensors().items())


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device.* make room or choose another --out"),
        (errno.EROFS, "Read-only file system.* choose another --out"),
        (errno.EACCES, "Permission denied.* allow writing there or choose another --out"),
        (errno.EISDIR, "Is a directory.* delete the folder that lies in its place, then run the same command again"),
        (errno.ENAMETOOLONG, "File name too long.* choose a shorter name"),
        (errno.ENOENT, r"No such file or directory.* bring the folder back \(was it deleted or unmounted\?\)"),
        (errno.ENOTSUP, "this file system cannot rename or lock files safely"),
        (errno.ENOLCK, "this file system cannot rename or lock files safely"),
    ],
)
def test_what_the_disk_refuses_is_said_with_what_helps(tmp_path, monkeypatch, number, message):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ArtifactError, match=message) as caught:
        files.write_json(tmp_path / "x.json", {})
    assert "[Errno" not in str(caught.value)
    assert ("make room" in str(caught.value)) == (number == errno.ENOSPC)


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("fsync"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), replace(*paths)))
    files.write_json(tmp_path / "x.json", {})
    assert done == ["fsync", "rename"]


def test_whoever_may_read_one_file_may_read_all(tmp_path):
    files.write_json(tmp_path / "x.json", {})
    files.write_tensors(tmp_path / "x.safetensors", tensors())
    assert (tmp_path / "x.safetensors").stat().st_mode == (tmp_path / "x.json").stat().st_mode


def test_missing_and_broken_tensor_files_are_refused_by_name(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    for name in ("broken", "missing"):
        for read in (files.read_tensors, files.read_notes):
            with pytest.raises(ArtifactError, match=rf"{name}\.safetensors"):
                read(tmp_path / f"{name}.safetensors")


def write_picture(path):
    with files.replacing(path) as partial:
        pictures.write(partial, torch.zeros(3, 4, 4, dtype=torch.uint8), "png")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.write_json(path, {"a": 1}),
        lambda path: files.write_tensors(path, tensors()),
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
    with files.replacing(path) as partial:
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
        files.write_json(tmp_path / "file" / "x.json", {})


@pytest.mark.parametrize("value", [{1, 2}, torch.zeros(1), "\udcff", b"bytes"])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises(ArtifactError, match=r"x\.json cannot hold what was given"):
        files.write_json(tmp_path / "x.json", {"value": value})
    assert list(tmp_path.iterdir()) == []
