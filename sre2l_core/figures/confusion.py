"""What is taken for what: a confusion matrix where its numbers fit, and the most frequent mistakes in words."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sre2l_core.figures.sheet import View
from sre2l_core.figures.tables import MAX_CLASSES, matrix
from sre2l_core.studies.diagnose import worst_confusions


def confusion_view(counts: Tensor, names: Sequence[str], title: str, *, beside: bool = True) -> View:
    """Images by true class and predicted class.

    Args:
        counts: [K, K] images.
        names: of the classes.
        title: what is seen.
        beside: whether the words stand on the right of the matrix.
    """
    few = len(names) <= MAX_CLASSES
    lines = [
        f"{names[row]} taken for {names[column]}: {count}"
        for row, column, count in worst_confusions(counts, 5 if few else 20)
    ]
    notes = ("Most frequent mistakes:", *lines) if lines else ("No mistakes.",)
    if not few:
        return View(title, notes=notes)
    numbers = matrix(counts.tolist(), names, label="confusion matrix", across="predicted", down="true class")
    return View(title, numbers, notes, beside=beside)
