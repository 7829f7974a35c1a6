"""The same stages as one would write them down from the paper: what this package is measured against.

Recovery follows the reference's procedure, written anew from its formulas: a hook on every BatchNorm layer that takes
the mean and, on a permuted copy, the variance; autograd through all of it; float32 in NCHW layout; total-variation and
L2 priors that are computed even where their weights are zero; `loss.item()` and a copy of the best images in every
step; torchvision's crop on the batch tensor; a clamp for every channel; batch by batch.

Relabelling and validation decode every picture with PIL in every epoch, crop it on its own, run a float32 teacher and
store a pickle for each batch.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import functional as TF

from sre2l_core.config import RecoverConfig, RelabelConfig, ValidateConfig
from sre2l_core.data import DatasetSpec


def as_built(net: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a network in float32 and the default memory layout, in eval mode."""
    return copy.deepcopy(net).to(device).to(memory_format=torch.contiguous_format).eval().requires_grad_(False)


class BatchNormHook:
    """Distance of a layer's input statistics to the running ones, noted during the forward pass."""

    def __init__(self, layer: nn.Module) -> None:
        self.distance = torch.zeros(())
        layer.register_forward_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0]
        mean = x.mean([0, 2, 3])
        var = x.permute(1, 0, 2, 3).contiguous().reshape(x.shape[1], -1).var(1, unbiased=False)
        self.distance = torch.norm(layer.running_var - var, 2) + torch.norm(layer.running_mean - mean, 2)


