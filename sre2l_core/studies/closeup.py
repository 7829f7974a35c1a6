"""One image under the glass: what the teacher sees in it, what it asks for, which real images are nearest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.runtime import Runtime


@dataclass(frozen=True)
class Closeup:
    """What is known of one image."""

    pixels: Tensor
    """[C, H, W] uint8"""
    label: int
    probabilities: Tensor
    """[K] by the teacher, of the whole image."""
    saliency: Tensor
    """[H, W] in 0..1: how much each pixel moves the cross-entropy, next to the pixel that moves it most."""

    def likeliest(self, count: int = 5) -> list[tuple[int, float]]:
        """(class, probability) of the likeliest classes, its own among them."""
        order = self.probabilities.argsort(descending=True, stable=True)[:count].tolist()
        shown = order if self.label in order else [*order[:-1], self.label]
        return [(index, float(self.probabilities[index])) for index in shown]


def closeup(teacher: Teacher, pixels: Tensor, label: int, *, runtime: Runtime) -> Closeup:
    """Ask the teacher about one image.

    Saliency is the gradient of the cross-entropy to the pixels, by magnitude, the largest of the channels (Simonyan,
    Vedaldi and Zisserman 2014): what recovery would change first if it saw the whole image.

    Args:
        teacher: any classifier.
        pixels: [C, H, W] uint8, as wide as the teacher's images.
        label: class of the image.
        runtime: device and precision.
    """
    net = runtime.place(teacher.net)
    image = teacher.spec.normalize(pixels[None].to(runtime.device)).requires_grad_()
    with torch.enable_grad():
        logits = runtime.forward(net, image).float()
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([label], device=logits.device))
        (gradient,) = torch.autograd.grad(loss, image)
    strength = gradient[0].float().abs().amax(0).cpu()
    top = strength.max()
    saliency = strength / top if top > 0 else strength
    return Closeup(pixels.cpu(), label, logits.detach()[0].softmax(0).cpu(), saliency)
