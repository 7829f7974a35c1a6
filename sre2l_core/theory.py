"""Appendix D: how much of an image its features keep, in bits, and the bound on the generalisation gap that follows.

A network without noise maps every image to one point. If no two of N images share theirs, I(X; D) is log2 N, whatever
else the network does; among continuous images it is infinite. So all numbers here are of the network with noise on its
features,

    D = f(X) + σ ε,  ε ~ N(0, 1) in every dimension,  p(d | x) = N(d; f(x), σ² 1),

and σ is a choice of whoever measures. A bound without its σ says nothing, and it is a bound for the noisy network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.embed import features, head_of
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.runtime import Runtime

NOISE = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Scales of the noise, in units of the spread of the features."""
DELTA = 0.05
"""How likely a bound is allowed to fail."""
_AT_ONCE = 2**22
"""Pairs of images whose distances are held in memory."""


@dataclass(frozen=True)
class Information:
    """What noisy features tell of which image they came from, between two bounds."""

    lower: float
    """Bits; never above log2 of the number of images."""
    upper: float
    """Bits; may be as large as it likes: what images far apart in units of σ give."""
    error: float
    """Standard error of `upper` over the images, as if they were independent of one another."""
    images: int

    def gap(self, delta: float = DELTA) -> float:
        """The bound on the generalisation gap that `upper` gives; see `input_compression_bound`."""
        return input_compression_bound(max(self.upper, 0.0), self.images, delta)


def information(points: Tensor, sigma: float, *, draws: int = 8, seed: int = 0) -> Information:
    """The leave-one-out upper bound on I(X; D) of Appendix D (Poole et al., 2019), and the lower bound beside it.

    upper = E[1/N Σ_i log2 p(d_i | x_i) / (1/(N-1) Σ_{j≠i} p(d_i | x_j))], lower = the same with a mean over all N.

    Both are bounds in expectation, for images drawn independently from one distribution, and for the noisy network that
    the module describes. Images that were recovered together are not independent; of them the numbers are only a
    description. Moving, turning or reordering the points changes nothing but the noise that is drawn; scaling them
    together with `sigma` changes nothing.

    Args:
        points: [N, D] features, N >= 2, not all alike.
        sigma: standard deviation of the noise in every dimension, in the units of the features.
        draws: of the noise for each image.
        seed: of the noise.

    Raises:
        DataError: for features that are infinite, no numbers, all alike, or of a single image.
        ConfigError: for a sigma that is not above 0 or so little that the upper bound is not finite, or no draws.
    """
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ConfigError(f"sigma must be a number above 0 (got {sigma}): without noise the information is infinite.")
    if draws < 1:
        raise ConfigError(f"draws must be at least 1 (got {draws}).")
    spread(points)
    scaled = points.double().cpu() / sigma
    scaled = scaled - scaled.mean(0)
    noise, found = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        seen = scaled + torch.randn(scaled.shape, generator=noise, dtype=scaled.dtype)
        found.append(log_ratios(scaled, seen))
    upper, lower = torch.stack(found).mean(0).unbind(0)
    if not upper.isfinite().all():
        raise ConfigError(f"sigma {sigma:g} is too little for these features: take more noise.")
    error = float(upper.std()) / math.sqrt(len(upper))
    return Information(float(lower.mean()), float(upper.mean()), error, len(upper))


