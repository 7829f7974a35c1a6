"""Validation pictures that are decoded once and kept, in memory or in a file without a name."""

import pytest
import torch

from sre2l_core import pictures
from sre2l_core.artifacts import CondensedSet
from sre2l_core.config import MixedViewConfig
from sre2l_core.data import decoded, streaming
from sre2l_core.data.decoded import decoded_once
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import DataError
from sre2l_core.work.units import pack, unpack

CPU = torch.device("cpu")


@pytest.fixture
def files(tmp_path, tiny_data, monkeypatch):
    """Ten pictures, and the list of those that were read."""
    paths, read, opened = [tmp_path / "val" / f"{index}.png" for index in range(10)], [], streaming.open_rgb
    paths[0].parent.mkdir()
    for path, image in zip(paths, tiny_data.train.images, strict=False):
        pictures.write(path, image, "png")
    monkeypatch.setattr(streaming, "open_rgb", lambda path, **options: read.append(path) or opened(path, **options))
    return paths, read


def split(spec, paths, **options):
    return StreamSplit(spec, paths, torch.arange(10) % 5, workers=0, **options)


def looked_at(chosen, batch_size=4):
    return list(chosen.eval_batches(batch_size, CPU))


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        a.equal(b) and c.equal(d) for (a, c), (b, d) in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("limit", [2**30, 0])
def test_the_batches_are_those_of_the_stream_and_each_file_is_read_once(tiny_spec, files, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(decoded, "RESIDENT_BYTES", limit)
    monkeypatch.setattr(decoded, "_AT_ONCE", 3)
    paths, read = files
    streamed = split(tiny_spec, paths)
    kept, expected = decoded_once(streamed, tmp_path), looked_at(streamed)
    read.clear()
    assert same(looked_at(kept), expected)
    assert same(looked_at(kept, 7), looked_at(streamed, 7))
    assert same(looked_at(kept), expected)
    assert len(read) == 10 + 10  # once kept, once for the comparison
    assert [path.name for path in tmp_path.iterdir()] == ["val"]


@pytest.mark.filterwarnings("ignore:skipped")
@pytest.mark.parametrize("limit", [2**30, 0])
def test_what_cannot_be_read_is_left_out_of_its_batch_or_named(tiny_spec, files, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(decoded, "RESIDENT_BYTES", limit)
    paths, _ = files
    for torn in (paths[1], *paths[4:8]):
        torn.write_bytes(b"torn")
    streamed = split(tiny_spec, paths, skip_corrupt=True)
    batches = looked_at(decoded_once(streamed, tmp_path))
    assert [len(labels) for _, labels in batches] == [3, 2]
    assert same(batches, looked_at(streamed))
    strict = decoded_once(split(tiny_spec, paths), tmp_path)
    for _ in range(2):
        with pytest.raises(DataError, match=r"1\.png cannot be read"):
            looked_at(strict)


def full(file, size):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["nowhere", "full disk"])
def test_without_room_they_are_decoded_anew(tiny_spec, files, tmp_path, monkeypatch, place):
    monkeypatch.setattr(decoded, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(decoded, "_reserve", full)
    paths, read = files
    kept = decoded_once(split(tiny_spec, paths), None if place == "nowhere" else tmp_path)
    assert same(looked_at(kept), looked_at(kept))
    assert len(read) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["val"]


def test_where_the_folder_is_that_of_another_machine_they_lie_among_temporary_files(
    tiny_spec, files, tmp_path, monkeypatch
):
    monkeypatch.setattr(decoded, "RESIDENT_BYTES", 0)
    paths, read = files
    kept = decoded_once(split(tiny_spec, paths), tmp_path / "elsewhere")
    assert same(looked_at(kept), looked_at(kept))
    assert len(read) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["val"]


def test_many_condensed_images_are_mapped_to_a_file(tiny_condensed, tmp_path, monkeypatch):
    tiny_condensed.save(tmp_path / "set")
    monkeypatch.setattr(decoded, "RESIDENT_BYTES", 0)
    mapped = CondensedSet.load(tmp_path / "set")
    assert mapped.id == tiny_condensed.id
    assert unpack(pack(mapped)).id == mapped.id
    assert not mapped.images.untyped_storage().resizable()


def test_a_file_takes_its_room_at_once(tmp_path, monkeypatch):
    for there in (True, False):
        if not there:
            monkeypatch.delattr(decoded.os, "posix_fallocate", raising=False)
        with (tmp_path / "room").open("wb+") as file:
            decoded._reserve(file.fileno(), 2**24 + 5)
            assert (tmp_path / "room").stat().st_size == 2**24 + 5


def test_what_trains_and_what_lies_in_memory_stays_as_it_is(tiny_spec, tiny_data, files):
    paths, _ = files
    assert decoded_once(tiny_data.val, None) is tiny_data.val
    streamed = split(tiny_spec, paths)
    kept = decoded_once(streamed, None)
    assert (len(kept), kept.spec) == (10, tiny_spec)
    assert kept.labels.equal(streamed.labels)
    assert kept.take(torch.tensor([3, 1])).equal(streamed.take(torch.tensor([3, 1])))
    ask = {"batch_size": 4, "seed": 1, "epoch": 2, "device": CPU}
    pairs = zip(*(part.train_batches(MixedViewConfig(), **ask) for part in (kept, streamed)), strict=True)
    assert all(one.images.equal(other.images) for one, other in pairs)
