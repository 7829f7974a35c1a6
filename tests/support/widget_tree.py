"""What a panel consists of."""

from collections.abc import Iterator
from typing import Any


def inside(widget: Any) -> Iterator[Any]:
    """A widget and all that it holds, however deep."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)
