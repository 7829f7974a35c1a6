"""Torchvision's classifiers: any of them, trained or not, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision import models

from sre2l_core.backbones import build
from sre2l_core.errors import ArtifactError, ConfigError

Save = Callable[[str, dict[str, torch.Tensor]], None]


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    return tmp_path


@pytest.fixture
def save(no_network: Path) -> Save:
    """Puts a state dict where torch hub looks for the IMAGENET1K_V1 weights of a network."""

    def save(name: str, state: dict[str, torch.Tensor]) -> None:
        folder = no_network / "hub" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / Path(models.get_model_weights(name)["IMAGENET1K_V1"].url).name)

    return save


def trained(name: str, **options: Any) -> nn.Module:
    """A twin with recognisable, cheap values: no time is spent on drawing weights."""
    with torch.device("meta"):
        model = models.get_model(name, weights=None, **options)
    model.to_empty(device="cpu")
    for index, value in enumerate(model.state_dict().values()):
        value.fill_(index % 97 / 97)
    return model


def shared(model: nn.Module, state: dict[str, torch.Tensor]) -> set[str]:
    """Names of the entries of the model that equal those of the state."""
    return {k for k, v in model.state_dict().items() if k in state and torch.equal(v, state[k])}


@pytest.mark.parametrize(
    ("name", "resolution"),
    [("mobilenet_v2", 32), ("squeezenet1_1", 64), ("shufflenet_v2_x0_5", 32), ("googlenet", 64), ("inception_v3", 96)],
)
def test_untrained_networks_return_plain_logits(name: str, resolution: int) -> None:
    with torch.device("meta"):
        model = build(name, num_classes=7, resolution=resolution)
        assert model(torch.empty(2, 3, resolution, resolution)).shape == (2, 7)


def test_transformers_are_built_for_the_resolution() -> None:
    with torch.device("meta"):
        assert build("vit_b_32", num_classes=7, resolution=64)(torch.empty(2, 3, 64, 64)).shape == (2, 7)
        with pytest.raises(ConfigError, match="vit_b_32 cannot be built for resolution 50"):
            build("vit_b_32", num_classes=7, resolution=50)


def test_grey_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="reads 3 channels, got 1"):
        build("mobilenet_v2", num_classes=10, channels=1, resolution=32)


@pytest.mark.parametrize(
    ("name", "head"),
    [("mobilenet_v3_small", "classifier.3."), ("squeezenet1_1", "classifier.1."), ("resnet18", "fc.")],
)
def test_weights_are_loaded_and_the_head_follows_the_number_of_classes(name: str, head: str, save: Save) -> None:
    state = trained(name).state_dict()
    save(name, state)
    assert shared(build(name, num_classes=1000, resolution=224, weights="IMAGENET1K_V1"), state) == set(state)
    model = build(name, num_classes=10, resolution=224, seed=0, weights="IMAGENET1K_V1")
    assert set(state) - shared(model, state) == {head + "weight", head + "bias"}
    assert model.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 10)


def test_auxiliary_heads_of_the_weights_are_left_out(save: Save) -> None:
    state = trained("googlenet", aux_logits=True, init_weights=False).state_dict()
    save("googlenet", state)
    model = build("googlenet", num_classes=10, resolution=224, weights="IMAGENET1K_V1")
    changed = set(state) - shared(model, state)
    assert {key for key in changed if not key.startswith("aux")} == {"fc.weight", "fc.bias"}
    assert model.transform_input  # these weights expect another normalisation, done inside


def test_old_names_in_densenet_weights(save: Save) -> None:
    state = trained("densenet121").state_dict()
    old = {k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v for k, v in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    save("densenet121", old)
    assert shared(build("densenet121", num_classes=1000, resolution=224, weights="IMAGENET1K_V1"), state) == set(state)


def test_weights_for_another_resolution_are_refused(save: Save) -> None:
    with torch.device("meta"):
        positions = models.vit_b_32(weights=None).state_dict()["encoder.pos_embedding"]
    save("vit_b_32", {"encoder.pos_embedding": torch.zeros(positions.shape)})
    with (
        torch.device("meta"),
        pytest.raises(ArtifactError, match=r"vit_b_32 IMAGENET1K_V1 do not fit.*pos_embedding.*\(224, 224\) pixels"),
    ):
        build("vit_b_32", num_classes=10, resolution=64, weights="IMAGENET1K_V1")


def test_incomplete_weights_are_refused(save: Save) -> None:
    state = trained("squeezenet1_1").state_dict()
    del state["features.0.bias"]
    save("squeezenet1_1", state | {"surplus": torch.zeros(1)})
    with pytest.raises(ArtifactError, match=r"do not fit this model: features\.0\.bias; surplus"):
        build("squeezenet1_1", num_classes=1000, resolution=64, weights="IMAGENET1K_V1")


def test_unknown_weights_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown weights of resnet50 'IMAGENET_V1'\. Did you mean 'IMAGENET1K_V1'"):
        build("resnet50", num_classes=1000, resolution=224, weights="IMAGENET_V1")


def test_weights_that_cannot_be_had_say_what_to_do(no_network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArtifactError, match=r"no route to host.*https://.*mobilenet_v2.*TORCH_HOME") as caught:
        build("mobilenet_v2", num_classes=1000, resolution=224, weights="IMAGENET1K_V1")
    assert str(no_network / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth") in str(caught.value)


def test_a_damaged_file_is_not_run(save: Save, no_network: Path) -> None:
    save("mobilenet_v2", {})
    file = next((no_network / "hub" / "checkpoints").iterdir())
    torch.save({"code": Path}, file)  # a global that only an unrestricted unpickler would import
    with pytest.raises(ArtifactError, match="can be neither read"):
        build("mobilenet_v2", num_classes=1000, resolution=224, weights="IMAGENET1K_V1")


def test_published_weights() -> None:
    file = Path(torch.hub.get_dir()) / "checkpoints" / "mobilenet_v2-b0353104.pth"
    if not file.exists():
        pytest.skip("needs the mobilenet_v2 weights in the torch hub cache")
    state = torch.load(file, weights_only=True)
    model = build("mobilenet_v2", num_classes=1000, resolution=224, weights="IMAGENET1K_V1")
    assert set(state) - shared(model, state) == set()
