"""What every dataset of the catalogue promises, tried on small copies in the official layouts."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sre2l_core.config import MixedViewConfig
from sre2l_core.data import load, names
from sre2l_core.data.split import epoch_order
from sre2l_core.errors import ConfigError, DataError

WNIDS = ("n01440764", "n02102040", "n02979186")


def pictures(folder, count, size):
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = np.random.default_rng([index, *folder.name.encode()]).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.JPEG")


def tree(root):
    for wnid in WNIDS:
        pictures(root / "train" / wnid, 3, (40, 50))
        pictures(root / "val" / wnid, 2, (50, 40))


def tiny(root):
    for wnid in WNIDS:
        pictures(root / "train" / wnid / "images", 3, (64, 64))
    pictures(root / "val" / "images", 6, (64, 64))
    lines = [f"{index}.JPEG\t{WNIDS[index % 3]}\t0\t0\t1\t1" for index in range(6)]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines))
    (root / "wnids.txt").write_text("\n".join(WNIDS))


def cifar(root, folder, files, label_key, meta, names_key, classes):
    (root / folder).mkdir()
    for number, name in enumerate(files):
        data = np.random.default_rng(number).integers(0, 256, (classes, 3072), dtype=np.uint8)
        (root / folder / name).write_bytes(pickle.dumps({"data": data, label_key: list(range(classes))}))
    (root / folder / meta).write_bytes(pickle.dumps({names_key: [f"c{label}" for label in range(classes)]}))


def cifar10(root):
    files = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    cifar(root, "cifar-10-batches-py", files, "labels", "batches.meta", "label_names", 10)


def cifar100(root):
    cifar(root, "cifar-100-python", ["train", "test"], "fine_labels", "meta", "fine_label_names", 100)


FIXTURES = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "digits": lambda root: None,
    "drawings": lambda root: None,
    "folder": tree,
    "imagenet-1k": tree,
    "imagenette": tree,
    "tiny-imagenet": tiny,
}
STREAMED = ("folder", "imagenet-1k", "imagenette", "tiny-imagenet")
EPOCH = {"batch_size": 10_000, "seed": 0, "epoch": 0, "device": "cpu"}
CASES = [*((name, False) for name in FIXTURES), *((name, True) for name in STREAMED)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}{' streamed' * case[1]}")
def opened(request, tmp_path, monkeypatch):
    """A function that loads the dataset with further options."""
    name, stream = request.param
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())
    monkeypatch.setenv("SRE2L_CACHE", str(tmp_path / "cache"))
    FIXTURES[name](tmp_path)
    resolution = {"imagenet-1k": 32, "imagenette": 32}.get(name)

    def open_it(**options):
        settings = {"resolution": resolution, "workers": 0, "download": False, "stream": stream or None}
        return load(name, tmp_path, **(settings | options))

    return open_it


def epoch(split, view, batch_size, seed=5, number=1):
    batches = list(split.train_batches(view, batch_size=batch_size, seed=seed, epoch=number, device="cpu"))
    return [torch.cat(parts) for parts in zip(*(batch[:4] for batch in batches), strict=True)]


def test_every_dataset_has_a_fixture():
    assert names() == sorted(FIXTURES)


def test_spec_describes_the_images(opened):
    data = opened()
    spec = data.spec
    assert data.train.spec == data.val.spec == spec
    assert data.name == spec.name
    assert len(spec.class_names) == spec.num_classes >= 2
    for split in (data.train, data.val):
        assert split.labels.dtype == torch.int64
        assert split.labels.shape == (len(split),)
        assert 0 <= split.labels.min() <= split.labels.max() < spec.num_classes
    assert set(data.train.labels.tolist()) == set(range(spec.num_classes))


def test_pixels_are_uint8_and_evaluation_shows_them_normalised_in_order(opened):
    data = opened()
    for split in (data.train, data.val):
        ids = torch.arange(len(split))[-7:]
        pixels = split.take(ids)
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (len(ids), data.spec.channels, *data.spec.size)
        assert len(pixels.unique()) > 10
        batches = list(split.eval_batches(4, "cpu"))
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        assert images.dtype == torch.float32
        assert labels.equal(split.labels)
        if split is data.val:
            assert torch.equal(data.spec.to_uint8(images[-len(ids) :]), pixels)


@pytest.mark.parametrize("name", STREAMED)
def test_streamed_and_resident_images_show_the_same_part_of_a_picture(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SRE2L_CACHE", str(tmp_path / "cache"))
    FIXTURES[name](tmp_path)
    streamed, resident = (load(name, tmp_path, resolution=32, workers=0, stream=stream) for stream in (True, False))
    for ours, theirs in ((streamed.train, resident.train), (streamed.val, resident.val)):
        ids = torch.arange(len(theirs))
        assert torch.equal(ours.take(ids), theirs.take(ids))
        shown = [torch.cat([images for images, _ in split.eval_batches(4, "cpu")]) for split in (ours, theirs)]
        assert torch.equal(*shown)


def test_training_batches_obey_the_protocol(opened):
    data = opened()
    view = MixedViewConfig(mix="cutmix")
    size = len(data.train) // 2 - 1
    for batch in data.train.train_batches(view, batch_size=size, seed=5, epoch=1, device="cpu"):
        count = len(batch.images)
        assert 2 <= count <= size
        assert batch.images.shape[1:] == (data.spec.channels, *data.spec.size)
        assert [part.dtype for part in batch[:4]] == [torch.float32, torch.int64, torch.int64, torch.float32]
        assert [len(part) for part in batch[1:4]] == [count] * 3
        assert ((batch.weights >= 0) & (batch.weights <= 1)).all()
        low, high = data.spec.bounds("cpu")
        assert ((batch.images >= low - 1e-4) & (batch.images <= high + 1e-4)).all()


def test_an_epoch_depends_on_seed_and_epoch_only(opened):
    split, view = opened().train, MixedViewConfig()
    images, labels, *_ = epoch(split, view, len(split))
    assert labels.equal(split.labels[epoch_order(len(split), seed=5, epoch=1)])
    in_parts = epoch(split, view, len(split) // 4)
    assert torch.allclose(in_parts[0], images[: len(in_parts[0])], atol=1e-5)
    assert in_parts[1].equal(labels[: len(in_parts[1])])
    torch.manual_seed(99)
    assert torch.equal(epoch(opened().train, view, len(split))[0], images)
    assert not torch.equal(epoch(split, view, len(split), number=2)[0], images)
    assert not torch.equal(epoch(split, view, len(split), seed=6)[0], images)


def global_numpy_state():
    _, key, position, *_ = np.random.get_state()  # noqa: NPY002 (it is what must not change)
    return key.tolist(), position


def test_nothing_global_is_seeded_or_drawn(opened):
    before = torch.get_rng_state(), global_numpy_state()
    split = opened().train
    epoch(split, MixedViewConfig(mix="mixup"), len(split))
    list(split.eval_batches(50, "cpu"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert global_numpy_state() == before[1]


def test_a_class_subset_is_the_part_of_the_whole(opened):
    data = opened()
    ids = [data.spec.classes[index] for index in (2, 0)]
    some = opened(classes=ids)
    assert some.spec.classes == (data.spec.classes[0], data.spec.classes[2])
    assert opened(num_classes=2).spec.classes == data.spec.classes[:2]
    for ours, whole in ((some.train, data.train), (some.val, data.val)):
        rows = torch.cat([(whole.labels == label).nonzero()[:, 0] for label in (0, 2)])
        mine = torch.cat([(ours.labels == label).nonzero()[:, 0] for label in (0, 1)])
        assert torch.equal(ours.take(mine), whole.take(rows))
    with pytest.raises(DataError, match="index 1 is"):
        some.spec.check_same_classes(data.spec)


def test_a_part_of_the_training_images_may_be_held_out(opened):
    whole = opened()
    if whole.train.labels.bincount().min() < 2:
        with pytest.raises(DataError, match="fewer than two training images of class 'c0'"):
            opened(holdout=0.4)
        return
    held = opened(holdout=0.4, holdout_seed=3)
    assert held.spec == whole.spec
    order = [held.train.take(torch.arange(len(held.train))), held.val.take(torch.arange(len(held.val)))]
    ours, theirs = torch.cat(order).flatten(1), whole.train.take(torch.arange(len(whole.train))).flatten(1)
    assert sorted(map(bytes, ours.numpy())) == sorted(map(bytes, theirs.numpy()))  # each once, in one of both parts
    assert held.val.labels.bincount().min() >= 1
    for split in (held.train, held.val):
        labels = torch.cat([labels for _, labels in split.eval_batches(4, "cpu")])
        assert labels.equal(split.labels)
        for image, label in zip(split.take(torch.arange(len(split))).flatten(1), split.labels, strict=True):
            assert label in whole.train.labels[(theirs == image).all(1)]  # as before; small copies have doubles
        seen = torch.cat([batch.labels for batch in split.train_batches(MixedViewConfig(), **EPOCH)])
        assert seen.bincount().equal(split.labels.bincount())


def test_an_unknown_class_is_refused(opened):
    with pytest.raises(ConfigError, match="unknown class 'zebra crossing'"):
        opened(classes=["zebra crossing", opened().spec.classes[0]])


@pytest.mark.parametrize("name", sorted(set(FIXTURES) - {"digits", "drawings"}))
def test_data_that_is_not_there_is_said_plainly(name, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        load(name, tmp_path / "nowhere", download=False)
