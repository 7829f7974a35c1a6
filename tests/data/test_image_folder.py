import pytest
import torch
from PIL import Image
from stand_ins import picture, write_pictures

from sre2l_core.data import ResidentSplit, load, picture_sets
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import ConfigError, DataError


def test_without_a_validation_folder_a_fifth_of_each_class_is_held_out(tmp_path):
    data = load("folder", write_pictures(tmp_path, {"dog": 10, "cat": 5}))
    assert data.spec.classes == ("cat", "dog")
    assert data.train.labels.bincount().tolist() == [4, 8]
    assert data.val.labels.bincount().tolist() == [1, 2]
    again, other = load("folder", tmp_path), load("folder", tmp_path, seed=1)
    assert torch.equal(data.val.images, again.val.images)
    assert not torch.equal(data.val.images, other.val.images)


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_validation_folder_is_taken_as_it_is(tmp_path, name):
    write_pictures(tmp_path / "train", {"dog": 3, "cat": 2})
    write_pictures(tmp_path / name, {"dog": 1, "cat": 2}, colour=(9, 9, 9))
    data = load("folder", tmp_path)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.val.labels.tolist() == [0, 0, 1]
    assert data.val.images.unique().tolist() == [9]


def test_a_test_folder_without_classes_is_not_a_validation_folder(tmp_path):
    write_pictures(tmp_path / "train", {"dog": 5, "cat": 5})
    picture(tmp_path / "test" / "unlabelled.png")
    data = load("folder", tmp_path)
    assert (len(data.train), len(data.val)) == (8, 2)


def test_pictures_of_any_mode_and_ending_become_rgb(tmp_path):
    write_pictures(tmp_path / "train", {"a": 1, "b": 1})
    picture(tmp_path / "train" / "a" / "grey.JPG", colour=40, mode="L")
    picture(tmp_path / "train" / "b" / "clear.PNG", colour=(0, 0, 0, 0), mode="RGBA")
    (tmp_path / "train" / "a" / "notes.txt").write_text("no picture")
    (tmp_path / "train" / "a" / "._0.png").write_bytes(b"no picture either")
    write_pictures(tmp_path / "val", {"a": 1, "b": 1})
    images = load("folder", tmp_path).train.images
    assert images.shape == (4, 3, 20, 20)
    assert images[1].unique().tolist() == [40]
    assert images[3].unique().tolist() == [255]


@pytest.mark.parametrize(
    ("sizes", "resolution"), [([(20, 20)] * 4, 20), ([(20, 20)] * 3 + [(21, 21)], 64), ([(20, 30)] * 4, 64)]
)
def test_resolution_is_the_pictures_own_if_they_agree(tmp_path, sizes, resolution):
    for index, size in enumerate(sizes):
        picture(tmp_path / "ab"[index % 2] / f"{index}.png", size=size)
    assert load("folder", tmp_path).spec.resolution == resolution
    assert load("folder", tmp_path, resolution=10).train.images.shape[2:] == (10, 10)


def test_large_pictures_are_not_kept_at_their_own_size(tmp_path):
    data = load("folder", write_pictures(tmp_path, {"a": 2, "b": 2}, size=(129, 129), colour=(5, 5, 5)))
    assert data.spec.resolution == 64


def test_the_centre_is_cropped(tmp_path):
    for name in ("a", "b"):
        for index in range(2):
            image = Image.new("RGB", (60, 20), "red")
            image.paste("blue", (20, 0, 40, 20))
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{index}.png")
    images = load("folder", tmp_path, resolution=20).train.images
    assert images[0].flatten(1).float().mean(1).tolist() == [0, 0, 255]


def test_statistics_are_measured_on_the_training_part(tmp_path):
    for name, levels in {"train": (0, 255), "val": (90, 91)}.items():
        picture(tmp_path / name / "a" / "1.png", colour=(levels[0], 51, 7))
        picture(tmp_path / name / "b" / "1.png", colour=(levels[1], 51, 8))
    spec = load("folder", tmp_path).spec
    assert spec.mean == (0.5, 0.2, round(7.5 / 255, 4))
    assert spec.std == (0.5, 0.0039, 0.0039)