class TextbookRecovery:
    """One batch of the recovery; `step()` is one iteration and returns the loss as a number."""

    def __init__(
        self, net: nn.Module, spec: DatasetSpec, targets: Tensor, config: RecoverConfig, device: torch.device
    ) -> None:
        self.device, self.spec, self.config = device, spec, config
        self.net = as_built(net, self.device)
        self.hooks = [BatchNormHook(m) for m in self.net.modules() if isinstance(m, nn.BatchNorm2d)]
        self.targets = targets.to(self.device)
        shape = (len(targets), spec.channels, spec.resolution, spec.resolution)
        self.images = torch.randn(shape, device=self.device, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.images], lr=config.lr, betas=config.betas)
        self.augment = transforms.Compose(
            [transforms.RandomResizedCrop(spec.resolution), transforms.RandomHorizontalFlip()]
        )
        self.step_count, self.best_cost, self.best = 0, 1e4, self.images.detach().clone()

    def step(self) -> float:
        """One iteration on the batch."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = 0.5 * (1 + math.cos(math.pi * self.step_count / config.steps)) * config.lr
        views = self.augment(self.images)
        low, high = config.roll
        views = torch.roll(views, (random.randint(low, high), random.randint(low, high)), (2, 3))
        self.optimizer.zero_grad()
        logits = self.net(views)
        ce = F.cross_entropy(logits, self.targets)
        weights = [config.first_bn_multiplier] + [1.0] * (len(self.hooks) - 1)
        r_bn = sum(weight * hook.distance for weight, hook in zip(weights, self.hooks, strict=True))
        _, tv_l2 = total_variation(views)
        l2 = torch.norm(views.reshape(len(views), -1), dim=1).mean()
        loss = ce + config.alpha_bn * r_bn + config.alpha_tv * tv_l2 + config.alpha_l2 * l2
        loss.backward()
        self.optimizer.step()
        self.images.data = clip(self.images.data, self.spec)
        if self.best_cost > loss.item():
            self.best = self.images.data.clone()
        self.step_count += 1
        return loss.item()


def total_variation(views: Tensor) -> tuple[Tensor, Tensor]:
    """L1 and L2 total variation of a batch over four directions."""
    differences = [
        views[:, :, :, :-1] - views[:, :, :, 1:],
        views[:, :, :-1, :] - views[:, :, 1:, :],
        views[:, :, :-1, :-1] - views[:, :, 1:, 1:],
        views[:, :, :-1, 1:] - views[:, :, 1:, :-1],
    ]
    return sum(d.abs().mean() for d in differences), sum(torch.norm(d) for d in differences)


def clip(images: Tensor, spec: DatasetSpec) -> Tensor:
    """Keep every channel within black and white."""
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        images[:, channel] = torch.clamp(images[:, channel], -mean / std, (1 - mean) / std)
    return images


class Pictures(Dataset[tuple[Tensor, Tensor, bool]]):
    """Files decoded anew at every access and cropped one by one, at random or as `crops` say."""

    def __init__(self, files: list[Path], spec: DatasetSpec) -> None:
        self.files, self.spec = files, spec
        self.crops: dict[int, tuple[Tensor, bool]] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, bool]:
        with Image.open(self.files[index]) as file:
            image = file.convert("RGB" if self.spec.channels == 3 else "L")
        if index in self.crops:
            coordinates, flip = self.crops[index]
        else:
            box = transforms.RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3))
            coordinates, flip = torch.tensor(box), random.random() < 0.5
        top, left, height, width = coordinates.tolist()
        size = [self.spec.resolution, self.spec.resolution]
        image = TF.resized_crop(image, top, left, height, width, size)
        image = TF.hflip(image) if flip else image
        return TF.normalize(TF.to_tensor(image), self.spec.mean, self.spec.std), coordinates, flip


def cutmix(images: Tensor, partners: Tensor, box: list[int]) -> Tensor:
    """Paste the same rectangle of other images, in place."""
    top, left, bottom, right = box
    images[:, :, top:bottom, left:right] = images[partners, :, top:bottom, left:right]
    return images


def relabel(
    net: nn.Module,
    files: list[Path],
    spec: DatasetSpec,
    config: RelabelConfig,
    out: Path,
    device: torch.device,
    workers: int,
) -> None:
    """A pickle for every batch: where it was cropped, what was mixed, and half-precision logits."""
    net = as_built(net, device)
    for epoch in range(config.epochs):
        folder = out / f"epoch_{epoch}"
        folder.mkdir(parents=True)
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(epoch)).tolist()
        loader = DataLoader(Pictures(files, spec), config.batch_size, sampler=order, num_workers=workers)
        for number, (images, coordinates, flips) in enumerate(loader):
            images = images.to(device)
            partners, share = torch.randperm(len(images)), random.random()
            side, size = int(spec.resolution * math.sqrt(1 - share)), spec.resolution
            middle = [random.randrange(size), random.randrange(size)]
            box = [max(m - side // 2, 0) for m in middle] + [min(m + side // 2, size) for m in middle]
            logits = net(cutmix(images, partners.to(device), box))
            ids = torch.tensor(order[number * config.batch_size :][: len(images)])
            content = [ids, coordinates, flips, partners, share, box, logits.half().cpu()]
            torch.save(content, folder / f"batch_{number}.tar")


def train(
    student: nn.Module,
    files: list[Path],
    spec: DatasetSpec,
    config: ValidateConfig,
    labels: Path,
    device: torch.device,
    workers: int,
) -> Iterator[float]:
    """Train on the stored batches; yields the loss after every step."""
    student = student.to(device).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    temperature = config.temperature
    for folder in sorted(labels.iterdir()):
        for path in sorted(folder.iterdir()):
            ids, coordinates, flips, partners, _, box, logits = torch.load(path, weights_only=True)
            pictures = Pictures(files, spec)
            pictures.crops = {i: (c, bool(f)) for i, c, f in zip(ids.tolist(), coordinates, flips, strict=True)}
            loader = DataLoader(pictures, len(ids), sampler=ids.tolist(), num_workers=workers)
            images = cutmix(next(iter(loader))[0].to(device), partners.to(device), box)
            soft = F.log_softmax(logits.to(device).float() / temperature, 1)
            found = F.log_softmax(student(images) / temperature, 1)
            loss = F.kl_div(found, soft, reduction="batchmean", log_target=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()
