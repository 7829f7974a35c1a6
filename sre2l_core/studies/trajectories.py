"""A step of MTT, matching training trajectories (Cazenavette et al., CVPR 2022): what its time and memory are made of.

A student begins with an expert's weights θ_t and takes N steps of SGD on the synthetic images; they are moved so that
it ends where the expert is M epochs later. The gradient goes back through all N steps: their activations are held at
once. Only a step is here, not the method: no experts are trained, and what comes out are no images to learn from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sre2l_core.losses import cross_entropy
from sre2l_core.runtime import Runtime

Weights = dict[str, Tensor]


def trajectory_loss(
    net: nn.Module,
    start: Weights,
    target: Weights,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    lr: Tensor,
    runtime: Runtime,
) -> Tensor:
    """‖θ̂_N - θ_{t+M}‖² / ‖θ_t - θ_{t+M}‖² with θ̂_{i+1} = θ̂_i - lr ∇ℓ(images; θ̂_i), Equation 2 of the paper.

    Args:
        net: the student's network, whose own weights are not used.
        start: θ_t by name, as of `net.named_parameters()`.
        target: θ_{t+M}.
        images: [B, C, H, W] normalised: one batch for all steps.
        labels: [B, K] target distributions.
        steps: N.
        lr: the student's learning rate, learnt as well.
        runtime: precision.

    Returns:
        A number that is differentiable in `images` and `lr`.
    """
    weights = {name: value.detach().requires_grad_() for name, value in start.items()}
    for _ in range(steps):
        with runtime.autocast():
            logits = functional_call(net, weights, (images,))
        found = torch.autograd.grad(cross_entropy(logits, labels), [*weights.values()], create_graph=True)
        weights = {name: value - lr * grad for (name, value), grad in zip(weights.items(), found, strict=True)}
    return _squared_distance(weights, target) / _squared_distance(start, target)


def trajectory_step(
    net: nn.Module, images: Tensor, labels: Tensor, *, steps: int, runtime: Runtime, seed: int = 0
) -> float:
    """One update of `images` [B, C, H, W] in place, with random weights for the expert's; the loss before it."""
    random = torch.Generator().manual_seed(seed)
    start = {name: value.detach() for name, value in net.named_parameters()}
    noise = {name: torch.randn(value.shape, generator=random).to(value) for name, value in start.items()}
    target = {name: value + 0.01 * noise[name] for name, value in start.items()}
    lr = torch.tensor(0.01, device=images.device, requires_grad=True)
    loss = trajectory_loss(net.train(), start, target, images, labels, steps=steps, lr=lr, runtime=runtime)
    gradient, _ = torch.autograd.grad(loss, [images, lr])
    with torch.no_grad():
        images -= gradient
    return float(loss.detach())


def _squared_distance(one: Weights, other: Weights) -> Tensor:
    return torch.stack([(one[name] - other[name]).square().sum() for name in one]).sum()
