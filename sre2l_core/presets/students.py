"""How students are trained today."""

from __future__ import annotations

from sre2l_core.presets.recipe import Recipe


def modern(reference: Recipe) -> Recipe:
    """The reference's images with today's student recipe.

    It raises SRe2L's published images by many points (CIM's and FADRM's tables), so it belongs beside every comparison.
    """
    return reference.but(
        recover={"image_format": "png"},  # no reason to lose what was recovered
        relabel={
            "epochs": 300,
            "mix": "cutmix",  # every image is seen beside every other one
            "mix_alpha": 1.0,
            "teacher_mode": "eval",
        },
        validate={
            "optimizer": "adamw",
            "lr": 1e-3,
            "weight_decay": 0.01,
            "decay_1d": False,
            "batch_size": 64,  # images; more steps from as many epochs, which matters more than anything below
            "micro_batch": None,
            "epochs": 300,
            "schedule": "cosine",
            "schedule_by": "step",
            "cosine_stretch": 2.0,  # ends at half the learning rate, as in SRe2L++
            "warmup_epochs": 0,
            "loss": "kl",
            "temperature": 20.0,
            "ema": 0.99,  # what is tested is the average of the last hundred or so steps
        },
    )


def sources(paper: Recipe, reference: Recipe) -> dict[str, Recipe]:
    """The three recipes of a dataset by the last part of their names."""
    return {"paper": paper, "reference": reference, "modern": modern(reference)}
