"""Every torchvision classifier, trained or not, and the loading of torchvision's weights.

Weights are found in the ordinary torch hub cache (`TORCH_HOME`) or downloaded into it, and read as tensors only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pydantic import PositiveInt
from torch import nn
from torchvision import models

from sre2l_core.errors import ArtifactError, ConfigError, unknown

# Checkpoints older than torch 0.4 write 'norm.1' where the module is called 'norm1'.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def names() -> list[str]:
    """Names of torchvision's classifiers, in alphabetical order."""
    return list(models.list_models(module=models))


def builder(name: str) -> Callable[..., nn.Module]:
    """The builder of torchvision's `name`; its one option is `weights`."""

    def build(
        num_classes: PositiveInt, channels: PositiveInt, resolution: PositiveInt, *, weights: str | None = None
    ) -> nn.Module:
        if channels != 3:
            raise ConfigError(
                f"torchvision's {name} reads 3 channels, got {channels}. Repeat grey images to 3 channels, or use "
                "'resnet18' or 'convnet', which take any number."
            )
        options = _architecture(name, resolution, trained=weights is not None)
        try:
            model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **options)
        except (AssertionError, ValueError) as error:
            raise ConfigError(f"torchvision's {name} cannot be built for resolution {resolution}: {error}") from None
        if weights is not None:
            load_weights(model, name, weights)
        return model

    return build


def _architecture(name: str, resolution: int, *, trained: bool) -> dict[str, Any]:
    if name in ("googlenet", "inception_v3"):
        # Without auxiliary heads these two return plain logits, as all others do.
        return {"aux_logits": False, "init_weights": not trained, "transform_input": trained}
    if name.startswith("vit_"):
        return {"image_size": resolution}
    return {"input_size": (resolution, resolution)} if name.startswith("maxvit_") else {}


def load_weights(model: nn.Module, name: str, weights: str) -> None:
    """Load torchvision's `weights` of `name` into `model`, whose parameters bear torchvision's names.

    The classifier keeps its initial values where its number of classes is not that of the weights.

    Args:
        model: changed in place.
        name: the network's name in torchvision.
        weights: the weights' name in torchvision: `"IMAGENET1K_V1"` (the paper's choice, Appendix A.2), `"DEFAULT"`, …

    Raises:
        ConfigError: torchvision has no such weights.
        ArtifactError: they are not in the cache and cannot be downloaded, or do not fit this model.
    """
    known = models.get_model_weights(name).__members__
    if weights not in known:
        raise unknown(f"weights of {name}", weights, known)
    entry = known[weights]
    state = _fetch(entry, f"{name} {weights}")
    for key in list(state):
        tensor = state.pop(key)
        if not key.lower().startswith("aux"):
            state[_OLD_DENSENET.sub(r"\1\2", key)] = tensor
    classes = len(entry.meta["categories"])
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    head = {k for k, v in state.items() if v.shape[:1] == (classes,) and v.shape != shapes.get(k, v.shape)}
    for key in head:
        del state[key]
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
        problems = sorted((set(missing) - head) | set(unexpected))
    except RuntimeError as error:
        problems = [" ".join(str(error).split()).rstrip(".")]
    if problems:
        size = entry.meta.get("min_size")
        raise ArtifactError(
            f"weights {name} {weights} do not fit this model: {'; '.join(problems)}. They were made for images of at "
            f"least {size} pixels, in transformers for exactly that resolution."
        )


def _fetch(entry: Any, title: str) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
        raise ArtifactError(
            f"weights {title} can be neither read from {file} nor downloaded ({error}). Download {entry.url} where "
            "there is a network and put it there, or set TORCH_HOME to a folder whose hub/checkpoints has it; leave "
            "out `weights` to start untrained."
        ) from error
    return state
