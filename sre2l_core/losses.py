"""Losses of a student on soft labels (Equation 9), and cross-entropy on hard ones. All computed in float32."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sre2l_core.config import ValidateConfig


def soft_label_loss(logits: Tensor, soft: Tensor, hard: Tensor, config: ValidateConfig) -> Tensor:
    """The loss that `config.loss` names, averaged over the batch.

    Args:
        logits: [B, K] of the student.
        soft: [B, K] the teacher's logits on the same pixels.
        hard: [B, K] target distribution of the hard labels (used by mse_ce and gift).
        config: loss, temperature T and gamma.
    """
    logits, soft = logits.float(), soft.float()
    if config.loss == "mse_ce":
        return F.mse_loss(logits, soft) + config.gamma * F.cross_entropy(logits, hard)
    if config.loss == "gift":
        return gift_loss(logits, soft, hard, config.gamma)
    kl = kl_divergence(logits, soft, config.temperature)
    return kl * config.temperature**2 if config.loss == "kl_t2" else kl


def kl_divergence(logits: Tensor, soft: Tensor, temperature: float) -> Tensor:
    """KL(softmax(soft / T) || softmax(logits / T)), mean over the batch.

    Its gradient is that of the soft-label cross-entropy of Equation 9. The ImageNet and CIFAR references use it as it
    is, the Tiny-ImageNet reference times T^2.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(soft / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def gift_loss(logits: Tensor, soft: Tensor, hard: Tensor, gamma: float) -> Tensor:
    """1 - cosine between student logits and (1 - gamma) unit soft label + gamma unit hard label (GIFT, ICLR 2025)."""
    label = (1 - gamma) * F.normalize(soft.softmax(1), dim=1) + gamma * F.normalize(hard, dim=1)
    return (1 - F.cosine_similarity(logits, label, dim=1)).mean()


def hard_targets(labels: Tensor, partners: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """[B, K] distributions of hard labels [B]: `weights` [B] of the image's own, the rest of its mixing partner's."""
    own = F.one_hot(labels, num_classes).float()
    other = F.one_hot(partners, num_classes).float()
    return weights[:, None] * own + (1 - weights[:, None]) * other


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with target distributions [B, K] (Equation 4), mean over the batch."""
    return F.cross_entropy(logits.float(), targets)


def accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Share of rows whose label [B] is among the k largest logits [B, K]."""
    top = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return (top == labels[:, None]).any(1).float().mean()
