"""What is done to a widget and to all widgets in it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any


def serialise(widget: Any, lock: threading.RLock) -> None:
    """Let what a front end sets wait for what other threads are writing: ipywidgets itself knows no threads."""
    receive = widget.set_state

    def set_state(state: dict[str, Any]) -> None:
        with lock:
            receive(state)

    widget.set_state = set_state
    for child in getattr(widget, "children", ()):
        serialise(child, lock)


def close_all(widgets: Sequence[Any]) -> None:
    """Close these widgets and those in them."""
    for widget in widgets:
        close_all(getattr(widget, "children", ()))
        widget.close()