def test_random_pictures_have_the_statistics_numpy_finds(tmp_path):
    data = load("folder", write_pictures(tmp_path, {"a": 5, "b": 5}))
    pixels = data.train.images.numpy() / 255
    assert data.spec.mean == pytest.approx(pixels.mean((0, 2, 3)).round(4).tolist(), abs=1e-9)
    assert data.spec.std == pytest.approx(pixels.std((0, 2, 3)).round(4).tolist(), abs=1e-9)


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for name in ("a", "b"):
        for index in range(2):
            image = Image.new("RGB", (20, 20), "black")
            image.paste("white", (0, 0, 20, 10))
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{index}.jpg", exif=exif)
    images = load("folder", tmp_path).train.images
    assert images[:, :, 2].max() < 20
    assert images[:, :, -3].min() > 235


def test_a_class_may_be_called_test(tmp_path):
    for name in ("cats", "test"):
        write_pictures(tmp_path / name, {"images": 5})
    data = load("folder", tmp_path)
    assert data.spec.classes == ("cats", "test")
    assert len(data.val) == 2


def test_a_class_subset(tmp_path):
    data = load("folder", write_pictures(tmp_path, {"a": 2, "b": 3, "c": 4}), classes=["c", "a"])
    assert data.spec.classes == ("a", "c")
    assert len(data.train) + len(data.val) == 6
    with pytest.raises(ConfigError, match="unknown class 'd'"):
        load("folder", tmp_path, classes=["a", "d"])


def test_large_folders_stream_the_same_pictures(tmp_path, monkeypatch):
    write_pictures(tmp_path, {"a": 6, "b": 6}, size=(30, 20))
    resident = load("folder", tmp_path, resolution=16)
    monkeypatch.setattr(picture_sets, "RESIDENT_BYTES", 12 * 3 * 16 * 16 - 1)
    streamed = load("folder", tmp_path, resolution=16, workers=0)
    assert isinstance(resident.train, ResidentSplit)
    assert isinstance(streamed.train, StreamSplit)
    assert streamed.spec == resident.spec
    ids = torch.arange(len(resident.val))
    assert torch.equal(streamed.val.take(ids), resident.val.images)
    assert streamed.train.labels.equal(resident.train.labels)
    assert isinstance(load("folder", tmp_path, resolution=16, stream=False).train, ResidentSplit)


def test_a_corrupt_file_stops_or_is_skipped(tmp_path):
    write_pictures(tmp_path / "train", {"a": 3, "b": 3})
    write_pictures(tmp_path / "val", {"a": 1, "b": 1})
    (tmp_path / "train" / "b" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    with pytest.raises(DataError, match=r"b.1\.png cannot be read"):
        load("folder", tmp_path)
    with pytest.warns(UserWarning, match="skipped 1 unreadable of 6"):
        data = load("folder", tmp_path, skip_corrupt=True)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]


def test_a_class_whose_files_are_all_corrupt_is_named(tmp_path):
    write_pictures(tmp_path / "train", {"a": 3, "b": 1})
    write_pictures(tmp_path / "val", {"a": 1, "b": 1})
    (tmp_path / "train" / "b" / "0.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(DataError, match="training images of class 'b'"):
        load("folder", tmp_path, skip_corrupt=True)


def broken(tmp_path, how):
    root = tmp_path / "pictures"
    if how == "empty":
        root.mkdir()
    elif how == "flat":
        picture(root / "1.png")
    elif how == "one class":
        write_pictures(root, {"cat": 3})
    elif how == "class without pictures":
        write_pictures(root, {"cat": 3, "dog": 3})
        (root / "bird").mkdir()
    elif how == "single picture":
        write_pictures(root, {"cat": 3, "dog": 1})
    elif how == "strange validation":
        write_pictures(root / "train", {"cat": 3, "dog": 3})
        write_pictures(root / "val", {"cat": 3, "dgo": 3})
    elif how == "empty validation":
        write_pictures(root / "train", {"cat": 3, "dog": 3})
        (root / "val" / "cat").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "pictures does not exist"),
        ("empty", r"has 0 class folder\(s\); at least two"),
        ("flat", r"has 0 class folder\(s\); at least two"),
        ("one class", r"has 1 class folder\(s\); at least two"),
        ("class without pictures", "no pictures .* of class 'bird'"),
        ("single picture", "class 'dog' has one picture only"),
        ("strange validation", "val has classes that .*train has not: dgo"),
        ("empty validation", "no .*validation images"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_with_a_folder_is_said_in_one_message(tmp_path, how, message, stream):
    with pytest.raises(DataError, match=message):
        load("folder", broken(tmp_path, how), stream=stream)


def test_a_root_is_needed():
    with pytest.raises(DataError, match="needs root"):
        load("folder")
