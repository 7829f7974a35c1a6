"""Views for JupyterLab over stages, configs and artifacts. No science here: whatever the mouse can do, a cell can do.

A view is a `VBox` of core ipywidgets. The worker of a `Run` publishes pictures and numbers to it, a few times a second
and always the last; callbacks only change settings and start or stop runs. It works the same without a front end.
"""

from sre2l_core.widgets.controls import control
from sre2l_core.widgets.short_recovery import ShortRecovery

__all__ = ["ShortRecovery", "control"]
