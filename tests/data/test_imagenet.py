import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from stand_ins import IMAGENET_COLOURS, write_imagenet
from torchvision.models import ResNet18_Weights

from sre2l_core.data import load
from sre2l_core.data.imagenet import _ARCHIVES, _IMAGENETTE, weights_spec, wnids
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import DataError


def shown(images):
    return images[:, :, 5, 5].argmax(1).tolist()


@pytest.mark.parametrize(("name", "inside"), [("imagenet-1k", ""), ("imagenet-1k", "imagenet"), ("imagenette", "")])
def test_folders_of_wnids(tmp_path, name, inside):
    write_imagenet(tmp_path / inside)
    data = load(name, tmp_path, resolution=32)
    assert data.spec.classes == tuple(IMAGENET_COLOURS)
    assert (data.spec.mean, data.spec.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    for split in (data.train, data.val):
        assert shown(split.take(torch.arange(6))) == split.labels.tolist()


def test_default_resolution(tmp_path):
    assert load("imagenet-1k", write_imagenet(tmp_path)).spec.resolution == 224


def test_large_sets_stream(tmp_path):
    data = load("imagenet-1k", write_imagenet(tmp_path), resolution=32, stream=True, workers=0)
    assert isinstance(data.train, StreamSplit)
    images, labels = next(data.val.eval_batches(6, torch.device("cpu")))
    assert shown(images) == labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("stream", [False, True])
def test_evaluation_crops_the_centre_of_a_larger_picture(tmp_path, stream):
    write_imagenet(tmp_path, size=(256, 256))
    framed = Image.new("RGB", (256, 256), "white")
    framed.paste("black", (16, 16, 240, 240))
    framed.save(tmp_path / "val" / "n01440764" / "0.JPEG", quality=95)
    val = load("imagenet-1k", tmp_path, resolution=224, stream=stream, workers=0).val
    assert val.take(torch.tensor([0])).float().mean() < 2


@pytest.mark.parametrize("stream", [False, True])
def test_real_training_images_show_all_of_the_central_square(tmp_path, stream):
    """What a baseline takes: 256/224 would leave 77 % of its area."""
    write_imagenet(tmp_path, size=(256, 256))
    framed = Image.new("RGB", (256, 256), "black")
    framed.paste("white", (16, 16, 240, 240))
    framed.save(tmp_path / "train" / "n01440764" / "0.JPEG", quality=95)
    train = load("imagenet-1k", tmp_path, resolution=224, stream=stream, workers=0).train
    area = (train.take(torch.tensor([0])).float() > 128).float().mean().item()
    assert area == pytest.approx((224 / 256) ** 2, abs=0.01)


def test_readable_names(tmp_path):
    assert load("imagenette", write_imagenet(tmp_path), resolution=32).spec.class_names == (
        "tench",
        "English springer",
        "cassette player",
    )
    some = load("imagenette", tmp_path, resolution=32, classes=["cassette player", "tench"])
    assert some.spec.classes == ("n01440764", "n02979186")


def test_all_thousand_classes_get_the_names_of_torchvision(tmp_path):
    for part in ("train", "val"):
        for label in range(1000):
            (tmp_path / part / f"n{label:08d}").mkdir(parents=True)
    for label in (0, 999):
        for part in ("train", "val"):
            Image.new("RGB", (8, 8)).save(tmp_path / part / f"n{label:08d}" / "1.JPEG")
    spec = load("imagenet-1k", tmp_path, classes=[0, "toilet tissue"], resolution=8).spec
    assert spec.class_names == ("tench", "toilet tissue")
    assert spec.classes == ("n00000000", "n00000999")


@pytest.mark.parametrize(
    ("there", "resolution", "colour"),
    [
        (("imagenette2-160", "imagenette2-320"), 128, 160),
        (("imagenette2-160", "imagenette2-320"), 160, 64),
        (("imagenette2-320",), 64, 64),
        (("imagenette2-320", "imagenette2"), 400, 0),
    ],
)
def test_the_smallest_imagenette_that_is_large_enough_is_read(tmp_path, there, resolution, colour):
    levels = {"imagenette2-160": 160, "imagenette2-320": 64, "imagenette2": 0}
    for version in there:
        for part in ("train", "val"):
            for wnid in IMAGENET_COLOURS:
                (tmp_path / version / part / wnid).mkdir(parents=True)
                Image.new("L", (20, 20), levels[version]).save(tmp_path / version / part / wnid / "1.JPEG")
    data = load("imagenette", tmp_path, resolution=resolution, download=False)
    assert data.train.images.unique().tolist() == [colour]


def test_a_class_without_validation_pictures_is_named(tmp_path):
    write_imagenet(tmp_path)
    for path in (tmp_path / "val" / "n02102040").iterdir():
        path.rename(tmp_path / "val" / path.name)
    with pytest.raises(DataError, match=r"no pictures in .*val of class n02102040.*sorted into class folders"):
        load("imagenet-1k", tmp_path)


@pytest.mark.parametrize(
    ("name", "advice"), [("imagenet-1k", r"image-net\.org/download"), ("imagenette", r"imagenette2-320\.tgz")]
)
def test_what_is_missing_says_what_to_get_and_where_to_put_it(tmp_path, name, advice):
    with pytest.raises(DataError, match=rf"{tmp_path}.*{advice}"):
        load(name, tmp_path, download=False)


def test_a_failed_download_says_why(tmp_path, monkeypatch):
    def no_network(*args, **options):
        raise OSError("network is unreachable")

    monkeypatch.setattr("torchvision.datasets.imagenette.download_and_extract_archive", no_network)
    with pytest.raises(DataError, match=r"download failed: network is unreachable.*imagenette2-160\.tgz"):
        load("imagenette", tmp_path, resolution=64)


def test_imagenette_is_downloaded_where_it_is_looked_for(tmp_path, monkeypatch):
    def download(url, root, md5):
        write_imagenet(Path(root) / Path(url).stem)

    monkeypatch.setattr("torchvision.datasets.imagenette.download_and_extract_archive", download)
    assert len(load("imagenette", tmp_path, resolution=64).train) == 6
    assert (tmp_path / "imagenette2-160").is_dir()


def test_official_archives_are_unpacked_by_torchvision(tmp_path, monkeypatch):
    for name in _ARCHIVES:
        (tmp_path / name).write_bytes(b"archive")
    with pytest.raises(DataError, match=r"could not be unpacked: .*not present .*or is corrupted"):
        load("imagenet-1k", tmp_path, resolution=32)
    unpacked = []

    def unpack(root, split):
        unpacked.append(split)
        if split == "val":
            write_imagenet(root)

    monkeypatch.setattr("torchvision.datasets.ImageNet", unpack)
    assert len(load("imagenet-1k", tmp_path, resolution=32).train) == 6
    assert unpacked == ["train", "val"]


def test_the_wnids_stand_in_the_order_of_torchvisions_names(tmp_path):
    """Against WordNet ids known from elsewhere: Imagenette's, and classes whose names are those of others too."""
    ids, names = wnids(), ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(set(ids)) == len(names) == 1000
    assert list(ids) == sorted(ids)
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in ids)
    assert {wnid: names[ids.index(wnid)] for wnid in _IMAGENETTE} == {w: name for w, (*_, name) in _IMAGENETTE.items()}
    twins = {
        "n02012849": "crane bird", "n03126707": "crane", "n02113186": "Cardigan", "n02963159": "cardigan",
        "n03710637": "maillot", "n03710721": "maillot tank suit", "n15075141": "toilet tissue",
    }  # fmt: skip
    assert {wnid: names[ids.index(wnid)] for wnid in twins} == twins


