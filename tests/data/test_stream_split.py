import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from sre2l_core.config import MixedViewConfig
from sre2l_core.data import DatasetSpec, ResidentSplit
from sre2l_core.data.decode import decode_all
from sre2l_core.data.split import epoch_order
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import DataError
from sre2l_core.views import draw

SIZE = 16
ONE_LEVEL = 1.01 / 255 / 0.2
"""Half a grey level of rounding in each of two passes, in normalised units."""


def spec(classes=3):
    ids = tuple(f"c{label}" for label in range(classes))
    return DatasetSpec("toy", ids, 3, SIZE, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def pictures(folder, sizes):
    paths = []
    for index, (width, height) in enumerate(sizes):
        rough = np.random.default_rng(index).integers(0, 256, (5, 4, 3), dtype=np.uint8)
        paths.append(folder / f"{index}.png")
        Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def split_of(paths, **options):
    return StreamSplit(spec(), paths, torch.arange(len(paths)) % 3, **{"workers": 0} | options)


def epoch(split, view, batch_size=4, seed=1, number=0):
    batches = split.train_batches(view, batch_size=batch_size, seed=seed, epoch=number, device="cpu")
    return [torch.cat(parts) for parts in zip(*(batch[:4] for batch in batches), strict=True)]


MIXED_SIZES = [(40, 30), (31, 64), (16, 16), (50, 20), (12, 9), (33, 33), (70, 41)]


@pytest.mark.parametrize("crop", ["resized", "padded", "none"])
def test_equals_a_resident_split_where_files_have_the_size_of_the_dataset(tmp_path, crop):
    paths = pictures(tmp_path, [(SIZE, SIZE)] * 7)
    stream = split_of(paths)
    resident = ResidentSplit(spec(), decode_all(paths, SIZE)[0], stream.labels)
    view = MixedViewConfig(crop=crop, roll=(-2, 2))
    ours, theirs = epoch(stream, view), epoch(resident, view)
    assert (ours[0] - theirs[0]).abs().max() < ONE_LEVEL
    assert all(a.equal(b) for a, b in zip(ours[1:], theirs[1:], strict=True))


def test_crops_are_cut_from_the_whole_file_as_torchvision_would(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES)
    view = MixedViewConfig()
    images, labels, partners, weights = epoch(split_of(paths), view, seed=9, number=4)
    order = epoch_order(7, seed=9, epoch=4)
    assert labels.equal(order % 3)
    assert partners.equal(labels)
    assert weights.equal(torch.ones(7))
    for image, index in zip(images, order.tolist(), strict=True):
        picture = Image.open(paths[index])
        params = draw(view, seed=9, epoch=4, ids=torch.tensor([index]), size=(picture.height, picture.width))
        expected = v2.functional.resized_crop(picture, *params.box[0].tolist(), [SIZE, SIZE])
        if params.flip[0]:
            expected = v2.functional.hflip(expected)
        picture.close()
        assert torch.allclose(image, spec().normalize(v2.functional.pil_to_tensor(expected)))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*worker processes.*:UserWarning")
def test_workers_change_nothing(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES)
    view = MixedViewConfig(mix="cutmix")
    alone, helped = (epoch(split_of(paths, workers=workers), view, batch_size=2) for workers in (0, 2))
    assert len(alone[0]) == 6
    assert all(a.equal(b) for a, b in zip(alone, helped, strict=True))


def test_epochs_and_seeds_differ(tmp_path):
    split, view = split_of(pictures(tmp_path, MIXED_SIZES)), MixedViewConfig()
    first = epoch(split, view)[0]
    assert not torch.equal(first, epoch(split, view, number=1)[0])
    assert not torch.equal(first, epoch(split, view, seed=2)[0])


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_partners_are_mixed_from_the_same_batch(tmp_path, mix):
    paths = []
    for index in range(12):
        paths.append(tmp_path / f"{index}.png")
        Image.new("RGB", (20, 24), (20 * index,) * 3).save(paths[-1])
    split = StreamSplit(spec(12), paths, torch.arange(12), workers=0)
    batches = list(
        split.train_batches(MixedViewConfig(mix=mix), batch_size=6, seed=0, epoch=0, device=torch.device("cpu"))
    )
    for images, labels, partners, weights, _ in batches:
        assert set(partners.tolist()) <= set(labels.tolist())
        assert (partners != labels).any()
        level = split.spec.denormalize(images)[:, 0] * 255
        if mix == "cutmix":
            level = level.mean((1, 2), keepdim=True)
        expected = 20 * (weights * labels + (1 - weights) * partners)
        assert torch.allclose(level, expected[:, None, None].expand_as(level), atol=1e-2)


def test_evaluation_is_in_order_with_the_scale_of_the_dataset(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES)
    split = split_of(paths, eval_scale=256 / 224)
    batches = list(split.eval_batches(3, "cpu"))
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    images = torch.cat([images for images, _ in batches])
    transform = v2.Compose([v2.Resize(18), v2.CenterCrop(16), v2.PILToTensor()])
    for image, path in zip(images, paths, strict=True):
        with Image.open(path) as picture:
            assert torch.allclose(image, spec().normalize(transform(picture)))
    assert torch.cat([labels for _, labels in batches]).equal(torch.arange(7) % 3)
    some = torch.tensor([5, 0])
    assert torch.equal(split.take(some), spec().to_uint8(images[some]))


def test_an_unreadable_file_stops_with_its_name(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES)
    paths[3].write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"3\.png cannot be read"):
        epoch(split_of(paths), MixedViewConfig())
    with pytest.raises(DataError, match=r"3\.png cannot be read"):
        split_of(paths).take(torch.tensor([3]))


