"""Views for JupyterLab over stages, configs and artifacts. No science here: whatever the mouse can do, a cell can do.

A view is a `VBox` of core ipywidgets. The worker of a `Run` publishes pictures and numbers to it, a few times a second
and always the last; callbacks only change settings and start or stop runs. It works the same without a front end.
"""

from sre2l_core.widgets.base.controls import control
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.bounds import BoundsPanel
from sre2l_core.widgets.continual import ContinualPanel
from sre2l_core.widgets.embedding import EmbeddingPanel
from sre2l_core.widgets.explorer import Explorer
from sre2l_core.widgets.pipeline import PipelinePanel
from sre2l_core.widgets.recover import RecoverStudio
from sre2l_core.widgets.relabel import RelabelPanel
from sre2l_core.widgets.short_recovery import ShortRecovery
from sre2l_core.widgets.side_by_side import SideBySide
from sre2l_core.widgets.small_multiples import SmallMultiples
from sre2l_core.widgets.squeeze import SqueezePanel
from sre2l_core.widgets.studio import Studio
from sre2l_core.widgets.validate import ValidatePanel

__all__ = [
    "BoundsPanel",
    "ContinualPanel",
    "EmbeddingPanel",
    "Explorer",
    "LivePanel",
    "PipelinePanel",
    "RecoverStudio",
    "RelabelPanel",
    "ShortRecovery",
    "SideBySide",
    "SmallMultiples",
    "SqueezePanel",
    "Studio",
    "ValidatePanel",
    "control",
]
