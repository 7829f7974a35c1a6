import tarfile

import pytest
import torch
from stand_ins import TINY_COLOURS, save_jpeg, write_tiny_imagenet

from sre2l_core.data import ResidentSplit, load, picture_sets
from sre2l_core.errors import ConfigError, DataError


@pytest.fixture
def home(tmp_path):
    return write_tiny_imagenet(tmp_path / "tiny-imagenet-200")


def shown(images):
    return images[:, :, 32, 32].argmax(1).tolist()


def test_labels_follow_the_sorted_wnids(home):
    data = load("tiny-imagenet", home)
    assert data.spec.classes == ("n01", "n02", "n03")
    assert data.spec.class_names == ("tench, Tinca tinca", "goldfish", "shark")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert shown(data.train.images) == data.train.labels.tolist()
    assert data.val.labels.tolist() == [0, 0, 1, 2]
    assert shown(data.val.images[[0, 2, 3]]) == [0, 1, 2]
    assert data.val.images[1].unique().tolist() == [128]


def test_it_is_held_in_memory_whatever_its_size(home, monkeypatch):
    monkeypatch.setattr(picture_sets, "RESIDENT_BYTES", 1)
    assert isinstance(load("tiny-imagenet", home).train, ResidentSplit)


def test_statistics_of_the_reference(home):
    spec = load("tiny-imagenet", home).spec
    assert (spec.mean, spec.std) == ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262))
    assert spec.size == (64, 64)


@pytest.mark.parametrize("inside", ["", "tiny-imagenet-200", "tiny-imagenet", "tiny-imagenet/tiny-imagenet-200"])
def test_root_may_be_the_folder_or_one_above_it(tmp_path, inside, monkeypatch):
    write_tiny_imagenet(tmp_path / inside, per_class=1)
    assert len(load("tiny-imagenet", tmp_path).train) == 3
    monkeypatch.setenv("SRE2L_DATA", str(tmp_path))
    assert len(load("tiny-imagenet").train) == 3


def test_a_subset_reads_only_its_classes(home):
    (home / "train" / "n02" / "images" / "n02_0.JPEG").write_bytes(b"nothing")
    (home / "val" / "images" / "val_2.JPEG").write_bytes(b"nothing")
    data = load("tiny-imagenet", home, classes=["n03", "tench"], resolution=32)
    assert data.spec.classes == ("n01", "n03")
    assert data.train.images.shape == (6, 3, 32, 32)
    assert data.val.labels.tolist() == [0, 0, 1]
    assert load("tiny-imagenet", home, classes=["n01", "n03"], stream=True, workers=0).spec.classes == ("n01", "n03")
    with pytest.raises(DataError, match=r"n02_0\.JPEG"):
        load("tiny-imagenet", home)


def test_validation_images_sorted_into_folders_are_read_too(home):
    (home / "val" / "val_annotations.txt").unlink()
    for wnid in TINY_COLOURS:
        save_jpeg(home / "val" / wnid / "images" / "0.JPEG", TINY_COLOURS[wnid])
    data = load("tiny-imagenet", home)
    assert shown(data.val.images) == data.val.labels.tolist() == [0, 1, 2]


def test_without_lists_the_folders_are_the_classes(home):
    (home / "wnids.txt").unlink()
    (home / "words.txt").unlink()
    spec = load("tiny-imagenet", home).spec
    assert spec.class_names == spec.classes == ("n01", "n02", "n03")


def test_a_missing_folder_says_what_is_expected_and_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"val_annotations\.txt.*cs231n\.stanford\.edu/tiny-imagenet-200\.zip"):
        load("tiny-imagenet", tmp_path)


def test_an_incomplete_folder_names_the_class(home):
    with (home / "wnids.txt").open("a") as file:
        file.write("n04\n")
    with pytest.raises(DataError, match="no training images of n04"):
        load("tiny-imagenet", home)
    with pytest.raises(ConfigError, match="unknown class"):
        load("tiny-imagenet", home, classes=["n01", "n05"])


def test_a_malformed_annotation_is_shown(home):
    (home / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn03\t0\nval_1.JPEG n01\n")
    with pytest.raises(DataError, match=r"line 2: .*'val_1\.JPEG n01'"):
        load("tiny-imagenet", home)


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    """A few classes of the real dataset, unpacked here if `$SRE2L_DATA` holds archives."""
    folder = shared_data if (shared_data / "train-0.tar.xz").is_file() else shared_data / "tiny-imagenet"
    if not (folder / "train-0.tar.xz").is_file():
        return shared_data
    target = tmp_path_factory.mktemp("tiny")
    for name, wanted in (("train-0", 1500), ("val", 10_001)):
        with tarfile.open(folder / f"{name}.tar.xz") as archive:
            for count, member in enumerate(archive):
                if count >= wanted:
                    break
                archive.extract(member, target, filter="data")
    return target


@pytest.mark.data
def test_real_files(real):
    data = load("tiny-imagenet", real, classes=["n01443537", "n01629819"])
    assert data.spec.classes == ("n01443537", "n01629819")
    assert data.train.labels.bincount().tolist() == [500, 500]
    assert data.val.labels.bincount().tolist() == [50, 50]
    # Goldfish are orange: far more red than blue, in both splits.
    for split in (data.train, data.val):
        red, _, blue = split.images[split.labels == 0].float().mean((0, 2, 3))
        assert red - blue > 40
    images, _ = next(iter(data.train.eval_batches(1000, "cpu")))
    assert images.mean().abs() < 0.5
    assert torch.allclose(images.std((0, 2, 3)), torch.ones(3), atol=0.4)
