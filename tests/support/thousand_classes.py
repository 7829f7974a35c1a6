"""A program: all four stages on a stand-in of ImageNet-1K, in a process that may take so much memory and no more.

`python thousand_classes.py FOLDER MEBIBYTES [held]`: the pictures lie in FOLDER, the results go there too. The memory
counts from what the program itself has taken before the first stage. With `held`, labels stay in memory.
"""

import hashlib
import os
import resource
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision import models
from torchvision.models import Weights, WeightsEnum
from torchvision.models._api import register_model

from sre2l_core import data as datasets
from sre2l_core.config import RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.data.imagenet import wnids
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import recover
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.squeeze import squeeze
from sre2l_core.stages.validate import validate

SIDE, IPC, EPOCHS = 32, 2, 40
"""2,000 images are 6 MiB of pixels, an epoch of their labels 4 MiB, all labels 153 MiB."""


def network(num_classes):
    """One convolution of patches, one of 3x3, each with BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes),
    )  # fmt: skip


def offer_as_torchvisions():
    """Add the network to torchvision's, with weights that lie where torchvision keeps those it has downloaded."""
    home = Path(os.environ["TORCH_HOME"], "hub", "checkpoints")
    home.mkdir(parents=True, exist_ok=True)
    torch.save(network(len(wnids())).state_dict(), home / "new.pth")
    name = f"thousand-{hashlib.sha256((home / 'new.pth').read_bytes()).hexdigest()[:8]}.pth"
    (home / "new.pth").rename(home / name)

    class ThousandWeights(WeightsEnum):
        IMAGENET1K_V1 = Weights(f"https://example.invalid/{name}", None, {"categories": list(wnids())})

    def thousand(*, weights: ThousandWeights | None = None, progress: bool = True, num_classes: int = 1000):
        return network(num_classes)

    thousand.__module__ = f"{models.__name__}.thousand"
    register_model()(thousand)


def taken():
    """Bytes of private memory that this process may write to."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmData")))


def main(folder, mebibytes, held):
    offer_as_torchvisions()
    torch.set_num_threads(1)
    runtime = Runtime(torch.device("cpu"))
    data = datasets.load("imagenet-1k", folder, resolution=SIDE, stream=True, workers=0)
    limit = taken() + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    teacher = squeeze(
        data, SqueezeConfig(backbone="thousand", pretrained="IMAGENET1K_V1"), runtime=runtime, out=folder / "teacher"
    )
    condensed = recover(teacher, RecoverConfig(ipc=IPC, steps=1), runtime=runtime, out=folder / "condensed")
    views = RelabelConfig(epochs=EPOCHS, mix="cutmix")
    labels = relabel(teacher, condensed, views, runtime=runtime, out=None if held else folder / "labels")
    students = ValidateConfig(students=("thousand",), epochs=2, batch_size=250, seeds=2, hard_labels=False)
    score = validate(condensed, labels, data, students, teacher=teacher, runtime=runtime, out=folder / "score")
    sys.stdout.write(score.table())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "held" in sys.argv[3:])
