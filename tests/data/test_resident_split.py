import pytest
import torch

from sre2l_core.config import MixedViewConfig
from sre2l_core.data import DatasetSpec, ResidentSplit
from sre2l_core.data.resident import resized
from sre2l_core.data.split import epoch_order
from sre2l_core.errors import DataError
from sre2l_core.views import draw, render

PLAIN = MixedViewConfig(crop="none", flip=0)


def spec(resolution=16, classes=4, channels=3):
    ids = tuple(f"c{label}" for label in range(classes))
    return DatasetSpec("toy", ids, channels, resolution, (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels])


def noise(count=13, resolution=16):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, resolution, resolution), dtype=torch.uint8, generator=generator)
    return ResidentSplit(spec(resolution), images, torch.arange(count) % 4)


def flat(count=40, resolution=32):
    """Image i has grey level 6 i everywhere and label i: what is mixed in can be read from the pixels."""
    levels = (torch.arange(count) * 6).to(torch.uint8)
    return ResidentSplit(
        spec(resolution, count), levels[:, None, None, None].expand(-1, 3, resolution, resolution), torch.arange(count)
    )


def epoch(split, view, batch_size=5, seed=3, number=2):
    return list(split.train_batches(view, batch_size=batch_size, seed=seed, epoch=number, device="cpu"))


def together(batches):
    return [torch.cat(parts) for parts in zip(*(batch[:4] for batch in batches), strict=True)]


def test_without_augmentation_training_sees_the_normalised_images_in_the_order_of_the_epoch():
    split = noise()
    images, labels, partners, weights = together(epoch(split, PLAIN))
    order = epoch_order(13, seed=3, epoch=2)
    mean, std = torch.tensor([0.4, 0.5, 0.6])[:, None, None], torch.tensor([0.2, 0.25, 0.3])[:, None, None]
    assert torch.allclose(images, (split.images[order] / 255 - mean) / std, atol=1e-6)
    assert labels.equal(order % 4)
    assert partners.equal(labels)
    assert weights.equal(torch.ones(13))


@pytest.mark.parametrize("crop", ["resized", "padded"])
@pytest.mark.parametrize("mix", ["none", "cutmix", "mixup"])
def test_views_are_those_that_render_makes_of_the_whole_set(crop, mix):
    split, view = noise(), MixedViewConfig(crop=crop, mix=mix, roll=(-2, 2))
    images = together(epoch(split, view))[0]
    ids = torch.arange(13)
    params = draw(view, seed=3, epoch=2, ids=ids, size=(16, 16))
    pool = split.spec.normalize(split.images)
    expected = render(pool, ids, params, size=16, black=split.spec.black)[epoch_order(13, seed=3, epoch=2)]
    assert torch.allclose(images, expected, atol=1e-5)


@pytest.mark.parametrize("mix", ["none", "cutmix", "mixup"])
def test_an_epoch_shows_the_same_images_for_every_batch_size(mix):
    small, large = (together(epoch(noise(), MixedViewConfig(mix=mix), batch_size=size)) for size in (2, 13))
    assert len(small[0]) == 12  # the leftover image is dropped
    assert torch.allclose(small[0], large[0][:12], atol=1e-6)
    for ours, theirs in zip(small[1:], large[1:], strict=True):
        assert ours.equal(theirs[:12])


def test_epochs_and_seeds_differ_and_repeat():
    view = MixedViewConfig()
    first = together(epoch(noise(), view))[0]
    assert torch.equal(first, together(epoch(noise(), view))[0])
    assert not torch.equal(first, together(epoch(noise(), view, number=3))[0])
    assert not torch.equal(first, together(epoch(noise(), view, seed=4))[0])


def test_mixup_pixels_are_what_labels_and_weights_say():
    split = flat()
    images, labels, partners, weights = together(epoch(split, MixedViewConfig(mix="mixup", mix_alpha=0.8)))
    assert (labels != partners).sum() > 30
    assert 0.2 < weights.mean() < 0.8
    level = split.spec.denormalize(images)[:, 0] * 255
    expected = 6 * (weights * labels + (1 - weights) * partners)
    assert torch.allclose(level, expected[:, None, None].expand_as(level), atol=1e-2)


def test_cutmix_share_of_own_pixels_is_the_weight():
    split = flat()
    images, labels, partners, weights = together(epoch(split, MixedViewConfig(mix="cutmix")))
    level = (split.spec.denormalize(images)[:, 0] * 255 / 6).round()
    own, other = labels[:, None, None], partners[:, None, None]
    assert ((level == own) | (level == other)).all()
    mixed = labels != partners
    share = (level == own).float().mean((1, 2))
    assert mixed.sum() > 30
    torch.testing.assert_close(share[mixed], weights[mixed], atol=1e-6, rtol=0)


def test_padding_is_black():
    white = ResidentSplit(spec(8, 2), torch.full((20, 3, 8, 8), 255, dtype=torch.uint8), torch.arange(20) % 2)
    images = together(epoch(white, MixedViewConfig(crop="padded", padding=3)))[0]
    levels = white.spec.to_uint8(images)
    assert levels.unique().tolist() == [0, 255]


def test_evaluation_is_in_order_and_take_returns_the_pixels():
    split = noise()
    images, labels = together(split.eval_batches(4, "cpu"))
    assert torch.equal(split.spec.to_uint8(images), split.images)
    assert labels.equal(torch.arange(13) % 4)
    assert torch.equal(split.take(torch.tensor([7, 0, 7])), split.images[[7, 0, 7]])


@pytest.mark.gpu
def test_another_device_sees_the_same_epoch():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    view = MixedViewConfig(crop="padded", mix="cutmix")
    here = together(epoch(noise(), view))
    there = together(list(noise().train_batches(view, batch_size=5, seed=3, epoch=2, device="cuda")))
    assert all(part.is_cuda for part in there)
    assert torch.allclose(here[0], there[0].cpu(), atol=1e-4)
    for ours, theirs in zip(here[1:], there[1:], strict=True):
        assert ours.equal(theirs.cpu())


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(4, 3, 16, 16), torch.arange(4)),
        (torch.zeros(4, 1, 16, 16, dtype=torch.uint8), torch.arange(4)),
        (torch.zeros(4, 3, 16, 8, dtype=torch.uint8), torch.arange(4)),
        (torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.arange(3)),
        (torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.arange(4) + 1),
        (torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.arange(4) - 1),
        (torch.zeros(0, 3, 16, 16, dtype=torch.uint8), torch.arange(0)),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels):
    with pytest.raises(DataError, match="toy"):
        ResidentSplit(spec(), images, labels)


def test_resizing_keeps_flat_colours_and_averages_when_it_shrinks():
    images = torch.zeros(2, 1, 9, 9, dtype=torch.uint8)
    images[0], images[1, :, :, ::3] = 77, 210
    assert resized(images, 9) is images
    assert resized(images, 7)[0].unique().tolist() == [77]
    assert (resized(images, 3)[1, 0, :, 1].int() - 70).abs().max() <= 10
