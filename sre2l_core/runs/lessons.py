"""Ready-made beginnings for the notebooks: the teacher of a preset, whichever way it comes."""

from __future__ import annotations

from sre2l_core.artifacts import Teacher
from sre2l_core.data import Dataset
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runtime import Runtime
from sre2l_core.stages.squeeze import from_weights, squeeze


def teacher_for(
    recipe: Recipe, *, epochs: int | None = None, data: Dataset | None = None, runtime: Runtime | None = None
) -> Teacher:
    """Stage 1 of a recipe in one line.

    ImageNet recipes take torchvision's weights as they are and need no data. All others are squeezed from their data:
    seconds for digits, hours for Tiny-ImageNet without a GPU (then `Teacher.load` one that was squeezed before).

    Args:
        recipe: one of `presets`.
        epochs: squeeze for so long instead of the recipe's own; a warm-up is cut to fit.
        data: the recipe's data, if it is at hand already.
        runtime: device and precision.
    """
    if recipe.squeeze.pretrained and data is None:
        return from_weights(recipe.squeeze.backbone, recipe.squeeze.pretrained)
    config = recipe.squeeze
    if epochs is not None:
        config = config.but(epochs=epochs, warmup_epochs=min(config.warmup_epochs, epochs - 1))
    return squeeze(load_data(recipe.data) if data is None else data, config, runtime=runtime)
