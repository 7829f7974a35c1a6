"""SRe2L: Squeeze, Recover and Relabel. Dataset condensation at ImageNet scale (Yin, Xing and Shen, NeurIPS 2023).

Four verbs and what they exchange:

    teacher = squeeze(data, SqueezeConfig())                    # stage 1
    condensed = recover(teacher, RecoverConfig())               # stage 2
    labels = relabel(teacher, condensed, RelabelConfig())       # stage 3
    score = validate(condensed, labels, data, ValidateConfig(), teacher=teacher)  # stage 4

Names are looked up on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sre2l_core.artifacts import CondensedSet, Score, Teacher
    from sre2l_core.config import RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
    from sre2l_core.runtime import Runtime
    from sre2l_core.stages.labels import LiveLabels, SoftLabels
    from sre2l_core.stages.recover.loop import Recovery
    from sre2l_core.stages.recover.stage import recover
    from sre2l_core.stages.relabel import relabel
    from sre2l_core.stages.squeeze import squeeze
    from sre2l_core.stages.validate import validate

__version__ = "0.1.0"

_HOMES = {
    "squeeze": "stages.squeeze",
    "recover": "stages.recover.stage",
    "relabel": "stages.relabel",
    "validate": "stages.validate",
    "Recovery": "stages.recover.loop",
    "Teacher": "artifacts",
    "CondensedSet": "artifacts",
    "Score": "artifacts",
    "SoftLabels": "stages.labels",
    "LiveLabels": "stages.labels",
    "Runtime": "runtime",
    "SqueezeConfig": "config",
    "RecoverConfig": "config",
    "RelabelConfig": "config",
    "ValidateConfig": "config",
}

__all__ = ["CondensedSet", "LiveLabels", "RecoverConfig", "Recovery", "RelabelConfig", "Runtime", "Score", "SoftLabels"]
__all__ += ["SqueezeConfig", "Teacher", "ValidateConfig", "recover", "relabel", "squeeze", "validate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sre2l_core' has no attribute {name!r}")
    return getattr(import_module(f"sre2l_core.{_HOMES[name]}"), name)
