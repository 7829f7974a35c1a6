"""Students that train for a moment."""

from sre2l_core.config import ValidateConfig

EPOCHS = 4


def config(**settings):
    """Of ConvNets with two blocks; eleven images make three batches an epoch."""
    small = {"students": ("convnet",), "student_options": {"depth": 2, "width": 8}, "epochs": EPOCHS, "batch_size": 4}
    return ValidateConfig(**{**small, "seeds": 2, "lr": 0.05, "eval_every": 2, **settings})