def log_ratios(points: Tensor, seen: Tensor) -> Tensor:
    """[2, N] bits: what each image adds to the upper and to the lower bound, for one draw of the noise.

    Args:
        points: [N, D] features f(x_i) in units of sigma.
        seen: [N, D] noisy features d_i of the same images.
    """
    count, parts = len(points), []
    for rows in torch.arange(count).split(max(1, _AT_ONCE // count)):
        # log p(d_i | x_j), but for a constant that cancels
        likely = -0.5 * torch.cdist(seen[rows], points).square()
        own = likely[torch.arange(len(rows)), rows].clone()
        lower = own - likely.logsumexp(1) + math.log(count)
        likely[torch.arange(len(rows)), rows] = -math.inf
        upper = own - likely.logsumexp(1) + math.log(count - 1)
        parts.append(torch.stack([upper, lower]))
    return torch.cat(parts, dim=1) / math.log(2)


def spread(points: Tensor) -> float:
    """Root mean square distance of a feature from its mean, over images and dimensions: the unit of the noise.

    Raises:
        DataError: for features [N, D] that are infinite, no numbers, all alike but for rounding, or of a single image.
    """
    if points.ndim != 2 or len(points) < 2:
        raise DataError(f"features must be [N, D] of at least two images (got {list(points.shape)}).")
    if not points.isfinite().all():
        bad = int((~points.isfinite().all(1)).nonzero()[0])
        raise DataError(f"the features of image {bad} are infinite or no numbers: check the network and its input.")
    rounding = 1e-12 if points.dtype == torch.float64 else 1e-6  # equal images in batches of other sizes differ by this
    points = points.double()
    found, largest = float((points - points.mean(0)).square().mean().sqrt()), float(points.abs().max())
    if not math.isfinite(found):
        raise DataError(f"features as large as {largest:.0e} cannot be squared: divide them by a number.")
    if found <= rounding * largest:
        raise DataError(
            f"the features of all {len(points)} images are alike: they tell nothing, and no noise can be measured "
            "by them. Take other images, or a network that tells them apart."
        )
    return found


def pac_bound(log_hypotheses: float, images: int, delta: float = DELTA) -> float:
    """Generalisation gap of a finite hypothesis class (Appendix D): sqrt((log|H| + log(1/δ)) / (2 N)).

    Holds with probability 1 - δ for N independent images from the distribution that is tested on. A gap is at most 1:
    a bound of 1 or more says nothing.

    Args:
        log_hypotheses: natural logarithm of the number of hypotheses, 0 or more; may be infinite.
        images: N, those trained on.
        delta: δ, between 0 and 1.
    """
    if not log_hypotheses >= 0:
        raise ConfigError(f"the logarithm of a number of hypotheses must be 0 or more (got {log_hypotheses}).")
    if images < 1:
        raise ConfigError(f"a bound needs at least one training image (got {images}).")
    if not 0 < delta < 1:
        raise ConfigError(f"delta must be between 0 and 1 (got {delta}).")
    return math.sqrt((log_hypotheses + math.log(1 / delta)) / (2 * images))


def input_compression_bound(bits: float, images: int, delta: float = DELTA) -> float:
    """Generalisation gap by the information that features keep (Appendix D): sqrt((2^I + log(1/δ)) / (2 N)).

    The class of hypotheses is every labelling of 2^I clusters of images that the network tells apart, |H| = 2^(2^I).
    That clusters are of one class and number 2^I is assumed, not shown; as in the paper, log|H| = 2^I log 2 is
    rounded up to 2^I.

    Args:
        bits: I(X; D), 0 or more, in bits.
        images: N, those trained on.
        delta: δ, between 0 and 1.
    """
    if not bits >= 0:
        raise ConfigError(f"information must be 0 bits or more (got {bits}).")
    return pac_bound(2.0**bits if bits < 1000 else math.inf, images, delta)


@dataclass(frozen=True)
class Measured:
    """A set of images under a network, at several scales of noise."""

    noise: tuple[float, ...]
    """In units of the spread of the first set's features."""
    information: tuple[Information, ...]
    recognised: tuple[float, ...]
    """Share of the images that the network's last layer recognises by their noisy features: what the noise costs."""

    @property
    def images(self) -> int:
        """How many there are."""
        return self.information[0].images


def measure(
    teacher: Teacher,
    sets: Mapping[str, CondensedSet],
    noise: Sequence[float] = NOISE,
    *,
    draws: int = 8,
    seed: int = 0,
    runtime: Runtime | None = None,
) -> dict[str, Measured]:
    """The bounds of several sets of images under one network and the same noise, set by set.

    Args:
        teacher: the network f up to its last linear layer.
        sets: name -> images with labels; the spread of the first one's features is the unit of the noise.
        noise: scales of the noise in that unit.
        draws: of the noise for each image.
        seed: of the noise.
        runtime: device and precision.

    Raises:
        ConfigError: without sets or scales, or for a scale that is not above 0.
        DataError: for a set that the network does not fit, of one class only, or whose features cannot be measured.
    """
    if not sets or not noise:
        raise ConfigError("there is nothing to measure: give at least one set of images and one scale of the noise.")
    points = {name: _features(teacher, name, images, runtime) for name, images in sets.items()}
    unit = spread(next(iter(points.values())))
    found = {}
    for name, images in sets.items():
        bits = tuple(information(points[name], scale * unit, draws=draws, seed=seed) for scale in noise)
        kept = tuple(_recognised(teacher, points[name], images.labels, scale * unit, seed) for scale in noise)
        found[name] = Measured(tuple(noise), bits, kept)
    return found


def _features(teacher: Teacher, name: str, images: CondensedSet, runtime: Runtime | None) -> Tensor:
    teacher.spec.check_fits(images.spec)
    if len(classes := images.labels.unique()) < 2:
        raise DataError(
            f"{name}: all {len(images)} images are of {len(classes)} class: a bound for a classifier needs two classes."
        )
    points = features(teacher, images.spec.normalize(images.images), runtime=runtime)
    try:
        spread(points)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return points


@torch.no_grad()
def _recognised(teacher: Teacher, points: Tensor, labels: Tensor, sigma: float, seed: int) -> float:
    noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(seed))
    head = head_of(teacher)
    logits = head((points + sigma * noise).to(head.weight.device))
    return float((logits.argmax(1).cpu() == labels).double().mean())