def test_another_image_of_its_class_stands_for_an_unreadable_one(tmp_path):
    """Six images of classes 0, 1, 2, 0, 1, 2, 0: `take` gives as many images of each class as it was asked for."""
    paths = pictures(tmp_path, MIXED_SIZES)
    whole = split_of(paths).take(torch.arange(7))
    paths[3].write_bytes(b"nothing")
    split = split_of(paths, skip_corrupt=True)
    with pytest.warns(UserWarning, match=r"skipped 1 unreadable of 2 files, first .*3\.png"):
        assert torch.equal(split.take(torch.tensor([3, 1])), whole[[6, 1]])
    with pytest.warns(UserWarning, match="skipped"):
        assert torch.equal(split.take(torch.tensor([6, 3])), whole[[6, 0]])  # after the last comes the first
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(DataError, match=r"too few readable images of.*'c0'"),
    ):
        split.take(torch.tensor([0, 3, 6]))


def test_an_unreadable_file_is_left_out_of_its_batch_with_a_warning(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES)
    paths[3].write_bytes(b"nothing")
    split = split_of(paths, skip_corrupt=True)
    with pytest.warns(UserWarning, match=r"skipped: .*3\.png"):
        images, labels, *_ = epoch(split, MixedViewConfig(mix="cutmix"), batch_size=7)
    order = epoch_order(7, seed=1, epoch=0)
    assert labels.equal(order[order != 3] % 3)
    assert len(images) == 6
    with pytest.warns(UserWarning, match="skipped"):
        labels = torch.cat([labels for _, labels in split.eval_batches(1, "cpu")])
    assert labels.tolist() == [0, 1, 2, 1, 2, 0]


def test_a_batch_with_one_readable_file_is_dropped(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES[:4])
    paths[3].write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="skipped"):
        _, labels, *_ = epoch(split_of(paths, skip_corrupt=True), MixedViewConfig(), batch_size=2)
    whole = next(pair for pair in epoch_order(4, seed=1, epoch=0).split(2) if 3 not in pair)
    assert labels.equal(whole % 3)


def test_an_epoch_without_a_usable_batch_is_an_error(tmp_path):
    paths = pictures(tmp_path, MIXED_SIZES[:4])
    for path in paths[1:]:
        path.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(DataError, match="toy: no batch has two images"):
        epoch(split_of(paths, skip_corrupt=True), MixedViewConfig(), batch_size=2)
