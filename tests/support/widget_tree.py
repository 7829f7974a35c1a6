"""What a panel consists of."""

from collections.abc import Iterator
from typing import Any


def inside(widget: Any) -> Iterator[Any]:
    """A widget and all that it holds, however deep."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


def inspected(panel: Any) -> str:
    """What is seen of the image that is open large; nothing where none is."""
    return panel._inspector._page.value if panel._inspector.layout.display != "none" else ""
