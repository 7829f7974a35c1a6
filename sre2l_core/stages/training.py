"""What squeezing and validating share: optimisers, schedules, weight averages, evaluation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from sre2l_core.bn_stats import batchnorms
from sre2l_core.config import TrainConfig
from sre2l_core.data.split import Split
from sre2l_core.ranks import parts_of
from sre2l_core.runtime import Runtime


def build_optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over two groups: parameters with more than one dimension, and the rest (`config.decay_1d`)."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": config.weight_decay * config.decay_1d},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)


def lr_factor(config: TrainConfig, epoch: float) -> float:
    """Share of the peak learning rate at `epoch` (fractional within an epoch).

    Linear warm-up from 1 %; then half a cosine to zero (stretched by `cosine_stretch`), x0.2 at 2/3 and 5/6, or
    constant.
    """
    if config.schedule_by == "epoch":
        epoch = math.floor(epoch)
    if epoch < config.warmup_epochs:
        return 0.01 + 0.99 * epoch / config.warmup_epochs
    progress = (epoch - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress / config.cosine_stretch))
    if config.schedule == "step":
        return 1.0 if progress < 2 / 3 else 0.2 if progress < 5 / 6 else 0.04
    return 1.0


class Trainer:
    """One network on its way: an optimiser, its schedule, and an average of the weights if asked for.

    Where the runtime has several ranks, each has such a trainer of the same network, and all take every step.
    """

    def __init__(self, net: nn.Module, config: TrainConfig, runtime: Runtime, ema: float | None = None) -> None:
        self.net, self.config, self.runtime = runtime.place(net).train(), config, runtime
        self.optimizer = build_optimizer(net, config)
        self.average = None if ema is None else WeightAverage(net, ema)
        self._layers = batchnorms(net)
        self._shared: nn.Module | None = None
        """What passes go through: the network itself, or the same shared with other ranks, made with the first step."""

    def step(
        self, images: Tensor, loss_of: Callable[[Tensor, slice], Tensor], epoch: float, share: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """One optimiser step on normalised images [B, C, H, W].

        Args:
            images: the batch, or this rank's part of it, on the device.
            loss_of: loss of the logits of rows `slice` of the batch, a mean over them.
            epoch: for the learning rate.
            share: weight of this rank's mean loss; see `ranks.Share`.

        Returns:
            Loss, so weighted, and logits [B, K], detached.
        """
        net, ranks = self._passing(images), self.runtime.ranks
        factor = lr_factor(self.config, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * factor
        self.optimizer.zero_grad(set_to_none=True)
        parts, losses, outputs = parts_of(len(images), self.config.micro_batch or len(images)), [], []
        with ranks.statistics(self._layers, passes=len(parts) if share else 0):
            for rows in parts:
                with ranks.adding_up(net, last=rows is parts[-1]):
                    logits = self.runtime.forward(net, images[rows])
                    loss = loss_of(logits.float(), rows) * (share * (rows.stop - rows.start) / len(images))
                    loss.backward()
                losses.append(loss.detach())
                outputs.append(logits.detach().float())
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.net)
        return torch.stack(losses).sum(), torch.cat(outputs)

    def _passing(self, images: Tensor) -> nn.Module:
        if self._shared is None:
            self._shared = self.runtime.ranks.wrap(self.net, lambda net: self.runtime.forward(net, images))
        return self._shared

    @property
    def tested(self) -> nn.Module:
        """The network to evaluate: the average of weights if there is one."""
        return self.net if self.average is None else self.average.net

    def state(self) -> dict[str, Tensor]:
        """Tensors of network, optimiser and average, from which `restore` goes on bit for bit."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        names = {id(parameter): name for name, parameter in self.net.named_parameters()}
        for parameter, state in self.optimizer.state.items():
            values = {key: value for key, value in state.items() if isinstance(value, Tensor)}
            tensors |= {f"optimizer.{names[id(parameter)]}/{key}": value for key, value in values.items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.net.state_dict().items()}
            tensors["averaged"] = torch.tensor(self.average.steps)
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on after the step that `state` was taken at."""
        self.net.load_state_dict(_part(tensors, "net."))
        parameters = dict(self.net.named_parameters())
        self.optimizer.state.clear()
        for name, tensor in _part(tensors, "optimizer.").items():
            parameter, key = name.split("/")
            value = tensor if key == "step" else tensor.to(self.runtime.device)
            self.optimizer.state[parameters[parameter]][key] = value
        if self.average is not None:
            self.average.net.load_state_dict(_part(tensors, "average."))
            self.average.steps = int(tensors["averaged"])


def _part(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


class WeightAverage:
    """Exponential moving average of weights and buffers; young averages forget faster (1/10 of the steps so far)."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.steps = 0
        """How often it was updated."""
        self._decay = decay

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards the network's present weights."""
        self.steps += 1
        keep = min(self._decay, self.steps / (self.steps + 10))
        for old, new in zip(self.net.state_dict().values(), net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def evaluate(net: nn.Module, split: Split, runtime: Runtime, batch_size: int = 512) -> dict[str, float]:
    """Top-1 and top-5 accuracy, shares in [0, 1]; the network's train/eval mode is put back.

    Of several ranks each evaluates a split of its own, and all get the accuracy over all of them.
    """
    was_training = net.training
    net.eval()
    top1 = top5 = count = 0
    try:
        for images, labels in split.eval_batches(batch_size, runtime.device):
            logits = runtime.logits(net, images)
            ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
            top1 += int(ranked[:, 0].sum())
            top5 += int(ranked.any(1).sum())
            count += len(labels)
    finally:
        net.train(was_training)
    top1, top5, count = runtime.ranks.sum(top1, top5, count)
    return {"top1": top1 / count, "top5": top5 / count}


def confusion(net: nn.Module, split: Split, runtime: Runtime, batch_size: int = 512) -> Tensor:
    """[K, K] int64 counts of images by true class (row) and predicted class (column); train/eval mode is put back.

    Of several ranks each counts a split of its own, and all get the counts over all of them.
    """
    classes, was_training = split.spec.num_classes, net.training
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    net.eval()
    try:
        for images, labels in split.eval_batches(batch_size, runtime.device):
            predicted = runtime.logits(net, images).argmax(1)
            counts += torch.bincount((labels * classes + predicted).cpu(), minlength=classes * classes)
    finally:
        net.train(was_training)
    return torch.stack(runtime.ranks.gather(counts)).sum(0).view(classes, classes)


def class_accuracy(counts: Tensor) -> Tensor:
    """[K] share of each class that is recognised, from a confusion matrix; NaN for a class without images."""
    return counts.diagonal().double() / counts.sum(1)
