"""Axis 2: networks. `ls` is the catalogue; any torchvision classifier is there as well.

A file offers builders in `PLUGINS`. A builder takes `num_classes`, `channels` and `resolution` and then its own
options, typed and with defaults: names and values of options are checked here, against that signature. The siblings are
imported on first use, because importing torchvision costs a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from pydantic import ValidationError, validate_call
from torch import nn

from sre2l_core.errors import ConfigError, unknown
from sre2l_core.registry import catalogue
from sre2l_core.settings import explain

Builder = Callable[..., nn.Module]


def names() -> tuple[str, ...]:
    """Every name that `build` knows: this package's own networks, then torchvision's."""
    from sre2l_core.backbones import zoo

    own = sorted(catalogue("backbones"))
    return (*own, *(name for name in zoo.names() if name not in own))


def build(
    name: str, *, num_classes: int, channels: int = 3, resolution: int, seed: int | None = None, **options: Any
) -> nn.Module:
    """A classifier `[B, channels, resolution, resolution] -> logits [B, num_classes]`, in training mode.

    Args:
        name: one of `names()`. Where both have it, this package's own network wins over torchvision's.
        num_classes: width of the last layer, at least 1.
        channels: channels of the images, at least 1.
        resolution: height and width of the images in pixels; decides stems and patch sizes.
        seed: fixes the initial weights, drawn on the CPU, and leaves torch's global random state untouched (which must
            not be drawn from by another thread meanwhile). Without it they come from the global state, as in torch.
        options: what the network's own builder takes, such as `width`, `depth`, `stem` or `weights`.

    Raises:
        ConfigError: an unknown name or option (the nearest known one is named), or a value out of bounds.
        ArtifactError: pretrained weights were asked for and cannot be had or do not fit.
    """
    builder = _builder(name)
    _check_names(name, builder, options)
    with _drawn_from(seed):
        try:
            return validate_call(builder)(num_classes=num_classes, channels=channels, resolution=resolution, **options)
        except ValidationError as error:
            raise ConfigError(explain(name, error)) from None


def _builder(name: str) -> Builder:
    from sre2l_core.backbones import zoo

    own: dict[str, Builder] = catalogue("backbones")
    if name in own:
        return own[name]
    if name in zoo.names():
        return zoo.builder(name)
    raise unknown("backbone", name, names())


def _check_names(name: str, builder: Builder, options: Iterable[str]) -> None:
    known = [
        option for option in signature(builder).parameters if option not in ("num_classes", "channels", "resolution")
    ]
    for option in options:
        if not known:
            raise ConfigError(f"backbone {name!r} takes no options (got {option!r}). Remove it.")
        if option not in known:
            raise unknown(f"{name} option", option, known)


@contextmanager
def _drawn_from(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would reseed every GPU as well, which the fork of the CPU state does not undo.
        torch.default_generator.manual_seed(seed)
        yield