def test_tiny_imagenet_names_the_classes_that_both_have_alike(shared_data):
    """Its own list of words, 200 of WordNet's."""
    home = shared_data / "tiny-imagenet"
    lists = [path for path in home.rglob("words.txt") if (path.parent / "wnids.txt").exists()]
    if not lists:
        pytest.skip("Tiny-ImageNet without words.txt")
    words = dict(line.split("\t") for line in lists[0].read_text(encoding="utf-8").splitlines())
    names = dict(zip(wnids(), ResNet18_Weights.IMAGENET1K_V1.meta["categories"], strict=True))
    both = names.keys() & (lists[0].parent / "wnids.txt").read_text().split()
    assert len(both) == 200
    assert all(names[wnid] in words[wnid].split(", ") for wnid in both)


def test_weights_and_data_name_their_classes_alike(tmp_path):
    data = load("imagenet-1k", write_imagenet(tmp_path), resolution=32)
    spec = weights_spec(ResNet18_Weights.IMAGENET1K_V1.meta["categories"], 32)
    named = dict(zip(spec.classes, spec.class_names, strict=True))
    assert [named[wnid] for wnid in data.spec.classes] == list(data.spec.class_names)
    assert data.spec.class_names == ("tench", "English springer", "cassette player")


def test_pictures_of_torchvisions_weights_are_judged_by_the_data(tmp_path, cpu):
    """The README's own ImageNet path: what the loader names is what the weights know."""
    for part in ("train", "val"):
        for wnid in wnids():
            (tmp_path / part / wnid).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / part / wnid / "1.png")
    data = load("imagenet-1k", tmp_path, resolution=8, stream=True, workers=0)
    spec = weights_spec(ResNet18_Weights.IMAGENET1K_V1.meta["categories"], 8)
    assert data.spec.to_json() == spec.to_json()
